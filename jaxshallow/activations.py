"""Activations g with their derivatives g′ and g″ side by side, and the output heads with their losses.

To add an activation, write g, g′ and g″ and list them in `HIDDEN`; or pass your own, without touching this
file: `js.init(key, 2, 4, hidden=js.Activation(jnp.sin, jnp.cos))`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
from jax import Array

Elementwise: TypeAlias = Callable[[Array], Array]


class Activation(NamedTuple):
    """An elementwise activation g, its derivative g′ and its second derivative g″; JAX derives what is not given.

    `g_prime` is taken at its word, as for a surrogate gradient; `certify` tells where it is not g's derivative.
    `g_double_prime` is the derivative of `g_prime`; only second derivatives of the cost need it (`curvature.py`).

    Example:
        >>> sine = Activation(jnp.sin, jnp.cos)
        >>> float(sine.g_prime(jnp.array(0.0)))
        1.0
    """

    g: Elementwise
    g_prime: Elementwise | None = None
    g_double_prime: Elementwise | None = None


class Output(NamedTuple):
    """An output head: A2 = `activation`(Z2), and the `loss`(Z2, Y) of each example, for which dZ2 = A2 − Y.

    `derivative`(A2, RZ2) is the change of A2 for a small change RZ2 of Z2: H RZ2, with the matrix H = dA2/dZ2 of each
    example. It is the second derivative of the loss, too, since the first is A2 − Y.
    """

    activation: Elementwise
    loss: Callable[[Array, Array], Array]
    derivative: Callable[[Array, Array], Array]


# ---- hidden activations: g(Z), g′(Z) and g″(Z), elementwise, any shape ----


def sigmoid(Z: Array) -> Array:
    return jax.nn.sigmoid(Z)


def sigmoid_prime(Z: Array) -> Array:
    A = sigmoid(Z)
    return A * (1 - A)


def sigmoid_double_prime(Z: Array) -> Array:
    A = sigmoid(Z)
    return A * (1 - A) * (1 - 2 * A)


def tanh(Z: Array) -> Array:
    return jnp.tanh(Z)


def tanh_prime(Z: Array) -> Array:
    A = tanh(Z)
    return 1 - A * A


def tanh_double_prime(Z: Array) -> Array:
    A = tanh(Z)
    return -2 * A * (1 - A * A)


def relu(Z: Array) -> Array:
    return jax.nn.relu(Z)


def relu_prime(Z: Array) -> Array:
    return jnp.where(Z > 0, jnp.ones_like(Z), jnp.zeros_like(Z))


def relu_double_prime(Z: Array) -> Array:
    return jnp.zeros_like(Z)


def leaky_relu(Z: Array) -> Array:
    return jnp.where(Z > 0, Z, 0.01 * Z)


def leaky_relu_prime(Z: Array) -> Array:
    return jnp.where(Z > 0, jnp.ones_like(Z), jnp.full_like(Z, 0.01))


def leaky_relu_double_prime(Z: Array) -> Array:
    return jnp.zeros_like(Z)


def identity(Z: Array) -> Array:
    return Z


def identity_prime(Z: Array) -> Array:
    return jnp.ones_like(Z)


def identity_double_prime(Z: Array) -> Array:
    return jnp.zeros_like(Z)


HIDDEN = {
    "sigmoid": Activation(sigmoid, sigmoid_prime, sigmoid_double_prime),
    "tanh": Activation(tanh, tanh_prime, tanh_double_prime),
    "relu": Activation(relu, relu_prime, relu_double_prime),
    "leaky_relu": Activation(leaky_relu, leaky_relu_prime, leaky_relu_double_prime),
    "identity": Activation(identity, identity_prime, identity_double_prime),
}

OURS = tuple(HIDDEN.values())


# ---- output heads: Z2 and Y are (n_y, m), a loss is (m,); each loss is computed from Z2, so log never sees 0 ----


def sigmoid_derivative(A2: Array, RZ2: Array) -> Array:
    """H = diag(a2 (1 − a2))."""
    return A2 * (1 - A2) * RZ2


def binary_cross_entropy(Z2: Array, Y: Array) -> Array:
    """L = −Σ (y log a2 + (1−y) log(1−a2)) over n_y, with a2 = σ(z2): that is (1−y) z + log(1 + e⁻ᶻ) where z > 0, and
    −y z + log(1 + eᶻ) elsewhere. No large terms cancel, and JAX differentiates it correctly at z = 0, as it would not
    with max and |z|."""
    positive = Z2 > 0
    L = jnp.where(positive, 1 - Y, -Y) * Z2 + jnp.log1p(jnp.exp(jnp.where(positive, -Z2, Z2)))
    return jnp.sum(L, axis=0)


def softmax(Z2: Array) -> Array:
    return jax.nn.softmax(Z2, axis=0)


def softmax_derivative(A2: Array, RZ2: Array) -> Array:
    """H = diag(a2) − a2 a2ᵀ."""
    return A2 * (RZ2 - jnp.sum(A2 * RZ2, axis=0, keepdims=True))


def cross_entropy(Z2: Array, Y: Array) -> Array:
    """L = −Σ y log a2 over n_y, with a2 = softmax(z2) and y one-hot."""
    return -jnp.sum(Y * jax.nn.log_softmax(Z2, axis=0), axis=0)


def identity_derivative(A2: Array, RZ2: Array) -> Array:
    """H = 1."""
    return RZ2


def half_squared_error(Z2: Array, Y: Array) -> Array:
    """L = ½ Σ (z2 − y)² over n_y."""
    return jnp.sum((Z2 - Y) ** 2, axis=0) / 2


def exp_derivative(A2: Array, RZ2: Array) -> Array:
    """H = diag(a2)."""
    return A2 * RZ2


def poisson_deviance(Z2: Array, Y: Array) -> Array:
    """L = Σ (y log (y / a2) − y + a2) over n_y, with a2 = exp(z2): half the deviance of counts y ≥ 0."""
    return jnp.sum(jnp.exp(Z2) - Y * Z2 + jax.scipy.special.xlogy(Y, Y) - Y, axis=0)


OUTPUTS = {
    "sigmoid": Output(sigmoid, binary_cross_entropy, sigmoid_derivative),
    "softmax": Output(softmax, cross_entropy, softmax_derivative),
    "identity": Output(identity, half_squared_error, identity_derivative),
    "exp": Output(jnp.exp, poisson_deviance, exp_derivative),
}


def resolve(hidden: str | Activation | Elementwise) -> tuple[Elementwise, Elementwise]:
    """The pair (g, g′) that `hidden` stands for: a name in `HIDDEN`, an `Activation`, or g alone.

    A user's g and g′ are checked where they are used: they must keep the shape and dtype.

    Raises:
        ValueError: `hidden` is a name that is not in `HIDDEN`.
        TypeError: `hidden` is neither a name nor callable, or cannot be hashed, as `jit` needs it.
    """
    name = f"hidden={hidden!r}" if isinstance(hidden, str) else "hidden"
    if isinstance(hidden, str):
        if hidden not in HIDDEN:
            raise ValueError(f"hidden must be one of {', '.join(HIDDEN)}, or an Activation, got {hidden!r}")
        hidden = HIDDEN[hidden]
    if isinstance(hidden, Activation) and hidden.g_prime is not None and hidden in OURS:
        return hidden.g, hidden.g_prime
    g, g_prime, g_double_prime = hidden if isinstance(hidden, Activation) else (hidden, None, None)
    for part in (g, g_prime, g_double_prime):
        if not (callable(part) or (part is None and part is not g)):
            raise TypeError(f"hidden must be a name, a function or an Activation, got {type(part).__name__}")
    checked = elementwise(g, name)
    if g_prime is None:
        return checked, derivative(checked)
    return checked, elementwise(g_prime, f"g_prime of {name}")


def second_derivative(hidden: str | Activation | Elementwise) -> Elementwise:
    """g″ of `hidden`, as `resolve` has g and g′; without one of its own, JAX's derivative of its g′."""
    _, g_prime = resolve(hidden)
    own = HIDDEN[hidden] if isinstance(hidden, str) else hidden
    if isinstance(own, Activation) and own.g_double_prime is not None:
        return own.g_double_prime if own in OURS else elementwise(own.g_double_prime, "g_double_prime of hidden")
    return derivative(g_prime)


