"""The program train: what it prints and writes, what it refuses, and how it is stopped."""

import errno
import json
import re
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import jax
import numpy as np
import polars as pl
import pytest
from cases import runner

import jaxshallow as js
from jaxshallow import data, tables
from jaxshallow.programs import course, export, predict, reporting, train, train_files
from jaxshallow.programs.examples import split
from jaxshallow.programs.options import OWN_STEPS

DATASETS = ["moons", "circles", "blobs", "quantiles", "xor", "spiral"]
TABLES = ["digits", "breast_cancer", "iris", "wine", "diabetes"]
PNG = b"\x89PNG\r\n\x1a\n"


pytestmark = pytest.mark.usefixtures("standard_promotion", "compiled_lightly")


run = runner(train.main, as_json=True)


@pytest.mark.usefixtures("long_run")
def test_the_default_is_the_flower_with_four_hidden_units(capsys, tmp_path):
    assert train.main(["--out", str(tmp_path)]) == 0
    text = capsys.readouterr().out
    for fact in ("flower", "2-4-1 tanh, sigmoid", "float32", "10,000", "compile time", "run time"):
        assert fact in text
    accuracy = float(re.search(r"accuracy ([\d.]+)%", text).group(1))
    assert accuracy > 85  # the exercise calls about 90 % a success; a straight line reaches 67
    assert (tmp_path / "boundary.png").read_bytes().startswith(PNG)


def test_the_written_model_is_the_one_that_was_scored(capsys, tmp_path):
    code, results, _ = run(capsys, tmp_path, "--epochs", "300", "--data", "blobs", "--validation", "0.25")
    assert code == 0
    params = js.load(tmp_path / "model.safetensors")
    options = train.Options(data="blobs", validation=0.25)
    _, (X, Y), (X_validation, Y_validation) = split(data.load("blobs"), options)
    assert X.shape[1] == results["examples"] == 150
    assert float(jax.jit(js.cost)(params, X, Y)) == results["train"]["cost"]
    assert (np.asarray(js.predict(params, X_validation)) == Y_validation[0]).mean() == results["validation"]["accuracy"]
    history = json.loads((tmp_path / "history.json").read_text())["history"]
    assert len(history["cost"]) == len(history["validation_cost"]) == 300


@pytest.mark.parametrize("name", DATASETS + TABLES)
def test_every_data_set_trains(capsys, tmp_path, name):
    code, results, _ = run(
        capsys, tmp_path, "--data", name, "--epochs", "100", "--optimizer", "adam", "--learning-rate", "0.05",
        "--n-h", "8", "--scale", "glorot", "--validation", "0.2",
    )  # fmt: skip
    assert code == 0
    picture = "boundary" if name in DATASETS else "learning_curves"
    written = {"model.safetensors", "history.json", f"{picture}.png", f"{picture}.svg"}
    assert {Path(file).name for file in results["files"]} == written
    costs = json.loads((tmp_path / "history.json").read_text())["history"]["cost"]
    assert costs[-1] < costs[0] / 1.05  # xor's first step down is the smallest of them


@pytest.mark.parametrize("optimizer", train.OPTIMIZERS)
def test_every_optimizer_lowers_the_cost(capsys, tmp_path, optimizer):
    rate = () if optimizer in OWN_STEPS else ("--learning-rate", "0.1")
    code, *_ = run(
        capsys, tmp_path, "--data", "moons", "--epochs", "40", "--optimizer", optimizer, *rate,
        "--scale", "glorot", "--batch-size", "200",
    )  # fmt: skip
    costs = json.loads((tmp_path / "history.json").read_text())["history"]["cost"]
    assert code == 0
    assert costs[-1] < costs[0]


def test_the_same_seed_gives_the_same_bits_and_another_seed_others(capsys, tmp_path):
    models = []
    for i, seed in enumerate((1, 1, 2)):
        run(capsys, tmp_path / str(i), "--data", "moons", "--epochs", "5", "--batch-size", "30", "--seed", str(seed))
        models.append(js.load(tmp_path / str(i) / "model.safetensors"))
    np.testing.assert_array_equal(models[0].W1, models[1].W1)
    assert (np.asarray(models[0].W1) != np.asarray(models[2].W1)).any()


