"""A model with an encoding answers the same everywhere: in the library, in predict, and in every exported file."""

import csv
import io
import json
import re
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import polars as pl
import pytest
from test_exports import of_jax, of_onnx, of_python

import jaxshallow as js
from jaxshallow import store, tables
from jaxshallow.programs import export, export_check, predict
from jaxshallow.tables.encodings import Bins, PiecewiseLinear, SmoothClip, from_json

pytestmark = pytest.mark.usefixtures("compiled_lightly")

BINS = PiecewiseLinear(
    (
        Bins((20.0, 35.0, 60.0), fill=None, linear=(38.0, 12.0)),
        Bins((0.0, 1.0), fill=0.0),
        Bins((0.0, 1.0), fill=0.0),
        Bins((-1e5, 0.0, 2e5), fill=10.0),
    )
)
CLIP = SmoothClip((38.0, 0.0, 0.0, 100.0), (0.1, 1.0, 0.0, 1e-5))
ENCODINGS = pytest.mark.parametrize("encoding", [BINS, CLIP], ids=["bins", "clip"])
METADATA = {
    "labels": ["no", "yes"],
    "columns": [
        {"name": "age", "categories": [], "fill": [None]},
        {"name": "colour", "categories": ["blue", "other"], "fill": [0.0, 0.0], "unknown": [0.0, 1.0]},
        {"name": "income", "categories": [], "fill": [None]},
    ],
}
TABLE = "income,colour,age\n1e4,blue,41\n,mauve,\n-3e9,,19.5\n1e300,other,1e9\n"
RAW = np.array([[41, np.nan, 19.5, 1e9], [1, 0, 0, 0], [0, 1, 0, 1], [1e4, np.nan, -3e9, 1e300]])


def network(encoding, output="sigmoid", dtype=np.float32):
    rng, n_y = np.random.default_rng(0), 3 if output == "softmax" else 1
    leaves = (rng.normal(size=shape) / 2 for shape in [(5, encoding.n_rows), (5, 1), (n_y, 5), (n_y, 1)])
    return js.Params(*(jnp.asarray(leaf, dtype) for leaf in leaves), hidden="tanh", output=output)


def known(encoding, output="sigmoid"):
    labels = {"sigmoid": ["no", "yes"], "softmax": ["a", "b", "c"], "identity": []}[output]
    return {**METADATA, "labels": labels, "encoding": encoding.as_json()}


def raw(m, dtype=np.float32):
    """Examples within bins, between and beyond them, with gaps."""
    X = np.random.default_rng(1).normal([[40], [0], [0], [0]], [[30], [1], [1], [2e5]], (4, m))
    X[1:3] = X[1:3] > 0
    X[[0, 3], [1, 2]] = np.nan
    return X.astype(dtype)


@pytest.fixture(params=[BINS, CLIP], ids=["bins", "clip"])
def saved(request, tmp_path):
    """The file of a model, its network and its encoding."""
    params = network(request.param)
    js.save(tmp_path / "model.safetensors", params, known(request.param))
    return tmp_path / "model.safetensors", params, request.param


# ---- the formula ----


@ENCODINGS
def test_jax_and_numpy_encode_alike(encoding):
    X = np.concatenate([raw(40), RAW[:, :3].astype(np.float32)], axis=1)
    np.testing.assert_allclose(jax.jit(lambda X: encoding.formula(X, jnp))(X), encoding.apply(X), rtol=0, atol=1e-6)


@ENCODINGS
def test_tiles_do_not_change_a_bit(encoding, monkeypatch):
    X = raw(1000, np.float64)
    whole = encoding.apply(X)
    monkeypatch.setattr("jaxshallow.tables.encodings.TILE", 1)
    np.testing.assert_array_equal(encoding.apply(X), whole)
    assert encoding.apply(X[:, :0]).shape == (encoding.n_rows, 0)


# ---- exported ----


@ENCODINGS
@pytest.mark.parametrize("output", ["sigmoid", "softmax", "identity"])
def test_every_export_answers_as_the_network_does_on_encoded_rows(tmp_path, encoding, output):
    params, X = network(encoding, output), raw(9)
    expected = js.forward(params, encoding.apply(X)).A2
    for suffix, run in ((".py", of_python), (".onnx", of_onnx), (".jax", of_jax)):
        js.export(params, tmp_path / f"model{suffix}", known(encoding, output))
        labels, A2 = run(tmp_path / f"model{suffix}", X)
        # The .py file encodes in float64: an edge is rounded where the others round it.
        np.testing.assert_allclose(A2, expected, rtol=1e-5, atol=1e-5)
        if output != "identity":
            np.testing.assert_array_equal(labels, js.predict(params, encoding.apply(X)))


