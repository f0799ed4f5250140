"""Maps of numbers before a network sees them: smooth clipping, and piecewise-linear encoding. In NumPy.

One hidden layer bends once for each unit. A table's numbers often want more: a price that doubles at every step, a few
values far from all others, an age that matters below 25 alone. These maps do the bending before W1, and cost nothing
to learn. They are fixed when they are fitted, and made of subtractions, divisions, minima and maxima, which every
format for models has.

Examples are rows here, as in tables.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

FAR = 3.0  # the size that a clipped number nears
FEWEST_ROWS = 10  # of a bin
BEYOND = 1.0  # widths of the outermost bin, that a number outside all bins may be away from it


@dataclass(frozen=True)
class SmoothClip:
    """(x − median) / (q₇₅ − q₂₅), and then x / √(1 + (x / 3)²), which nears ±3 far away.

    Order is kept, and the middle half stays nearly as it is. Where the quartiles are equal, half the range takes their
    place, and a column of one value becomes 0. A missing value stays missing. (Holzmüller, Grinsztajn and Steinwart
    2024, "Better by default".)

    Attributes:
        median, width: (n,) of each column.
    """

    median: np.ndarray
    width: np.ndarray

    @classmethod
    def fitted(cls, X: np.ndarray) -> Self:
        """From the rows of training, (m, n); NaN is a missing value."""
        low, first, median, third, high = quantiles(X, (0, 0.25, 0.5, 0.75, 1))
        width = np.where(third > first, third - first, (high - low) / 2)
        return cls(np.nan_to_num(median), np.where(width > 0, width, np.inf))

    def apply(self, X: np.ndarray) -> np.ndarray:
        """(m, n) numbers, in the dtype of X."""
        x = (X - self.median.astype(X.dtype)) / self.width.astype(X.dtype)
        found: np.ndarray = x / np.sqrt(1 + (x / X.dtype.type(FAR)) ** 2)
        return found

    def as_json(self) -> dict[str, Any]:
        return {"median": self.median.tolist(), "width": [None if np.isinf(w) else w for w in self.width.tolist()]}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        width = [np.inf if w is None else w for w in value["width"]]
        return cls(np.array(value["median"], float), np.array(width, float))


@dataclass(frozen=True)
class Bins:
    """The edges of one column.

    Attributes:
        edges: (bins + 1,), rising; none for a column of one value.
        gap: whether training had missing values: then they have a place of their own.
        usual: the median, which stands for a missing value if training had none.
    """

    edges: tuple[float, ...]
    gap: bool
    usual: float

    @property
    def n(self) -> int:
        """How many numbers a number becomes."""
        return max(len(self.edges) - 1, 0) + self.gap

    def apply(self, x: np.ndarray) -> np.ndarray:
        """(m, n) of (m,)."""
        missing = np.isnan(x)
        if not self.edges:
            return missing[:, None].astype(x.dtype) if self.gap else np.empty((len(x), 0), x.dtype)
        edges = np.array(self.edges, x.dtype)
        low, high = np.zeros(len(edges) - 1, x.dtype), np.ones(len(edges) - 1, x.dtype)
        low[0], high[-1] = -BEYOND, 1 + BEYOND
        known = np.where(missing, x.dtype.type(self.usual), x)[:, None]
        parts = np.clip((known - edges[:-1]) / np.diff(edges), low, high)
        if not self.gap:
            return parts
        return np.concatenate([np.where(missing[:, None], 0, parts), missing[:, None]], axis=1, dtype=x.dtype)


@dataclass(frozen=True)
class PiecewiseLinear:
    """A number as how full each of its bins is: 1 for those below it, 0 for those above, a share for its own.

    A linear function of these is any broken line with its corners at the edges (Gorishniy, Rubachev and Babenko 2022,
    "On embeddings for numerical features"). Beyond the outermost edges the line goes on, for the width of one bin.

    Attributes:
        columns: the `Bins` of each.
    """

    columns: tuple[Bins, ...]

    @classmethod
    def fitted(cls, X: np.ndarray, edges: Sequence[np.ndarray]) -> Self:
        """From the rows of training, (m, n), and the edges of each column, as `quantile_edges` gives them."""
        missing = np.isnan(X).any(axis=0)
        usual = np.nan_to_num(quantiles(X, (0.5,))[0])
        found = zip(edges, missing, usual, strict=True)
        return cls(tuple(Bins(tuple(map(float, one)), bool(gap), float(mid)) for one, gap, mid in found))

    def apply(self, X: np.ndarray) -> np.ndarray:
        """(m, numbers), in the dtype of X."""
        parts = [bins.apply(X[:, k]) for k, bins in enumerate(self.columns)]
        return np.concatenate(parts, axis=1) if parts else np.empty((len(X), 0), X.dtype)

    def names(self, columns: Sequence[str]) -> list[str]:
        """A name for each number, such as "age > 25" and "age missing"."""
        found: list[str] = []
        for name, bins in zip(columns, self.columns, strict=True):
            found += [f"{name} > {edge:.6g}" for edge in bins.edges[:-1]]
            found += [f"{name} missing"] if bins.gap else []
        return found

    def as_json(self) -> list[dict[str, Any]]:
        return [{"edges": list(one.edges), "gap": one.gap, "usual": one.usual} for one in self.columns]

    @classmethod
    def from_json(cls, value: Sequence[Mapping[str, Any]]) -> Self:
        return cls(tuple(Bins(tuple(one["edges"]), bool(one["gap"]), float(one["usual"])) for one in value))


def quantile_edges(X: np.ndarray, n_bins: int) -> list[np.ndarray]:
    """Edges of each column, with as many rows in each bin: fewer bins for few rows, or few different values."""
    found = []
    for x in present(X):
        shares = np.linspace(0, 1, bins_for(x, n_bins) + 1)[1:-1]
        found.append(edges_at(x, np.quantile(x, shares) if len(x) else x))
    return found


def edges_at(x: np.ndarray, inner: np.ndarray) -> np.ndarray:
    """The lowest number, those of `inner` between, and the highest; none where all numbers are equal."""
    if not len(x) or x.min() == x.max():
        return np.empty(0)
    return np.unique(np.concatenate([[x.min()], inner[(inner > x.min()) & (inner < x.max())], [x.max()]]))


def bins_for(x: np.ndarray, n_bins: int) -> int:
    return max(1, min(n_bins, len(x) // FEWEST_ROWS))


def present(X: np.ndarray) -> list[np.ndarray]:
    """The numbers of each column that are not missing, in float64."""
    return [x[~np.isnan(x)].astype(np.float64) for x in X.T]


def quantiles(X: np.ndarray, which: Sequence[float]) -> np.ndarray:
    """(which, n) quantiles of each column; NaN for a column without numbers."""
    found = [np.quantile(x, which) if len(x) else np.full(len(which), np.nan) for x in present(X)]
    return np.array(found).reshape(-1, len(which)).T
