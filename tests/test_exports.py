"""Networks outside the library: as an artifact of JAX, a file of NumPy, and ONNX; and the program export."""

import ast
import errno
import io
import json
import os
import runpy
import subprocess
import sys
from dataclasses import replace

import cases
import jax
import jax.numpy as jnp
import numpy as np
import onnx
import onnxruntime
import pytest
from jax import export as jax_export

import jaxshallow as js
from jaxshallow.exports import exporting, standalone
from jaxshallow.programs import export as script
from jaxshallow.programs import export_check

pytestmark = pytest.mark.usefixtures("compiled_lightly")

NAMED = [hidden for hidden in cases.HIDDEN.values() if isinstance(hidden, str)]
# Age with a fill, a colour that must be there, a yes or no that must, a size whose text may be missing.
COLUMNS = [
    {"name": "age", "categories": [], "fill": [41.5]},
    {"name": "colour", "categories": ["blue", "red, dark"], "fill": None},
    {"name": "fast", "categories": [], "fill": None},
    {"name": "size", "categories": ["l", "s"], "fill": [0.25, 0.75]},
]
METADATA = {
    "feature_names": ["age", "colour=blue", "colour=red, dark", "fast", "size=l", "size=s"],
    "labels": ['a "quoted" one', "two, three", "Zoë"],
    "columns": COLUMNS,
}
TABLE = """\ufefffast,age,note,size,colour
true,30,"x, y",l,blue
False,,"say ""no""
on two lines",,"red, dark"

1.5,-2e1,,s,blue
"""
TABLE_X = np.array([[30, 1, 0, 1, 1, 0], [41.5, 0, 1, 0, 0.25, 0.75], [-20, 1, 0, 1.5, 0, 1]], dtype=np.float32).T


def balanced(hidden, output, n_y, dtype=np.float32, **sizes):
    """A case as in cases.py, in which no class has all the examples."""
    case = cases.draw(hidden, output, n_y, **sizes)
    Z2 = cases.reference_forward(case.params, case.X)[2]
    params = replace(case.params, b2=case.params.b2 - Z2.mean(axis=1, keepdims=True))
    params, X = jax.tree.map(lambda leaf: leaf.astype(dtype), params), case.X.astype(dtype)
    labels = cases.reference_forward(params, X)[3]
    labels = labels.argmax(axis=0) if output == "softmax" else labels > 0.5
    assert output == "identity" or len(np.unique(labels)) > 1
    return case._replace(params=params, X=X)


def of_onnx(path, X):
    """label and A2, with examples as columns again."""
    session = onnxruntime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    return tuple(array.T for array in session.run(["label", "A2"], {"X": np.ascontiguousarray(X.T)}))


def of_python(path, X):
    model = runpy.run_path(str(path))
    return model["predict"](X), model["forward"](X).A2


def of_jax(path, X):
    return jax_export.deserialize(bytearray(path.read_bytes())).call(X)


@pytest.fixture
def mixed(tmp_path):
    """The file model.py of a network for TABLE, and the network."""
    params = balanced("tanh", "softmax", 3, n_x=6).params
    params = replace(params, W1=params.W1 * np.array([0.02, 1, 1, 1, 1, 1], np.float32))  # or ages would saturate it
    js.export(params, tmp_path / "model.py", METADATA)
    return tmp_path / "model.py", params


# ---- the same answers ----


@pytest.mark.parametrize(("output", "n_y"), cases.HEADS)
@pytest.mark.parametrize("hidden", NAMED)
def test_numpy_and_onnx_answer_as_the_library_does(tmp_path, hidden, output, n_y):
    case = balanced(hidden, output, n_y)
    for suffix, run in ((".py", of_python), (".onnx", of_onnx)):
        js.export(case.params, tmp_path / f"model{suffix}")
        for m in (1, 7):
            labels, A2 = run(tmp_path / f"model{suffix}", case.X[:, :m])
            assert A2.dtype == np.float32
            cases.assert_close(A2, js.forward(case.params, case.X[:, :m]).A2, "float32")
            expected = np.asarray(js.predict(case.params, case.X[:, :m]))
            assert labels.shape == expected.shape
            if output == "identity":
                np.testing.assert_array_equal(labels, A2)
            else:
                assert labels.dtype == np.int64
                np.testing.assert_array_equal(labels, expected)


