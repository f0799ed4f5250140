"""The program sweep: what it tries, what it finds, what it writes and refuses, and how it is stopped."""

import errno
import signal

import jax
import numpy as np
import polars as pl
import pytest
from cases import init, reference_cost, reference_labels, runner
from rich.console import Console
from sklearn.model_selection import StratifiedKFold

import jaxshallow as js
from jaxshallow import data
from jaxshallow.programs import running, sweep

PNG = b"\x89PNG\r\n\x1a\n"


pytestmark = pytest.mark.usefixtures("standard_promotion", "compiled_lightly")


run = runner(sweep.main, as_json=True)


@pytest.mark.usefixtures("long_run")
def test_the_default_asks_which_hidden_size_with_a_hundred_seeds_each(capsys, tmp_path):
    code, results, errors = run(capsys, tmp_path, "--epochs", "150", "--report")
    assert code == 0
    assert results["networks"] == 700
    assert "700 networks" in errors
    frame = pl.read_csv(tmp_path / "sweep.csv")
    assert frame.height == 700
    assert frame["n_h"].unique().to_list() == [1, 2, 3, 4, 5, 20, 50]
    assert frame.group_by("n_h").agg(pl.col("seed").n_unique())["seed"].to_list() == [100] * 7
    kinds = {kind["n_h"]: kind for kind in results["kinds"]}
    assert kinds[1]["score"] < 0.7 < kinds[4]["highest"]  # a straight line, and a flower
    for kind in kinds.values():
        scores = frame.filter(pl.col("n_h") == kind["n_h"])["score"]
        assert kind["score"] == pytest.approx(scores.mean())
        assert (kind["lowest"], kind["highest"]) == pytest.approx((scores.min(), scores.max()))
    for name in ("sweep.png", "sweep_boundaries.png"):
        assert (tmp_path / name).read_bytes().startswith(PNG)
    page = (tmp_path / "sweep_report.html").read_text(encoding="utf-8")
    assert page.count("<img") == 2 + 3  # of all networks, and of the best
    assert all(f'<td class="number">{kind["cost"]:.4f}</td>' in page for kind in kinds.values())
    X, Y = data.flower()
    best = js.load(tmp_path / "sweep.safetensors")
    assert reference_cost(best, X, Y) < 1.01 * frame["cost"].min()


def test_a_regression_is_reported_in_its_own_units(capsys, tmp_path, monkeypatch):
    seen = []
    pictures = sweep.reporting.pictures_of
    monkeypatch.setattr(sweep.reporting, "pictures_of", lambda *what: seen.append(what) or pictures(*what))
    options = ["--data", "diabetes", "--n-h", "2", "--seeds", "1", "--epochs", "40", "--validation", "0.2", "--report"]
    assert run(capsys, tmp_path, *options)[0] == 0
    ((params, _, (X, Y), of, _),) = seen
    assert (of, X.shape[1]) == ("validation", 88)
    np.testing.assert_allclose(Y, Y.round(), atol=1e-9)  # as the disease's progression is told
    assert ((reference_labels(params, X) - Y) ** 2).mean() < Y.var()


def test_folds_are_stratified_and_the_saved_network_has_learned_from_all(capsys, tmp_path, monkeypatch):
    options = ["--data", "iris", "--n-h", "2,6", "--learning-rate", "0.1,1", "--folds", "3", "--epochs", "60"]
    seen = []
    pictures = sweep.reporting.pictures_of
    monkeypatch.setattr(sweep.reporting, "pictures_of", lambda *what: seen.append(what) or pictures(*what))
    code, results, _ = run(capsys, tmp_path, *options, "--scale", "glorot", "--report")
    assert code == 0
    ((_, _, (_, Y), of, A2),) = seen
    held_out = (A2.argmax(axis=0) == Y.argmax(axis=0)).mean()
    assert (of, held_out) == ("held-out", pytest.approx(results["kinds"][0]["validation_score"]))
    assert results["saved"]["accuracy"] > 0.9
    frame = pl.read_csv(tmp_path / "sweep.csv")
    assert frame.height == results["networks"] == 2 * 2 * 3
    X, Y = data.load("iris")
    train, test = list(StratifiedKFold(3, shuffle=True, random_state=0).split(X.T, Y.argmax(axis=0)))[1]
    mean, deviation = data.scaling(X[:, train])
    row = frame.row(4, named=True)  # n_h 2, learning rate 1, fold 1
    assert (row["n_h"], row["learning_rate"], row["fold"]) == (2, 1.0, 1)
    params = init(jax.random.fold_in(jax.random.key(0), 0), 4, 2, 3, hidden="tanh", output="softmax", scale="glorot")
    alone = js.fit(params, (X[:, train] - mean) / deviation, Y[:, train], learning_rate=1.0, epochs=60)
    held_out = (X[:, test] - mean) / deviation
    assert row["validation_cost"] == pytest.approx(reference_cost(alone.params, held_out, Y[:, test]), rel=1e-3)
    predicted = reference_labels(alone.params, held_out)
    assert row["validation_score"] == pytest.approx((predicted == Y[:, test].argmax(axis=0)).mean(), abs=1e-6)
    best = js.load(tmp_path / "sweep.safetensors")  # takes the measurements as they are
    assert (reference_labels(best, X) == Y.argmax(axis=0)).mean() > 0.9
    assert js.read_metadata(tmp_path / "sweep.safetensors")["labels"] == ["setosa", "versicolor", "virginica"]


