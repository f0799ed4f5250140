"""`stream`: the same formula tile by tile, in memory that does not grow with the examples."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial, wraps
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.sharding import SingleDeviceSharding

from jaxshallow import given
from jaxshallow.checks import is_known
from jaxshallow.lifetimes import kept_with
from jaxshallow.meshes import on_any_mesh
from jaxshallow.params import Params
from jaxshallow.tiles.chains import Chains, Span, spans_of
from jaxshallow.tiles.host import from_host, is_tiles
from jaxshallow.tiles.parts import Parts, can_be_compiled_for, compiled, prepared, share_of, total_weight

# XLA's CPU compiler splits an operation on more elements than this over threads. One on this many stays on one core and
# in its cache (128 KiB of float32), and waits for no other thread.
ONE_CORE = 2**15

# With more entries in W1 than this, products are limited by arithmetic, not by memory: use long tiles and all cores.
WIDE = 2**14

DEVICE_TILE_BYTES = 2**30
LEAST = 128  # examples in a tile


def tile_size(params: Params) -> int:
    """The number of examples in a tile of `stream`: on a CPU, as many as keep the activations in its cache."""
    sizes = params.W1.shape[1], *params.W2.shape
    if not all(map(is_known, sizes)):
        return LEAST
    if jax.default_backend() != "cpu":
        elements = DEVICE_TILE_BYTES // params.W1.dtype.itemsize
    else:
        alone = _cores() <= 2 and params.W1.size <= WIDE
        elements = ONE_CORE if alone else 16 * ONE_CORE * _cores()
    return _tile_of(elements, params)


def _tile_of(elements: int, params: Params) -> int:
    return max(LEAST, elements // max(params.W1.shape[1], *params.W2.shape) // 64 * 64)


def _cores() -> int:
    """The cores of each device."""
    return max(1, (os.cpu_count() or 1) // jax.local_device_count())


def _is_on_one_cpu(X: Array) -> bool:
    return not given.is_traced(X) and [device.platform for device in X.devices()] == ["cpu"]


def faster(fn: Callable[..., Any], params: Params, X: Array, n_examples: int) -> Callable[..., Any]:
    """`fn`, or `stream(fn)` where that is faster: for eight tiles or more, with X on one CPU device."""
    return stream(fn) if _is_on_one_cpu(X) and n_examples >= 8 * tile_size(params) else fn


def stream(fn: Callable[..., Any], tile: int | None = None) -> Callable[..., Any]:
    """`fn` on one tile of the examples after another: the same answer, in memory O(tile).

    The activations of a tile stay in the cache; those of all examples would go through memory several times. `fit`
    streams automatically where that is faster. It may be part of your own jit, vmap or grad. Outside of jit it compiles
    itself, and on a CPU it spreads many examples over all cores: inside a program, XLA leaves a loop to one.

    X may also be larger than memory. A NumPy memory map, `np.load("x.npy", mmap_mode="r").T`, is read tile by tile, and
    Y with it. In place of X, Y and weights you can also pass an iterable of tiles, each a tuple (X, Y) or
    (X, Y, weights) of some examples; `data.Tiles` reads a Parquet file that way. The device computes while the next
    tile is read. Do not jit such a call: it compiles what it needs, and jit would make the file part of the program.

    `fn` may have options of its own. Arrays and floats in them, also inside lists and dicts, are traced: a new value
    does not compile again. All else is as if `fn` were called itself: booleans, integers, strings, None, functions.
    (Under your own `jax.jit`, name these in `static_argnames`.)

    Args:
        fn: a function of the examples, called as `fn(params, X, ...)`: with a mean over them (`cost_and_grads`,
            `manual_grads`, `cost`, `clipped_grads`, or your own), or with a column for each along the last axis
            (`forward`, `predict`, `losses`, `per_example_grad_norms`). `weights` and `l2` must be given when it is
            called: bound to `fn` beforehand, they would count in each tile.
        tile: examples in a tile; None chooses it from the shapes.

    Returns:
        A function of the same signature.

    Raises:
        ValueError, TypeError: `tile` is not an integer of at least 1; when called, as `fn`, or if its result is neither
            means nor columns.

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

    # The same arguments give the same function, so that jit compiles it once.
    return kept_with(fn, (stream, tile), lambda: _streamed(fn, tile))


def _streamed(fn: Callable[..., Any], tile: int | None) -> Callable[..., Any]:
    @wraps(fn)
    def streamed(params: Params, X: Any, *rest: Any, **options: Any) -> Any:
        if isinstance(X, np.memmap) or is_tiles(X):
            return from_host(streamed, add_host_tile, params, X, rest, options)
        return from_memory(params, X, *rest, **options)

    @on_any_mesh
    def from_memory(params: Params, X: Any, *rest: Any, **options: Any) -> Any:
        parts, arguments = prepared(fn, params, X, rest, options)
        spans = _spans_of(tile, arguments)
        if spans is None:
            return tile_by_tile(*arguments)
        return Chains(sums, spans, _cores(), parts, arguments)(params)

    sums = _compiled_sums(fn)
    tile_by_tile = compiled(partial(_tile_by_tile, fn, tile))
    add_host_tile = compiled(partial(_add_host_tile, streamed))
    return streamed


