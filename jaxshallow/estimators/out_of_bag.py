"""`OutOfBagMixin`: what the members of a bagged ensemble say of the examples that they have not seen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from jaxshallow.bayes.conformal import Group, grouped, thinned
from jaxshallow.estimators.examples import Bags, Examples
from jaxshallow.estimators.predicting import predicted
from jaxshallow.params import Params


class OutOfBagMixin:
    """`oof_` and `oof_score_`, and the intervals or sets that follow from them; None without bagging."""

    average: str
    device: str | None
    oof_: np.ndarray | None = None
    oof_score_: float | None = None
    _groups: list[list[Group]] | None = None  # for each output
    _best_first: np.ndarray
    _networks: list[Params]
    _given: Callable[..., Any]
    _rows: Callable[[Any], Any]

    def _scores_of(self, oof: np.ndarray, y: np.ndarray, Y: np.ndarray) -> np.ndarray:
        """(n_samples, n_outputs) how far off the predictions of unseen examples are."""
        raise NotImplementedError

    def _scored(self, oof: np.ndarray, y: np.ndarray, weights: np.ndarray | None) -> float:
        """As `score`."""
        raise NotImplementedError

    def _keep_out_of_bag(self, examples: Examples, bags: Bags | None, y: np.ndarray, Y: np.ndarray) -> None:
        """Predict each example by the members that have not seen it.

        Args:
            examples: as they were trained on.
            bags: the rows of each member.
            y, Y: the targets as they were given.
        """
        self.oof_ = self.oof_score_ = self._groups = None
        if bags is None:
            return
        members, m = self._networks, len(examples.X)
        seen = np.ones((m, len(members)), bool)
        totals: Any = 0.0
        for place, k in enumerate(self._best_first):
            unseen = bags[k][1]
            seen[unseen, place] = False
            found = self._of_members(examples.X[unseen], [place])
            totals = np.zeros((m, found.shape[1])) if place == 0 else totals
            totals[unseen] += found
        count = (~seen).sum(axis=1)
        with np.errstate(invalid="ignore"):
            oof = self._final(totals / count[:, None])
        known = count > 0
        weights = None if examples.weights is None else examples.weights[known]
        self.oof_ = oof[:, 0] if oof.shape[1] == 1 else oof
        self.oof_score_ = self._scored(self.oof_[known], y[known], weights)
        scores = self._scores_of(oof[known], y[known], Y[known])
        self._groups = [grouped(seen[known], column) for column in scores.T]

    def _of_members(self, rows: Any, places: Sequence[int]) -> np.ndarray:
        """What is averaged over members, the mean over some of them: (n_rows, n)."""
        members = [self._networks[place] for place in places]
        if self.average == "logits":
            return predicted(members, rows, lambda Z2: Z2.mean(axis=0), self.device)
        return predicted(members, rows, self._form, self.device)

    def _final(self, averaged: np.ndarray) -> np.ndarray:
        """The predictions, of what was averaged."""
        return self._form(averaged[None]) if self.average == "logits" else averaged

    def _form(self, Z2: np.ndarray) -> np.ndarray:
        """The predictions of members, (members, n_rows, n_y) -> (n_rows, n)."""
        raise NotImplementedError

    def _by_group(self, X: Any, groups: Sequence[Group]) -> list[np.ndarray]:
        """For each group of examples what the members that have not seen it predict."""
        rows = self._rows(self._given(X, reset=False))
        each = [self._of_members(rows, [place]) for place in range(len(self._networks))]
        return [self._final(np.mean([each[place] for place in group.members], axis=0)) for group in groups]

    def _errors_of_unseen(self) -> dict[str, Any]:
        """What a file keeps of unseen examples, for `groups_of`."""
        if self._groups is None:
            return {}
        return {"unseen": [thinned(np.concatenate([group.scores for group in of])) for of in self._groups]}

    def _check_calibrated(self, confidence_level: float) -> None:
        check_is_fitted(self)
        if self._groups is None:
            raise ValueError(
                "this needs predictions of unseen examples, which a fit with bagging='folds' or 'bootstrap' and some "
                "8 n_members makes"
            )
        if not 0 < confidence_level < 1:
            raise ValueError(f"confidence_level must be a number above 0 and below 1, got {confidence_level}")