def test_a_regression_is_saved_in_the_units_of_its_target(capsys, tmp_path):
    options = ["--data", "diabetes", "--random", "4", "--n-h", "2:8", "--learning-rate", "0.05:0.5:log", "--l2", "0,1"]
    code, results, _ = run(capsys, tmp_path, *options, "--epochs", "100", "--validation", "0.25", "--scale", "glorot")
    assert code == 0
    assert results["networks"] == 4
    X, Y = data.load("diabetes")
    error = reference_labels(js.load(tmp_path / "sweep.safetensors"), X) - Y
    assert 1 - (error**2).mean() / Y.var() > 0.3
    drawn = pl.read_csv(tmp_path / "sweep.csv")
    assert drawn["n_h"].is_between(2, 8).all()
    assert drawn["learning_rate"].is_between(0.05, 0.5).all()
    assert drawn["learning_rate"].n_unique() == 4
    assert drawn["l2"].is_in([0.0, 1.0]).all()


@pytest.mark.parametrize("optimizer", ["momentum", "lbfgs", "lm"])
def test_minibatches_patience_and_optimizers(capsys, tmp_path, optimizer):
    options = ["--data", "moons", "--n-h", "3", "--hidden", "tanh,relu", "--optimizer", optimizer, "--seeds", "2"]
    code, results, _ = run(
        capsys, tmp_path, *options, "--batch-size", "64", "--patience", "2", "--validation", "0.2", "--epochs", "40"
    )
    assert code == 0
    assert {kind["hidden"] for kind in results["kinds"]} == {"tanh", "relu"}


def test_a_kind_that_is_drawn_twice_is_tried_once(capsys, tmp_path):
    code, results, _ = run(capsys, tmp_path, "--data", "moons", "--n-h", "2,3", "--random", "9", "--epochs", "9")
    assert code == 0
    assert results["networks"] == 2
    kind = js.read_metadata(tmp_path / "sweep.safetensors")["kind"]
    assert kind == results["kinds"][0]
    assert len(js.load(tmp_path / "sweep.safetensors").W1) == kind["n_h"]


def test_kinds_of_which_some_diverge_come_last(capsys, tmp_path):
    code, results, _ = run(
        capsys, tmp_path, "--data", "diabetes", "--n-h", "2", "--learning-rate", "0.01,0.2,1e9", "--epochs", "50",
        "--seeds", "2", "--hidden", "relu",
    )  # fmt: skip
    assert code == 0
    assert [(kind["learning_rate"], kind["diverged"]) for kind in results["kinds"]] == [(0.2, 0), (0.01, 0), (1e9, 2)]
    assert results["kinds"][2]["cost"] is None


def test_float64_and_a_table_for_people(capsys, tmp_path):
    options = ["--data", "xor", "--n-h", "2", "--seeds", "2", "--epochs", "5", "--precision", "float64"]
    assert sweep.main([*options, "--out", str(tmp_path)]) == 0
    text = capsys.readouterr().out
    assert "accuracy on the training examples" in text
    assert "xor: 2 networks" in text
    with jax.enable_x64(True):
        assert js.load(tmp_path / "sweep.safetensors").W1.dtype == np.float64


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--data", "flowers"], "did you mean 'flower'"),
        (["--n-h", "2,x"], "--n-h must be a value, a list such as 2,8,32, or a range low:high or low:high:log"),
        (["--n-h", "0"], "n_h must be at least 1, got 0"),
        (["--optimizer", "lbfgs", "--learning-rate", "1"], "--learning-rate is not for --optimizer lbfgs"),
        (["--learning-rate", "1e-3:1e-1"], "--learning-rate is a range to draw from: give --random"),
        (["--learning-rate", "1:0.1", "--random", "3"], "--learning-rate must be a value"),
        (["--learning-rate", "0:1:log", "--random", "3"], "--learning-rate must be a value"),
        (["--hidden", "a:b", "--random", "3"], "--hidden must be a value"),
        (["--hidden", "softplus"], "hidden must be one of sigmoid, tanh"),
        (["--scale", "tiny"], "--scale must be"),
        (["--l2", "-1"], "l2 must be at least 0"),
        (["--seeds", "0"], "--seeds must be at least 1, got 0"),
        (["--random", "0"], "--random must be at least 1, got 0"),
        (["--folds", "1"], "--folds must be at least 2, got 1"),
        (["--folds", "3", "--validation", "0.2"], "both hold examples out"),
        (["--data", "iris", "--folds", "99"], "--folds must be at most 50, the examples of the largest class, got 99"),
        (["--epochs", "0"], "epochs must be at least 1, got 0"),
        (["--learning-rate", "-1"], "--learning-rate must be above 0, got -1"),
        (["--validation", "2"], "--validation must be at least 0"),
    ],
)
def test_wrong_options_are_named_and_exit_with_2(capsys, tmp_path, options, message):
    code, results, errors = run(capsys, tmp_path, *options)
    assert (code, results) == (2, None)
    assert message in " ".join(errors.split())


