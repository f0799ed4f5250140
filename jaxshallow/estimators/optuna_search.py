"""`ShallowOptunaSearchCV`: Optuna proposes the candidates, a batch at a time, and each batch trains together."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

import numpy as np
from sklearn.utils import check_random_state

from jaxshallow.estimators.search import Candidate, ShallowSearchCV
from jaxshallow.extras import require

Define = Callable[[Any], Candidate]  # of a trial


class ShallowOptunaSearchCV(ShallowSearchCV):
    """A search by Optuna in which all candidates of a batch train on a fold in one `fit_many`.

    Trials are asked for in batches, trained side by side, and told together: what Optuna's own search does one by one.
    Attributes are those of GridSearchCV, and `study_`. The trials are in the study as they come: another process that
    shares its storage sees them, and a later search goes on from them.

    Args:
        estimator, scoring, refit, cv, verbose, error_score, return_train_score: as in `ShallowSearchCV`. The scoring is
            maximized; with several, `refit` names the one.
        param_distributions: {name: an optuna distribution}, such as `FloatDistribution(1e-4, 1e-1, log=True)`; or a
            function of a trial that gives {name: value}, by `trial.suggest_float` and the like.
        n_trials: to try in this call.
        batch_size: trials that are asked for and train together. Larger batches are faster for each trial, and Optuna
            learns from them less often.
        study: an `optuna.Study` whose direction is "maximize", such as one with a storage that others share. What it
            holds already counts: if its best trial is none of this call, it is tried again beside them. None: a new
            one, in memory, by the TPE sampler.
        timeout: seconds after which no further batch begins; None: there is no limit.
        callbacks: functions of (study, trial), called with each finished trial.
        random_state: seed of the sampler, where `study` is None.

    Attributes:
        study_: the study.

    Example:
        >>> from optuna.distributions import FloatDistribution, IntDistribution
        >>> from sklearn.datasets import load_iris
        >>> from jaxshallow.estimators import ShallowClassifier
        >>> X, y = load_iris(return_X_y=True)
        >>> space = {"hidden_layer_sizes": IntDistribution(2, 8), "alpha": FloatDistribution(1e-4, 1.0, log=True)}
        >>> estimator = ShallowClassifier(solver="lbfgs", random_state=0, max_iter=1000)
        >>> search = ShallowOptunaSearchCV(estimator, space, n_trials=6, batch_size=3, cv=3, random_state=0).fit(X, y)
        >>> len(search.study_.trials), bool(search.best_score_ > 0.9)
        (6, True)
    """

    def __init__(
        self,
        estimator: Any,
        param_distributions: Any = None,
        *,
        n_trials: int = 64,
        batch_size: int = 16,
        study: Any = None,
        timeout: float | None = None,
        callbacks: Sequence[Callable[[Any, Any], None]] | None = None,
        scoring: Any = None,
        refit: Any = True,
        cv: Any = None,
        verbose: int = 0,
        error_score: Any = np.nan,
        return_train_score: bool = False,
        random_state: Any = None,
    ) -> None:
        super().__init__(
            estimator, param_distributions=param_distributions, scoring=scoring, refit=refit, cv=cv, verbose=verbose,
            error_score=error_score, return_train_score=return_train_score, random_state=random_state,
        )  # fmt: skip
        self.n_trials = n_trials
        self.batch_size = batch_size
        self.study = study
        self.timeout = timeout
        self.callbacks = callbacks

    def fit(self, X: Any, y: Any = None, **params: Any) -> Self:
        """Try `n_trials` candidates on all folds, and fit the best on all examples.

        Args:
            X, y, params: as in `ShallowSearchCV`.

        Raises:
            ValueError: a parameter is not what it must be; the study minimizes.
            ImportError: optuna is missing.
        """
        for name in ("n_trials", "batch_size"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
                raise ValueError(f"{name} must be an integer of at least 1, got {value!r}")
        if not (callable(self.param_distributions) or isinstance(self.param_distributions, Mapping)):
            raise ValueError(
                "param_distributions must be {name: an optuna distribution} or a function of a trial, got "
                f"{self.param_distributions!r}"
            )
        self.study_ = self._study()
        return super().fit(X, y, **params)

    def _study(self) -> Any:
        optuna = require("optuna", "optuna")
        if self.study is None:
            seed = int(check_random_state(self.random_state).randint(2**31 - 1))
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
                # By it the trials of a batch know of each other.
                sampler = optuna.samplers.TPESampler(seed=seed, constant_liar=True)
            return optuna.create_study(direction="maximize", sampler=sampler)
        if len(self.study.directions) != 1 or self.study.direction.name != "MAXIMIZE":
            fix = "scores are better where they are higher, use optuna.create_study(direction='maximize')"
            raise ValueError(f"study must maximize one score, got {[d.name for d in self.study.directions]}: {fix}")
        return self.study

    def _run_search(self, evaluate_candidates: Any, **more: Any) -> None:
        """For BaseSearchCV: ask, evaluate and tell, batch after batch."""
        self._order, self._together = [], []
        ends, left = time.monotonic() + (math.inf if self.timeout is None else self.timeout), self.n_trials
        own: set[int] = set()
        while left and (not own or time.monotonic() < ends):
            n = min(left, self.batch_size)
            own |= self._try(n, evaluate_candidates, more)
            left -= n
        self._try_the_best_of_others(own, evaluate_candidates, more)

    def _try(self, n: int, evaluate_candidates: Any, more: Any) -> set[int]:
        """Ask for n trials, evaluate them, and tell how they went: their numbers. Whatever happens, none stays open."""
        failed = require("optuna", "optuna").trial.TrialState.FAIL
        trials: list[Any] = []
        fixed = None if callable(self.param_distributions) else dict(self.param_distributions)
        try:
            trials.extend(self.study_.ask(fixed) for _ in range(n))
            results = self._evaluate([self._candidate(trial) for trial in trials], evaluate_candidates, **more)
        except BaseException:
            for trial in trials:
                self.study_.tell(trial, state=failed)
            raise
        for trial, k in zip(trials, range(-n, 0), strict=True):
            score, splits = self._score(results, k)
            trial.set_user_attr("split_scores", splits)
            known = math.isfinite(score)
            told = self.study_.tell(trial, score if known else None, state=None if known else failed)
            for callback in self.callbacks or ():
                callback(self.study_, told)
        return {trial.number for trial in trials}

    def _candidate(self, trial: Any) -> Candidate:
        return self.param_distributions(trial) if callable(self.param_distributions) else trial.params

    def _score(self, results: Mapping[str, Any], k: int) -> tuple[float, list[float]]:
        """The mean score of candidate k, and its scores on the folds."""
        name = self.refit if isinstance(self.refit, str) else "score"
        if f"mean_test_{name}" not in results:
            raise ValueError(f"refit must name one of the scores, which is to be maximized, got {self.refit!r}")
        splits = [float(results[f"split{fold}_test_{name}"][k]) for fold in range(self.cv.n_splits)]
        return float(results[f"mean_test_{name}"][k]), splits

    def _try_the_best_of_others(self, own: set[int], evaluate_candidates: Any, more: Any) -> None:
        """If the best trial of the study is of an earlier call or another process, evaluate it beside these."""
        optuna = require("optuna", "optuna")
        told = self.study_.get_trials(deepcopy=False, states=[optuna.trial.TrialState.COMPLETE])
        best = max(told, key=lambda trial: trial.value, default=None)
        if best is not None and best.number not in own:
            fixed = optuna.trial.FixedTrial(best.params)
            candidate = self._candidate(fixed) if callable(self.param_distributions) else best.params
            self._evaluate([candidate], evaluate_candidates, **more)
