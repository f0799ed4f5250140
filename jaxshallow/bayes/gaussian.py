"""`laplace`: the Gaussian posterior of a trained network, and the evidence for its weight decay and noise.

The cost is an energy: β Σw J = β Σ wᵢ Lᵢ + α/2 ‖W‖² is minus the log of likelihood times prior, with

    β = 1 / noise² (1 where the head has no noise),   α = β l2,

the precision of the weights' Gaussian prior. At the minimum, the energy is a parabola with the matrix

    A = β Σw G + α_b,

where G is `gauss_newton`, in which l2 is. So the posterior is N(θ, A⁻¹), and the area under it is the evidence,

    log p(Y) = log p(Y | θ) + log p(θ) + P/2 log 2π − ½ log |A|.

By its highest value, MacKay's updates of l2 and noise count what the data determine: γ = P − tr(prior A⁻¹) parameters.

    noise² = Σ wᵢ ‖z2 − y‖² / (Σw n_y − γ),   α = γ_W / ‖W‖²

(MacKay 1992, "A practical Bayesian framework for backpropagation networks"; Bishop 1995, chapter 10.) Weights count
examples, as in `cost`.

Biases do not decay, and a flat prior has no evidence. So they have a fixed, broad one, `BIAS_DEVIATION`: of
features and targets of about deviation 1, it hardly moves the posterior, and a hidden unit more costs what it should.

The copies of a network, whose hidden units change places and signs, are n_h! 2^n_h equal peaks of the posterior. This
is the evidence of one of them. To count all, as one may, would be wrong for a unit that weight decay has switched off:
it has no copies of its own, and n_h! would reward ever more of them. Without it, units that are not needed neither
raise nor lower the evidence much, and the smallest of equals is the one to take.
"""

from __future__ import annotations

import warnings
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.flatten_util import ravel_pytree
from jax.scipy.special import gammaln, xlogy
from jax.typing import ArrayLike

from jaxshallow import checks, given
from jaxshallow.activations import OUTPUTS
from jaxshallow.backprop import manual_grads
from jaxshallow.bayes.posterior import Posterior
from jaxshallow.bounded import bounded_jit
from jaxshallow.curvature import MOST_PARAMETERS, gauss_newton, is_weight
from jaxshallow.meshes import on_any_mesh
from jaxshallow.network import propagate, relative_weights
from jaxshallow.params import Params, size_of
from jaxshallow.stacks import cholesky, solve_lower
from jaxshallow.tiles.jacobians import in_tiles

BIAS_DEVIATION = 10.0
FAR = 1.0  # standard deviations of the posterior, from the network to the minimum


class Found(NamedTuple):
    """A posterior, and what tells whether it is one.

    Attributes:
        posterior: NaN where A has no Cholesky factor.
        misfit: Σ wᵢ ‖z2 − y‖² for identity; 1 for other heads.
        left: Σw n_y − γ, the targets that are left to estimate the noise; 1 where it is known.
        distance: of the network from the minimum, in standard deviations of the posterior.
    """

    posterior: Posterior
    misfit: Array
    left: Array
    distance: Array


