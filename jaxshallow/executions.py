"""The same formula, run otherwise: example by example, under vmap, tile by tile (`stream`), over devices (`shard`).

Each is equal to `forward` or `manual_grads`; `certify` shows it on your data and device. The loops are what the notes
start from, and vmap is what JAX makes of the per-example formula: the matrix form, found by the machine.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import lru_cache, partial, wraps
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.sharding import AxisType, Mesh, PartitionSpec
from jax.typing import ArrayLike

from jaxshallow import checks
from jaxshallow.backprop import manual_grads_example
from jaxshallow.network import Cache, forward_example, relative_weights
from jaxshallow.params import Params


def _columns(X: Array) -> Array:
    """(n, m) as m columns (m, n, 1), each in the shape of the notes' x, for the loops."""
    return X.T[:, :, None]


def _join(caches: Cache) -> Cache:
    """Columns (m, n, 1) as one matrix (n, m), for each of Z1, A1, Z2, A2."""
    return jax.tree.map(lambda columns: columns[:, :, 0].T, caches)


def _last_axis(X: Array) -> Array:
    """(n, m) as (n, 1, m): a view, so that vmap over the last axis moves no data, as over the first it would."""
    return X[:, None, :]


def forward_loop(params: Params, X: ArrayLike) -> Cache:
    """`forward` by the notes' loop: for i = 1 to m. Python runs it, so it is for small m.

    Args, returns, errors: as `forward`.

    Example:
        >>> from jaxshallow import forward, init
        >>> params, X = init(jax.random.key(0), 3, 4), jnp.ones((3, 5))
        >>> bool(jnp.allclose(forward_loop(params, X).A2, forward(params, X).A2))
        True
    """
    params = checks.parameters(params)
    X = checks.features(params, X)
    caches = [forward_example(params, x) for x in _columns(X)]
    return _join(jax.tree.map(lambda *columns: jnp.stack(columns), *caches))


def forward_scan(params: Params, X: ArrayLike) -> Cache:
    """`forward` by the same loop, compiled: `lax.map` over the examples, one after another.

    Args, returns, errors: as `forward`.

    Example:
        >>> from jaxshallow import forward, init
        >>> params, X = init(jax.random.key(0), 3, 4), jnp.ones((3, 5))
        >>> bool(jnp.allclose(forward_scan(params, X).A2, forward(params, X).A2))
        True
    """
    params = checks.parameters(params)
    X = checks.features(params, X)
    return _join(lax.map(lambda x: forward_example(params, x), _columns(X)))


def forward_vmap(params: Params, X: ArrayLike) -> Cache:
    """`forward` as `vmap` of `forward_example`: no loop is left, and XLA sees matrix products.

    Args, returns, errors: as `forward`.

    Example:
        >>> from jaxshallow import forward, init
        >>> params, X = init(jax.random.key(0), 3, 4), jnp.ones((3, 5))
        >>> bool(jnp.allclose(forward_vmap(params, X).A2, forward(params, X).A2))
        True
    """
    params = checks.parameters(params)
    X = checks.features(params, X)
    caches = jax.vmap(forward_example, in_axes=(None, 2), out_axes=2)(params, _last_axis(X))
    return jax.tree.map(lambda columns: columns[:, 0, :], caches)


def _weighted_mean(
    total_of: Callable[[Params, Array, Array, Array], Params],
    params: Params,
    X: ArrayLike,
    Y: ArrayLike,
    weights: ArrayLike | None,
    l2: ArrayLike,
) -> Params:
    """(1/m) Σ wᵢ dᵢ + λ W, where `total_of(params, X, Y, w)` is Σ wᵢ dᵢ over the m examples."""
    params = checks.parameters(params)
    X = checks.features(params, X)
    Y = checks.targets(params, X, Y)
    m = X.shape[1]
    _, w, λ = relative_weights(params, m, weights, l2)
    w = jnp.broadcast_to(jnp.asarray(w, X.dtype), (1, m)).reshape(m)
    grads = jax.tree.map(lambda total: total / m, total_of(params, X, Y, w))
    return replace(grads, W1=grads.W1 + λ * params.W1, W2=grads.W2 + λ * params.W2)