def test_a_table_of_ones_own_trains_and_the_model_takes_its_own_numbers(capsys, tmp_path):
    random = np.random.default_rng(0)
    height, width = random.uniform(100, 200, 80), random.uniform(0, 1, 80)
    kind = np.where(height + 50 * width > 175, "big", "small")
    shape = np.where(width > 0.9, "", np.where(random.random(80) < 0.5, "round", "square"))
    rows = zip(range(80), height, width, shape, kind, strict=True)
    lines = [",".join(map(str, row)) for row in [("id", "height", "width", "shape", "kind"), *rows]]
    path = tmp_path / "table.csv"
    path.write_text("\n".join(lines))
    code, results, errors = run(
        capsys, tmp_path, "--data", str(path), "--missing", "mean", "--drop", "id", "--target", "kind",
        "--epochs", "1000", "--validation", "0.25",
    )  # fmt: skip
    assert code == 0
    assert (results["target"], results["examples"], results["validation_examples"]) == ("kind", 60, 20)
    assert results["classes"] == {"big": int((kind == "big").sum()), "small": int((kind == "small").sum())}
    assert "remark: missing values, filled by means: 'shape'" in errors
    params, known = js.load(tmp_path / "model.safetensors"), js.read_metadata(tmp_path / "model.safetensors")
    assert known["labels"] == ["big", "small"]
    assert known["feature_names"] == ["height", "width", "shape=round", "shape=square"]
    assert known["results"]["train"] == results["train"]
    order = np.random.default_rng(0).permutation(80)
    train_rows, validation_rows = order[20:], order[:20]
    np.testing.assert_allclose(
        known["scaling"]["features"]["mean"][:2], [height[train_rows].mean(), width[train_rows].mean()], rtol=1e-12
    )
    round_share = (shape[train_rows] == "round").sum() / (shape[train_rows] != "").sum()
    np.testing.assert_allclose(known["columns"][2]["fill"], [round_share, 1 - round_share], rtol=1e-12)
    X = tables.encode(pl.read_csv(path), tables.columns_of(known))
    right = np.asarray(js.predict(params, X)) == (kind == "small")
    assert right[train_rows].mean() == results["train"]["accuracy"] > 0.95
    assert right[validation_rows].mean() == results["validation"]["accuracy"]


def test_a_constant_target_and_names_like_markup_lose_no_model(capsys, tmp_path):
    (tmp_path / "flat.csv").write_text("a,y\n1,7.5\n2,7.5\n3,7.5\n")
    code, results, _ = run(capsys, tmp_path, "--data", str(tmp_path / "flat.csv"), "--epochs", "5")
    assert (code, results["train"]["R2"]) == (0, 0.0)
    (tmp_path / "co$t_{$ [b].csv").write_text("[red]x,[/b]\n1,[/b]\n2,[red]\n3,[red]\n")
    assert train.main(["--data", str(tmp_path / "co$t_{$ [b].csv"), "--epochs", "5", "--out", str(tmp_path)]) == 0
    assert "[/b] 1, [red] 2" in capsys.readouterr().out


def test_codes_are_categories_where_asked_and_patience_keeps_the_lowest(capsys, tmp_path):
    random = np.random.default_rng(0)
    codes, noise = random.integers(1, 4, 60), random.normal(size=60).round(3)
    rows = [
        f"{k},{code},{x},{k % 7},{(code == 2) ^ (x > 1.5)}"
        for k, (code, x) in enumerate(zip(codes, noise, strict=True))
    ]
    (tmp_path / "t.csv").write_text("\n".join(["id,code,x,day,y", *rows]))
    options = ["--data", str(tmp_path / "t.csv"), "--drop", "id", "--drop", "day", "--categories", "code"]
    more = ["--validation", "0.3", "--patience", "20", "--n-h", "30", "--scale", "1", "--epochs", "3000"]
    code, results, _ = run(capsys, tmp_path, *options, *more)
    assert code == 0
    called = train.Options(data="a b.csv", drop=("x", "y z"), n_h=3, report=True)
    words = "python scripts/train.py --data 'a b.csv' --drop x --drop 'y z' --n-h 3 --report"
    assert reporting.command("train", called) == words
    known = js.read_metadata(tmp_path / "model.safetensors")
    assert known["feature_names"] == ["code=1", "code=2", "code=3", "x"]
    assert "compile_seconds" not in known["results"]
    costs = json.loads((tmp_path / "history.json").read_text())["history"]["validation_cost"]
    assert len(costs) == results["epochs"] < 3000
    assert results["validation"]["cost"] == pytest.approx(min(costs), rel=1e-5)
    assert costs.index(min(costs)) == len(costs) - 21


def test_files_of_an_earlier_run_are_named(capsys, tmp_path):
    run(capsys, tmp_path, "--data", "moons", "--epochs", "2", "--report")
    code, _, errors = run(capsys, tmp_path, "--data", "iris", "--epochs", "2", "--learning-rate", "1e30")
    assert code == 1
    assert f"of an earlier run, in {tmp_path}: model.safetensors, report.html, boundary.png, confusion.png" in errors


