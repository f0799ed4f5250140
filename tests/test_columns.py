"""What a table's columns mean: numbers, categories or neither, classes or a quantity; and what is odd about them."""

import re
import time

import jax
import numpy as np
import polars as pl
import pytest
from sklearn import datasets

import jaxshallow as js
from jaxshallow import data, tables
from jaxshallow.programs import predict

M = 12
DISGUISED = {
    "an amount of money": ["$1,336", "€ 5", "5 €", "US$ 7.50", "CHF 9", "-$5", "$(1,200)", "$1.2M", "₹1,00,000"],
    "a percentage": ["8%", "8.5 %"],
    "a number in parentheses": ["(1,200)"],
    "a time": ["10:00:00", "9:30 AM", "9pm"],
    "a date": [
        "Jan 1, 2024",
        "1 January 2024",
        "2024-01-01",
        "2024-01-01T10:00:00Z",
        "31.12.2024",
        "Mon 3 Mar 2024 10:00",
    ],
}
ROW_BY_ROW = {
    "a number with a bound": [f"<{k}" for k in range(M)],
    "a number with a unit": [f"{k} kg" for k in range(M)],
    "a range of numbers": [f"{k}-{k + 9}" for k in range(M)],
    "a phone number": [f"+1 (555) 123-{k + 1000}" for k in range(M)],
    "a UUID or a hash": [f"{k:08x}-e2bb-4255-8caf-4136c566a962" for k in range(M)],
    "an e-mail address": [f"a{k}@b.org" for k in range(M)],
    "a web address": [f"https://b.org/{k}" for k in range(M)],
    "an IP address": [f"192.168.0.{k}" for k in range(M)],
    "a name": [f"{'John' if k % 2 else 'Mary'} O'Hara{'abcdefghijkl'[k]}" for k in range(M)],
    "an address": [f"{k} Main Street" for k in range(M)],
    "free text": [f"it was quite {'abcdefghijkl'[k]} that day" for k in range(M)],
    "an identifier": [f"SKU-{k}x" for k in range(M)],
}


@pytest.fixture
def load(tmp_path):
    """Loads a table of the given columns, written as .csv, or as .parquet with its dtypes."""

    def load(columns, suffix="csv", **options):
        path, frame = tmp_path / f"t.{suffix}", pl.DataFrame(columns)
        frame.write_parquet(path) if suffix == "parquet" else frame.write_csv(path)
        return data.load_table(path, **options)

    return load


def y(m=M):
    return [0.5 + k % 7 for k in range(m)]


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_numbers_in_disguise_are_refused_with_their_place_and_two_ways_out(load, suffix):
    for look, words in DISGUISED.items():
        for word in words:
            table = {"a": [word, "1", word] if suffix == "csv" else [word] * 3, "y": y(3)}
            row = re.escape(f"column 'a' holds {word!r} in row 1, which is not a number, but looks like {look}: ")
            with pytest.raises(ValueError, match=rf"{row}.*categories=\['a'\] \(--categories a\).*\(--drop a\)"):
                load(table, suffix)
            assert load(table, suffix, categories=["a"]).columns[0].categories == tuple(sorted(set(table["a"])))
            assert load({**table, "b": y(3)}, suffix, drop=["a"]).feature_names == ("y",)


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_text_with_nearly_a_value_a_row_is_refused_and_called_by_its_look(load, suffix):
    for look, words in ROW_BY_ROW.items():
        for given in (words, [*words[:-2], words[0], None]):
            with pytest.raises(ValueError, match=rf"column 'a' holds .*looks like {look}.*\(--drop a\)"):
                load({"a": given, "y": y()}, suffix)
    dataset = load({"a": words, "y": y()}, suffix, categories=["a"])
    assert dataset.remarks == (
        "a text for each row, or nearly, which may tell nothing, or too much: "
        "a ('SKU-0x', which looks like an identifier)",
    )


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_categories_that_repeat_are_taken_whatever_they_look_like(load, suffix):
    states = [a + b for a in "ABCDE" for b in "ABCDEFGHIJ"]
    random = np.random.default_rng(0)
    for words in (
        ["red", "blue", "green", "black", "white"] * 2,
        ["<18", "18-25", "65+"] * 4,
        ["S", "M", "2XL", "3XL"] * 3,
        ["10115", "SW1A 1AA", "D-80331", "K1A"] * 3,
        ["New York", "North Carolina", "Ohio"] * 4,
        ["1st", "2nd", "3rd"] * 4,
        ["4.0.3", "4.1", "5.0.1", "Varies"] * 3,
        ["<=50K", ">50K"] * 5,
        ["none", "Aug2Dec", "Dec2Feb", "Feb2May"] * 3,
        ["Jan 1 - Jan 28", "Jan 29 - Feb 25"] * 6,
        random.choice(states, 60).tolist(),
    ):
        assert load({"a": words, "y": y(len(words))}, suffix).columns[0].categories == tuple(sorted(set(words)))
        assert load({"a": words, "y": y(len(words))}, suffix).remarks == ()
        assert load({"x": y(len(words)), "a": words}, suffix).labels == tuple(sorted(set(words)))
    few = load({"a": ["Ann Lee", "Bo Ray", "Cy Fox"], "y": y(3)}, suffix)
    assert few.remarks == (
        "a text for each row, or nearly, which may tell nothing, or too much: a ('Ann Lee', which looks like a name)",
    )
    for words in ["10 kg", "5 kg", "20 kg"], ["1.2k", "5M", "20K"]:
        assert load({"a": words * 4, "y": y()}, suffix).remarks == (
            f"numbers with a unit, taken for categories without an order; write plain numbers: a ({words[0]!r})",
        )


