"""LAPACK on stacks of matrices: on a CPU one after another.

There jaxlib 0.10 divides a stack, if it is large enough, among its threads, and waits for these inside one of them. Two
programs that do so at the same time on two cores, as two chunks of `fit_many` or two chains of `stream` are, wait for
each other for ever.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.custom_batching
import jax.numpy as jnp
from jax import Array, lax


def one_by_one(fn: Callable[..., Array]) -> Callable[..., Array]:
    """`fn` of matrices and vectors; under vmap, on a CPU, of one after another."""

    @jax.custom_batching.custom_vmap
    def apart(*args: Array) -> Array:
        return fn(*args)

    @apart.def_vmap
    def _stacked(axis_size: int, in_batched: Sequence[bool], *args: Array) -> tuple[Any, bool]:
        stacks = [
            arg if stacked else jnp.broadcast_to(arg, (axis_size, *arg.shape))
            for arg, stacked in zip(args, in_batched, strict=True)
        ]
        on_cpu = lambda *stacks: lax.map(lambda of: apart(*of), stacks)  # noqa: E731
        return lax.platform_dependent(*stacks, cpu=on_cpu, default=jax.vmap(fn)), True

    return apart


# Of one matrix A: its Cholesky factor L, NaN if there is none; L⁻¹ B; A⁻¹ b from L; and A⁻¹ b.
cholesky = one_by_one(jnp.linalg.cholesky)
solve_lower = one_by_one(lambda L, B: jax.scipy.linalg.solve_triangular(L, B, lower=True))
solve_factored = one_by_one(lambda L, b: jax.scipy.linalg.cho_solve((L, True), b))
solve = one_by_one(jnp.linalg.solve)
