"""Is a table of text so plain that any reader reads it as the csv module does?

Its rows are then read by polars, which is many times faster; all others by the csv module itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

PART = 2**18  # bytes looked at at once
QUOTE, NEWLINE, RETURN = b'"\n\r'
BLANK = list(b" \t\r\x0b\x0c\x1c\x1d\x1e\x1f")


def blank_rows(path: Path, separator: str, n_columns: int) -> np.ndarray | None:
    """The numbers of the rows without text, counted from 0 at the line under the header; None if it is not plain.

    Plain are lines that end in a newline, with or without a carriage return, and have `n_columns` fields or no text;
    with quotes only around whole fields, and doubled inside them; without zero bytes.
    """
    mark, row, found = ord(separator), -1, [np.zeros(0, int)]
    for buffer, quotes, outside, ends in _whole_lines(path):
        returns = np.flatnonzero(buffer == RETURN)
        if not buffer.all() or (buffer[returns + 1] != NEWLINE).any() or not _around_fields(buffer, quotes, mark):
            return None
        starts = np.concatenate([[0], ends[:-1] + 1])
        blank = _without_text(buffer, starts, mark)
        if any(QUOTE in buffer[starts[k] : ends[k]] for k in blank):
            return None
        marks = (buffer == mark) & outside
        if np.count_nonzero(marks) != (n_columns - 1) * len(ends):
            fields = np.diff(np.searchsorted(np.flatnonzero(marks), ends), prepend=0) + 1
            if fields.max() > n_columns or not np.isin(np.flatnonzero(fields < n_columns), blank).all():
                return None
        found.append(blank + row)
        row += len(ends)
    return np.concatenate(found)


def _whole_lines(path: Path) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]:
    """The file in parts of whole lines: their bytes, which are quotes, which are outside quotes, and the lines' ends.

    A newline in quotes ends no line. The last line gets a newline if it has none.
    """
    with open(path, "rb") as file:
        kept, size, more = file.read(3).removeprefix(b"\xef\xbb\xbf"), PART, b" "
        while more:
            more = file.read(size)
            part = kept + (more or b"\n" * bool(kept and not kept.endswith(b"\n")))
            buffer = np.frombuffer(part, np.uint8)
            quotes = np.flatnonzero(buffer == QUOTE) if QUOTE in part else np.zeros(0, int)
            outside = ~np.logical_xor.accumulate(buffer == QUOTE) if len(quotes) else np.ones(1, bool)
            ends = np.flatnonzero((buffer == NEWLINE) & outside)
            if not more and part:
                ends = np.union1d(ends, [len(part) - 1])
            end = ends[-1] + 1 if len(ends) else 0
            size, kept = (PART, part[end:]) if end else (2 * size, part)
            if end:
                here = quotes[quotes < end]
                yield buffer[:end], here, outside[:end] if len(quotes) else outside, ends


def _around_fields(buffer: np.ndarray, quotes: np.ndarray, mark: int) -> bool:
    """Whether each quote opens a field, closes it, or is one of two; and none is left open."""
    opening, closing = quotes[::2], quotes[1::2]
    if len(opening) != len(closing):
        return False
    before, after = buffer[opening[opening > 0] - 1], buffer[closing + 1]
    return bool(np.isin(before, (mark, NEWLINE, QUOTE)).all() and np.isin(after, (mark, NEWLINE, RETURN, QUOTE)).all())


def _without_text(buffer: np.ndarray, starts: np.ndarray, mark: int) -> np.ndarray:
    """Which lines hold nothing but separators, blanks and quotes."""
    empty = np.zeros(256, bool)
    empty[[mark, QUOTE, *BLANK]] = True
    lines, places, blank = np.arange(len(starts)), starts, []
    while len(lines):
        here = buffer[places]
        blank.append(lines[here == NEWLINE])
        going = empty[here]
        lines, places = lines[going], places[going] + 1
    return np.sort(np.concatenate(blank))
