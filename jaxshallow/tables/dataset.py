"""`Dataset`: examples as columns, and what is known about them; `Column`: how a table's column becomes rows of X."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Column:
    """How one column of a table becomes rows of X.

    Attributes:
        name: of the column.
        categories: of a column of text, sorted: a row of 0 and 1 for each. Empty for numbers, which are one row.
        fill: the values of those rows where a value is missing; None if that is an error. NaN is left to the encoding.
        unknown: the values of those rows where a text is none of the categories; None if that is an error.
        decimal: the decimal mark that the numbers of its table showed, "" if all were plain.

    Example:
        >>> Column("colour", ("blue", "red")).feature_names
        ('colour=blue', 'colour=red')
    """

    name: str
    categories: tuple[str, ...] = ()
    fill: tuple[float, ...] | None = None
    decimal: str = ""
    unknown: tuple[float, ...] | None = None

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The names of its rows of X."""
        return tuple(f"{self.name}={category}" for category in self.categories) or (self.name,)

    def as_json(self) -> dict[str, Any]:
        """The column as what JSON has, for `columns_of`."""
        fill = self.fill and [None if value != value else value for value in self.fill]  # JSON has no NaN
        plain = {"name": self.name, "categories": list(self.categories), "fill": fill}
        plain |= {"decimal": self.decimal} if self.decimal else {}
        return plain | ({} if self.unknown is None else {"unknown": list(self.unknown)})


@dataclass(frozen=True, eq=False)
class Dataset:
    """Examples as columns, with what is known about them; unpacks as `X, Y`.

    Attributes:
        X: (n_x, m) features, float64.
        Y: (n_y, m) targets, float64: a row of 0 and 1 for two classes, one-hot columns for more, else numbers.
        output: the head that fits Y: "sigmoid" for two classes, "softmax" for more, "identity" for regression.
        columns: how columns of a table became X's rows.
        labels: the classes' names, in the order of their numbers; empty for regression.
        name: what the data set is called.
        target: what a table calls its target; "" where it has no name.
        missing: (n_x, m), true where a missing value was filled by a mean; None if none was.
        remarks: warnings about suspicious columns, as sentences.

    Example:
        >>> from jaxshallow import data
        >>> X, Y = data.flower()
        >>> X.shape, Y.shape
        ((2, 400), (1, 400))
    """

    X: np.ndarray
    Y: np.ndarray
    output: str
    columns: tuple[Column, ...]
    labels: tuple[str, ...]
    name: str
    target: str = ""
    missing: np.ndarray | None = None
    remarks: tuple[str, ...] = ()

    def __iter__(self) -> Iterator[np.ndarray]:
        return iter((self.X, self.Y))

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The n_x names of X's rows."""
        return tuple(name for column in self.columns for name in column.feature_names)

    @property
    def balance(self) -> dict[str, int]:
        """How many examples each class has; {} for regression."""
        counts = [self.Y.shape[1] - self.Y.sum(), self.Y.sum()] if self.output == "sigmoid" else self.Y.sum(axis=1)
        return {label: int(count) for label, count in zip(self.labels, counts, strict=True)} if self.labels else {}

    def filled_from(self, examples: np.ndarray) -> Dataset:
        """The same, with missing values filled by means over some examples only, such as the training examples.

        Args:
            examples: their indices. A feature that is missing in all of them keeps the mean over all examples.
        """
        if self.missing is None:
            return self
        known = ~self.missing[:, examples]
        sums, counts = np.where(known, self.X[:, examples], 0).sum(axis=1), known.sum(axis=1)
        fills = np.where(counts, sums / np.maximum(counts, 1), np.concatenate([c.fill or () for c in self.columns]))
        ends = np.cumsum([len(column.feature_names) for column in self.columns])
        parts = np.split(fills, ends[:-1])
        columns = tuple(replace(c, fill=tuple(part.tolist())) for c, part in zip(self.columns, parts, strict=True))
        return replace(self, X=np.where(self.missing, fills[:, None], self.X), columns=columns)


def classes(
    rows: np.ndarray, codes: np.ndarray, name: str, columns: Iterable[Column | str], labels: Iterable[Any]
) -> Dataset:
    """Rows (m, n_x) and class numbers (m,) as a `Dataset`; `columns` may be plain names."""
    labels = tuple(map(str, labels))
    binary = len(labels) == 2
    Y = codes[None, :] if binary else codes[None, :] == np.arange(len(labels))[:, None]
    X = np.array(rows.T, dtype=np.float64, order="C")
    return Dataset(X, Y.astype(np.float64), "sigmoid" if binary else "softmax", as_columns(columns), labels, name)


def regression(rows: np.ndarray, targets: np.ndarray, name: str, columns: Iterable[Column | str]) -> Dataset:
    """Rows (m, n_x) and targets (m,) or (m, n_y) as a `Dataset`; `columns` may be plain names."""
    X, Y = (np.array(A.T, dtype=np.float64, order="C") for A in (rows, targets.reshape(len(rows), -1)))
    return Dataset(X, Y, "identity", as_columns(columns), (), name)


def as_columns(columns: Iterable[Column | str]) -> tuple[Column, ...]:
    return tuple(column if isinstance(column, Column) else Column(column) for column in columns)