@pytest.mark.parametrize(("hidden", "output", "n_y"), cases.PAIRS[:5])
def test_float64_keeps_its_digits(tmp_path, x64, hidden, output, n_y):
    case = cases.draw(hidden, output, n_y)
    for suffix, run in ((".py", of_python), (".onnx", of_onnx)):
        js.export(case.params, tmp_path / f"model{suffix}")
        A2 = run(tmp_path / f"model{suffix}", case.X)[1]
        assert A2.dtype == np.float64
        cases.assert_close(A2, cases.reference_forward(case.params, case.X)[3], "float64")


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16])
def test_narrow_dtypes_are_widened_to_float32(tmp_path, dtype):
    case = cases.draw("relu", "softmax", 3, dtype=dtype)
    for suffix, run in ((".py", of_python), (".onnx", of_onnx)):
        js.export(case.params, tmp_path / f"model{suffix}")
        A2 = run(tmp_path / f"model{suffix}", case.X.astype(np.float32))[1]
        cases.assert_close(A2, cases.reference_forward(case.params, case.X)[3], "float32")


@pytest.mark.parametrize(
    ("hidden", "output", "n_y", "dtype"),
    [
        ("leaky_relu", "softmax", 3, np.float32),
        (cases.OWN_FUNCTION, "sigmoid", 1, np.float32),
        (cases.OWN_PAIR, "identity", 3, jnp.bfloat16),
    ],
)
def test_the_artifact_of_jax_answers_for_every_m(tmp_path, hidden, output, n_y, dtype):
    case = balanced(hidden, output, n_y, dtype)
    js.export(case.params, tmp_path / "model.jax")
    for m in (1, 7):
        labels, A2 = of_jax(tmp_path / "model.jax", case.X[:, :m])
        assert A2.dtype == dtype
        tolerance = "float32" if dtype == np.float32 else "bfloat16"
        cases.assert_close(A2, js.forward(case.params, case.X[:, :m]).A2, tolerance)
        cases.assert_same(labels, A2 if output == "identity" else js.predict(case.params, case.X[:, :m]))


def test_the_artifact_of_jax_needs_jax_alone_and_holds_no_path(tmp_path):
    case = balanced("tanh", "sigmoid", 3)
    js.export(case.params, tmp_path / "model.jax")
    content = (tmp_path / "model.jax").read_bytes()
    exported = jax_export.deserialize(bytearray(content))
    assert set(exported.platforms) == {"cpu", "cuda", "tpu"}
    assert os.path.dirname(js.__file__).encode() not in content
    program = f"""
import sys, numpy as np, jax, jax.export
labels, A2 = jax.export.deserialize(bytearray(open("model.jax", "rb").read())).call(np.array({case.X.tolist()}, "f4"))
assert "jaxshallow" not in sys.modules
print(labels.tolist(), A2.tolist())
"""
    run = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True)
    labels, A2 = ast.literal_eval(f"[{run.stdout.replace('] [', '], [')}]")
    np.testing.assert_array_equal(labels, js.predict(case.params, case.X))
    cases.assert_close(np.array(A2), js.forward(case.params, case.X).A2, "float32")


def test_large_pre_activations_warn_of_nothing(tmp_path):
    for output, n_y in cases.HEADS:
        case = cases.draw("sigmoid", output, n_y, dtype=np.float32)
        params = js.Params(case.params.W1, case.params.b1, 1e5 * case.params.W2, case.params.b2, output=output)
        js.export(params, tmp_path / "model.py")
        labels, A2 = of_python(tmp_path / "model.py", 1e5 * case.X)
        cases.assert_close(A2, js.forward(params, 1e5 * case.X).A2, "float32")
        if output != "identity":
            assert A2.min() < 1e-30
            np.testing.assert_array_equal(labels, js.predict(params, 1e5 * case.X))


