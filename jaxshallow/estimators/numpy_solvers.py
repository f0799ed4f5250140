"""The solvers of `solvers` in NumPy. They step on all weights of a network as one vector: fewer and longer operations.

A state has the form of the state there, with vectors in the place of `Params`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import optax

from jaxshallow.estimators.solvers import Rate, Seen, decay_steps


class Solver(NamedTuple):
    """An optimizer, as optax has them.

    Attributes:
        init: the state before the first step, from the weights.
        update: what to add to the weights and the new state, from the gradient and the state.
    """

    init: Callable[[np.ndarray], Any]
    update: Callable[[np.ndarray, Any], tuple[np.ndarray, Any]]


def numpy_solver(params: Mapping[str, Any], config: Mapping[str, Any], n_examples: int, steps: int) -> Solver:
    """The solver of a network.

    Args:
        params: of its estimator.
        config: its own numbers, as `fit_many` takes them.
        n_examples: that it trains on.
        steps: in an epoch.
    """
    rate = float(config["learning_rate"])  # Python's numbers leave the dtype of an array as it is
    falls = params["learning_rate"] == "cosine"
    if params["solver"] == "adam":
        solver = adam(rate, float(config["b1"]), float(config["b2"]), float(config["eps"]))
        return and_then(solver, cosine(decay_steps(params, steps))) if falls else solver
    if falls:
        scaling = and_then(cosine(decay_steps(params, steps)), constant(rate))
    elif params["learning_rate"] == "invscaling":
        scaling = invscaling(rate, float(params["power_t"]), float(config["t_before"]), n_examples, steps)
    elif params["learning_rate"] == "adaptive":
        scaling = adaptive(rate)
    else:
        scaling = constant(rate)
    return momentum(scaling, float(config["momentum"]), bool(params["nesterovs_momentum"]))


def adam(rate: float, b1: float, b2: float, eps: float) -> Solver:
    def init(theta: np.ndarray) -> Any:
        return optax.ScaleByAdamState(np.int32(0), np.zeros_like(theta), np.zeros_like(theta)), optax.EmptyState()

    def update(g: np.ndarray, state: Any) -> tuple[np.ndarray, Any]:
        (t, m, v), empty = state
        t, m, v = t + np.int32(1), b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * (g * g)
        α = rate * (1 - b2 ** int(t)) ** 0.5 / (1 - b1 ** int(t))
        return -α * m / (np.sqrt(v) + eps), (optax.ScaleByAdamState(t, m, v), empty)

    return Solver(init, update)


def momentum(scaling: Solver, decay: float, nesterov: bool) -> Solver:
    """A velocity of gradients, each of which `scaling` has multiplied by the rate of its step."""

    def init(theta: np.ndarray) -> Any:
        return scaling.init(theta), optax.TraceState(np.zeros_like(theta))

    def update(g: np.ndarray, state: Any) -> tuple[np.ndarray, Any]:
        scaled, (velocity,) = state
        g, scaled = scaling.update(g, scaled)
        velocity = g + decay * velocity
        return g + decay * velocity if nesterov else velocity, (scaled, optax.TraceState(velocity))

    return Solver(init, update)


def and_then(before: Solver, after: Solver) -> Solver:
    """`optax.chain` of two, with its state."""

    def update(g: np.ndarray, state: Any) -> tuple[np.ndarray, Any]:
        g, first = before.update(g, state[0])
        g, second = after.update(g, state[1])
        return g, (first, second)

    return Solver(lambda theta: (before.init(theta), after.init(theta)), update)


def cosine(decay: int) -> Solver:
    def update(g: np.ndarray, state: Any) -> tuple[np.ndarray, Any]:
        t = int(state.count)
        factor = (1 + math.cos(math.pi * min(t, decay) / decay)) / 2
        return factor * g, optax.ScaleByScheduleState(np.int32(t + 1))

    return Solver(lambda theta: optax.ScaleByScheduleState(np.int32(0)), update)


def constant(rate: float) -> Solver:
    return Solver(lambda theta: optax.EmptyState(), lambda g, state: (-rate * g, state))


def invscaling(rate: float, power_t: float, t_before: float, n_examples: int, steps: int) -> Solver:
    def update(g: np.ndarray, state: Any) -> tuple[np.ndarray, Any]:
        step, examples = int(state.step), float(state.examples)
        now = rate / (1 + examples) ** power_t
        if step + 1 == steps:
            return -now * g, Seen(np.int32(0), (examples or t_before) + n_examples)  # type: ignore[arg-type]
        return -now * g, Seen(np.int32(step + 1), examples)  # type: ignore[arg-type]

    return Solver(lambda theta: Seen(np.int32(0), 0.0), update)  # type: ignore[arg-type]


def adaptive(rate: float) -> Solver:
    return Solver(lambda theta: Rate(rate), lambda g, state: (-float(state.rate) * g, state))  # type: ignore[arg-type]
