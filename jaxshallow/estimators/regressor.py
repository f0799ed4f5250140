"""`ShallowRegressor`: numbers as targets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from scipy.sparse import issparse
from sklearn.base import RegressorMixin
from sklearn.utils.metaestimators import available_if

from jaxshallow.estimators.base import BaseShallow
from jaxshallow.estimators.settings import LOSSES, is_stochastic


@dataclass(eq=False, repr=False, match_args=False)
class Loss:
    """The parameter that comes before all others."""

    loss: str = "squared_error"


@dataclass(eq=False, repr=False, match_args=False)
class ShallowRegressor(RegressorMixin, BaseShallow, Loss):
    """A regressor with one hidden layer: a drop-in replacement for scikit-learn's `MLPRegressor`.

    Parameters and attributes are those of `ShallowClassifier`, without `class_weight` and `classes_`. Scale the targets
    first, as for MLPRegressor, for example with `sklearn.compose.TransformedTargetRegressor`.

    Args:
        loss: "squared_error", or "poisson" for counts ≥ 0, whose logarithm the network predicts. As in MLPRegressor it
            comes first, and may be left out: `ShallowRegressor((20,))`.
        alpha: a number, or "evidence": then `predict(X, return_std=True)` gives error bars. It standardises y inside.

    Attributes:
        noise_: with alpha="evidence", the standard deviation of the noise of y: a number, or (n_outputs,).

    Example:
        >>> X = np.linspace(-2, 2, 100)[:, None]
        >>> regressor = ShallowRegressor((20,), activation="tanh", solver="lbfgs", random_state=0).fit(X, X[:, 0] ** 2)
        >>> regressor.score(X, X[:, 0] ** 2) > 0.99
        True
    """

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
