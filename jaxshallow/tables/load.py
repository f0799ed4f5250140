"""Tables from files: columns with numbers, categories and missing values become X and Y.

`load_table` decides how to read each column and records it as a `Column`. A saved model keeps these columns, and
`encode` uses them to read other tables in the same way. In files, rows are examples; in X and Y, columns are.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np

from jaxshallow.tables.arrays import read_npy, read_npz
from jaxshallow.tables.dataset import Column, Dataset, classes, regression
from jaxshallow.tables.frames import read_frame
from jaxshallow.tables.problems import counted, listed, refuse

MAX_INTEGER_CLASSES = 20

# To add a file format, list its suffix here, with a function of the same signature.
READERS: dict[str, Callable[..., tuple[np.ndarray, np.ndarray, list[Column], str]]] = {
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
    missing: Literal["error", "mean"] = "error",
    drop: Sequence[str] = (),
    categories: Sequence[str] = (),
    task: Literal["classification", "regression"] | None = None,
) -> Dataset:
    """Load a table from .csv, .tsv, .parquet, .feather (polars), .npz or .npy (NumPy). In files, rows are examples.

    The target decides the task, unless `task` is given. Text, booleans, integers with at most 20 distinct values, and
    floats that are all 0.0 or 1.0 are classes, sorted: two give output "sigmoid", more give "softmax". Any other
    numbers are a regression, output "identity".

    Every other column is a feature. Numbers and booleans become one row of X. Text is one-hot encoded: a row of 0 and 1
    for each category. Constant and duplicate features are kept, and reported in `remarks`. The first line of a .csv or
    .tsv names the columns, each its own. Both are UTF-8, and their columns are set apart by commas, semicolons, tabs or
    |. Lines without text, and columns without text or a name, are skipped; every other line must have a field for each
    column. Decimal commas and marks between thousands are read where the file's numbers show which is which: beside
    0,25 or 1.299,99, 1.299 is 1299. The models that the programs save remember it. (`layout` holds the rules; the
    program predict and exported Python files follow them, too.)

    An .npz holds X (m, n_x) and Y or y. A target of (m,) or (m, 1) is read as above; one of (m, n_y) is n_y classes if
    every row is one-hot, else a regression. An .npy is a matrix whose columns are x1, x2, .... Nothing is ever
    unpickled.

    Args:
        path: the file.
        target: name of the target column or array. None: the last column; in an .npz, Y or else y.
        missing: "error" refuses features with missing values and names the columns; "mean" fills them with the mean of
            the other rows (for categories, their shares). `Dataset.filled_from` uses means over training rows alone.
        drop: columns to leave out.
        categories: columns whose numbers are codes for categories. (In .npz and .npy all features are numbers.)
        task: "classification" makes a class of each distinct target value, "regression" keeps numbers.

    Returns:
        `Dataset` with X (n_x, m) and Y (n_y, m).

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the suffix is unknown; the file is malformed, or has no rows or only one column; a row is longer or
            shorter than the header; a number can be read in two ways; the target is absent, has missing values or a
            single class; a feature is a date, text with more than 100 distinct values, or numbers with a word among
            them; values are missing or infinite. The message names the column and the row, counted from 1.
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
    _check_arguments(path, missing, drop, categories, task)
    X, targets, columns, target = READERS[path.suffix.lower()](path, target, list(drop), list(categories), task)
    gaps = np.isnan(X)
    _check_values(path, X, gaps, columns)
    if missing == "error":
        refuse(path, "missing values", columns, gaps, "fill them, or say missing='mean' (--missing mean)")
    rows = np.where(gaps, 0, X).T
    dataset = _dataset(path, rows, targets, columns, target, task)
    if missing == "mean":
        empty = [replace(c, fill=(0.0,) * len(c.feature_names)) for c in columns]
        dataset = replace(dataset, columns=tuple(empty), missing=gaps).filled_from(np.arange(len(rows)))
    return replace(dataset, target=target, remarks=tuple(_remarks(dataset, targets, columns, gaps)))


def _check_arguments(
    path: Path, missing: str, drop: Sequence[str], categories: Sequence[str], task: str | None
) -> None:
    if missing not in ("error", "mean"):
        raise ValueError(f"missing must be 'error' or 'mean', got {missing!r}")
    if task not in (None, "classification", "regression"):
        raise ValueError(f"task must be 'classification' or 'regression', got {task!r}")
    if path.suffix.lower() not in READERS:
        raise ValueError(f"path must end in {', '.join(READERS)}, got {path}")
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    for name, given in (("drop", drop), ("categories", categories)):
        if isinstance(given, str):
            raise TypeError(f"{name} must be a list of columns, got {given!r}: [{given!r}]")


def _check_values(path: Path, X: np.ndarray, gaps: np.ndarray, columns: list[Column]) -> None:
    """ValueError if X (n_x, m) is empty, infinite, or has gaps that no mean can fill."""
    if not X.size:
        raise ValueError(f"{path} must hold at least one row and one feature, got X (m, n_x) = {X.T.shape}")
    refuse(path, "infinity", columns, np.isinf(X), "drop those rows, or that column with drop")
    refuse(path, "no values at all", columns, gaps & gaps.all(axis=1, keepdims=True), "leave them out with drop")


def _dataset(
    path: Path, rows: np.ndarray, targets: np.ndarray, columns: list[Column], target: str, task: str | None
) -> Dataset:
    """Decide whether the targets are classes or numbers, by the rule in `load_table`."""
    name, kind = path.stem, targets.dtype.kind
    if kind == "f":
        wrong = ~np.isfinite(targets.reshape(len(targets), -1)).all(axis=1)
        refuse(path, "NaN or infinity", [Column(target)], wrong[None, :], "drop those rows")
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
    """What looks suspicious in the data, a sentence each."""
    X, names = dataset.X, dataset.feature_names
    low, high = X.min(axis=1), X.max(axis=1)
    if constant := [name for name, same in zip(names, low == high, strict=True) if same]:
        yield f"constant, and so of no use: {listed(constant)}"
    first: dict[bytes, str] = {}
    twins = [
        f"{name} = {twin}"
        for name, row, varies in zip(names, X, low < high, strict=True)
        if varies and (twin := first.setdefault(row.tobytes(), name)) != name
    ]
    if twins:
        yield f"the same numbers twice: {listed(twins)}"
    far = [name for name, row in zip(names, X, strict=True) if abs(row.mean()) > 1e4 * row.std() > 0]
    if far:
        yield f"so far from 0, for their spread, that float32 loses digits; subtract an offset first: {listed(far)}"
    m = X.shape[1]
    counting = [
        name
        for name, row, span in zip(names, X, high - low, strict=True)
        if m > MAX_INTEGER_CLASSES and span == m - 1 and (np.diff(np.sort(row)) == 1).all()
    ]
    if counting:
        yield f"a number for each row, which may tell nothing, or too much: {listed(counting)}"
    if dataset.output == "identity" and targets.ndim == 1 and targets.dtype.kind == "f":
        values = np.unique(targets)
        if len(values) <= MAX_INTEGER_CLASSES and (values == values.round()).all():
            yield f"the target holds {len(values)} different whole numbers, and is taken for a quantity"
    if gaps.any():
        yield f"missing values, filled by means: {listed(counted(columns, gaps))}"
