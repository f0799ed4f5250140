"""The program predict: a model and a table in, predictions out; in parts, whole or not at all."""

import json
import os
import runpy

import jax
import numpy as np
import polars as pl
import pytest
import sklearn
from cases import init, runner
from sklearn.datasets import load_diabetes, load_iris
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.fixes import parse_version

import jaxshallow as js
from jaxshallow import data
from jaxshallow.estimators import ShallowClassifier, ShallowRegressor
from jaxshallow.programs import export, predict, sweep, train

names_in_polars = pytest.mark.skipif(
    parse_version(sklearn.__version__) < parse_version("1.9"), reason="it finds no names in a frame of polars 2"
)
NAMES = ["sepal length (cm)", "sepal width (cm)", "petal length (cm)", "petal width (cm)"]


pytestmark = pytest.mark.usefixtures("as_in_numpy", "little_optimization")


@pytest.fixture
def iris(tmp_path):
    """A model that train wrote, the table in another order and with a column of its own, and their folder."""
    train.main(["--data", "iris", "--epochs", "60", "--learning-rate", "1", "--out", str(tmp_path)])
    X, y = load_iris(return_X_y=True)
    table = pl.DataFrame(
        {"id": [f"flower {k}" for k in range(150)], **{n: X[:, 3 - k] for k, n in enumerate(NAMES[::-1])}}
    )
    return tmp_path, table, y


def run(capsys, model, table, out):
    code, printed, errors = runner(predict.main)(capsys, out, model, table)
    return code, printed, " ".join(errors.split())


@pytest.mark.parametrize("suffix", ["csv", "tsv", "parquet"])
def test_columns_are_found_by_name_and_others_passed_on(capsys, iris, suffix):
    folder, table, y = iris
    path, out = folder / f"table.{suffix}", folder / f"predictions.{suffix}"
    table.write_parquet(path) if suffix == "parquet" else table.write_csv(
        path, separator="\t" if suffix == "tsv" else ","
    )
    capsys.readouterr()
    code, text, _ = run(capsys, folder / "model.safetensors", path, out)
    assert (code, text) == (0, f"{out}: 150 rows\n")
    read = pl.read_parquet(out) if suffix == "parquet" else pl.read_csv(out, separator="\t" if suffix == "tsv" else ",")
    assert read["id"].to_list() == table["id"].to_list()
    params, known = js.load(folder / "model.safetensors"), js.read_metadata(folder / "model.safetensors")
    assert known["labels"] == ["setosa", "versicolor", "virginica"]
    A2 = np.asarray(js.forward(params, data.load("iris").X).A2)
    np.testing.assert_allclose(read.select("P(setosa)", "P(versicolor)", "P(virginica)").to_numpy(), A2.T, rtol=1e-5)
    labels = np.array(["setosa", "versicolor", "virginica"])
    assert read["prediction"].to_list() == labels[A2.argmax(axis=0)].tolist()
    assert (read["prediction"].to_numpy() == labels[y]).mean() > 0.9


@names_in_polars
def test_what_sweeps_and_estimators_saved_is_taken_too(capsys, tmp_path):
    X, y = load_diabetes(return_X_y=True)
    names = list(data.load("diabetes").feature_names)
    pl.DataFrame(X, schema=names).write_csv(tmp_path / "table.csv")
    sweep.main(["--data", "diabetes", "--n-h", "3", "--seeds", "2", "--epochs", "300", "--out", str(tmp_path)])
    frame = pl.DataFrame(10 * X, schema=names)
    with pytest.warns(ConvergenceWarning):
        regressor = ShallowRegressor((3,), solver="lbfgs", max_iter=20, random_state=0).fit(frame, y)
    regressor.save(tmp_path / "regressor.safetensors")
    frame.write_csv(tmp_path / "scaled.csv")
    for model, table in (("sweep", "table"), ("regressor", "scaled")):
        code, *_ = run(capsys, tmp_path / f"{model}.safetensors", tmp_path / f"{table}.csv", tmp_path / "p.csv")
        assert code == 0
        error = pl.read_csv(tmp_path / "p.csv")["prediction"].to_numpy() - y
        assert 1 - (error**2).mean() / y.var() > 0.4
    np.testing.assert_allclose(error + y, regressor.predict(frame), rtol=1e-4)


