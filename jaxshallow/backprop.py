"""Back-propagation, written out by hand: one line per equation of the notes.

dX always means dJ/dX with the mean already taken, but dZ is per example, as in the notes. dZ2 = A2 − Y holds for
each head with its own loss: sigmoid with binary cross-entropy, softmax with cross-entropy, identity with half the
squared error, exp with half the Poisson deviance.

`jnp.inner(dZ, A)` is dZ Aᵀ: the sum over the examples, the last axis of both. With `dZ @ A.T`, XLA copies all of A to
transpose it where n_y = 1, and the gradient takes 1.4 times as long (32-64-1, m = 100,000, on a CPU).
"""

from __future__ import annotations

from dataclasses import replace

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from jaxshallow import checks
from jaxshallow.activations import resolve
from jaxshallow.meshes import on_any_mesh
from jaxshallow.network import Cache, cost_of, propagate, propagate_example, relative_weights
from jaxshallow.params import Params


@on_any_mesh
def manual_grads(
    params: Params, X: ArrayLike, Y: ArrayLike, *, weights: ArrayLike | None = None, l2: ArrayLike = 0.0
) -> Params:
    """The gradient of `cost`, by the notes' six equations; equal to `jax.grad(cost)`.

    Args:
        params: the network.
        X: (n_x, m) examples as columns.
        Y: (n_y, m) targets as columns.
        weights: (m,) weight of each example, ≥ 0; 0 removes the example.
        l2: strength of the weight decay, ≥ 0.

    Returns:
        `Params` that hold dW1 (n_h, n_x), db1 (n_h, 1), dW2 (n_y, n_h), db2 (n_y, 1).

    Raises:
        ValueError: a shape is not as above, or l2 < 0.
        TypeError: X is not floating point.

    Example:
        >>> import jax
        >>> from jaxshallow import init
        >>> params = init(jax.random.key(0), n_x=3, n_h=4)
        >>> manual_grads(params, jnp.ones((3, 5)), jnp.ones((1, 5))).W1.shape
        (4, 3)
    """
    params, X, Y = checks.examples(params, X, Y)
    _, w, λ = relative_weights(params, X.shape[1], weights, l2)
    return backpropagate(params, X, Y, propagate(params, X), w, λ)


def backpropagate(params: Params, X: Array, Y: Array, cache: Cache, w: ArrayLike, λ: ArrayLike) -> Params:
    """The equations of `manual_grads`, on checked arguments; w and λ as `relative_weights` gives them."""
    _, g_prime = resolve(params.hidden)
    W1, W2 = params.W1, params.W2
    Z1, A1, Z2, A2 = cache
    m = X.shape[1]

    dZ2 = w * (A2 - Y)
    dW2 = jnp.inner(dZ2, A1) / m + λ * W2
    db2 = dZ2.sum(axis=1, keepdims=True) / m
    dZ1 = W2.T @ dZ2 * g_prime(Z1)
    dW1 = jnp.inner(dZ1, X) / m + λ * W1
    db1 = dZ1.sum(axis=1, keepdims=True) / m

    grads = replace(params, W1=dW1, b1=db1, W2=dW2, b2=db2)
    checks.chex.assert_trees_all_equal_shapes_and_dtypes(grads, params)
    return grads


@on_any_mesh
def cost_and_grads(
    params: Params, X: ArrayLike, Y: ArrayLike, *, weights: ArrayLike | None = None, l2: ArrayLike = 0.0
) -> tuple[Array, Params]:
    """`cost` and `manual_grads` together, from one forward pass (a test counts the products).

    Args, errors: as `manual_grads`.

    Returns:
        J, a scalar, and its gradient, `Params`.

    Example:
        >>> import jax
        >>> from jaxshallow import init
        >>> params = init(jax.random.key(0), n_x=3, n_h=4, scale=0.0)
        >>> J, grads = jax.jit(cost_and_grads)(params, jnp.ones((3, 5)), jnp.ones((1, 5)))
        >>> float(J), float(grads.b2[0, 0])
        (0.6931471824645996, -0.5)
    """
    params, X, Y = checks.examples(params, X, Y)
    _, w, λ = relative_weights(params, X.shape[1], weights, l2)
    cache = propagate(params, X)
    return cost_of(params, cache.Z2, Y, w, λ), backpropagate(params, X, Y, cache, w, λ)


@on_any_mesh
def manual_grads_example(params: Params, x: ArrayLike, y: ArrayLike) -> Params:
    """The gradient of one example's loss, in the notes' lower-case symbols.

    Their mean over the examples is `manual_grads`.

    Args:
        params: the network.
        x: (n_x, 1) one example.
        y: (n_y, 1) its target.

    Returns:
        `Params` that hold dW1 (n_h, n_x), db1 (n_h, 1), dW2 (n_y, n_h), db2 (n_y, 1).

    Raises:
        ValueError: x is not (n_x, 1) or y is not (n_y, 1).
        TypeError: x is not floating point.

    Example:
        >>> import jax
        >>> from jaxshallow import init
        >>> params = init(jax.random.key(0), n_x=3, n_h=4)
        >>> manual_grads_example(params, jnp.ones((3, 1)), jnp.ones((1, 1))).W1.shape
        (4, 3)
    """
    params = checks.parameters(params)
    x = checks.features(params, x, name="x")
    y = checks.targets(params, x, y, name="y")
    return backpropagate_example(params, x, y)


def backpropagate_example(params: Params, x: Array, y: Array) -> Params:
    """The equations of `manual_grads_example`, on checked arguments."""
    _, g_prime = resolve(params.hidden)
    W2 = params.W2
    z1, a1, z2, a2 = propagate_example(params, x)

    dz2 = a2 - y
    dW2 = dz2 @ a1.T
    db2 = dz2
    dz1 = W2.T @ dz2 * g_prime(z1)
    dW1 = dz1 @ x.T
    db1 = dz1

    grads = replace(params, W1=dW1, b1=db1, W2=dW2, b2=db2)
    checks.chex.assert_trees_all_equal_shapes_and_dtypes(grads, params)
    return grads