def laplace(
    params: Params,
    X: ArrayLike,
    Y: ArrayLike,
    *,
    l2: ArrayLike,
    weights: ArrayLike | None = None,
    noise: ArrayLike | None = None,
) -> Posterior:
    """How sure is a trained network? The Gaussian posterior of its parameters, from the Gauss-Newton matrix.

    The network must be at a minimum of `cost` with these examples, weights and l2; a warning says if it is not. There
    is one l2 for both layers, as `cost` has it, and as `fit`, `fit_many` and the estimators train: with targets and
    features of about deviation 1, both layers want weights of about the same size. Scale them so. There may be more
    parameters than examples: the prior determines the rest.

    Args:
        params: the trained network.
        X: (n_x, m) the examples that it was trained on.
        Y: (n_y, m) their targets.
        l2: strength of the weight decay that it was trained with, > 0.
        weights: (m,) weight of each example, which counts it so many times; 0 removes it.
        noise: standard deviation of the noise of Y, > 0; None: it is estimated. For identity only.

    Returns:
        `Posterior` with `log_evidence`, `effective_parameters`, `noise`, `predict` and `predict_proba`.

    Raises:
        ValueError: shapes and values as in `fit`; l2 is 0: then the prior is flat, and there is no evidence; noise is
            given for another head, or cannot be estimated, since the network fits exactly; A has no Cholesky factor in
            this dtype; P is above `MOST_PARAMETERS`.

    Inside jit nothing can be raised or warned of: then what cannot be is NaN.

    Example:
        >>> from jaxshallow import fit, init, levenberg_marquardt
        >>> X = jnp.linspace(-2.0, 2.0, 50)[None]
        >>> Y = jnp.sin(2 * X) + 0.1 * jax.random.normal(jax.random.key(1), X.shape)
        >>> params = init(jax.random.key(0), n_x=1, n_h=4, hidden="tanh", output="identity", scale=1.0)
        >>> trained = fit(params, X, Y, optimizer=levenberg_marquardt(), epochs=200, l2=0.01).params
        >>> posterior = laplace(trained, X, Y, l2=0.01)
        >>> mean, deviation = posterior.predict(jnp.array([[0.0, 5.0]]))  # of a new y: less is known far away
        >>> bool(deviation[0, 0] < 0.2 < deviation[0, 1])
        True
    """
    params, X, Y, weights, l2, noise = checked(params, X, Y, weights, l2, noise)
    found: Found = compiled_posterior(params, X, Y, weights, l2, noise)
    if not given.is_traced(found.distance):
        check(found, stacklevel=3)
    return found.posterior


def checked(params: Any, X: Any, Y: Any, weights: Any, l2: Any, noise: Any) -> tuple[Any, ...]:
    """The arguments of `laplace`, in single precision at least: half has no Cholesky factor."""
    params, X, Y, weights, _, _ = checks.problem(params, X, Y, weights)
    dtype = jnp.promote_types(params.W1.dtype, jnp.float32)
    params, X, Y, weights = jax.tree.map(lambda array: array.astype(dtype), (params, X, Y, weights))
    if (P := size_of(params)) > MOST_PARAMETERS:
        raise ValueError(
            f"laplace must be of at most {MOST_PARAMETERS:,} parameters, got {P:,}, of whose P × P covariances three "
            f"are in memory: use fewer hidden units, or fewer features"
        )
    l2 = given.scalar("l2", l2, dtype, above=True)
    if noise is not None and params.output != "identity":
        raise ValueError(f"noise must be None for output={params.output!r}, which has none of its own, got {noise}")
    noise = None if noise is None else given.scalar("noise", noise, dtype, above=True)
    if noise is None and params.output == "identity" and X.shape[1] == 1:
        raise ValueError("noise must be given for one example: it cannot be estimated from it")
    return params, X, Y, weights, l2, noise


