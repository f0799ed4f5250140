"""The encodings of numbers as scikit-learn's transformers, for a Pipeline before a network."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.utils.multiclass import type_of_target
from sklearn.utils.validation import _check_feature_names_in, check_is_fitted, validate_data

from jaxshallow.estimators.networks import FLOATS
from jaxshallow.estimators.settings import COUNT, OneOf
from jaxshallow.tables.encodings import PiecewiseLinear, SmoothClip, bins_for, edges_at, quantile_edges

EDGES = OneOf(("quantiles", "tree"))


class EncoderMixin(TransformerMixin):
    """What the encoders share: numbers, of which some may be missing."""

    def _numbers(self, X: Any, reset: bool) -> np.ndarray:
        X = validate_data(self, X, dtype=FLOATS, ensure_all_finite="allow-nan", reset=reset)
        return np.asarray(X)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


class RobustSmoothClipper(OneToOneFeatureMixin, EncoderMixin, BaseEstimator):
    """Scale by the quartiles, and clip smoothly at ±3: for columns with a long tail, in the place of StandardScaler.

    Missing values stay missing.

    Attributes:
        map_: `SmoothClip`, the fitted map.
        n_features_in_, feature_names_in_: as in scikit-learn.

    Example:
        >>> X = np.array([[1.0], [2.0], [3.0], [1000.0]])
        >>> RobustSmoothClipper().fit_transform(X).ravel().round(2).tolist()
        [-0.01, -0.0, 0.0, 2.4]
    """

    map_: SmoothClip

    def fit(self, X: Any, y: Any = None) -> Self:
        """Find the quartiles.

        Args:
            X: (n_samples, n_features); NaN is a missing value.
            y: is not used.
        """
        self.map_ = SmoothClip.fitted(self._numbers(X, reset=True))
        return self

    def transform(self, X: Any) -> np.ndarray:
        """(n_samples, n_features) numbers between −3 and 3, in the dtype of X."""
        check_is_fitted(self)
        return self.map_.apply(self._numbers(X, reset=False))


class PiecewiseLinearEncoder(EncoderMixin, BaseEstimator):
    """Each number as how full its bins are, so that a network with one hidden layer sees every bend of a column.

    A column of one value is dropped. Missing values have a place of their own, if there were any in training; else the
    median stands for them.

    Args:
        n_bins: bins of a column, at most. Fewer have at least 10 rows each, and different values.
        edges: "quantiles": bins of equally many rows; "tree": where a decision tree on the column would cut, by y.
        random_state: of the tree.

    Attributes:
        map_: `PiecewiseLinear`, the fitted map.
        n_features_in_, feature_names_in_: as in scikit-learn.

    Example:
        >>> X = np.arange(41.0)[:, None]
        >>> encoder = PiecewiseLinearEncoder(n_bins=2).fit(X)
        >>> encoder.transform([[10.0], [30.0]]).tolist(), encoder.get_feature_names_out().tolist()
        ([[0.5, 0.0], [1.0, 0.5]], ['x0 > 0', 'x0 > 20'])
    """

    map_: PiecewiseLinear

    def __init__(self, n_bins: int = 16, *, edges: str = "quantiles", random_state: Any = None) -> None:
        self.n_bins = n_bins
        self.edges = edges
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None) -> Self:
        """Find the edges.

        Args:
            X: (n_samples, n_features); NaN is a missing value.
            y: (n_samples,) labels or numbers, for edges="tree" alone.

        Raises:
            ValueError: `n_bins` or `edges` cannot be; y is missing where it is needed.
        """
        if not COUNT.allows(self.n_bins):
            raise ValueError(f"n_bins must be {COUNT}, got {self.n_bins!r}")
        if not EDGES.allows(self.edges):
            raise ValueError(f"edges must be {EDGES}, got {self.edges!r}")
        X = self._numbers(X, reset=True)
        if self.edges == "tree" and y is None:
            raise ValueError(
                "edges='tree' requires y to be passed, but the target y is None: fit(X, y), or edges='quantiles'"
            )
        found = quantile_edges(X, self.n_bins) if self.edges == "quantiles" else self._tree_edges(X, np.asarray(y))
        self.map_ = PiecewiseLinear.fitted(X, found)
        return self

    def _tree_edges(self, X: np.ndarray, y: np.ndarray) -> list[np.ndarray]:
        from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

        tree = DecisionTreeRegressor if type_of_target(y).startswith("continuous") else DecisionTreeClassifier
        found = []
        for x in X.T:
            there = ~np.isnan(x)
            x, target = x[there].astype(np.float64), y[there]
            inner = np.empty(0)
            if (leaves := bins_for(x, self.n_bins)) > 1:
                grown = tree(max_leaf_nodes=leaves, min_samples_leaf=10, random_state=self.random_state)
                cuts = grown.fit(x[:, None], target).tree_
                inner = cuts.threshold[cuts.feature >= 0]  # the others are leaves
            found.append(edges_at(x, inner))
        return found

    def transform(self, X: Any) -> np.ndarray:
        """(n_samples, n_features_out) numbers, in the dtype of X."""
        check_is_fitted(self)
        return self.map_.apply(self._numbers(X, reset=False))

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """(n_features_out,) names such as "age > 25" and "age missing"."""
        check_is_fitted(self)
        return np.array(self.map_.names(_check_feature_names_in(self, input_features)), dtype=object)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = self.edges == "tree"
        return tags
