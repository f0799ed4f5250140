"""Full-batch epochs over many examples: each gradient on all cores, started from the host, then a program's step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxshallow.backprop import cost_and_grads
from jaxshallow.bounded import bounded_jit
from jaxshallow.descent import no_curvature, take_step
from jaxshallow.optimizers import Optimizer
from jaxshallow.params import Params
from jaxshallow.tiles.streaming import on_all_cores
from jaxshallow.training.epochs import History, State, run_epochs

Objective = Callable[[Params], tuple[Array, Params]]


def objective_on_all_cores(
    optimizer: Optimizer | None, state: State, X: Array, Y: Array, weights: Array | None, l2: Array
) -> Objective | None:
    """The cost and its gradient as a function that the host calls, where that is faster than a program of epochs.

    None: the examples are few or not on one CPU, or the optimizer asks for more than the gradient at its parameters.
    """
    objective = on_all_cores(cost_and_grads, state.params, X, Y, weights=weights, l2=l2)
    return objective if objective is not None and asks_once(optimizer, state) else None


def asks_once(optimizer: Optimizer | None, state: State) -> bool:
    """Whether a step needs the gradient where it starts, and nothing else of the cost."""
    asked = []

    def step(params: Params, opt_state: Any) -> Any:
        def grads(at: Params, *_: Any, **__: Any) -> tuple[Array, Params]:
            asked.append(at.W1 is params.W1)
            return jnp.zeros((), at.W1.dtype), at

        return take_step(optimizer, 0.0, grads, params, opt_state, params.W1, params.W1, None, 0.0, no_curvature)

    jax.eval_shape(step, state.params, state.opt_state)
    return asked == [True]


def epochs_on_all_cores(
    objective: Objective, state: State, *data: Any, epochs: int, patience: int | None, **options: Any
) -> tuple[State, tuple[History, np.ndarray]]:
    """As `run_epochs`, but that the epochs after the one that patience ends do not run at all."""
    seen = []
    for _ in range(epochs):
        state, one = _step(objective(state.params), state, *data, patience=patience, **options)
        seen.append(one)
        if patience is not None and not one[1][0]:
            break
    return state, jax.tree.map(lambda *leaves: np.concatenate(leaves), *seen)


def _epoch(found: tuple[Array, Params], state: State, *data: Any, **options: Any) -> Any:
    return run_epochs(state, *data, grads=lambda *_, **__: found, epochs=1, **options)


_step = bounded_jit(_epoch, functions=("optimizer", "validation_cost_of"), static_argnames=("patience",))