def test_quiet_says_nothing_but_errors_and_json(capsys, tmp_path):
    (tmp_path / "t.csv").write_text("a,flat,y\n1,7,0.5\n2,7,1.5\n3,7,2.5\n")
    options = ["--data", str(tmp_path / "t.csv"), "--epochs", "2", "--out", str(tmp_path)]
    for more, out, err in (
        ([], "jaxshallow", "remark: constant, and so of no use: flat"),
        (["--quiet"], "", ""),
        (["--quiet", "--json"], "{", ""),
        (["--quiet", "--target", "z"], "", "error: "),
    ):
        assert train.main([*options, *more]) == (2 if err == "error: " else 0)
        printed = capsys.readouterr()
        assert (printed.out[: len(out)], bool(printed.out)) == (out, bool(out))
        assert (err in printed.err, bool(printed.err)) == (True, bool(err))


def test_float64_is_used_where_it_is_asked_for_and_nowhere_after(capsys, tmp_path):
    code, results, _ = run(capsys, tmp_path, "--precision", "float64", "--epochs", "10")
    assert code == 0
    assert results["dtype"] == "float64"
    assert not jax.config.jax_enable_x64
    with jax.enable_x64(True):
        assert js.load(tmp_path / "model.safetensors").W1.dtype == np.float64


@pytest.mark.usefixtures("long_run")
def test_the_course_figures_come_out_and_one_that_differs_fails(capsys, tmp_path, monkeypatch):
    fit, found = js.fit, {}

    def remembered(params, *data, **settings):
        key = len(params.W1), settings["epochs"]
        found[key] = found[key] if key in found else fit(params, *data, **settings)
        return found[key]

    monkeypatch.setattr(js, "fit", remembered)
    assert train.main(["--course", "--out", str(tmp_path)]) == 0
    text = capsys.readouterr().out
    assert text.count("equal") == 13
    assert "DIFFERS" not in text
    assert (tmp_path / "course.png").read_bytes().startswith(PNG)
    monkeypatch.setattr(course, "COURSE_COSTS", (*course.COURSE_COSTS[:-1], 0.217505))
    assert train.main(["--course", "--out", str(tmp_path)]) == 1
    assert capsys.readouterr().out.count("DIFFERS") == 1


@pytest.mark.usefixtures("long_run")
def test_equal_weights_keep_the_hidden_units_identical(capsys, tmp_path):
    code, results, _ = run(capsys, tmp_path, "--demo", "symmetry")
    assert code == 0
    assert results["zero weights"]["spread"] == results["equal weights, 0.5"]["spread"] == 0
    assert results["random weights × 0.01"]["accuracy"] > results["equal weights, 0.5"]["accuracy"] + 0.1
    assert (tmp_path / "symmetry.png").read_bytes().startswith(PNG)


@pytest.mark.usefixtures("long_run")
def test_large_weights_saturate_and_stall(capsys, tmp_path):
    code, results, _ = run(capsys, tmp_path, "--demo", "scale")
    assert code == 0
    slopes = [results[scale]["slope"] for scale in ("0.01", "1", "10", "100")]
    assert slopes == sorted(slopes, reverse=True)
    costs = [results[scale]["cost"] for scale in ("1", "10", "100")]
    assert costs == sorted(costs)
    assert results["100"]["cost"] > 1.5 * results["0.01"]["cost"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--data", "flowers"], "did you mean 'flower'"),
        (["--data", "nowhere.csv"], "nowhere.csv"),
        (["--validation", "1"], "--validation must be at least 0 and below 1"),
        (["--validation", "0.0001"], "leaves one part empty"),
        (["--n-h", "0"], "n_h must be at least 1, got 0"),
        (["--epochs", "0"], "epochs must be at least 1, got 0"),
        (["--batch-size", "0"], "batch_size must be at least 1, got 0"),
        (["--l2", "-1"], "l2 must be at least 0 and finite, got -1"),
        (["--learning-rate", "-1"], "--learning-rate must be above 0, got -1"),
        (["--optimizer", "lm", "--learning-rate", "1"], "--learning-rate is not for --optimizer lm, which chooses its"),
        (["--seed", "-1"], "--seed must be at least 0"),
        (["--course", "--demo", "scale"], "give one of them"),
        (["--hidden", "softplus"], "hidden must be one of sigmoid, tanh, relu, leaky_relu, identity"),
        (["--scale", "tiny"], "--scale must be a number, glorot or he, got 'tiny'"),
    ],
)
def test_wrong_options_are_named_and_exit_with_2(capsys, tmp_path, options, message):
    code, results, errors = run(capsys, tmp_path, *options)
    assert (code, results) == (2, None)
    assert message in " ".join(errors.split())


