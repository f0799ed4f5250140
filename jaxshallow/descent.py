"""Gradient descent, W := W − α dW: one step (`update`), and a compiled step for a loop of your own (`make_train_step`).

Any optax transformation can take the place of plain gradient descent.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import optax
from jax import Array
from jax.typing import ArrayLike

from jaxshallow.backprop import cost_and_grads
from jaxshallow.params import Params

Optimizer: TypeAlias = optax.GradientTransformation

CostAndGrads: TypeAlias = Callable[..., tuple[Array, Params]]
TrainStep: TypeAlias = Callable[..., tuple[Params, Any, Array]]


def update(params: Params, grads: Params, learning_rate: ArrayLike) -> Params:
    """One step of gradient descent, W := W − α dW, for each of W1, b1, W2, b2; dtypes are kept.

    Args:
        params: the network.
        grads: its gradient, of the same shapes.
        learning_rate: α.

    Returns:
        The new `Params`.

    Example:
        >>> from jaxshallow import init
        >>> params = init(jax.random.key(0), n_x=3, n_h=4)
        >>> float(update(params, jax.tree.map(jnp.ones_like, params), 0.5).b1[0, 0])
        -0.5
    """
    return jax.tree.map(lambda W, dW: (W - learning_rate * dW).astype(W.dtype), params, grads)


def take_step(
    optimizer: Optimizer | None,
    learning_rate: Any,
    grads: CostAndGrads,
    params: Params,
    opt_state: Any,
    X: ArrayLike,
    Y: ArrayLike,
    weights: ArrayLike | None,
    l2: ArrayLike,
) -> tuple[tuple[Params, Any], Array]:
    """One step, by the optimizer or, without one, by `update`; and the cost before it."""

    def at(params: Params) -> tuple[Array, Params]:
        return grads(params, X, Y, weights=weights, l2=l2)

    J, g = at(params)
    if optimizer is None:
        return (update(params, g, learning_rate), opt_state), J
    # Line searches (L-BFGS) and plateau schedules need the cost as well; others ignore it.
    updates, opt_state = optax.with_extra_args_support(optimizer).update(
        g, opt_state, params, value=J, grad=g, value_fn=lambda params: at(params)[0]
    )
    return (optax.apply_updates(params, updates), opt_state), J


def _keeps_params(optimizer: Optimizer) -> bool:
    """Whether the optimizer's state shares buffers with the parameters, as L-BFGS's first state does."""
    W1, b1, W2, b2 = (jnp.full((1, 1), k, jnp.float32) for k in range(4))
    one = Params(W1, b1, W2, b2)
    try:
        leaves = jax.tree.leaves((one, optimizer.init(one)))
    except (TypeError, ValueError):
        return True  # its mask or labels fit the user's network only: assume that it does
    buffers = [leaf.addressable_data(0).unsafe_buffer_pointer() for leaf in leaves if isinstance(leaf, Array)]
    return len(set(buffers)) < len(buffers)


def make_train_step(optimizer: Optimizer, *, l2: ArrayLike = 0.0, grads: CostAndGrads = cost_and_grads) -> TrainStep:
    """A compiled training step for a loop of your own.

    `params` and `opt_state` are donated: their memory is reused for the results, so continue with the returned ones.
    (Nothing is donated if the optimizer's state shares the parameters' memory, as L-BFGS's does.)

    Args:
        optimizer: any optax transformation.
        l2: strength of the weight decay, as in `cost`.
        grads: cost and gradient, with `cost_and_grads`' signature.

    Returns:
        `step(params, opt_state, X, Y, weights=None) -> (params, opt_state, J)`, with J the cost before the step.

    Raises:
        ValueError, TypeError: from `step`, as `cost_and_grads`.

    Example:
        >>> from jaxshallow import init
        >>> optimizer = optax.adam(0.01)
        >>> params = init(jax.random.key(0), n_x=3, n_h=4)
        >>> step = make_train_step(optimizer)
        >>> params, opt_state, J = step(params, optimizer.init(params), jnp.ones((3, 5)), jnp.ones((1, 5)))
        >>> round(float(J), 1)
        0.7
    """

    def step(
        params: Params, opt_state: Any, X: ArrayLike, Y: ArrayLike, weights: ArrayLike | None = None
    ) -> tuple[Params, Any, Array]:
        (params, opt_state), J = take_step(optimizer, None, grads, params, opt_state, X, Y, weights, l2)
        return params, opt_state, J

    return jax.jit(step, donate_argnums=() if _keeps_params(optimizer) else (0, 1))
