"""From a data frame, or an array with text in it, to cells: see `tables.features`."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Real
from typing import Any

import numpy as np

from jaxshallow.tables.features import Words
from jaxshallow.tables.layout import MISSING
from jaxshallow.tables.problems import quoted

FROM_DTYPE = "from_dtype"
CATEGORIES = ("category", "categorical", "enum")  # how the names of such dtypes begin, in pandas and polars


def names_of(X: Any) -> list[str]:
    """The columns' names: of a data frame its own, else x0, x1, ..., as scikit-learn calls them."""
    return [str(name) for name in X.columns] if hasattr(X, "columns") else [f"x{k}" for k in range(np.shape(X)[1])]


def cells_of(
    X: Any, categorical: Any = None, known: Sequence[Words] | None = None
) -> tuple[np.ndarray, tuple[Words, ...]]:
    """The cells of a table, and the words of its columns.

    Args:
        X: (m, n) a data frame of pandas or polars, or an array.
        categorical: which columns are categories: "from_dtype" says that those are which hold text, or are of a dtype
            for categories; else their names or numbers, or a mask; None for none.
        known: the words, from training; None: they are found here.

    Returns:
        (m, n) float64, or float32 if X is an array of it; and the words.

    Raises:
        ValueError: a column is not there, or has text, and is not said to be of categories.
        TypeError: a column is neither numbers nor text, such as dates.
    """
    names = names_of(X)
    chosen = None if categorical is None or isinstance(categorical, str) else chosen_of(categorical, names)
    columns = columns_of(X)
    dtype = np.float32 if getattr(X, "dtype", None) == np.float32 else np.float64
    cells = np.empty((len(X), len(names)), dtype)
    words: list[Words] = []
    for k, (name, column) in enumerate(zip(names, columns, strict=True)):
        if known is not None:
            is_category = known[k] is not None
        else:
            is_category = k in chosen if chosen is not None else categorical == FROM_DTYPE and holds_categories(column)
        if not is_category:
            cells[:, k] = numbers_of(name, column)
            words.append(None)
            continue
        cells[:, k], found = codes_of(column, None if known is None else known[k])
        words.append(found)
    return cells, tuple(words)


def columns_of(X: Any) -> Sequence[Any]:
    """The columns one by one; those of pandas by their places, since names may be there twice."""
    if hasattr(X, "iloc"):
        return [X.iloc[:, k] for k in range(X.shape[1])]
    return [X[name] for name in X.columns] if hasattr(X, "columns") else list(np.asarray(X).T)


def chosen_of(categorical: Any, names: Sequence[str]) -> set[int]:
    """The numbers of the columns that the user named, counted or marked."""
    given = np.atleast_1d(np.asarray(categorical, dtype=object)).tolist()
    if len(given) == len(names) and all(isinstance(one, bool | np.bool_) for one in given):
        return {k for k, one in enumerate(given) if one}
    places = {name: k for k, name in enumerate(names)}
    wrong = [one for one in given if one not in places and not (is_place(one) and 0 <= one < len(names))]
    if wrong:
        raise ValueError(f"categorical_features must be among the columns, {quoted(names)}, got {wrong[0]!r}")
    return {places[one] if one in places else int(one) for one in given}


def is_place(one: Any) -> bool:
    return isinstance(one, int | np.integer) and not isinstance(one, bool)


def holds_categories(column: Any) -> bool:
    """Whether a column is of a dtype for categories, or of text; objects that are all numbers are not."""
    kind = str(column.dtype).lower()
    if kind.startswith(CATEGORIES):
        return True
    return array_of(column).dtype.kind in "OU" and not all(
        is_missing(value) or isinstance(value, Real) for value in array_of(column)
    )


def array_of(column: Any) -> np.ndarray:
    return np.asarray(column.to_numpy() if hasattr(column, "to_numpy") else column)


def is_missing(value: Any) -> bool:
    """None, NaN, pandas' NA and NaT, and what stands for a missing value in a table of text."""
    if isinstance(value, str):
        return value.strip() in MISSING
    return value is None or type(value).__name__ in ("NAType", "NaTType") or value != value


def numbers_of(name: str, column: Any) -> np.ndarray:
    """A column of numbers as float64, NaN where a value is missing."""
    array = array_of(column)
    if array.dtype.kind in "biuf":
        return array.astype(np.float64)
    if array.dtype.kind in "mM":
        raise TypeError(
            f"column {name!r} must be numbers or categories, got {array.dtype}: turn dates into numbers first"
        )
    try:
        return np.array([np.nan if is_missing(value) else float(value) for value in array], np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"column {name!r} must be numbers: {error}: if it holds categories, say categorical_features='from_dtype', "
            "or name it there"
        ) from None


def codes_of(column: Any, known: Words) -> tuple[np.ndarray, tuple[str, ...]]:
    """The numbers of a column's words, NaN where one is missing; a word that is not among the known has the next."""
    values = array_of(column).astype(object)
    place: dict[Any, int] = {}
    try:
        codes = np.fromiter((place.setdefault(value, len(place)) for value in values), int, len(values))
    except TypeError as error:
        raise TypeError(f"a category's argument must be a string or a number: {error}") from error
    texts = [None if is_missing(value) else as_text(value) for value in place]
    words = tuple(sorted({text for text in texts if text is not None})) if known is None else known
    numbers = {word: float(k) for k, word in enumerate(words)}
    return np.array([np.nan if text is None else numbers.get(text, len(words)) for text in texts])[codes], words


def as_text(value: Any) -> str:
    """A category as it stands in a table of text: 3.0, as pandas has whole numbers beside gaps, is 3; True is true."""
    if isinstance(value, bool | np.bool_):
        return str(value).lower()
    if isinstance(value, float | np.floating) and value.is_integer():
        return str(int(value))
    return str(value).strip()
