"""A network outside this library: a `jax.export` artifact, one Python file that needs NumPy alone, or ONNX.

Each holds the same four equations and the same numbers. How to load them:

    # model.jax: JAX alone, on cpu, cuda or tpu, any number of examples; X (n_x, m) of the parameters' dtype
    labels, A2 = jax.export.deserialize(bytearray(Path("model.jax").read_bytes())).call(X)

    # model.py: NumPy alone; also `python model.py table.csv` and `python model.py < table.csv`
    import model
    labels, A2 = model.predict(X), model.forward(X).A2

    # model.onnx: onnxruntime, or whatever reads ONNX; there rows are examples
    label, A2 = onnxruntime.InferenceSession("model.onnx").run(["label", "A2"], {"X": X.T})
"""

from __future__ import annotations

import json
import os
import textwrap
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from string import Template
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import export as jax_export

from jaxshallow import activations, checks
from jaxshallow.network import forward, predict
from jaxshallow.params import Params
from jaxshallow.store import LEAVES, write_atomically
from jaxshallow.tables import MISSING, Column, columns_of, require

PLATFORMS = ("cpu", "cuda", "tpu")
HIDDEN = ("sigmoid", "tanh", "relu", "leaky_relu", "identity")
IR_VERSION, OPSET = 8, 17  # what onnxruntime 1.17 reads
WIDTH = 120


def export(params: Params, path: str | os.PathLike[str], metadata: dict | None = None) -> None:
    """Writes a network for use elsewhere, atomically; the suffix of `path` says as what.

    - .jax: a `jax.export` artifact of X (n_x, m) -> (`predict(params, X)`, `forward(params, X).A2`) with the parameters
      in it, for cpu, cuda and tpu and every m. X has the parameters' dtype, and float64 needs x64 where it is loaded
      too. Products have the `jax.default_matmul_precision` that is set here. Later releases of JAX read it for six
      months at least.
    - .py: Python source, to be read, imported or run on a CSV file, with NumPy alone.
    - .onnx: X (m, n_x) -> label, A2 (m, n_y), examples as rows. label is `predict`, transposed: (m,) int64, or (m, n_y)
      with several outputs and for regression.

    In .py and .onnx float16 and bfloat16 are widened to float32.

    Args:
        params: the network; it takes raw features, so any scaling must be in W1 and b1.
        path: the file.
        metadata: what `read_metadata` gives. "feature_names" (n_x names of X's rows), "labels" (the classes' names;
            empty for regression) and "columns" are used: how the columns of a table become the rows of X, dicts with
            "name", "categories" and "fill". Without categories a column holds numbers, one row of X; with them it holds
            text, and is a row of 0 and 1 per category, named "colour=blue". "fill" is a list of the numbers, one for
            each of its rows, that stand for a missing value, or None where that is refused. Without "columns" each
            feature is a number; without "feature_names" they are x1, x2, ...

    Raises:
        ValueError: the suffix is none of the three; names, labels or columns do not fit the network's sizes or are
            malformed; a number is not finite; float64 while JAX's x64 is off; or, for .py and .onnx, `hidden` is not
            the name of an activation of this library.
        TypeError: `params` is not `Params`, or `metadata` not a dict.
        OSError: the file cannot be written; an older one is as it was.
        ImportError: onnx is missing.

    Example:
        >>> import runpy, tempfile
        >>> params = Params(jnp.ones((4, 3)), jnp.zeros((4, 1)), jnp.ones((1, 4)), jnp.full((1, 1), -2.0))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     export(params, f"{folder}/model.py", {"labels": ["small", "large"]})
        ...     model = runpy.run_path(f"{folder}/model.py")
        >>> model["predict"]([[-9.0, 9.0]] * 3)
        array([0, 1])
        >>> model["FEATURES"], model["LABELS"], model["forward"]([[0.0]] * 3).A2.round(3).tolist()
        (['x1', 'x2', 'x3'], ['small', 'large'], [[0.5]])
    """
    suffix = Path(path).suffix.lower()
    if suffix not in FORMATS:
        raise ValueError(f"path must end in .jax, .py or .onnx, got {os.fspath(path)!r}")
    params = _on_host(params)
    write_atomically(path, FORMATS[suffix](params, _known(params, metadata)))


