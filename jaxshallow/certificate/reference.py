"""The reference: the notes' equations in NumPy, float64, written independently of the rest of the library."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxshallow.activations import Activation, derivative, resolve
from jaxshallow.certificate.bounds import Arithmetic, Bounded
from jaxshallow.params import Params


def _sigmoid(Z: np.ndarray) -> np.ndarray:
    return np.exp(-np.logaddexp(0, -Z))


def _softmax(Z: Bounded) -> Bounded:
    E = np.exp(Z.value - Z.value.max(axis=0))
    A = E / E.sum(axis=0)
    # exp turns errors of z into factors: a_i grows at most by exp(error_i + max_j error_j), and never beyond 1.
    spread = np.minimum(A * np.expm1(np.minimum(Z.error + Z.error.max(axis=0), 700)), 1)
    return Z.rounded(A, spread, (Z.arithmetic.function + len(A) * Z.arithmetic.u_sum) * A)


Elementwise: TypeAlias = Callable[[np.ndarray], np.ndarray]

# g, g′ and g″.
REFERENCE_HIDDEN: dict[str, tuple[Elementwise, Elementwise, Elementwise]] = {
    "sigmoid": (
        _sigmoid,
        lambda Z: _sigmoid(Z) * _sigmoid(-Z),
        lambda Z: _sigmoid(Z) * _sigmoid(-Z) * (_sigmoid(-Z) - _sigmoid(Z)),
    ),
    "tanh": (np.tanh, lambda Z: 1 - np.tanh(Z) ** 2, lambda Z: -2 * np.tanh(Z) * (1 - np.tanh(Z) ** 2)),
    "relu": (lambda Z: Z * (Z > 0), lambda Z: 1.0 * (Z > 0), np.zeros_like),
    "leaky_relu": (lambda Z: np.where(Z > 0, Z, 0.01 * Z), lambda Z: np.where(Z > 0, 1, 0.01), np.zeros_like),
    "identity": (lambda Z: Z, np.ones_like, np.zeros_like),
}


def _reference_hidden(
    hidden: str | Activation | Callable[[Array], Array],
) -> tuple[Elementwise, Elementwise, Elementwise]:
    """g, g′ and g″ on float64 arrays. A user's g runs in JAX, which derives the others: wrong ones are found."""
    if isinstance(hidden, str) and hidden in REFERENCE_HIDDEN:
        return REFERENCE_HIDDEN[hidden]
    g, _ = resolve(hidden)

    def in_float64(f: Callable[[Array], Array]) -> Elementwise:
        def on_cpu(Z: np.ndarray) -> np.ndarray:
            with jax.enable_x64(True), jax.default_device(jax.devices("cpu")[0]):
                return np.asarray(f(jnp.asarray(Z)))

        return on_cpu

    return in_float64(g), in_float64(derivative(g)), in_float64(derivative(derivative(g)))


