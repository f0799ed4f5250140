"""LAPACK on stacks of small matrices: on a CPU one after another.

There jaxlib 0.10 divides a stack among its threads, and waits for these inside one of them. Two programs that do so at
the same time on two cores, as two chunks of `fit_many` or two chains of `stream` are, wait for each other for ever.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.custom_batching
import jax.numpy as jnp
from jax import Array, lax


@jax.custom_batching.custom_vmap
def cholesky(A: Array) -> Array:
    """The Cholesky factor of a matrix, NaN if there is none; under vmap, of a stack."""
    return jnp.linalg.cholesky(A)


@cholesky.def_vmap
def _factors(axis_size: int, in_batched: Any, A: Array) -> tuple[Array, bool]:
    return lax.platform_dependent(A, cpu=lambda A: lax.map(cholesky, A), default=jnp.linalg.cholesky), True


def solve(A: Array, b: Array) -> Array:
    """(K, n) the solutions of K systems, A (K, n, n) and b (K, n)."""

    def one(of: tuple[Array, Array]) -> Array:
        return jnp.linalg.solve(*of)

    return lax.platform_dependent(A, b, cpu=lambda *of: lax.map(one, of), default=lambda *of: jax.vmap(one)(of))
