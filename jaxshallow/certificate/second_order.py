"""The reference for second derivatives: their products with a direction V, as `curvature.py` has them, in NumPy."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import jax
import numpy as np

from jaxshallow.certificate.bounds import Arithmetic, Bounded
from jaxshallow.certificate.reference import Reference
from jaxshallow.params import Params


def direction(params: Params) -> Params:
    """V: each entry of the parameters, or 1 if it is 0, times ±½, ±1 or ±2. So it is exact, in JAX and in NumPy."""
    rng = np.random.default_rng(0)

    def along(leaf: Any) -> Any:
        factors = rng.choice([-2, -1, -0.5, 0.5, 1, 2], size=leaf.shape).astype(leaf.dtype)
        xp = leaf.__array_namespace__()
        return xp.where(leaf == 0, xp.ones_like(leaf), leaf) * factors

    return jax.tree.map(along, params)


class SecondOrder(Reference):
    """`Reference` with RZ, the derivative along V, of each quantity Z of the notes.

    RdW1, Rdb1, RdW2, Rdb2 are the Hessian times V. G_W1 and so on, their parts without dZ2, are the Gauss-Newton matrix
    times V.
    """

    def __init__(
        self, params: Params, X: Any, Y: Any, weights: Any, l2: Any, arithmetic: Arithmetic, **more: Any
    ) -> None:
        super().__init__(params, X, Y, weights, l2, arithmetic, **more)
        V = jax.tree.leaves(direction(jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), params)))
        self.V1, self.v1, self.V2, self.v2 = (Bounded(leaf, np.zeros(leaf.shape), self.W1.arithmetic) for leaf in V)

    @cached_property
    def RZ1(self) -> Bounded:
        return self.V1 @ self.X + self.v1

    @cached_property
    def RA1(self) -> Bounded:
        return self.slope * self.RZ1

    @cached_property
    def RZ2(self) -> Bounded:
        return self.W2 @ self.RA1 + self.V2 @ self.A1 + self.v2

    @cached_property
    def RA2(self) -> Bounded:
        if self.output == "identity":
            return self.RZ2
        if self.output == "softmax":
            return self.A2 * (self.RZ2 - (self.A2 * self.RZ2).sum(axis=0))
        if self.output == "exp":
            return self.A2 * self.RZ2
        return self.Z2.apply(lambda z: 1 / (2 + np.exp(z) + np.exp(-z)), 1.0) * self.RZ2

    @cached_property
    def RdZ2(self) -> Bounded:
        return self.w * self.RA2

    @cached_property
    def G_W2(self) -> Bounded:
        return self.RdZ2 @ self.A1.T / self.m + self.λ * self.V2

    @cached_property
    def G_b2(self) -> Bounded:
        return self.RdZ2.sum(axis=1) / self.m

    @cached_property
    def G_Z1(self) -> Bounded:
        return (self.W2.T @ self.RdZ2) * self.slope

    @cached_property
    def G_W1(self) -> Bounded:
        return self.G_Z1 @ self.X.T / self.m + self.λ * self.V1

    @cached_property
    def G_b1(self) -> Bounded:
        return self.G_Z1.sum(axis=1) / self.m

    @cached_property
    def RdW2(self) -> Bounded:
        return self.G_W2 + self.dZ2 @ self.RA1.T / self.m

    @cached_property
    def Rdb2(self) -> Bounded:
        return self.G_b2

    @cached_property
    def bent(self) -> Bounded:
        """What RdZ1 has beside G_Z1."""
        curvature = self.Z1.apply(self.g_double_prime, 1.0)
        return (self.V2.T @ self.dZ2) * self.slope + (self.W2.T @ self.dZ2) * curvature * self.RZ1

    @cached_property
    def RdW1(self) -> Bounded:
        return self.G_W1 + self.bent @ self.X.T / self.m

    @cached_property
    def Rdb1(self) -> Bounded:
        return self.G_b1 + self.bent.sum(axis=1) / self.m