def _on_host(params: Params) -> Params:
    """`params`, checked, as NumPy arrays, so that no device is part of what is written."""
    checks.parameters(params)
    leaves: dict[str, Any] = {name: np.asarray(getattr(params, name)) for name in LEAVES}
    for name, leaf in leaves.items():
        if jax.dtypes.canonicalize_dtype(leaf.dtype) != leaf.dtype:
            raise ValueError(f"{name} is {leaf.dtype}: first jax.config.update('jax_enable_x64', True)")
        if not np.isfinite(leaf).all():
            raise ValueError(f"{name} must be finite, got {(~np.isfinite(leaf)).sum()} numbers that are not")
    return replace(params, **leaves)


def _known(params: Params, metadata: dict | None) -> dict[str, list]:
    """`feature_names`, `labels` and `columns`, given or by default, checked against the network's sizes."""
    if not isinstance(metadata, dict | None):
        raise TypeError(f"metadata must be a dict, got {type(metadata).__name__}")
    metadata = metadata or {}
    columns, rows = _columns(params.W1.shape[1], metadata)

    n_y = len(params.W2)
    n_labels = {"identity": 0, "softmax": n_y, "sigmoid": max(n_y, 2)}[params.output]
    given = metadata.get("labels")
    labels = [str(label) for label in (range(n_labels) if given is None or not len(given) else given)]
    if len(labels) != n_labels:
        head = f"output={params.output!r} with n_y = {n_y}"
        raise ValueError(f"metadata's labels must be {n_labels} for {head}, got {len(labels)}: {labels}")
    return {"feature_names": rows, "labels": labels, "columns": columns}


def _columns(n_x: int, metadata: dict) -> tuple[list[dict], list[str]]:
    """The columns of a table, as what JSON and Python alike can say, and the names of the rows of X they become."""
    columns = columns_of(metadata) or tuple(Column(f"x{i + 1}") for i in range(n_x))
    rows = [name for column in columns for name in column.feature_names]
    names = metadata.get("feature_names")
    if len(rows) != n_x:
        raise ValueError(f"metadata's columns must make n_x = {n_x} rows of X, got {len(rows)}: {rows}")
    if names is not None and len(names) and [str(name) for name in names] != rows:
        raise ValueError(f"metadata's feature_names must be what its columns make, {rows}, got {list(names)}")
    if len({column.name for column in columns}) < len(columns):
        raise ValueError(f"metadata's columns must have names, each its own, got {[c.name for c in columns]}")
    plain = [
        {"name": c.name, "categories": list(c.categories), "fill": None if c.fill is None else list(c.fill)}
        for c in columns
    ]
    return plain, rows


def _portable(params: Params) -> tuple[dict[str, np.ndarray], str]:
    """W1, b1, W2 and b2 in float64 or float32, and the name of the hidden activation, which must be one of ours."""
    g, hidden = activations.resolve(params.hidden)[0], params.hidden
    if not (isinstance(hidden, str) and hidden in HIDDEN and g is getattr(activations, hidden)):
        fix = "what is code of yours can be exported to .jax"
        raise ValueError(f"hidden must be one of {', '.join(HIDDEN)} for .py and .onnx, got {hidden!r}: {fix}")
    dtype = np.float64 if params.W1.dtype == np.float64 else np.float32
    return {name: np.asarray(getattr(params, name), dtype) for name in LEAVES}, hidden


# ---- .jax ----


def _jax(params: Params, known: dict[str, list]) -> bytes:
    largest = min(2**31 - 1, int(float(jnp.finfo(params.W1.dtype).max)))
    (m,) = jax_export.symbolic_shape("m", constraints=[f"m <= {largest}"])

    def answer(X):
        return predict(params, X), forward(params, X).A2

    X = jax.ShapeDtypeStruct((params.W1.shape[1], m), params.W1.dtype)
    frames = jax.config.values["jax_traceback_in_locations_limit"]
    jax.config.update("jax_traceback_in_locations_limit", 0)  # else the paths of this machine's sources are written too
    try:
        return bytes(jax_export.export(jax.jit(answer), platforms=PLATFORMS)(X).serialize())
    finally:
        jax.config.update("jax_traceback_in_locations_limit", frames)