def test_categories_and_gaps_are_read_as_in_training(capsys, tmp_path):
    shapes = ["round", "square", None, "flat"] * 10
    frame = pl.DataFrame({"shape": shapes, "size": [*range(39), None], "kind": ["a", "b", "a", "b"] * 10})
    frame.write_csv(tmp_path / "table.csv")
    arguments = ["--data", str(tmp_path / "table.csv"), "--missing", "mean", "--epochs", "100", "--out", str(tmp_path)]
    assert train.main([*arguments, "--json"]) == 0
    accuracy = json.loads(capsys.readouterr().out)["train"]["accuracy"]
    assert run(capsys, tmp_path / "model.safetensors", tmp_path / "table.csv", tmp_path / "p.csv")[0] == 0
    read = pl.read_csv(tmp_path / "p.csv")
    assert (read["prediction"] == frame["kind"]).mean() == pytest.approx(accuracy)
    frame.with_columns(shape=pl.lit("flatt")).write_csv(tmp_path / "new.csv")
    code, _, errors = run(capsys, tmp_path / "model.safetensors", tmp_path / "new.csv", tmp_path / "p.csv")
    assert code == 2
    assert "holds 'flatt' in row 1, where only flat, round, square are known: did you mean 'flat'?" in errors


@names_in_polars
def test_two_classes_and_several_labels_have_their_probabilities(capsys, tmp_path):
    X, y = load_iris(return_X_y=True)
    table = pl.DataFrame(X, schema=["a", "b", "c", "d"])
    table.write_parquet(tmp_path / "t.parquet")
    for labels, columns in (
        (y == 0, ["prediction", "P(False)", "P(True)"]),
        (np.eye(3, dtype=int)[y], ["P(0)", "P(1)", "P(2)"]),
    ):
        classifier = ShallowClassifier((3,), tol=1e9, n_iter_no_change=5, random_state=0).fit(table, labels)
        classifier.save(tmp_path / "m.safetensors")
        assert run(capsys, tmp_path / "m.safetensors", tmp_path / "t.parquet", tmp_path / "p.parquet")[0] == 0
        read = pl.read_parquet(tmp_path / "p.parquet").drop(table.columns)
        assert read.columns == columns
        np.testing.assert_allclose(
            read.select(columns[-1]).to_numpy()[:, 0], classifier.predict_proba(table)[:, -1], rtol=1e-5
        )


def test_a_long_table_is_read_in_parts(capsys, iris, monkeypatch):
    folder, table, _ = iris
    pl.concat([table] * 2000).write_parquet(folder / "long.parquet", row_group_size=20_000)
    heights, real = [], predict.Model.predict
    monkeypatch.setattr(
        predict.Model, "predict", lambda self, frame, *where: heights.append(frame.height) or real(self, frame, *where)
    )
    code, text, _ = run(capsys, folder / "model.safetensors", folder / "long.parquet", folder / "p.parquet")
    assert code == 0
    assert "300,000 rows" in text
    assert max(heights) <= 150_000
    ids = pl.read_parquet(folder / "p.parquet")["id"]
    assert ids.to_list() == pl.concat([table["id"]] * 2000).to_list()


def test_an_error_names_its_row_wherever_its_part_is(capsys, iris):
    folder, table, _ = iris
    long = pl.concat([table] * 2000).with_row_index("k")
    frame = long.with_columns(pl.when(pl.col("k") == 200_001).then(None).otherwise(pl.col(NAMES[1])).alias(NAMES[1]))
    frame.write_csv(folder / "long.csv")
    frame.write_parquet(folder / "long.parquet", row_group_size=20_000)
    for suffix in ("csv", "parquet"):
        code, _, errors = run(capsys, folder / "model.safetensors", folder / f"long.{suffix}", folder / "p.csv")
        assert code == 2
        assert f"missing values in '{NAMES[1]}' (row 200002)" in errors


def test_text_is_passed_on_as_it_is_and_codes_are_no_numbers(capsys, tmp_path):
    rows = ["01,007,NA,1.0,a", "x,1.50,y,2.5,b"] * 10
    (tmp_path / "train.csv").write_text("\n".join(["code,id,note,size,kind", *rows]))
    options = [
        "--data",
        str(tmp_path / "train.csv"),
        "--drop=id",
        "--drop=note",
        "--epochs",
        "5",
        "--precision",
        "float64",
    ]
    assert train.main([*options, "--quiet", "--out", str(tmp_path)]) == 0
    assert js.read_metadata(tmp_path / "model.safetensors")["columns"][0]["categories"] == ["01", "x"]
    (tmp_path / "new.csv").write_text("code,id,note,size\n01,007,NA,1\n\n01,1.50,y,2\n")  # no word among the codes
    for suffix, ids in (("csv", ["007", "1.50"]), ("parquet", [7, 1.5])):
        out = tmp_path / f"p.{suffix}"
        code, printed, errors = run(capsys, tmp_path / "model.safetensors", tmp_path / "new.csv", out)
        assert (code, printed, errors) == (0, f"{out}: 2 rows\n", "")
        read = pl.read_csv(out, infer_schema=False) if suffix == "csv" else pl.read_parquet(out)
        assert read["id"].to_list() == ids
        assert read["note"].to_list() == ["NA" if suffix == "csv" else None, "y"]


