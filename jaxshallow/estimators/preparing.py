"""`PreparingMixin`: from a user's X, with text and gaps in it, to the rows that networks take; y on a scale of 1."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
from scipy.sparse import issparse
from sklearn.base import clone
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
    features_: Features | None = None
    _words: tuple[Words, ...]
    _targets: Scaling | None = None

    @property
    def _prepares(self) -> bool:
        return self.encoding is not None or self.categorical_features is not None

    @property
    def _normalizes(self) -> bool:
        """Whether y is standardised here; the evidence does it by itself."""
        return getattr(self, "normalize_y", False) and self.alpha != EVIDENCE

    def _given(self, X: Any, reset: bool) -> Any:
        """X as an array, or sparse; as cells where it is prepared. With `reset` its columns are those to expect."""
        if not self._prepares:
            return validate_data(self, X, accept_sparse="csr", dtype=FLOATS, reset=reset)
        if issparse(X):
            X = dense("X", validate_data(self, X, accept_sparse="csr", dtype=FLOATS, reset=reset))
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
            self._words, self._columns = words, list(getattr(self, "feature_names_in_", names_of(X)))
        return X

    def _prepared(self, data: Data, continues: bool) -> Data:
        """The data as networks take them. What prepares them is learned from the training examples alone."""
        examples, validation = data.examples, data.validation
        if not continues:
            self.features_ = self._learned(examples) if self._prepares else None
            self._targets = scaling(examples.Y.T) if self._normalizes else None
        return data._replace(examples=self._as_taken(examples), validation=validation and self._as_taken(validation))

    def _as_taken(self, examples: Examples) -> Examples:
        X = self._encoded_rows(examples.X)
        if self._targets is None:
            return examples._replace(X=X)
        mean, deviation = self._targets
        return examples._replace(X=X, Y=(examples.Y - mean.T) / deviation.T)

    def _encoded_rows(self, cells: Any) -> Any:
        """(n_samples, n_rows) what networks take; of many cells in JAX's dtype, since they take much room."""
        if self.features_ is None:
            return cells
        many = cells.size > MANY and self.solver not in IN_FULL_BATCHES
        return self.features_.apply(cells, jax.dtypes.canonicalize_dtype(cells.dtype) if many else None).T

    def _in_units_of_y(self, params: Params) -> Params:
        """A network that was trained for standardised targets, for y itself."""
        return params if self._targets is None else fold_scaling(params, targets=self._targets)

    def _as_trained(self, params: Params) -> Params:
        """Back to standardised targets."""
        if self._targets is None:
            return params
        mean, deviation = self._targets
        return fold_scaling(params, targets=(-mean / deviation, 1 / deviation))

    def _learned(self, examples: Examples) -> Features:
        def encode(numbers: np.ndarray) -> Encoding:
            if not len(numbers):
                return PiecewiseLinear(())
            return self._encoder().fit(numbers.T, examples.Y).encoding_

        return fit_features(
            examples.X, self._columns, self._words, None if self.encoding is None else encode, self.max_categories
        )

    def _encoder(self) -> Any:
        if isinstance(self.encoding, Encoder):
            return clone(self.encoding)
        if isinstance(self.encoding, str) and self.encoding in ENCODERS:
            return ENCODERS[self.encoding]()
        raise ValueError(
            f"encoding must be None, {', '.join(map(repr, ENCODERS))}, or a transformer such as "
            f"PiecewiseLinearEncoder(n_bins=8), got {self.encoding!r}"
        )
