"""Files that polars reads: .csv, .tsv, .parquet and .feather."""

from __future__ import annotations

import csv
import shlex
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxshallow.extras import require
from jaxshallow.tables.columns import codes, infer_column, parse_numbers, rows_of_X
from jaxshallow.tables.dataset import Column
from jaxshallow.tables.problems import find, listed, malformed, quoted
from jaxshallow.tables.targets import read_targets

if TYPE_CHECKING:
    import polars as pl

DECIMAL_COMMA = r"^(\s*[-+]?\d+),(\d+\s*)$"  # in files with semicolons between columns


def csv_options(path: Path) -> dict[str, Any]:
    """How polars should read a .csv or .tsv: a .csv by the separator most frequent in its first line."""
    with open(path, "rb") as file:
        start = file.read(2**16)
    if start[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise ValueError(f"{path} is UTF-16: save it as UTF-8 first")
    line = start.partition(b"\n")[0]
    separator = "\t" if path.suffix.lower() == ".tsv" else max(",;\t", key=lambda mark: line.count(mark.encode()))
    return {"separator": separator, "glob": False}


def read_frame(
    path: Path, target: str | None, drop: list[str], categories: list[str], task: str | None
) -> tuple[np.ndarray, np.ndarray, list[Column], str, list[str]]:
    """X (n_x, m) with NaN for missing values, targets (m,), the columns of X, the target's name, and remarks."""
    frame = _frame(path)
    names = frame.columns
    if not frame.height:
        raise ValueError(f"{path} must hold at least one row, got none under {quoted(names)}")
    for name in dict.fromkeys(drop):
        names.remove(find(path, name, names))
    if len(names) < 2:
        raise ValueError(f"{path} must hold a target and at least one feature, got one column, {names}")
    given, target = target, find(path, names[-1] if target is None else target, names)
    names.remove(target)
    if target in categories:
        fix = "leave it out of categories, and say task='classification' (--task classification) if it holds classes"
        raise ValueError(f"{path}: {target!r} is the target, and no feature: {fix}")
    for name in categories:
        find(path, name, names)

    typed = path.suffix.lower() in (".parquet", ".feather")
    y = read_targets(path, frame[target], typed, task, "" if given else " (the last column, and so the target)")
    padded: set[str] = set()
    if not typed:
        numbers = [name for name in names if name not in categories]
        padded, frame = codes(frame, numbers), parse_numbers(frame, numbers)
    columns, wrong = [], []
    for name in names:
        try:
            columns.append(infer_column(path, frame[name], name in categories, typed))
        except ValueError as error:
            wrong.append(str(error).removeprefix(f"{path}: "))
    if wrong:
        raise ValueError(f"{path}: {'; '.join(wrong)}")
    return rows_of_X(frame, columns, path), y, columns, target, _notes(columns, padded)


def _notes(columns: list[Column], padded: set[str]) -> list[str]:
    """What is odd about the text in a file, a sentence each."""
    if found := [column.name for column in columns if column.name in padded and not column.categories]:
        fix = f"if these are codes, say categories=[{found[0]!r}] (--categories {shlex.quote(found[0])})"
        return [f"written with leading zeros, and read as numbers: {listed(found)}; {fix}"]
    return []


def _frame(path: Path) -> pl.DataFrame:
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
        raise ValueError(f"{path}: columns must have names, each its own, got {quoted(names)}{fix}")
    counts = Counter(names)
    if twice := [name for name in names if counts[name] > 1 or f"{name}_duplicated_0" in counts]:
        raise ValueError(f"{path}: columns must have names, each its own, got {twice[0]!r} twice")
    if suffix in (".csv", ".tsv") and _is_headerless(names):
        raise ValueError(f"{path}: the first line must name the columns, got numbers, {quoted(names)}: add such a line")
    return frame.rename(dict(zip(frame.columns, names, strict=True)))


def _is_headerless(names: list[str]) -> bool:
    """Whether names look like a row of data: one is a decimal, or all are numbers that do not count 0, 1, 2, ...."""

    def is_number(name: str) -> bool:
        try:
            return bool(np.isfinite(float(name)))
        except ValueError:
            return False

    if any(is_number(name) and "." in name for name in names):
        return True
    counted = [[str(k) for k in range(start, start + len(names))] for start in (0, 1)]
    return all(map(is_number, names)) and names not in counted


def ragged(path: Path) -> str | None:
    """What Python's own reader finds wrong with a .csv: the line, and its number of fields or its bad byte."""
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