# ---- .py: what is written ----


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_parameters_come_back_bit_for_bit(tmp_path, x64, dtype):
    rng, limits = np.random.default_rng(0), jnp.finfo(dtype)
    W1 = (rng.normal(size=(3, 40)) * 10.0 ** rng.integers(-4, 4, (3, 40))).astype(dtype)
    # The last is the float32 whose shortest text is another number when it is read as float64 first.
    W1[0, :6] = -0.0, limits.max, -limits.tiny, limits.smallest_subnormal, 1 + limits.eps, 7.038530691851209e-26
    small = cases.draw("tanh", "softmax", 3, n_x=40, n_h=3, dtype=jnp.dtype(dtype)).params
    params = js.Params(W1, small.b1, small.W2, small.b2, "tanh", "softmax")
    js.export(params, tmp_path / "model.py")
    model = runpy.run_path(str(tmp_path / "model.py"))
    for name in ("W1", "b1", "W2", "b2"):
        expected = np.asarray(getattr(params, name), np.float64 if dtype == "float64" else np.float32)
        assert (model[name].dtype, model[name].shape) == (expected.dtype, expected.shape)
        assert model[name].tobytes() == expected.tobytes()


def test_the_file_is_short_readable_and_needs_numpy_alone(mixed):
    path, _ = mixed
    text = path.read_text()
    imported = {
        alias.name for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Import) for alias in node.names
    }
    imported |= {node.module for node in ast.walk(ast.parse(text)) if isinstance(node, ast.ImportFrom)}
    assert {name.split(".")[0] for name in imported} - set(sys.stdlib_module_names) == {"numpy"}
    equations = ["Z1 = W1 @ X + b1", "A1 = tanh(Z1)", "Z2 = W2 @ A1 + b2", "A2 = softmax(Z2)"]
    assert "".join(f"    {line}\n" for line in equations) in text
    assert "def relu" not in text
    assert max(map(len, text.splitlines())) <= 120
    model = runpy.run_path(str(path))
    assert {name: model[name] for name in ("FEATURES", "LABELS", "COLUMNS")} == {
        "FEATURES": METADATA["feature_names"],
        "LABELS": METADATA["labels"],
        "COLUMNS": COLUMNS,
    }
    with pytest.raises(ValueError, match=r"X must be \(n_x, m\) = \(6, m\), got \(6,\)"):
        model["forward"](TABLE_X[:, 0])


def test_standalone_is_itself_what_is_written_for_its_network(tmp_path):
    X = np.array([[0, 0, 1, 1], [0, 1, 0, 1]])
    np.testing.assert_array_equal(standalone.predict(X), [0, 1, 1, 0])
    params = js.Params(standalone.W1, standalone.b1, standalone.W2, standalone.b2, "tanh", "sigmoid")
    js.export(params, tmp_path / "model.py", {"labels": standalone.LABELS})
    model, text = runpy.run_path(str(tmp_path / "model.py")), (tmp_path / "model.py").read_text()
    assert text.startswith('"""A neural network with one hidden layer, in NumPy: 2 -> 2 (tanh) -> 1 (sigmoid).')
    assert "#:" not in text
    assert "$" not in text
    assert model["COLUMNS"] == standalone.COLUMNS
    assert model["table"](X) == standalone.table(X)


@pytest.mark.parametrize("by", ["path", "standard input"])
def test_it_predicts_from_a_table_as_a_program(mixed, by):
    path, params = mixed
    (path.parent / "table.csv").write_text(TABLE, encoding="utf-8")
    command = [sys.executable, "-I", "-W", "error", str(path), *(["table.csv"] if by == "path" else [])]
    given = None if by == "path" else TABLE.encode()
    run = subprocess.run(command, cwd=path.parent, input=given, capture_output=True)
    assert (run.returncode, run.stderr) == (0, b"")
    header, *rows = run.stdout.decode().splitlines()
    assert header == 'prediction,"P(a ""quoted"" one)","P(two, three)",P(Zoë)'
    A2 = np.array([row.rsplit(",", 3)[1:] for row in rows], float).T
    cases.assert_close(A2, js.forward(params, TABLE_X).A2, "float32")
    np.testing.assert_array_equal(runpy.run_path(str(path))["read"](io.StringIO(TABLE.lstrip("\ufeff"))), TABLE_X)
    quoted = ['"a ""quoted"" one"', '"two, three"', "Zoë"]
    assert [row.rsplit(",", 3)[0] for row in rows] == [quoted[k] for k in js.predict(params, TABLE_X)]


