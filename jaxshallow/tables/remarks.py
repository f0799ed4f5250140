"""What looks suspicious in a table, in a sentence each; the cost is linear in its rows and columns."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from jaxshallow.tables.columns import MAX_CATEGORIES
from jaxshallow.tables.dataset import Column, Dataset
from jaxshallow.tables.looks import UNIT, common_look, like
from jaxshallow.tables.problems import MIN_ROWS, counted, listed
from jaxshallow.tables.targets import ANOTHER, AS_CLASSES, AS_QUANTITY, MAX_INTEGER_CLASSES

LEAK = 0.9999  # the correlation with the target that is too good to be true
MOST = 0.95  # a class with more of the rows than this makes accuracies look good
ID = re.compile(
    r"(?i:^|[\W_])(?i:id|index|idx|key|nr|unnamed: 0)$|^(?i:id)(?=[\W_A-Z]|$)|[a-z]I[dD]$"
)  # names of columns
HEAD = 1000  # rows that are looked at first, since most columns show there what they are not


class Part(NamedTuple):
    """A column with its rows of X, filled, and where values are there."""

    column: Column
    rows: np.ndarray
    known: np.ndarray


def remarks_on(dataset: Dataset, targets: np.ndarray, gaps: np.ndarray, task: str | None) -> Iterator[str]:
    """The remarks on a data set.

    Args:
        dataset: with gaps filled.
        targets: (m,) or (m, n_y), as the table has them.
        gaps: (n_x, m), true where a value was missing.
        task: what the user says that the target is.
    """
    starts = np.cumsum([0, *(len(column.feature_names) for column in dataset.columns)])
    parts = [Part(c, dataset.X[i:j], ~gaps[i]) for c, i, j in zip(dataset.columns, starts, starts[1:], strict=False)]
    yield from _on_values(dataset, gaps)
    yield from _on_numbers([part for part in parts if not part.column.categories])
    yield from _on_categories([part for part in parts if part.column.categories])
    if leaks := _leaks(dataset, parts):
        yield f"nearly the target itself, and of no use if not known before it: {listed(leaks)}"
    yield from _on_target(dataset, targets)
    if task is None and targets.ndim == 1 and targets.dtype.kind in "iuf":
        yield from _on_task(dataset, targets)
    if gaps.any():
        yield f"missing values, filled by means: {listed(counted(dataset.columns, gaps))}"


def _on_values(dataset: Dataset, gaps: np.ndarray) -> Iterator[str]:
    """Features with too few values, and those that are there twice."""
    X, names, filled = dataset.X, dataset.feature_names, gaps.any(axis=1)
    varies = X.min(axis=1) < X.max(axis=1)
    same = ~varies & ~np.array([_too_long(row) for row in X])
    if found := _those(names, same & ~filled):
        yield f"constant, and so of no use: {listed(found)}"
    if found := _those(names, same & filled):
        fix = "write what a missing one means, such as no or 0"
        yield f"one value or none, and so of no use; {fix}: {listed(found)}"
    first: dict[bytes, str] = {}
    twins = [
        f"{name} = {twin}"
        for name, row, vary in zip(names, X, varies, strict=True)
        if vary and (twin := first.setdefault(hashlib.sha256(row).digest(), name)) != name
    ]
    if twins:
        yield f"the same numbers twice: {listed(twins)}"
    rare = gaps.mean(axis=1) > 1 - 1 / MIN_ROWS
    if len(X.T) >= MIN_ROWS and (found := _those(names, rare & varies)):
        yield f"missing in most rows, so that little can be learned from it: {listed(found)}"


def _on_numbers(parts: Sequence[Part]) -> Iterator[str]:
    """Columns of numbers that are hard on float32, or that are names rather than numbers."""
    long, dates, far, own = ([] for _ in range(4))
    for column, (row,), _ in parts:
        if _too_long(row):
            long.append(column.name)
        elif _are_dates(row):
            dates.append(column.name)
        else:
            if abs(row.mean()) > 1e4 * row.std() > 0:
                far.append(column.name)
            if _is_own(column.name, row):
                own.append(column.name)
    if long:
        yield f"whole numbers with more digits than float64 holds, as in IDs, which are best left out: {listed(long)}"
    if dates:
        yield f"dates as whole numbers, which are not evenly spaced; say the days since, the month: {listed(dates)}"
    if far:
        yield f"so far from 0, for their spread, that float32 loses digits; subtract an offset first: {listed(far)}"
    if own:
        yield f"a number for each row, which may tell nothing, or too much: {listed(own)}"


def _on_categories(parts: Sequence[Part]) -> Iterator[str]:
    """Columns of text whose categories are hardly any."""
    own, units, spelled = [], [], []
    for column, rows, known in parts:
        words, alone = column.categories, ((rows == 1)[:, known].sum(axis=1) == 1).sum()
        if len(words) > 2 and 2 * alone > known.sum():
            own.append(f"{column.name} ({words[0]!r}{like(common_look(words))})")
        elif len(words) > 2 and words[0][:1].isdigit() and _have_one_unit(words):
            units.append(f"{column.name} ({words[0]!r})")
        spelled += [f"{column.name} ({twins})" for twins in _spelled(column.categories)]
    if own:
        yield f"a text for each row, or nearly, which may tell nothing, or too much: {listed(own)}"
    if units:
        yield f"numbers with a unit, taken for categories without an order; write plain numbers: {listed(units)}"
    if spelled:
        yield f"categories that differ in case alone: {listed(spelled)}"


def _on_target(dataset: Dataset, targets: np.ndarray) -> Iterator[str]:
    """A target that cannot be learned, or not as it seems."""
    m, counts = len(targets), dataset.balance
    if dataset.output == "identity" and (dataset.Y.min(axis=1) == dataset.Y.max(axis=1)).any():
        yield f"the target is constant, so that there is nothing to learn: {ANOTHER}"
    elif (
        dataset.output == "identity"
        and targets.ndim == 1
        and (_is_own(dataset.target, dataset.Y[0], sorted_tells=False) or _too_long(dataset.Y[0]))
    ):
        yield f"the target holds a whole number for each row; if it is an ID, {ANOTHER}"
    if twins := _spelled(dataset.labels):
        yield f"classes that differ in case alone: {listed(twins)}"
    if m >= MIN_ROWS and (single := [label for label, n in counts.items() if n == 1]):
        yield f"classes with a single example, which cannot be both learned and tested: {listed(single)}"
    if counts and max(counts.values()) > MOST * m:
        label, n = max(counts.items(), key=lambda item: item[1])
        yield f"{n / m:.1%} of the rows are of class {label}: so high is the accuracy of saying always that"


def _on_task(dataset: Dataset, targets: np.ndarray) -> Iterator[str]:
    """How a doubtful target of numbers was taken, and how to say otherwise."""
    if len(np.unique(targets[: 10 * HEAD])) > MAX_CATEGORIES:
        return
    values, m = np.unique(targets), len(targets)
    n, whole = len(values), bool((values == np.rint(values)).all())
    what = f"the target holds {n} different {'whole ' if whole else ''}numbers"
    if dataset.output == "identity":
        often = n <= MAX_CATEGORIES and MIN_ROWS * n <= m
        if n > 1 and ((whole and n <= MAX_INTEGER_CLASSES) or (often and (whole or n <= MAX_INTEGER_CLASSES))):
            yield f"{what}, and is taken for a quantity: {AS_CLASSES}"
    elif n > MAX_INTEGER_CLASSES / 2 or (n > 2 and int(values[-1]) - int(values[0]) >= n):
        yield f"{what}, and is taken for classes: {AS_QUANTITY}"


def _leaks(dataset: Dataset, parts: Iterable[Part]) -> list[str]:
    """The columns that are nearly the target: equal, correlated, or one-to-one with the classes."""
    Y, m = dataset.Y, dataset.Y.shape[1]
    codes = None if dataset.output == "identity" else Y.argmax(axis=0) if len(Y) > 1 else Y[0].astype(int)
    found = []
    for column, rows, known in parts:
        if m < MIN_ROWS:
            leak = m > 2 and not column.categories and any((rows == y).all() and y.min() < y.max() for y in Y)
        else:
            leak = codes is not None and _one_to_one(rows, codes, known)
            if not column.categories and dataset.output != "softmax":
                leak = leak or any(_correlation(rows[0], y, known) > LEAK for y in Y)
        if leak:
            found.append(column.name)
    return found


def _correlation(x: np.ndarray, y: np.ndarray, known: np.ndarray) -> float:
    """|r| where x is known; 0.0 where it is not defined, or over few rows."""
    if not known.all():
        x, y = x[known], y[known]
    if len(x) < MIN_ROWS:
        return 0.0
    x, y = x - x.mean(), y - y.mean()
    size = float(np.linalg.norm(x) * np.linalg.norm(y))
    return abs(float(x @ y)) / size if size and np.isfinite(size) else 0.0


def _one_to_one(rows: np.ndarray, codes: np.ndarray, known: np.ndarray) -> bool:
    """Whether each class has its own value of the column (its rows of X), and that alone."""
    if rows.shape[1] > HEAD and not _one_to_one(rows[:, :HEAD], codes[:HEAD], known[:HEAD]):
        return False
    rows, codes = (rows, codes) if known.all() else (rows[:, known], codes[known])
    _, first, place = np.unique(codes, return_index=True, return_inverse=True)
    values = rows[:, first]
    return bool(
        len(codes) >= MIN_ROWS
        and (rows == values[:, place]).all()
        and len(np.unique(values, axis=1).T) == len(first) > 1
    )


def _is_own(name: str, row: np.ndarray, sorted_tells: bool = True) -> bool:
    """Whether numbers name their rows: whole, all different, and called so, denser than by chance, or in order."""
    named, m, span = ID.search(name) is not None, len(row), float(row.max() - row.min())
    head = row[:HEAD]
    if m <= MAX_INTEGER_CLASSES or span < m - 1 or len(np.unique(head)) < len(head) or (head != np.rint(head)).any():
        return False
    steps = np.diff(row)
    rising = sorted_tells and bool((steps > 0).all() or (steps < 0).all())
    # Of m whole numbers drawn from a span, m²/2·span pairs are equal: where that is 5, none is once in e⁵ columns.
    return (named or rising or 10 * span < m**2) and bool(
        (row == np.rint(row)).all() and (rising or (np.diff(np.sort(row)) > 0).all())
    )


def _too_long(row: np.ndarray) -> bool:
    """Whether numbers look like IDs of more digits than float64 holds: as many digits each, and at least 2⁵³."""
    low, high = float(row.min()), float(row.max())
    return 2.0**53 <= low <= high < 1e20 and len(f"{low:.0f}") == len(f"{high:.0f}")


def _are_dates(row: np.ndarray) -> bool:
    """Whether whole numbers are dates such as 20240131."""
    if not 19000101 <= row.min() < row.max() <= 21001231:
        return False
    days, months = row % 100, row // 100 % 100
    return bool(((days >= 1) & (days <= 31) & (months >= 1) & (months <= 12) & (days == np.rint(days))).all())


def _have_one_unit(words: Sequence[str]) -> bool:
    """Whether words are numbers with the same unit, such as 5 kg and 10 kg, or in thousands and millions, 5k and 1M."""
    units = {word.lstrip("+-.,0123456789").strip().lower() for word in words}
    return all(map(UNIT.pattern.fullmatch, words)) and (len(units) == 1 or units <= {"k", "m", "b", "bn", "mn"})


def _spelled(words: Sequence[str]) -> list[str]:
    """The words, of at most 100, that are there in capital and in small letters."""
    if len(words) > MAX_CATEGORIES:
        return []
    lower = Counter(word.lower() for word in words)
    return [" and ".join(repr(word) for word in words if word.lower() == twin) for twin, n in lower.items() if n > 1]


def _those(names: Sequence[str], which: np.ndarray) -> list[str]:
    return [name for name, chosen in zip(names, which, strict=True) if chosen]
