"""`ShallowSearchCV`: scikit-learn's searches, with the candidates of a fold trained together."""

from __future__ import annotations

import contextlib
from typing import Any, Self

import numpy as np
from sklearn.base import clone
from sklearn.model_selection import ParameterGrid, ParameterSampler
from sklearn.model_selection._search import BaseSearchCV  # made to be subclassed, as its docstring says

from jaxshallow.estimators.base import BaseShallow
from jaxshallow.estimators.pool import trained_together
from jaxshallow.estimators.settings import Recipe

Candidate = dict[str, Any]  # the parameters that it changes


class ShallowSearchCV(BaseSearchCV):
    """`GridSearchCV` and `RandomizedSearchCV` for shallow networks: all candidates train on a fold in one `fit_many`.

    Attributes, scores and the choice of the best are theirs. So are the networks, up to rounding: those that
    GridSearchCV would train one by one. In `cv_results_` all candidates of one search have the same fit time: the mean.

    Args:
        estimator: `ShallowClassifier`, `ShallowRegressor`, or a Pipeline or other estimator around one of them, whose
            other steps are fitted on each fold's training rows alone.
        param_grid: {name: values}, or a list of such: every combination is tried.
        param_distributions: {name: values or a scipy.stats distribution}, in place of `param_grid`: `n_iter`
            candidates are drawn, by `random_state`.
        scoring, refit, cv, verbose, error_score, return_train_score: as in `GridSearchCV`.
        n_jobs, pre_dispatch: have no effect: the networks use all cores already.

    `hidden_layer_sizes`, `activation`, `alpha`, `learning_rate_init`, `momentum`, `beta_1`, `beta_2` and `epsilon` may
    differ within one training. Candidates that differ in other parameters, or in other steps, train separately.

    Example:
        >>> from sklearn.datasets import load_iris
        >>> from jaxshallow.estimators import ShallowClassifier
        >>> X, y = load_iris(return_X_y=True)
        >>> estimator = ShallowClassifier(solver="lbfgs", random_state=0, max_iter=50)
        >>> grid = {"hidden_layer_sizes": [(2,), (4,)], "alpha": [1e-4, 1e-1]}
        >>> search = ShallowSearchCV(estimator, grid, cv=3).fit(X, y)
        >>> len(search.cv_results_["params"]), bool(search.best_score_ > 0.9)
        (4, True)
    """

    n_jobs: int | None

    def __init__(
        self,
        estimator: Any,
        param_grid: Any = None,
        *,
        param_distributions: Any = None,
        n_iter: int = 10,
        scoring: Any = None,
        n_jobs: int | None = None,
        refit: Any = True,
        cv: Any = None,
        verbose: int = 0,
        pre_dispatch: Any = "2*n_jobs",
        error_score: Any = np.nan,
        return_train_score: bool = False,
        random_state: Any = None,
    ) -> None:
        super().__init__(
            estimator, scoring=scoring, n_jobs=n_jobs, refit=refit, cv=cv, verbose=verbose, pre_dispatch=pre_dispatch,
            error_score=error_score, return_train_score=return_train_score,
        )  # fmt: skip
        self.param_grid = param_grid
        self.param_distributions = param_distributions
        self.n_iter = n_iter
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None, **params: Any) -> Self:
        """Train and score all candidates on all folds, and the best one on all examples.

        Args:
            X: (n_samples, n_features).
            y: (n_samples,) or (n_samples, n_outputs).
            params: `sample_weight` and the like for `fit`, `groups` for the splitter.

        Raises:
            ValueError: not one of `param_grid` and `param_distributions` is given; an unknown parameter.
            TypeError: there is no shallow network in `estimator`, or more than one.
        """
        if (self.param_grid is None) == (self.param_distributions is None):
            raise ValueError("give param_grid or param_distributions, one of them")
        name_of_network(self.estimator)
        asked, self.n_jobs = self.n_jobs, None  # other processes would train the networks one by one
        try:
            super().fit(X, y, **params)
        finally:
            self.n_jobs = asked
        times = self.cv_results_["mean_fit_time"]
        times[:], self.cv_results_["std_fit_time"][:] = times.mean(), 0.0
        return self

    def _run_search(self, evaluate_candidates: Any, **more: Any) -> None:
        """For BaseSearchCV, which hands over the function that fits and scores a list of candidates."""
        candidates = list(self._candidates())
        groups = grouped(self.estimator, candidates)
        self._order = np.argsort([k for group in groups for k in group]).tolist()
        cv = SameSplits(self._checked_cv_orig)
        for group in groups:
            chosen = [candidates[k] for k in group]
            with trained_together(recipes(self.estimator, chosen), self.n_splits_):
                evaluate_candidates(chosen, cv, **more)

    def _candidates(self) -> ParameterGrid | ParameterSampler:
        if self.param_grid is None:
            return ParameterSampler(self.param_distributions, self.n_iter, random_state=self.random_state)
        return ParameterGrid(self.param_grid)

    def _format_results(self, candidate_params: Any, n_splits: int, out: Any, more_results: Any = None) -> Any:
        """Put the candidates back into the order of the grid, in which the first of equals is the best."""
        if len(candidate_params) == len(self._order):
            candidate_params = [candidate_params[k] for k in self._order]
            out = [one for k in self._order for one in out[k * n_splits : (k + 1) * n_splits]]
        return super()._format_results(candidate_params, n_splits, out, more_results)


class SameSplits:
    """A splitter that draws once, so that all groups of candidates see the same splits even of a random one."""

    def __init__(self, cv: Any) -> None:
        self.cv = cv
        self.splits: list[Any] | None = None

    def split(self, *arguments: Any, **more: Any) -> Any:
        self.splits = self.splits or list(self.cv.split(*arguments, **more))
        return self.splits


def networks(estimator: Any) -> dict[str, BaseShallow]:
    """The shallow networks among the estimator's parameters, by name; under "" the estimator, if it is one itself."""
    named = {"": estimator, **estimator.get_params()}
    return {name: value for name, value in named.items() if isinstance(value, BaseShallow)}


def name_of_network(estimator: Any) -> str:
    """The name of the one shallow network among the estimator's parameters; "" if it is the estimator itself.

    Raises:
        TypeError: there is none, or more than one.
    """
    names = list(networks(estimator))
    if len(names) != 1:
        raise TypeError(
            "estimator must be a ShallowClassifier or ShallowRegressor, or hold one, as a Pipeline does, got "
            f"{type(estimator).__name__} with {len(names)}"
        )
    return names[0]


def recipes(estimator: Any, candidates: list[Candidate]) -> list[Recipe]:
    """The recipes of the candidates' networks, without those that will be refused when they are fitted."""
    found = []
    for candidate in candidates:
        changed = clone(estimator).set_params(**clone(candidate, safe=False))
        for network in networks(changed).values():
            with contextlib.suppress(ValueError):
                found.append(Recipe.of(network.get_params()))
    return found


def grouped(estimator: Any, candidates: list[Candidate]) -> list[list[int]]:
    """The numbers of the candidates, together where all but the network is alike, so that it sees the same data."""
    network = name_of_network(estimator)
    groups: dict[str, list[int]] = {}
    for k, candidate in enumerate(candidates):
        others = {
            name: value
            for name, value in candidate.items()
            if network and name != network and not name.startswith(f"{network}__")
        }
        # Their text, since other steps are objects: without a hash, and equal to no copy.
        groups.setdefault(repr(sorted(others.items())), []).append(k)
    return list(groups.values())
