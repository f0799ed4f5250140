"""The notes' equations in NumPy: the execution for problems so small that compiling would take longer than the work.

Examples are columns. Arrays keep their dtype, float32 or float64, and nothing here calls JAX. g′ is taken from A1,
which all these activations allow.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from scipy.special import expit, xlogy

from jaxshallow import activations
from jaxshallow.network import Cache
from jaxshallow.params import Params

Elementwise: TypeAlias = Callable[[np.ndarray], np.ndarray]


class Activation(NamedTuple):
    """g(Z1), and g′(Z1) as a function of A1 = g(Z1)."""

    g: Elementwise
    g_prime: Elementwise


# By the function, not by its name: a user may have put another under that name.
HIDDEN: dict[Any, Activation] = {
    activations.sigmoid: Activation(expit, lambda A1: A1 * (1 - A1)),
    activations.tanh: Activation(np.tanh, lambda A1: 1 - A1 * A1),
    activations.relu: Activation(lambda Z1: np.maximum(Z1, 0), lambda A1: A1 > 0),
    activations.leaky_relu: Activation(
        lambda Z1: np.where(Z1 > 0, Z1, 0.01 * Z1), lambda A1: np.where(A1 > 0, 1, 0.01).astype(A1.dtype)
    ),
    activations.identity: Activation(lambda Z1: Z1, np.ones_like),
}


def known(hidden: Any) -> Activation | None:
    """The activation in NumPy; None for a user's own."""
    return HIDDEN.get(activations.resolve(hidden)[0])


# ---- output heads: Z2 and Y are (n_y, m), a loss is (m,); each loss is computed from Z2, so log never sees 0 ----


def binary_cross_entropy(Z2: np.ndarray, Y: np.ndarray) -> np.ndarray:
    return np.sum(np.where(Z2 > 0, 1 - Y, -Y) * Z2 + np.log1p(np.exp(-np.abs(Z2))), axis=0)


def softmax(Z2: np.ndarray) -> np.ndarray:
    E = np.exp(Z2 - Z2.max(axis=0))
    return E / E.sum(axis=0)


def cross_entropy(Z2: np.ndarray, Y: np.ndarray) -> np.ndarray:
    Z = Z2 - Z2.max(axis=0)
    return -np.sum(Y * (Z - np.log(np.exp(Z).sum(axis=0))), axis=0)


def half_squared_error(Z2: np.ndarray, Y: np.ndarray) -> np.ndarray:
    return np.sum((Z2 - Y) ** 2, axis=0) / 2


def poisson_deviance(Z2: np.ndarray, Y: np.ndarray) -> np.ndarray:
    return np.sum(np.exp(Z2) - Y * Z2 + xlogy(Y, Y) - Y, axis=0)


class Output(NamedTuple):
    """As in `activations`."""

    activation: Elementwise
    loss: Callable[[np.ndarray, np.ndarray], np.ndarray]


OUTPUTS = {
    "sigmoid": Output(expit, binary_cross_entropy),
    "softmax": Output(softmax, cross_entropy),
    "identity": Output(lambda Z2: Z2, half_squared_error),
    "exp": Output(np.exp, poisson_deviance),
}


# ---- the equations ----


class Formula(NamedTuple):
    """What `Params` say beside the weights, as functions.

    Attributes:
        g, g_prime: of the hidden layer, as in `Activation`.
        σ, loss: of the output layer, as in `Output`.
    """

    g: Elementwise
    g_prime: Elementwise
    σ: Elementwise
    loss: Callable[[np.ndarray, np.ndarray], np.ndarray]

    @classmethod
    def of(cls, hidden: Any, output: str) -> Formula | None:
        """The formula of a network; None for a user's own activation."""
        activation = known(hidden)
        return None if activation is None else cls(*activation, *OUTPUTS[output])


class Weights(NamedTuple):
    """The arrays of `Params`."""

    W1: np.ndarray
    b1: np.ndarray
    W2: np.ndarray
    b2: np.ndarray