def test_a_table_with_semicolons_and_decimal_commas_is_read_by_all_programs(capsys, tmp_path):
    rows = [f"{k},{k % 4};{'round' if k % 3 else 'flat, thin'};{'a' if k < 20 else 'b'}" for k in range(40)]
    (tmp_path / "t.csv").write_text("\n".join(["size;shape;kind", *rows]))
    options = ["--data", str(tmp_path / "t.csv"), "--epochs", "200", "--quiet", "--out", str(tmp_path)]
    assert train.main(options) == 0
    model = tmp_path / "model.safetensors"
    assert run(capsys, model, tmp_path / "t.csv", tmp_path / "p.csv")[0] == 0
    read = pl.read_csv(tmp_path / "p.csv")
    assert read["size"].to_list() == [k + k % 4 / 10 for k in range(40)]
    assert (read["prediction"] == read["kind"]).mean() > 0.9
    js.export(js.load(model), tmp_path / "model.py", js.read_metadata(model))
    program = runpy.run_path(str(tmp_path / "model.py"))
    X = program["read"]((tmp_path / "t.csv").read_text().splitlines())
    np.testing.assert_allclose(program["forward"](X).A2[0], read["P(b)"].to_numpy(), rtol=1e-5, atol=1e-7)


def test_what_cannot_be_predicted_is_said_and_nothing_is_written(capsys, iris):
    folder, table, _ = iris
    model, out = folder / "model.safetensors", folder / "p.csv"
    out.write_text("older")
    for change, message in (
        (lambda t: t.drop(NAMES[0]), f"must have the columns ['{NAMES[0]}'], which the model was trained on"),
        (lambda t: t.rename({NAMES[0]: "sepal length"}), "did you mean 'sepal length'?"),
        (
            lambda t: t.with_columns(pl.lit("tall").alias(NAMES[0])),
            f"column '{NAMES[0]}' holds 'tall' in row 1, which is not",
        ),
        (
            lambda t: t.with_columns(pl.lit(1e39).alias(NAMES[0])),  # tanh makes it finite again
            "bad.csv: the numbers in row 1 are too large for float32",
        ),
        (lambda t: t.with_columns(pl.lit("x").alias("prediction")), "already has columns named ['prediction']"),
        (
            lambda t: t.with_columns(
                pl.when(pl.int_range(150) == 7).then(None).otherwise(pl.col(NAMES[0])).alias(NAMES[0])
            ),
            f"missing values in '{NAMES[0]}' (row 8): the model was trained without",
        ),
    ):
        change(table).write_csv(folder / "bad.csv")
        code, _, errors = run(capsys, model, folder / "bad.csv", out)
        assert code == 2
        assert message in errors
    table.write_csv(folder / "table.csv")
    js.save(folder / "bare.safetensors", js.load(model))
    (folder / "torn.csv").write_bytes(b'a,b\n"1,2\n')
    for arguments, message in (
        ((model, folder / "nowhere.csv", out), "there is no file"),
        ((folder / "nowhere.safetensors", folder / "table.csv", out), "nowhere.safetensors"),
        ((folder / "bare.safetensors", folder / "table.csv", out), "does not say which columns its 4 features are"),
        ((model, folder / "torn.csv", out), "torn.csv"),
        ((model, folder / "table.csv", folder / "p.xlsx"), "--out must end in .csv, .tsv, .parquet"),
        ((model, folder / "table.csv", folder / "table.csv"), "--out must be another file than the table"),
    ):
        code, _, errors = run(capsys, *arguments)
        assert code == 2
        assert message in errors
    assert out.read_text() == "older"
    assert not [name for name in os.listdir(folder) if name.endswith(".tmp")]


