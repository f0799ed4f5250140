"""What a fit trains on: rows of examples, in the dtype of X."""

from __future__ import annotations

import hashlib
import itertools
from typing import Any, NamedTuple

import numpy as np
from sklearn.model_selection import train_test_split

NOT_FINITE = (  # in scikit-learn's words
    "Solver produced non-finite parameter weights. The input data may contain large values and need to be preprocessed."
)


Bags = list[tuple[np.ndarray, np.ndarray]]


class Examples(NamedTuple):
    """Examples as rows, as scikit-learn has them, or as columns, as the equations do.

    Attributes:
        X: features.
        Y: targets, always of two dimensions.
        weights: of each example; None for equal ones.
    """

    X: np.ndarray
    Y: np.ndarray
    weights: np.ndarray | None

    def rows(self, chosen: Any) -> Examples:
        """Some of the rows."""
        return Examples(self.X[chosen], self.Y[chosen], None if self.weights is None else self.weights[chosen])

    def transposed(self) -> Examples:
        return Examples(self.X.T, self.Y.T, self.weights)

    def in_dtype(self, dtype: Any, ending: str = "") -> Examples:
        """The examples in a dtype; `ending` makes X and y the names that the user knows them by.

        Raises:
            ValueError: a number is beyond the dtype.
        """
        weights = None if self.weights is None else cast("sample_weight", self.weights, dtype)
        try:
            return Examples(cast(f"X{ending}", self.X, dtype), cast(f"y{ending}", self.Y, dtype), weights)
        except ValueError as error:
            raise ValueError(f"{NOT_FINITE} {error}") from None


class Data(NamedTuple):
    """What a fit trains on.

    Attributes:
        examples: as rows.
        validation: the same of those that are held out; None if there are none.
        output: the head of the network, which the kind of y decides.
        seed: of the first weights and of the order of minibatches.
        bags: of each member of an ensemble the rows that it trains on, some of them several times, and those that
            validate it; None if all train on the same.
    """

    examples: Examples
    validation: Examples | None
    output: str
    seed: int
    bags: Bags | None = None

    @property
    def key_words(self) -> list[int]:
        """The numbers of `jax.random.key(seed)`, without asking JAX."""
        return [0, self.seed]

    def rows(self, dtype: Any) -> tuple[Examples, Examples | None]:
        """The examples and the validation examples in the dtype of computation.

        Raises:
            ValueError: a number is beyond it.
        """
        return self.examples.in_dtype(dtype), self.validation and self.validation.in_dtype(dtype, "_val")

    def columns(self, dtype: Any) -> tuple[Examples, Examples | None]:
        """The same as columns."""
        validation = self.validation and self.validation.transposed()
        return self._replace(examples=self.examples.transposed(), validation=validation).rows(dtype)

    def digest(self) -> bytes:
        """A fingerprint: equal for equal data."""
        seen = hashlib.blake2b(str((self.seed, self.examples.X.shape, self.examples.Y.shape)).encode())
        for array in (*self.examples, *(self.validation or ()), *itertools.chain(*(self.bags or ()))):
            if array is not None:
                seen.update(np.ascontiguousarray(array).tobytes())
        return seen.digest()


def cast(name: str, values: np.ndarray, dtype: Any) -> np.ndarray:
    """Numbers in a dtype, side by side in memory; ValueError where one is beyond it."""
    with np.errstate(over="ignore"):
        narrow = np.ascontiguousarray(values, dtype)
    if not np.isfinite(narrow).all():
        raise ValueError(f"{name} holds numbers beyond {dtype}, such as {np.abs(values).max():.3g}: scale them")
    return narrow


def hold_out(examples: Examples, fraction: float, seed: int, stratify: np.ndarray | None) -> tuple[Examples, Examples]:
    """Rows to train on, and a random fraction of them to validate on.

    Args:
        examples: as rows.
        fraction, seed, stratify: test_size, random_state and stratify of scikit-learn's `train_test_split`.

    Raises:
        ValueError: fewer than two examples would be held out, or none that has weight.
    """
    train, test = train_test_split(np.arange(len(examples.X)), test_size=fraction, random_state=seed, stratify=stratify)
    if len(test) < 2:
        raise ValueError("The validation set is too small. Increase 'validation_fraction' or give X_val, y_val")
    if examples.weights is not None and not examples.weights[test].any():
        raise ValueError("all examples held out for validation weigh 0")
    return examples.rows(train), examples.rows(test)
