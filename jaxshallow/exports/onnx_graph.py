"""A network as an ONNX graph. There examples are rows: Z1 = X W1ᵀ + b1ᵀ."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np

from jaxshallow.exports.known import encoding_of, portable
from jaxshallow.extras import require
from jaxshallow.params import ONE_CLASS, Params
from jaxshallow.tables.encodings import FAR, Encoding, PiecewiseLinear

IR_VERSION, OPSET = 8, 17  # what onnxruntime 1.17 reads


def to_onnx(params: Params, known: dict[str, Any]) -> bytes:
    """A serialized ONNX model of X -> (label, A2), with `known` as JSON in its metadata."""
    onnx, numpy_helper = require("onnx", "export"), require("onnx.numpy_helper", "export")
    leaves, hidden = portable(params)
    n_x, n_y = len(known["feature_names"]), len(params.W2)
    dtype = onnx.helper.np_dtype_to_tensor_dtype(leaves["W1"].dtype)
    node, encoding = onnx.helper.make_node, encoding_of(known)
    nodes, constants = _graph(node, onnx.TensorProto.INT64, leaves, hidden, params.output)
    if encoding:
        before, more = _encoding(node, encoding, leaves["W1"].dtype)
        nodes[0] = node("MatMul", ["encoded", "W1.T"], ["X W1.T"])
        nodes, constants = before + nodes, constants | more
    value = onnx.helper.make_tensor_value_info
    label_type = dtype if params.task == "regression" else onnx.TensorProto.INT64
    label_shape = ["m"] if params.task in ONE_CLASS else ["m", n_y]
    graph = onnx.helper.make_graph(
        nodes,
        "jaxshallow",
        [value("X", dtype, ["m", n_x])],
        [value("label", label_type, label_shape), value("A2", dtype, ["m", n_y])],
        [numpy_helper.from_array(np.ascontiguousarray(array), name) for name, array in constants.items()],
    )
    opsets = [onnx.helper.make_opsetid("", OPSET)]
    model = onnx.helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="jaxshallow")
    onnx.helper.set_model_props(model, {name: json.dumps(items) for name, items in known.items()})
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString())


Graph = tuple[list[Any], dict[str, np.ndarray]]  # nodes, and the constants by name


def _encoding(node: Callable[..., Any], encoding: Encoding, dtype: Any) -> Graph:
    """X -> "encoded": the encoding's `formula`, where examples are rows."""
    return (_bins if isinstance(encoding, PiecewiseLinear) else _smooth_clip)(node, encoding, dtype)


def _bins(node: Callable[..., Any], encoding: Any, dtype: Any) -> Graph:
    source, *ramps = encoding.ramps
    constants = dict(zip(encoding.ramps._fields[1:], (array.T.astype(dtype) for array in ramps), strict=True))
    nodes = [
        node("Gather", ["X", "source"], ["x"], axis=1),
        node("IsNaN", ["x"], ["gaps"]),
        node("Sub", ["x", "low"], ["x - low"]),
        node("Div", ["x - low", "width"], ["ramp"]),
        node("Max", ["ramp", "least"], ["at least"]),
        node("Min", ["at least", "most"], ["clipped"]),
        node("Where", ["gaps", "missing", "clipped"], ["encoded"]),
    ]
    return nodes, {**constants, "source": source.astype(np.int64)}


def _smooth_clip(node: Callable[..., Any], encoding: Any, dtype: Any) -> Graph:
    numbers = {
        "center": np.array([encoding.center]), "factor": np.array([encoding.factor]), "far": np.array(FAR),
        "-far": np.array(-FAR), "0": np.array(0), "1": np.array(1), "3": np.array(3),
    }  # fmt: skip
    nodes = [
        node("Sub", ["X", "center"], ["X - center"]),
        node("Mul", ["X - center", "factor"], ["scaled"]),
        node("IsNaN", ["scaled"], ["gaps"]),
        node("Where", ["gaps", "0", "scaled"], ["known"]),
        node("Max", ["known", "-far"], ["at least"]),
        node("Min", ["at least", "far"], ["z"]),
        node("Div", ["z", "3"], ["z / 3"]),
        node("Mul", ["z / 3", "z / 3"], ["square"]),
        node("Add", ["square", "1"], ["1 + square"]),
        node("Sqrt", ["1 + square"], ["root"]),
        node("Div", ["z", "root"], ["encoded"]),
    ]
    return nodes, {name: array.astype(dtype) for name, array in numbers.items()}


def _graph(node: Callable[..., Any], int64: int, leaves: dict[str, np.ndarray], hidden: str, output: str) -> Graph:
    """The equations as nodes, each with the names of its inputs and outputs, and the constants by name."""
    n_y, number = len(leaves["W2"]), leaves["W1"].dtype.type
    constants = {f"{name}.T": leaf.T for name, leaf in leaves.items()}

    # Not Gemm: onnxruntime 1.17 fuses it with an activation, and the fused node has no float64.
    nodes = [node("MatMul", ["X", "W1.T"], ["X W1.T"]), node("Add", ["X W1.T", "b1.T"], ["Z1"])]
    if hidden == "leaky_relu":  # not LeakyRelu: its slope is float32, and runtimes lack it in float64
        constants["slope"] = np.array(0.01, number)
        nodes += [node("Mul", ["slope", "Z1"], ["low"]), node("Max", ["Z1", "low"], ["A1"])]
    else:
        nodes += [node(hidden.capitalize(), ["Z1"], ["A1"])]
    nodes += [node("MatMul", ["A1", "W2.T"], ["A1 W2.T"]), node("Add", ["A1 W2.T", "b2.T"], ["Z2"])]
    if output == "identity":
        nodes += [node("Identity", ["Z2"], ["A2"]), node("Identity", ["A2"], ["label"])]
    elif output == "exp":
        nodes += [node("Exp", ["Z2"], ["A2"]), node("Identity", ["A2"], ["label"])]
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
