"""What SciPy minimizes: cost and gradient of a network as functions of one vector, in JAX or in NumPy."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.flatten_util import ravel_pytree
from jax.typing import ArrayLike

from jaxshallow.backprop import cost_and_grads
from jaxshallow.bounded import bounded_jit
from jaxshallow.estimators.examples import Examples
from jaxshallow.estimators.numpy_network import Batch, Network
from jaxshallow.estimators.settings import validation_score
from jaxshallow.network import cost, propagate
from jaxshallow.params import Params
from jaxshallow.tiles import stream, tile_size


class Objective(NamedTuple):
    """The cost of a network.

    Attributes:
        value: the cost and its gradient, of a vector of weights.
        validated: the cost and the score on validation examples; None where there are none.
    """

    value: Callable[[np.ndarray], tuple[Any, Any]]
    validated: Callable[[np.ndarray], tuple[Any, Any]] | None


def in_numpy(like: Params, l2: float, examples: Batch, validation: Batch | None) -> Objective:
    """The objective of a network like this one, computed in its dtype."""
    network, dtype = Network(like, l2), like.W1.dtype

    def value(theta: np.ndarray) -> tuple[Any, np.ndarray]:
        return network.cost_and_slope(theta.astype(dtype), examples)

    def validated(theta: np.ndarray) -> tuple[float, float]:
        assert validation is not None
        return network.validated(theta.astype(dtype), validation)

    return Objective(value, None if validation is None else validated)


def in_jax(like: Params, l2: float, examples: Examples, validation: Examples | None) -> Objective:
    """The same, of examples as columns on a device."""
    weight_decay, streamed = np.asarray(l2, like.W1.dtype), examples.X.shape[1] >= 8 * tile_size(like)
    value = partial(_cost_and_slope, like=like, examples=examples, l2=weight_decay, streamed=streamed)
    return Objective(value, None if validation is None else partial(_validated, like=like, examples=validation))


@partial(bounded_jit, static_argnames=("streamed",))
def _cost_and_slope(
    theta: ArrayLike, *, like: Params, examples: Examples, l2: ArrayLike, streamed: bool
) -> tuple[Array, Array]:
    grads = stream(cost_and_grads) if streamed else cost_and_grads
    X, Y, weights = examples
    J, slope = grads(_network(theta, like), X, Y, weights=weights, l2=l2)
    return J, ravel_pytree(slope)[0]


@bounded_jit
def _validated(theta: ArrayLike, *, like: Params, examples: Examples) -> tuple[Array, Array]:
    params, columns = _network(theta, like), examples
    X, Y, weights = jax.tree.map(jnp.asarray, columns)
    A2 = propagate(params, X).A2
    return cost(params, X, Y, weights=weights), validation_score(A2, Y, weights, params.task)


def _network(theta: ArrayLike, like: Params) -> Params:
    flat, unravel = ravel_pytree(like)
    return unravel(jnp.asarray(theta, flat.dtype))