def on_all_cores(fn: Callable[..., Any], params: Params, X: Array, *rest: Any, **options: Any) -> Chains | None:
    """`stream(fn)` of examples that stay, at any parameters, where threads compute it on all cores; else None."""
    parts, arguments = prepared(fn, params, X, rest, options)
    spans = _spans_of(None, arguments)
    return None if spans is None else Chains(_compiled_sums(fn), spans, _cores(), parts, arguments)


def in_chains(
    fn: Callable[..., Any], spans: list[Span], threads: int, params: Params, X: Any, *rest: Any, **options: Any
) -> Any:
    """`fn` of all examples from these spans of them, on so many threads: what `stream` does with spans of its own."""
    parts, arguments = prepared(fn, params, X, rest, options)
    return Chains(_compiled_sums(fn), spans, threads, parts, arguments)(params)


def _compiled_sums(fn: Callable[..., Any]) -> compiled:
    return kept_with(fn, _sums, lambda: compiled(partial(_sums, fn)))


def _spans_of(tile: int | None, arguments: Any) -> list[Span] | None:
    """The examples in chains, for threads; None if arguments are traced or one program does as well."""
    params, (X, *_) = arguments[:2]
    no_jit: bool = jax.config.jax_disable_jit  # type: ignore[attr-defined]
    traced = given.is_transformed() or any(map(given.is_traced, jax.tree.leaves(arguments)))
    alone = not (traced or no_jit) and _is_on_one_cpu(X) and isinstance(X.sharding, SingleDeviceSharding)
    if not alone or jax.default_backend() != "cpu" or params.W1.size > WIDE or not can_be_compiled_for(arguments):
        return None
    return spans_of(X.shape[1], tile or _tile_of(ONE_CORE, params), _cores())


def _tile_by_tile(
    fn: Callable[..., Any],
    tile: int | None,
    params: Params,
    data: tuple[Array, ...],
    weights: Array | None,
    rest: tuple[Any, ...],
    options: dict[str, Any],
) -> Any:
    """`fn` of all examples: a loop over the whole tiles, then what is left."""
    m, t = data[0].shape[1], tile or tile_size(params)
    total = None if weights is None else total_weight(weights)
    if not is_known(m):  # the loop has a turn more, for nothing
        data, weights = jax.tree.map(lambda array: _wider(array, t), (data, weights))
    span = Span(t, m // t, m % t, m)
    means, columns = _sums(fn, span, params, data, weights, rest, options, 0, total)
    return Parts(fn, params, data, weights, rest, options).whole(means, columns)


def _sums(
    fn: Callable[..., Any],
    span: Span,
    params: Params,
    data: tuple[Array, ...],
    weights: Array | None,
    rest: tuple[Any, ...],
    options: dict[str, Any],
    first: Any,
    total: Any,
) -> tuple[list[Array], list[Array]]:
    """The sums of the means over the span that begins at the example `first`, and its columns."""
    parts, (t, turns, left, m) = Parts(fn, params, data, weights, rest, options), span
    known = is_known(m)  # else m may be below t, and jax.export needs a loop of one turn at least

    def add(means: list[Array], start: Any, size: int = t) -> tuple[list[Array], list[Array]]:
        cut = partial(lax.dynamic_slice_in_dim, start_index=start, slice_size=size, axis=-1)
        w = None if weights is None else cut(weights)
        share: Any = size / m if w is None else share_of(w, total)
        share = share if known else jnp.where(start + size <= m, share, 0)
        more, columns = parts.part(params, [cut(array) for array in data], w, share)
        return [a + b for a, b in zip(means, more, strict=True)], columns

    means, pieces = parts.zeros(), []
    if not known or turns:
        # A derivative computes each tile again, and stores none.
        starts = first + t * jnp.arange(turns if known else turns + 1)
        means, columns = lax.scan(jax.checkpoint(add), means, starts)
        pieces.append([jnp.moveaxis(c, 0, -2).reshape(*c.shape[1:-1], -1)[..., : turns * t] for c in columns])
    if not known or left:
        means, columns = add(means, first + turns * t, left)
        pieces.append(columns)
    return means, [jnp.concatenate(c, axis=-1) for c in zip(*pieces, strict=True)]


def _wider(array: Array, n: int) -> Array:
    return jnp.pad(array, [(0, 0)] * (array.ndim - 1) + [(0, n)])


def _add_host_tile(
    streamed: Callable[..., Any],
    sums: list[Array],
    params: Params,
    data: tuple[Array, ...],
    weights: Array | None,
    rest: tuple[Any, ...],
    share: Array,
    l2_share: Array,
    options: dict[str, Any],
) -> tuple[list[Array], list[Array]]:
    """The sums of the means with this host tile's added, and its columns."""
    parts = Parts(streamed, params, data, weights, rest, options)
    means, columns = parts.part(params, data, weights, share, l2_share)
    return [a + b for a, b in zip(sums, means, strict=True)], columns