def test_the_word_that_is_named_is_one_that_tells_why(load):
    for words, told in (
        (["1:5", "6:10", "11:15"] * 4, "'6:10' in row 2, .* looks like a time: .*, say categories="),
        (["1", "x", "$5", "3"] * 3, "'x' in row 2, which is not a number: leave the cell empty"),
        (["2", "\u22123"] * 6, "'\u22123' in row 2, .*: write it as a plain number, such as -1299.5, say"),
        ([*map(str, range(150)), "15A"], "'15A' in row 151, .*: write it as a plain number, or leave it out, drop="),
    ):
        with pytest.raises(ValueError, match=f"column 'a' holds {told}"):
            load({"a": words, "y": y(len(words))})


def test_columns_of_a_long_table_may_have_any_name(load):
    table = {"variable": ["u", "v"], "value": ["1,5", "2"], "": [None, None], "literal": ["x", "x"], "y": [0.5, 1]}
    assert load(table).X.tolist() == [[1, 0], [0, 1], [1.5, 2], [1, 1]]


def test_long_texts_are_looked_at_in_bounded_time(load):
    for word in ("1" * 50_000 + "x", "1,1," * 20_000, "may " * 20_000, "A b " * 20_000, "a.b@c." * 9_000):
        start = time.perf_counter()
        assert load({"a": [word, "b"] * 6, "y": y()}).columns[0].categories == tuple(sorted([word.strip(), "b"]))
        assert time.perf_counter() - start < 5  # 0.02 s; minutes, if a pattern were quadratic


@pytest.mark.parametrize(
    ("target", "labels"),
    [
        ([51, 279, 722], ()),
        ([2001, 2002, 2003, 2004, 2005, 2005, 2007], ()),
        ([51, 279], ()),
        ([1, 2], ("1", "2")),
        ([-1, 1], ("-1", "1")),
        ([10, 20, 10], ("10", "20")),
        ([1, 2, 3] * 2, ("1", "2", "3")),
        (["True", "FALSE", "true", "False"], ("false", "true")),
        (["TRUE", "FALSE"] * 2, ("FALSE", "TRUE")),
        (["true", "0", "1", "false"], ("0", "1")),
        (["0501", "501", "0501", "501"], ("0501", "501")),
        (["1", "1.0", "1.00", "0"], ("0", "1")),
        ([" cat", "cat ", "dog", "cat"], ("cat", "dog")),
        ([True, False, True], ("false", "true")),
    ],
)
def test_targets_are_classes_where_these_make_sense(load, npz, target, labels):
    table = {"x": y(len(target)), "t": target}
    assert load(table).labels == labels
    if isinstance(target[0], int | bool):
        arrays = data.load_table(npz(X=np.ones((len(target), 1)), y=np.array(target)))
        assert tuple(label.lower() for label in arrays.labels) == labels
        assert load(table, task="classification").output != "identity"
        assert load(table, task="regression").output == "identity"


def test_text_in_arrays_is_read_as_in_files(npz):
    X = np.ones((4, 1))
    assert data.load_table(npz(X=X, y=np.array(["a ", "a", "True", "b"]))).labels == ("True", "a", "b")
    assert data.load_table(npz(X=X, y=np.array(["True", "TRUE", "false", "true"]))).labels == ("false", "true")
    with pytest.raises(ValueError, match=r"missing values in 'y' \(row 3\): drop those rows from the file"):
        data.load_table(npz(X=X, y=np.array(["a", "b", "nan", "b"])))
    with pytest.raises(ValueError, match=r"categories are of columns in tables, where .npz holds only numbers"):
        data.load_table(npz(X=X, y=np.ones(4)), categories=["x1"])