def test_networks_that_all_diverge_fail_and_leave_the_table_alone(capsys, tmp_path):
    code, results, _ = run(
        capsys, tmp_path, "--data", "diabetes", "--n-h", "2,3", "--hidden", "relu", "--learning-rate", "1e9",
        "--scale", "1", "--epochs", "100", "--seeds", "1",
    )  # fmt: skip
    assert code == 1
    assert results["diverged"] == 2
    assert [path.name for path in tmp_path.iterdir()] == ["sweep.csv"]


def test_ctrl_c_keeps_what_there_is(capsys, tmp_path, monkeypatch):
    real = js.fit_many

    def pressed(*arguments, callback, **settings):
        seen = []

        def note(now):
            seen.append(now)
            if len(seen) == 3:
                signal.raise_signal(signal.SIGINT)
            return callback(now)

        return real(*arguments, callback=note, **settings)

    monkeypatch.setattr(js, "fit_many", pressed)
    before = signal.getsignal(signal.SIGINT)
    code, results, errors = run(capsys, tmp_path, "--n-h", "2,50", "--seeds", "2", "--epochs", "1000")
    assert code == 130
    assert results["finished"] is False
    assert results["networks"] <= results["networks_asked"] == 4
    assert "of what was trained until then" in " ".join(errors.split())
    frame = pl.read_csv(tmp_path / "sweep.csv")
    assert 0 < frame["epochs"].max() < 1000
    assert np.isfinite(js.load(tmp_path / "sweep.safetensors").W1).all()
    assert signal.getsignal(signal.SIGINT) is before


def test_a_full_disk_is_reported_and_exits_with_1(capsys, tmp_path, monkeypatch):
    def full(path, data):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(sweep, "write_atomically", full)
    code, results, errors = run(capsys, tmp_path, "--n-h", "2", "--seeds", "1", "--epochs", "5")
    assert (code, results) == (1, None)
    assert "No space left on device" in errors


def test_the_live_table_shows_the_best_kinds_first(capsys, monkeypatch):
    configs = [{"n_h": n_h, "seed": seed} for n_h in (2, 3, 4) for seed in range(2)]
    monkeypatch.setattr(running, "messages", Console(force_terminal=True, width=80))
    with sweep.live(configs, ["n_h"]) as show:
        lowest = np.array([0.5, 0.4, np.nan, 0.3, np.nan, np.nan])
        show(js.Progress(0.5, 0.3, lowest, np.array([9, 9, 0, 9, 0, 0]), 1.0, 1.0, lambda: None))
    text = capsys.readouterr().out
    assert text.index("50%, best 0.3000, 1 s left") < text.index("1 of 2") < text.index("2 of 2") < text.index("0 of 2")


# ---- by the evidence ----


def test_the_evidence_compares_widths_and_the_best_network_is_saved_with_its_error_bars(capsys, tmp_path):
    random = np.random.default_rng(0)
    x = random.uniform(-2, 2, 40)
    table = tmp_path / "curve.csv"
    y = 50 + 20 * (np.sin(3 * x) + 0.1 * random.normal(size=40))
    np.savetxt(table, np.stack([x, y], axis=1), delimiter=",", header="time,height", comments="")
    options = ["--data", str(table), "--n-h", "1,4", "--scale", "1", "--evidence", "--seeds", "3", "--epochs", "30"]
    code, results, _ = run(capsys, tmp_path, *options, "--report")
    assert code == 0
    best, other = results["kinds"]
    assert (best["n_h"], other["n_h"]) == (4, 1)
    assert best["log_evidence"] > other["log_evidence"] + 5
    frame = pl.read_csv(tmp_path / "sweep.csv")
    assert frame.height == results["networks"] == 6
    assert frame["log_evidence"].max() == pytest.approx(results["saved"]["log_evidence"])
    assert {"sweep_evidence.png", "sweep_report.html"} <= {path.name for path in tmp_path.iterdir()}
    mean, deviation = js.load_posterior(tmp_path / "sweep.safetensors").predict(x[None].astype(np.float32))
    assert (abs(np.asarray(mean)[0] - y) < 2 * np.asarray(deviation)[0]).mean() > 0.85


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--l2", "0,1"], "--l2 is not for --evidence"),
        (["--folds", "3"], "--folds is not for --evidence"),
        (["--learning-rate", "0.1"], "--learning-rate is not for --evidence"),
    ],
)
def test_what_does_not_go_with_the_evidence_is_refused(capsys, tmp_path, options, message):
    code, _, errors = run(capsys, tmp_path, "--evidence", *options)
    assert code == 2
    assert message in errors
