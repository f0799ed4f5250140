"""The solver "lbfgs": SciPy's L-BFGS-B, as in scikit-learn, on an objective in JAX or in NumPy.

SciPy takes the numbers in float64, and the line search needs them so: in float32 it gives up at R² 0.96 where 0.99 can
be reached. Hence the estimators train it in the dtype of X, float64 for most.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import minimize
from sklearn.exceptions import ConvergenceWarning

from jaxshallow.estimators.numpy_network import params_of, vector_of
from jaxshallow.estimators.objectives import Objective
from jaxshallow.estimators.results import many_of
from jaxshallow.estimators.threads import one_blas_thread
from jaxshallow.many import Many
from jaxshallow.params import Params
from jaxshallow.training.epochs import History, State


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

    def __init__(self, params: Params, objective: Objective) -> None:
        self.theta = self.best = vector_of(params).astype(np.float64)
        self.like, self.objective = params, objective
        self.costs: list[float] = []
        self.validation_costs: list[float] = []
        self.scores: list[float] = []
        self.message, self.finished, self.n_iter, self._idle = "", True, 0, 0

    def value(self, theta: np.ndarray) -> tuple[float, np.ndarray]:
        """The cost and its gradient, for SciPy."""
        J, slope = self.objective.value(theta)
        self._now = float(J)
        self.costs = self.costs or [self._now]
        return self._now, np.asarray(slope, np.float64)

    def after_iteration(self, theta: np.ndarray, limits: Limits, report: Callable[[Run], None]) -> None:
        """Record an iteration; the cost is the last that the line search asked for."""
        self.theta, self.n_iter = theta.copy(), self.n_iter + 1
        self.costs[self.n_iter - 1 :] = [self._now]
        validated = self.objective.validated
        self.best = self.theta if validated is None else self._better(*validated(self.theta), limits.tol)
        report(self)
        if self._idle >= limits.patience:
            raise Ended

    def _better(self, J: Any, score: Any, tol: float) -> np.ndarray:
        """The parameters of the lowest validation cost, after this iteration with its validation cost and score."""
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
    def state(self) -> State:
        """The network as it is best known, in NumPy."""
        params = params_of(self.best.astype(self.like.W1.dtype), self.like)
        return State(params, (), best_params=params if self.objective.validated else None)


def train_lbfgs(
    networks: Sequence[Params],
    objectives: Sequence[Objective],
    configs: Sequence[Mapping[str, Any]],
    limits: Limits,
    report: Callable[[Run], None],
) -> Many:
    """Train networks one after another: what `fit_many` returns for the other solvers.

    Args:
        networks: where they begin.
        objectives: of each.
        configs: of each, for the result.
        limits: of each run.
        report: called after each iteration.
    """
    runs: list[Run] = []
    # A network that diverges is known by its cost.
    with one_blas_thread(), np.errstate(all="ignore"):
        for params, objective in zip(networks, objectives, strict=True):
            runs.append(Run(params, objective))
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

    validated = bool(runs) and runs[0].objective.validated is not None
    left = [0] * (K - len(runs))
    lost = [not np.isfinite([*run.best, (run.validation_costs or run.costs)[-1]]).all() for run in runs]
    history = History(
        curves(lambda run: run.costs),
        curves(lambda run: run.validation_costs) if validated else None,
        curves(lambda run: run.scores) if validated else None,
    )
    return many_of(
        configs,
        [run.state for run in runs],
        history,
        np.array([run.n_iter for run in runs] + left),
        np.array([0 if one else -1 for one in lost + left]),
        finished=len(runs) == K and all(run.finished for run in runs),
    )
