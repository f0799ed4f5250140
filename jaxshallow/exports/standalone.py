# The program that `export(params, "model.py")` writes, shown for a small network: are x1 and x2 the same or different?
# `$name` marks what the exporter fills in:
#   - in a docstring: the name itself;
#   - on a line of code: what comes after `#:` replaces the code before it;
#   - in a block: `#: $name` replaces all lines up to the next `#:`.
# This comment is left out.
# ruff: noqa: B905, F401
# mypy: disable-error-code="no-untyped-def, no-untyped-call, type-arg"

"""A neural network with one hidden layer, in NumPy: $n_x -> $n_h ($hidden) -> $n_y ($output).

    python model.py table.csv > predictions.csv
    python model.py < table.csv

In tables rows are examples, and columns are found by their names; jaxshallow reads tables by the same rules. In
`forward` and `predict` examples are columns: X is (n_x, m). Written by jaxshallow.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import io
import itertools
import re
from collections import Counter, namedtuple
from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO, NamedTuple

import numpy as np

# The rows of X, the classes, and how the columns of a table become the rows of X: a number is one row; text is a row of
# 0 and 1 for each of its categories; "fill" stands for a missing value, None where that is refused, [None] where it is
# left to the network; "unknown" stands for a text that is none of the categories, if that is not refused; "decimal" is
# the decimal mark of numbers in the table of training, if they were not all plain.
#: $lists
FEATURES = ["x1", "x2"]
LABELS = ["same", "different"]
COLUMNS: list[dict] = [
    {"name": "x1", "categories": [], "fill": None},
    {"name": "x2", "categories": [], "fill": None},
]
#:

DTYPE = np.float32  #: DTYPE = np.$dtype
Cache = namedtuple("Cache", "Z1 A1 Z2 A2")


#: $functions
# The exporter keeps those that the network uses; the last two make the rows that it takes.
def sigmoid(Z):
    return np.where(Z > 0, 1, np.exp(-abs(Z))) / (1 + np.exp(-abs(Z)))


def tanh(Z):
    return np.tanh(Z)


def relu(Z):
    return np.maximum(Z, 0)


def leaky_relu(Z):
    return np.where(Z > 0, Z, 0.01 * Z)


def identity(Z):
    return Z


def exp(Z):
    return np.exp(Z)


def softmax(Z):
    return np.exp(Z - Z.max(axis=0)) / np.exp(Z - Z.max(axis=0)).sum(axis=0)


def piecewise_linear(X):
    """The rows that the network takes: row k follows row SOURCE[k] of X along one bin, or says that it is missing."""
    x = X[SOURCE]
    return np.where(np.isnan(x), ABSENT, np.clip((x - LOW) / WIDTH, LEAST, MOST)).astype(W1.dtype)


def smooth_clip(X):
    """The rows that the network takes: those of X, scaled, between -3 and 3."""
    Z = np.clip((X - CENTER) * FACTOR, -1e9, 1e9)
    Z = np.where(np.isnan(Z), 0, Z)
    return (Z / np.sqrt(1 + (Z / 3) ** 2)).astype(W1.dtype)


#:


def forward(X):
    """Z1, A1 (n_h, m) and Z2, A2 (n_y, m) of the examples X (n_x, m)."""
    X = np.asarray(X, DTYPE)
    if X.ndim != 2 or len(X) != len(FEATURES):
        raise ValueError(f"X must be (n_x, m) = ({len(FEATURES)}, m), got {X.shape}")

    Z1 = W1 @ X + b1  #: Z1 = W1 @ $rows + b1
    A1 = tanh(Z1)  #: A1 = $hidden(Z1)
    Z2 = W2 @ A1 + b2
    A2 = sigmoid(Z2)  #: A2 = $output(Z2)

    return Cache(Z1, A1, Z2, A2)


def predict(X):
    """$predicts, of the examples X (n_x, m)."""
    A2 = forward(X).A2
    return (A2[0] > 0.5).astype(int)  #: return $prediction


#: $rules
from jaxshallow.tables.layout import MISSING, NUMBER, decimal_mark, plain_number, read_table, text_lines  # noqa: E402

#:


def numbers(cell, mark, categories, fill, unknown=None, **more):
    """The rows of X that a cell of a table becomes."""
    if cell in MISSING:
        if fill is None:
            raise ValueError("the value is missing")
        return fill
    if categories:
        if cell not in categories and unknown is not None:
            return unknown
        if cell not in categories:
            raise ValueError(f"{cell!r} is not among {', '.join(categories)}")
        return [float(cell == category) for category in categories]
    plain = {"true": "1", "false": "0"}.get(cell.lower()) or plain_number(cell, mark)
    if re.fullmatch(NUMBER, plain) and abs(float(plain)) <= float(np.finfo(DTYPE).max):
        return [float(plain)]
    raise ValueError(f"{cell!r} is not a finite number of {np.dtype(DTYPE)}")


def read(lines, likely=","):
    """The table in lines of text as X (n_x, m); `likely` is what separates its columns, where several marks may."""
    table = read_table(lines, likely)
    if missing := [column["name"] for column in COLUMNS if column["name"] not in table.names]:
        raise ValueError(f"the table must have the columns {missing}; it has {table.names}{table.doubt}")
    places = {name: k for k, name in enumerate(table.names)}
    own = [places[column["name"]] for column in COLUMNS]
    rows = [[row[k].strip() for k in own] for row in table.rows]
    if not rows:
        raise ValueError("the table must hold at least one row")
    known = next((column["decimal"] for column in COLUMNS if "decimal" in column), "")
    cells = ((c["name"], row[k]) for k, c in enumerate(COLUMNS) if not c["categories"] for row in rows)
    mark = decimal_mark(cells, table.separator, known) if known else ""
    try:
        return to_X(rows, mark)
    except ValueError:  # a number that is not plain may have a decimal comma
        if known or not (mark := decimal_mark(cells, table.separator)):
            raise
    return to_X(rows, mark)


def to_X(rows, mark):
    """X (n_x, m) of the cells of COLUMNS, whose numbers are written with this decimal mark."""
    examples = []
    for place, row in enumerate(rows, 1):
        x = []
        for cell, column in zip(row, COLUMNS):
            try:
                x += numbers(cell, mark, **column)
            except ValueError as error:
                raise ValueError(f"row {place}, column {column['name']!r}: {error}") from None
        examples.append(x)
    return np.array(examples, DTYPE).T


@np.errstate(all="ignore")
def table(X):
    """What is predicted for the examples X (n_x, m), as the header and the rows of a table."""
    A2 = forward(X).A2
    if not (finite := np.isfinite(A2).all(axis=0)).all():
        raise ValueError(f"row {finite.argmin() + 1}: its numbers are too large for {W1.dtype}")
    header = ["prediction", *[f"P({label})" for label in LABELS]]  #: header = $header
    columns = [[LABELS[k] for k in predict(X)], *np.vstack([1 - A2, A2]).astype(str)]  #: columns = $columns
    return [header, *zip(*columns)]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", nargs="?", default=0, help="a CSV file; without it, standard input")
    path = parser.parse_args().table
    try:
        with open(path, "rb") as file:
            rows = table(read(text_lines(file), "\t" if str(path).lower().endswith(".tsv") else ","))
    except (OSError, ValueError) as error:
        parser.error(str(error))  # exit code 2
    with contextlib.suppress(BrokenPipeError), open(1, "w", encoding="utf-8", newline="", closefd=False) as out:
        csv.writer(out, lineterminator="\n").writerows(rows)


# The parameters.
#: $leaves
W1 = np.array([[4, 4], [4, 4]], np.float32)
b1 = np.array([[-2], [-6]], np.float32)
W2 = np.array([[4, -4]], np.float32)
b2 = np.array([[-4]], np.float32)
SOURCE = [0]
LOW = WIDTH = LEAST = MOST = ABSENT = CENTER = FACTOR = np.ones((1, 1))
#:

if __name__ == "__main__":
    main()