@ENCODINGS
def test_float64_keeps_its_digits(tmp_path, x64, encoding):
    params, X = network(encoding, dtype=np.float64), raw(9, np.float64)
    expected = js.forward(params, encoding.apply(X)).A2
    for suffix, run in ((".py", of_python), (".onnx", of_onnx), (".jax", of_jax)):
        js.export(params, tmp_path / f"model{suffix}", known(encoding))
        np.testing.assert_allclose(run(tmp_path / f"model{suffix}", X)[1], expected, rtol=1e-12, atol=1e-12)


@ENCODINGS
def test_a_network_of_16_bits_takes_edges_in_float32(tmp_path, encoding):
    params, X = network(encoding, dtype=jnp.bfloat16), raw(9)
    js.export(params, tmp_path / "model.jax", known(encoding))
    A2 = of_jax(tmp_path / "model.jax", X)[1]
    rows = encoding.apply(X).astype(jnp.bfloat16)
    np.testing.assert_allclose(A2.astype(np.float32), js.forward(params, rows).A2.astype(np.float32), atol=0.02)


def test_a_table_is_read_alike_by_predict_and_by_the_python_file(tmp_path, saved):
    path, params, encoding = saved
    (tmp_path / "table.csv").write_text(TABLE)
    assert (
        predict.main([str(path), str(tmp_path / "table.csv"), "--out", str(tmp_path / "answers.csv"), "--quiet"]) == 0
    )
    ours = pl.read_csv(tmp_path / "answers.csv")["P(yes)"].to_numpy()
    np.testing.assert_allclose(ours, js.forward(params, encoding.apply(RAW)).A2[0], rtol=1e-5)

    assert export.main([str(path), str(tmp_path / "model.py"), "--quiet"]) == 0
    command = [sys.executable, str(tmp_path / "model.py"), str(tmp_path / "table.csv")]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    theirs = [float(row["P(yes)"]) for row in csv.DictReader(io.StringIO(printed))]
    np.testing.assert_allclose(theirs, ours, rtol=1e-5)


def test_the_program_export_compares_every_file_and_finds_another_encoding(tmp_path, saved, capsys, monkeypatch):
    path, _, encoding = saved
    files = [str(tmp_path / f"model{suffix}") for suffix in (".py", ".onnx", ".jax")]
    assert export.main([str(path), *files]) == 0
    other = (
        BINS if encoding is CLIP else PiecewiseLinear((Bins((20.0, 36.0, 60.0), None, (38.0, 12.0)), *BINS.columns[1:]))
    )
    monkeypatch.setattr(
        export_check,
        "encoded",
        lambda _, raw, dtype: (other.apply(raw).astype(dtype)[: encoding.n_rows], np.zeros((1, 1))),
    )
    capsys.readouterr()
    assert export.main([str(path), *files]) == 1
    assert capsys.readouterr().err.count("does not answer") == 3


# ---- on disk ----


def test_a_file_keeps_the_encoding_and_says_that_it_is_of_a_later_format(saved):
    path, params, encoding = saved
    found = store.load_all(path)
    assert from_json(found.metadata["encoding"]) == encoding
    np.testing.assert_array_equal(found.params.W1, params.W1)
    assert b'\\"format\\": 3' in path.read_bytes()
    js.save(path, params, {"labels": ["no", "yes"]})
    assert b'\\"format\\": 1' in path.read_bytes()


def test_a_gap_is_left_to_the_encoding_only_where_there_is_one():
    frame = pl.DataFrame({"age": [None, 41.0]})
    columns = tables.columns_of({"columns": METADATA["columns"][:1], "encoding": CLIP.as_json()})
    assert np.isnan(tables.encode(frame, columns)).tolist() == [[True, False]]
    with pytest.raises(ValueError, match="fill of column 'age' of a model must be 1 numbers"):
        tables.columns_of({"columns": METADATA["columns"][:1]})
    assert json.loads(json.dumps([column.as_json() for column in columns])) == METADATA["columns"][:1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"encoding": {"kind": "fourier"}}, "kind must be 'piecewise linear' or 'smooth clip'"),
        ({"encoding": 3}, "not an encoding of numbers"),
        ({"encoding": SmoothClip((0.0,) * 3, (1.0,) * 3).as_json()}, "columns must make n_x = 3 rows of X, got 4"),
        ({"encoding": SmoothClip((0.0,) * 4, (1.0,) * 4).as_json()}, r"encoding must make n_x = \d+ rows, got 4"),
        (
            {"columns": [{**METADATA["columns"][1], "unknown": [1.0]}]},
            "unknown of column 'colour' of a model must be 2 numbers",
        ),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path, capsys, change, message):
    with pytest.raises(ValueError, match=message):
        js.export(network(BINS), tmp_path / "model.py", {**known(BINS), **change})
    js.save(tmp_path / "model.safetensors", network(BINS), {**known(BINS), **change})
    (tmp_path / "table.csv").write_text(TABLE)
    assert predict.main([str(tmp_path / "model.safetensors"), str(tmp_path / "table.csv")]) == 2
    assert re.search(message, capsys.readouterr().err)
