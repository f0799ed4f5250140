"""The second derivatives of the cost, written out by hand: one line per equation, in the notes' symbols.

The Jacobian. Of one example, let δ = W2ₖᵀ ∗ g′(z1) be what a change of z1 does to z2ₖ. Then z2ₖ changes with W1, b1, W2
and b2 by

    δ xᵀ,   δ,   a1ᵀ in row k,   1 in row k.

Laid one after another, in the order of `jax.flatten_util.ravel_pytree`, these P numbers are a row of J, (n_y, P).

The Hessian. The gradient of an example's loss is Jᵀ dz2 with dz2 = a2 − y. Its derivative has two terms,

    Jᵀ H J + Σₖ dz2ₖ ∇²z2ₖ,   H = da2/dz2.

The mean of the first over the examples, with the weight decay λ, is the Gauss-Newton matrix. It is positive
semi-definite, and for these heads it is the Fisher information, too. The second vanishes where the network fits.

Products with a vector. Let V be a direction in the space of the parameters, and RZ the derivative of Z along V, for
each Z of the notes. Then the derivative of each line of forward and back-propagation is one line again (Pearlmutter
1994, "Fast exact multiplication by the Hessian"). All second derivatives of this network: Bishop 1992, "Exact
calculation of the Hessian matrix for the multilayer perceptron".
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import NamedTuple

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from jaxshallow import checks
from jaxshallow.activations import OUTPUTS, resolve, second_derivative
from jaxshallow.meshes import on_any_mesh
from jaxshallow.network import Cache, propagate, relative_weights
from jaxshallow.params import Params, size_of


class Along(NamedTuple):
    """Forward propagation, and its derivative along V.

    Attributes:
        cache: Z1, A1 (n_h, m) and Z2, A2 (n_y, m).
        RZ1, RA1: (n_h, m) the derivatives of Z1 and A1.
        RZ2, RA2: (n_y, m) those of Z2, which is J V, and of A2, which is H J V.
    """

    cache: Cache
    RZ1: Array
    RA1: Array
    RZ2: Array
    RA2: Array


def propagate_along(params: Params, X: Array, V: Params) -> Along:
    """Forward propagation with the derivative of each of its lines along V, on checked arguments."""
    _, g_prime = resolve(params.hidden)
    H = OUTPUTS[params.output].derivative
    Z1, A1, Z2, A2 = cache = propagate(params, X)

    RZ1 = V.W1 @ X + V.b1
    RA1 = g_prime(Z1) * RZ1
    RZ2 = params.W2 @ RA1 + V.W2 @ A1 + V.b2
    RA2 = H(A2, RZ2)

    return Along(cache, RZ1, RA1, RZ2, RA2)


@on_any_mesh
def hessian_vector(
    params: Params,
    X: ArrayLike,
    Y: ArrayLike,
    V: Params,
    *,
    weights: ArrayLike | None = None,
    l2: ArrayLike = 0.0,
) -> Params:
    """The Hessian of `cost` times V, exactly: the derivative of `manual_grads` along V. No matrix is formed.

    Args:
        params: the network.
        X: (n_x, m) examples as columns.
        Y: (n_y, m) targets as columns.
        V: a direction, `Params` of the same shapes.
        weights: (m,) weight of each example, ≥ 0; 0 removes the example.
        l2: strength of the weight decay, ≥ 0.

    Returns:
        `Params` that hold the product, of the same shapes.

    Raises:
        ValueError: a shape is not as above, or l2 < 0.
        TypeError: X is not floating point, or V is not `Params`.

    Example:
        >>> import jax
        >>> from jaxshallow import init, manual_grads
        >>> params = init(jax.random.key(0), n_x=3, n_h=4)
        >>> X, Y = jnp.ones((3, 5)), jnp.ones((1, 5))
        >>> steepest = manual_grads(params, X, Y)
        >>> hessian_vector(params, X, Y, steepest).W1.shape
        (4, 3)
    """
    params, X, Y = checks.examples(params, X, Y)
    V = checks.direction(params, V)
    _, w, λ = relative_weights(params, X.shape[1], weights, l2)
    _, g_prime = resolve(params.hidden)
    g_double_prime = second_derivative(params.hidden)
    W2, m = params.W2, X.shape[1]
    (Z1, A1, _, A2), RZ1, RA1, _, RA2 = propagate_along(params, X, V)

    dZ2 = w * (A2 - Y)
    RdZ2 = w * RA2
    RdW2 = (jnp.inner(RdZ2, A1) + jnp.inner(dZ2, RA1)) / m + λ * V.W2
    Rdb2 = RdZ2.sum(axis=1, keepdims=True) / m
    RdZ1 = (V.W2.T @ dZ2 + W2.T @ RdZ2) * g_prime(Z1) + W2.T @ dZ2 * g_double_prime(Z1) * RZ1
    RdW1 = jnp.inner(RdZ1, X) / m + λ * V.W1
    Rdb1 = RdZ1.sum(axis=1, keepdims=True) / m

    return replace(params, W1=RdW1, b1=Rdb1, W2=RdW2, b2=Rdb2)


@on_any_mesh
def gauss_newton_vector(
    params: Params,
    X: ArrayLike,
    Y: ArrayLike,
    V: Params,
    *,
    weights: ArrayLike | None = None,
    l2: ArrayLike = 0.0,
) -> Params:
    """The Gauss-Newton matrix times V: `hessian_vector` without the terms in dZ2. No matrix is formed.

    Args, errors: as `hessian_vector`. Of Y only the shape matters.

    Returns:
        `Params` that hold the product (1/m) Σ w Jᵀ H J V + λ V, without λ for the biases.

    Example:
        >>> import jax
        >>> from jaxshallow import init
        >>> params = init(jax.random.key(0), n_x=3, n_h=4)
        >>> gauss_newton_vector(params, jnp.ones((3, 5)), jnp.ones((1, 5)), params).W1.shape
        (4, 3)
    """
    params, X, Y = checks.examples(params, X, Y)
    V = checks.direction(params, V)
    _, w, λ = relative_weights(params, X.shape[1], weights, l2)
    cache, _, _, _, RA2 = propagate_along(params, X, V)

    GV = times_transpose(params, X, cache, w * RA2)

    return replace(GV, W1=GV.W1 + λ * V.W1, W2=GV.W2 + λ * V.W2)


@on_any_mesh
def acceleration(
    params: Params,
    X: ArrayLike,
    Y: ArrayLike,
    V: Params,
    *,
    weights: ArrayLike | None = None,
) -> Params:
    """How the outputs bend along V, as a gradient: (1/m) Σ w Jᵀ H d²z2, with d²z2 the second derivative of z2 along V.

    A step V of Gauss-Newton takes the outputs for straight; this is what it leaves out, to second order
    (`levenberg_marquardt`).

    Args, errors: as `hessian_vector`. Of Y only the shape matters.

    Returns:
        `Params` of the same shapes.

    Example:
        >>> import jax
        >>> from jaxshallow import init
        >>> params = init(jax.random.key(0), n_x=3, n_h=4)
        >>> acceleration(params, jnp.ones((3, 5)), jnp.ones((1, 5)), params).W1.shape
        (4, 3)
    """
    params, X, Y = checks.examples(params, X, Y)
    V = checks.direction(params, V)
    _, w, _ = relative_weights(params, X.shape[1], weights, 0.0)
    g_double_prime, H = second_derivative(params.hidden), OUTPUTS[params.output].derivative
    cache, RZ1, RA1, _, _ = propagate_along(params, X, V)

    RRA1 = g_double_prime(cache.Z1) * RZ1**2
    RRZ2 = params.W2 @ RRA1 + 2 * (V.W2 @ RA1)

    return times_transpose(params, X, cache, w * H(cache.A2, RRZ2))


def times_transpose(params: Params, X: Array, cache: Cache, dZ2: Array) -> Params:
    """(1/m) Σ Jᵀ dz2: back-propagation of any dZ2 (n_y, m), on checked arguments."""
    _, g_prime = resolve(params.hidden)
    Z1, A1, _, _ = cache
    m = X.shape[1]

    dW2 = jnp.inner(dZ2, A1) / m
    db2 = dZ2.sum(axis=1, keepdims=True) / m
    dZ1 = params.W2.T @ dZ2 * g_prime(Z1)
    dW1 = jnp.inner(dZ1, X) / m
    db1 = dZ1.sum(axis=1, keepdims=True) / m

    return replace(params, W1=dW1, b1=db1, W2=dW2, b2=db2)


@on_any_mesh
def jacobian(params: Params, X: ArrayLike) -> Array:
    """The derivative of each Z2 with respect to the parameters.

    Args:
        params: the network.
        X: (n_x, m) examples as columns.

    Returns:
        (n_y, P, m), the P parameters in the order of `jax.flatten_util.ravel_pytree`: W1, b1, W2, b2.

    Raises:
        ValueError, TypeError: as `forward`.

    Example:
        >>> import jax
        >>> from jaxshallow import init
        >>> params = init(jax.random.key(0), n_x=3, n_h=4)
        >>> jacobian(params, jnp.ones((3, 5))).shape  # P = 12 + 4 + 4 + 1
        (1, 21, 5)
    """
    params = checks.parameters(params)
    X = checks.features(params, X)
    return jacobian_of(params, X, propagate(params, X))


def jacobian_of(params: Params, X: Array, cache: Cache) -> Array:
    """The equations of `jacobian`, on checked arguments."""
    _, g_prime = resolve(params.hidden)
    Z1, A1, _, _ = cache
    n_y, m = len(params.W2), X.shape[1]
    row = jnp.eye(n_y, dtype=X.dtype)[:, :, None, None]

    δ = params.W2[:, :, None] * g_prime(Z1)[None]
    dW1 = δ[:, :, None] * X[None, None]
    db1 = δ
    dW2 = row * A1[None, None]
    db2 = row * jnp.ones((1, 1, 1, m), X.dtype)

    return jnp.concatenate([one.reshape(n_y, -1, m) for one in (dW1, db1, dW2, db2)], axis=1)


@on_any_mesh
def gauss_newton(
    params: Params, X: ArrayLike, Y: ArrayLike, *, weights: ArrayLike | None = None, l2: ArrayLike = 0.0
) -> Array:
    """The Gauss-Newton matrix (1/m) Σ w Jᵀ H J + λ: the Hessian of `cost` where the network fits.

    It is positive semi-definite, and for these heads the Fisher information.

    Args, errors: as `manual_grads`. Of Y only the shape matters.

    Returns:
        (P, P), the P parameters in the order of `jax.flatten_util.ravel_pytree`: W1, b1, W2, b2. λ = l2 / Σ w is added
        on the diagonal for W1 and W2.

    Raises:
        ValueError: P is above `MOST_PARAMETERS`.

    Example:
        >>> import jax
        >>> from jaxshallow import init
        >>> params = init(jax.random.key(0), n_x=3, n_h=4)
        >>> gauss_newton(params, jnp.ones((3, 5)), jnp.ones((1, 5))).shape
        (21, 21)
    """
    params, X, Y = checks.examples(params, X, Y)
    check_size("gauss_newton", params)
    _, w, λ = relative_weights(params, X.shape[1], weights, l2)
    return gauss_newton_of(params, X, propagate(params, X), w, λ)


def gauss_newton_of(params: Params, X: Array, cache: Cache, w: ArrayLike, λ: ArrayLike) -> Array:
    """The equations of `gauss_newton`, on checked arguments; w and λ as `relative_weights` gives them."""
    H = OUTPUTS[params.output].derivative
    m = X.shape[1]
    w = jnp.reshape(jnp.asarray(w, X.dtype), (1, 1, -1))

    J = jacobian_of(params, X, cache)
    HJ = H(cache.A2[:, None], J)

    return jnp.einsum("kpm,kqm->pq", J, w * HJ) / m + jnp.diag(λ * is_weight(params))


@on_any_mesh
def hessian(
    params: Params, X: ArrayLike, Y: ArrayLike, *, weights: ArrayLike | None = None, l2: ArrayLike = 0.0
) -> Array:
    """The Hessian of `cost`, exactly: equal to `jax.hessian(cost)`.

    Args, errors: as `gauss_newton`.

    Returns:
        (P, P), the P parameters in the order of `jax.flatten_util.ravel_pytree`: W1, b1, W2, b2.

    Example:
        >>> import jax
        >>> from jaxshallow import init
        >>> params = init(jax.random.key(0), n_x=3, n_h=4)
        >>> hessian(params, jnp.ones((3, 5)), jnp.ones((1, 5))).shape
        (21, 21)
    """
    params, X, Y = checks.examples(params, X, Y)
    check_size("hessian", params)
    _, w, λ = relative_weights(params, X.shape[1], weights, l2)
    _, g_prime = resolve(params.hidden)
    g_double_prime = second_derivative(params.hidden)
    m = X.shape[1]
    Z1, _, _, A2 = cache = propagate(params, X)

    # Σₖ dz2ₖ ∇²z2ₖ: a hidden unit meets itself, and its own weights in W2. The last of its axes is the unit's.
    dZ2 = w * (A2 - Y)
    S = params.W2.T @ dZ2 * g_double_prime(Z1)
    W1W1 = jnp.einsum("jm,am,bm->abj", S, X, X) / m
    W1b1 = jnp.inner(X, S) / m
    b1b1 = S.sum(axis=1) / m
    W2W1 = jnp.einsum("km,jm,am->kaj", dZ2, g_prime(Z1), X) / m
    W2b1 = jnp.inner(dZ2, g_prime(Z1)) / m

    return gauss_newton_of(params, X, cache, w, λ) + laid_out(params, W1W1, W1b1, b1b1, W2W1, W2b1)


def laid_out(params: Params, W1W1: Array, W1b1: Array, b1b1: Array, W2W1: Array, W2b1: Array) -> Array:
    """(P, P) from the blocks of pairs of parameters that belong to the same hidden unit; all other pairs are 0."""
    (n_y, n_h), n_x, dtype = params.W2.shape, params.W1.shape[1], params.W1.dtype
    own = jnp.eye(n_h, dtype=dtype)
    none = partial(jnp.zeros, dtype=dtype)

    W1W1 = jnp.einsum("abj,ji->jaib", W1W1, own).reshape(n_h * n_x, n_h * n_x)
    W1b1 = jnp.einsum("aj,ji->jai", W1b1, own).reshape(n_h * n_x, n_h)
    W2W1 = jnp.einsum("kaj,ji->kjia", W2W1, own).reshape(n_y * n_h, n_h * n_x)
    W2b1 = jnp.einsum("kj,ji->kji", W2b1, own).reshape(n_y * n_h, n_h)
    of_W1 = [W1W1, W1b1, W2W1.T, none((n_h * n_x, n_y))]
    of_b1 = [W1b1.T, jnp.diag(b1b1), W2b1.T, none((n_h, n_y))]
    of_W2 = [W2W1, W2b1, none((n_y * n_h, n_y * n_h + n_y))]
    of_b2 = [none((n_y, size_of(params)))]

    return jnp.concatenate([jnp.concatenate(row, axis=1) for row in (of_W1, of_b1, of_W2, of_b2)])


@on_any_mesh
def ntk(params: Params, X: ArrayLike, X2: ArrayLike | None = None) -> Array:
    """The neural tangent kernel J(x) J(x′)ᵀ (Jacot et al. 2018): how far a step on x′ moves z2 at x.

    With δ as above, of three Gram matrices: δᵀδ′ (xᵀx′ + 1) + a1ᵀa1′ + 1, the last two only where the outputs are the
    same.

    Args:
        params: the network.
        X: (n_x, m) examples as columns.
        X2: (n_x, m2) others; None: the same.

    Returns:
        (m, m2) for n_y = 1, (n_y, n_y, m, m2) otherwise.

    Raises:
        ValueError, TypeError: as `forward`.

    Example:
        >>> import jax
        >>> from jaxshallow import init
        >>> params = init(jax.random.key(0), n_x=3, n_h=4)
        >>> ntk(params, jnp.ones((3, 5)), jnp.zeros((3, 2))).shape
        (5, 2)
    """
    params = checks.parameters(params)
    X = checks.features(params, X)
    X2 = X if X2 is None else checks.features(params, X2, name="X2")
    _, g_prime = resolve(params.hidden)
    W2, n_y = params.W2, params.W2.shape[0]
    (Z1, A1, _, _), (Z1_2, A1_2, _, _) = propagate(params, X), propagate(params, X2)

    δ, δ_2 = (W2[:, :, None] * g_prime(Z)[None] for Z in (Z1, Z1_2))
    same = jnp.eye(n_y, dtype=X.dtype)[:, :, None, None]
    hidden = jnp.einsum("kjm,ljn->klmn", δ, δ_2) * (X.T @ X2 + 1)[None, None]
    output = same * (A1.T @ A1_2 + 1)[None, None]

    return hidden[0, 0] + output[0, 0] if n_y == 1 else hidden + output


# A matrix of 20,000 × 20,000 takes 1.5 GiB in float32, and its Cholesky factor a minute or more.
MOST_PARAMETERS = 20_000


def check_size(name: str, params: Params) -> None:
    """ValueError for a matrix of P × P numbers that would not fit."""
    P = size_of(params)
    if P > MOST_PARAMETERS:
        gib = P * P * params.W1.dtype.itemsize / 2**30
        raise ValueError(
            f"{name} must be of at most {MOST_PARAMETERS:,} parameters, got {P:,}, whose matrix takes {gib:,.1f} GiB: "
            f"use {name}_vector, which forms none, or fewer hidden units"
        )


def is_weight(params: Params) -> Array:
    """(P,) 1 for the parameters that decay, W1 and W2, and 0 for the biases."""
    one, zero = jnp.ones_like, jnp.zeros_like
    leaves = (one(params.W1), zero(params.b1), one(params.W2), zero(params.b2))
    return jnp.concatenate([leaf.ravel() for leaf in leaves])
