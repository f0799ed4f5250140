"""Tables from files: columns of numbers, categories and gaps become X and Y.

`load_table` finds out how each column is to be read, a `Column`; a saved model remembers that; `encode` then reads
other tables in the same way. In files, rows are examples; in X and Y, columns are.
"""

from __future__ import annotations

import csv
import difflib
import importlib
import os
import re
import shlex
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import numpy as np

MAX_INTEGER_CLASSES = 20
MAX_CATEGORIES = 100
MISSING = ["", "NA", "N/A", "NaN", "nan", "NULL", "null"]
SUFFIXES = (".csv", ".tsv", ".parquet", ".feather", ".npz", ".npy")
BOOLEANS = {"false": "0", "true": "1"}
DECIMAL_COMMA = r"^(\s*[-+]?\d+),(\d+\s*)$"  # in files whose columns are set apart by semicolons
DATE = r"^\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}([T ].*)?$"
NAMED_AT_MOST = 10  # of columns in a message


@dataclass(frozen=True)
class Column:
    """How one column of a table becomes rows of X.

    Attributes:
        name: of the column.
        categories: of a column of text, sorted: a row of 0 and 1 for each. Empty for numbers, which are one row.
        fill: what stands in those rows where a value is missing; None where that is refused.

    Example:
        >>> Column("colour", ("blue", "red")).feature_names
        ('colour=blue', 'colour=red')
    """

    name: str
    categories: tuple[str, ...] = ()
    fill: tuple[float, ...] | None = None

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The names of its rows of X."""
        return tuple(f"{self.name}={category}" for category in self.categories) or (self.name,)


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
        missing: (n_x, m), true where a value was missing and a mean was put; None where nothing was.
        remarks: sentences on what is odd about the data.

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
        """The same, with missing values filled by means over some examples only, such as those to be trained on.

        Args:
            examples: their indices. A feature that none of them has keeps the mean over all.
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


def classes(rows, codes, name: str, columns: Iterable[Column | str], labels: Iterable[Any]) -> Dataset:
    """Rows (m, n_x) and class numbers (m,) as a `Dataset`; `columns` may be plain names."""
    labels = tuple(map(str, labels))
    binary = len(labels) == 2
    Y = codes[None, :] if binary else codes[None, :] == np.arange(len(labels))[:, None]
    X = np.array(rows.T, dtype=np.float64, order="C")
    return Dataset(X, Y.astype(np.float64), "sigmoid" if binary else "softmax", _columns(columns), labels, name)


def regression(rows, targets, name: str, columns: Iterable[Column | str]) -> Dataset:
    """Rows (m, n_x) and targets (m,) or (m, n_y) as a `Dataset`; `columns` may be plain names."""
    X, Y = (np.array(A.T, dtype=np.float64, order="C") for A in (rows, targets.reshape(len(rows), -1)))
    return Dataset(X, Y, "identity", _columns(columns), (), name)


def _columns(columns: Iterable[Column | str]) -> tuple[Column, ...]:
    return tuple(column if isinstance(column, Column) else Column(column) for column in columns)


# ---- reading ----


