"""From a user's X, y and validation examples to the `Data` that networks train on."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.sparse import issparse
from sklearn.base import is_classifier
from sklearn.utils import check_random_state, check_X_y, column_or_1d
from sklearn.utils.validation import _check_sample_weight, validate_data

from jaxshallow.estimators.bags import drawn
from jaxshallow.estimators.examples import Data, Examples, hold_out
from jaxshallow.estimators.networks import FLOATS
from jaxshallow.estimators.pool import current_pool
from jaxshallow.estimators.preparing import PreparingMixin
from jaxshallow.estimators.scales import warn_of_another_scale
from jaxshallow.estimators.sparse import dense

Pair = tuple[Any, Any]  # X_val and y_val


class ExamplesMixin(PreparingMixin):
    """Checks, arrays and held-out examples.

    A subclass says how y becomes targets (`_encoded`), which head these need (`_output`), and what its kind of y adds
    to the weights of examples (`_weights`).
    """

    random_state: int | np.random.RandomState | None
    early_stopping: bool
    validation_fraction: float
    bagging: str | None
    n_members: int

    @property
    def _output(self) -> str:
        """The head of the network, when the subclass has seen y."""
        raise NotImplementedError

    def _validated(self, X: Any, y: Any, reset: bool) -> tuple[np.ndarray, np.ndarray]:
        """X and y as arrays; with `reset` their columns are those to expect from now on."""
        if self._prepares:
            X, y = check_X_y(
                self._given(X, reset), y, multi_output=True, y_numeric=not is_classifier(self), dtype=FLOATS,
                ensure_all_finite="allow-nan", estimator=self,
            )  # fmt: skip
            return X, column_or_1d(y, warn=True) if y.ndim == 2 and y.shape[1] == 1 else y
        X, y = validate_data(
            self, X, y, accept_sparse="csr", multi_output=True, y_numeric=not is_classifier(self), dtype=FLOATS,
            reset=reset,
        )  # fmt: skip
        y = column_or_1d(y, warn=True) if y.ndim == 2 and y.shape[1] == 1 else y
        return dense("X", X) if issparse(X) else X, y

    def _data(self, examples: Examples, y: np.ndarray, validation: Pair) -> Data:
        """The training data, with the user's validation examples or, for `early_stopping`, some that are held out."""
        pool = current_pool.get()
        shared_seed = pool.seed if pool and self.random_state is None else self.random_state
        seed = int(check_random_state(shared_seed).randint(2**31 - 1))
        held_out = self._validation(validation, examples.Y.shape[1])
        if self.bagging is not None:
            if held_out is not None:
                raise ValueError("X_val must be None with bagging, where members are validated on what they do not see")
            classes = y if is_classifier(self) and y.ndim == 1 else None
            return Data(examples, None, self._output, seed, drawn(self.bagging, self.n_members, len(y), seed, classes))
        if held_out is None and self.early_stopping:
            two_classes = self._output == "sigmoid" and examples.Y.shape[1] == 1
            stratify = examples.Y.astype(bool) if two_classes else y if is_classifier(self) and y.ndim == 1 else None
            examples, held_out = hold_out(examples, self.validation_fraction, seed, stratify)
        if held_out is not None and validation[0] is not None:
            if not self._prepares:  # else both are brought to one scale
                warn_of_another_scale("X", examples.X, held_out.X)
            if not is_classifier(self):
                warn_of_another_scale("y", examples.Y, held_out.Y)
        return Data(examples, held_out, self._output, seed)

    def _validation(self, validation: Pair, n_outputs: int) -> Examples | None:
        """The user's validation examples; None if there are none."""
        X_val, y_val = validation
        if (X_val is None) != (y_val is None):
            raise ValueError("X_val and y_val must be given together")
        if X_val is None:
            return None
        X, y = self._validated(X_val, y_val, reset=False)
        Y = self._encoded(y, known=True)
        if Y.shape[1] != n_outputs:
            raise ValueError(f"y_val must have {n_outputs} outputs as y has, got {Y.shape[1]}")
        return Examples(X, Y, None)

    # ---- what a subclass says of y ----

    def _check_labels(self, y: np.ndarray) -> None:
        """Refuse y if a warm start cannot go on with it."""

    def _encoded(self, y: np.ndarray, known: bool) -> np.ndarray:
        """(n_samples, n_outputs) targets; if `known`, y has the labels of an earlier y."""
        raise NotImplementedError

    def _weights(self, X: np.ndarray, y: np.ndarray, sample_weight: Any, incremental: bool) -> np.ndarray | None:
        """The weights of examples; None for equal ones."""
        return None if sample_weight is None else _check_sample_weight(sample_weight, X, ensure_non_negative=True)
