"""Encodings of numbers: what makes a column of numbers easy for one hidden layer, before it becomes rows of X.

`PiecewiseLinear` gives each bin of a column a row of its own; `SmoothClip` brings a column to a common scale and
bends its outliers to 3. Both are fixed maps, found from training examples, made of what NumPy, JAX and ONNX all have
(take, subtract, multiply, divide, minimum, maximum, square root, isnan, where), and are plain JSON in a file. Each has
an answer to a missing value, which is NaN, and to every other number.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from jaxshallow.tables.edges import NARROWEST, quantile_edges

TILE = 2**16  # numbers of a tile: in float64 half a MiB, which is not fetched anew for each array
FAR = 1e9  # z / √(1 + (z/3)²) is ±3 there, to the last digit of float64; the square of a larger z might overflow


class Ramps(NamedTuple):
    """The rows that columns become: where(isnan(x), missing, clip((x − low) / width, least, most)), row by row.

    Attributes:
        source: (n_rows,) which column each is made of.
        low, width, least, most, missing: (n_rows, 1).
    """

    source: np.ndarray
    low: np.ndarray
    width: np.ndarray
    least: np.ndarray
    most: np.ndarray
    missing: np.ndarray


@dataclass(frozen=True)
class Bins:
    """How one column of numbers becomes rows: the number itself, one for each bin, and one for missing values.

    Attributes:
        edges: increasing; bin t is between edges[t] and edges[t + 1]. Empty for a column without two different values.
        fill: the value that stands for a missing one; None if missing values have a row of their own.
        linear: (center, scale) of a row (x − center) / scale; None if there is no such row.

    Example:
        >>> Bins((0.0, 1.0, 5.0), fill=None, linear=(2.0, 1.5)).n_rows
        4
    """

    edges: tuple[float, ...]
    fill: float | None
    linear: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        for name, numbers in (("edges", self.edges), ("fill", (self.fill,)), ("linear", self.linear or ())):
            if not _are_finite(numbers) and numbers != (None,):
                raise ValueError(f"{name} must be finite numbers, got {numbers}")
        if not all(high - low >= NARROWEST for low, high in itertools.pairwise(self.edges)):
            raise ValueError(f"edges must increase, by at least {NARROWEST:.3g}, got {self.edges}")
        if len(self.edges) == 1:
            raise ValueError(f"edges must be none, or two or more, got {self.edges}")
        if self.linear is not None and not (self.edges and len(self.linear) == 2 and self.linear[1] >= NARROWEST):
            raise ValueError(f"linear must be (center, scale), of a column with bins, got {self.linear}")

    @property
    def n_bins(self) -> int:
        return max(0, len(self.edges) - 1)

    @property
    def n_rows(self) -> int:
        return (self.linear is not None) + self.n_bins + (self.fill is None)

    def ramps(self) -> np.ndarray:
        """(n_rows, 5): low, width, least, most and missing of each row."""
        rows = self._lines()
        missing = np.zeros(len(rows)) if self.fill is None else _ramp(self.fill, *rows.T)
        found = np.column_stack([rows, missing])
        return np.vstack([found, [[0, 1, 0, 0, 1]]]) if self.fill is None else found  # 0 for numbers, 1 for none

    def _lines(self) -> np.ndarray:
        """Low, width, least and most of the rows that a number decides: x stops one width beyond the outer bins."""
        if not self.n_bins:
            return np.zeros((0, 4))
        low, width = np.array(self.edges[:-1]), np.diff(self.edges)
        least, most = np.zeros(self.n_bins), np.ones(self.n_bins)
        least[0], most[-1] = -1, 2
        rows = np.column_stack([low, width, least, most])
        if self.linear is None:
            return rows
        center, scale = self.linear
        ends = np.array([low[0] - width[0], self.edges[-1] + width[-1]])
        return np.vstack([[center, scale, *(ends - center) / scale], rows])


@dataclass(frozen=True)
class PiecewiseLinear:
    """Piecewise-linear encoding: what is a line in each bin of x is a weighted sum of its rows.

    With edges b₀ < ... < b_T, row t of T is (x − b_{t−1}) / (b_t − b_{t−1}), clipped to [0, 1]: bins below that of x
    are 1, those above are 0. As in the paper, a value below b₀ or above b_T follows the line of the first or the last
    bin; here at most by one more width of that bin, to −1 or 2, so that no outlier decides a prediction. Two different
    values, such as 0 and 1, become one row; a constant column becomes none. A row of the number itself may stand before
    its bins, standardised and held at the same ends: a network need not put together what is a line.

    A missing value in a column that had some in training is a row of its own, 1 where it is missing; its other rows are
    0 there, so the network learns what a missing value means, freely. (The paper has no missing values;
    gradient boosting gives them a bin, too.) Where training had none, the median of training stands for it.

    Attributes:
        columns: how each column becomes rows.

    Example:
        >>> encoding = PiecewiseLinear((Bins((0.0, 1.0, 5.0), fill=None), Bins((0.0, 1.0), fill=0.0)))
        >>> encoding.apply(np.array([[0.5, 3.0, 99.0, np.nan], [0.0, 1.0, 1.0, np.nan]]))
        array([[0.5, 1. , 1. , 0. ],
               [0. , 0.5, 2. , 0. ],
               [0. , 0. , 0. , 1. ],
               [0. , 1. , 1. , 0. ]])

    Source: Gorishniy, Rubachev and Babenko (2022), On embeddings for numerical features in tabular deep learning.
    """

    columns: tuple[Bins, ...]

    @property
    def n_x(self) -> int:
        """Rows before it."""
        return len(self.columns)

    @property
    def n_rows(self) -> int:
        """Rows after it."""
        return sum(bins.n_rows for bins in self.columns)

    @cached_property
    def ramps(self) -> Ramps:
        """What the columns become, as arrays, which is all that a program needs that only applies the encoding."""
        parts = np.concatenate([np.zeros((0, 5)), *(bins.ramps() for bins in self.columns)])
        source = np.repeat(np.arange(len(self.columns)), [bins.n_rows for bins in self.columns])
        return Ramps(source, *(column[:, None] for column in parts.T))

    def apply(self, X: np.ndarray, dtype: Any = None, blank: int = 0) -> np.ndarray:
        """The encoded rows of X.

        Args:
            X: (n_x, m) examples as columns, NaN where a value is missing.
            dtype: of the rows; None: float32 if X is, else float64.
            blank: rows of 0 after them.

        Returns:
            (n_rows + blank, m): finite, whatever X.

        Raises:
            ValueError: X does not have a row for each column, or its dtype does not hold the edges.
        """
        return _in_tiles(self, X, dtype, blank)

    def formula(self, X: Any, xp: Any = np) -> Any:
        """The encoded rows of X (n_x, m), in NumPy or in `jax.numpy`, all at once and in the dtype of X."""
        source, *ramps = self.ramps
        low, width, least, most, missing = (xp.asarray(_held(array, X.dtype)) for array in ramps)
        x = X[source]
        return xp.where(xp.isnan(x), missing, xp.clip((x - low) / width, least, most))

    def feature_names(self, names: Sequence[str]) -> tuple[str, ...]:
        """The names of the encoded rows, of the columns' names."""
        return tuple(name for name, bins in zip(names, self.columns, strict=True) for name in _names(name, bins))

    def as_json(self) -> dict[str, Any]:
        """The encoding as what JSON has, for `from_json`."""
        return {"kind": "piecewise linear", "columns": [_plain(bins) for bins in self.columns]}


