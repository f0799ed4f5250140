"""scripts/benchmark.py: every contestant runs, what cannot is left out by name, and the aims are judged rightly."""

import json
import math
from pathlib import Path

import benchmark
import jax
import numpy as np
import pytest
from cases import runner

SIZES = {
    "W1": {"epochs": 20},
    "W2": {"m": 600, "epochs": 2},
    "W3": {"m": 64, "compile": False},
    "W4a": {"n_x": 32, "m": 3000},
    "W6b": {"n_x": 5, "n_h": 6, "n_y": 1, "m": 64},
    "W7": {},
}


@pytest.fixture
def small(monkeypatch):
    for name, row in benchmark.ROWS.items():
        monkeypatch.setattr(row, "quick", SIZES.get(name, row.quick))


run = runner(benchmark.main, "--quick", "--repeats", "1")


def test_every_row_measures_us_and_our_peers(capsys, tmp_path, small):
    code, text, _ = run(capsys, tmp_path, "--rows", *SIZES)
    assert code == 0
    results = json.loads((tmp_path / "benchmark.json").read_text())
    assert set(results["rows"]) == set(SIZES)
    for name, row in results["rows"].items():
        entered = set(benchmark.ROWS[name].contestants)
        assert set(row["median"]) | set(row["left_out"]) == entered
        # Only PyTorch and what is built on it may be missing; the test extra does not bring them.
        peers = {who for who, (group, _) in benchmark.ROWS[name].contestants.items() if group == "torch"} | {"PyTorch"}
        assert set(row["left_out"]) <= peers, row["left_out"]
        assert all(seconds > 0 for runs in row["seconds"].values() for seconds in runs)
        assert all(math.isfinite(aim["value"]) and aim["claim"] in text for aim in row["aims"])
        assert row["aims"]
    assert (tmp_path / "benchmark.png").read_bytes().startswith(b"\x89PNG")


def test_the_peers_do_the_same_work(monkeypatch):
    """NumPy's gradient, as the benchmark writes it, is ours on the same parameters."""
    X, Y = benchmark.examples(5, 40)
    params = benchmark.network(5, 6)
    import jaxshallow as js

    ours = js.manual_grads(params, X, Y)
    theirs = benchmark.numpy_gradient([np.asarray(leaf) for leaf in jax.tree.leaves(params)], X, Y)
    for a, b in zip(jax.tree.leaves(ours), theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-6 * float(np.abs(b).max()))


@pytest.mark.parametrize(
    ("value", "aim", "expected"),
    [(10.0, "≥ 10", True), (9.9, "≥ 10", False), (1.1, "≤ 1.10", True), (1.11, "≤ 1.10", False), (5.0, "", None)],
)
def test_an_aim_is_reached_or_missed(value, aim, expected):
    assert benchmark.reached(value, aim) is expected


def test_a_contestant_that_needs_more_memory_than_there_is_is_left_out():
    if Path("/proc/meminfo").exists():
        with pytest.raises(MemoryError, match="would take 1,048,576 GiB"):
            benchmark.fits(2**50)
    row = benchmark.ROWS["W4a"]
    aims = {claim: value({"jaxshallow, stream": 1.0}) for claim, value, _ in row.aims}
    assert all(math.isnan(value) for value in aims.values())


@pytest.mark.parametrize(
    ("options", "message"),
    [(["--rows", "W1", "W9"], "--rows must be of W1, W2"), (["--repeats", "0"], "--repeats must be at least 1, got 0")],
)
def test_wrong_options_are_named_and_exit_with_2(capsys, tmp_path, options, message):
    code, text, errors = run(capsys, tmp_path, *options)
    assert (code, text) == (2, "")
    assert message in " ".join(errors.split())


def test_a_folder_that_cannot_be_written_exits_with_1(capsys, tmp_path):
    (tmp_path / "file").write_text("no folder")
    code, text, errors = run(capsys, tmp_path / "file", "--rows", "W1")
    assert (code, text) == (1, "")
    assert "could not write to" in " ".join(errors.split())
