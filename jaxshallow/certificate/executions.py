"""The executions that the certificate covers, each in one signature. To add one, list it in `all_executions`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.flatten_util import ravel_pytree
from jax.sharding import Mesh

from jaxshallow import backprop, curvature, executions, in_numpy, network, per_example
from jaxshallow.activations import OUTPUTS
from jaxshallow.certificate.second_order import direction
from jaxshallow.many.side_by_side import cost_and_grads_beside_another
from jaxshallow.network import Cache
from jaxshallow.params import Params, size_of
from jaxshallow.tiles import shard, stream, tile_size
from jaxshallow.tiles.chains import Span
from jaxshallow.tiles.streaming import in_chains

LOOP_EXAMPLES, SCAN_EXAMPLES, VMAP_ENTRIES = 16, 1024, 2**25
MATRIX_PARAMETERS, MATRIX_ENTRIES = 1000, 2**22


def name_result(result: Any, execution: str) -> tuple[str, dict[str, Any]]:
    """What an execution returned: the quantity, and its arrays by the names of the reference."""
    if isinstance(result, Cache):
        return "forward", result._asdict()
    if isinstance(result, Params):
        return "gradient", {"dW1": result.W1, "db1": result.b1, "dW2": result.W2, "db2": result.b2}
    if isinstance(result, tuple) and len(result) == 2:
        return "cost, gradient", {"J": result[0], **name_result(result[1], execution)[1]}
    if isinstance(result, jax.Array | np.ndarray | np.generic | float) and np.ndim(result) < 2:
        return ("cost", {"J": result}) if np.ndim(result) == 0 else ("losses", {"L": result})
    raise TypeError(f"execution {execution!r} must return a Cache, losses, a cost, Params or (cost, Params)")


def _named_clipped(grads: Params, execution: str) -> tuple[str, dict[str, Any]]:
    return "clipped gradient", {f"clipped_{name}": leaf for name, leaf in name_result(grads, execution)[1].items()}


def _named_norms(norms: Array, execution: str) -> tuple[str, dict[str, Any]]:
    return "gradient norms", {"norms": norms[None]}


def _named_six(result: tuple[Any, in_numpy.Gradients], execution: str) -> tuple[str, dict[str, Any]]:
    return "cost, gradient", {"J": result[0], **result[1]._asdict()}


def _named_second(result: tuple[Params, Params], execution: str) -> tuple[str, dict[str, Any]]:
    HV, GV = result
    of_H = {"RdW1": HV.W1, "Rdb1": HV.b1, "RdW2": HV.W2, "Rdb2": HV.b2}
    return "second derivatives", {**of_H, "G_W1": GV.W1, "G_b1": GV.b1, "G_W2": GV.W2, "G_b2": GV.b2}


@dataclass(frozen=True)
class Execution:
    """One way of running the formula: `run(params, X, Y, *, weights, l2)`, on at most `most` examples.

    `loop`: it goes example by example, so sums are taken one by one. `compiled`: it is a program even when not jitted.
    `in_threads`: it starts its programs itself, and is not jitted. `named` says what its result is.
    """

    name: str
    run: Callable[..., Any]
    most: int = sys.maxsize
    loop: bool = False
    compiled: bool = False
    in_threads: bool = False
    named: Callable[[Any, str], tuple[str, dict[str, Any]]] = name_result


@cache
def _with_targets(forward: Callable[..., Any]) -> Callable[..., Any]:
    """`forward(params, X)` in the signature of the others; cached, so that jit compiles it once."""
    return lambda params, X, Y, **_: forward(params, X)


_gradient_of = cache(jax.grad)


@cache
def _without_weights(losses: Callable[..., Any]) -> Callable[..., Any]:
    return lambda params, X, Y, **_: losses(params, X, Y)


@cache
def _clipped_at(max_norm: float) -> Callable[..., Any]:
    return lambda params, X, Y, **options: per_example.clipped_grads(params, X, Y, max_norm, **options)


def _in_tiles(fn: Callable[..., Any], params: Params, X: Array, Y: Array, **options: Any) -> Any:
    """In three tiles or more, usually with a smaller last one."""
    tile = max(1, min(tile_size(params), X.shape[1] // 3))
    return stream(fn, tile)(params, X, Y, **options)


_streamed = partial(_in_tiles, backprop.cost_and_grads)


def _chained(params: Params, X: Array, Y: Array, **options: Any) -> Any:
    """In seven tiles or more, usually with a smaller last one: two chains of as many, and what is left."""
    m = X.shape[1]
    tile = max(1, min(tile_size(params), m // 7))
    tiles, left = divmod(m, tile)
    turns = tiles // 2
    rest = Span(tile, tiles - 2 * turns, left, m)
    spans = [Span(tile, turns, 0, m)] * (2 if turns else 0) + [rest] * (rest.turns + rest.left > 0)
    return in_chains(backprop.cost_and_grads, spans, 2, params, X, Y, **options)


# ---- second derivatives: the Hessian and the Gauss-Newton matrix, each times the V of `direction` ----


def _products(params: Params, X: Array, Y: Array, **options: Any) -> tuple[Params, Params]:
    V = direction(params)
    HV = curvature.hessian_vector(params, X, Y, V, **options)
    return HV, curvature.gauss_newton_vector(params, X, Y, V, **options)


_streamed_products = partial(_in_tiles, _products)


def _matrices(params: Params, X: Array, Y: Array, **options: Any) -> tuple[Params, Params]:
    V, as_params = ravel_pytree(direction(params))
    H, G = curvature.hessian(params, X, Y, **options), curvature.gauss_newton(params, X, Y, **options)
    return as_params(H @ V), as_params(G @ V)


def _by_autodiff(params: Params, X: Array, Y: Array, *, weights: Any, l2: Any) -> tuple[Params, Params]:
    V, head, m = direction(params), OUTPUTS[params.output].activation, X.shape[1]
    _, w, λ = network.relative_weights(params, m, weights, l2)
    _, HV = jax.jvp(lambda params: jax.grad(network.cost)(params, X, Y, weights=weights, l2=l2), (params,), (V,))
    Z2, back = jax.vjp(lambda params: network.forward(params, X).Z2, params)
    _, RZ2 = jax.jvp(lambda params: network.forward(params, X).Z2, (params,), (V,))
    _, RA2 = jax.jvp(head, (Z2,), (RZ2,))
    (GV,) = back(w * RA2 / m)
    return HV, replace(GV, W1=GV.W1 + λ * V.W1, W2=GV.W2 + λ * V.W2)


def second_derivatives(params: Params) -> list[Execution]:
    """In a dtype in which products of three factors still mean something, and matrices if they are small."""
    if params.W1.dtype not in (jnp.float32, jnp.float64):
        return []
    second = partial(Execution, compiled=True, named=_named_second)
    P = size_of(params)
    return [
        second("matrix", _products),
        second("autodiff", _by_autodiff),
        second("stream", _streamed_products),
        *([second("P × P matrices", _matrices, MATRIX_ENTRIES // P)] if P <= MATRIX_PARAMETERS else []),
    ]


def all_executions(params: Params, more: Mapping[str, Callable[..., Any]] | None, max_norm: float) -> list[Execution]:
    def python_loop(run: Callable[..., Any]) -> Execution:
        return Execution("Python loop", run, LOOP_EXAMPLES, loop=True)

    def scan_loop(run: Callable[..., Any]) -> Execution:
        wide = params.W1.dtype in (jnp.float32, jnp.float64)  # sums of 1024 terms mean nothing in a narrower dtype
        return Execution("scan loop", run, SCAN_EXAMPLES if wide else LOOP_EXAMPLES, loop=True)

    in_numpys_reach = in_numpy.known(params.hidden) and params.W1.dtype in (jnp.float32, jnp.float64)
    vmap_examples = max(1, VMAP_ENTRIES // size_of(params))
    chains_run = jax.default_backend() == "cpu" and jax.local_device_count() == 1
    tiled: dict[str, Callable[..., Any]] = {"stream": _streamed}
    if jax.local_device_count() > 1:
        mesh = Mesh(np.array(jax.local_devices()), ("examples",))
        tiled["shard"] = shard(backprop.cost_and_grads, mesh)
        tiled["shard, stream"] = shard(_streamed, mesh)
    return [
        python_loop(_with_targets(executions.forward_loop)),
        scan_loop(_with_targets(executions.forward_scan)),
        Execution("vmap", _with_targets(executions.forward_vmap)),
        Execution("matrix", _with_targets(network.forward)),
        Execution("matrix", _without_weights(network.losses)),
        Execution("matrix", network.cost),
        python_loop(executions.manual_grads_loop),
        scan_loop(executions.manual_grads_scan),
        Execution("vmap", executions.manual_grads_vmap, vmap_examples),
        Execution("matrix", backprop.manual_grads),
        Execution("matrix", backprop.cost_and_grads),
        Execution("autodiff", _gradient_of(network.cost)),
        *(Execution(name, run, compiled=True) for name, run in tiled.items()),
        *([Execution("chains", _chained, in_threads=True)] if chains_run else []),
        Execution("many", cost_and_grads_beside_another, compiled=True),
        *([Execution("NumPy", in_numpy.cost_and_grads, named=_named_six)] if in_numpys_reach else []),
        Execution("matrix", _without_weights(per_example.per_example_grad_norms), named=_named_norms),
        Execution("matrix", _clipped_at(max_norm), named=_named_clipped),
        *second_derivatives(params),
        *(Execution(name, run) for name, run in (more or {}).items()),
    ]
