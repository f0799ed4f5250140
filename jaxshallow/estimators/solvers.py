"""scikit-learn's solvers, as functions of a learning rate that make an optax optimizer.

JAX compiles a program for each such function, so that equal settings must give the same one: hence the caches.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import optax

from jaxshallow.many.optimizers import INDIFFERENT

Factory = Callable[..., optax.GradientTransformation]


def solver(params: Mapping[str, Any], n_examples: int, steps: int) -> Factory:
    """The function for an estimator's parameters.

    Args:
        params: of an estimator.
        n_examples: that it trains on.
        steps: in an epoch.
    """
    nesterov = bool(params["nesterovs_momentum"])
    if params["solver"] == "lbfgs":
        return lbfgs
    if params["solver"] == "adam":
        return optax.adam
    if params["learning_rate"] == "invscaling":
        return sgd_invscaling(nesterov, float(params["power_t"]), n_examples, steps)
    if params["learning_rate"] == "adaptive":
        return sgd_adaptive(nesterov, params["n_iter_no_change"] + 1, float(params["tol"]), steps)
    return sgd(nesterov)


def lbfgs(learning_rate: Any) -> optax.GradientTransformation:
    """Has no use for the learning rate: a line search finds the length of each step."""
    return optax.lbfgs()


INDIFFERENT.add(lbfgs)


@functools.cache
def sgd(nesterov: bool) -> Factory:
    return functools.partial(optax.sgd, nesterov=nesterov)


@functools.cache
def sgd_invscaling(nesterov: bool, power_t: float, n_examples: int, steps: int) -> Factory:
    """α / (1 + t)ᵖ, where t counts the examples of all epochs before this one, and p is `power_t`."""

    def factory(learning_rate: Any, momentum: Any) -> optax.GradientTransformation:
        def rate(step: Any) -> Any:
            return learning_rate / (1.0 + step // steps * n_examples) ** power_t

        return optax.sgd(rate, momentum, nesterov)

    return factory


@functools.cache
def sgd_adaptive(nesterov: bool, patience: int, tol: float, steps: int) -> Factory:
    """α, divided by 5 each time that the mean cost of an epoch has not fallen by `tol` for `patience` epochs."""
    plateau = optax.contrib.reduce_on_plateau(
        0.2, patience, rtol=0.0, atol=max(tol, np.finfo(np.float32).tiny), accumulation_size=steps
    )

    def factory(learning_rate: Any, momentum: Any) -> optax.GradientTransformation:
        return optax.chain(optax.sgd(learning_rate, momentum, nesterov), plateau)

    return factory
