"""Errors about a table: each names the column and the row, and suggests a fix."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jaxshallow.tables.dataset import Column

NAMED_AT_MOST = 10  # of columns in a message
MIN_ROWS = 10  # of a table, before rules go by how often values repeat


def check_is_file(path: Path) -> None:
    """FileNotFoundError if a table is not there, or is no file: to open a pipe would wait for its writer."""
    if not path.is_file():
        fix = ": what is there is a folder, a pipe or a device, copy the table to a file" if path.exists() else ""
        raise FileNotFoundError(f"there is no file {path}{fix}")


def find(path: Any, name: str, names: Iterable[str]) -> str:
    """The name, if it is among the names; else ValueError, with the nearest name."""
    if name not in names:
        raise ValueError(f"{path} must hold {name!r}, got {quoted(names)}{did_you_mean(name, names)}")
    return name


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """The end of an error, which suggests the nearest name; "" if none is near.

    Example:
        >>> did_you_mean("flwer", ["moons", "flower"])
        ": did you mean 'flower'?"
    """
    spelled = {known.lower(): known for known in names}
    close = difflib.get_close_matches(name.lower(), list(spelled), n=1)
    return f": did you mean {spelled[close[0]]!r}?" if close else ""


def malformed(path: Path, error: object) -> ValueError:
    return ValueError(f"{path} is not a readable {path.suffix.lower()} file: {str(error).partition(chr(10))[0]}")


def refuse(
    where: object, what: str, columns: Sequence[Column], wrong: np.ndarray, fix: str, first_row: int = 1
) -> None:
    """ValueError if any entry of (n_x, m) is wrong; it names the columns."""
    if wrong.any():
        raise ValueError(f"{where}: {what} in {listed(counted(columns, wrong, first_row))}: {fix}")


def counted(columns: Sequence[Column], marked: np.ndarray, first_row: int = 1) -> list[str]:
    """The columns with marks in their rows of (n_x, m): each with the number of marks and the first row."""
    starts = np.cumsum([0, *(len(column.feature_names) for column in columns)])[:-1]
    found = []
    for column, rows in zip(columns, marked[starts], strict=True):
        if n := rows.sum():
            place = f"row {first_row + rows.argmax()}"
            found.append(f"{column.name!r} ({place})" if n == 1 else f"{column.name!r} ({n:,}, from {place})")
    return found


def listed(names: Sequence[str]) -> str:
    more = len(names) - NAMED_AT_MOST
    return ", ".join(map(str, names[:NAMED_AT_MOST])) + (f" and {more:,} more" if more > 0 else "")


def quoted(names: Iterable[str]) -> str:
    return f"[{listed([repr(name) for name in names])}]"
