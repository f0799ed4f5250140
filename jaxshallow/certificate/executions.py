"""The executions that the certificate covers, each in one signature. To add one, list it in `all_executions`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.sharding import Mesh

from jaxshallow import backprop, executions, in_numpy, network, per_example
from jaxshallow.many.side_by_side import cost_and_grads_beside_another
from jaxshallow.network import Cache
from jaxshallow.params import Params
from jaxshallow.tiles import shard, stream, tile_size
from jaxshallow.tiles.chains import Span
from jaxshallow.tiles.streaming import in_chains

LOOP_EXAMPLES, SCAN_EXAMPLES, VMAP_ENTRIES = 16, 1024, 2**25


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


def _streamed(params: Params, X: Array, Y: Array, **options: Any) -> Any:
    """In three tiles or more, usually with a smaller last one."""
    tile = max(1, min(tile_size(params), X.shape[1] // 3))
    return stream(backprop.cost_and_grads, tile)(params, X, Y, **options)


def _chained(params: Params, X: Array, Y: Array, **options: Any) -> Any:
    """In seven tiles or more, usually with a smaller last one: two chains of as many, and what is left."""
    m = X.shape[1]
    tile = max(1, min(tile_size(params), m // 7))
    tiles, left = divmod(m, tile)
    turns = tiles // 2
    rest = Span(tile, tiles - 2 * turns, left, m)
    spans = [Span(tile, turns, 0, m)] * (2 if turns else 0) + [rest] * (rest.turns + rest.left > 0)
    return in_chains(backprop.cost_and_grads, spans, 2, params, X, Y, **options)


def all_executions(params: Params, more: Mapping[str, Callable[..., Any]] | None, max_norm: float) -> list[Execution]:
    def python_loop(run: Callable[..., Any]) -> Execution:
        return Execution("Python loop", run, LOOP_EXAMPLES, loop=True)

    def scan_loop(run: Callable[..., Any]) -> Execution:
        wide = params.W1.dtype in (jnp.float32, jnp.float64)  # sums of 1024 terms mean nothing in a narrower dtype
        return Execution("scan loop", run, SCAN_EXAMPLES if wide else LOOP_EXAMPLES, loop=True)

    in_numpys_reach = in_numpy.known(params.hidden) and params.W1.dtype in (jnp.float32, jnp.float64)
    vmap_examples = max(1, VMAP_ENTRIES // sum(leaf.size for leaf in jax.tree.leaves(params)))
    chains_run = jax.default_backend() == "cpu" and jax.local_device_count() == 1
    tiled = {"stream": _streamed}
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
        *(Execution(name, run) for name, run in (more or {}).items()),
    ]