@pytest.fixture
def program(capfd, monkeypatch):
    """Runs a model.py on a table as its main program, in this process: the exit code, and what it printed."""

    def run(path, table):
        (path.parent / "table.csv").write_bytes(table)
        monkeypatch.setattr(sys, "argv", [str(path), str(path.parent / "table.csv")])
        code = 0
        try:
            runpy.run_path(str(path), run_name="__main__")
        except SystemExit as stop:
            code = stop.code
        return code, *capfd.readouterr()

    return run


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (TABLE.replace("true", ""), "row 1, column 'fast': the value is missing"),
        (TABLE.replace('"red, dark"', "N/A"), "row 2, column 'colour': the value is missing"),
        (TABLE.replace('"red, dark"', "green"), "row 2, column 'colour': 'green' is not among blue, red, dark"),
        (TABLE.replace("1.5", "much"), "row 3, column 'fast': 'much' is not a finite number of float32"),
        (TABLE.replace("30", "inf"), "row 1, column 'age': 'inf' is not a finite number of float32"),
        (TABLE.replace("30", "1e39"), "row 1, column 'age': '1e39' is not a finite number of float32"),
        (TABLE.replace("blue\nFalse", "blue,5\nFalse"), "line 2 has 6 fields where the header has 5"),
        (TABLE.replace("colour", "color"), "the table must have the columns ['colour']; it has ['fast',"),
        (TABLE.replace("note", "age"), "columns must have names, each its own, got 'age' twice"),
        (TABLE[: TABLE.index("\n") + 1], "the table must hold at least one row"),
        ("", "it is empty"),
        (TABLE + '"torn', "unexpected end of data"),
        (TABLE.encode("utf-16"), "it is UTF-16: save it as UTF-8 first"),
    ],
)
def test_a_table_that_it_cannot_use_is_named_and_refused(mixed, program, table, message):
    code, out, errors = program(mixed[0], table if isinstance(table, bytes) else table.encode())
    assert (code, out) == (2, "")
    assert message in errors


def test_numbers_too_large_for_the_network_are_refused(tmp_path, program):
    params = js.Params(
        *(np.full(shape, 2, np.float32) for shape in ((2, 1), (2, 1), (1, 2), (1, 1))), "relu", "identity"
    )
    js.export(params, tmp_path / "model.py")
    code, out, errors = program(tmp_path / "model.py", b"x1\n1\n3e38\n")
    assert (code, out) == (2, "")
    assert "row 2: its numbers are too large for float32" in errors


@pytest.mark.parametrize(
    ("output", "n_y", "labels", "header"),
    [
        ("sigmoid", 1, ["no", "yes"], "prediction,P(no),P(yes)"),
        ("sigmoid", 3, ["p", "q", "r"], "p,q,r,P(p),P(q),P(r)"),
        ("identity", 1, [], "prediction"),
        ("identity", 3, [], "prediction 0,prediction 1,prediction 2"),
        ("softmax", 3, [], "prediction,P(0),P(1),P(2)"),
    ],
)
def test_every_head_prints_its_columns(tmp_path, program, output, n_y, labels, header):
    case = balanced("relu", output, n_y)
    js.export(case.params, tmp_path / "model.py", {"labels": labels, "feature_names": ["a", "b", "c"]})
    lines = ["a,b,c", *(",".join(map(str, x)) for x in case.X.T)]
    code, out, errors = program(tmp_path / "model.py", "\n".join(lines).encode())
    assert (code, errors) == (0, "")
    first, *rows = out.splitlines()
    assert first == header
    cells = np.array([row.split(",") for row in rows]).T
    A2, predicted = np.asarray(js.forward(case.params, case.X).A2), np.asarray(js.predict(case.params, case.X))
    if (output, n_y) == ("sigmoid", 1):
        A2 = np.concatenate([1 - A2, A2])
    cases.assert_close(cells[-len(A2) :].astype(float), A2, "float32")
    if output != "identity":
        texts = predicted if (output, n_y) == ("sigmoid", 3) else [(labels or ["0", "1", "2"])[k] for k in predicted]
        np.testing.assert_array_equal(cells[: len(cells) - len(A2)], np.atleast_2d(texts).astype(str))


