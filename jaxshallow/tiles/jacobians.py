"""Functions of the examples' Jacobians, in tiles where those of all examples would take much memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jax import Array

from jaxshallow.params import Params, size_of
from jaxshallow.tiles.streaming import stream

JACOBIAN = 2**20  # numbers in the Jacobians of a tile: 4 MiB in float32


def in_tiles(fn: Callable[..., Array], params: Params, X: Any, Y: Any, **options: Any) -> Array:
    """`gauss_newton` or `hessian`, in as few tiles as may be."""
    tile = tile_of_jacobians(params)
    return (stream(fn, tile) if X.shape[1] > 2 * tile else fn)(params, X, Y, **options)


def tile_of_jacobians(params: Params) -> int:
    """How many examples may have their Jacobians, (n_y, P) each, in memory at a time."""
    return max(1, JACOBIAN // (params.W2.shape[0] * size_of(params)))
