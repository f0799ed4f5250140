"""What a Gaussian posterior of the parameters says of new examples.

Near their mean the outputs are taken for straight in the parameters, so that z2 is Gaussian too, with the covariance

    S = J A⁻¹ Jᵀ = (R J)ᵀ (R J),   A⁻¹ = Rᵀ R.

What the head makes of it follows in closed form, or nearly so, and no sample is drawn. All functions have a column for
each example, so that `stream` runs them in tiles.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array

from jaxshallow.activations import sigmoid
from jaxshallow.curvature import jacobian_of
from jaxshallow.network import propagate
from jaxshallow.params import Params


def outputs(params: Params, X: Array, root: Array) -> tuple[Array, Array]:
    """Z2 (n_y, m) and its covariance S, (n_y, n_y, m)."""
    cache = propagate(params, X)
    J = jacobian_of(params, X, cache)

    RJ = jnp.einsum("qp,kpm->kqm", root, J)
    S = jnp.einsum("kqm,lqm->klm", RJ, RJ)

    return cache.Z2, S


def variances(S: Array) -> Array:
    """(n_y, m) the diagonal of S."""
    return jnp.einsum("kkm->km", S)


def numbers(params: Params, X: Array, *, root: Array, noise: Array) -> tuple[Array, Array]:
    """The mean and the standard deviation of y = z2 + noise, both (n_y, m)."""
    Z2, S = outputs(params, X, root)

    return Z2, jnp.sqrt(variances(S) + noise**2)


def counts(params: Params, X: Array, *, root: Array, noise: Array) -> tuple[Array, Array]:
    """The mean and the standard deviation of the rate a2 = exp(z2), a log-normal; of a count where `noise` is 1."""
    Z2, S = outputs(params, X, root)
    V = variances(S)

    mean = jnp.exp(Z2 + V / 2)
    return mean, jnp.sqrt(mean**2 * jnp.expm1(V) + noise * mean)


def probabilities(params: Params, X: Array, *, root: Array) -> Array:
    """The mean of a2 = σ(z2), (n_y, m), by MacKay's approximation σ(κ z2) with κ = 1 / √(1 + π/8 s²)."""
    Z2, S = outputs(params, X, root)

    return sigmoid(κ(variances(S)) * Z2)


def class_probabilities(params: Params, X: Array, *, root: Array) -> Array:
    """The mean of a2 = softmax(z2), (n_y, m): the same for each pair of classes (Lu, Ie and Sha 2020).

    Since 1 / a2ₖ = Σⱼ exp(z2ⱼ − z2ₖ), each difference is moderated by its own variance. What all z2 have in common
    cancels, as it does in softmax; and of two classes it is MacKay's approximation.
    """
    Z2, S = outputs(params, X, root)
    V = variances(S)

    difference = Z2[None] - Z2[:, None]
    variance = V[None] + V[:, None] - 2 * S
    log_A2 = -jax.nn.logsumexp(κ(variance) * difference, axis=1)

    return jax.nn.softmax(log_A2, axis=0)


def κ(variance: Array) -> Array:
    return 1 / jnp.sqrt(1 + jnp.pi / 8 * variance)
