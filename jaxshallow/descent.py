"""Gradient descent, W := W − α dW: one step (`update`), and a compiled step for a loop of your own (`make_train_step`).

Any optax transformation can take the place of plain gradient descent.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from jaxshallow import checks, given
from jaxshallow.backprop import cost_and_grads
from jaxshallow.bounded import bounded_jit
from jaxshallow.curvature import acceleration, gauss_newton
from jaxshallow.optimizers import Optimizer, check_optimizer, start, step
from jaxshallow.params import Params, size_of
from jaxshallow.tiles.jacobians import in_tiles

CostAndGrads: TypeAlias = Callable[..., tuple[Array, Params]]
TrainStep: TypeAlias = Callable[..., tuple[Params, Any, Array]]


def update(params: Params, grads: Params, learning_rate: ArrayLike) -> Params:
    """One step of gradient descent, W := W − α dW, for each of W1, b1, W2, b2; dtypes are kept.

    Args:
        params: the network.
        grads: its gradient, of the same shapes.
        learning_rate: α, ≥ 0.

    Returns:
        The new `Params`.

    Raises:
        ValueError, TypeError: `learning_rate` is not a single finite number of at least 0 that the dtype can hold.

    Example:
        >>> from jaxshallow import init
        >>> params = init(jax.random.key(0), n_x=3, n_h=4)
        >>> float(update(params, jax.tree.map(jnp.ones_like, params), 0.5).b1[0, 0])
        -0.5
    """
    given.scalar("learning_rate", learning_rate, params.W1.dtype)
    return jax.tree.map(lambda W, dW: (W - learning_rate * dW).astype(W.dtype), params, grads)


def curvature_of(X: ArrayLike, Y: ArrayLike, weights: ArrayLike | None, l2: ArrayLike) -> dict[str, Callable[..., Any]]:
    """What a second-order optimizer may ask for: the Gauss-Newton matrix, and the acceleration along a step."""

    def gauss_newton_fn(params: Params) -> Array:
        G: Array = in_tiles(gauss_newton, params, X, Y, weights=weights, l2=l2)
        return G

    def acceleration_fn(params: Params, V: Params) -> Params:
        return acceleration(params, X, Y, V, weights=weights)

    return {"gauss_newton_fn": gauss_newton_fn, "acceleration_fn": acceleration_fn}


def no_curvature(*_: Any) -> dict[str, Callable[..., Any]]:
    """Functions of the same form as those of `curvature_of`, for a step that is traced and not run."""

    def gauss_newton_fn(params: Params) -> Array:
        return jnp.zeros((size_of(params),) * 2, params.W1.dtype)

    return {"gauss_newton_fn": gauss_newton_fn, "acceleration_fn": lambda params, V: V}


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
    curvature: Callable[..., Mapping[str, Callable[..., Any]]] = curvature_of,
) -> tuple[tuple[Params, Any], Array]:
    """One step, by the optimizer or, without one, by `update`; and the cost before it.

    `curvature` is `no_curvature` where there are no examples.
    """

    def at(params: Params) -> tuple[Array, Params]:
        return grads(params, X, Y, weights=weights, l2=l2)

    if optimizer is not None:
        return step(optimizer, at, params, opt_state, curvature(X, Y, weights, l2))
    J, g = at(params)
    return (update(params, g, learning_rate), opt_state), J


def _keeps_memory(optimizer: Optimizer) -> bool:
    """Whether the optimizer's first state holds memory that is not its alone.

    That of L-BFGS holds the parameters, and one with a random key may hold the key that the optimizer starts from.
    """
    try:
        with jax.ensure_compile_time_eval():  # concrete arrays, even inside someone's jit
            W1, b1, W2, b2 = (jax.device_put(np.full((1, 1), k, np.float32)) for k in range(4))
            one = Params(W1, b1, W2, b2)
            leaves = jax.tree.leaves((one, start(optimizer, one), start(optimizer, one)))
            buffers = [_address(leaf) for leaf in leaves if isinstance(leaf, Array)]
    except Exception:  # its mask or labels may fit the user's network only: assume that it does
        return True
    return len(set(buffers)) < len(buffers)


def _address(array: Array) -> int:
    """Where an array lies; a traced one, such as a learning rate, raises."""
    array = jax.random.key_data(array) if jnp.issubdtype(array.dtype, jax.dtypes.prng_key) else array
    return int(array.addressable_data(0).unsafe_buffer_pointer())


def _sizes(params: Any, opt_state: Any, X: Any, Y: Any, weights: Any) -> tuple[Any, ...]:
    """What tells the programs of a step apart, but for a few: to look at all arrays would take a tenth of the step."""
    return tuple(getattr(array, "shape", None) for array in (*jax.tree.leaves(params)[:1], X, Y))


def make_train_step(optimizer: Optimizer, *, l2: ArrayLike = 0.0, grads: CostAndGrads = cost_and_grads) -> TrainStep:
    """A compiled training step for a loop of your own.

    `params` and `opt_state` are donated: their memory is reused for the results, so continue with the returned ones.
    (Nothing is donated if the optimizer's first state is not its alone, as L-BFGS's, which holds the parameters.)
    NumPy arrays are copied: fill the same one with the next batch at once, though the step may still be running.
    The step may be part of your own `jit`, `scan`, `vmap` or `grad`, where nothing is donated.

    Args:
        optimizer: any optax transformation. It gets what it asks for beside the gradient: `value`, `grad`,
            `value_fn`, `obj_fn`, `grad_fn`, `gauss_newton_fn`, `acceleration_fn`, all of this step's examples, weights
            and l2. For `optax.lookahead` give `optax.LookaheadParams.init_synced(params)` in place of `params`.
        l2: strength of the weight decay, as in `cost`.
        grads: cost and gradient, with `cost_and_grads`' signature.

    Returns:
        `step(params, opt_state, X, Y, weights=None) -> (params, opt_state, J)`, with J the cost before the step.

    Raises:
        TypeError: `optimizer` is not optax's; from `step`, if the optimizer cannot take it, as one for a gradient of
            each example.
        ValueError, TypeError: from `step`, as `cost_and_grads`.

    Example:
        >>> import optax
        >>> from jaxshallow import init
        >>> optimizer = optax.adam(0.01)
        >>> params = init(jax.random.key(0), n_x=3, n_h=4)
        >>> step = make_train_step(optimizer)
        >>> params, opt_state, J = step(params, optimizer.init(params), jnp.ones((3, 5)), jnp.ones((1, 5)))
        >>> round(float(J), 1)
        0.7
    """

    check_optimizer(optimizer)

    def train_step(
        params: Params, opt_state: Any, X: ArrayLike, Y: ArrayLike, weights: ArrayLike | None = None
    ) -> tuple[Params, Any, Array]:
        (params, opt_state), J = take_step(optimizer, None, grads, params, opt_state, X, Y, weights, l2)
        return params, opt_state, J

    plain = bounded_jit(train_step, by=_sizes)
    donating = plain if _keeps_memory(optimizer) else bounded_jit(train_step, by=_sizes, donate_argnums=(0, 1))

    @wraps(train_step)
    def on_a_snapshot(
        params: Params, opt_state: Any, X: ArrayLike, Y: ArrayLike, weights: ArrayLike | None = None
    ) -> tuple[Params, Any, Array]:
        if any(isinstance(leaf, np.ndarray) for leaf in jax.tree.leaves((params, opt_state))):
            params, opt_state = jax.tree.map(
                lambda leaf: given.own(leaf) if isinstance(leaf, np.ndarray) else leaf, (params, opt_state)
            )
        # Under vmap or grad, even eagerly, the same arrays may be needed for another part of the batch or derivative.
        compiled = plain if given.is_transformed() else donating
        return compiled(params, opt_state, *checks.snapshot(params, X, Y, weights))

    return on_a_snapshot