def test_a_reader_that_has_seen_enough_is_no_error(tmp_path):
    case = cases.draw("relu", "sigmoid", 1, n_x=1, dtype=np.float32)
    js.export(case.params, tmp_path / "model.py")
    (tmp_path / "table.csv").write_text("x1\n" + "1\n" * 20_000)
    with subprocess.Popen(
        [sys.executable, "-I", "model.py", "table.csv"], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as run:
        assert run.stdout.readline() == b"prediction,P(0),P(1)\n"
        run.stdout.close()
        assert run.stderr.read() == b""
    assert run.returncode == 0


# ---- .onnx: what is written ----


def test_onnx_says_what_its_inputs_and_labels_are(tmp_path):
    params = cases.draw("tanh", "softmax", 3, n_x=6, dtype=np.float32).params
    js.export(params, tmp_path / "model.onnx", METADATA)
    model = onnx.load(tmp_path / "model.onnx")
    assert {p.key: json.loads(p.value) for p in model.metadata_props} == METADATA
    assert (model.ir_version, model.opset_import[0].version) == (8, 17)
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    shapes = {value.name: (value.shape, value.type) for value in (*session.get_inputs(), *session.get_outputs())}
    assert shapes == {
        "X": (["m", 6], "tensor(float)"),
        "label": (["m"], "tensor(int64)"),
        "A2": (["m", 3], "tensor(float)"),
    }


# ---- what is refused ----


@pytest.mark.parametrize(
    ("change", "metadata", "message"),
    [
        ({"path": "model.pb"}, {}, r"path must end in \.jax, \.py or \.onnx, got '.*model\.pb'"),
        ({"path": "model"}, {}, r"path must end in"),
        ({"hidden": jnp.sin}, {}, r"hidden must be one of sigmoid, .* for \.py and \.onnx, got .*: .* \.jax"),
        ({"hidden": js.Activation(jnp.tanh)}, {}, "hidden must be one of"),
        ({"b1": np.full((4, 1), np.nan, np.float32)}, {}, "b1 must be finite, got 4 numbers"),
        ({"b1": np.zeros((4, 2), np.float32)}, {}, r"b1 must be \(n_h, 1\)"),
        ({}, {"feature_names": ["a", "b"]}, "columns must make n_x = 3 rows of X, got 2"),
        ({}, {"columns": COLUMNS}, "columns must make n_x = 3 rows of X, got 6: .*'colour=blue'"),
        ({}, {"columns": [], "feature_names": ["a", "b", "c"]}, "feature_names must be what its columns make"),
        ({}, {"columns": COLUMNS[:2], "feature_names": ["a", "b", "c"]}, "feature_names must be what its columns make"),
        ({}, {"feature_names": ["a", "b", "a"]}, "must have names, each its own"),
        ({}, {"columns": ["age"]}, "must have a name, categories and fill, got 'age'"),
        ({}, {"columns": [{"name": "a", "categories": ["b", 3]}]}, "a name and categories that are text"),
        ({}, {"columns": [{"name": "a", "fill": [1, 2]}]}, "fill of column 'a' of a model must be 1 numbers"),
        ({}, {"columns": [{"name": "a", "fill": [np.nan]}]}, "fill of column 'a' of a model must be 1 numbers"),
        ({}, {"labels": ["a", "b", "c"]}, "labels must be 2 for output='sigmoid' with n_y = 1, got 3"),
        ({"output": "identity"}, {"labels": ["a"]}, "labels must be 0 for output='identity' with n_y = 1, got 1"),
    ],
)
def test_what_cannot_be_exported_is_refused(tmp_path, change, metadata, message):
    leaves = vars(cases.draw(dtype=np.float32).params)
    path = tmp_path / change.pop("path", "model.onnx")
    with pytest.raises(ValueError, match=message):
        js.export(js.Params(**{**leaves, **change}), path, metadata)
    assert list(tmp_path.iterdir()) == []


def test_names_that_are_not_ours_are_refused_for_numpy_and_onnx(tmp_path, monkeypatch):
    case = cases.draw("relu", dtype=np.float32)
    for name, own in (("sine", jnp.sin), ("relu", jnp.tanh)):
        monkeypatch.setitem(js.activations.HIDDEN, name, js.Activation(own))
        params = replace(case.params, hidden=name)
        for suffix in (".py", ".onnx"):
            with pytest.raises(ValueError, match=f"got '{name}': what is code of yours"):
                js.export(params, tmp_path / f"model{suffix}")


def test_float64_without_x64_and_other_types_are_refused(tmp_path):
    params = cases.draw().params
    for suffix in exporting.FORMATS:
        with pytest.raises(ValueError, match=r"W1 is float64: first jax\.config\.update"):
            js.export(params, tmp_path / f"model{suffix}")
    with pytest.raises(TypeError, match="params must be Params, got dict"):
        js.export({}, tmp_path / "model.py")
    with pytest.raises(TypeError, match="metadata must be a dict, got list"):
        js.export(cases.draw(dtype=np.float32).params, tmp_path / "model.py", [])


def test_a_missing_onnx_is_named_with_its_command(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ImportError, match=r"onnx is missing: pip install 'jaxshallow\[export\]'"):
        js.export(cases.draw(dtype=np.float32).params, tmp_path / "model.onnx")


def test_a_full_disk_leaves_the_old_file(mixed, monkeypatch):
    path, params = mixed
    old = path.read_bytes()
    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space left"):
        js.export(params, path)
    assert path.read_bytes() == old
    assert list(path.parent.iterdir()) == [path]


def full(*_):
    raise OSError(errno.ENOSPC, "No space left on device")


# ---- the program export ----


@pytest.fixture
def saved(tmp_path):
    """A model, and what the program is asked to write."""
    js.save(tmp_path / "model.safetensors", cases.draw("tanh", "softmax", 3, n_x=6, dtype=np.float32).params, METADATA)
    return [str(tmp_path / f"model{suffix}") for suffix in (".safetensors", ".onnx", ".py", ".jax")]


run = cases.runner(script.main)


def test_the_program_writes_and_compares(capsys, saved):
    code, out, errors = run(capsys, None, *saved)
    assert (code, errors) == (0, "")
    assert out == "".join(f"{path}: {os.path.getsize(path):,} bytes\n" for path in saved[1:])
    assert runpy.run_path(saved[2])["LABELS"] == METADATA["labels"]


def test_the_program_knows_that_exp_is_steep_and_may_overflow(tmp_path, capsys):
    params = cases.draw("tanh", "exp", 1, dtype=np.float32).params
    for steep in (20.0, 200.0):  # A2 up to about 1e15; infinite
        js.save(tmp_path / "m.safetensors", replace(params, W2=steep * params.W2, b2=params.b2 + 10))
        assert script.main([str(tmp_path / "m.safetensors"), str(tmp_path / "m.py")]) == 0, capsys.readouterr().err


def test_the_program_names_the_file_that_answers_otherwise(capsys, saved, monkeypatch):
    model, *paths = saved
    right = js.export

    def wrong(params, path, metadata):
        right(js.Params(params.W1 * 1.001, params.b1, params.W2, params.b2, "tanh", "softmax"), path, metadata)

    monkeypatch.setattr(js, "export", wrong)
    for path in paths:
        code, _, errors = run(capsys, None, model, path)
        assert code == 1
        assert f"{path} does not answer as {model} does" in errors


def test_the_program_compares_labels_too(capsys, saved, monkeypatch):
    right = export_check.answers
    monkeypatch.setattr(export_check, "answers", lambda path, X: (right(path, X)[0] + 1, right(path, X)[1]))
    assert run(capsys, None, *saved[:2])[0] == 1


def test_the_program_says_what_it_could_not_compare(capsys, saved, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    code, _, said = run(capsys, None, *saved[:2])
    assert code == 0
    assert "model.onnx was not compared: " in said


def test_what_the_program_cannot_do_is_said(capsys, saved, monkeypatch):
    model, onnx_path, *_ = saved
    for arguments, message in (
        ([model], "give a PATH or more"),
        ([model, "model.pb"], "path must end in .jax, .py or .onnx"),
        (["nowhere.safetensors", onnx_path], "nowhere.safetensors"),
        ([os.path.dirname(model), onnx_path], "is a folder, not a model"),
    ):
        code, _, errors = run(capsys, None, *arguments)
        assert code == 2
        assert message in errors
    monkeypatch.setattr(os, "replace", full)
    code, _, errors = run(capsys, None, model, onnx_path)
    assert code == 1
    assert "could not write: [Errno 28] No space left on device" in errors
    monkeypatch.setattr(js, "export", interrupt)
    assert run(capsys, None, model, onnx_path)[0] == 130


def interrupt(*_):
    raise KeyboardInterrupt