def load_table(
    path: str | os.PathLike[str],
    target: str | None = None,
    *,
    missing: Literal["error", "mean"] = "error",
    drop: Sequence[str] = (),
    categories: Sequence[str] = (),
    task: Literal["classification", "regression"] | None = None,
) -> Dataset:
    """A table from .csv, .tsv, .parquet, .feather (polars), .npz or .npy (NumPy). In files, rows are examples.

    The target decides the task, unless `task` does. Text, booleans, integers with at most 20 distinct values, and 0.0
    and 1.0 alone are classes, sorted: two give output "sigmoid", more give "softmax". Anything else numeric is
    regression, "identity".

    Every other column is a feature. Numbers and booleans are one row of X; text is a row of 0 and 1 for each of its
    categories. Constant features are kept, and reported, as are equal ones, in `remarks`. The first line of a .csv or
    .tsv names the columns; in a .csv, semicolons or tabs may stand for commas, and with semicolons commas for decimal
    points; blank lines are skipped.

    An .npz holds X (m, n_x) and Y or y: (m,) or (m, 1) as above, or (m, n_y), which is n_y classes where every row
    is one-hot and regression where one is not. An .npy is a matrix whose columns are x1, x2, .... Nothing is ever
    unpickled.

    Args:
        path: the file.
        target: name of the target column or array. None: the last column; in an .npz, Y or else y.
        missing: "error" refuses features with missing values, naming the columns; "mean" puts the mean of the other
            rows there (for categories, their shares). `Dataset.filled_from` takes the means over training rows alone.
        drop: columns to leave out.
        categories: columns whose numbers are codes of categories, as text is. (In .npz and .npy all are numbers.)
        task: "classification" makes classes of any target's values, "regression" numbers.

    Returns:
        `Dataset` with X (n_x, m) and Y (n_y, m).

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the suffix is unknown; the file is malformed, has no rows or one column only; the target is not
            there, holds a single class or gaps; a feature is a date, text of more than 100 kinds, or numbers with a
            word among them; values are missing or infinite. It names the column, and the row, counted from 1.
        TypeError: `drop` or `categories` is a single text.
        ImportError: polars is missing.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, "pets.csv")
        ...     _ = path.write_text("weight,coat,pet\\n4.1,long,cat\\n,long,cat\\n30.5,short,dog\\n")
        ...     pets = load_table(path, missing="mean")
        >>> pets.feature_names, pets.labels, pets.Y.tolist()
        (('weight', 'coat=long', 'coat=short'), ('cat', 'dog'), [[0.0, 0.0, 1.0]])
        >>> pets.X.tolist()
        [[4.1, 17.3, 30.5], [1.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
    """
    path = Path(path)
    if missing not in ("error", "mean"):
        raise ValueError(f"missing must be 'error' or 'mean', got {missing!r}")
    if task not in (None, "classification", "regression"):
        raise ValueError(f"task must be 'classification' or 'regression', got {task!r}")
    if path.suffix.lower() not in SUFFIXES:
        raise ValueError(f"path must end in {', '.join(SUFFIXES)}, got {path}")
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    read = {".npz": _read_npz, ".npy": _read_npy}.get(path.suffix.lower(), _read_frame)
    for name, given in (("drop", drop), ("categories", categories)):
        if isinstance(given, str):
            raise TypeError(f"{name} must be a list of columns, got {given!r}: [{given!r}]")
    X, targets, columns, target = read(path, target, list(drop), list(categories), task)
    if not X.size:
        raise ValueError(f"{path} must hold at least one row and one feature, got X (m, n_x) = {X.T.shape}")
    _refuse(path, "infinity", columns, np.isinf(X), "drop those rows, or that column with drop")
    gaps = np.isnan(X)
    _refuse(path, "no values at all", columns, gaps & gaps.all(axis=1, keepdims=True), "leave them out with drop")
    if gaps.any() and path.suffix.lower() in (".csv", ".tsv") and (short := ragged(path)):
        raise ValueError(f"{path}: {short}: that row was cut, and is not one with missing values")
    if missing == "error":
        _refuse(path, "missing values", columns, gaps, "fill them, or say missing='mean' (--missing mean)")
    rows = np.where(gaps, 0, X).T
    dataset = _dataset(path, rows, targets, columns, target, task)
    if missing == "mean":
        empty = [Column(c.name, c.categories, (0.0,) * len(c.feature_names)) for c in columns]
        dataset = replace(dataset, columns=tuple(empty), missing=gaps).filled_from(np.arange(len(rows)))
    return replace(dataset, target=target, remarks=tuple(_remarks(dataset, targets, columns, gaps)))