@dataclass(frozen=True)
class SmoothClip:
    """Robust scaling, then a smooth clip: z = (x − center) · factor becomes z / √(1 + (z/3)²), between −3 and 3.

    Near the middle it is z; an outlier comes close to ±3. A missing value becomes 0, the middle of its column.

    Attributes:
        center, factor: of each column; factor 0 makes a column 0.

    Example:
        >>> SmoothClip((10.0,), (0.5,)).apply(np.array([[10.0, 12.0, 1e6, np.nan]])).round(3)
        array([[0.   , 0.949, 3.   , 0.   ]])

    Source: Holzmüller, Grinsztajn and Steinwart (2024), Better by default: strong pre-tuned MLPs and boosted trees on
    tabular data.
    """

    center: tuple[float, ...]
    factor: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.center) != len(self.factor):
            raise ValueError(f"center and factor must be as many, got {len(self.center)} and {len(self.factor)}")
        for name, values in asdict(self).items():
            if not _are_finite(values):
                raise ValueError(f"{name} must be finite numbers, got {values}")

    @property
    def n_x(self) -> int:
        """Rows before it."""
        return len(self.center)

    @property
    def n_rows(self) -> int:
        """Rows after it: as many."""
        return self.n_x

    def apply(self, X: np.ndarray, dtype: Any = None, blank: int = 0) -> np.ndarray:
        """The scaled and clipped rows of X.

        Args:
            X: (n_x, m) examples as columns, NaN where a value is missing.
            dtype: of the rows; None: float32 if X is, else float64.
            blank: rows of 0 after them.

        Returns:
            (n_x + blank, m): finite, whatever X.

        Raises:
            ValueError: X does not have a row for each column, or its dtype does not hold the center or the factor.
        """
        return _in_tiles(self, X, dtype, blank)

    def formula(self, X: Any, xp: Any = np) -> Any:
        """The scaled and clipped rows of X (n_x, m), in NumPy or in `jax.numpy`, all at once and in the dtype of X."""
        center, factor = (xp.asarray(_held(np.array(a)[:, None], X.dtype)) for a in (self.center, self.factor))
        Z = xp.clip((X - center) * factor, -FAR, FAR)
        Z = xp.where(xp.isnan(Z), 0, Z)  # 0 · ∞ is NaN, too
        return Z / xp.sqrt(1 + (Z / 3) ** 2)

    def feature_names(self, names: Sequence[str]) -> tuple[str, ...]:
        """The names of the encoded rows: those of the columns."""
        return tuple(names)

    def as_json(self) -> dict[str, Any]:
        """The encoding as what JSON has, for `from_json`."""
        return {"kind": "smooth clip", "center": list(self.center), "factor": list(self.factor)}