def derivative(f: Elementwise) -> Elementwise:
    """JAX's derivative of an elementwise function."""
    return lambda Z: jax.jvp(f, (Z,), (jnp.ones_like(Z),))[1]


def elementwise(f: Elementwise, name: str) -> Elementwise:
    """A user's function, with a TypeError if its result is not an array of the shape and dtype of Z."""

    def checked(Z: Array) -> Array:
        try:
            A = f(Z)
        except (jax.errors.ConcretizationTypeError, jax.errors.TracerArrayConversionError) as error:
            fix = "use jax.numpy in the place of numpy, and jnp.where in the place of if"
            raise TypeError(f"{name} must be made of JAX's operations: {fix}") from error
        wanted = f"Z's shape and dtype, {Z.shape} {Z.dtype}"
        if not isinstance(A, Array):
            raise TypeError(f"{name} must give a JAX array of {wanted}, got {type(A).__name__}: use jax.numpy")
        exact = A.dtype == Z.dtype or A.weak_type or A.dtype.kind in "biu"  # such as where(Z > 0, 1, 0), or Z > 0
        if A.shape != Z.shape or not exact or A.dtype.kind == "c":
            raise TypeError(f"{name} must give a JAX array of {wanted}, got {A.shape} {A.dtype}")
        return A.astype(Z.dtype)

    return checked
