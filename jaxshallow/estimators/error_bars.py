"""How sure an estimator is: what alpha="evidence" finds beside the networks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

import jax
import numpy as np
from scipy.sparse import issparse
from sklearn.utils.validation import check_is_fitted

from jaxshallow.bayes import Gaussian
from jaxshallow.bayes.loading import gaussian_of
from jaxshallow.estimators.evidence import deviations, train_by_evidence
from jaxshallow.estimators.examples import Data
from jaxshallow.estimators.networks import NetworksMixin
from jaxshallow.estimators.settings import Recipe
from jaxshallow.estimators.sparse import dense
from jaxshallow.store import Saved
from jaxshallow.training.epochs import State


class ErrorBarsMixin(NetworksMixin):
    """`alpha_`, `noise_`, `log_evidence_` and `posteriors_`, None if alpha is a number."""

    device: str | None
    validation_loss_curve_: list[float] | None
    validation_scores_: list[float] | None
    best_validation_score_: float | None
    best_loss_: float | None
    _best_first: np.ndarray
    _given: Callable[..., Any]
    _rows: Callable[[Any], Any]
    _state: State | None
    curves_: Any
    alpha_: float | None = None
    noise_: float | np.ndarray | None = None
    log_evidence_: float | None = None
    posteriors_: list[Gaussian] | None = None

    def _fit_by_evidence(self, recipe: Recipe, data: Data, start: State | None) -> Self:
        if data.validation is not None:
            raise ValueError("X_val and y_val must not be given for alpha='evidence', which needs no validation")
        found = train_by_evidence(recipe, data, start, None if start is None else self.alpha_)
        evidence = found.evidence
        self.posteriors_ = found.gaussians
        self.members_ = [one.params for one in found.gaussians]
        self._best_first, self._begun, self._state = found.places, recipe.lasting, None
        self.alpha_, self.noise_, self.log_evidence_ = evidence.l2, found.noise, evidence.log_evidence
        self.n_iter_ = len(evidence.history.l2)
        self.loss_curve_ = (-evidence.history.log_evidence).tolist()
        self.loss_ = self.best_loss_ = -evidence.log_evidence
        self.validation_loss_curve_ = self.validation_scores_ = self.best_validation_score_ = None
        self.t_, self.curves_ = 0, None
        return self

    def _forget_error_bars(self) -> None:
        """Of an earlier fit."""
        self.alpha_ = self.noise_ = self.log_evidence_ = self.posteriors_ = None

    def _take_error_bars(self, saved: Saved) -> None:
        """Those that a file holds, if it does."""
        gaussian = gaussian_of(saved)
        self.posteriors_ = None if gaussian is None else [jax.tree.map(np.asarray, gaussian)]

    def _deviations(self, X: Any) -> np.ndarray:
        """(n_samples, n_outputs) standard deviation of new targets."""
        check_is_fitted(self)
        if self.posteriors_ is None:
            raise ValueError("error bars are for alpha='evidence', which finds them: fit with it")
        X, networks = self._given(X, reset=False), self._networks
        rows = self._rows(dense("X", X) if issparse(X) else X)
        found = deviations(self.posteriors_, networks, rows, self.device)
        return found.astype(np.result_type(X.dtype, networks[0].W1.dtype), copy=False)
