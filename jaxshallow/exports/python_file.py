"""A network as one Python file that needs NumPy alone: `standalone.py`, with this network's numbers filled in."""

from __future__ import annotations

import importlib.resources
import re
import textwrap
from string import Template
from typing import Any

import numpy as np

from jaxshallow.exports.known import encoding_of, portable
from jaxshallow.params import Params
from jaxshallow.tables.encodings import Encoding, PiecewiseLinear

WIDTH = 120

PROBABILITIES = '[f"P({label})" for label in LABELS]'

ONE_CLASS = {
    "header": f'["prediction", *{PROBABILITIES}]',
    "columns": "[[LABELS[k] for k in predict(X)], *A2.astype(str)]",
}

# What the program predicts and prints, by the output head and whether it has several units.
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
# Counts are numbers as well.
ANSWERS |= {("exp", several): ANSWERS["identity", several] for several in (False, True)}


def to_python(params: Params, known: dict[str, Any]) -> bytes:
    """The source of `standalone.py` for this network.

    Args:
        params: the network, on the host.
        known: its feature names, labels, columns and encoding, as `checked_metadata` gives them.
    """
    program = importlib.resources.files("jaxshallow.exports").joinpath("standalone.py").read_text(encoding="utf-8")
    functions = {found[1]: found[0].rstrip() for found in re.finditer(r"def (\w+)\([ZX]\):\n(?:    .+\n)+", program)}
    leaves, hidden = portable(params)
    encoding = encoding_of(known)
    encode, constants = _constants(encoding) if encoding else ("", {})
    n_x, n_h, n_y = len(known["feature_names"]), len(params.W1), len(params.W2)
    lists = {
        "FEATURES": known["feature_names"],
        "LABELS": known["labels"],
        "COLUMNS": known["columns"],
    }
    text = _template(program).substitute(
        ANSWERS[params.output, n_y > 1],
        **{"n_x": n_x, "n_h": n_h, "n_y": n_y, "hidden": hidden, "output": params.output},
        lists="\n".join(_list(name, items) for name, items in lists.items()),
        rules=_rules(),
        dtype="float64" if encoding else leaves["W1"].dtype,
        rows=f"{encode}(X)" if encode else "X",
        functions="\n\n\n".join(functions[name] for name in dict.fromkeys([hidden, params.output, encode]) if name),
        leaves="\n".join(_array(name, leaf) for name, leaf in (leaves | constants).items()),
    )
    return text.encode()


def _constants(encoding: Encoding) -> tuple[str, dict[str, np.ndarray]]:
    """The name of an encoding's function in `standalone.py`, and its constants."""
    if isinstance(encoding, PiecewiseLinear):
        return "piecewise_linear", dict(
            zip(("SOURCE", "LOW", "WIDTH", "LEAST", "MOST", "ABSENT"), encoding.ramps, strict=True)
        )
    columns = (np.array(values)[:, None] for values in (encoding.center, encoding.factor))
    return "smooth_clip", dict(zip(("CENTER", "FACTOR"), columns, strict=True))


def _template(program: str) -> Template:
    """The program, with the `$name` of each `#:` in place of the code that stands there as an example."""
    program = program[program.index('"""') :]
    program = re.sub(r"^#: (.+)\n(?:.*\n)*?#:$", r"\1", program, flags=re.MULTILINE)
    return Template(re.sub(r"\S.*  #: ", "", program))


def _rules() -> str:
    """The code of `tables/layout.py` from its first constant on."""
    code = importlib.resources.files("jaxshallow.tables").joinpath("layout.py").read_text(encoding="utf-8")
    return code[code.index("MISSING = ") :].rstrip()


def _list(name: str, items: list[Any]) -> str:
    """The assignment of a list: on one line if that fits, else one line per item."""
    line = f"{name} = {items!r}"
    return line if len(line) <= WIDTH else f"{name} = [\n" + "".join(f"    {item!r},\n" for item in items) + "]"


def _array(name: str, leaf: np.ndarray) -> str:
    """The assignment of W1, b1, W2 or b2: one line per row, wrapped; a vector's rows share lines."""
    rows = [f"[{', '.join(map(_number, row))}]," for row in leaf] if leaf.ndim > 1 else [f"{k}," for k in leaf]
    rows = [" ".join(rows)] if leaf.ndim == 1 or leaf.shape[1] == 1 else rows
    wrap = textwrap.TextWrapper(
        WIDTH, initial_indent="    ", subsequent_indent="     ", break_long_words=False, break_on_hyphens=False
    )
    return "\n".join([f"{name} = np.array([", *map(wrap.fill, rows), f"], np.{leaf.dtype})"])


def _number(x: np.floating) -> str:
    """The shortest text that reads back as x. It is read as float64 first, which once in a while takes more digits."""
    text = str(x)
    return text if type(x)(float(text)) == x else repr(float(x))
