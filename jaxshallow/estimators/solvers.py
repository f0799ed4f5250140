"""scikit-learn's stochastic solvers, as functions of a learning rate that make an optax optimizer; and "lm".

They step as those of its MLP do: the velocity of "sgd" holds gradients times the rate of their own step, and Adam adds
ε before it corrects the bias. JAX compiles a program for each such function, so that equal settings must give the same
one: hence the caches.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array

from jaxshallow.params import Params
from jaxshallow.training import levenberg_marquardt

Factory = Callable[..., optax.GradientTransformation]
SMALLEST_RATE = 1e-6  # at which "adaptive" stops


def solver(params: Mapping[str, Any], n_examples: int, steps: int) -> Factory:
    """The function for an estimator's parameters.

    Args:
        params: of an estimator.
        n_examples: that it trains on.
        steps: in an epoch.
    """
    nesterov = bool(params["nesterovs_momentum"])
    if params["solver"] == "lm":
        return levenberg_marquardt
    if params["solver"] == "adam":
        return adam_cosine(decay_steps(params, steps)) if params["learning_rate"] == "cosine" else adam
    if params["learning_rate"] == "cosine":
        return sgd_cosine(nesterov, decay_steps(params, steps))
    if params["learning_rate"] == "invscaling":
        return sgd_invscaling(nesterov, float(params["power_t"]), n_examples, steps)
    if params["learning_rate"] == "adaptive":
        return sgd_adaptive(nesterov)
    return sgd(nesterov)


def adam(learning_rate: Any, b1: Any, b2: Any, eps: Any) -> optax.GradientTransformation:
    """Adam with m̂ / (√v̂ + ε / √(1 − β₂ᵗ)): scikit-learn adds ε to √v, and corrects the bias afterwards."""
    plain = optax.scale_by_adam(b1, b2)

    def update(grads: Params, state: Any, params: Params | None = None) -> tuple[Params, Any]:
        corrected = eps / jnp.sqrt(1 - b2 ** (state.count + 1))
        return optax.scale_by_adam(b1, b2, corrected).update(grads, state, params)

    return optax.chain(optax.GradientTransformation(plain.init, update), optax.scale_by_learning_rate(learning_rate))


def decay_steps(params: Mapping[str, Any], steps: int) -> int:
    """The steps in which "cosine" goes from the learning rate to 0: those of `max_iter` epochs."""
    return int(params["max_iter"]) * steps


def falling(decay: int) -> optax.GradientTransformation:
    """(1 + cos(π t / decay)) / 2 times the gradients of step t."""
    return optax.scale_by_schedule(optax.cosine_decay_schedule(1.0, decay))


@functools.cache
def adam_cosine(decay: int) -> Factory:
    """Adam, its rate times (1 + cos(π t / decay)) / 2 at step t."""

    def factory(learning_rate: Any, b1: Any, b2: Any, eps: Any) -> optax.GradientTransformation:
        return optax.chain(adam(learning_rate, b1, b2, eps), falling(decay))

    return factory


# ---- each gradient is scaled before it enters the velocity, not the velocity ----


@functools.cache
def sgd(nesterov: bool) -> Factory:
    """α, always."""

    def factory(learning_rate: Any, momentum: Any) -> optax.GradientTransformation:
        return optax.chain(optax.scale_by_learning_rate(learning_rate), optax.trace(momentum, nesterov))

    return factory


@functools.cache
def sgd_cosine(nesterov: bool, decay: int) -> Factory:
    """α (1 + cos(π t / decay)) / 2 at step t."""

    def factory(learning_rate: Any, momentum: Any) -> optax.GradientTransformation:
        scaling = optax.chain(falling(decay), optax.scale_by_learning_rate(learning_rate))
        return optax.chain(scaling, optax.trace(momentum, nesterov))

    return factory


class Seen(NamedTuple):
    """The state of "invscaling".

    Attributes:
        step: of this epoch.
        examples: seen at the end of the last epoch, in earlier fits too; 0 before the first.
    """

    step: Array
    examples: Array


@functools.cache
def sgd_invscaling(nesterov: bool, power_t: float, n_examples: int, steps: int) -> Factory:
    """α / (1 + t)ᵖ, where t counts the examples of all epochs before this one, and p is `power_t`.

    As in scikit-learn, a warm start begins with α, and goes on with t from `t_before` after an epoch.
    """

    def factory(learning_rate: Any, momentum: Any, t_before: Any) -> optax.GradientTransformation:
        def init(params: Params) -> Seen:
            return Seen(jnp.int32(0), jnp.zeros((), params.W1.dtype))

        def update(grads: Params, state: Seen, params: Params | None = None) -> tuple[Params, Seen]:
            rate = learning_rate / (1 + state.examples) ** power_t
            ends = state.step + 1 == steps
            examples = jnp.where(state.examples == 0, t_before, state.examples) + n_examples
            after = Seen(jnp.where(ends, 0, state.step + 1), jnp.where(ends, examples, state.examples))
            return scaled(-rate, grads), after

        return optax.chain(optax.GradientTransformation(init, update), optax.trace(momentum, nesterov))

    return factory


class Rate(NamedTuple):
    """The state of "adaptive": the learning rate."""

    rate: Array


@functools.cache
def sgd_adaptive(nesterov: bool) -> Factory:
    """α, until `lowered` makes it less."""

    def factory(learning_rate: Any, momentum: Any) -> optax.GradientTransformation:
        def init(params: Params) -> Rate:
            return Rate(jnp.asarray(learning_rate, params.W1.dtype))

        def update(grads: Params, state: Rate, params: Params | None = None) -> tuple[Params, Rate]:
            return scaled(-state.rate, grads), state

        return optax.chain(optax.GradientTransformation(init, update), optax.trace(momentum, nesterov))

    return factory


def lowered(opt_state: Any) -> tuple[Any, Array]:
    """The state of `sgd_adaptive` after a plateau: a fifth of the rate; and whether it was small enough to stop."""
    (rate,), velocity = opt_state
    return (Rate(rate / 5), velocity), rate <= SMALLEST_RATE


def rate_of(opt_state: Any) -> Array:
    """The learning rate in the state of `sgd_adaptive`."""
    return opt_state[0].rate


def scaled(factor: Array, grads: Params) -> Params:
    return jax.tree.map(lambda g: factor * g, grads)