def columns_of(known: Mapping[str, Any]) -> tuple[Column, ...]:
    """The columns that a model was trained on, of its `read_metadata`; () if it does not say.

    Raises:
        ValueError: they are malformed, or the model was saved before its weights took in the scaling of features.

    Example:
        >>> columns_of({"feature_names": ["height", "weight"]})[1]
        Column(name='weight', categories=(), fill=None)
    """
    if "scaling of features" in known:
        raise ValueError("the model is of an earlier version, which kept the scaling of features apart: train it again")
    if (given := known.get("columns")) is None:
        names = known.get("feature_names")
        return _columns(str(name) for name in (() if names is None else names))
    columns = []
    for one in given:
        try:
            name, categories, fill = one["name"], tuple(one.get("categories") or ()), one.get("fill")
            column = Column(name, categories, None if fill is None else tuple(map(float, fill)))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ValueError(f"a column of a model must have a name, categories and fill, got {one!r}") from error
        if not all(isinstance(text, str) and text for text in (name, *categories)):
            raise ValueError(f"a column of a model must have a name and categories that are text, got {one!r}")
        numbers = column.fill or (0.0,) * len(column.feature_names)
        if len(numbers) != len(column.feature_names) or not np.isfinite(numbers).all():
            raise ValueError(
                f"column {name!r} of a model must have {len(column.feature_names)} numbers to fill, got {fill}"
            )
        columns.append(column)
    return tuple(columns)


def encode(frame: Any, columns: Sequence[Column], where: str = "the table", first_row: int = 1) -> np.ndarray:
    """A polars frame as X, by columns that are known already.

    Args:
        frame: a `polars.DataFrame` with at least those columns.
        columns: how to read each.
        where: what the frame is called in errors.
        first_row: the number of its first row there.

    Returns:
        (n_x, m) float64.

    Raises:
        ValueError: a column is not there; a value is no number or none of the known categories, or is missing where
            the column has no `fill`, or infinite.

    Example:
        >>> import polars as pl
        >>> encode(pl.DataFrame({"coat": ["long", None]}), [Column("coat", ("long", "short"), (0.75, 0.25))]).tolist()
        [[1.0, 0.75], [0.0, 0.25]]
    """
    X = _rows_of_X(frame, columns, where, first_row)
    gaps = np.isnan(X)
    fills = np.concatenate([c.fill or (np.nan,) * len(c.feature_names) for c in columns])
    _refuse(
        where, "missing values", columns, gaps & np.isnan(fills)[:, None], "the model was trained without", first_row
    )
    _refuse(where, "infinity", columns, np.isinf(X), "drop those rows", first_row)
    return np.where(gaps, fills[:, None], X)


def _rows_of_X(frame, columns: Sequence[Column], where, first_row: int = 1) -> np.ndarray:
    """(n_x, m), with NaN where values are missing."""
    X, start = np.empty((sum(len(column.feature_names) for column in columns), frame.height)), 0
    names = frame.columns
    if missing := set(column.name for column in columns).difference(names):
        find(where, next(column.name for column in columns if column.name in missing), names)
    for column in columns:
        rows = X[start : start + len(column.feature_names)]
        start += len(rows)
        if not column.categories:
            rows[0] = _numbers(frame[column.name], where, first_row)
            continue
        words = _words(frame[column.name])
        known = words.is_in(column.categories).fill_null(True)
        if not known.all():
            row = int((~known).arg_true()[0])
            raise ValueError(
                f"{where}: column {column.name!r} holds {words[row]!r} in row {first_row + row}, where only "
                f"{_listed(column.categories)} are known{did_you_mean(words[row], column.categories)}"
            )
        text = words.to_numpy()
        rows[:] = text[None, :] == np.array(column.categories, object)[:, None]
        rows[:, words.is_null().to_numpy()] = np.nan
    return X


def _numbers(series, where, first_row: int) -> np.ndarray:
    """A column as float64; NaN where a value is missing."""
    pl = require("polars", "scripts")
    if series.dtype.is_numeric() or series.dtype in (pl.Boolean, pl.Null):
        return series.cast(pl.Float64).to_numpy()
    words = _words(series)
    numbers = words.str.to_lowercase().replace(BOOLEANS).cast(pl.Float64, strict=False)
    if len(wrong := (numbers.is_null() & words.is_not_null()).arg_true()):
        word, row = words[int(wrong[0])], first_row + int(wrong[0])
        fix = "leave the cell empty where a value is missing"
        if re.fullmatch(r"[-+]?\d{1,3}(,\d{3})+(\.\d*)?", word):
            fix = "thousands must not be set apart, and decimals need a point"
        elif re.fullmatch(r"[-+]?\d*,\d+", word):
            fix = "decimals need a point"
        raise ValueError(f"{where}: column {series.name!r} holds {word!r} in row {row}, which is not a number: {fix}")
    return numbers.to_numpy()


