"""A network as one Python file that needs NumPy alone. `standalone.py.template` is that file, with gaps to fill in."""

from __future__ import annotations

import textwrap
from string import Template

import numpy as np

from jaxshallow.exports.known import portable
from jaxshallow.params import Params
from jaxshallow.tables.columns import MISSING

WIDTH = 120

NUMPY = {
    "sigmoid": "np.where(Z > 0, 1, np.exp(-abs(Z))) / (1 + np.exp(-abs(Z)))",
    "tanh": "np.tanh(Z)",
    "relu": "np.maximum(Z, 0)",
    "leaky_relu": "np.where(Z > 0, Z, 0.01 * Z)",
    "identity": "Z",
    "softmax": "np.exp(Z - Z.max(axis=0)) / np.exp(Z - Z.max(axis=0)).sum(axis=0)",
}

PROGRAM = Template('''\
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
$lists

Cache = namedtuple("Cache", "Z1 A1 Z2 A2")


$functions


def forward(X):
    """Z1, A1 (n_h, m) and Z2, A2 (n_y, m) of the examples X (n_x, m)."""
    X = np.asarray(X, W1.dtype)
    if X.ndim != 2 or len(X) != len(FEATURES):
        raise ValueError(f"X must be (n_x, m) = ({len(FEATURES)}, m), got {X.shape}")

    Z1 = W1 @ X + b1
    A1 = $hidden(Z1)
    Z2 = W2 @ A1 + b2
    A2 = $output(Z2)

    return Cache(Z1, A1, Z2, A2)


def predict(X):
    """$predicts, of the examples X (n_x, m)."""
    A2 = forward(X).A2
    return $prediction


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
    mark = max(",;\\t", key=lines[0].count)
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
    header = $header
    columns = $columns
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
        csv.writer(out, lineterminator="\\n").writerows(rows)


# The parameters.
$leaves

if __name__ == "__main__":
    main()
''')

PROBABILITIES = '[f"P({label})" for label in LABELS]'

ONE_CLASS = {
    "header": f'["prediction", *{PROBABILITIES}]',
    "columns": "[[LABELS[k] for k in predict(X)], *A2.astype(str)]",
}

# What the program answers, by the output head and whether it has several units.
ANSWERS = {
    ("sigmoid", False): {
        "predicts": "1 where A2 > 0.5, else 0, (m,)",
        "prediction": "(A2[0] > 0.5).astype(int)",
        "header": ONE_CLASS["header"],
        "columns": "[[LABELS[k] for k in predict(X)], *np.vstack([1 - A2, A2]).astype(str)]",
    },
    ("sigmoid", True): {
        "predicts": "1 where A2 > 0.5, else 0, (n_y, m)",
        "prediction": "(A2 > 0.5).astype(int)",
        "header": f"[*LABELS, *{PROBABILITIES}]",
        "columns": "[*predict(X), *A2.astype(str)]",
    },
    ("softmax", True): {
        "predicts": "The number of the most probable class, (m,)",
        "prediction": "A2.argmax(axis=0)",
        **ONE_CLASS,
    },
    ("identity", False): {
        "predicts": "A2 itself, (n_y, m)",
        "prediction": "A2",
        "header": '["prediction"]',
        "columns": "A2.astype(str)",
    },
    ("identity", True): {
        "predicts": "A2 itself, (n_y, m)",
        "prediction": "A2",
        "header": '[f"prediction {k}" for k in range(len(A2))]',
        "columns": "A2.astype(str)",
    },
}


def to_python(params: Params, known: dict[str, list]) -> bytes:
    leaves, hidden = portable(params)
    (n_h, n_x), n_y = params.W1.shape, len(params.W2)
    lists = {
        "FEATURES": known["feature_names"],
        "LABELS": known["labels"],
        "COLUMNS": known["columns"],
        "MISSING": MISSING,
    }
    functions = [f"def {name}(Z):\n    return {NUMPY[name]}" for name in dict.fromkeys([hidden, params.output])]
    return PROGRAM.substitute(
        ANSWERS[params.output, n_y > 1],
        **{"n_x": n_x, "n_h": n_h, "n_y": n_y, "hidden": hidden, "output": params.output},
        lists="\n".join(_list(name, items) for name, items in lists.items()),
        functions="\n\n\n".join(functions),
        leaves="\n".join(_array(name, leaf) for name, leaf in leaves.items()),
    ).encode()


def _list(name: str, items: list) -> str:
    """The assignment of a list: in one line where it is short, else in a line for each item."""
    line = f"{name} = {items!r}"
    return line if len(line) <= WIDTH else f"{name} = [\n" + "".join(f"    {item!r},\n" for item in items) + "]"


def _array(name: str, leaf: np.ndarray) -> str:
    """The assignment of W1, b1, W2 or b2: a line for each row, wrapped; the rows of a column share lines."""
    rows = [f"[{', '.join(map(_number, row))}]," for row in leaf]
    rows = [" ".join(rows)] if leaf.shape[1] == 1 else rows
    wrap = textwrap.TextWrapper(
        WIDTH, initial_indent="    ", subsequent_indent="     ", break_long_words=False, break_on_hyphens=False
    )
    return "\n".join([f"{name} = np.array([", *map(wrap.fill, rows), f"], np.{leaf.dtype})"])


def _number(x: np.floating) -> str:
    """The shortest text that is x again; by way of float64, where it takes all digits once in a long while."""
    text = str(x)
    return text if type(x)(float(text)) == x else repr(float(x))
