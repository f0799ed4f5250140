"""`ShallowSearchCV`: scikit-learn's searches, with the candidates of a fold trained together."""

from __future__ import annotations

import contextlib
from typing import Any, Self

import numpy as np
from sklearn.base import clone, is_classifier
from sklearn.model_selection import ParameterGrid, ParameterSampler, check_cv
from sklearn.model_selection._search import BaseSearchCV  # made to be subclassed, as its docstring says
from sklearn.utils.metadata_routing import get_routing_for_object

from jaxshallow.estimators.base import BaseShallow
from jaxshallow.estimators.pool import trained_together
from jaxshallow.estimators.settings import EVIDENCE, Recipe

Candidate = dict[str, Any]  # the parameters that it changes
Networks = dict[str, BaseShallow]


class ShallowSearchCV(BaseSearchCV):
    """`GridSearchCV` and `RandomizedSearchCV` for shallow networks: all candidates train on a fold in one `fit_many`.

    Attributes, scores and the choice of the best are theirs. So are the networks, up to rounding: those that
    GridSearchCV would train one by one. In `cv_results_` all networks of one search have the same fit time: the mean.

    Much of a short search is compiling: after `jaxshallow.enable_compilation_cache()` the next process finds it done.

    Args:
        estimator: `ShallowClassifier`, `ShallowRegressor`, or a Pipeline or other estimator around one of them, whose
            other steps are fitted on each fold's training rows alone. The network may come from the grid:
            `{"model": [ShallowClassifier(), LogisticRegression()]}`. Candidates without a network, or with several, are
            fitted one by one, as by GridSearchCV.
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
        >>> estimator = ShallowClassifier(solver="lbfgs", random_state=0, max_iter=1000)
        >>> grid = {"hidden_layer_sizes": [(2,), (4,)], "alpha": [1e-4, 1e-1]}
        >>> search = ShallowSearchCV(estimator, grid, cv=3).fit(X, y)
        >>> len(search.cv_results_["params"]), bool(search.best_score_ > 0.9)
        (4, True)
    """

    n_jobs: int | None
    cv: Any
    _order: list[int]
    _together: list[int]

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
            TypeError: there is a shallow network neither in `estimator` nor in a candidate.
        """
        if (self.param_grid is None) == (self.param_distributions is None):
            raise ValueError("give param_grid or param_distributions, one of them")
        asked = self.n_jobs, self.cv
        self.n_jobs = None  # other processes would train the networks one by one
        self.cv = SameSplits(check_cv(self.cv, y, classifier=is_classifier(self.estimator)))
        try:
            super().fit(X, y, **params)
        finally:
            self.n_jobs, self.cv = asked
        times, together = self.cv_results_["mean_fit_time"], self._together
        times[together], self.cv_results_["std_fit_time"][together] = times[together].mean(), 0.0
        return self

    def _run_search(self, evaluate_candidates: Any, **more: Any) -> None:
        """For BaseSearchCV, which hands over the function that fits and scores a list of candidates."""
        self._order, self._together = [], []
        self._evaluate(list(self._candidates()), evaluate_candidates, **more)

    def _evaluate(self, candidates: list[Candidate], evaluate_candidates: Any, **more: Any) -> Any:
        """Train and score candidates, beside those before them; the results of all."""
        theirs, before = networks_of(self.estimator, candidates), len(self._order)
        self._together += [before + k for k, own in enumerate(theirs) if len(own) == 1 and recipes_of(own)]
        groups = grouped(candidates, theirs)
        self._order += (before + np.argsort([k for group in groups for k in group])).tolist()
        results = None
        for group in groups:
            recipes = [recipe for k in group for recipe in recipes_of(theirs[k])]
            with trained_together(recipes, self.cv.n_splits):
                results = evaluate_candidates([candidates[k] for k in group], **more)
        return results

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
    """A splitter that draws once, so that all groups of candidates see the same splits even of a random one.

    Attributes:
        n_splits: known when `get_n_splits` has been asked.
    """

    n_splits: int

    def __init__(self, cv: Any) -> None:
        self.cv = cv
        self.splits: list[Any] | None = None

    def get_n_splits(self, *arguments: Any, **more: Any) -> int:
        self.n_splits = self.cv.get_n_splits(*arguments, **more)
        return self.n_splits

    def split(self, *arguments: Any, **more: Any) -> Any:
        self.splits = self.splits or list(self.cv.split(*arguments, **more))
        return self.splits

    def get_metadata_routing(self) -> Any:
        """What the splitter asks for, such as `groups`."""
        return get_routing_for_object(self.cv)


def networks_of(estimator: Any, candidates: list[Candidate]) -> list[Networks]:
    """The shallow networks of each candidate, by the names of the parameters that hold them; "" for itself.

    Raises:
        TypeError: no candidate has any.
    """
    found: list[Networks] = []
    for candidate in candidates:
        changed = clone(estimator).set_params(**clone(candidate, safe=False))
        named = {"": changed, **changed.get_params()}
        found.append({name: value for name, value in named.items() if isinstance(value, BaseShallow)})
    if not any(found):
        raise TypeError(
            "estimator must be a ShallowClassifier or ShallowRegressor, or hold one, as a Pipeline does, or the grid "
            f"must bring one, got {type(estimator).__name__}: scikit-learn's GridSearchCV is for all others"
        )
    return found


def recipes_of(networks: Networks) -> list[Recipe]:
    """The recipes that can train together: not by the evidence, and not those that will be refused when fitted."""
    found = []
    for network in networks.values():
        with contextlib.suppress(ValueError):
            found.append(Recipe.of(network.get_params()))
    return [recipe for recipe in found if recipe.params["alpha"] != EVIDENCE]


def grouped(candidates: list[Candidate], theirs: list[Networks]) -> list[list[int]]:
    """The numbers of the candidates, together where all but the network is alike, so that it sees the same data."""
    groups: dict[str, list[int]] = {}
    for k, (candidate, networks) in enumerate(zip(candidates, theirs, strict=True)):
        others = {name: value for name, value in candidate.items() if not belongs(name, networks)}
        # Their text, since other steps are objects: without a hash, and equal to no copy.
        groups.setdefault(repr((list(networks), sorted(others.items()))), []).append(k)
    return list(groups.values())


def belongs(name: str, networks: Networks) -> bool:
    """Whether a parameter is the one network, or one of its own."""
    if len(networks) != 1:
        return False
    (network,) = networks
    return not network or name == network or name.startswith(f"{network}__")
