"""A network in NumPy, all of whose weights are one vector, as optimizers like them; and the examples of a step."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import numpy as np

from jaxshallow.estimators.examples import Examples
from jaxshallow.estimators.settings import validation_score
from jaxshallow.in_numpy import Formula, Weights, backpropagate, cost_of, propagate, relative_weights
from jaxshallow.params import Params, task_of


class Batch(NamedTuple):
    """Examples of a step, as columns.

    Attributes:
        X: (n_x, m).
        Y: (n_y, m).
        w, per_total: their weights, as `relative_weights` gives them.
    """

    X: np.ndarray
    Y: np.ndarray
    w: Any
    per_total: float

    @classmethod
    def of(cls, rows: Examples) -> Batch:
        return cls(rows.X.T, rows.Y.T, *relative_weights(len(rows.X), rows.weights))


class Network:
    """What does not change while a network trains.

    Attributes:
        like: a network of its shapes, dtype and nonlinearities.
        formula: of these.
        l2: strength of the weight decay.
    """

    def __init__(self, like: Params, l2: float) -> None:
        formula = Formula.of(like.hidden, like.output)
        if formula is None:
            raise ValueError(f"hidden must be known in NumPy, got {like.hidden!r}")
        self.like, self.formula, self.l2 = like, formula, l2
        self._task = task_of(like.output, len(like.W2))

    def cost_and_slope(self, theta: np.ndarray, batch: Batch) -> tuple[Any, np.ndarray]:
        """The cost, and its gradient as a vector."""
        X, Y, w, per_total = batch
        weights, λ = weights_of(theta, self.like), self.l2 * per_total
        cache: Any = propagate(self.formula, weights, X)
        J = cost_of(self.formula, weights, cache.Z2, Y, w, λ)
        _, dW2, db2, _, dW1, db1 = backpropagate(self.formula, weights, X, Y, cache, w, λ)
        return J, vector(dW1, db1, dW2, db2)

    def validated(self, theta: np.ndarray, batch: Batch) -> tuple[float, float]:
        """The cost without weight decay, and the score."""
        weights = weights_of(theta, self.like)
        cache: Any = propagate(self.formula, weights, batch.X)
        J = cost_of(self.formula, weights, cache.Z2, batch.Y, batch.w, 0.0)
        w = np.ravel(batch.w * np.ones_like(batch.Y[:1]))
        return float(J), float(validation_score(cache.A2, batch.Y, w, self._task))


def weights_of(theta: np.ndarray, like: Params) -> Weights:
    """The arrays that a vector holds, in the shapes of a network like this one: views of it."""
    (n_h, n_x), n_y = like.W1.shape, len(like.W2)
    first = n_h * n_x
    second = first + n_h
    third = second + n_y * n_h
    W1, b1, W2, b2 = theta[:first], theta[first:second], theta[second:third], theta[third:]
    return Weights(W1.reshape(n_h, n_x), b1[:, None], W2.reshape(n_y, n_h), b2[:, None])


def params_of(theta: np.ndarray, like: Params) -> Params:
    """The network of a vector."""
    arrays: Any = weights_of(theta, like)._asdict()
    return Params(**arrays, hidden=like.hidden, output=like.output)


def vector(*arrays: np.ndarray) -> np.ndarray:
    """The arrays one behind the other."""
    return np.concatenate([array.ravel() for array in arrays])


def vector_of(params: Params) -> np.ndarray:
    """The vector of a network or a gradient."""
    return vector(*jax.tree.leaves(params))