# ---- .py: in what PROGRAM says $name, the network's own lines are filled in ----

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


def _python(params: Params, known: dict[str, list]) -> bytes:
    leaves, hidden = _portable(params)
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


# ---- .onnx: examples are rows, so Z1 = X W1ᵀ + b1ᵀ ----


def _onnx(params: Params, known: dict[str, list]) -> bytes:
    require("onnx.numpy_helper", "export")
    onnx, (leaves, hidden) = require("onnx", "export"), _portable(params)
    n_x, n_y = params.W1.shape[1], len(params.W2)
    dtype = onnx.helper.np_dtype_to_tensor_dtype(leaves["W1"].dtype)
    nodes, constants = _graph(onnx.helper.make_node, onnx.TensorProto.INT64, leaves, hidden, params.output)
    value = onnx.helper.make_tensor_value_info
    label_type = dtype if params.output == "identity" else onnx.TensorProto.INT64
    several = params.output == "identity" or (params.output == "sigmoid" and n_y > 1)
    graph = onnx.helper.make_graph(
        nodes,
        "jaxshallow",
        [value("X", dtype, ["m", n_x])],
        [value("label", label_type, ["m", n_y] if several else ["m"]), value("A2", dtype, ["m", n_y])],
        [onnx.numpy_helper.from_array(np.ascontiguousarray(array), name) for name, array in constants.items()],
    )
    opsets = [onnx.helper.make_opsetid("", OPSET)]
    model = onnx.helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="jaxshallow")
    onnx.helper.set_model_props(model, {name: json.dumps(items) for name, items in known.items()})
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString()


def _graph(node: Callable, int64: int, leaves: dict[str, np.ndarray], hidden: str, output: str) -> tuple[list, dict]:
    """The equations as nodes, each with the names of what it takes and gives, and the constants in them by name."""
    n_y, number = len(leaves["W2"]), leaves["W1"].dtype.type
    constants = {f"{name}.T": leaf.T for name, leaf in leaves.items()}

    # Not Gemm, which onnxruntime 1.17 merges with an activation into what it cannot compute in float64.
    nodes = [node("MatMul", ["X", "W1.T"], ["X W1.T"]), node("Add", ["X W1.T", "b1.T"], ["Z1"])]
    if hidden == "leaky_relu":  # not LeakyRelu, whose slope is float32 and which runtimes lack in float64
        constants["slope"] = np.array(0.01, number)
        nodes += [node("Mul", ["slope", "Z1"], ["low"]), node("Max", ["Z1", "low"], ["A1"])]
    else:
        nodes += [node(hidden.capitalize(), ["Z1"], ["A1"])]
    nodes += [node("MatMul", ["A1", "W2.T"], ["A1 W2.T"]), node("Add", ["A1 W2.T", "b2.T"], ["Z2"])]
    if output == "identity":
        nodes += [node("Identity", ["Z2"], ["A2"]), node("Identity", ["A2"], ["label"])]
    elif output == "softmax":
        nodes += [node("Softmax", ["Z2"], ["A2"], axis=1), node("ArgMax", ["A2"], ["label"], axis=1, keepdims=0)]
    else:
        constants["half"] = np.array(0.5, number)
        constants["shape"] = np.array([-1] if n_y == 1 else [-1, n_y], np.int64)
        nodes += [
            node("Sigmoid", ["Z2"], ["A2"]),
            node("Greater", ["A2", "half"], ["above"]),
            node("Cast", ["above"], ["integers"], to=int64),
            node("Reshape", ["integers", "shape"], ["label"]),
        ]
    return nodes, constants


FORMATS = {".jax": _jax, ".py": _python, ".onnx": _onnx}
