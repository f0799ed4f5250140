"""`shard`: the same formula with the examples split over devices."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial, wraps
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.sharding import AxisType, Mesh, PartitionSpec
from jax.typing import ArrayLike

from jaxshallow.lifetimes import kept_with
from jaxshallow.meshes import on_any_mesh
from jaxshallow.params import Params
from jaxshallow.tiles.parts import Parts, checked, compiled, share_of, total_weight


def shard(fn: Callable[..., Any], mesh: Mesh) -> Callable[..., Any]:
    """`fn` with the examples split over the devices of a mesh: the same answer, with each device computing its part.

    Parameters are on every device; means are summed by `psum`. If the devices do not divide m, examples of weight 0
    fill it up, which copies the data. `shard(stream(fn), mesh)` streams on each device, and
    `fit(..., grads=shard(...))` keeps its loop in one program. X on one device is split again at each call: split it
    once, by `jax.device_put(X, NamedSharding(mesh, PartitionSpec(None, mesh.axis_names)))`, and Y too.

    Args:
        fn: a function of the examples and of options, as `stream` takes; a mean needs `weights`, unless the devices
            divide m.
        mesh: `jax.make_mesh((8,), ("examples",))`; over several hosts, `Mesh(jax.devices(), ("examples",))`. The
            examples are split over all its axes, which may be explicit.

    Returns:
        A function of the same signature.

    Raises:
        ValueError, TypeError: when called, as `fn`.

    Example:
        >>> from jaxshallow import cost_and_grads, init
        >>> params, X, Y = init(jax.random.key(0), 3, 4), jnp.ones((3, 5)), jnp.ones((1, 5))
        >>> mesh = jax.make_mesh((jax.device_count(),), ("examples",))
        >>> J, grads = jax.jit(shard(cost_and_grads, mesh))(params, X, Y)
        >>> bool(jnp.allclose(grads.W2, cost_and_grads(params, X, Y)[1].W2))
        True
    """
    return kept_with(fn, (shard, mesh), lambda: _sharded(fn, mesh))


def _sharded(fn: Callable[..., Any], mesh: Mesh) -> Callable[..., Any]:
    axes = mesh.axis_names
    mesh = Mesh(mesh.devices, axes, axis_types=(AxisType.Auto,) * len(axes))

    def split(array: Any) -> PartitionSpec:
        return PartitionSpec(*[None] * (array.ndim - 1), axes)

    @partial(on_any_mesh, inside=mesh)
    @wraps(fn)
    def sharded(params: Params, X: ArrayLike, *rest: Any, **options: Any) -> Any:
        return checked(fn, over_devices, params, X, rest, options)

    @compiled
    def over_devices(
        params: Params, data: tuple[Array, ...], weights: Array | None, rest: tuple[Any, ...], options: dict[str, Any]
    ) -> Any:
        parts = Parts(fn, params, data, weights, rest, options)
        m = data[0].shape[1]
        spare = -m % mesh.size
        if spare:
            data = tuple(jnp.pad(array, ((0, 0), (0, spare)), mode="edge") for array in data)
            if weights is None and parts.means:
                weights = jnp.ones(m, params.W1.dtype)
            weights = None if weights is None else jnp.pad(weights, (0, spare))

        def on_device(
            params: Params, data: tuple[Array, ...], weights: Array | None
        ) -> tuple[list[Array], list[Array]]:
            share = 1 / mesh.size if weights is None else share_of(weights, lax.psum(total_weight(weights), axes))
            means, columns = parts.part(params, data, weights, share)
            return lax.psum(means, axes), columns

        means, joined = jax.shard_map(
            on_device,
            mesh=mesh,
            in_specs=(PartitionSpec(), *jax.tree.map(split, (data, weights))),
            out_specs=(PartitionSpec(), [split(column) for column in parts.columns]),
            check_vma=False,
        )(params, data, weights)
        return parts.whole(means, [c[..., :m] for c in joined])

    return sharded
