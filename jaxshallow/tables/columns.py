"""One column of a table: is it numbers or categories, and which rows of X does it become?"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxshallow.extras import require
from jaxshallow.tables.dataset import Column, as_columns
from jaxshallow.tables.layout import MISSING
from jaxshallow.tables.looks import DATES, NUMBERS, PLAIN, QUANTITIES, are_quantities, common_look, like, look_of
from jaxshallow.tables.problems import MIN_ROWS, did_you_mean, find, listed, refuse

if TYPE_CHECKING:
    import polars as pl

MAX_CATEGORIES = 100

BOOLEANS = {"false": "0", "true": "1"}

CODE = r"^\s*[-+]?0\d+\s*$"  # a whole number with leading zeros

EMPTY = "leave the cell empty where a value is missing"


def columns_of(known: Mapping[str, Any]) -> tuple[Column, ...]:
    """The columns that a model was trained on, from its `read_metadata`; () if it does not say.

    Raises:
        ValueError: they are malformed, or the model is from before feature scaling was folded into its weights.

    Example:
        >>> columns_of({"feature_names": ["height", "weight"]})[1]
        Column(name='weight', categories=(), fill=None, decimal='', unknown=None)
    """
    if "scaling of features" in known:
        raise ValueError("the model is of an earlier version, which kept the scaling of features apart: train it again")
    if (given := known.get("columns")) is None:
        names = known.get("feature_names")
        return as_columns(str(name) for name in (() if names is None else names))
    columns = []
    for one in given:
        try:
            name, categories = one["name"], tuple(one.get("categories") or ())
            fill, unknown = _values(one.get("fill")), _values(one.get("unknown"))
            column = Column(name, categories, fill, one.get("decimal") or "", unknown)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ValueError(f"a column of a model must have a name, categories and fill, got {one!r}") from error
        if column.decimal not in ("", ",", ".", "either"):
            raise ValueError(f"column {name!r} of a model must have a decimal mark, ',' or '.', got {column.decimal!r}")
        if not all(isinstance(text, str) and text for text in (name, *categories)):
            raise ValueError(f"a column of a model must have a name and categories that are text, got {one!r}")
        for what, values in (("fill", fill), ("unknown", unknown)):
            n, open_to_encoding = len(column.feature_names), what == "fill" and known.get("encoding")
            if values is not None and (len(values) != n or not (open_to_encoding or np.isfinite(values).all())):
                raise ValueError(f"{what} of column {name!r} of a model must be {n} numbers, got {values}")
        columns.append(column)
    return tuple(columns)


def _values(given: Any) -> tuple[float, ...] | None:
    """Numbers from JSON, which has null for NaN."""
    return None if given is None else tuple(np.nan if value is None else float(value) for value in given)


def encode(frame: Any, columns: Sequence[Column], where: str = "the table", first_row: int = 1) -> np.ndarray:
    """A polars frame as X, encoded by known columns.

    Args:
        frame: a `polars.DataFrame` with at least those columns.
        columns: how to read each.
        where: what the frame is called in errors.
        first_row: the number of its first row there.

    Returns:
        (n_x, m) float64.

    Raises:
        ValueError: a column is not in the frame; a value is not a number or not a known category, is infinite, or is
            missing where the column has no `fill`.

    Example:
        >>> import polars as pl
        >>> encode(pl.DataFrame({"coat": ["long", None]}), [Column("coat", ("long", "short"), (0.75, 0.25))]).tolist()
        [[1.0, 0.75], [0.0, 0.25]]
    """
    X = rows_of_X(frame, columns, where, first_row)
    gaps = np.isnan(X)
    fills = np.concatenate([c.fill or (np.nan,) * len(c.feature_names) for c in columns])
    refused = np.concatenate([[c.fill is None] * len(c.feature_names) for c in columns])
    fix = "the model was trained without: fill them, or train it with missing='mean' (--missing mean)"
    refuse(where, "missing values", columns, gaps & refused[:, None], fix, first_row)
    refuse(where, "infinity", columns, np.isinf(X), "drop those rows", first_row)
    return np.where(gaps, fills[:, None], X)


def rows_of_X(frame: pl.DataFrame, columns: Sequence[Column], where: object, first_row: int = 1) -> np.ndarray:
    """(n_x, m), with NaN where values are missing."""
    X, start = np.empty((sum(len(column.feature_names) for column in columns), frame.height)), 0
    names = frame.columns
    if missing := set(column.name for column in columns).difference(names):
        find(where, next(column.name for column in columns if column.name in missing), names)
    schema, text = frame.schema, require("polars", "scripts").String
    frame = parse_numbers(frame, [c.name for c in columns if not c.categories and schema[c.name] == text])
    for column in columns:
        rows = X[start : start + len(column.feature_names)]
        start += len(rows)
        if not column.categories:
            rows[0] = as_numbers(frame[column.name], where, first_row, EMPTY if column.fill else "write a number")
            continue
        words = as_words(frame[column.name])
        known = words.is_in(column.categories).fill_null(True)
        if column.unknown is None and not known.all():
            row = int((~known).arg_true()[0])
            raise ValueError(
                f"{where}: column {column.name!r} holds {words[row]!r} in row {first_row + row}, where only "
                f"{listed(column.categories)} are known{did_you_mean(words[row], column.categories)}"
            )
        text = words.to_numpy()
        rows[:] = text[None, :] == np.array(column.categories, object)[:, None]
        rows[:, ~known.to_numpy()] = np.array(column.unknown or [0.0])[:, None]
        rows[:, words.is_null().to_numpy()] = np.nan
    return X


def as_numbers(series: pl.Series, where: object, first_row: int, empty: str, instead: str = "") -> np.ndarray:
    """A column as float64; NaN where a value is missing. For what the errors say, see `no_number`."""
    pl = require("polars", "scripts")
    if series.dtype.is_numeric() or series.dtype in (pl.Boolean, pl.Null):
        return series.cast(pl.Float64).to_numpy()
    words = as_words(series)
    numbers = words.str.to_lowercase().replace(BOOLEANS).cast(pl.Float64, strict=False).fill_nan(None)
    if (wrong := numbers.is_null() & words.is_not_null()).any():
        place = _telling(words, wrong)
        word, row = words[place], first_row + place
        fix = f"{no_number(word, empty)}{instead}"
        if word == series.name:
            fix = ": the header stands there again, delete that line"
        raise ValueError(f"{where}: column {series.name!r} holds {word!r} in row {row}, which is not a number{fix}")
    return numbers.to_numpy()


def _telling(words: pl.Series, wrong: pl.Series) -> int:
    """The place of the first of the wrong words; of the first in disguise, if most of them are."""
    some = words.filter(wrong).unique(maintain_order=True).head(MAX_CATEGORIES).to_list()
    look = common_look(some, QUANTITIES)
    word = next((word for word in some if look and look_of(word, [look])), some[0])
    return int((words == word).arg_max() or 0)


def no_number(word: str, empty: str) -> str:
    """What a word looks like where a number must be, and what to do; `empty`, if it does not look like a number."""
    if re.fullmatch(r"[-+]?\d{1,3}(,\d{3})+(\.\d*)?", word):
        return ": thousands must not be set apart, and decimals need a point"
    if re.fullmatch(r"[-+]?\d*,\d+", word):
        return ": decimals need a point"
    look = look_of(word)
    if look is NUMBERS:
        return f": {PLAIN}, such as -1299.5"
    if look is None:
        return f": {empty}"
    return f", but looks like {look.what}: {look.fix or empty}"


def as_words(series: pl.Series) -> pl.Series:
    """A column as text without spaces around it; null where a value is missing."""
    pl = require("polars", "scripts")
    text = series.cast(pl.String).str.strip_chars()
    return text.set(text.is_in(MISSING).fill_null(False), None)


def infer_column(path: Path, series: pl.Series, said: bool, typed: bool) -> Column:
    """Whether a column holds numbers or categories; text is categories if it repeats, unless most of it is numbers.

    Args:
        path: of the table, for errors.
        series: the column.
        said: whether the user says that these are categories.
        typed: whether the file tells numbers from text, so that text is never plain numbers.

    Raises:
        ValueError: it is neither.
    """
    pl, name = require("polars", "scripts"), series.name
    leave_out = f"leave it out, drop=[{name!r}] (--drop {shlex.quote(name)})"
    said = said or series.dtype in (pl.Categorical, pl.Enum)
    if not said and (series.dtype.is_numeric() or series.dtype == pl.Boolean):
        return Column(name)
    spelled = not (series.dtype.is_nested() or series.dtype in (pl.Binary, pl.Object))
    text = (said and spelled) or series.dtype in (pl.String, pl.Null)
    words = as_words(series).drop_nulls() if text else series.drop_nulls()
    if not len(words):
        raise ValueError(f"{path}: column {name!r} holds no values: {leave_out}")
    if not text and series.dtype.is_temporal():
        dates = f"is of dates or times, such as {str(words[0])!r}"
        raise ValueError(f"{path}: column {name!r} {dates}: {DATES.fix}, or {leave_out}")
    if not text:
        raise ValueError(f"{path}: column {name!r} must be numbers, booleans or text, got {series.dtype}: {leave_out}")

    values = words.unique(maintain_order=True)
    some = values.head(MAX_CATEGORIES).to_list()
    instead = leave_out
    if len(values) <= MAX_CATEGORIES:
        instead = (
            f"say categories=[{name!r}] (--categories {shlex.quote(name)}) if these are categories, or {leave_out}"
        )
    if not said and (means_numbers(some, typed) or {word.lower() for word in some} <= BOOLEANS.keys()):
        or_else = f", {'or ' * (instead == leave_out)}{instead}"
        as_numbers(series, path, 1, EMPTY, or_else)  # raises for a value that is not a number
        return Column(name)
    many = len(values) > MAX_CATEGORIES
    if many or (not said and hardly_repeat(words, len(values), len(series))):
        look = common_look(some)
        fix = f"{look.fix}, or {leave_out}" if look and look.fix and many else instead
        much = f"{len(values):,} different texts" if many else f"a text of its own in most of {len(words):,} rows"
        most = f"; more than {MAX_CATEGORIES} are no categories" if many else ""
        raise ValueError(f"{path}: column {name!r} holds {much}, such as {values[0]!r}{like(look)}{most}: {fix}")
    return Column(name, tuple(sorted(values)))


def means_numbers(words: list[str], typed: bool) -> bool:
    """Whether text is numbers, some of them in disguise if the file tells plain numbers from text."""
    return are_quantities(words) and not (typed and common_look(words, [NUMBERS]) is NUMBERS)


def hardly_repeat(words: pl.Series, n: int, m: int) -> bool:
    """Whether most of the values, n of them different, are alone: nothing is learned from these. Few rows say little.

    Example:
        >>> import polars as pl
        >>> hardly_repeat(pl.Series(list("abcdefgghh")), 8, 10), hardly_repeat(pl.Series(list("aabbccddee")), 5, 10)
        (True, False)
    """
    if m < MIN_ROWS or n < 3 or 2 * n <= len(words):
        return False
    return bool(2 * (words.unique_counts() == 1).sum() > len(words))


def codes(frame: pl.DataFrame, names: list[str]) -> set[str]:
    """Those of the named text columns that hold whole numbers with leading zeros, such as 007, in the first rows."""
    pl = require("polars", "scripts")
    found = frame.head(10_000).select(pl.col(names).str.contains(CODE).any())
    return {column.name for column in found if column[0]}


def parse_numbers(frame: pl.DataFrame, names: list[str]) -> pl.DataFrame:
    """The frame; those of the named text columns that hold only numbers become numbers."""
    pl = require("polars", "scripts")
    plain = frame.select(pl.col(names).cast(pl.Float64, strict=False)).fill_nan(None)
    left = [series.name for series in plain if series.null_count()]
    words = frame.select(pl.col(left).str.strip_chars())
    numbers = words.select(pl.all().cast(pl.Float64, strict=False)).fill_nan(None)
    missing = words.select(pl.all().is_in(MISSING).fill_null(True).sum())
    wrong = [name for name in left if missing[name][0] < numbers[name].null_count() or missing[name][0] == frame.height]
    return frame.with_columns(plain.drop(left)).with_columns(numbers.drop(wrong))


def known_numbers(frame: pl.DataFrame, names: list[str]) -> pl.DataFrame:
    """The frame; the named text columns, which are known to hold only numbers, become numbers."""
    pl = require("polars", "scripts")
    frame = parse_numbers(frame, names)
    schema = frame.schema
    left = pl.col([name for name in names if schema[name] == pl.String])
    words = left.str.strip_chars().str.to_lowercase().replace(BOOLEANS)
    return frame.with_columns(words.cast(pl.Float64, strict=False).fill_nan(None))