Encoding = PiecewiseLinear | SmoothClip


def from_json(plain: Any) -> Encoding:
    """The encoding that `as_json` gave, exactly, and after a way through a file of JSON, too.

    Raises:
        ValueError: it is not what `as_json` gives.

    Example:
        >>> from_json({"kind": "smooth clip", "center": [10.0], "factor": [0.5]})
        SmoothClip(center=(10.0,), factor=(0.5,))
    """
    try:
        if plain["kind"] == "piecewise linear":
            return PiecewiseLinear(tuple(_from_plain(**one) for one in plain["columns"]))
        if plain["kind"] == "smooth clip":
            return SmoothClip(tuple(plain["center"]), tuple(plain["factor"]))
    except (TypeError, LookupError, ValueError) as error:
        raise ValueError(f"not an encoding of numbers: {error!r}") from error
    raise ValueError(f"kind must be 'piecewise linear' or 'smooth clip', got {plain['kind']!r}")


def fit_piecewise_linear(
    X: np.ndarray,
    edges_of: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None,
    n_bins: int = 16,
    linear: bool = True,
) -> PiecewiseLinear:
    """The piecewise-linear encoding of some examples: give the training examples alone.

    Args:
        X: (n_x, m) examples as columns, NaN where a value is missing.
        edges_of: (the known values of a column, which of the m examples these are) -> edges; None for quantiles.
        n_bins: bins of a column, at most, for quantiles.
        linear: whether a column with several bins has a row of the number itself, too, standardised.

    Example:
        >>> fit_piecewise_linear(np.array([[1.0, 2.0, 2.0, np.nan], [7.0, 7.0, 7.0, 7.0]]))
        PiecewiseLinear(columns=(Bins(edges=(1.0, 2.0), fill=None, linear=None), Bins(edges=(), fill=7.0, linear=None)))
    """
    edges_of = edges_of or (lambda values, _: quantile_edges(values, n_bins))
    return PiecewiseLinear(tuple(_bins(x, edges_of, linear) for x in X))


def fit_smooth_clip(X: np.ndarray) -> SmoothClip:
    """Robust scaling of some examples, then a smooth clip: give the training examples alone.

    The center is the median, and the factor 1 / (q₃ − q₁), of the known values. Where half of them are equal it is
    2 / (largest − least); a constant column becomes 0.

    Args:
        X: (n_x, m) examples as columns, NaN where a value is missing.

    Example:
        >>> fit_smooth_clip(np.array([[1.0, 2.0, 3.0, 4.0, 5.0], [0.0, 0.0, 0.0, 0.0, 4.0], [7.0, 7.0, 7.0, 7.0, 7.0]]))
        SmoothClip(center=(3.0, 0.0, 7.0), factor=(0.5, 0.5, 0.0))
    """
    found = [_center_and_factor(x[~np.isnan(x)].astype(np.float64)) for x in X]
    return SmoothClip(tuple(center for center, _ in found), tuple(factor for _, factor in found))


