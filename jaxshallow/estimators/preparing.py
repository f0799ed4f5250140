"""`PreparingMixin`: from a user's X, with text and gaps in it, to the rows that networks take; y on a scale of 1."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import numpy as np
from scipy.sparse import issparse
from sklearn.base import clone
from sklearn.utils import get_tags
from sklearn.utils.validation import check_array, validate_data

from jaxshallow.estimators.cells import FROM_DTYPE, cells_of, names_of
from jaxshallow.estimators.encoders import Encoder, PiecewiseLinearEncoder, RobustSmoothClipper
from jaxshallow.estimators.examples import Data, Examples
from jaxshallow.estimators.networks import FLOATS
from jaxshallow.estimators.settings import EVIDENCE, IN_FULL_BATCHES
from jaxshallow.estimators.sparse import dense
from jaxshallow.params import Params
from jaxshallow.tables.encodings import Encoding, PiecewiseLinear
from jaxshallow.tables.features import Features, Words, fit_features
from jaxshallow.training.scaling import Scaling, fold_scaling, scaling

MANY = 2**20  # cells, more than are trained in NumPy, in the dtype of X
WIDTH = 16  # of which the number of rows is a multiple, with bagging
ENCODERS = {"piecewise linear": PiecewiseLinearEncoder, "smooth clip": RobustSmoothClipper}


class PreparingMixin:
    """Cells and their rows, if the estimator has an `encoding` or `categorical_features`; else X itself.

    Attributes:
        features_: how columns become rows, `tables.features.Features`; None if X is taken as it is.
    """

    encoding: Any
    categorical_features: Any
    max_categories: int
    alpha: float | str
    solver: str
    coefs_: list[np.ndarray]
    features_: Features | None = None
    _words: tuple[Words, ...]
    _targets: Scaling | None = None

    @property
    def _prepares(self) -> bool:
        return self.encoding is not None or self.categorical_features is not None

    @property
    def _normalizes(self) -> bool:
        """Whether y is standardised here: not counts, and the evidence does it by itself."""
        counts = getattr(self, "loss", None) == "poisson"
        return getattr(self, "normalize_y", False) and self.alpha != EVIDENCE and not counts

    def _given(self, X: Any, reset: bool) -> Any:
        """X as an array, or sparse; as cells where it is prepared. With `reset` its columns are those to expect."""
        if not self._prepares:
            return validate_data(self, X, accept_sparse="csr", dtype=FLOATS, reset=reset)
        if issparse(X):
            X = dense("X", validate_data(self, X, accept_sparse="csr", dtype=FLOATS, reset=reset))
        if hasattr(X, "collect"):
            raise TypeError(f"X must be a data frame or an array, got {type(X).__name__}: X.collect() makes one of it")
        table = X
        named = self.categorical_features in (None, FROM_DTYPE) if reset else not any(self._words)
        if named and not hasattr(X, "columns") and np.asarray(X).dtype.kind in "biufc":
            X = validate_data(self, X, dtype=FLOATS, reset=reset, ensure_all_finite="allow-nan")
            words: tuple[Words, ...] = (None,) * X.shape[1]
        else:
            X = X if hasattr(X, "columns") else check_array(X, dtype=object, ensure_all_finite=False)
            validate_data(self, X, reset=reset, skip_check_array=True)
            X, words = cells_of(X, self.categorical_features, None if reset else self._words)
            X = check_array(X, dtype=FLOATS, ensure_all_finite="allow-nan")
        if reset:
            self._words, self._columns = words, names_of(table if hasattr(table, "columns") else X)
        return X

    def _prepared(self, data: Data, continues: bool) -> list[tuple[Features | None, Data]]:
        """For each encoding how columns become rows, learned from the training examples alone, and the data so made."""
        if continues:
            return [(self.features_, self._as_taken(data, self.features_))]
        self._targets = scaling(data.examples.Y.T) if self._normalizes else None
        found = self._learned(data) if self._prepares else [None]
        if len(found) > 1 and data.validation is None and data.bags is None:
            raise ValueError(
                "several encodings need bagging, early_stopping or X_val, to choose one: or give one encoding"
            )
        return [(features, self._as_taken(data, features)) for features in found]

    def _as_taken(self, data: Data, features: Features | None) -> Data:
        """The data as networks take them."""

        # Rounded up, so that the folds of a cross-validation, whose bins differ, share a program.
        n = features.n_rows if features else 0
        width = n if data.bags is None else -(-n // WIDTH) * WIDTH

        def taken(examples: Examples) -> Examples:
            examples = examples._replace(X=self._encoded_rows(examples.X, features, width))
            if self._targets is None:
                return examples
            mean, deviation = self._targets
            return examples._replace(Y=(examples.Y - mean.T) / deviation.T)

        return data._replace(examples=taken(data.examples), validation=data.validation and taken(data.validation))

    def _rows(self, X: Any) -> Any:
        """(n_samples, n_rows) what the networks take, of cells, or X itself."""
        return self._encoded_rows(X, self.features_, len(self.coefs_[0]))

    def _encoded_rows(self, cells: Any, features: Features | None, width: int) -> Any:
        """(n_samples, width) what networks take; of many cells in JAX's dtype, since they take much room."""
        if features is None:
            return cells
        many = cells.size > MANY and self.solver not in IN_FULL_BATCHES
        return features.apply(cells, jax.dtypes.canonicalize_dtype(cells.dtype) if many else None, width).T

    def _in_units_of_y(self, params: Params) -> Params:
        """A network that was trained for standardised targets, for y itself."""
        return params if self._targets is None else fold_scaling(params, targets=self._targets)

    def _as_trained(self, params: Params) -> Params:
        """Back to standardised targets."""
        if self._targets is None:
            return params
        mean, deviation = self._targets
        return fold_scaling(params, targets=(-mean / deviation, 1 / deviation))

    def _learned(self, data: Data) -> list[Features]:
        """How the columns of the examples become rows, by each encoding."""
        (X, Y, _), columns, words, most = data.examples, self._columns, self._words, self.max_categories
        if self.encoding is None:
            return [fit_features(X, columns, words, None, most)]
        several = self.encoding if isinstance(self.encoding, list | tuple) else [self.encoding]
        encoders = [encoder_of(one) for one in several]
        if data.bags is not None and any(get_tags(encoder).target_tags.required for encoder in encoders):
            raise ValueError(
                "edges must be 'quantile' with bagging: those of a tree would know y of the rows that members leave out"
            )
        return [fit_features(X, columns, words, partial(encoding_of, encoder, Y), most) for encoder in encoders]


def encoder_of(encoding: Any) -> Encoder:
    """The transformer that a value of `encoding` means."""
    if isinstance(encoding, Encoder):
        return clone(encoding)
    if isinstance(encoding, str) and encoding in ENCODERS:
        return ENCODERS[encoding]()
    raise ValueError(
        f"encoding must be None, {', '.join(map(repr, ENCODERS))}, a transformer such as "
        f"PiecewiseLinearEncoder(n_bins=8), or a list of these, got {encoding!r}"
    )


def encoding_of(encoder: Encoder, Y: np.ndarray, numbers: np.ndarray) -> Encoding:
    """What a transformer learns of (n, m) numbers."""
    found: Encoding = encoder.fit(numbers.T, Y).encoding_ if len(numbers) else PiecewiseLinear(())
    return found