class Gradients(NamedTuple):
    """The results of the six equations, in their order."""

    dZ2: np.ndarray
    dW2: np.ndarray
    db2: np.ndarray
    dZ1: np.ndarray
    dW1: np.ndarray
    db1: np.ndarray


def propagate(formula: Formula, weights: Weights, X: np.ndarray) -> Cache:
    """Forward propagation: `Cache` of NumPy arrays."""
    g, σ = formula.g, formula.σ
    W1, b1, W2, b2 = weights

    Z1 = W1 @ X + b1
    A1 = g(Z1)
    Z2 = W2 @ A1 + b2
    A2 = σ(Z2)

    return Cache(Z1, A1, Z2, A2)  # type: ignore[arg-type]


def relative_weights(m: int, weights: np.ndarray | None) -> tuple[Any, float]:
    """The weights scaled to mean 1 as a row (1, m), and 1 / Σ wᵢ; zeros where every weight is 0."""
    if weights is None:
        return 1.0, 1 / m
    total = float(weights.sum())
    per_total = 1 / total if total > 0 else 0.0
    return weights[None, :] * (per_total * m), per_total


def cost_of(formula: Formula, weights: Weights, Z2: np.ndarray, Y: np.ndarray, w: Any, λ: float) -> Any:
    """The cost, from Z2; w as `relative_weights` gives it, λ = l2 / Σ wᵢ."""
    L = formula.loss(Z2, Y)[None, :]
    m = L.shape[1]
    W1, W2 = weights.W1, weights.W2

    J = np.sum(w * L) / m + λ / 2 * (np.vdot(W1, W1) + np.vdot(W2, W2))

    return J


def backpropagate(
    formula: Formula, weights: Weights, X: np.ndarray, Y: np.ndarray, cache: Any, w: Any, λ: float
) -> Gradients:
    """Back-propagation; w and λ as in `cost_of`."""
    g_prime = formula.g_prime
    W1, W2 = weights.W1, weights.W2
    Z1, A1, Z2, A2 = cache
    m = X.shape[1]

    dZ2 = w * (A2 - Y)
    dW2 = dZ2 @ A1.T / m + λ * W2
    db2 = dZ2.sum(axis=1, keepdims=True) / m
    dZ1 = W2.T @ dZ2 * g_prime(A1)
    dW1 = dZ1 @ X.T / m + λ * W1
    db1 = dZ1.sum(axis=1, keepdims=True) / m

    return Gradients(dZ2, dW2, db2, dZ1, dW1, db1)


def cost_and_grads(
    params: Params, X: Any, Y: Any, *, weights: Any = None, l2: Any = 0.0
) -> tuple[np.ndarray, Gradients]:
    """`jaxshallow.cost_and_grads` in NumPy, on checked arguments of one dtype.

    Returns:
        J, a scalar, and the `Gradients`.

    Raises:
        ValueError: the activation is a user's own.

    Example:
        >>> params = Params(np.ones((4, 3)), np.zeros((4, 1)), np.zeros((1, 4)), np.zeros((1, 1)))
        >>> J, grads = cost_and_grads(params, np.zeros((3, 5)), np.ones((1, 5)))
        >>> float(J), float(grads.db2[0, 0])
        (0.6931471805599453, -0.5)
    """
    formula = Formula.of(params.hidden, params.output)
    if formula is None:
        raise ValueError(f"hidden must be one of {', '.join(activations.HIDDEN)} in NumPy, got {params.hidden!r}")
    arrays = Weights(*(np.asarray(leaf) for leaf in (params.W1, params.b1, params.W2, params.b2)))
    X, Y = np.asarray(X), np.asarray(Y)
    w, per_total = relative_weights(X.shape[1], None if weights is None else np.asarray(weights))
    λ = float(l2) * per_total
    cache = propagate(formula, arrays, X)
    J = cost_of(formula, arrays, cache.Z2, Y, w, λ)  # type: ignore[arg-type]
    return J, backpropagate(formula, arrays, X, Y, cache, w, λ)
