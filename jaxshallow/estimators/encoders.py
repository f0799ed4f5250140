"""`PiecewiseLinearEncoder` and `RobustSmoothClipper`: encodings of numbers as scikit-learn's transformers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.utils.validation import _check_feature_names_in, check_is_fitted, validate_data

from jaxshallow.estimators.settings import Integer, OneOf
from jaxshallow.tables.edges import quantile_edges, tree_edges
from jaxshallow.tables.encodings import fit_piecewise_linear, fit_smooth_clip

CONSTRAINTS: dict[str, Integer | OneOf] = {"n_bins": Integer(2, other="auto"), "edges": OneOf(("quantile", "tree"))}
NUMBERS: dict[str, Any] = {"dtype": [np.float64, np.float32], "ensure_all_finite": "allow-nan"}
FEWEST_BINS, MOST_BINS, ROWS_OF_A_BIN = 8, 16, 40  # of "auto"
SMALLEST = 20  # rows in a bin of a tree
MOST_CLASSES = 20  # that whole numbers may be


class Encoder(TransformerMixin, BaseEstimator):
    """What both have in common: `encoding_`, a fixed map, applied to rows of numbers, NaN where a value is missing."""

    encoding_: Any

    def transform(self, X: Any) -> np.ndarray:
        """The encoded X, (n_samples, n_features_out), in float32 if X is, else in float64. Every number is finite.

        Args:
            X: (n_samples, n_features), dense; NaN where a value is missing.
        """
        check_is_fitted(self)
        return self.encoding_.apply(validate_data(self, X, reset=False, **NUMBERS).T).T

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "encoding_")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


class PiecewiseLinearEncoder(Encoder):
    """Piecewise-linear encoding of numbers: each bin of a column becomes a column of its own.

    A network with one hidden layer then sees a function of each feature that may bend at every edge, as a tree sees its
    splits. With edges b₀ < ... < b_T, column t of T is (x − b_{t−1}) / (b_t − b_{t−1}), clipped to [0, 1]; below b₀ and
    above b_T the first and the last column go on for one more width of their bin, to −1 and 2, and then stay. 0 and 1
    pass unchanged, and a constant column becomes none. Scaling before or after it is not needed; networks behind it
    like a larger `learning_rate_init`, such as 0.002 to 0.005, and a smaller `beta_2`, such as 0.95.

    A missing value, NaN, in a column that had some in `fit` has a column of its own, of 0 and 1, and its bins are 0.
    Where `fit` saw none, the median stands for it.

    Args:
        n_bins: bins of a column, at most: 2 or more. "auto" is 8 for up to 320 rows, then one for every 40, up to 16. A
            column with few different values has a bin between each two.
        edges: "quantile": bins of about as many values; a value that would fill a bin alone is an edge. "tree": where a
            decision tree that sees the column alone splits it to predict y, with at least 20 rows in a bin, or fewer
            if the table has few.
        linear: whether a column with several bins also stays itself, standardised, and held where its bins are. A
            network that must put a long line together from bins learns it less well.

    Attributes:
        encoding_: the map, plain and frozen.
        n_features_in_, feature_names_in_: as scikit-learn has them.

    Example:
        >>> from sklearn.pipeline import make_pipeline
        >>> from jaxshallow.estimators import ShallowRegressor
        >>> X = np.linspace(0, 1, 200)[:, None]
        >>> PiecewiseLinearEncoder(n_bins=2, linear=False).fit(X).transform([[0.25], [0.75], [7.0], [np.nan]])
        array([[0.5, 0. ],
               [1. , 0.5],
               [1. , 2. ],
               [1. , 0. ]])
        >>> network = ShallowRegressor((10,), solver="lbfgs", random_state=0)
        >>> y = np.sin(9 * X[:, 0])
        >>> make_pipeline(PiecewiseLinearEncoder(), network).fit(X, y).score(X, y) > 0.99
        True

    Source: Gorishniy, Rubachev and Babenko (2022), On embeddings for numerical features in tabular deep learning.
    """

    def __init__(self, n_bins: int | str = "auto", *, edges: str = "quantile", linear: bool = True) -> None:
        self.n_bins = n_bins
        self.edges = edges
        self.linear = linear

    def fit(self, X: Any, y: Any = None) -> Self:
        """Find the edges.

        Args:
            X: (n_samples, n_features), dense; NaN where a value is missing.
            y: (n_samples,) or (n_samples, n_outputs) classes or numbers, for edges="tree" alone.

        Raises:
            ValueError: a parameter is not what it must be; there is no y for edges="tree".
        """
        self._check_parameters()
        if self.edges == "quantile":
            X = validate_data(self, X, **NUMBERS)
            n_bins = self._n_bins(len(X))
            return self._fit(X, lambda values, _: quantile_edges(values, n_bins))
        if y is None:
            raise ValueError("edges='tree' requires y to be passed, but the target y is None: use edges='quantile'")
        X, y = validate_data(self, X, y, multi_output=True, **NUMBERS)
        Y, n_bins, least = as_numbers(y), self._n_bins(len(X)), smallest(len(X))
        return self._fit(X, lambda values, known: tree_edges(values, Y[known], n_bins, least))

    def _check_parameters(self) -> None:
        for name, constraint in CONSTRAINTS.items():
            if not constraint.allows(value := getattr(self, name)):
                raise ValueError(f"{name} must be {constraint}, got {value!r}")
        if not isinstance(self.linear, bool | np.bool_):
            raise ValueError(f"linear must be True or False, got {self.linear!r}")

    def _fit(self, X: np.ndarray, edges_of: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> Self:
        self.encoding_ = fit_piecewise_linear(X.T, edges_of, linear=bool(self.linear))
        return self

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """`age`, standardised or of one bin, then `age_bin0`, `age_bin1`, ... if there are several, `age_missing`."""
        check_is_fitted(self)
        return np.array(self.encoding_.feature_names(_check_feature_names_in(self, input_features)), dtype=object)

    def _n_bins(self, n_samples: int) -> int:
        if isinstance(self.n_bins, str):
            return min(MOST_BINS, max(FEWEST_BINS, n_samples // ROWS_OF_A_BIN))
        return int(self.n_bins)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = self.edges == "tree"
        return tags


class RobustSmoothClipper(OneToOneFeatureMixin, Encoder):
    """Robust scaling, then a smooth clip of what is far out: z becomes z / √(1 + (z/3)²), between −3 and 3.

    z = (x − median) / (q₃ − q₁), of each column; where its quartiles are equal, 2 (x − median) / (largest − least). A
    column that was constant in `fit` becomes 0. A missing value, NaN, becomes 0, the median: where it means something
    that a value is missing, put it into a column first, with `SimpleImputer(add_indicator=True)`, or use
    `PiecewiseLinearEncoder`.

    Attributes:
        encoding_: the map, plain and frozen.
        n_features_in_, feature_names_in_: as scikit-learn has them.

    Example:
        >>> X = np.array([[1.0], [2.0], [3.0], [4.0], [1e6]])
        >>> RobustSmoothClipper().fit_transform(X).round(2).ravel().tolist()
        [-0.95, -0.49, 0.0, 0.49, 3.0]

    Source: Holzmüller, Grinsztajn and Steinwart (2024), Better by default: strong pre-tuned MLPs and boosted trees on
    tabular data.
    """

    def fit(self, X: Any, y: Any = None) -> Self:
        """Find the medians and the quartiles.

        Args:
            X: (n_samples, n_features), dense; NaN where a value is missing.
            y: not used.
        """
        self.encoding_ = fit_smooth_clip(validate_data(self, X, **NUMBERS).T)
        return self


def as_numbers(y: np.ndarray) -> np.ndarray:
    """(n_samples, n) targets: numbers as they are, and classes one-hot. A few whole numbers are classes."""
    return np.hstack([_as_numbers(column) for column in y.reshape(len(y), -1).T])


def _as_numbers(y: np.ndarray) -> np.ndarray:
    values, codes = np.unique(y, return_inverse=True)
    if y.dtype.kind in "iuf" and (len(values) > MOST_CLASSES or (values % 1).any()):
        return y[:, None]
    return np.eye(len(values))[codes]


def smallest(n_samples: int) -> int:
    """The fewest rows in a bin of a tree."""
    return max(1, min(SMALLEST, n_samples // 10))
