"""The network: forward propagation, prediction, cost and score, one line per equation of the notes.

Examples are columns: X is (n_x, m), Y is (n_y, m). Everything is computed in the dtype of the parameters; X and Y are
cast to it. Each public function checks its arguments and hands them to its equations, right below it.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from jaxshallow import checks
from jaxshallow.activations import OUTPUTS, resolve
from jaxshallow.bounded import bounded_jit
from jaxshallow.meshes import on_any_mesh
from jaxshallow.params import Params


class Cache(NamedTuple):
    """What forward propagation computes and back-propagation needs.

    Attributes:
        Z1: (n_h, m) pre-activations of the hidden layer.
        A1: (n_h, m) activations of the hidden layer.
        Z2: (n_y, m) pre-activations of the output layer.
        A2: (n_y, m) outputs ŷ.
    """

    Z1: Array
    A1: Array
    Z2: Array
    A2: Array


@on_any_mesh
def forward(params: Params, X: ArrayLike) -> Cache:
    """Forward propagation of m examples at once: the matrix form of the notes.

    Args:
        params: the network.
        X: (n_x, m) examples as columns.

    Returns:
        `Cache` with Z1, A1 (n_h, m) and Z2, A2 (n_y, m).

    Raises:
        ValueError: X is not (n_x, m) with m ≥ 1, or the parameters do not fit together.
        TypeError: X is not floating point.

    Example:
        >>> import jax
        >>> params = Params(jnp.ones((4, 3)), jnp.zeros((4, 1)), jnp.ones((1, 4)), jnp.zeros((1, 1)))
        >>> forward(params, jnp.zeros((3, 5))).A2.shape
        (1, 5)
    """
    params = checks.parameters(params)
    return propagate(params, checks.features(params, X))


def propagate(params: Params, X: Array) -> Cache:
    """The equations of `forward`, on checked arguments."""
    g, _ = resolve(params.hidden)
    σ = OUTPUTS[params.output].activation
    W1, b1, W2, b2 = params.W1, params.b1, params.W2, params.b2

    Z1 = W1 @ X + b1
    A1 = g(Z1)
    Z2 = W2 @ A1 + b2
    A2 = σ(Z2)

    n_h, n_y, m = W1.shape[0], W2.shape[0], X.shape[1]
    checks.chex.assert_shape([Z1, A1], (n_h, m))
    checks.chex.assert_shape([Z2, A2], (n_y, m))
    return Cache(Z1, A1, Z2, A2)


@on_any_mesh
def forward_example(params: Params, x: ArrayLike) -> Cache:
    """Forward propagation of one example, a column, in the notes' lower-case symbols.

    Args:
        params: the network.
        x: (n_x, 1) one example.

    Returns:
        `Cache` of columns: z1, a1 (n_h, 1) and z2, a2 (n_y, 1).

    Raises:
        ValueError: x is not (n_x, 1), or the parameters do not fit together.
        TypeError: x is not floating point.

    Example:
        >>> params = Params(jnp.ones((4, 3)), jnp.zeros((4, 1)), jnp.zeros((1, 4)), jnp.zeros((1, 1)))
        >>> forward_example(params, jnp.zeros((3, 1))).A2
        Array([[0.5]], dtype=float32)
    """
    params = checks.parameters(params)
    return propagate_example(params, checks.features(params, x, name="x"))


def propagate_example(params: Params, x: Array) -> Cache:
    """The equations of `forward_example`, on checked arguments."""
    g, _ = resolve(params.hidden)
    σ = OUTPUTS[params.output].activation
    W1, b1, W2, b2 = params.W1, params.b1, params.W2, params.b2

    z1 = W1 @ x + b1
    a1 = g(z1)
    z2 = W2 @ a1 + b2
    a2 = σ(z2)

    checks.chex.assert_shape([z1, a1], (W1.shape[0], 1))
    checks.chex.assert_shape([z2, a2], (W2.shape[0], 1))
    return Cache(z1, a1, z2, a2)


@on_any_mesh
def predict(params: Params, X: ArrayLike) -> Array:
    """The network's answer for each example.

    Args:
        params: the network.
        X: (n_x, m) examples as columns.

    Returns:
        For sigmoid, A2 > 0.5 as integers: (m,) with one output unit, (n_y, m) with several. For softmax, the most
        probable class, (m,) integers. For identity and exp, A2 itself, (n_y, m).

    Raises:
        ValueError, TypeError: as `forward`.

    Example:
        >>> params = Params(jnp.ones((4, 3)), jnp.zeros((4, 1)), jnp.ones((1, 4)), jnp.full((1, 1), -2.0))
        >>> predict(params, jnp.array([[-9.0, 9.0]] * 3))
        Array([0, 1], dtype=int32)
    """
    params = checks.parameters(params)
    return answers(params, checks.features(params, X))


# One program, as that of `score`: each operation alone would be one, for each number of examples.
@bounded_jit
def answers(params: Params, X: Array) -> Array:
    """`predict` without checks."""
    A2 = propagate(params, X).A2
    if params.task == "regression":
        return A2
    if params.task == "multiclass":
        return A2.argmax(axis=0)
    labels = (A2 > 0.5).astype(int)
    return labels[0] if params.task == "binary" else labels


@on_any_mesh
def score(params: Params, X: ArrayLike, Y: ArrayLike) -> Array:
    """How well the network does: accuracy, or R² for identity and exp, as scikit-learn's `score`.

    Args:
        params: the network.
        X: (n_x, m) examples as columns.
        Y: (n_y, m) targets as columns.

    Returns:
        A scalar. Accuracy is the share of examples that are right; with several labels, all of them must be. R² is
        1 − Σ (ŷ − y)² / Σ (y − ȳ)², the mean over the outputs; an output that is constant counts 1 if every ŷ is
        right, else 0.

    Raises:
        ValueError, TypeError: X or Y has another shape or type.

    Example:
        >>> params = Params(jnp.ones((4, 3)), jnp.zeros((4, 1)), jnp.ones((1, 4)), jnp.full((1, 1), -2.0))
        >>> score(params, jnp.array([[-9.0, 9.0]] * 3), jnp.array([[0, 0]]))
        Array(0.5, dtype=float32)
    """
    return score_on(*checks.examples(params, X, Y))


@bounded_jit
def score_on(params: Params, X: Array, Y: Array) -> Array:
    """`score` without checks."""
    return score_of(params, propagate(params, X).A2, Y)


def score_of(params: Params, A2: Any, Y: Any) -> Any:
    """`score`, from outputs computed already; in NumPy if they are NumPy arrays."""
    xp = A2.__array_namespace__()
    if A2.dtype.itemsize < 4:  # sums of squares in bfloat16 mean nothing
        A2, Y = A2.astype(xp.float32), Y.astype(xp.float32)
    if params.task == "regression":
        spread = xp.sum((Y - xp.mean(Y, axis=1, keepdims=True)) ** 2, axis=1)
        missed = xp.sum((A2 - Y) ** 2, axis=1)
        constant = xp.where(missed == 0, 1.0, 0.0).astype(Y.dtype)
        return xp.mean(xp.where(spread > 0, 1 - missed / xp.where(spread > 0, spread, 1), constant))
    if params.task == "multiclass":
        return xp.mean(A2.argmax(axis=0) == Y.argmax(axis=0), dtype=A2.dtype)
    return xp.mean(xp.all((A2 > 0.5) == (Y > 0.5), axis=0), dtype=A2.dtype)


@on_any_mesh
def losses(params: Params, X: ArrayLike, Y: ArrayLike) -> Array:
    """The loss L(ŷ, y) of each example, from Z2.

    Cross-entropy (sigmoid, softmax), half squared error (identity) or half Poisson deviance (exp).

    Args:
        params: the network.
        X: (n_x, m) examples as columns.
        Y: (n_y, m) targets as columns.

    Returns:
        (m,) losses, each summed over n_y.

    Raises:
        ValueError, TypeError: X or Y has another shape or type.

    Example:
        >>> params = Params(jnp.ones((4, 3)), jnp.zeros((4, 1)), jnp.zeros((1, 4)), jnp.zeros((1, 1)))
        >>> losses(params, jnp.zeros((3, 2)), jnp.array([[0, 1]]))  # log 2: nothing known yet
        Array([0.6931472, 0.6931472], dtype=float32)
    """
    params, X, Y = checks.examples(params, X, Y)
    return OUTPUTS[params.output].loss(propagate(params, X).Z2, Y)


def relative_weights(params: Params, m: int, weights: ArrayLike | None, l2: ArrayLike) -> tuple[Any, Any, Array]:
    """Σ wᵢ, the weights scaled to mean 1 as a row (1, m), and λ = l2 / Σ wᵢ.

    With them the notes' 1/m stays in every equation. Without weights: m, 1.0 and l2 / m. Where every weight is 0
    (a padded batch) cost and gradients are 0.
    """
    weights, l2 = checks.weights_and_l2(params, m, weights, l2)
    if weights is None:
        return m, 1.0, l2 / m
    total = weights.sum()
    some = total > 0
    per_total = jnp.where(some, 1 / jnp.where(some, total, 1), 0)  # two wheres, so that the derivative is finite too
    return total, weights.reshape(1, m) * per_total * m, l2 * per_total


@on_any_mesh
def cost(params: Params, X: ArrayLike, Y: ArrayLike, *, weights: ArrayLike | None = None, l2: ArrayLike = 0.0) -> Array:
    """The cost J = Σ wᵢ L(ŷᵢ, yᵢ) / Σ wᵢ + l2 / (2 Σ wᵢ) · (‖W1‖² + ‖W2‖²); without weights, Σ wᵢ = m.

    Args:
        params: the network.
        X: (n_x, m) examples as columns.
        Y: (n_y, m) targets as columns: in [0, 1] for sigmoid, one-hot for softmax, any number for identity, ≥ 0
            for exp.
        weights: (m,) weight of each example, ≥ 0; 0 removes the example, which must still be finite.
        l2: strength of the weight decay, ≥ 0.

    Returns:
        The scalar J.

    Raises:
        ValueError: a shape is not as above, or l2 < 0.
        TypeError: X is not floating point.

    Example:
        >>> params = Params(jnp.ones((4, 3)), jnp.zeros((4, 1)), jnp.zeros((1, 4)), jnp.zeros((1, 1)))
        >>> cost(params, jnp.zeros((3, 2)), jnp.array([[0, 1]]))
        Array(0.6931472, dtype=float32)
    """
    params, X, Y = checks.examples(params, X, Y)
    _, w, λ = relative_weights(params, X.shape[1], weights, l2)
    return cost_of(params, propagate(params, X).Z2, Y, w, λ)


def cost_of(params: Params, Z2: Array, Y: Array, w: ArrayLike, λ: ArrayLike) -> Array:
    """The equation of `cost`, from Z2, on checked arguments; w and λ as `relative_weights` gives them."""
    L = OUTPUTS[params.output].loss(Z2, Y)[None, :]
    m = L.shape[1]
    W1, W2 = params.W1, params.W2

    J = jnp.sum(w * L) / m + λ / 2 * (jnp.sum(W1**2) + jnp.sum(W2**2))

    return J