def test_usage_errors_exit_with_2(capsys, tmp_path):
    with pytest.raises(SystemExit) as stop:
        train.main(["--optimizer", "newton"])
    assert stop.value.code == 2


def test_a_diverged_run_fails_writes_no_model_and_keeps_its_history(capsys, tmp_path):
    code, results, _ = run(
        capsys, tmp_path, "--data", "diabetes", "--learning-rate", "1e6", "--hidden", "relu", "--epochs", "200"
    )
    assert code == 1
    assert results["ok"] is False
    assert results["train"]["cost"] is None
    assert not (tmp_path / "model.safetensors").exists()
    assert None in json.loads((tmp_path / "history.json").read_text())["history"]["cost"]


def test_a_full_disk_is_reported_and_exits_with_1(capsys, tmp_path, monkeypatch):
    def full(path, data):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(train_files, "write_atomically", full)
    code, results, errors = run(capsys, tmp_path, "--epochs", "5")
    assert (code, results) == (1, None)
    assert "No space left on device" in errors


def test_ctrl_c_keeps_what_has_been_trained(capsys, tmp_path, monkeypatch):
    @contextmanager
    def press_ctrl_c_at_the_second_report(epochs):
        reports = []

        def advance(done, cost):
            reports.append(done)
            if len(reports) == 2:
                signal.raise_signal(signal.SIGINT)

        yield advance

    monkeypatch.setattr(train, "progress_bar", press_ctrl_c_at_the_second_report)
    before = signal.getsignal(signal.SIGINT)
    code, results, errors = run(capsys, tmp_path, "--epochs", "1000")
    assert (code, results) == (130, None)
    assert "kept 20 of 1,000 epochs" in " ".join(errors.split())
    assert len(json.loads((tmp_path / "history.json").read_text())["history"]["cost"]) == 20
    assert np.isfinite(js.load(tmp_path / "model.safetensors").W1).all()
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize("script", ["train.py", "compare.py"])
def test_help_starts_with_examples(script):
    path = Path(__file__).parents[1] / "scripts" / script
    shown = subprocess.run([sys.executable, path, "--help"], capture_output=True, text=True, check=True).stdout
    assert shown.index("Examples:") < shown.index("options")


# ---- by the evidence ----


def test_the_evidence_finds_the_weight_decay_and_the_model_predicts_with_deviations(capsys, tmp_path):
    random = np.random.default_rng(0)
    x = random.uniform(-2, 2, 40)
    y = 50 + 20 * (np.sin(2 * x) + 0.1 * random.normal(size=40))
    table = tmp_path / "curve.csv"
    np.savetxt(table, np.stack([x, y], axis=1), delimiter=",", header="time,height", comments="")
    options = ["--data", str(table), "--l2", "evidence", "--epochs", "30", "--precision", "float64", "--report"]
    code, results, _ = run(capsys, tmp_path, *options)
    assert code == 0
    assert 0 < results["l2"] < 1
    assert 1.4 < results["noise"][0] < 2.6  # 2 made the data, ± 2 / √(2 · 40)
    assert {"evidence.png", "report.html", "model.safetensors"} <= {path.name for path in tmp_path.iterdir()}
    page = (tmp_path / "report.html").read_text()
    assert "How sure is it?" in page
    history = json.loads((tmp_path / "history.json").read_text())["history"]
    assert len(history["l2"]) == len(history["log_evidence"]) == results["weight_decays_tried"]

    assert predict.main([str(tmp_path / "model.safetensors"), str(table), "--out", str(tmp_path / "p.csv")]) == 0
    found = pl.read_csv(tmp_path / "p.csv")
    assert found.columns == ["time", "height", "prediction", "deviation"]
    with jax.enable_x64(True):
        mean, deviation = js.load_posterior(tmp_path / "model.safetensors").predict(x[None])
    np.testing.assert_allclose(found["prediction"], np.asarray(mean)[0], rtol=1e-12)
    np.testing.assert_allclose(found["deviation"], np.asarray(deviation)[0], rtol=1e-12)
    missed = (found["prediction"] - found["height"]).abs() < 2 * found["deviation"]
    assert missed.mean() > 0.85


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--optimizer", "adam"], "--optimizer must be lm or lbfgs, got adam"),
        (["--batch-size", "10"], "--batch-size is not for --l2 evidence"),
        (["--resume"], "--resume is not for --l2 evidence, which begins anew"),
        (["--precision", "bfloat16"], "--precision must be float32 or float64 for --l2 evidence"),
    ],
)
def test_what_does_not_go_with_the_evidence_is_refused(capsys, tmp_path, options, message):
    code, _, errors = run(capsys, tmp_path, "--l2", "evidence", *options)
    assert code == 2
    assert message in errors


