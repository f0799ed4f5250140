"""The solver "lbfgs": SciPy's L-BFGS-B, as in scikit-learn, on cost and gradient that JAX compiles.

SciPy takes the numbers in float64, and the line search needs them so: in float32 it gives up at R² 0.96 where 0.99 can
be reached. Hence the estimators train it in the dtype of X, float64 for most.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.flatten_util import ravel_pytree
from jax.typing import ArrayLike
from scipy.optimize import minimize
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits

from jaxshallow.backprop import cost_and_grads
from jaxshallow.bounded import bounded_jit
from jaxshallow.many.chunks import Place
from jaxshallow.many.result import Many, Stack
from jaxshallow.meshes import no_mesh
from jaxshallow.network import cost, propagate
from jaxshallow.params import Params, init
from jaxshallow.tiles import stream, tile_size
from jaxshallow.training.epochs import History, State

Examples = tuple[Any, Any, Any]  # X, Y and weights or None, as columns


class Limits(NamedTuple):
    """When a run ends.

    Attributes:
        iterations, evaluations: at most so many.
        tol: no entry of the gradient is larger.
        patience: iterations without a lower validation cost.
    """

    iterations: int
    evaluations: int
    tol: float
    patience: float


class Ended(Exception):
    """The validation cost has not fallen for long enough."""


class Run:
    """One network on its way.

    Attributes:
        n_iter: how many iterations it has had.
        costs, validation_costs, scores: after each iteration; the cost at first, if there was none.
        theta: the parameters after the last iteration, as a vector.
        best: those of the lowest validation cost; without validation the last.
        message: why the run ended short of its aim; "" if it did not.
        finished: False after Ctrl-C.
    """

    def __init__(self, params: Params, l2: Any, examples: Examples, validation: Examples | None, score: Any) -> None:
        leaves = [np.ravel(leaf) for leaf in jax.tree.leaves(params)]  # in NumPy: there is nothing to compile
        self.theta = self.best = np.concatenate(leaves).astype(np.float64)
        self.like, self.l2, self.examples, self.validation, self._score = params, l2, examples, validation, score
        self.costs: list[float] = []
        self.validation_costs: list[float] = []
        self.scores: list[float] = []
        self.message, self.finished, self.n_iter, self._idle = "", True, 0, 0
        self.streamed = examples[0].shape[1] >= 8 * tile_size(params)

    def value(self, theta: np.ndarray) -> tuple[float, np.ndarray]:
        """The cost and its gradient, for SciPy."""
        J, slope = cost_and_slope(theta, self.like, *self.examples, self.l2, streamed=self.streamed)
        self._now = float(J)
        self.costs = self.costs or [self._now]
        return self._now, np.asarray(slope, np.float64)

    def after_iteration(self, theta: np.ndarray, limits: Limits, report: Callable[[Run], None]) -> None:
        """Record an iteration; the cost is the last that the line search asked for."""
        self.theta, self.n_iter = theta.copy(), self.n_iter + 1
        self.costs[self.n_iter - 1 :] = [self._now]
        self.best = self.theta if self.validation is None else self._better(self.validation, limits.tol)
        report(self)
        if self._idle >= limits.patience:
            raise Ended

    def _better(self, examples: Examples, tol: float) -> np.ndarray:
        """The parameters of the lowest validation cost, after this iteration."""
        J, score = validated(self.theta, self.like, *examples, score=self._score)
        before = min(self.validation_costs, default=np.inf)
        self._idle = 0 if before - tol > J else self._idle + 1
        self.validation_costs.append(float(J))
        self.scores.append(float(score))
        return self.theta if before > J else self.best

    def minimize(self, limits: Limits, report: Callable[[Run], None]) -> None:
        options = {"maxiter": limits.iterations, "maxfun": limits.evaluations, "gtol": limits.tol}
        try:
            found = minimize(
                self.value, self.theta, jac=True, method="L-BFGS-B", options=options,
                callback=lambda theta: self.after_iteration(theta, limits, report),
            )  # fmt: skip
        except Ended:
            return
        except KeyboardInterrupt:
            self.finished = False
            return
        if found.status != 0:
            self.message = f"(status={found.status}):\n{found.message}"

    @property
    def params(self) -> Params:
        """The network as it is best known, in NumPy."""
        leaves, tree = jax.tree.flatten(self.like)
        parts = np.split(self.best.astype(self.like.W1.dtype), np.cumsum([leaf.size for leaf in leaves])[:-1])
        return jax.tree.unflatten(tree, [part.reshape(leaf.shape) for part, leaf in zip(parts, leaves, strict=True)])


@partial(bounded_jit, static_argnames=("streamed",))
def cost_and_slope(
    theta: ArrayLike, like: Params, X: Array, Y: Array, weights: Array | None, l2: ArrayLike, *, streamed: bool
) -> tuple[Array, Array]:
    """The cost at the parameters `theta`, a vector of the numbers in `like`, and its gradient, a vector as well."""
    grads = stream(cost_and_grads) if streamed else cost_and_grads
    J, slope = grads(network(theta, like), X, Y, weights=weights, l2=l2)
    return J, ravel_pytree(slope)[0]


@partial(bounded_jit, static_argnames=("score",))
def validated(theta: Array, like: Params, X: Array, Y: Array, weights: Array | None, *, score: Any) -> Any:
    """The cost and the score on validation examples."""
    params = network(theta, like)
    A2 = propagate(params, X).A2
    return cost(params, X, Y, weights=weights), score(A2, Y, weights, params.task)


def network(theta: ArrayLike, like: Params) -> Params:
    flat, unravel = ravel_pytree(like)
    return unravel(jnp.asarray(theta, flat.dtype))


def train_lbfgs(
    key: Array,
    examples: Examples,
    validation: Examples | None,
    configs: Sequence[Mapping[str, Any]],
    limits: Limits,
    *,
    output: str,
    device: jax.Device,
    start: State | None,
    score: Callable[..., Array],
    report: Callable[[Run], None],
) -> Many:
    """Train the networks of all configs, one after another: what `fit_many` returns for the other solvers.

    Args:
        key, configs, output: as in `fit_many`.
        examples, validation: as columns; their dtype is that of computation.
        limits: of each run.
        device: where to compute cost and gradient.
        start: networks to begin with, stacked; None: new ones.
        score: recorded on the validation examples beside their cost.
        report: called after each iteration.
    """
    n_x, n_y, dtype = len(examples[0]), len(examples[1]), examples[0].dtype
    runs: list[Run] = []
    examples, validation = jax.device_put((examples, validation), device)
    # The vectors of L-BFGS-B are short: threads of BLAS would wait for each other most of the time.
    with no_mesh(), jax.default_device(device), threadpool_limits(1, user_api="blas"):
        for k, config in enumerate(configs):
            if start is None:
                params = init(
                    jax.random.fold_in(key, config["seed"]), n_x, config["n_h"], n_y,
                    hidden=config["hidden"], output=output, scale=config["scale"], dtype=dtype,
                )  # fmt: skip
            else:
                params = jax.tree.map(lambda leaf, k=k: leaf[k], start.params)
            runs.append(Run(params, np.asarray(config["l2"], dtype), examples, validation, score))
            runs[-1].minimize(limits, report)
            if not runs[-1].finished:
                break
    warn_of(runs, limits)
    return collected(runs, configs)


def warn_of(runs: Sequence[Run], limits: Limits) -> None:
    """Say once if runs ended short of their aim."""
    short = [run for run in runs if run.message]
    if not short:
        return
    n_iter = short[0].n_iter
    more = f", or increase max_iter={limits.iterations}" if n_iter >= limits.iterations else ""
    of = f" in {len(short)} of {len(runs)} networks" if len(runs) > 1 else ""
    warnings.warn(
        f"lbfgs failed to converge after {n_iter} iteration(s){of} {short[0].message}\nYou may scale the data{more}",
        ConvergenceWarning,
        stacklevel=1,
    )


def collected(runs: Sequence[Run], configs: Sequence[Mapping[str, Any]]) -> Many:
    """The runs as a `Many`; those that had no turn are missing."""
    K, longest = len(configs), max([1, *(len(run.costs) for run in runs)])

    def curves(of: Callable[[Run], list[float]]) -> np.ndarray:
        table = np.full((K, longest), np.nan)
        for k, run in enumerate(runs):
            table[k, : len(of(run))] = of(run)
        return table

    validated = bool(runs) and runs[0].validation is not None
    costs = curves(lambda run: run.costs)
    left = [0] * (K - len(runs))
    lost = [not np.isfinite([*run.best, (run.validation_costs or run.costs)[-1]]).all() for run in runs]
    return Many(
        configs=tuple(dict(config) for config in configs),
        history=History(
            costs,
            curves(lambda run: run.validation_costs) if validated else None,
            curves(lambda run: run.scores) if validated else None,
        ),
        epochs=np.array([run.n_iter for run in runs] + left),
        diverged_at=np.array([0 if one else -1 for one in lost + left]),
        finished=len(runs) == K and all(run.finished for run in runs),
        stacks=tuple(stack_of(k, run) for k, run in enumerate(runs)),
        epochs_before=0,
        folds=None,
    )


def stack_of(k: int, run: Run) -> Stack:
    params = jax.tree.map(lambda leaf: leaf[None], run.params)
    best = params if run.validation is not None else None
    return Stack(np.array([k]), State(params, (), best_params=best), None, Place(run.n_iter, 1, 1, np.array([False])))
