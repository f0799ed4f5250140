"""Arithmetic that carries a bound on its own rounding errors.

The bound is a running error analysis (Wilkinson 1960): `Bounded` carries each value with a bound on its error, and
each operation of the formula passes the errors on and adds its own:

- a sum of n terms: γ(n) Σ|terms|, with γ(n) = n u, or λ√n u where that is smaller (Higham and Mary 2019: rounding
  errors of independent sign; with λ = 10 it fails for an entry with probability below 2 exp(−λ²/2) ~ 1e-21). The order
  of the sum does not matter, so loops, tiles and threads share it;
- a matrix product: the same, and 2 p |A||B| where the hardware rounds the factors to p first (TF32 on GPUs,
  bfloat16 on TPUs, at precision "default" and "high");
- an elementwise operation: 4 u, room for a compiler that reorders (x / m as x · (1/m));
- an elementary function: the error that its argument passes on, and 16 u of its own (the most seen in XLA's tanh, σ,
  exp and log1p was 5 u); g′ is taken from g near 1, 1 − A² or A (1 − A), so there 16 u of 1.

u is the unit roundoff: 2⁻²⁴ for float32, 2⁻⁵³ for float64, 2⁻⁸ for bfloat16, whose sums XLA takes in float32 except
in the loops, and whose operations and functions it rounds once from float32: 2 u and 4 u there. What is too small for
the dtype may be flushed to 0; what is too large for it fails.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import jax.numpy as jnp
import numpy as np


@dataclass(frozen=True)
class Arithmetic:
    """Unit roundoffs of the execution under test: of its dtype, of factors in products, and of sums."""

    u: float
    u_product: float
    u_sum: float
    tiny: float

    @property
    def operation(self) -> float:
        return (4 if self.u < 2**-20 else 2) * self.u

    @property
    def function(self) -> float:
        return (16 if self.u < 2**-20 else 4) * self.u

    def gamma(self, n: int) -> float:
        """γ(n), the relative error of a sum of n terms."""
        return min(n, 10 * n**0.5) * self.u_sum + self.u


@dataclass(frozen=True, eq=False)
class Bounded:
    """An array in float64, with a bound on the error of each entry in the execution under test."""

    value: np.ndarray
    error: np.ndarray
    arithmetic: Arithmetic

    def rounded(self, value: np.ndarray, error: np.ndarray, rounding: np.ndarray, underflow: float = 1.0) -> Bounded:
        return Bounded(value, error + rounding + underflow * self.arithmetic.tiny, self.arithmetic)

    def __add__(self, other: Bounded) -> Bounded:
        value, error = self.value + other.value, self.error + other.error
        return self.rounded(value, error, self.arithmetic.operation * (abs(value) + error))

    def __sub__(self, other: Bounded) -> Bounded:
        return self + replace(other, value=-other.value)

    def __mul__(self, other: Bounded) -> Bounded:
        a, b = abs(self.value), abs(other.value)
        error = a * other.error + self.error * b + self.error * other.error
        return self.rounded(self.value * other.value, error, self.arithmetic.operation * a * b)

    def __truediv__(self, n: float) -> Bounded:
        return self.rounded(self.value / n, self.error / n, self.arithmetic.operation * abs(self.value) / n)

    def __matmul__(self, other: Bounded) -> Bounded:
        a, b = abs(self.value), abs(other.value)
        n = a.shape[1]
        error = a @ other.error + self.error @ (b + other.error)
        rounding = (2 * self.arithmetic.u_product + self.arithmetic.gamma(n)) * (a @ b)
        # Each of the n terms, and each factor of a term, may have been flushed to 0.
        return self.rounded(self.value @ other.value, error, rounding, n * (1 + a.max() + b.max()))

    def sum(self, axis: int) -> Bounded:
        n = self.value.shape[axis]
        value, error = self.value.sum(axis, keepdims=True), self.error.sum(axis, keepdims=True)
        return self.rounded(value, error, self.arithmetic.gamma(n) * abs(self.value).sum(axis, keepdims=True), n)

    def apply(self, f: Callable[[np.ndarray], np.ndarray], least: float = 0.0) -> Bounded:
        """f entry by entry: the spread of f over value ± error, and 16 u of the result, or of `least`."""
        value = f(self.value)
        spread = np.maximum(abs(f(self.value + self.error) - value), abs(f(self.value - self.error) - value))
        return self.rounded(value, spread, self.arithmetic.function * np.maximum(abs(value), least))

    @property
    def T(self) -> Bounded:
        return replace(self, value=self.value.T, error=self.error.T)


def arithmetic_of(platform: str, dtype: Any, precision: str, loop: bool) -> Arithmetic:
    u = float(jnp.finfo(dtype).eps) / 2
    rounded_factors = {"gpu": {"default": 2**-11, "high": 2**-11}, "tpu": {"default": 2**-8, "high": 2**-16}}
    u_product = rounded_factors.get(platform, {}).get(precision, u) if dtype == jnp.float32 else u
    return Arithmetic(u, u_product, u if loop else min(u, 2**-24), float(jnp.finfo(dtype).tiny))