def _words(series):
    """A column as text without spaces around it; null where a value is missing."""
    pl = require("polars", "scripts")
    text = series.cast(pl.String).str.strip_chars()
    return text.set(text.is_in(MISSING).fill_null(False), None)


def _column(path: Path, series, categorical: bool) -> Column:
    """What a column of a table is: numbers, or categories, which text is where it is not mostly numbers."""
    pl, name = require("polars", "scripts"), series.name
    leave_out = f"leave it out, drop=[{name!r}] (--drop {shlex.quote(name)})"
    if not categorical and (series.dtype.is_numeric() or series.dtype == pl.Boolean):
        return Column(name)
    series = series.cast(pl.String) if categorical else series
    text = series.dtype in (pl.String, pl.Categorical, pl.Enum, pl.Null)
    values = _words(series).drop_nulls().unique(maintain_order=True) if text else series.drop_nulls()
    if not len(values):
        raise ValueError(f"{path}: column {name!r} holds no values: {leave_out}")
    if series.dtype.is_temporal() or (text and values.str.contains(DATE).all()):
        fix = f"say what matters of it in numbers, such as the year, the month or the days since, or {leave_out}"
        raise ValueError(f"{path}: column {name!r} is of dates or times, such as {str(values[0])!r}: {fix}")
    if not text:
        raise ValueError(f"{path}: column {name!r} must be numbers, booleans or text, got {series.dtype}: {leave_out}")
    if not categorical and (values.str.to_lowercase().is_in(list(BOOLEANS)).all() or _mostly_numbers(values)):
        _numbers(series, path, 1)  # which says what is none
        return Column(name)
    if len(values) > MAX_CATEGORIES:
        raise ValueError(
            f"{path}: column {name!r} holds {len(values):,} different texts, such as {values[0]!r}; more than "
            f"{MAX_CATEGORIES} are no categories: {leave_out}"
        )
    return Column(name, tuple(sorted(values)))


def _mostly_numbers(values) -> bool:
    """Whether more than half of different texts are numbers, also such as 1,5 and 1,000."""
    pl = require("polars", "scripts")
    numbers = values.str.replace_all(",", "").cast(pl.Float64, strict=False)
    return 2 * numbers.is_not_null().sum() > len(values)


