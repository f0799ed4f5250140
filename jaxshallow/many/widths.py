"""Few lengths of arrays, so that few programs are compiled: what is shorter is filled up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import jax.numpy as jnp

from jaxshallow.params import Params


def bucket(n_h: int) -> int:
    """The width of arrays for n_h units: a multiple of 4, at most a quarter more, so that few widths are compiled."""
    step = max(4, 2 ** ((n_h - 1).bit_length() - 3))
    return -(-n_h // step) * step


def length(n: int, least: int = 8) -> int:
    """The length that n examples or units are filled up to, by 3 % or less than `least`, so that few are compiled."""
    step = max(least, 2 ** (n.bit_length() - 6))
    return -(-n // step) * step


def widened(params: Params, width: int, pad: Callable[..., Any] = jnp.pad) -> Params:
    """The same network, padded to `width` hidden units with zero weights; `pad` is NumPy's or JAX's."""
    spare = ((0, width - len(params.W1)), (0, 0))
    return replace(params, W1=pad(params.W1, spare), b1=pad(params.b1, spare), W2=pad(params.W2, spare[::-1]))


def narrowed(params: Params, n_h: int) -> Params:
    """The first n_h hidden units: the inverse of `widened`."""
    return replace(params, W1=params.W1[:n_h], b1=params.b1[:n_h], W2=params.W2[:, :n_h])
