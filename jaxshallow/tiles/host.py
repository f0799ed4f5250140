"""Tiles from the host: mapped files and iterables, read while the device computes."""

from __future__ import annotations

import mmap
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from jaxshallow import checks, given
from jaxshallow.params import Params
from jaxshallow.tiles.parts import Parts, arguments

HOST_TILE_BYTES = 2**24


def is_tiles(X: Any) -> bool:
    """Whether X is an iterable of tiles, not an array or a list of numbers."""
    if isinstance(X, list | tuple):
        return len(X) > 0 and isinstance(X[0], tuple) and getattr(X[0][0], "ndim", 0) == 2
    return hasattr(X, "__iter__") and not hasattr(X, "__array__")


def _host_tiles(params: Params, X: Any, rest: tuple[Any, ...], weights: ArrayLike | None) -> Iterator[tuple[Any, ...]]:
    """(data, weights) of each host tile in turn, in memory that nobody else writes to."""
    if is_tiles(X):
        if rest or weights is not None:
            raise TypeError("tiles hold Y and weights themselves, (X, Y) or (X, Y, weights): give nothing beside them")
        for tile in X:
            tile = tuple(tile) if isinstance(tile, tuple | list) else (tile,)
            if not all(hasattr(array, "shape") for array in tile) or not 1 <= len(tile) <= 3:
                raise TypeError("a tile must be arrays X, (X, Y) or (X, Y, weights)")
            # A copy, since the iterable may reuse its memory while the device still reads.
            x, *more = (_own(name, array) for name, array in zip(("X", "Y", "weights"), tile, strict=False))
            yield (x, *more[:1]), more[1] if len(more) > 1 else None
        return
    data = (X, *(given.numbers("Y", Y) for Y in rest))
    weights = None if weights is None else given.numbers("weights", weights)
    dtypes = [jax.dtypes.canonicalize_dtype(array.dtype.newbyteorder("=")) for array in data]
    shapes = [jax.ShapeDtypeStruct(array.shape, dtype) for array, dtype in zip(data, dtypes, strict=True)]
    jax.eval_shape(lambda *data: arguments(params, data[0], data[1:], {"weights": weights}), *shapes)
    m = X.shape[1]
    t = max(1, HOST_TILE_BYTES // (X.shape[0] * X.dtype.itemsize))
    for start in range(0, m, t):
        here = slice(start, min(start + t, m))
        yield (
            tuple(_own(name, array[:, here]) for name, array in zip(("X", "Y"), data, strict=False)),
            None if weights is None else np.asarray(weights)[here],
        )
        for array in data:
            _forget(array)


def _own(name: str, array: Any) -> Array | np.ndarray:
    """The array as it is now, in memory of its own."""
    array = given.numbers(name, array)
    return array if isinstance(array, Array) else np.array(array, order="K")


def _forget(array: Any) -> None:
    """Free a mapped file's pages that have been read; they can be read again."""
    if getattr(array, "mode", "c") == "c":  # the changes of a private copy exist nowhere else
        return
    while isinstance(array, np.ndarray):
        array = array.base
    if isinstance(array, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        array.madvise(mmap.MADV_DONTNEED)


def from_host(
    streamed: Callable[..., Any],
    add: Callable[..., Any],
    params: Params,
    X: Any,
    rest: tuple[Any, ...],
    options: dict[str, Any],
) -> Any:
    """The function over all host tiles: Σ Wₖ partₖ / Σ Wₖ, with all of l2 on the first tile that has weight."""
    params, options = checks.parameters(params), dict(options)
    if "Y" in options:
        rest = (options.pop("Y"), *rest)
    weights, total, penalised = options.pop("weights", None), 0.0, False
    pieces: list[list[Array]] = []
    for data, w in _host_tiles(params, X, rest[:1], weights):
        x = checks.features(params, data[0])
        data = (x, *(checks.targets(params, x, y) for y in data[1:]))
        if w is not None:
            w = np.asarray(checks.weights_and_l2(params, x.shape[1], w, 0.0, whole=False)[0])
            w = np.where(w < jnp.finfo(w.dtype).tiny, 0, w)  # as on the device, which flushes subnormals to 0
        weight = float(x.shape[1] if w is None else np.sum(w, dtype=np.float64))
        if not pieces:
            parts = Parts(streamed, params, data, w, rest[1:], options)
            sums = parts.zeros()
        jax.block_until_ready(sums)  # one tile is computed while the next is read and moved; no more are queued
        l2_share = float(weight > 0 and not penalised)
        sums, columns = add(sums, params, data, w, rest[1:], weight, l2_share, options)
        pieces.append(columns)
        total, penalised = total + weight, penalised or weight > 0
    if not pieces:
        raise ValueError("X held no tiles: an iterator serves once, an object with __iter__ again and again")
    means = [mean / (total or 1.0) for mean in sums]
    return parts.whole(means, (np.concatenate(c, axis=-1) for c in zip(*pieces, strict=True)))