def csv_options(path: Path) -> dict[str, Any]:
    """How polars should read a .csv or .tsv: commas, or what its first line has in their place."""
    with open(path, "rb") as file:
        start = file.read(2**16)
    if start[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise ValueError(f"{path} is UTF-16: save it as UTF-8 first")
    line = start.partition(b"\n")[0]
    separator = "\t" if path.suffix.lower() == ".tsv" else max(",;\t", key=lambda mark: line.count(mark.encode()))
    return {"separator": separator, "glob": False}


def _read_frame(
    path: Path, target: str | None, drop: list[str], categories: list[str], task: str | None
) -> tuple[np.ndarray, np.ndarray, list[Column], str]:
    """X (n_x, m) with NaN for gaps, targets (m,), the columns of X and the target's name."""
    pl = require("polars", "scripts")
    frame = _frame(path)
    names = frame.columns
    if not frame.height:
        raise ValueError(f"{path} must hold at least one row, got none under {_quoted(names)}")
    for name in drop:
        names.remove(find(path, name, names))
    if len(names) < 2:
        raise ValueError(f"{path} must hold a target and at least one feature, got one column, {names}")
    given, target = target, find(path, names[-1] if target is None else target, names)
    names.remove(target)
    for name in categories:
        find(path, name, names)

    typed = path.suffix.lower() in (".parquet", ".feather")
    y = _targets(path, frame[target], typed, task, "" if given else " (the last column, and so the target)")
    if not typed:
        frame = _parsed(frame, [name for name in names if name not in categories])
    columns, wrong, schema = [], [], frame.schema
    for name in names:
        text = schema[name] in (pl.String, pl.Categorical, pl.Enum)
        try:
            columns.append(_column(path, frame[name], name in categories or (typed and text)))
        except ValueError as error:
            wrong.append(str(error).removeprefix(f"{path}: "))
    if wrong:
        raise ValueError(f"{path}: {'; '.join(wrong)}")
    return _rows_of_X(frame, columns, path), y.to_numpy(), columns, target


def _parsed(frame, names: list[str]):
    """The frame, with those of the named columns of text that hold numbers alone as numbers."""
    pl = require("polars", "scripts")
    words = frame.select(pl.col(names).str.strip_chars())
    words = words.select(pl.when(pl.all().is_in(MISSING)).then(None).otherwise(pl.all()).name.keep())
    numbers = words.select(pl.all().cast(pl.Float64, strict=False))
    gaps = zip(names, words.null_count().row(0), numbers.null_count().row(0), strict=True)
    return frame.with_columns(numbers.select(name for name, before, after in gaps if before == after < frame.height))


def _targets(path: Path, series, typed: bool, task: str | None, which: str):
    """The target as numbers, booleans or text; `which` says how it was chosen."""
    pl, name, y = require("polars", "scripts"), series.name, series
    if y.dtype in (pl.String, pl.Categorical, pl.Enum):
        y = _words(y)
        if not typed:
            integers, numbers = (y.cast(dtype, strict=False) for dtype in (pl.Int64, pl.Float64))
            y = next((n for n in (integers, numbers) if n.null_count() == y.null_count()), y)
    elif not (y.dtype.is_numeric() or y.dtype == pl.Boolean):
        raise ValueError(f"{path}: {name}{which} must be text, boolean or numeric, got {y.dtype}")
    if y.null_count():
        gaps = _counted([Column(name)], y.is_null().to_numpy()[None, :])
        raise ValueError(f"{path}: missing values in {gaps[0]}{which}: drop those rows")
    if y.dtype == pl.String:
        values = y.unique(maintain_order=True)
        if values.str.contains(DATE).all():
            raise ValueError(f"{path}: {name}{which} must be classes or numbers, got dates such as {y[0]!r}")
        if task is None and not typed and _mostly_numbers(values):
            _numbers(y, path, 1)  # which says what is none
        if task is None and len(values) > MAX_CATEGORIES:
            raise ValueError(
                f"{path}: {name}{which} holds {len(values):,} different texts, such as {values[0]!r}: "
                "say task='classification' (--task classification) if these are classes"
            )
    return y.cast(pl.Float64) if y.dtype.is_decimal() else y


def _frame(path: Path):
    """The file as a polars frame, with a name for each column."""
    pl, suffix = require("polars", "scripts"), path.suffix.lower()
    try:
        if suffix == ".parquet":
            frame = pl.read_parquet(path, glob=False)
        elif suffix == ".feather":
            with open(path, "rb") as file:  # a path may hold what polars takes for a pattern
                frame = pl.read_ipc(file)
        else:
            options = csv_options(path)
            frame = pl.read_csv(path, infer_schema=False, **options)
            if options["separator"] == ";":
                frame = frame.with_columns(pl.col(pl.String).str.replace(DECIMAL_COMMA, "$1.$2"))
            frame = frame.filter(~pl.all_horizontal(pl.all().is_null()))
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        found = ragged(path) if suffix in (".csv", ".tsv") else None
        raise malformed(path, found or error) from error

    names = [name.strip() for name in frame.columns]
    if "" in names:
        fix = " (pandas writes its index so: to_csv(index=False) does not)" if names[0] == "" else ""
        raise ValueError(f"{path}: columns must have names, each its own, got {_quoted(names)}{fix}")
    counts = Counter(names)
    if twice := [name for name in names if counts[name] > 1 or f"{name}_duplicated_0" in counts]:
        raise ValueError(f"{path}: columns must have names, each its own, got {twice[0]!r} twice")
    if suffix in (".csv", ".tsv") and _is_headerless(names):
        raise ValueError(
            f"{path}: the first line must name the columns, got numbers, {_quoted(names)}: add such a line"
        )
    return frame.rename(dict(zip(frame.columns, names, strict=True)))


def _is_headerless(names: list[str]) -> bool:
    """Whether names look like a row of data: one is a decimal, or all are numbers that do not count 0, 1, 2, ...."""

    def is_number(name):
        try:
            return bool(np.isfinite(float(name)))
        except ValueError:
            return False

    if any(is_number(name) and "." in name for name in names):
        return True
    counted = [[str(k) for k in range(start, start + len(names))] for start in (0, 1)]
    return all(map(is_number, names)) and names not in counted


def ragged(path: Path) -> str | None:
    """What Python's own reader finds wrong with a .csv: the line, and how many fields it has or what byte."""
    separator = csv_options(path)["separator"]
    with open(path, encoding="utf-8-sig", newline="") as file:
        try:
            reader = csv.reader(file, delimiter=separator, strict=True)
            header = next(reader, [])
            for row in reader:
                if row and len(row) != len(header):
                    return f"line {reader.line_num} has {len(row)} fields where the header has {len(header)}"
        except UnicodeDecodeError:
            return _not_utf8(path)
        except csv.Error as error:
            return f"line {reader.line_num}: {error}"
    return None


def _not_utf8(path: Path) -> str:
    with open(path, "rb") as file:
        for number, line in enumerate(file, 1):
            try:
                line.decode()
            except UnicodeDecodeError as error:
                byte = line[error.start : error.start + 1]
                return f"line {number} holds the byte {byte!r}, which is not UTF-8: save it as UTF-8 first"
    return "it is not UTF-8"


def _read_npz(
    path: Path, target: str | None, drop: list[str], *_: Any
) -> tuple[np.ndarray, np.ndarray, list[Column], str]:
    """X (n_x, m), targets (m,) or (m, n_y ≥ 2), the columns x1, x2, ... and the target's name."""
    with open(path, "rb") as stream:
        try:
            with np.load(stream, allow_pickle=False) as file:
                arrays = dict(file)
        except Exception as error:  # zipfile, zlib and NumPy each raise their own
            raise malformed(path, error) from error

    X = arrays.pop(find(path, "X", arrays))
    target = find(path, target or ("Y" if "Y" in arrays else "y"), arrays)
    y = arrays[target]
    if X.ndim != 2 or X.dtype.kind not in "biuf":
        raise ValueError(f"{path}: X must be numbers (m, n_x), got {X.dtype} {X.shape}")
    m, n_x = X.shape
    y = y.ravel() if y.shape == (m, 1) else y
    if y.ndim not in (1, 2) or len(y) != m or y.size < m or y.dtype.kind not in ("Ubiuf" if y.ndim == 1 else "biuf"):
        fix = f": in files, rows are examples, use X.T and {target}.T" if y.ndim and y.shape[-1] == n_x else ""
        raise ValueError(f"{path}: {target} must be (m,) or (m, n_y) with m = {m}, got {y.dtype} {y.shape}{fix}")
    X, columns = _kept(path, X, [f"x{i + 1}" for i in range(n_x)], drop)
    return X, y, columns, target


def _read_npy(
    path: Path, target: str | None, drop: list[str], *_: Any
) -> tuple[np.ndarray, np.ndarray, list[Column], str]:
    """As `_read_npz`, of a matrix (m, n) whose columns are called x1, x2, ..., the target among them."""
    try:
        table = np.load(path, allow_pickle=False)
    except Exception as error:
        raise malformed(path, error) from error
    if table.ndim != 2 or table.dtype.kind not in "biuf" or table.shape[1] < 2:
        raise ValueError(f"{path} must hold numbers (m, n), features and a target, got {table.dtype} {table.shape}")
    names = [f"x{i + 1}" for i in range(table.shape[1])]
    target = find(path, names[-1] if target is None else target, names)
    place = names.index(target)
    names.remove(target)
    X, columns = _kept(path, np.delete(table, place, axis=1), names, drop)
    return X, table[:, place], columns, target


def _kept(path: Path, rows: np.ndarray, names: list[str], drop: list[str]) -> tuple[np.ndarray, list[Column]]:
    """X (n_x, m) and its columns, without those to leave out."""
    out = {find(path, name, names) for name in drop}
    left = [i for i, name in enumerate(names) if name not in out]
    return rows[:, left].T.astype(np.float64), [Column(names[i]) for i in left]


def _dataset(path: Path, rows, targets: np.ndarray, columns: list[Column], target: str, task: str | None) -> Dataset:
    """The rule of `load_table`: which targets are classes and which are numbers."""
    name, kind = path.stem, targets.dtype.kind
    if kind == "f":
        wrong = ~np.isfinite(targets.reshape(len(targets), -1)).all(axis=1)
        _refuse(path, "NaN or infinity", [Column(target)], wrong[None, :], "drop those rows")
    one_hot = targets.ndim == 2 and np.isin(targets, (0, 1)).all() and (targets.sum(axis=1) == 1).all()
    if one_hot and task != "regression":
        return classes(rows, targets.argmax(axis=1), name, columns, range(targets.shape[1]))
    if targets.ndim == 2 and task == "classification":
        raise ValueError(f"{path}: {target} must be (m,), or one-hot in every row, for a classification")
    if targets.ndim == 2 or (task == "regression" and kind in "biuf"):
        return regression(rows, targets, name, columns)
    if task == "regression":
        raise ValueError(f"{path}: {target} must be numbers for a regression, got {str(targets[0])!r}")
    found, codes = np.unique(targets, return_inverse=True)
    few = kind not in "iuf" or (kind in "iu" and len(found) <= MAX_INTEGER_CLASSES) or np.array_equal(found, (0, 1))
    if not few and task is None:
        return regression(rows, targets, name, columns)
    if len(found) == 1:
        raise ValueError(f"{path}: {target} must hold at least two classes, got {str(found[0])!r} only")
    if len(found) == len(codes) > MAX_INTEGER_CLASSES:
        raise ValueError(f"{path}: {target} must hold classes, but all of its {len(codes):,} values differ")
    labels = [int(value) if kind == "f" and value == int(value) else value for value in found]
    return classes(rows, codes, name, columns, labels)


def _remarks(dataset: Dataset, targets: np.ndarray, columns: Sequence[Column], gaps: np.ndarray) -> Iterator[str]:
    """What is odd about the data, in sentences."""
    X, names = dataset.X, dataset.feature_names
    low, high = X.min(axis=1), X.max(axis=1)
    if constant := [name for name, same in zip(names, low == high, strict=True) if same]:
        yield f"constant, and so of no use: {_listed(constant)}"
    first: dict[bytes, str] = {}
    twins = [
        f"{name} = {twin}"
        for name, row, varies in zip(names, X, low < high, strict=True)
        if varies and (twin := first.setdefault(row.tobytes(), name)) != name
    ]
    if twins:
        yield f"the same numbers twice: {_listed(twins)}"
    far = [name for name, row in zip(names, X, strict=True) if abs(row.mean()) > 1e4 * row.std() > 0]
    if far:
        yield f"so far from 0, for their spread, that float32 loses digits; subtract an offset first: {_listed(far)}"
    m = X.shape[1]
    counting = [
        name
        for name, row, span in zip(names, X, high - low, strict=True)
        if m > MAX_INTEGER_CLASSES and span == m - 1 and (np.diff(np.sort(row)) == 1).all()
    ]
    if counting:
        yield f"a number for each row, which may tell nothing, or too much: {_listed(counting)}"
    if dataset.output == "identity" and targets.ndim == 1 and targets.dtype.kind == "f":
        values = np.unique(targets)
        if len(values) <= MAX_INTEGER_CLASSES and (values == values.round()).all():
            yield f"the target holds {len(values)} different whole numbers, and is taken for a quantity"
    if gaps.any():
        yield f"missing values, filled by means: {_listed(_counted(columns, gaps))}"


# ---- larger than memory ----


@dataclass(frozen=True)
class Tiles:
    """The rows of a .parquet file, some at a time: each iteration reads the file anew, for data larger than memory.

    For `js.stream(js.cost_and_grads)(params, Tiles("table.parquet", "label"))`. All columns must be numeric or boolean;
    nothing is coded or scaled here.

    Attributes:
        path: the file.
        target: name of the target column; None is the last.
        rows: of a tile.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: when iterated, if the file is malformed, the target is not there, a column is text, or values are
            missing, NaN or infinite; it names the column and the rows.
        ImportError: polars is missing.

    Example:
        >>> import tempfile
        >>> import polars as pl
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, "table.parquet")
        ...     pl.DataFrame({"a": [1.0, 2.0, 3.0], "label": [0, 1, 1]}).write_parquet(path)
        ...     [(X.tolist(), Y.tolist()) for X, Y in Tiles(path, "label", rows=2)]
        [([[1.0, 2.0]], [[0.0, 1.0]]), ([[3.0]], [[1.0]])]
    """

    path: str | os.PathLike[str]
    target: str | None = None
    rows: int = 2**17

    def __post_init__(self):
        if not Path(self.path).is_file():
            raise FileNotFoundError(f"there is no file {self.path}")
        if self.rows < 1:
            raise ValueError(f"rows must be at least 1, got {self.rows}")

    def __iter__(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        pl, path = require("polars", "scripts"), Path(self.path)
        try:
            table = pl.scan_parquet(path, glob=False)
            schema = table.collect_schema()
            m = table.select(pl.len()).collect().item()
        except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
            raise malformed(path, error) from error
        if not m:
            raise ValueError(f"{path} must hold at least one row, got none under {_quoted(schema)}")
        names = list(schema)
        target = find(path, names[-1] if self.target is None else self.target, names)
        if other := [
            f"{name!r} ({dtype})" for name, dtype in schema.items() if not (dtype.is_numeric() or dtype == pl.Boolean)
        ]:
            raise ValueError(f"{path}: columns must be numeric or boolean, got {', '.join(other)}")
        features = [name for name in names if name != target]
        for start in range(0, m, self.rows):
            try:
                frame = table.slice(start, self.rows).select(pl.col([*features, target]).cast(pl.Float64)).collect()
            except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
                raise malformed(path, error) from error
            tile = frame.to_numpy().T  # a missing value is NaN here
            columns = [Column(name) for name in frame.columns]
            _refuse(path, "missing values, NaN or infinity", columns, ~np.isfinite(tile), "drop them first", start + 1)
            yield tile[:-1], tile[-1:]


# ---- errors ----


def find(path: Any, name: str, names: Iterable[str]) -> str:
    """The name, if it is among the names; else ValueError, with the nearest of them."""
    if name not in names:
        raise ValueError(f"{path} must hold {name!r}, got {_quoted(names)}{did_you_mean(name, names)}")
    return name


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """A question to end an error with; "" where no name is near.

    Example:
        >>> did_you_mean("flwer", ["moons", "flower"])
        ": did you mean 'flower'?"
    """
    spelled = {known.lower(): known for known in names}
    close = difflib.get_close_matches(name.lower(), list(spelled), n=1)
    return f": did you mean {spelled[close[0]]!r}?" if close else ""


def malformed(path: Path, error: object) -> ValueError:
    return ValueError(f"{path} is not a readable {path.suffix.lower()} file: {str(error).partition(chr(10))[0]}")


def require(module: str, extra: str) -> ModuleType:
    """The module, or an ImportError that says what to install."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(f"{module.split('.')[0]} is missing: pip install 'jaxshallow[{extra}]'") from error


def _refuse(where, what: str, columns: Sequence[Column], wrong: np.ndarray, fix: str, first_row: int = 1) -> None:
    """ValueError if any of (n_x, m) is wrong, with the columns that it is in."""
    if wrong.any():
        raise ValueError(f"{where}: {what} in {_listed(_counted(columns, wrong, first_row))}: {fix}")


def _counted(columns: Sequence[Column], marked: np.ndarray, first_row: int = 1) -> list[str]:
    """The columns that have marks among their rows of (n_x, m), with how many, and the first one's place."""
    starts = np.cumsum([0, *(len(column.feature_names) for column in columns)])[:-1]
    found = []
    for column, rows in zip(columns, marked[starts], strict=True):
        if n := rows.sum():
            place = f"row {first_row + rows.argmax()}"
            found.append(f"{column.name!r} ({place})" if n == 1 else f"{column.name!r} ({n:,}, from {place})")
    return found


def _listed(names: Sequence[str]) -> str:
    more = len(names) - NAMED_AT_MOST
    return ", ".join(map(str, names[:NAMED_AT_MOST])) + (f" and {more:,} more" if more > 0 else "")


def _quoted(names: Iterable[str]) -> str:
    return f"[{_listed([repr(name) for name in names])}]"