def test_a_doubtful_target_is_said_to_be_taken_so_and_how_to_say_otherwise(load):
    random = np.random.default_rng(0)
    for target, said in (
        ([51, 279, 722], "holds 3 different whole numbers, and is taken for a quantity: say task='classification'"),
        (random.integers(0, 26, 600).tolist(), "holds 26 different whole numbers, and is taken for a quantity"),
        ([0.5, 1.5] * 10, "holds 2 different numbers, and is taken for a quantity"),
        (
            [1990 + k for k in range(15)] * 3,
            "holds 15 different whole numbers, and is taken for classes: say task='reg",
        ),
        ([10, 20, 40] * 5, "holds 3 different whole numbers, and is taken for classes"),
        ([3, 4, 5] * 5, None),
        (["a", "b", "c"] * 5, None),
        (random.normal(size=30).tolist(), None),
    ):
        remarks = load({"x": random.normal(size=len(target)), "t": target}).remarks
        assert [said for remark in remarks if said and said in remark] == ([said] if said else [])
        assert len(remarks) == bool(said)
    assert load({"x": [1, 5, 2], "t": [51, 279, 722]}, task="regression").remarks == ()


@pytest.mark.parametrize(
    ("target", "options", "message"),
    [
        (
            ["2.5", "n.a.", "1.5"],
            {},
            r"column 't' holds 'n.a.' in row 2, .*: drop that row from the file, say task='cl",
        ),
        (["1", "n.a.", "2"], {"task": "regression"}, "t must be numbers for a regression, got 'n.a.' in row 2, which"),
        (["$5", "$7", "$9"], {}, "column 't' holds '$5' in row 1, which is not a number, but looks like an amount of"),
        ([None, None, None], {}, r"'t' \(the last column, and so the target\) holds no values at all: choose another"),
        ([1.5, None, 2.5], {}, r"missing values in 't' \(row 2\) .*: drop those rows from the file, or choose another"),
        (
            ROW_BY_ROW["a UUID or a hash"],
            {},
            r"t .* holds 12 different texts in 12 rows, .* a UUID or a hash: say task=",
        ),
        ([f"000{k}" for k in range(10, 22)], {}, r"looks like a number: say task='regression' .*, say task='classif"),
        ([f"{k}%" for k in range(22)], {}, r"'0%' in row 1, .*: write it as a plain number, or choose another column"),
        ([f"SKU-{k}x" for k in range(22)], {}, r"in 22 rows, .* an identifier: choose another column"),
        ([f"{k}%" for k in range(22)], {"task": "regression"}, "write it as a plain number, or choose another column"),
        ([7, 7, 7], {}, "t must hold at least two classes, got '7' only: choose another column with target"),
        (y(3), {"categories": ["t"]}, r"'t' is the target, and no feature: leave it out of categories, and say task="),
        (y(3), {"target": "t", "drop": ["t"]}, "drop must not name the target, got 't' for both"),
        (
            y(3),
            {"categories": ["b"], "drop": ["b"]},
            "drop and categories must name different columns, got 'b' in both",
        ),
    ],
)
def test_a_target_is_refused_with_a_way_out(load, target, options, message):
    table = {"x": y(len(target)), "b": y(len(target)), "t": target}
    with pytest.raises(ValueError, match=message.replace("$", r"\$")):
        load(table, **options)
    if "classif" in message and "n.a." in target:
        assert "n.a." in load(table, task="classification").labels
    assert load(table, target="b", drop=["t"]).feature_names == ("x",)
    assert load(table, target="x", drop=["t", "t"]).feature_names == ("b",)


def remarks_of(load, columns, **options):
    return [remark for remark in load(columns, **options).remarks if not remark.startswith("missing values, filled")]


def test_a_feature_that_is_the_target_is_remarked_upon(load):
    random = np.random.default_rng(0)
    t = random.normal(size=50)
    kinds = random.choice(["a", "b", "c"], 50)
    codes = np.array([{"a": 7, "b": 3, "c": 9}[kind] for kind in kinds])
    gap = [None, *(2 - 3 * t[1:])]
    names = ["leak"]
    for leak, target in (
        (t, t),
        (gap, t),
        (t + 1e-4 * random.normal(size=50), t),
        (codes, kinds),
        ([None, *codes[1:]], kinds),
        ([f"kind {kind}" for kind in kinds], kinds),
        (kinds == "a", kinds == "a"),
        ((kinds == "a") * 5 + 1e-4 * t, kinds == "a"),
    ):
        found = remarks_of(load, {"x": random.normal(size=50), "leak": leak, "t": target}, missing="mean")
        assert found == [f"nearly the target itself, and of no use if not known before it: {names[0]}"]
    for close, target in ((t + 0.1 * random.normal(size=50), t), (np.where(kinds == "c", "a", kinds), kinds)):
        assert remarks_of(load, {"x": random.normal(size=50), "close": close, "t": target}) == []


