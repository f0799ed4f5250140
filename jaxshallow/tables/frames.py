"""Files that polars reads: .csv, .tsv, .parquet and .feather."""

from __future__ import annotations

import csv
import io
import shlex
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from jaxshallow.extras import require
from jaxshallow.tables.columns import codes, infer_column, parse_numbers, rows_of_X
from jaxshallow.tables.dataset import Column
from jaxshallow.tables.decimals import find_mark, with_plain_numbers, written_numbers
from jaxshallow.tables.layout import MISSING, kind_of, read_table, text_lines
from jaxshallow.tables.plain import blank_rows
from jaxshallow.tables.problems import find, listed, malformed, quoted
from jaxshallow.tables.targets import read_targets

if TYPE_CHECKING:
    import polars as pl

TEXT = (".csv", ".tsv")
BINARY = {".parquet": b"PAR1", ".feather": b"ARROW1"}  # and how they begin
ROW = "\0row"  # a column of row numbers, by a name that no table has


@dataclass(frozen=True)
class Text:
    """A .csv or .tsv that polars reads as the csv module does: the file itself, or what that module read of it.

    Attributes:
        source: the path, or a table as UTF-8 with commas.
        names: of the columns.
        separator: of the columns in the file.
        blank: the rows of `source` without text, counted from 0.
        doubt: the end of an error that there is only one column.
    """

    source: Path | bytes
    names: tuple[str, ...]
    separator: str
    blank: np.ndarray
    doubt: str

    def scan(self, typed: bool = False, as_text: Iterable[str] = ()) -> pl.LazyFrame:
        """The table, not read yet: all as text; or `typed`, but for the columns that are said to stay text."""
        pl = require("polars", "scripts")
        separator = self.separator if isinstance(self.source, Path) else ","
        table = pl.scan_csv(self.source, separator=separator, glob=False, infer_schema=False)
        found = dict(zip(table.collect_schema(), self.names, strict=True))
        if typed:
            text = set(as_text)
            table = pl.scan_csv(
                self.source,
                separator=separator,
                glob=False,
                infer_schema_length=None,
                null_values=MISSING,
                schema_overrides={name: pl.String for name, ours in found.items() if ours in text},
            )
        table = table.rename(found)
        if len(self.blank):
            here = pl.col(ROW).is_in(pl.Series(self.blank, dtype=pl.UInt32).implode())
            table = table.with_row_index(ROW).filter(~here).drop(ROW)
        return table


def open_text(path: Path) -> Text:
    """A .csv or .tsv, by the rules of `layout`.

    Raises:
        ValueError: it is no table of text; the message says what it is, or which line is wrong.
    """
    with open(path, "rb") as file:
        try:
            table = read_table(text_lines(file), "\t" if path.suffix.lower() == ".tsv" else ",")
            names, separator = tuple(table.names), table.separator
            blank = blank_rows(path, separator, len(names)) if table.simple else None
            if blank is not None:
                return Text(path, names, separator, blank, table.doubt)
            text = io.StringIO()
            csv.writer(text, lineterminator="\n").writerows([names, *table.rows])
        except ValueError as error:
            raise malformed(path, error) from None
    return Text(text.getvalue().encode(), names, separator, np.zeros(0, int), table.doubt)


def why_unreadable(path: Path, error: Exception) -> ValueError:
    """The error for a file that polars does not read: what it is, or which line the csv module finds wrong."""
    with open(path, "rb") as file:
        if start := BINARY.get(path.suffix.lower()):
            line = file.readline(2**12)
            kind = "" if line.startswith(start) else kind_of(line)
            return malformed(path, f"it is {kind}" if kind else error)
        try:
            for _ in read_table(text_lines(file)).rows:
                pass
        except ValueError as found:
            return malformed(path, found)
    return malformed(path, error)


def read_frame(
    path: Path, target: str | None, drop: list[str], categories: list[str], task: str | None
) -> tuple[np.ndarray, np.ndarray, list[Column], str, list[str]]:
    """X (n_x, m) with NaN for missing values, targets (m,), the columns of X, the target's name, and remarks."""
    typed = path.suffix.lower() not in TEXT
    text = None if typed else open_text(path)
    frame = _read(path, text)
    names = frame.columns
    if not frame.height:
        raise ValueError(f"{path} must hold at least one row, got none under {quoted(names)}")
    for name in dict.fromkeys(drop):
        names.remove(find(path, name, names))
    if len(names) < 2:
        doubt = text.doubt if text else ""
        raise ValueError(f"{path} must hold a target and at least one feature, got one column, {names}{doubt}")
    given, target = target, find(path, names[-1] if target is None else target, names)
    names.remove(target)
    if target in categories:
        fix = "leave it out of categories, and say task='classification' (--task classification) if it holds classes"
        raise ValueError(f"{path}: {target!r} is the target, and no feature: {fix}")
    for name in categories:
        find(path, name, names)

    mark, padded = "", set[str]()
    if text:
        numbers = [name for name in names if name not in categories]
        padded = codes(frame, numbers)
        frame, mark = _with_numbers(path, frame, numbers, target, text)
    y = read_targets(path, frame[target], typed, task, "" if given else " (the last column, and so the target)")
    columns, wrong = [], []
    for name in names:
        try:
            columns.append(replace(infer_column(path, frame[name], name in categories, typed), decimal=mark))
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


def _read(path: Path, text: Text | None) -> pl.DataFrame:
    """The file as a polars frame, with a name for each column."""
    pl = require("polars", "scripts")
    try:
        if text:
            return text.scan().collect()
        if path.suffix.lower() == ".parquet":
            frame = pl.read_parquet(path, glob=False)
        else:
            with open(path, "rb") as file:  # a path may hold what polars takes for a pattern
                frame = pl.read_ipc(file)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        raise why_unreadable(path, error) from error
    names = [name.strip() for name in frame.columns]
    if not all(names) or len(set(names)) < len(names):
        raise ValueError(f"{path}: columns must have names, each its own, got {quoted(names)}")
    return frame.rename(dict(zip(frame.columns, names, strict=True)))


def _with_numbers(
    path: Path, frame: pl.DataFrame, names: list[str], target: str, text: Text
) -> tuple[pl.DataFrame, str]:
    """The frame, with numbers in place of text that is numbers; and its decimal mark, "" if all are plain."""
    pl = require("polars", "scripts")
    parsed = parse_numbers(frame, names)
    kinds = {**parsed.select(names).schema, **parse_numbers(frame.select(target), [target]).schema}
    written = set(written_numbers(frame, [name for name, kind in kinds.items() if kind == pl.String]))
    if not written:
        return parsed, ""
    numbers = [name for name, kind in kinds.items() if kind != pl.String or name in written]
    try:
        mark = find_mark(frame.lazy(), numbers, text.separator)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    if not mark:
        return parsed, ""
    return parse_numbers(with_plain_numbers(frame, numbers, mark), names), mark