def _center_and_factor(x: np.ndarray) -> tuple[float, float]:
    if not len(x):
        return 0.0, 0.0
    least, q1, middle, q3, largest = np.quantile(x, [0, 0.25, 0.5, 0.75, 1]).tolist()
    scale = q3 - q1 if q3 - q1 >= NARROWEST else (largest - least) / 2
    return middle, 1 / scale if scale >= NARROWEST else 0.0


def _bins(x: np.ndarray, edges_of: Callable[[np.ndarray, np.ndarray], np.ndarray], linear: bool) -> Bins:
    known = ~np.isnan(x)
    values = x[known]
    edges = edges_of(values, known) if len(values) else values
    several = len(edges) > 2  # one bin is the number itself, scaled
    return Bins(
        tuple(edges.tolist()) if len(edges) > 1 else (),
        float(np.median(values)) if known.all() else None,
        _mean_and_deviation(values.astype(np.float64)) if linear and several else None,
    )


def _mean_and_deviation(x: np.ndarray) -> tuple[float, float]:
    largest = np.abs(x).max()
    x = x / largest  # so that no sum and no square overflows
    return float(x.mean() * largest), max(NARROWEST, float(x.std() * largest))


def _names(name: str, bins: Bins) -> list[str]:
    """`name` for the number itself, or for its only bin; `name_bin0` and so on for several; `name_missing`."""
    own = [name] if bins.n_bins == 1 else [f"{name}_bin{t}" for t in range(bins.n_bins)]
    return [name] * (bins.linear is not None) + own + [f"{name}_missing"] * (bins.fill is None)


def _plain(bins: Bins) -> dict[str, Any]:
    return {"edges": list(bins.edges), "fill": bins.fill, "linear": bins.linear and list(bins.linear)}


def _from_plain(edges: Any, fill: Any, linear: Any) -> Bins:
    return Bins(tuple(edges), fill, None if linear is None else tuple(linear))


def _ramp(x: float, low: np.ndarray, width: np.ndarray, least: np.ndarray, most: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):
        found: np.ndarray = np.clip((x - low) / width, least, most)
    return found


def _are_finite(values: Sequence[Any]) -> bool:
    return all(isinstance(value, float | int) and math.isfinite(value) for value in values)


def _in_tiles(encoding: Encoding, X: np.ndarray, dtype: Any, blank: int) -> np.ndarray:
    """The encoded rows, some columns at a time: what is computed on the way stays in the cache."""
    X = _rows(X, encoding.n_x)
    m = X.shape[1]
    Z, size = np.zeros((encoding.n_rows + blank, m), dtype or X.dtype), max(16, TILE // max(1, encoding.n_rows))
    with np.errstate(over="ignore", invalid="ignore"):
        for start in range(0, max(m, 1), size):  # once for none: what cannot be encoded is said
            part = slice(start, start + size)
            Z[: encoding.n_rows, part] = encoding.formula(X[:, part])
    return Z


def _rows(X: np.ndarray, n_x: int) -> np.ndarray:
    """X as floating-point numbers, checked."""
    X = np.asarray(X)
    if X.ndim != 2 or len(X) != n_x:
        fix = ": examples are columns, use X.T" if X.ndim == 2 and X.shape[1] == n_x else ""
        raise ValueError(f"X must be (n_x, m) = ({n_x}, m), got {X.shape}{fix}")
    return np.ascontiguousarray(X, np.float32 if X.dtype == np.float32 else np.float64)


def _held(values: np.ndarray, dtype: Any) -> np.ndarray:
    """Numbers of the encoding in the dtype of X; ValueError where they are beyond it."""
    with np.errstate(over="ignore"):
        narrow = values.astype(dtype)
    if not np.isfinite(narrow).all():
        raise ValueError(f"X must be of a dtype that holds {np.abs(values).max():.3g}, got {dtype}: scale it")
    return narrow