# ---- --preset ----


@pytest.fixture
def pets(tmp_path):
    """A table with text, gaps and decimal commas, to predict a number or a class."""
    rng = np.random.default_rng(0)
    lines = ["weight;coat;age;pet"]
    for k in range(120):
        weight, coat, age = rng.normal(10, 3), ["long", "short", "curly"][k % 3], rng.integers(1, 15)
        pet = "cat" if weight + (coat == "short") * 2 < 11 else "dog"
        written = "" if k % 11 == 0 else f"{weight:.2f}".replace(".", ",")
        lines.append(f"{written};{'' if k % 17 == 0 else coat};{age};{pet}")
    path = tmp_path / "pets.csv"
    path.write_text("\n".join(lines))
    return path


@pytest.mark.usefixtures("as_in_numpy")
@pytest.mark.parametrize("target", ["pet", "age"])
def test_a_preset_makes_one_model_that_predict_and_export_take(capsys, pets, tmp_path, target):
    task = [] if target == "pet" else ["--task", "regression"]
    options = ["--data", str(pets), "--target", target, *task, "--preset", "tables", "--epochs", "8", "--n-h", "4"]
    code, results, errors = run(capsys, tmp_path, *options, "--validation", "0.2", "--report")
    assert code == 0, errors
    measure = "accuracy" if target == "pet" else "R2"
    assert set(results["validation"]) == set(results["out_of_fold"]) == {measure}
    assert results["network"].split()[0].split("-")[1] == "32"  # 8 members of 4 units are one network
    model = tmp_path / "model.safetensors"
    known = js.read_metadata(model)
    assert known["columns"][0]["fill"] == [None]
    assert known["columns"][0]["decimal"] == ","
    assert known["encoding"]["kind"] in results["encoding"]

    new = tmp_path / "new.csv"
    new.write_text("weight;coat;age;pet\n9,25;;4;cat\n;bald;7;dog\n")
    assert predict.main([str(model), str(new), "--out", str(tmp_path / "answers.csv"), "--quiet"]) == 0
    header, *rows = (tmp_path / "answers.csv").read_text().splitlines()
    assert len(rows) == 2
    files = [str(tmp_path / f"model{suffix}") for suffix in (".py", ".onnx", ".jax")]
    assert export.main([str(model), *files, "--quiet"]) == 0

    answers = tmp_path / "sure.csv"
    assert predict.main([str(model), str(pets), "--confidence", "0.8", "--out", str(answers), "--quiet"]) == 0
    sure = pl.read_csv(answers, separator=",")
    if target == "age":
        assert (sure["lower"] < sure["prediction"]).all()
        inside = sure.filter(pl.col("age").is_between("lower", "upper"))
        assert len(inside) / len(sure) > 0.7
    else:
        assert set(sure["set"].fill_null("")) <= {"", "cat", "dog", "cat or dog"}
        holds = [pet in (chosen or "") for pet, chosen in zip(sure["pet"], sure["set"], strict=True)]
        assert np.mean(holds) > 0.7


@pytest.mark.usefixtures("as_in_numpy")
def test_a_preset_takes_the_librarys_own_data_and_other_solvers(capsys, tmp_path):
    options = [
        "--data",
        "diabetes",
        "--preset",
        "tables",
        "--epochs",
        "3",
        "--n-h",
        "3",
        "--optimizer",
        "lm",
        "--report",
    ]
    code, results, errors = run(capsys, tmp_path, *options)
    assert code == 0, errors
    assert results["optimizer"] == "lm"
    assert results["train"]["R2"] > 0.3
    assert (tmp_path / "report.html").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--l2", "evidence"], "--l2 evidence is not for --preset"),
        (["--scale=he"], "--scale is not for --preset"),
        (["--precision", "bfloat16"], "--precision must be float32 or float64 for --preset"),
        (["--optimizer", "lbfgs"], "solver must be adam, sgd or lm for bagging"),
        (["--validation", "1"], "--validation must be at least 0 and below 1"),
    ],
)
def test_what_a_preset_leaves_no_room_for_is_said(capsys, tmp_path, options, message):
    code, _, errors = run(capsys, tmp_path, "--data", "iris", "--preset", "tables", *options)
    assert code == 2
    assert message in " ".join(errors.split())
