"""The program compare: the certificate, the times, and what XLA made of vmap."""

import json

import jax
import numpy as np
import pytest
from cases import init, runner

import jaxshallow as js
from jaxshallow.certificate import Certificate
from jaxshallow.programs import compare

SMALL = ["--m", "4", "7", "--n-x", "3", "--n-h", "4", "--repeats", "1"]


run = runner(compare.main, *SMALL)


@pytest.fixture
def quick_certificate(monkeypatch, certify_only):
    """One precision and the matrix form: the certificate itself has its own tests."""
    certify_only(lambda execution: execution.name in ("matrix", "broken"), eager=lambda execution: False)
    certify = js.certify
    monkeypatch.setattr(js, "certify", lambda *args, **kwargs: certify(*args, **kwargs, precisions=("highest",)))


def test_it_certifies_and_times_every_execution(capsys, tmp_path, quick_certificate):
    code, text, _ = run(capsys, tmp_path)
    assert code == 0
    assert "rows hold" in text
    written = json.loads((tmp_path / "compare.json").read_text())
    (network,) = written["networks"]
    assert network["network"] == "3-4-1"
    assert network["certificate"]["ok"]
    for part, names in (("forward", compare.FORWARD), ("gradient", compare.GRADIENT)):
        assert set(network["seconds"][part]) == set(names)
        assert all(time > 0 for times in network["seconds"][part].values() for time in times)
    assert (tmp_path / "compare.png").read_bytes().startswith(b"\x89PNG")


def test_vmap_and_matrix_compile_to_the_same_forward_products(capsys, tmp_path, monkeypatch):
    if jax.default_backend() != "cpu":
        pytest.skip("products have other names in programs for other devices")
    monkeypatch.setattr(js, "certify", lambda *_: Certificate("here", "float32", "3-4-2", rows=()))
    _, text, _ = run(capsys, tmp_path, "--n-y", "2", "--output", "softmax")
    assert "3-4-2, forward, m = 7: vmap and the matrix form compile to the same matrix products, 2×7, 4×7" in text


def test_a_certificate_that_fails_exits_with_1(capsys, tmp_path, monkeypatch, quick_certificate):
    certify = js.certify
    broken = {"broken": lambda params, X, Y, **_: js.cost(params, X, Y) + 1}
    monkeypatch.setattr(js, "certify", lambda *args: certify(*args, executions=broken))
    code, text, _ = run(capsys, tmp_path)
    assert code == 1
    assert "FAILS" in text


def test_the_python_loop_is_left_out_where_it_would_only_be_waited_for():
    params = init(jax.random.key(0), 2, 3)
    X = np.ones((2, compare.PYTHON_LOOP_EXAMPLES + 1), np.float32)
    seconds = compare.timed(compare.FORWARD, params, (X,), repeats=1)
    assert np.isnan(seconds["Python loop"])
    assert all(seconds[name] > 0 for name in ("scan loop", "vmap", "matrix"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--n-h", "4", "8"], "--n-x and --n-h come in pairs, got 1 and 2"),
        (["--m", "0", "5"], "--m must be at least 1"),
        (["--output", "softmax"], "softmax needs n_y of at least 2"),
    ],
)
def test_wrong_options_are_named_and_exit_with_2(capsys, tmp_path, options, message):
    code, text, errors = run(capsys, tmp_path, *options)
    assert (code, text) == (2, "")
    assert message in " ".join(errors.split())