def test_numbers_that_name_rows_are_remarked_upon(load):
    random = np.random.default_rng(0)
    m, own = 60, "a number for each row, which may tell nothing, or too much: "
    x, target = random.normal(size=m), random.normal(size=m)
    for name, ids in (
        ("n", random.permutation(m)),
        ("n", 500 + random.permutation(3 * m)[:m]),
        ("n", np.cumsum(random.integers(1, 10**6, m))),
        ("user_id", random.permutation(10**6)[:m]),
        ("userId", random.permutation(10**6)[:m]),
    ):
        assert remarks_of(load, {"x": x, name: ids, "t": target}) == [own + name]
    ids = random.permutation(3 * m)[:m]
    assert remarks_of(load, {"x": x, "t": ids}) == [
        "the target holds a whole number for each row; if it is an ID, choose another column with target (--target)"
    ]
    for name, numbers in (("n", random.integers(0, 10**6, m)), ("paid", random.integers(0, 40, m)), ("id", x)):
        assert remarks_of(load, {"x": x**2, name: numbers, "t": target}) == []


def test_columns_that_say_little_are_remarked_upon(load):
    random = np.random.default_rng(0)
    m = 40
    x, target = random.normal(size=m), random.normal(size=m)
    for column, said in (
        ([10**18 + k for k in random.permutation(m).tolist()], "whole numbers with more digits than float64 holds"),
        ([20240101 + k % 28 for k in range(m)], "dates as whole numbers"),
        ([7] * m, "constant, and so of no use: a"),
        ([7, None] * 20, "one value or none, and so of no use; write what a missing one means, such as no or 0: a"),
        (["yes", None] * 20, "one value or none, and so of no use; .*: a=yes"),
        ([1.5, 2.5, *[None] * (m - 2)], "missing in most rows"),
        (["x", "X", "z", "z"] * 10, r"categories that differ in case alone: a \('X' and 'x'\)"),
        (["007", "8"] * 20, r"written with leading zeros, and read as numbers: a; .* \(--categories a\)"),
        (x, "the same numbers twice: a = x"),
    ):
        remarks = remarks_of(load, {"x": x, "a": column, "t": target}, missing="mean")
        assert len(remarks) == 1
        assert re.match(said, remarks[0])
    for column, said in (
        ([2.5] * m, "the target is constant"),
        (["a", "b"] * 19 + ["c", "b"], "classes with a single example, .*: c"),
        (["a"] * (m - 1) + ["b"], "classes with a single example, .*: b"),
        (["no"] * 78 + ["yes"] * 2, "97.5% of the rows are of class no"),
        (["Yes", "yes", "no", "no"] * 10, "classes that differ in case alone: 'Yes' and 'yes'"),
    ):
        remarks = load({"x": random.normal(size=len(column)), "t": column}).remarks
        assert re.match(said, remarks[0])


def test_what_is_sound_is_not_remarked_upon(load):
    for name in ("iris", "wine", "breast_cancer", "diabetes", "digits"):
        table = getattr(datasets, f"load_{name}")()
        columns = dict(zip(map(str, table.feature_names), table.data.T, strict=True))
        for suffix in ("csv", "parquet"):
            remarks = load({**columns, "target": table.target}, suffix).remarks
            constant = ("constant, and so of no use: pixel_0_0, pixel_4_0, pixel_4_7",)
            assert remarks == (constant if name == "digits" else ())


def test_features_named_as_the_predictions_do_not_hinder_them(tmp_path):
    params = js.init(jax.random.key(0), 3, 2)
    names = ["prediction", "P(b)", "predicted P(b)"]
    js.save(tmp_path / "m.safetensors", params, {"feature_names": names, "labels": ["a", "b"]})
    pl.DataFrame({name: [1.0, 2.0] for name in names}).write_csv(tmp_path / "t.csv")
    arguments = [str(tmp_path / name) for name in ("m.safetensors", "t.csv")]
    assert predict.main([*arguments, "--out", str(tmp_path / "p.csv")]) == 0
    found = pl.read_csv(tmp_path / "p.csv")
    assert found.columns == [*names, "predicted prediction", "P(a)", "predicted predicted P(b)"]
    assert set(found["predicted prediction"]) <= {"a", "b"}


def test_a_word_where_a_model_wants_a_number_is_called_by_its_look():
    columns = (data.Column("a"), data.Column("a", fill=(1.0,)))
    for word, fixes in (
        ("$5", ["looks like an amount of money: write it as a plain number"] * 2),
        ("x", ["is not a number: write a number", "is not a number: leave the cell empty where a value is missing"]),
    ):
        for column, fix in zip(columns, fixes, strict=True):
            with pytest.raises(ValueError, match=f"new: column 'a' holds '{re.escape(word)}' in row 1, .*{fix}$"):
                tables.encode(pl.DataFrame({"a": [word]}), [column], "new")
