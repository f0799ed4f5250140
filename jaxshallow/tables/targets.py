"""What a table's target is: classes or a quantity?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from jaxshallow.extras import require
from jaxshallow.tables.columns import (
    BOOLEANS,
    CODE,
    MAX_CATEGORIES,
    as_numbers,
    as_words,
    hardly_repeat,
    means_numbers,
    no_number,
)
from jaxshallow.tables.dataset import Column, Dataset, classes, regression
from jaxshallow.tables.layout import MISSING
from jaxshallow.tables.looks import NUMBERS, common_look, like
from jaxshallow.tables.problems import counted, refuse

if TYPE_CHECKING:
    import polars as pl

MAX_INTEGER_CLASSES = 20

AS_CLASSES = "say task='classification' (--task classification) if these are classes"
AS_QUANTITY = "say task='regression' (--task regression) if these are a quantity"
DROP, DROP_IT = "drop those rows from the file", "drop that row from the file"
ANOTHER = "choose another column with target (--target)"


def read_targets(path: Path, series: pl.Series, typed: bool, task: str | None, which: str) -> np.ndarray:
    """The target as numbers, booleans or text (m,); `which` says how it was chosen."""
    pl, name, y = require("polars", "scripts"), series.name, series
    if y.dtype in (pl.String, pl.Categorical, pl.Enum, pl.Null):
        y = as_words(y)
    elif not (y.dtype.is_numeric() or y.dtype == pl.Boolean):
        raise ValueError(f"{path}: {name}{which} must be text, boolean or numeric, got {y.dtype}: {ANOTHER}")
    if y.null_count() == len(y):
        raise ValueError(f"{path}: {name!r}{which} holds no values at all: {ANOTHER}")
    if y.null_count():
        gaps = counted([Column(name)], y.is_null().to_numpy()[None, :])
        raise ValueError(f"{path}: missing values in {gaps[0]}{which}: {DROP}, or {ANOTHER}")
    if y.dtype == pl.String:
        y = _meant(y, typed, task)
    if y.dtype == pl.String and series.dtype not in (pl.Categorical, pl.Enum):
        _check_words(path, y, typed, task, which)
    return (y.cast(pl.Float64) if y.dtype.is_decimal() else y).to_numpy()


def _meant(y: pl.Series, typed: bool, task: str | None) -> pl.Series:
    """Text as the numbers that it spells. True and TRUE are one class; 0501 is a code, and another than 501."""
    pl = require("polars", "scripts")
    lower = y.str.to_lowercase()
    truth = lower.is_in(list(BOOLEANS))
    if truth.all() and task != "regression":
        return lower if lower.n_unique() < y.n_unique() else y
    if task != "regression" and (typed or y.str.contains(CODE).any()):
        return y
    plain = lower.replace(BOOLEANS) if truth.any() else y
    numbers = (plain.cast(dtype, strict=False) for dtype in (pl.Int64, pl.Float64))
    return next((n for n in numbers if not n.null_count()), y)


def _check_words(path: Path, y: pl.Series, typed: bool, task: str | None, which: str) -> None:
    """ValueError if text is neither classes nor numbers."""
    pl, name = require("polars", "scripts"), y.name
    values = y.unique(maintain_order=True)
    some = values.head(MAX_CATEGORIES).to_list()
    differ = len(values) == len(y) > MAX_INTEGER_CLASSES
    ways_out = f"or {ANOTHER}" if differ else f"{AS_CLASSES}, or {ANOTHER}"
    if task == "regression":
        row = int(y.cast(pl.Float64, strict=False).is_null().arg_max() or 0)
        raise ValueError(
            f"{path}: {name} must be numbers for a regression, got {y[row]!r} in row {row + 1}, which is not a number"
            f"{no_number(y[row], DROP_IT)}, {ways_out}"
        )
    if task == "classification":
        return
    if means_numbers(some, typed):
        as_numbers(y, path, 1, DROP_IT, f", {ways_out}")
    look = common_look(some)
    fix = f"{AS_QUANTITY}, " if look is NUMBERS else f"{look.fix}, " if look and look.fix else ""
    held = f"{path}: {name}{which} holds {len(values):,} different texts in {len(y):,} rows, such as "
    if differ or len(values) > MAX_CATEGORIES or hardly_repeat(y, len(values), len(y)):
        ways_out = ways_out if fix else ways_out.removeprefix("or ")
        raise ValueError(f"{held}{values[0]!r}{like(look)}: {fix}{ways_out}")


def tidied(path: Path, y: np.ndarray, target: str) -> np.ndarray:
    """A NumPy array of text (m,) as classes: without spaces around them, and True and TRUE as one.

    Raises:
        ValueError: a value is missing, such as "nan".
    """
    words = np.strings.strip(y)
    gaps = np.isin(words, MISSING)
    refuse(path, "missing values", [Column(target)], gaps[None, :], f"{DROP}, or {ANOTHER}")
    lower = np.strings.lower(words)
    folds = np.isin(lower, list(BOOLEANS)).all() and len(np.unique(words)) > len(np.unique(lower))
    return lower if folds else words


def as_dataset(
    path: Path, rows: np.ndarray, targets: np.ndarray, columns: list[Column], target: str, task: str | None
) -> Dataset:
    """Decide whether the targets are classes or numbers, by the rule in `load_table`."""
    name, kind = path.stem, targets.dtype.kind
    if kind == "f":
        wrong = ~np.isfinite(targets.reshape(len(targets), -1)).all(axis=1)
        refuse(path, "NaN or infinity", [Column(target)], wrong[None, :], f"{DROP}, or {ANOTHER}")
    if kind == "U":
        targets = tidied(path, targets, target)
    one_hot = targets.ndim == 2 and np.isin(targets, (0, 1)).all() and (targets.sum(axis=1) == 1).all()
    if one_hot and task != "regression":
        return classes(rows, targets.argmax(axis=1), name, columns, range(targets.shape[1]))
    if targets.ndim == 2 and task == "classification":
        raise ValueError(f"{path}: {target} must be (m,), or one-hot in every row, for a classification")
    if targets.ndim == 2 or (task == "regression" and kind in "biuf"):
        return regression(rows, targets, name, columns)
    if task == "regression":
        raise ValueError(f"{path}: {target} must be numbers for a regression, got {str(targets[0])!r}: {AS_CLASSES}")
    found, codes = np.unique(targets, return_inverse=True)
    if task is None and not are_classes(found, len(targets)):
        return regression(rows, targets, name, columns)
    if len(found) == 1:
        raise ValueError(f"{path}: {target} must hold at least two classes, got {str(found[0])!r} only: {ANOTHER}")
    if len(found) == len(codes) > MAX_INTEGER_CLASSES:
        fix = f"leave task out (--task), or {ANOTHER}"
        raise ValueError(f"{path}: {target} must hold classes, but all of its {len(codes):,} values differ: {fix}")
    labels = [int(value) if kind == "f" and value == int(value) else value for value in found]
    return classes(rows, codes, name, columns, labels)


def are_classes(found: np.ndarray, m: int) -> bool:
    """Whether m targets with these distinct values are classes: of text, or of few integers that repeat.

    Example:
        >>> are_classes(np.array([0, 1, 2]), m=6), are_classes(np.array([51, 279, 722]), m=3)
        (True, False)
    """
    if found.dtype.kind not in "iuf" or np.array_equal(found, (0, 1)):
        return True
    if found.dtype.kind == "f" or len(found) > MAX_INTEGER_CLASSES:
        return False
    two = len(found) <= 2 and (m > 2 or int(found[-1]) - int(found[0]) <= 2)  # such as 1 and 2, or −1 and 1
    return two or 2 * len(found) <= m