@pytest.mark.parametrize(
    ("level", "message"),
    [
        ("0.9", "does not know how far off it is on unseen rows"),
        ("90", "--confidence must be above 0 and below 1, got 90"),
    ],
)
def test_confidence_that_cannot_be_given_is_refused(capsys, iris, level, message):
    folder, table, _ = iris
    table.write_csv(folder / "table.csv")
    arguments = [str(folder / "model.safetensors"), str(folder / "table.csv"), "--confidence", level]
    assert predict.main([*arguments, "--out", str(folder / "p.csv")]) == 2
    assert message in " ".join(capsys.readouterr().err.split())


def test_a_model_that_says_nonsense_of_its_columns_is_refused_in_one_line(capsys, tmp_path):
    (tmp_path / "t.csv").write_text("a,b\n1,u\n")
    params, model, out = init(jax.random.key(0), 3, 2, 3, output="softmax"), tmp_path / "m.safetensors", tmp_path
    columns = [{"name": "a"}, {"name": "b", "categories": ["u", "v"], "fill": [0.5, 0.5]}]
    right = {"columns": columns, "labels": ["x", "y", "z"]}
    for change, message in (
        ({"columns": 5}, "metadata's columns must be a list, got int"),
        ({"columns": "ab"}, "metadata's columns must be a list, got str"),
        ({"columns": [5]}, "must have a name, categories and fill, got 5"),
        ({"columns": [{"name": "a"}]}, "must make n_x = 3 rows of X, got 1"),
        (
            {"columns": [*columns[:1], {**columns[1], "fill": [10**400, 0]}]},
            "must fill with numbers that float64 holds",
        ),
        ({"feature_names": 3}, "metadata's feature_names must be a list, got int"),
        ({"labels": ["x", "y"]}, "labels must be 3"),
        ({"labels": 3}, "metadata's labels must be a list, got int"),
        ({"labels": ["x", ["y"], None]}, "labels must be text or numbers, got ['y']"),
    ):
        js.save(model, params, {**right, **change})
        for code, _, errors in (
            run(capsys, model, tmp_path / "t.csv", out / "p.csv"),
            runner(export.main)(capsys, None, model, out / "m.py"),
        ):
            errors = " ".join(errors.split())
            assert code == 2
            assert errors.startswith(f"error: {model}"), errors
            assert message in errors
    js.save(model, params, {**right, "labels": ["x", "x", "z"]})
    assert "each of its labels must differ" in run(capsys, model, tmp_path / "t.csv", out / "p.csv")[2]
    assert sorted(os.listdir(tmp_path)) == ["m.safetensors", "t.csv"]


def test_a_damaged_model_ends_in_one_line_and_an_old_one_in_a_remark(capsys, tmp_path):
    (tmp_path / "t.csv").write_text("x1\n1\n")
    model, out = tmp_path / "m.safetensors", tmp_path / "p.csv"
    js.save(model, init(jax.random.key(0), 1, 2), {"feature_names": ["x1"]})
    file, deep = model.read_bytes(), b"[" * 100_000
    for damaged in (file[:-1], file[:-1] + b"\x7f", b"", deep, len(deep).to_bytes(8, "little") + deep):
        model.write_bytes(damaged)
        code, _, errors = run(capsys, model, tmp_path / "t.csv", out)
        assert code == 2
        assert errors.startswith(f"error: {model} is ")
    (tmp_path / "loop").symlink_to("loop")
    assert run(capsys, tmp_path / "loop", tmp_path / "t.csv", out)[2].startswith("error: could not read")
    model.write_bytes(file.replace(b"checksum", b"old name"))
    code, printed, errors = run(capsys, model, tmp_path / "t.csv", out)
    assert (code, printed) == (0, f"{out}: 1 rows\n")
    assert errors.startswith(f"remark: {model} has no checksum")


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_full_disk_is_not_blamed_on_the_table(capsys, tmp_path, suffix):
    """A limit on the size of files stands for the full disk; polars notices it."""
    resource = pytest.importorskip("resource")
    pl.DataFrame({"x1": np.random.default_rng(0).normal(size=3000)}).write_csv(tmp_path / "t.csv")
    model, out = tmp_path / "m.safetensors", tmp_path / f"p.{suffix}"
    js.save(model, init(jax.random.key(0), 1, 2), {"feature_names": ["x1"]})
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 1e9)  # compiled programs are files, too
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
    try:
        code, _, errors = run(capsys, model, tmp_path / "t.csv", out)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    assert code == 1
    assert f"could not write to {out}: [Errno 27] File too large, while writing: '{out}'" in errors
    assert sorted(os.listdir(tmp_path)) == ["m.safetensors", "t.csv"]