@partial(on_any_mesh, columns=False)
def posterior_of(params: Params, X: Array, Y: Array, weights: Array | None, l2: Array, noise: Array | None) -> Found:
    """The equations of `laplace`, on checked arguments."""
    m, n_y = X.shape[1], Y.shape[0]
    dtype, decays = l2.dtype, is_weight(params)
    total, w, _ = relative_weights(params, m, weights, l2)
    total = jnp.asarray(total, dtype)
    θ, _ = ravel_pytree(params)
    Z2 = propagate(params, X).Z2
    misfit, left = jnp.ones((), dtype), jnp.ones((), dtype)

    def of(per_example: Array) -> Array:
        """Σ wᵢ of (m,) numbers."""
        return total / m * jnp.sum(w * per_example[None])

    G = in_tiles(gauss_newton, params, X, Y, weights=weights, l2=l2)
    g = total * ravel_pytree(manual_grads(params, X, Y, weights=weights, l2=l2))[0]
    L = of(OUTPUTS[params.output].loss(Z2, Y))

    def prior(β: Array) -> Array:
        """(P,) the precisions."""
        return decays * β * l2 + (1 - decays) / BIAS_DEVIATION**2

    def determined(β: Array, R: Array) -> Array:
        """(P,) how much of each parameter the data determine: 1 − prior · diag A⁻¹."""
        return 1 - prior(β) * jnp.sum(R**2, axis=0)

    if params.output != "identity":
        β = jnp.ones((), dtype)
    elif noise is not None:
        β = 1 / noise**2
    else:
        # γ depends on the noise by the biases' prior alone, which is next to nothing.
        misfit = 2 * L
        first = total * n_y / misfit
        left = total * n_y - jnp.sum(determined(first, root_of(precision(params, first * total * G))[0]))
        noise = jnp.sqrt(misfit / left)
        β = 1 / noise**2

    R, log_det = root_of(precision(params, β * total * G))
    γ = determined(β, R)
    log_likelihood = log_constant(params.output, Y, β, of) - β * L
    log_prior = (jnp.sum(jnp.log(prior(β))) - jnp.sum(prior(β) * θ**2)) / 2
    log_evidence = log_likelihood + log_prior - log_det / 2
    next_l2 = jnp.sum(decays * γ) / jnp.sum(decays * θ**2) / β
    distance = jnp.linalg.norm(R @ (β * g))

    return Found(Posterior(params, R, noise, l2, log_evidence, jnp.sum(γ), next_l2), misfit, left, distance)


compiled_posterior = bounded_jit(posterior_of)


def precision(params: Params, curvature: Array) -> Array:
    """A, from the curvature β Σw G of the energy of the cost, which knows nothing of the biases' prior."""
    return curvature + jnp.diag((1 - is_weight(params)) / BIAS_DEVIATION**2)


def root_of(A: Array) -> tuple[Array, Array]:
    """R, lower triangular with RᵀR = A⁻¹, and log |A|; NaN if A has no Cholesky factor."""
    factor = cholesky(A)
    R = solve_lower(factor, jnp.eye(len(A), dtype=A.dtype))
    return R, 2 * jnp.sum(jnp.log(jnp.diag(factor)))


def log_constant(output: str, Y: Array, β: Array, of: Any) -> Array:
    """log p(Y | θ) + β Σ wᵢ Lᵢ: what turns a head's loss into a probability."""
    if output == "identity":
        constant = jnp.log(β / (2 * jnp.pi)) / 2 * jnp.ones_like(Y)
    elif output == "exp":  # the loss is a deviance, from that of a rate y
        constant = xlogy(Y, Y) - Y - gammaln(Y + 1)
    else:
        constant = jnp.zeros_like(Y)
    total: Array = of(jnp.sum(constant, axis=0))
    return total


def check(found: Found, stacklevel: int = 2) -> None:
    """ValueError for what is no posterior; a warning for one that is not around a minimum."""
    refuse(found)
    if (distance := np.asarray(found.distance).item()) > FAR:
        warnings.warn(
            f"the network is not at a minimum of the cost, but {distance:.3g} standard deviations of its posterior "
            f"away, and the Laplace approximation is for a minimum: train on, with the same l2 and weights, e.g. by "
            f"fit(..., optimizer=levenberg_marquardt())",
            stacklevel=stacklevel,
        )


def refuse(found: Found) -> None:
    """ValueError for what is no posterior."""
    posterior = found.posterior
    misfit, left, l2, log_evidence = (
        np.asarray(one).item() for one in (found.misfit, found.left, posterior.l2, posterior.log_evidence)
    )
    if misfit == 0:
        raise ValueError(
            "noise must be given where the network fits every target exactly, as it does constant ones: there is "
            "nothing to estimate it from"
        )
    if left <= 0:
        raise ValueError(
            f"noise must be given, or l2 raised: the network has as many effective parameters as there are targets "
            f"(Σw n_y − γ = {left:.3g}). Weights must count examples"
        )
    if not np.isfinite(log_evidence):
        raise ValueError(
            f"the posterior of l2={l2:.3g} must have a Cholesky factor, and has none in {posterior.root.dtype}: raise "
            f"l2, scale X and Y, use fewer hidden units, or float64 parameters, after "
            f"jax.config.update('jax_enable_x64', True)"
        )
