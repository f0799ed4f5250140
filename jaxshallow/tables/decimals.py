"""Decimal commas and marks between thousands, by the rules of `layout`, in the columns of a polars frame."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from jaxshallow.extras import require
from jaxshallow.tables.layout import MISSING, WRITTEN, decimal_mark

if TYPE_CHECKING:
    import polars as pl

COMMA, POINT = (rf"^(?:{pattern})$" for pattern in WRITTEN.values())
SAMPLE = 1000  # values that are looked at before all are


def find_mark(table: pl.LazyFrame, names: Sequence[str], separator: str, known: str = "") -> str:
    """`decimal_mark` of these columns of text."""
    pl = require("polars", "scripts")
    kinds: list[Any] = []
    for name in names:
        words = pl.col(name).str.strip_chars()
        comma, point = words.str.contains(COMMA), words.str.contains(POINT)
        for kind in (
            comma & ~point,
            point & ~comma & words.str.contains(".", literal=True),
            comma & point & words.str.contains(",", literal=True),
            comma & point & words.str.contains(".", literal=True),
        ):
            kinds.append(words.filter(kind).first().alias(str(len(kinds))))
    examples = table.select(kinds).collect().row(0)
    return decimal_mark(
        ((names[k // 4], text) for k, text in enumerate(examples) if text is not None), separator, known
    )


def plain_numbers(name: str, mark: str) -> pl.Expr:
    """A column of text whose numbers are written with this decimal mark, with its numbers in plain text."""
    pl = require("polars", "scripts")
    words, text = pl.col(name).str.strip_chars(), pl.col(name)
    comma, point = words.str.contains(COMMA), words.str.contains(POINT)
    if mark in (",", "either"):
        here = comma if mark == "," else comma & ~point
        text = pl.when(here).then(words.str.replace_all(".", "", literal=True).str.replace(",", ".", literal=True))
        text = text.otherwise(pl.col(name))
    if mark in (".", "either"):
        here = point if mark == "." else point & ~comma
        text = pl.when(here).then(words.str.replace_all(",", "", literal=True)).otherwise(text)
    return text.alias(name)


def written_numbers(series: pl.Series) -> bool:
    """Whether most of a column's different texts are numbers with any decimal mark."""
    values = series.str.strip_chars()
    values = values.filter(~values.is_in(MISSING)).drop_nulls()
    return all(
        2 * (part.str.contains(COMMA) | part.str.contains(POINT)).sum() > len(part)
        for part in (values.head(SAMPLE).unique(), values.unique())
    )