class Reference:
    """Every quantity of the notes, with its bound: `Reference(...).dW1` and so on, each computed on first use.

    `spread` is an uncertainty of the parameters themselves, relative for those above 1; finite differences use it.
    `max_norm` is that of the clipped gradient.
    """

    def __init__(
        self,
        params: Params,
        X: Any,
        Y: Any,
        weights: Any,
        l2: Any,
        arithmetic: Arithmetic,
        *,
        spread: float = 0.0,
        max_norm: float = 1.0,
    ) -> None:
        # A term of a mean may be flushed to 0 after its division by m, and a sum has as many terms as the longest axis.
        longest = max(X.shape[1], *params.W1.shape, *params.W2.shape)
        arithmetic = replace(arithmetic, tiny=arithmetic.tiny * longest)

        def exact(array: Any, error: float = 0.0) -> Bounded:
            array = np.asarray(array, np.float64)
            return Bounded(array, error * np.maximum(1, abs(array)), arithmetic)

        self.W1, self.b1, self.W2, self.b2 = (exact(leaf, spread) for leaf in jax.tree.leaves(params))
        self.X, self.Y, self.m = exact(X), exact(Y), X.shape[1]
        self.g, self.g_prime, self.g_double_prime = _reference_hidden(params.hidden)
        self.least = 0.0 if params.hidden in REFERENCE_HIDDEN else 1.0
        self.output, self.max_norm = params.output, max_norm
        w = exact(np.ones((1, self.m)) if weights is None else np.asarray(weights, np.float64).reshape(1, -1))
        total = w.sum(axis=1)
        if weights is None:
            total = exact(total.value)
        some = np.where(total.value > 0, total.value, np.inf)  # where every weight is 0, cost and gradients are 0
        per_total = Bounded(1 / some, total.error / some**2, arithmetic)
        self.w, self.λ = w * per_total * exact([[self.m]]), exact([[float(l2)]]) * per_total

    @cached_property
    def Z1(self) -> Bounded:
        return self.W1 @ self.X + self.b1

    @cached_property
    def A1(self) -> Bounded:
        return self.Z1.apply(self.g, self.least)

    @cached_property
    def slope(self) -> Bounded:
        """g′(Z1)."""
        return self.Z1.apply(self.g_prime, 1.0)

    @cached_property
    def Z2(self) -> Bounded:
        return self.W2 @ self.A1 + self.b2

    @cached_property
    def A2(self) -> Bounded:
        if self.output == "identity":
            return self.Z2
        if self.output == "exp":
            return self.Z2.apply(np.exp)
        return _softmax(self.Z2) if self.output == "softmax" else self.Z2.apply(_sigmoid)

    @cached_property
    def L(self) -> Bounded:
        Z, Y = self.Z2, self.Y
        if self.output == "identity":
            D = Z - Y
            return (D * D).sum(axis=0) / 2
        if self.output == "exp":
            return (self.A2 - Y * Z + Y.apply(lambda y: y * np.log(np.where(y > 0, y, 1)) - y)).sum(axis=0)
        if self.output == "sigmoid":
            f = lambda z: np.maximum(z, 0) - Y.value * z + np.log1p(np.exp(-abs(z)))  # noqa: E731
            L = Z.apply(f)
            return replace(L, error=L.error + Z.arithmetic.operation * abs(Z.value)).sum(axis=0)
        z = Z.value - Z.value.max(axis=0)
        L = (np.log(np.exp(z).sum(axis=0)) - (Y.value * z).sum(axis=0))[None]
        spread = 2 * Z.error.max(axis=0, keepdims=True)
        return Z.rounded(
            L,
            spread,
            (Z.arithmetic.function + len(z) * Z.arithmetic.u_sum) * (abs(L) + abs(Y.value * z).sum(axis=0) + 1),
        )

    @cached_property
    def J(self) -> Bounded:
        squares = (self.W1 * self.W1).sum(1).sum(0) + (self.W2 * self.W2).sum(1).sum(0)
        return (self.w * self.L).sum(axis=1) / self.m + self.λ * squares / 2

    @cached_property
    def dZ2(self) -> Bounded:
        return self.w * (self.A2 - self.Y)

    @cached_property
    def dW2(self) -> Bounded:
        return self.dZ2 @ self.A1.T / self.m + self.λ * self.W2

    @cached_property
    def db2(self) -> Bounded:
        return self.dZ2.sum(axis=1) / self.m

    @cached_property
    def dZ1(self) -> Bounded:
        return (self.W2.T @ self.dZ2) * self.slope

    @cached_property
    def dW1(self) -> Bounded:
        return self.dZ1 @ self.X.T / self.m + self.λ * self.W1

    @cached_property
    def db1(self) -> Bounded:
        return self.dZ1.sum(axis=1) / self.m

    @cached_property
    def dz2(self) -> Bounded:
        return self.A2 - self.Y

    @cached_property
    def dz1(self) -> Bounded:
        return (self.W2.T @ self.dz2) * self.slope

    @cached_property
    def norms(self) -> Bounded:
        """(1, m), each from all entries of its own gradient: ‖dz1 xᵀ‖² + ‖dz1‖² + ‖dz2 a1ᵀ‖² + ‖dz2‖²."""
        outer = (self.dz1 * self.dz1).sum(0) * (self.X * self.X).sum(0) + (self.dz1 * self.dz1).sum(0)
        outer2 = (self.dz2 * self.dz2).sum(0) * (self.A1 * self.A1).sum(0) + (self.dz2 * self.dz2).sum(0)
        return (outer + outer2).apply(lambda square: np.sqrt(np.maximum(square, 0)))

    @cached_property
    def clipping(self) -> Bounded:
        return self.w * self.norms.apply(lambda norm: np.minimum(1, self.max_norm / np.maximum(norm, 1e-300)))

    @cached_property
    def clipped_dW2(self) -> Bounded:
        return (self.clipping * self.dz2) @ self.A1.T / self.m + self.λ * self.W2

    @cached_property
    def clipped_db2(self) -> Bounded:
        return (self.clipping * self.dz2).sum(axis=1) / self.m

    @cached_property
    def clipped_dW1(self) -> Bounded:
        return (self.clipping * self.dz1) @ self.X.T / self.m + self.λ * self.W1

    @cached_property
    def clipped_db1(self) -> Bounded:
        return (self.clipping * self.dz1).sum(axis=1) / self.m
