"""`leave_one_out` and `influence`: what the network would be without an example, for every example, without training.

Without example i, the energy of `gaussian.py` loses β wᵢ Lᵢ. At the old minimum it then has the gradient −β w Jᵀ dz2
and the matrix A − β w Jᵀ H J, all of example i, and one step of Newton leads to its new minimum. With

    S = β w J A⁻¹ Jᵀ,   r = (1 − H S)⁻¹ dz2      (n_y, n_y) and (n_y, 1), dz2 = a2 − y,

the step, by Woodbury's identity, and what it does to the example's own z2 are

    Δθ = A⁻¹ Jᵀ β w r,   Δz2 = S r.

H S is the leverage h of the example: of one identity output, Δz2 = h / (1 − h) (z2 − y), as of a linear model.

The Gauss-Newton matrix in A leaves out how the outputs bend, which moves the new minimum. With the Hessian in its
place, steps were two to five times as near to networks that had been trained again. But where the Hessian is far below
the Gauss-Newton matrix in some direction, the cost is no parabola, and steps are wild: then A is the posterior's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from math import isqrt
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from jaxshallow import checks, stacks
from jaxshallow.activations import OUTPUTS
from jaxshallow.bayes.gaussian import laplace, precision, root_of
from jaxshallow.bayes.posterior import Posterior
from jaxshallow.bounded import bounded_jit
from jaxshallow.curvature import gauss_newton, hessian, jacobian_of
from jaxshallow.meshes import on_any_mesh
from jaxshallow.network import propagate, relative_weights
from jaxshallow.params import Params
from jaxshallow.tiles import jacobians, stream
from jaxshallow.tiles.jacobians import in_tiles, tile_of_jacobians

LEAST = 1 / 3


class LeftOut(NamedTuple):
    """Of each example, what happens if it is left out.

    Attributes:
        Z2: (n_y, m) of the network without it.
        RJ: (n_y, P, m) R Jᵀ, of the whole network.
        r: (n_y, m) as above, times β w.
    """

    Z2: Array
    RJ: Array
    r: Array


def left_out(params: Params, X: Array, Y: Array, weights: Array | None, root: Array, β: Array) -> LeftOut:
    """The equations above, on checked arguments."""
    H = OUTPUTS[params.output].derivative
    _, _, Z2, A2 = cache = propagate(params, X)
    J = jacobian_of(params, X, cache)
    βw = β * (jnp.ones(X.shape[1], X.dtype) if weights is None else weights)[None]

    dZ2 = A2 - Y
    RJ = jnp.einsum("qp,kpm->kqm", root, J)
    S = βw[None] * jnp.einsum("kqm,lqm->klm", RJ, RJ)
    HS = H(A2[:, None], S)
    r = solved(jnp.eye(len(Y), dtype=X.dtype)[:, :, None] - HS, dZ2)
    ΔZ2 = jnp.einsum("klm,lm->km", S, r)

    return LeftOut(Z2 + ΔZ2, RJ, βw * r)


def solved(matrices: Array, columns: Array) -> Array:
    """(n_y, m) the solutions of m systems: matrices (n_y, n_y, m), columns (n_y, m)."""
    if len(columns) == 1:
        return columns / matrices[0]
    return jax.vmap(stacks.solve, in_axes=-1, out_axes=-1)(matrices, columns)


def leave_one_out(
    posterior_or_params: Posterior | Params,
    X: ArrayLike,
    Y: ArrayLike,
    *,
    l2: ArrayLike | None = None,
    weights: ArrayLike | None = None,
    exact: bool = True,
) -> Array:
    """Each example's prediction by the network that has not seen it: m networks in closed form, none of them trained.

    A step of Newton from the trained network, exact for a linear model. Where a true minimum without the example is
    far away, as for an outlier that some hidden units serve alone, it is too short or too long.

    Args:
        posterior_or_params: what `laplace` returned, or a trained network.
        X: (n_x, m) the examples that it was trained on.
        Y: (n_y, m) their targets.
        l2: with a network, the strength of the weight decay that it was trained with, > 0; the posterior knows it.
        weights: (m,) the weights that it was trained with. Of weight 0, an example was left out already.
        exact: with the Hessian in A where it serves, see above; False: with the posterior's A.

    Returns:
        (n_y, m) A2: numbers, rates or probabilities.

    Raises:
        ValueError, TypeError: as `laplace`; l2 is given with a posterior, or not with a network.

    Example:
        >>> import jax
        >>> from jaxshallow import fit, init, levenberg_marquardt, score
        >>> X = jnp.linspace(-2.0, 2.0, 50)[None]
        >>> Y = jnp.sin(2 * X) + 0.1 * jax.random.normal(jax.random.key(1), X.shape)
        >>> params = init(jax.random.key(0), n_x=1, n_h=4, hidden="tanh", output="identity", scale=1.0)
        >>> trained = fit(params, X, Y, optimizer=levenberg_marquardt(), epochs=200, l2=0.01).params
        >>> seen = jnp.mean((trained.W2 @ jnp.tanh(trained.W1 @ X + trained.b1) + trained.b2 - Y) ** 2)
        >>> unseen = jnp.mean((leave_one_out(trained, X, Y, l2=0.01) - Y) ** 2)
        >>> bool(seen < unseen)
        True
    """
    posterior = posterior_for(posterior_or_params, X, Y, l2, weights, exact)
    A2: Array = OUTPUTS[posterior.params.output].activation(unseen(posterior, X, Y, weights))
    return A2


def unseen(posterior: Posterior, X: ArrayLike, Y: ArrayLike, weights: ArrayLike | None) -> Array:
    """(n_y, m) `leave_one_out`, as Z2."""
    tile = tile_of_jacobians(posterior.params)
    options = {} if weights is None else {"weights": weights}
    return stream(_unseen, tile)(posterior.params, X, Y, root=posterior.root, β=posterior.β, **options)


def _unseen(params: Params, X: Array, Y: Array, *, root: Array, β: Array, weights: Array | None = None) -> Array:
    return left_out(params, X, Y, weights, root, β).Z2


def influence(
    posterior_or_params: Posterior | Params,
    X: ArrayLike,
    Y: ArrayLike,
    X_of: ArrayLike,
    Y_of: ArrayLike,
    *,
    l2: ArrayLike | None = None,
    weights: ArrayLike | None = None,
    exact: bool = True,
) -> Array:
    """What leaving an example out does to the loss of others: above 0 where it helps them, below 0 where it harms.

    By the same step as `leave_one_out`, whose losses less those of the network are the diagonal of
    `influence(posterior, X, Y, X, Y)`.

    Args:
        posterior_or_params, X, Y, l2, weights, exact: as in `leave_one_out`.
        X_of: (n_x, m_of) the examples whose loss is asked for, of those X or new ones.
        Y_of: (n_y, m_of) their targets.

    Returns:
        (m_of, m): entry (j, i) is the loss of j without i, less the loss of j. Apart from it, memory is bounded.

    Raises:
        ValueError, TypeError: as `leave_one_out`.

    Example:
        >>> import jax
        >>> from jaxshallow import fit, init, levenberg_marquardt
        >>> X = jax.random.normal(jax.random.key(1), (2, 30))
        >>> Y = X[:1] + X[1:] > 0
        >>> params = init(jax.random.key(0), n_x=2, n_h=3, hidden="tanh", scale=1.0)
        >>> trained = fit(params, X, Y, optimizer=levenberg_marquardt(), epochs=100, l2=1.0).params
        >>> influence(trained, X, Y, X[:, :5], Y[:, :5], l2=1.0).shape
        (5, 30)
    """
    posterior = posterior_for(posterior_or_params, X, Y, l2, weights, exact)
    params = posterior.params
    X_of = checks.features(params, X_of, name="X_of")
    Y_of = checks.targets(params, X_of, Y_of, name="Y_of")
    # A tile of both has n_y numbers for each pair.
    tile = min(tile_of_jacobians(params), max(1, isqrt(jacobians.JACOBIAN // len(Y_of))))
    options = {} if weights is None else {"weights": weights}
    found: Array = stream(_influence, tile)(
        params, X, Y, root=posterior.root, β=posterior.β, X_of=X_of, Y_of=Y_of, tile=tile, **options
    )
    return found


def _influence(
    params: Params,
    X: Array,
    Y: Array,
    *,
    root: Array,
    β: Array,
    X_of: Array,
    Y_of: Array,
    tile: int,
    weights: Array | None = None,
) -> Array:
    """The columns of `influence` for some X; X_of is taken in tiles, too."""
    _, RJ, r = left_out(params, X, Y, weights, root, β)

    Δθ = root.T @ jnp.einsum("kqm,km->qm", RJ, r)

    return stream(_change_of_loss, tile)(params, X_of, Y_of, steps=Δθ).T


def _change_of_loss(params: Params, X: Array, Y: Array, *, steps: Array) -> Array:
    """(steps, m) how the losses change when the parameters take each of the steps, the columns of (P, steps)."""
    loss = OUTPUTS[params.output].loss
    cache = propagate(params, X)
    J = jacobian_of(params, X, cache)
    Z2, Y = cache.Z2[:, None], Y[:, None]

    ΔZ2 = jnp.einsum("kpm,ps->ksm", J, steps)

    return loss(Z2 + ΔZ2, Y) - loss(Z2, Y)


def posterior_for(
    posterior_or_params: Any, X: ArrayLike, Y: ArrayLike, l2: ArrayLike | None, weights: ArrayLike | None, exact: bool
) -> Posterior:
    """The posterior that was given, or that of the network that was given, with the Hessian in A if `exact`."""
    if isinstance(posterior_or_params, Posterior):
        posterior = posterior_or_params
        if l2 is not None:
            raise ValueError("l2 must not be given with a posterior, which has its own")
    elif l2 is None:
        raise ValueError("l2 must be given with a network: the one that it was trained with")
    else:
        posterior = laplace(posterior_or_params, X, Y, l2=l2, weights=weights)
    _, X, Y, weights, _, _ = checks.problem(posterior.params, X, Y, weights)
    return with_hessian(posterior, X, Y, weights) if exact else posterior


def with_hessian(posterior: Posterior, X: Array, Y: Array, weights: Array | None) -> Posterior:
    """The posterior with the Hessian in A, where it serves."""
    return replace(posterior, root=exact_root(posterior, X, Y, weights))


@bounded_jit
@partial(on_any_mesh, columns=False)
def exact_root(posterior: Posterior, X: Array, Y: Array, weights: Array | None) -> Array:
    """R with the Hessian in A, if it is at least `LEAST` of the Gauss-Newton matrix in every direction."""
    params, l2 = posterior.params, posterior.l2
    total, _, _ = relative_weights(params, X.shape[1], weights, l2)

    def of(curvature: Callable[..., Array]) -> Array:
        return precision(params, posterior.β * total * in_tiles(curvature, params, X, Y, weights=weights, l2=l2))

    A = of(hessian)
    above = stacks.cholesky(A - LEAST * of(gauss_newton))  # NaN if there is none

    return jnp.where(jnp.isfinite(above).all(), root_of(A)[0], posterior.root)
