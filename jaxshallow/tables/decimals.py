"""Decimal commas and marks between thousands, by the rules of `layout`, in the columns of a polars frame."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from jaxshallow.extras import require
from jaxshallow.tables.layout import BETWEEN, MISSING, WRITTEN, decimal_mark

if TYPE_CHECKING:
    import polars as pl

COMMA, POINT = (rf"^(?:{pattern})$" for pattern in WRITTEN.values())
SAMPLE = 1000  # values that are looked at before all are
NAMES = {"variable_name": "\0column", "value_name": "\0value"}  # of unpivoted tables, which no column of text has
NAME, VALUE = NAMES.values()
BLOCK = 2**22  # cells that are stacked at once: an expression for each column would cost more than the cells


def find_mark(table: pl.LazyFrame, names: Sequence[str], separator: str, known: str = "") -> str:
    """`decimal_mark` of these columns of text; `known` is the one in the table of training."""
    if not names:
        return ""
    pl = require("polars", "scripts")
    value = pl.col(VALUE)
    comma, point = value.str.contains(COMMA), value.str.contains(POINT)
    with_comma, with_point = (value.str.contains(mark, literal=True) for mark in ",.")
    both = comma & point
    kinds = (comma & ~point, point & ~comma, both & with_comma, both & with_point, both & ~with_comma & ~with_point)
    cells = table.select(pl.col(names).str.strip_chars()).unpivot(**NAMES).filter(value.str.contains(f"[.,{BETWEEN}]"))
    pair = pl.struct(NAME, VALUE)
    found = cells.select(pair.filter(kind).first().alias(str(k)) for k, kind in enumerate(kinds))
    pairs = found.collect(engine="streaming").row(0)
    return decimal_mark(((p[NAME], p[VALUE]) for p in pairs if p), separator, known)


def with_plain_numbers(frame: pl.DataFrame, names: Sequence[str], mark: str) -> pl.DataFrame:
    """The frame; in these columns of text, numbers that are written with this decimal mark become plain ones."""
    pl = require("polars", "scripts")
    words = pl.col("").str.strip_chars()
    comma, point = words.str.contains(COMMA), words.str.contains(POINT)
    comma, point = (
        (comma & ~point, point & ~comma) if mark == "either" else (comma & (mark == ","), point & (mark == "."))
    )
    from_comma = words.str.replace_all(f"[.{BETWEEN}]", "").str.replace(",", ".", literal=True)
    text = pl.when(comma).then(from_comma).when(point).then(words.str.replace_all(f"[,{BETWEEN}]", ""))
    text = text.otherwise(pl.col(""))
    plain = []
    for block in _blocks(names, frame.height):
        cells = pl.concat([frame[name].alias("") for name in block]).to_frame().select(text)[""]
        plain += [cells.slice(k * frame.height, frame.height).alias(name) for k, name in enumerate(block)]
    return frame.with_columns(plain)


def _blocks(names: Sequence[str], height: int) -> Iterator[Sequence[str]]:
    size = max(1, BLOCK // max(height, 1))
    return (names[start : start + size] for start in range(0, len(names), size))


def written_numbers(frame: pl.DataFrame, names: Sequence[str]) -> list[str]:
    """The columns of text most of whose different values are numbers with any decimal mark."""
    names = _mostly_numbers(frame.head(SAMPLE), names)
    return names if frame.height <= SAMPLE else [name for name in names if _mostly_numbers(frame, [name])]


def _mostly_numbers(frame: pl.DataFrame, names: Sequence[str]) -> list[str]:
    if not names:
        return []
    pl = require("polars", "scripts")
    value = pl.col(VALUE)
    cells = frame.select(pl.col(names).str.strip_chars()).unpivot(**NAMES).filter(~value.is_in(MISSING)).unique()
    shares = cells.group_by(NAME).agg(value.str.contains(f"{COMMA}|{POINT}").mean())
    found = set(shares.filter(value > 0.5)[NAME])
    return [name for name in names if name in found]
