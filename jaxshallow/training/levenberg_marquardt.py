"""`levenberg_marquardt`: second-order training of small networks, as an optax transformation.

Gauss-Newton takes the outputs for straight near the parameters. The cost is then a parabola with the gradient dJ and
the matrix G of `gauss_newton`, whose minimum is one linear system away. Damping μ keeps the step where this is about
right,

    (G + μ) s = −dJ        (Levenberg 1944, Marquardt 1963).

The outputs are not straight, and along a curved valley the step leaves its floor. So half the `acceleration` of the
outputs along s is taken back, with the same matrix,

    (G + μ) a = −½ acceleration(s)        (Transtrum and Sethna 2012, "geodesic acceleration"),

and W := W + s + a, which saves steps.

A step is taken only if it lowers the cost, and if a is small beside s: else the outputs bend too much for any of this.
By the ratio of what the cost falls to what the parabola promised, μ then falls, or rises faster with each step that is
refused (Nielsen 1999). A matrix without a Cholesky factor in this dtype gives no step, which counts as one refused.

μ is added to every parameter alike. Marquardt's own scaling, by the diagonal of G, took more steps on the benchmark's
curve (L1a), and left more starts in poor minima. So scale the features, as for every other optimizer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array
from jax.flatten_util import ravel_pytree

from jaxshallow import given
from jaxshallow.params import Params, size_of
from jaxshallow.stacks import cholesky, solve_factored

MOST_PARAMETERS = 5_000  # a step takes P³/3 operations: 4 · 10¹⁰, a few seconds on a core
MOST_BEND = 0.75  # of ‖a‖ to ½‖s‖: Transtrum and Sethna's


class LevenbergMarquardtState(NamedTuple):
    """What the next step begins with.

    Attributes:
        damping: μ; 0 before the first step.
        growth: the factor by which the next refused step raises μ.
    """

    damping: Array
    growth: Array


def levenberg_marquardt(damping: float = 1e-3) -> optax.GradientTransformationExtraArgs:
    """The Levenberg-Marquardt method for the four heads: damped Gauss-Newton steps that never raise the cost.

    For small networks and full batches: a step takes some m P² + P³/3 operations, P being the number of parameters. It
    has no learning rate. `fit`, `make_train_step` and `fit_many` give it what it asks for beside the gradient.

    Args:
        damping: μ of the first step, relative to the largest entry on the diagonal of the Gauss-Newton matrix, > 0.

    Returns:
        An optax transformation, whose `update` needs the extra arguments `value`, `value_fn`, `gauss_newton_fn` and
        `acceleration_fn`.

    Raises:
        ValueError: `damping` is not a positive number; from `init`, if the network has more than `MOST_PARAMETERS`.
        TypeError: from `init`, if it is given a part of a network.

    Example:
        >>> from jaxshallow import fit, init
        >>> X = jnp.linspace(-2.0, 2.0, 50)[None]
        >>> params = init(jax.random.key(0), n_x=1, n_h=4, hidden="tanh", output="identity", scale=1.0)
        >>> result = fit(params, X, jnp.sin(2 * X), optimizer=levenberg_marquardt(), epochs=100)
        >>> bool(result.history.cost[-1] < 1e-3 * result.history.cost[0])
        True
    """
    given.number("damping", damping, above=True)

    def init(params: Any) -> LevenbergMarquardtState:
        check_whole(params)
        dtype = jnp.promote_types(params.W1.dtype, jnp.float32)  # half precision has no Cholesky factor
        return LevenbergMarquardtState(jnp.zeros((), dtype), jnp.full((), 2, dtype))

    def update(
        updates: Any,
        state: LevenbergMarquardtState,
        params: Any = None,
        *,
        value: Array,
        value_fn: Callable[[Any], Array],
        gauss_newton_fn: Callable[[Any], Array],
        acceleration_fn: Callable[[Any, Any], Any],
        **_: Any,
    ) -> tuple[Any, LevenbergMarquardtState]:
        dJ, as_params = ravel_pytree(updates)
        dtype = state.damping.dtype
        G = gauss_newton_fn(params).astype(dtype)
        top = jnp.diag(G).max()
        μ = jnp.where(state.damping > 0, state.damping, damping * top)
        factor = cholesky(G + μ * jnp.eye(len(G), dtype=dtype))  # NaN if there is none

        s = -solve_factored(factor, dJ.astype(dtype))
        bend = ravel_pytree(acceleration_fn(params, as_params(s.astype(dJ.dtype))))[0]
        a = -solve_factored(factor, bend.astype(dtype)) / 2
        step = as_params((s + a).astype(dJ.dtype))

        J = value_fn(optax.apply_updates(params, step))
        promised = s @ (μ * s - dJ.astype(dtype)) / 2
        ratio = (value - J).astype(dtype) / promised
        taken = (value > J) & (2 * jnp.linalg.norm(a) <= MOST_BEND * jnp.linalg.norm(s))
        eps = jnp.finfo(dtype).eps
        less, more = μ * jnp.maximum(1 / 3, 1 - (2 * ratio - 1) ** 3), μ * state.growth
        # Below, G + μ would be G to rounding; above, the step would be 0.
        new = jnp.clip(jnp.where(taken, less, more), eps * top, top / eps)
        growth = jnp.where(taken, 2, jnp.minimum(2 * state.growth, 1 / eps))
        state = LevenbergMarquardtState(new.astype(dtype), growth.astype(dtype))
        return jax.tree.map(lambda d: jnp.where(taken, d, 0).astype(d.dtype), step), state

    return optax.GradientTransformationExtraArgs(init, update)


def matrix_of(params: Params, opt_state: Any) -> int:
    """P if the optimizer's state holds ours, whose steps form a P × P matrix; else 0."""

    def is_ours(node: Any) -> bool:
        return isinstance(node, LevenbergMarquardtState)

    return size_of(params) if any(map(is_ours, jax.tree.leaves(opt_state, is_leaf=is_ours))) else 0


def check_whole(params: Any) -> None:
    """TypeError for a part of a network, ValueError for one whose steps would take too long."""
    if not isinstance(params, Params) or len(jax.tree.leaves(params)) < 4:
        raise TypeError(
            "levenberg_marquardt must see a whole network, Params, outside of optax.masked and optax.partition"
        )
    if (P := size_of(params)) > MOST_PARAMETERS:
        raise ValueError(
            f"levenberg_marquardt must be for a network of at most {MOST_PARAMETERS:,} parameters, got {P:,}: its "
            f"steps take P³/3 operations. Use fewer hidden units or L-BFGS: optax.lbfgs(), or solver='lbfgs'"
        )
