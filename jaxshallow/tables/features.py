"""`Features`: how the columns of a table, numbers and categories, become the rows that a network takes.

A table comes as cells, (m, n_columns) numbers: a number is itself, a category the number of its word, and a missing
value is NaN. So rows can be chosen and split as those of any array, and what is fitted is fitted on some of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from jaxshallow.tables.columns import columns_of
from jaxshallow.tables.dataset import Column
from jaxshallow.tables.encodings import Bins, Encoding, PiecewiseLinear, SmoothClip, from_json

OTHER, GAP = "(other)", "(missing)"  # categories of their own
FEWEST = 2  # rows of a category that is told from others

Words = tuple[str, ...] | None  # the words of a column of categories; None for numbers


@dataclass(frozen=True)
class Features:
    """How cells become rows.

    Attributes:
        words: of each column, in the order of their numbers; a cell with the number after the last is an unknown word.
        columns: how each becomes rows of 0 and 1, or one of numbers.
        encoding: of all these rows; None if they stay as they are.

    Example:
        >>> cells = np.array([[1.0, 0], [3.0, 1], [5.0, 0], [7.0, 1]])
        >>> features = fit_features(cells, ["age", "pet"], [None, ("cat", "dog")])
        >>> features.apply(np.array([[2.0, 1.0], [4.0, 2.0]])).tolist(), features.names
        ([[2.0, 4.0], [0.0, 0.0], [1.0, 0.0]], ('age', 'pet=cat', 'pet=dog'))
    """

    words: tuple[Words, ...]
    columns: tuple[Column, ...]
    encoding: Encoding | None

    @property
    def n_rows(self) -> int:
        return self.encoding.n_rows if self.encoding else len(self.names)

    def apply(self, cells: np.ndarray, dtype: Any = None, width: int | None = None) -> np.ndarray:
        """The rows of some cells: (m, n_columns) -> (n_rows, m), in the dtype of the cells or another.

        Args:
            cells, dtype: as said.
            width: how many rows, those after n_rows of 0; None: n_rows.
        """
        rows, blank = raw_rows(cells, self.words, self.columns), (width or self.n_rows) - self.n_rows
        if self.encoding:
            return self.encoding.apply(rows, dtype, blank)
        rows = rows.astype(dtype or rows.dtype, copy=False)
        return np.pad(rows, ((0, blank), (0, 0))) if blank else rows

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the rows before they are encoded."""
        return tuple(name for column in self.columns for name in column.feature_names)

    def as_json(self) -> dict[str, Any]:
        """What a model's file says of them, for `features_of`; words that are not told apart are forgotten."""
        plain: dict[str, Any] = {"feature_names": self.names, "columns": [column.as_json() for column in self.columns]}
        return plain | ({} if self.encoding is None else {"encoding": self.encoding.as_json()})


def features_of(known: Mapping[str, Any]) -> Features:
    """The features of a model, from its `read_metadata`.

    Raises:
        ValueError: they are not what `as_json` gives.
    """
    columns, encoding = columns_of(known), known.get("encoding")
    words = tuple(column.categories or None for column in columns)
    return Features(words, columns, None if encoding is None else from_json(encoding))


def fit_features(
    cells: np.ndarray,
    names: Sequence[str],
    words: Sequence[Words],
    encode: Callable[[np.ndarray], Encoding] | None = None,
    most: int = 64,
) -> Features:
    """Learn how cells become rows: give those of the training examples alone.

    Args:
        cells: (m, n_columns).
        names: of the columns.
        words: of the columns.
        encode: numbers (n, m) -> their encoding; None: numbers stay as they are, and none may be missing.
        most: categories of a column, at most. The others, and those of a single row, share the category "(other)", and
            so does each word that is unknown later; where there are no others, it becomes 0 in all rows of its column.
    """
    columns = tuple(
        categories_of(name, x, of, most) if of is not None else Column(name, fill=(np.nan,) if encode else None)
        for name, x, of in zip(names, cells.T, words, strict=True)
    )
    numbers = [k for k, of in enumerate(words) if of is None]
    encoding = whole(encode(cells[:, numbers].T), columns) if encode else None
    return Features(tuple(words), columns, encoding)


def categories_of(name: str, x: np.ndarray, words: tuple[str, ...], most: int) -> Column:
    """The categories of a column: the most frequent words by themselves, the others together, and gaps."""
    known = x[~np.isnan(x)].astype(int)
    counts = np.bincount(known, minlength=len(words))[: len(words)]
    often = [k for k in np.argsort(-counts, kind="stable")[:most] if counts[k] >= FEWEST]
    rest = counts.sum() - counts[often].sum()
    kept = tuple(words[k] for k in sorted(often))
    categories = tuple(dict.fromkeys([*kept, *[OTHER] * bool(rest), *[GAP] * bool(len(known) < len(x))]))
    if not categories:  # no value at all
        categories = (GAP,)

    def row_of(category: str) -> tuple[float, ...]:
        return tuple(float(category == one) for one in categories)

    return Column(name, categories, fill=row_of(GAP), unknown=row_of(OTHER))


def raw_rows(cells: np.ndarray, words: Sequence[Words], columns: Sequence[Column]) -> np.ndarray:
    """The rows of some cells, (n_rows, m), before they are encoded."""
    rows = np.empty((sum(len(column.feature_names) for column in columns), len(cells)), cells.dtype)
    start = 0
    for x, of, column in zip(cells.T, words, columns, strict=True):
        n = len(column.feature_names)
        rows[start : start + n] = x if of is None else one_hot(x, of, column)
        start += n
    return rows


def one_hot(x: np.ndarray, words: tuple[str, ...], column: Column) -> np.ndarray:
    """The rows of a column of categories: (m,) numbers of words -> (n_categories, m)."""
    rows: dict[Any, Any] = {one: np.eye(len(column.categories))[k] for k, one in enumerate(column.categories)}
    table = np.array([rows.get(word, column.unknown) for word in words] + [column.unknown, column.fill])
    return table[np.where(np.isnan(x), len(words) + 1, np.minimum(x, len(words))).astype(int)].T


def whole(encoding: Encoding, columns: Sequence[Column]) -> Encoding:
    """The encoding of numbers as one of all rows, in which those of categories stay as they are, or nearly."""
    if isinstance(encoding, PiecewiseLinear):
        own = iter(encoding.columns)
        parts = ([Bins((0.0, 1.0), 0.0)] * len(c.categories) if c.categories else [next(own)] for c in columns)
        return PiecewiseLinear(tuple(bins for part in parts for bins in part))
    pairs = iter(zip(encoding.center, encoding.factor, strict=True))
    both = [pair for c in columns for pair in ([(0.0, 1.0)] * len(c.categories) if c.categories else [next(pairs)])]
    return SmoothClip(tuple(center for center, _ in both), tuple(factor for _, factor in both))
