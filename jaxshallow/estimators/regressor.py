"""`ShallowRegressor`: numbers as targets."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import Any, Self

import numpy as np
from scipy.sparse import issparse
from sklearn.base import RegressorMixin
from sklearn.metrics import r2_score
from sklearn.utils.metaestimators import available_if

from jaxshallow.bayes.conformal import upper_end
from jaxshallow.estimators.base import BaseShallow
from jaxshallow.estimators.predicting import mean_output
from jaxshallow.estimators.presets import takes_presets
from jaxshallow.estimators.settings import LOSSES, is_stochastic


@dataclass(eq=False, repr=False, match_args=False)
class Loss:
    """The parameter that comes before all others."""

    loss: str = "squared_error"


@takes_presets
@dataclass(eq=False, repr=False, match_args=False)
class ShallowRegressor(RegressorMixin, BaseShallow, Loss):
    """A regressor with one hidden layer: a drop-in replacement for scikit-learn's `MLPRegressor`.

    Parameters and attributes are those of `ShallowClassifier`, without `class_weight` and `classes_`. Scale the targets
    first, as for MLPRegressor, for example with `sklearn.compose.TransformedTargetRegressor`.

    Args:
        loss: "squared_error", or "poisson" for counts ≥ 0, whose logarithm the network predicts. As in MLPRegressor it
            comes first, and may be left out: `ShallowRegressor((20,))`.
        normalize_y: standardise y inside, as GaussianProcessRegressor does; the network predicts y itself. Counts, for
            "poisson", stay as they are.
        alpha: a number, or "evidence": then `predict(X, return_std=True)` gives error bars. It standardises y inside.

    Attributes:
        oof_: with bagging the predictions of each example by the members that did not see it.
        noise_: with alpha="evidence", the standard deviation of the noise of y: a number, or (n_outputs,).

    Example:
        >>> X = np.linspace(-2, 2, 100)[:, None]
        >>> regressor = ShallowRegressor((20,), activation="tanh", solver="lbfgs", random_state=0).fit(X, X[:, 0] ** 2)
        >>> regressor.score(X, X[:, 0] ** 2) > 0.99
        True
    """

    _: KW_ONLY
    normalize_y: bool = False

    def __post_init__(self) -> None:
        first: Any = self.loss
        if not isinstance(first, str):  # the loss is left out: what comes first is hidden_layer_sizes
            second: Any = self.hidden_layer_sizes
            self.activation = second if isinstance(second, str) else self.activation
            self.loss, self.hidden_layer_sizes = "squared_error", first

    @available_if(is_stochastic)
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train one epoch on these examples, continuing from the last call."""
        return self._partial_fit(X, y, sample_weight)

    def predict(self, X: Any, return_std: bool = False) -> Any:
        """Predictions, the mean over the members.

        Args:
            X: (n_samples, n_features).
            return_std: also return the standard deviation of new targets, noise included, as BayesianRidge does. For
                alpha="evidence".

        Returns:
            (n_samples,) or (n_samples, n_outputs); with `return_std` two such arrays.

        Raises:
            ValueError: `return_std`, and alpha was a number.
        """
        found = [self._outputs(X), self._deviations(X)] if return_std else [self._outputs(X)]
        found = [outputs[:, 0] if outputs.shape[1] == 1 else outputs for outputs in found]
        return tuple(found) if return_std else found[0]

    def predict_interval(self, X: Any, confidence_level: float = 0.9) -> np.ndarray:
        """Intervals that hold a new target at least so often, on average: CV+, after a fit with bagging.

        They follow from the predictions of unseen examples, without further training and without an assumption on the
        noise. Their width is much the same for all x. Expect the level itself; what is certain is 2 level − 1.

        Args:
            X: (n_samples, n_features).
            confidence_level: the share of new targets that are to be in their interval.

        Returns:
            (n_samples, 2) lower and upper ends, or (n_samples, 2, n_outputs); infinite where there were too few
            examples for the level.

        Raises:
            ValueError: the fit was without bagging.

        Source: Barber, Candès, Ramdas and Tibshirani (2021), Predictive inference with the jackknife+.
        """
        self._check_calibrated(confidence_level)
        assert self._groups is not None
        means = self._by_group(X, self._groups[0])
        ends = []
        for k, groups in enumerate(self._groups):
            own = [mean[:, k] for mean in means]
            upper = upper_end(groups, own, confidence_level)
            ends.append([-upper_end(groups, [-mean for mean in own], confidence_level), upper])
        found = np.array(ends).transpose(2, 1, 0)
        return found[:, :, 0] if found.shape[2] == 1 else found

    def _form(self, Z2: np.ndarray) -> np.ndarray:
        return mean_output(Z2, self._output)

    def _scores_of(self, oof: np.ndarray, y: np.ndarray, Y: np.ndarray) -> np.ndarray:
        return abs(oof - Y)

    def _scored(self, oof: np.ndarray, y: np.ndarray, weights: np.ndarray | None) -> float:
        return float(r2_score(y, oof, sample_weight=weights))

    @property
    def _output(self) -> str:
        return LOSSES[self.loss]

    def _encoded(self, y: Any, known: bool) -> np.ndarray:
        if y.dtype.kind not in "biuf":
            raise TypeError(f"y must be numbers, got {y.dtype}: convert it, or classify with ShallowClassifier")
        if self.loss == "poisson" and y.min() < 0:
            raise ValueError(f"y must be at least 0 for loss='poisson', got {y.min()}")
        return y.toarray() if issparse(y) else y.reshape(len(y), -1)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