def manual_grads_loop(
    params: Params, X: ArrayLike, Y: ArrayLike, *, weights: ArrayLike | None = None, l2: ArrayLike = 0.0
) -> Params:
    """`manual_grads` by the notes' loop: for i = 1 to m: dW += dWᵢ; then dW /= m. For small m.

    Args, returns, errors: as `manual_grads`.

    Example:
        >>> from jaxshallow import init, manual_grads
        >>> params, X, Y = init(jax.random.key(0), 3, 4), jnp.ones((3, 5)), jnp.ones((1, 5))
        >>> bool(jnp.allclose(manual_grads_loop(params, X, Y).W1, manual_grads(params, X, Y).W1))
        True
    """

    def total(params, X, Y, ws):
        dW = jax.tree.map(jnp.zeros_like, params)
        for x, y, w in zip(_columns(X), _columns(Y), ws, strict=True):
            dW = jax.tree.map(lambda dW, d, w=w: dW + w * d, dW, manual_grads_example(params, x, y))
        return dW

    return _weighted_mean(total, params, X, Y, weights, l2)


def manual_grads_scan(
    params: Params, X: ArrayLike, Y: ArrayLike, *, weights: ArrayLike | None = None, l2: ArrayLike = 0.0
) -> Params:
    """`manual_grads` by the same loop, compiled: `lax.scan` over the examples.

    Args, returns, errors: as `manual_grads`.

    Example:
        >>> from jaxshallow import init, manual_grads
        >>> params, X, Y = init(jax.random.key(0), 3, 4), jnp.ones((3, 5)), jnp.ones((1, 5))
        >>> bool(jnp.allclose(manual_grads_scan(params, X, Y).W1, manual_grads(params, X, Y).W1))
        True
    """

    def total(params, X, Y, ws):
        def add(dW, example):
            x, y, w = example
            return jax.tree.map(lambda dW, d: dW + w * d, dW, manual_grads_example(params, x, y)), None

        return lax.scan(add, jax.tree.map(jnp.zeros_like, params), (_columns(X), _columns(Y), ws))[0]

    return _weighted_mean(total, params, X, Y, weights, l2)


def manual_grads_vmap(
    params: Params, X: ArrayLike, Y: ArrayLike, *, weights: ArrayLike | None = None, l2: ArrayLike = 0.0
) -> Params:
    """`manual_grads` as the mean over `vmap` of `manual_grads_example`: every per-example gradient exists at once.

    Args, returns, errors: as `manual_grads`. XLA keeps the products of the forward pass and of W2ᵀ dz2, but the
    mean of the outer products dz xᵀ stays a multiplication and a sum, where the matrix form has one product.

    Example:
        >>> from jaxshallow import init, manual_grads
        >>> params, X, Y = init(jax.random.key(0), 3, 4), jnp.ones((3, 5)), jnp.ones((1, 5))
        >>> bool(jnp.allclose(manual_grads_vmap(params, X, Y).W1, manual_grads(params, X, Y).W1))
        True
    """

    def total(params, X, Y, ws):
        each = jax.vmap(manual_grads_example, in_axes=(None, 2, 2))(params, _last_axis(X), _last_axis(Y))
        return jax.tree.map(lambda d: jnp.sum(ws[:, None, None] * d, axis=0), each)

    return _weighted_mean(total, params, X, Y, weights, l2)


# ---- tiles and devices: transformations of any function of the examples ----

# An operation on more elements than this is split over threads by XLA's CPU compiler. One on so many stays on one
# core and in its cache (128 KiB of float32), and waits for no other thread.
ONE_CORE = 2**15
# Products of so many entries of W1 are bound by arithmetic, not by memory: they want long tiles and all cores.
WIDE = 2**14
HOST_TILE_BYTES = 2**24
DEVICE_TILE_BYTES = 2**30


