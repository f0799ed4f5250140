"""Tables from files: columns with numbers, categories and missing values become X and Y.

`load_table` decides how to read each column and records it as a `Column`. A saved model keeps these columns, and
`encode` uses them to read other tables in the same way. In files, rows are examples; in X and Y, columns are.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np

from jaxshallow.tables.arrays import read_npy, read_npz
from jaxshallow.tables.dataset import Column, Dataset
from jaxshallow.tables.frames import read_frame
from jaxshallow.tables.problems import check_is_file, refuse
from jaxshallow.tables.remarks import remarks_on
from jaxshallow.tables.targets import as_dataset

# To add a file format, list its suffix here, with a function of the same signature.
READERS: dict[str, Callable[..., tuple[np.ndarray, np.ndarray, list[Column], str, list[str]]]] = {
    ".csv": read_frame,
    ".tsv": read_frame,
    ".parquet": read_frame,
    ".feather": read_frame,
    ".npz": read_npz,
    ".npy": read_npy,
}


def load_table(
    path: str | os.PathLike[str],
    target: str | None = None,
    *,
    missing: Literal["error", "mean", "keep"] = "error",
    drop: Sequence[str] = (),
    categories: Sequence[str] = (),
    task: Literal["classification", "regression"] | None = None,
) -> Dataset:
    """Load a table from .csv, .tsv, .parquet, .feather (polars), .npz or .npy (NumPy). In files, rows are examples.

    The target decides the task, unless `task` is given. Text, booleans, integers with at most 20 distinct values, each
    in two rows or more on average, and floats that are all 0.0 or 1.0 are classes, sorted: two give output "sigmoid",
    more give "softmax". Any other numbers are a regression, output "identity". In a .csv, true and TRUE are one class,
    and 0501 is another class than 501.

    Every other column is a feature. Numbers and booleans become one row of X. Text is one-hot encoded: a row of 0 and 1
    for each category. What looks like numbers (amounts of money, percentages, times, dates) is refused, and so is text
    that is in one row alone in most rows, such as names; `categories` takes both. Suspicious features are kept, and
    reported in `remarks`: constant, there twice, IDs, or nearly the target itself.

    The first line of a .csv or .tsv names the columns, each its own. Both are UTF-8, and their columns are set apart by
    commas, semicolons, tabs or |. Lines without text, and columns without text or a name, are skipped; every other line
    must have a field for each column. Decimal commas and marks between thousands are read where the file's numbers show
    which is which: beside 0,25 or 1.299,99, 1.299 is 1299. The models that the programs save remember it. (`layout`
    holds the rules; the program predict and exported Python files follow them, too.)

    An .npz holds X (m, n_x) and Y or y. A target of (m,) or (m, 1) is read as above; one of (m, n_y) is n_y classes if
    every row is one-hot, else a regression. An .npy is a matrix whose columns are x1, x2, .... Nothing is ever
    unpickled.

    Args:
        path: the file.
        target: name of the target column or array. None: the last column; in an .npz, Y or else y.
        missing: "error" refuses features with missing values and names the columns; "mean" fills them with the mean of
            the other rows (for categories, their shares). `Dataset.filled_from` uses means over training rows alone.
            "keep" leaves them, as NaN, to an encoding.
        drop: columns to leave out.
        categories: columns whose values are categories, whatever they look like, such as codes that are numbers. (In
            .npz and .npy all features are numbers.)
        task: "classification" makes a class of each distinct target value, "regression" keeps numbers.

    Returns:
        `Dataset` with X (n_x, m) and Y (n_y, m).

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the suffix is unknown; the file is malformed, or has no rows or only one column; a row is longer or
            shorter than the header; a number can be read in two ways; the target is absent, has missing values or a
            single class; a feature is a date, text that hardly repeats or has more than 100 distinct values, numbers in
            disguise, or numbers with a word among them; values are missing or infinite. The message names the column
            and the row, counted from 1.
        TypeError: `drop` or `categories` is a string, not a list.
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
    _check_arguments(path, target, missing, drop, categories, task)
    X, targets, columns, target, notes = READERS[path.suffix.lower()](path, target, list(drop), list(categories), task)
    gaps = np.isnan(X)
    _check_values(path, X, gaps, columns)
    if missing == "error":
        refuse(path, "missing values", columns, gaps, "fill them, or say missing='mean' (--missing mean)")
    rows = np.where(gaps, 0, X).T
    dataset = as_dataset(path, rows, targets, columns, target, task)
    if missing != "error":
        empty = [replace(c, fill=(0.0,) * len(c.feature_names)) for c in columns]
        dataset = replace(dataset, columns=tuple(empty), missing=gaps).filled_from(np.arange(len(rows)))
    remarks = tuple(remarks_on(dataset, targets, gaps, task))
    if missing == "keep":
        left = tuple(replace(c, fill=(np.nan,) * len(c.feature_names)) for c in columns)
        dataset = replace(dataset, X=X, columns=left, missing=None)
        remarks = tuple(remark.replace("filled by means", "left to the encoding") for remark in remarks)
    return replace(dataset, target=target, remarks=(*notes, *remarks))


def _check_arguments(
    path: Path, target: str | None, missing: str, drop: Sequence[str], categories: Sequence[str], task: str | None
) -> None:
    if missing not in ("error", "mean", "keep"):
        raise ValueError(f"missing must be 'error', 'mean' or 'keep', got {missing!r}")
    if task not in (None, "classification", "regression"):
        raise ValueError(f"task must be 'classification' or 'regression', got {task!r}")
    if path.suffix.lower() not in READERS:
        raise ValueError(f"path must end in {', '.join(READERS)}, got {path}")
    check_is_file(path)
    for name, given in (("drop", drop), ("categories", categories)):
        if isinstance(given, str):
            raise TypeError(f"{name} must be a list of columns, got {given!r}: [{given!r}]")
    if target in drop:
        raise ValueError(f"drop must not name the target, got {target!r} for both: name another column in one of them")
    if both := [name for name in categories if name in drop]:
        raise ValueError(f"drop and categories must name different columns, got {both[0]!r} in both")
    if categories and path.suffix.lower() in (".npz", ".npy"):
        fix = "save the table as .csv or .parquet, or leave categories out"
        raise ValueError(f"categories are of columns in tables, where {path.suffix} holds only numbers: {fix}")


def _check_values(path: Path, X: np.ndarray, gaps: np.ndarray, columns: list[Column]) -> None:
    """ValueError if X (n_x, m) is empty, infinite, or has gaps that no mean can fill."""
    if not X.size:
        raise ValueError(f"{path} must hold at least one row and one feature, got X (m, n_x) = {X.T.shape}")
    fix = "drop those rows from the file, or leave the column out with drop (--drop)"
    refuse(path, "infinity", columns, np.isinf(X), fix)
    empty = gaps & gaps.all(axis=1, keepdims=True)
    refuse(path, "no values at all", columns, empty, "leave them out with drop (--drop)")
