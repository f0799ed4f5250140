# The program that `export(params, "model.py")` writes, shown for a small network: are x1 and x2 the same or different?
# `$name` marks what the exporter fills in:
#   - in a docstring: the name itself;
#   - on a line of code: what comes after `#:` replaces the code before it;
#   - in a block: `#: $name` replaces all lines up to the next `#:`.
# This comment is left out.
# ruff: noqa: B905
# mypy: disable-error-code="no-untyped-def, no-untyped-call, type-arg"

"""A neural network with one hidden layer, in NumPy: $n_x -> $n_h ($hidden) -> $n_y ($output).

    python model.py table.csv > predictions.csv
    python model.py < table.csv

In tables rows are examples, and columns are found by their names. In `forward` and `predict` examples are columns:
X is (n_x, m). Written by jaxshallow.
"""

import argparse
import contextlib
import csv
from collections import namedtuple

import numpy as np

# The rows of X, the classes, and how the columns of a table become the rows of X: a number is one row; text is a row of
# 0 and 1 for each of its categories; "fill" is what stands for a missing value, None where that is refused.
#: $lists
FEATURES = ["x1", "x2"]
LABELS = ["same", "different"]
COLUMNS: list[dict] = [
    {"name": "x1", "categories": [], "fill": None},
    {"name": "x2", "categories": [], "fill": None},
]
MISSING = ["", "NA"]
#:

Cache = namedtuple("Cache", "Z1 A1 Z2 A2")


#: $functions
# The exporter keeps the two that the network uses.
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


#:


def forward(X):
    """Z1, A1 (n_h, m) and Z2, A2 (n_y, m) of the examples X (n_x, m)."""
    X = np.asarray(X, W1.dtype)
    if X.ndim != 2 or len(X) != len(FEATURES):
        raise ValueError(f"X must be (n_x, m) = ({len(FEATURES)}, m), got {X.shape}")

    Z1 = W1 @ X + b1
    A1 = tanh(Z1)  #: A1 = $hidden(Z1)
    Z2 = W2 @ A1 + b2
    A2 = sigmoid(Z2)  #: A2 = $output(Z2)

    return Cache(Z1, A1, Z2, A2)


def predict(X):
    """$predicts, of the examples X (n_x, m)."""
    A2 = forward(X).A2
    return (A2[0] > 0.5).astype(int)  #: return $prediction


def numbers(cell, categories, fill):
    """The rows of X that a cell of a table becomes."""
    cell = cell.strip()
    if cell in MISSING:
        if fill is None:
            raise ValueError("the value is missing")
        return fill
    if categories:
        if cell not in categories:
            raise ValueError(f"{cell!r} is not among {', '.join(categories)}")
        return [float(cell == category) for category in categories]
    with contextlib.suppress(ValueError):
        number = float({"true": 1, "false": 0}.get(cell.lower(), cell))
        if abs(number) <= float(np.finfo(W1.dtype).max) and "_" not in cell:
            return [number]
    raise ValueError(f"{cell!r} is not a finite number of {W1.dtype}")


def read(lines):
    """The table in lines of CSV as X (n_x, m); semicolons, and then decimal commas, or tabs may stand for commas."""
    lines = list(lines) or [""]
    mark = max(",;\t", key=lines[0].count)
    table = csv.reader(lines, delimiter=mark, strict=True)
    header, *rows = [row for row in table if any(cell.strip() for cell in row)] or [[]]
    header = [name.strip() for name in header]
    if wrong := [column["name"] for column in COLUMNS if header.count(column["name"]) != 1]:
        raise ValueError(f"the table must have the columns {wrong}, each once; it has {header}")
    if not rows:
        raise ValueError("the table must hold at least one row")
    examples = []
    for place, row in enumerate(rows, 1):
        if len(row) != len(header):
            raise ValueError(f"row {place} has {len(row)} cells, and the header {len(header)}")
        if mark == ";":
            row = [cell.replace(",", ".") if cell.replace(",", "", 1).strip("+- ").isdigit() else cell for cell in row]
        cells, x = dict(zip(header, row)), []
        for column in COLUMNS:
            try:
                x += numbers(cells[column["name"]], column["categories"], column["fill"])
            except ValueError as error:
                raise ValueError(f"row {place}, column {column['name']!r}: {error}") from None
        examples.append(x)
    return np.array(examples, W1.dtype).T


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
        with open(path, encoding="utf-8-sig", newline="") as lines:
            rows = table(read(lines))
    except (OSError, ValueError, csv.Error) as error:
        parser.error(str(error))  # exit code 2
    with contextlib.suppress(BrokenPipeError), open(1, "w", encoding="utf-8", newline="", closefd=False) as out:
        csv.writer(out, lineterminator="\n").writerows(rows)


# The parameters.
#: $leaves
W1 = np.array([[4, 4], [4, 4]], np.float32)
b1 = np.array([[-2], [-6]], np.float32)
W2 = np.array([[4, -4]], np.float32)
b2 = np.array([[-4]], np.float32)
#:

if __name__ == "__main__":
    main()