def tile_size(params: Params) -> int:
    """The number of examples in a tile of `stream`: on a CPU so many that activations stay in its cache."""
    widest = max(params.W1.shape[1], *params.W2.shape)
    if jax.default_backend() != "cpu":
        elements = DEVICE_TILE_BYTES // params.W1.dtype.itemsize
    else:
        cores = (os.cpu_count() or 1) // jax.local_device_count()
        alone = cores <= 2 and params.W1.size <= WIDE
        elements = ONE_CORE if alone else 16 * ONE_CORE * max(1, cores)
    return max(128, elements // widest // 64 * 64)


def faster(fn: Callable, params: Params, X: Array, n_examples: int) -> Callable:
    """`fn`, or `stream(fn)` where that is faster: for eight tiles or more, with X on one CPU device."""
    on_one_cpu = not isinstance(X, jax.core.Tracer) and [device.platform for device in X.devices()] == ["cpu"]
    return stream(fn) if on_one_cpu and n_examples >= 8 * tile_size(params) else fn


class _Parts:
    """A function of the examples, on some of them at a time, so that the parts sum up to the whole.

    An array of its result whose last axis grows with the examples has a column for each (`forward`, `losses`): its
    parts lie side by side. Any other is a mean over the examples (cost, gradients): the whole is Σ shareₖ partₖ, where
    shareₖ is the part's share of Σ wᵢ.
    """

    def __init__(self, fn: Callable, params: Params, data: tuple, weights, rest: tuple, options: dict[str, Any]):
        self.fn, self.rest, self.options = fn, rest, options

        def result_of(m: int):
            few = [jax.ShapeDtypeStruct((len(array), m), params.W1.dtype) for array in data]
            w = {} if weights is None else {"weights": jax.ShapeDtypeStruct((m,), params.W1.dtype)}
            return jax.eval_shape(
                lambda params, *data, **w: fn(params, *data, *rest, **options, **w), params, *few, **w
            )

        two = result_of(2)
        self.rebuild = partial(jax.tree.unflatten, jax.tree.structure(two))
        two, three = jax.tree.leaves(two), jax.tree.leaves(result_of(3))
        self.is_column = [a.shape != b.shape for a, b in zip(two, three, strict=True)]
        for leaf, longer, is_column in zip(two, three, self.is_column, strict=True):
            if is_column and (leaf.shape, longer.shape) != ((*leaf.shape[:-1], 2), (*leaf.shape[:-1], 3)):
                raise ValueError(
                    f"the examples must lie along the last axis of what {_name(fn)} returns, got {leaf.shape}"
                )
            if not is_column and not jnp.issubdtype(leaf.dtype, jnp.floating):
                raise TypeError(
                    f"what {_name(fn)} returns must be means over the examples, or columns, got {leaf.dtype}"
                )
        self.means, self.columns = self._leaves(two, columns=False), self._leaves(two, columns=True)

    def _leaves(self, leaves, *, columns: bool) -> list:
        return [leaf for leaf, is_column in zip(leaves, self.is_column, strict=True) if is_column == columns]

    def zeros(self) -> list[Array]:
        """Where the sums of the means start."""
        return [jnp.zeros(mean.shape, _wide(mean.dtype)) for mean in self.means]

    def part(self, params: Params, data, weights: Array | None, share, l2_share=None) -> tuple[list, list]:
        """The means of these examples times their share, and their columns. They get that share of l2, too."""
        options = dict(self.options) if weights is None else {**self.options, "weights": weights}
        if "l2" in options:
            options["l2"] = options["l2"] * (share if l2_share is None else l2_share)
        leaves = jax.tree.leaves(self.fn(params, *data, *self.rest, **options))
        means = [mean.astype(_wide(mean.dtype)) for mean in self._leaves(leaves, columns=False)]
        # A part without weight counts nothing, even if a mean over it is 0 / 0.
        means = [jnp.where(share > 0, mean * jnp.asarray(share, mean.dtype), 0) for mean in means]
        return means, self._leaves(leaves, columns=True)

    def whole(self, means, columns):
        """The result of `fn`, from the sums of the means and the columns side by side."""
        sums = iter([total.astype(mean.dtype) for total, mean in zip(means, self.means, strict=True)])
        joined = iter(columns)
        return self.rebuild([next(joined if is_column else sums) for is_column in self.is_column])


def _name(fn: Callable) -> str:
    return getattr(fn, "__name__", "the function")


def _compiled(body: Callable) -> Callable:
    """`body(*arrays, options)`, compiled once for all calls alike; of the options, what is no number is static."""

    @partial(jax.jit, static_argnames="static")
    def program(arrays, numbers, static):
        return body(*arrays, {**numbers, **dict(static)})

    def run(*arrays_and_options):
        *arrays, options = arrays_and_options
        numbers = {k: v for k, v in options.items() if isinstance(v, Array | np.ndarray | np.generic | int | float)}
        static = tuple((k, v) for k, v in options.items() if k not in numbers)
        return program(arrays, numbers, static)

    return run


def _arguments(params: Params, X: ArrayLike, rest: tuple, options: dict[str, Any]):
    """What a function of the examples was called with: params, (X, Y), what comes after them, weights, options."""
    params = checks.parameters(params)
    X, options = checks.features(params, X), dict(options)
    if "Y" in options:
        rest = (options.pop("Y"), *rest)
    data = (X, checks.targets(params, X, rest[0])) if rest else (X,)
    weights, l2 = checks.weights_and_l2(params, X.shape[1], options.pop("weights", None), options.get("l2", 0.0))
    if "l2" in options:
        options["l2"] = l2
    return params, data, rest[1:], weights, options


def _checked(fn: Callable, program: Callable, params: Params, X: ArrayLike, rest: tuple, options: dict[str, Any]):
    """`program` on what `fn` was called with, of which it is said here what is wrong: in the program it is traced."""
    params, data, rest, weights, options = _arguments(params, X, rest, options)
    _Parts(fn, params, data, weights, rest, options)
    return program(params, data, weights, rest, options)


def _wide(dtype):
    """The dtype of sums over tiles: float32 at least, since thousands of tiles in bfloat16 would stop adding up."""
    return dtype if dtype.itemsize >= 4 else jnp.float32


def _weight(weights: Array) -> Array:
    return weights.sum(dtype=_wide(weights.dtype))


def _share(weights: Array, total: Array) -> Array:
    """Σ wᵢ of these examples over that of all of them; 0 where every weight is 0."""
    return jnp.where(total > 0, _weight(weights) / jnp.where(total > 0, total, 1), 0)


@lru_cache(maxsize=128, typed=True)  # the same function again for the same arguments, so that jit knows it
def stream(fn: Callable, tile: int | None = None) -> Callable:
    """`fn` on one tile of the examples after another: the same answer, in memory O(tile).

    The activations of a tile stay in the cache, where those of all examples would go through memory several times.
    `fit` streams by itself where that is faster. Like everything here it wants to be compiled: `jax.jit(stream(fn))`.

    X may also be larger than memory. A NumPy memory map, `np.load("x.npy", mmap_mode="r").T`, and with it Y, is read
    tile by tile, as is any iterable of tiles, each a tuple (X, Y) or (X, Y, weights) of some of the examples
    (`data.Tiles` reads a Parquet file so), in the place of X, Y and weights. The device computes while the next tile is
    read. Such a call compiles what it needs itself; inside jit the file would become a part of the program.

    Args:
        fn: a function of the examples, called as `fn(params, X, ...)`: with a mean over them (`cost_and_grads`,
            `manual_grads`, `cost`, `clipped_grads`, or your own), or with a column for each along the last axis
            (`forward`, `predict`, `losses`, `per_example_grad_norms`). `weights` and `l2` must be given when it is
            called: bound to it beforehand they would count in each tile.
        tile: examples in a tile; None chooses it from the shapes.

    Returns:
        A function of the same signature.

    Raises:
        ValueError, TypeError: `tile` is not an integer of at least 1; when called, as `fn`, or because its result is
            neither means nor columns.

    Example:
        >>> from jaxshallow import cost_and_grads, init
        >>> params, X, Y = init(jax.random.key(0), 3, 4), jnp.ones((3, 1000)), jnp.ones((1, 1000))
        >>> J, grads = jax.jit(stream(cost_and_grads, tile=64))(params, X, Y)
        >>> bool(jnp.allclose(grads.W2, cost_and_grads(params, X, Y)[1].W2))
        True
    """
    if tile is not None and (isinstance(tile, bool) or not isinstance(tile, int | np.integer)):
        raise TypeError(f"tile must be an integer, got {tile!r}")
    if tile is not None and tile < 1:
        raise ValueError(f"tile must be at least 1, got {tile}")

    @wraps(fn)
    def streamed(params, X, *rest, **options):
        if isinstance(X, np.memmap) or _is_tiles(X):
            return _from_host(streamed, add_host_tile, params, X, rest, options)
        return _checked(fn, tile_by_tile, params, X, rest, options)

    @_compiled
    def tile_by_tile(params, data, weights, rest, options):
        parts = _Parts(fn, params, data, weights, rest, options)
        m, t = data[0].shape[1], tile or tile_size(params)
        total = m if weights is None else _weight(weights)

        def add(means, start, size=t):
            cut = partial(lax.dynamic_slice_in_dim, start_index=start, slice_size=size, axis=-1)
            w = None if weights is None else cut(weights)
            share = size / m if w is None else _share(w, total)
            more, columns = parts.part(params, [cut(array) for array in data], w, share)
            return [a + b for a, b in zip(means, more, strict=True)], columns

        means, pieces = parts.zeros(), []
        if m >= t:
            # Who differentiates this computes a tile again, and keeps none.
            means, columns = lax.scan(jax.checkpoint(add), means, t * jnp.arange(m // t))
            pieces.append([jnp.moveaxis(c, 0, -2).reshape(*c.shape[1:-1], -1) for c in columns])
        if m % t:
            means, columns = add(means, m - m % t, m % t)
            pieces.append(columns)
        return parts.whole(means, [jnp.concatenate(c, axis=-1) for c in zip(*pieces, strict=True)])

    @_compiled
    def add_host_tile(sums, params, data, weights, rest, share, l2_share, options):
        parts = _Parts(streamed, params, data, weights, rest, options)
        means, columns = parts.part(params, data, weights, share, l2_share)
        return [a + b for a, b in zip(sums, means, strict=True)], columns

    return streamed


def _is_tiles(X) -> bool:
    """Whether X is tiles one after another, and no array or list of numbers."""
    if isinstance(X, list | tuple):
        return len(X) > 0 and isinstance(X[0], tuple) and getattr(X[0][0], "ndim", 0) == 2
    return hasattr(X, "__iter__") and not hasattr(X, "__array__")


def _host_tiles(params: Params, X, rest: tuple, weights) -> Iterator[tuple]:
    """(data, weights) of one host tile after another, in memory that nobody writes to."""
    if _is_tiles(X):
        if rest or weights is not None:
            raise TypeError("tiles hold Y and weights themselves, (X, Y) or (X, Y, weights): give nothing beside them")
        for tile in X:
            tile = tuple(tile) if isinstance(tile, tuple | list) else (tile,)
            if not all(hasattr(array, "shape") for array in tile) or not 1 <= len(tile) <= 3:
                raise TypeError("a tile must be arrays X, (X, Y) or (X, Y, weights)")
            # What gives the tiles may use its memory again while the device still reads.
            x, *more = (array if isinstance(array, Array) else np.array(array, order="K") for array in tile)
            yield (x, *more[:1]), more[1] if len(more) > 1 else None
        return
    data = (X, *rest)
    shapes = [jax.ShapeDtypeStruct(array.shape, jax.dtypes.canonicalize_dtype(array.dtype)) for array in data]
    jax.eval_shape(lambda *data: _arguments(params, data[0], data[1:], {"weights": weights}), *shapes)
    m = X.shape[1]
    t = max(1, HOST_TILE_BYTES // (X.shape[0] * X.dtype.itemsize))
    for start in range(0, m, t):
        here = slice(start, min(start + t, m))
        yield (
            tuple(np.array(array[:, here], order="K") for array in data),
            None if weights is None else np.asarray(weights)[here],
        )
        for array in data:
            _forget(array)


def _forget(array) -> None:
    """Give back the memory of a mapped file's pages that have been read: they can be read again."""
    if getattr(array, "mode", "c") == "c":  # a private copy's changes are nowhere else
        return
    while isinstance(array, np.ndarray):
        array = array.base
    if isinstance(array, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        array.madvise(mmap.MADV_DONTNEED)


def _from_host(streamed: Callable, add: Callable, params: Params, X, rest: tuple, options: dict[str, Any]):
    """The whole of a function: Σ Wₖ partₖ / Σ Wₖ over host tiles, with all of l2 on the first that has a weight."""
    params, options = checks.parameters(params), dict(options)
    if "Y" in options:
        rest = (options.pop("Y"), *rest)
    weights, total, penalised = options.pop("weights", None), 0.0, False
    pieces: list[list[Array]] = []
    for data, w in _host_tiles(params, X, rest[:1], weights):
        x = checks.features(params, data[0])
        data = (x, *(checks.targets(params, x, y) for y in data[1:]))
        if w is not None:
            w = np.asarray(checks.weights_and_l2(params, x.shape[1], w, 0.0)[0])
            w = np.where(w < jnp.finfo(w.dtype).tiny, 0, w)  # as the device has it, which flushes what is below
        weight = float(x.shape[1] if w is None else np.sum(w, dtype=np.float64))
        if not pieces:
            parts = _Parts(streamed, params, data, w, rest[1:], options)
            sums = parts.zeros()
        jax.block_until_ready(sums)  # one tile is computed while the next is read and moved, and no more than that wait
        l2_share = float(weight > 0 and not penalised)
        sums, columns = add(sums, params, data, w, rest[1:], weight, l2_share, options)
        pieces.append(columns)
        total, penalised = total + weight, penalised or weight > 0
    if not pieces:
        raise ValueError("X held no tiles: an iterator serves once, an object with __iter__ again and again")
    means = [mean / (total or 1.0) for mean in sums]
    return parts.whole(means, [np.concatenate(c, axis=-1) for c in zip(*pieces, strict=True)])


@lru_cache(maxsize=128)
def shard(fn: Callable, mesh: Mesh) -> Callable:
    """`fn` with the examples split over the devices of a mesh: the same answer, each device on its part.

    Parameters are on every device; means are summed by `psum`. A number of examples that the devices do not divide is
    filled up with examples of weight 0, which copies the data. `shard(stream(fn), mesh)` streams on each device, and
    `fit(..., grads=shard(...))` keeps its loop in one program. X on one device is split anew at each call; split it
    once, by `jax.device_put(X, NamedSharding(mesh, PartitionSpec(None, mesh.axis_names)))`, and Y too.

    Args:
        fn: a function of the examples, as `stream` takes; a mean needs `weights`, unless the devices divide m.
        mesh: `jax.make_mesh((8,), ("examples",))`; the examples are split over all its axes.

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
    axes = mesh.axis_names
    mesh = Mesh(mesh.devices, axes, axis_types=(AxisType.Auto,) * len(axes))

    def split(array):
        return PartitionSpec(*[None] * (array.ndim - 1), axes)

    @wraps(fn)
    def sharded(params, X, *rest, **options):
        return _checked(fn, over_devices, params, X, rest, options)

    @_compiled
    def over_devices(params, data, weights, rest, options):
        parts = _Parts(fn, params, data, weights, rest, options)
        m = data[0].shape[1]
        spare = -m % mesh.size
        if spare:
            data = tuple(jnp.pad(array, ((0, 0), (0, spare)), mode="edge") for array in data)
            if weights is None and parts.means:
                weights = jnp.ones(m, params.W1.dtype)
            weights = None if weights is None else jnp.pad(weights, (0, spare))

        def on_device(params, data, weights):
            share = 1 / mesh.size if weights is None else _share(weights, lax.psum(_weight(weights), axes))
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
