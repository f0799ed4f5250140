"""Tables from files: what is read, how it becomes X and Y, and what is refused in which words."""

import dataclasses
import json

import jax
import numpy as np
import polars as pl
import pytest
from cases import assert_close, init

import jaxshallow as js
from jaxshallow import data, tables

# ---- tables that are read ----

ROWS = np.array([[0.5, -1.25], [1e-5, 3.0], [2.0, 4.0], [0.1, 7.5]])
FRAME = {"length": ROWS[:, 0], "width": ROWS[:, 1]}


def write_frame(frame, path):
    if path.suffix == ".parquet":
        frame.write_parquet(path)
    elif path.suffix == ".feather":
        frame.write_ipc(path)
    else:
        frame.write_csv(path, separator="\t" if path.suffix == ".tsv" else ",")
    return path


@pytest.mark.parametrize("suffix", ["csv", "tsv", "parquet", "feather", "CSV"])
@pytest.mark.parametrize(
    ("target", "output", "Y", "labels"),
    [
        (["dog", "cat", "dog", "cat"], "sigmoid", [[1, 0, 1, 0]], ("cat", "dog")),
        ([True, False, False, True], "sigmoid", [[1, 0, 0, 1]], ("false", "true")),
        ([10, 9, 9, 10], "sigmoid", [[1, 0, 0, 1]], ("9", "10")),
        (["c", "a", "b", "a"], "softmax", [[0, 1, 0, 1], [0, 0, 1, 0], [1, 0, 0, 0]], ("a", "b", "c")),
        ([0.0, 1.0, 1.0, 0.0], "sigmoid", [[0, 1, 1, 0]], ("0", "1")),
        ([0.0, 2.0, 2.0, 0.0], "identity", [[0, 2, 2, 0]], ()),
        ([0.1, 1 / 3, -2.5, 0.7], "identity", [[0.1, 1 / 3, -2.5, 0.7]], ()),
    ],
)
def test_a_table_comes_back_as_written_and_its_target_decides_the_head(tmp_path, suffix, target, output, Y, labels):
    path = write_frame(pl.DataFrame({**FRAME, "kind": target}), tmp_path / f"pets.{suffix}")
    dataset = data.load(path)
    np.testing.assert_array_equal(dataset.X, ROWS.T)
    np.testing.assert_array_equal(dataset.Y, Y)
    assert (dataset.output, dataset.name) == (output, "pets")
    assert dataset.feature_names == ("length", "width")
    assert tuple(label.lower() for label in dataset.labels) == labels


@pytest.mark.parametrize(("n", "output"), [(20, "softmax"), (21, "identity")])
def test_integers_are_classes_up_to_20_distinct_values(table, npz, n, output):
    rows = "".join(f"{i}.5,{i}\n" for i in range(n)) * 2
    assert data.load_table(table("many.csv", "a,b\n" + rows)).output == output
    assert data.load_table(npz(X=np.ones((2 * n, 1)), y=np.repeat(np.arange(n), 2))).output == output


def test_the_target_may_be_any_column_and_the_rest_are_features(table):
    dataset = data.load_table(table("t.csv", "kind,on,n,flat\nx,true,3,1\ny,false,4,1\n"), target="kind")
    assert dataset.feature_names == ("on", "n", "flat")
    np.testing.assert_array_equal(dataset.X, [[1, 0], [3, 4], [1, 1]])
    assert dataset.labels == ("x", "y")


def test_categories_and_decimals_of_parquet_are_read(tmp_path):
    frame = pl.DataFrame({**FRAME, "kind": ["b", "a", "b", "a"]})
    frame = frame.with_columns(pl.col("kind").cast(pl.Categorical), pl.col("width").cast(pl.Decimal(10, 2)))
    path = write_frame(frame, tmp_path / "t.parquet")
    assert data.load_table(path).labels == ("a", "b")
    np.testing.assert_array_equal(data.load_table(path).X, ROWS.T)


def test_a_column_takes_its_type_from_all_its_rows(table):
    late = "a,b\n" + "1,2\n" * 5000
    assert data.load_table(table("t.csv", late + "0.5,3.5\n")).output == "identity"
    assert data.load_table(table("t.csv", late + "x,3\n")).feature_names == ("a=1", "a=x")


def test_blank_lines_and_a_byte_order_mark_are_skipped(table):
    dataset = data.load_table(table("t.csv", b"\xef\xbb\xbfa,b\r\n1,2.5\r\n\r\n3,4.5\r\n\r\n"))
    assert dataset.feature_names == ("a",)
    np.testing.assert_array_equal(dataset.X, [[1, 3]])


@pytest.mark.parametrize("suffix", ["csv", "parquet", "feather"])
def test_a_file_name_with_a_glob_in_it_is_one_file(tmp_path, suffix):
    write_frame(pl.DataFrame({"a": [9], "b": [9.5]}), tmp_path / f"ab.{suffix}")
    path = write_frame(pl.DataFrame({"a": [1], "b": [2.5]}), tmp_path / f"[ab]*.{suffix}")
    np.testing.assert_array_equal(data.load_table(path).X, [[1]])


def test_what_is_loaded_may_be_written_to(tmp_path):
    X, Y = data.load_table(write_frame(pl.DataFrame({**FRAME, "y": ROWS[:, 0]}), tmp_path / "t.parquet"))
    X += 1
    Y *= 2
    np.testing.assert_array_equal(X, ROWS.T + 1)
    np.testing.assert_array_equal(Y, [2 * ROWS[:, 0]])


# ---- categories, gaps, and what is odd ----

PEOPLE = """age,city,smokes,weight,late
31, Bern ,true,70.5,no
,Rome,false,81,yes
44,"Bern",true,,no
25,NA,false,66,yes
"""
PEOPLE_X = [
    [31, np.nan, 44, 25],
    [1, 0, 1, np.nan],
    [0, 1, 0, np.nan],
    [1, 0, 1, 0],
    [70.5, 81, np.nan, 66],
]


def test_text_is_a_row_for_each_category_and_gaps_are_means(table):
    dataset = data.load_table(table("people.csv", PEOPLE), missing="mean")
    assert dataset.feature_names == ("age", "city=Bern", "city=Rome", "smokes", "weight")
    means = np.nanmean(PEOPLE_X, axis=1, keepdims=True)
    np.testing.assert_allclose(dataset.X, np.where(np.isnan(PEOPLE_X), means, PEOPLE_X), rtol=1e-15)
    np.testing.assert_array_equal(dataset.missing, np.isnan(PEOPLE_X))
    assert dataset.remarks == ("missing values, filled by means: 'age' (row 2), 'city' (row 4), 'weight' (row 3)",)
    assert (dataset.labels, dataset.balance) == (("no", "yes"), {"no": 2, "yes": 2})


def test_gaps_are_filled_from_the_examples_that_are_asked_for(table):
    dataset = data.load_table(table("people.csv", PEOPLE), missing="mean").filled_from(np.array([0, 3]))
    np.testing.assert_array_equal(dataset.X[0], [31, 28, 44, 25])
    np.testing.assert_array_equal(dataset.X[:, 3], [25, 1, 0, 0, 66])
    assert [column.fill for column in dataset.columns] == [(28,), (1, 0), (0.5,), (68.25,)]
    nobody = data.load_table(table("people.csv", PEOPLE), missing="mean").filled_from(np.array([1]))
    assert nobody.X[0, 1] == pytest.approx((31 + 44 + 25) / 3)


def test_the_columns_that_a_model_remembers_read_another_table_as_the_first(table):
    dataset = data.load_table(table("people.csv", PEOPLE), missing="mean")
    known = json.loads(json.dumps({"columns": [dataclasses.asdict(column) for column in dataset.columns]}))
    columns = tables.columns_of(known)
    assert columns == dataset.columns
    frame = pl.read_csv(table("people.csv", PEOPLE)).select(pl.all().reverse())
    np.testing.assert_array_equal(tables.encode(frame, columns)[:, ::-1], dataset.X)


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        (
            "30,Berne,true,70",
            r"new: column 'city' holds 'Berne' in row 8, where only Bern, Rome are known: did you mean",
        ),
        ("old,Bern,true,70", "new: column 'age' holds 'old' in row 8, which is not a number"),
        ("30,,true,70", r"new: missing values in 'city' \(row 8\): the model was trained without"),
        ("30,Rome,true,inf", r"new: infinity in 'weight' \(row 8\)"),
    ],
)
def test_what_the_model_does_not_know_is_refused_with_its_place(table, cell, message):
    whole = "\n".join(line for line in PEOPLE.splitlines() if ",," not in line and ",NA" not in line and line[0] != ",")
    whole += "\n50,Rome,false,90,yes"
    columns = data.load_table(table("t.csv", whole)).columns
    frame = pl.read_csv(f"age,city,smokes,weight\n30,Bern,false,70\n{cell}\n".encode())
    with pytest.raises(ValueError, match=message):
        tables.encode(frame, columns, "new", first_row=7)
    with pytest.raises(ValueError, match=r"new must hold 'age', got \['city', 'smokes', 'weight'\]"):
        tables.encode(frame.drop("age"), columns, "new")


def test_a_row_that_was_cut_is_not_taken_for_missing_values(table):
    with pytest.raises(ValueError, match="line 4 has 1 fields where the header has 3"):
        data.load_table(table("t.csv", "a,b,c\n1,2,3.5\n4,,6\n7\n"), target="a", missing="mean")


def test_with_semicolons_decimals_may_have_commas(table):
    dataset = data.load_table(table("t.csv", "a;b;c\n-1,5;x,y;0,25\n2; 7,5 ;1\n0,5;x;1\n"))
    assert dataset.feature_names == ("a", "b=7,5", "b=x", "b=x,y")
    np.testing.assert_array_equal(dataset.X[0], [-1.5, 2, 0.5])
    np.testing.assert_array_equal(dataset.Y, [[0.25, 1, 1]])


@pytest.mark.parametrize("mark", [";", "\t"])
def test_semicolons_and_tabs_may_stand_for_commas(table, mark):
    dataset = data.load_table(table("t.csv", "a,b,c\n1,x,0.5\n2,y,1.5\n".replace(",", mark)))
    assert dataset.feature_names == ("a", "b=x", "b=y")


def test_words_keep_their_accents_quotes_and_commas(table):
    dataset = data.load_table(table("t.csv", 'a,b\n"Zürich, ""Stadt""",1.5\nµ,2.5\n'))
    assert dataset.feature_names == ('a=Zürich, "Stadt"', "a=µ")


def test_numbers_with_spaces_around_them_are_numbers(table):
    dataset = data.load_table(table("t.csv", "a,b\n 39, 1.5\n50 ,2.5\n"))
    np.testing.assert_array_equal(dataset.X, [[39, 50]])
    np.testing.assert_array_equal(dataset.Y, [[1.5, 2.5]])
    assert data.load_table(table("t.csv", "a,b\n 39, 1\n50 , 2\n")).labels == ("1", "2")


def test_task_decides_where_the_values_do_not(table):
    path = table("t.csv", "a,grade\n1,2.0\n2,3.5\n3,2.0\n")
    assert data.load_table(path).output == "identity"
    graded = data.load_table(path, task="classification")
    assert (graded.output, graded.labels, graded.Y.tolist()) == ("sigmoid", ("2", "3.5"), [[0, 1, 0]])
    path = table("t.csv", "a,stars\n1,2\n2,3\n3,5\n")
    np.testing.assert_array_equal(data.load_table(path, task="regression").Y, [[2, 3, 5]])
    with pytest.raises(ValueError, match="stars must be numbers for a regression, got 'b'"):
        data.load_table(table("t.csv", "a,stars\n1,b\n2,c\n"), task="regression")
    path = table("t.csv", "x,y\n1,1000001.0\n2,1000001.5\n3,1000002\n4,1000002\n")
    assert data.load_table(path, task="classification").labels == ("1000001", "1000001.5", "1000002")
    with pytest.raises(ValueError, match="y must hold classes, but all of its 21 values differ"):
        data.load_table(table("t.csv", "x,y\n" + "".join(f"1,{k}.5\n" for k in range(21))), task="classification")


def test_codes_are_categories_where_they_are_said_or_stored_so(table, tmp_path):
    path = table("t.csv", "zip,n, y \n01,1,0.5\n02,2,1.5\n")
    assert data.load_table(path).feature_names == ("zip", "n")
    assert data.load_table(path, categories=["zip", "n"]).feature_names == ("zip=01", "zip=02", "n=1", "n=2")
    path = write_frame(pl.DataFrame({"zip": ["01", "02"], "n": [1, 2], "y": [0.5, 1.5]}), tmp_path / "t.parquet")
    assert data.load_table(path, categories=["n"]).feature_names == ("zip=01", "zip=02", "n=1", "n=2")
    with pytest.raises(ValueError, match=r"must hold 'N', .*: did you mean 'n'"):
        data.load_table(path, categories=["N"])
    with pytest.raises(TypeError, match=r"drop must be a list of columns, got 'zip': \['zip'\]"):
        data.load_table(path, drop="zip")


def test_columns_are_left_out_by_name(table, npz):
    path = table("t.csv", "id,a,b\nq,1,2.5\nr,2,3.5\n")
    assert data.load_table(path, drop=["id"]).feature_names == ("a",)
    assert data.load_table(npz(X=ROWS, y=ROWS[:, 0]), drop=["x1"]).feature_names == ("x2",)
    with pytest.raises(ValueError, match=r"must hold 'idd', got \['id', 'a', 'b'\]: did you mean 'id'"):
        data.load_table(path, drop=["idd"])


def test_what_is_odd_is_remarked_upon(table):
    text = "a,b,c,d,t,y\n" + "".join(f"{k},7,{k},{k * k},{1.7e9 + 2 * k},{k % 3}.0\n" for k in range(25))
    assert data.load_table(table("t.csv", text)).remarks == (
        "constant, and so of no use: b",
        "the same numbers twice: c = a",
        "so far from 0, for their spread, that float32 loses digits; subtract an offset first: t",
        "a number for each row, which may tell nothing, or too much: a, c, d, t",
        "the target holds 3 different whole numbers, and is taken for a quantity: "
        "say task='classification' (--task classification) if these are classes",
    )


def test_ten_thousand_columns_are_read(tmp_path):
    X = np.random.default_rng(0).normal(size=(3, 10_000))
    path = write_frame(pl.DataFrame({f"c{k}": X[:, k] for k in range(10_000)}), tmp_path / "wide.csv")
    np.testing.assert_array_equal(data.load_table(path).X, X[:, :-1].T)
    with pytest.raises(ValueError, match=r"must hold 'c10000', got \['c0', .*'c9' and 9,990 more\]: did you mean 'c1"):
        data.load_table(path, target="c10000")


def test_a_matrix_in_an_npy_has_its_target_among_its_columns(tmp_path):
    np.save(tmp_path / "t.npy", ROWS)
    dataset = data.load_table(tmp_path / "t.npy")
    assert (dataset.feature_names, dataset.X.tolist(), dataset.Y.tolist()) == (
        ("x1",),
        [ROWS[:, 0].tolist()],
        [ROWS[:, 1].tolist()],
    )
    np.testing.assert_array_equal(data.load_table(tmp_path / "t.npy", target="x1").X, [ROWS[:, 1]])
    np.save(tmp_path / "t.npy", ROWS[:, 0])
    with pytest.raises(ValueError, match=r"must hold numbers \(m, n\), features and a target, got float64 \(4,\)"):
        data.load_table(tmp_path / "t.npy")


def test_options_that_are_not_there_are_refused(table):
    path = table("t.csv", "a,b\n1,2.5\n")
    with pytest.raises(ValueError, match="missing must be 'error', 'mean' or 'keep', got 'median'"):
        data.load_table(path, missing="median")
    with pytest.raises(ValueError, match="task must be 'classification' or 'regression', got 'guess'"):
        data.load_table(path, task="guess")


# ---- .npz ----


@pytest.mark.parametrize("name", ["Y", "y"])
@pytest.mark.parametrize("shape", [(4,), (4, 1)])
def test_npz_targets_are_read_as_a_column_or_a_row(npz, name, shape):
    dataset = data.load(npz(X=ROWS, **{name: np.array([3, 5, 5, 3]).reshape(shape)}))
    np.testing.assert_array_equal(dataset.X, ROWS.T)
    np.testing.assert_array_equal(dataset.Y, [[0, 1, 1, 0]])
    assert (dataset.output, dataset.labels, dataset.feature_names) == ("sigmoid", ("3", "5"), ("x1", "x2"))


@pytest.mark.parametrize(
    ("y", "output", "Y"),
    [
        (np.array(["u", "v", "u", "w"]), "softmax", [[1, 0, 1, 0], [0, 1, 0, 0], [0, 0, 0, 1]]),
        (np.array([True, False, True, True]), "sigmoid", [[1, 0, 1, 1]]),
        (np.float32([1, 2, 3, 4]), "identity", [[1, 2, 3, 4]]),
        (np.eye(3)[[2, 0, 1, 1]], "softmax", np.eye(3)[[2, 0, 1, 1]].T),
        (np.eye(2, dtype=int)[[1, 0, 1, 1]], "sigmoid", [[1, 0, 1, 1]]),
        (ROWS, "identity", ROWS.T),
        (np.array([[1, 1], [0, 0], [1, 0], [0, 1]]), "identity", [[1, 0, 1, 0], [1, 0, 0, 1]]),
    ],
)
def test_npz_targets_of_every_kind_find_their_head(npz, y, output, Y):
    dataset = data.load_table(npz(X=ROWS, y=y))
    assert dataset.output == output
    np.testing.assert_array_equal(dataset.Y, Y)


def test_npz_target_names_the_array(npz):
    assert data.load_table(npz(X=ROWS, y=ROWS[:, 0], kind=np.array([0, 1, 0, 1])), target="kind").output == "sigmoid"


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": ROWS, "y": ROWS}, r"must hold 'X', got \['x', 'y'\]"),
        ({"X": ROWS}, r"must hold 'y', got \[\]"),
        ({"X": ROWS[:, 0], "y": ROWS[:, 0]}, r"X must be numbers \(m, n_x\), got float64 \(4,\)"),
        ({"X": ROWS.astype(str), "y": ROWS[:, 0]}, r"X must be numbers \(m, n_x\), got <U32"),
        ({"X": ROWS.astype(complex), "y": ROWS[:, 0]}, "X must be numbers .* got complex128"),
        ({"X": ROWS, "y": np.ones(3)}, r"y must be \(m,\) or \(m, n_y\) with m = 4, got float64 \(3,\)$"),
        ({"X": ROWS[:3].T, "y": np.ones(3)}, "rows are examples, use X.T"),
        ({"X": ROWS, "y": np.ones((4, 0))}, r"y must be .* got float64 \(4, 0\)"),
        ({"X": ROWS, "y": np.array(1.0)}, r"y must be .* got float64 \(\)"),
        ({"X": ROWS, "y": np.full((4, 2), "a")}, r"y must be .* got <U1 \(4, 2\)"),
        ({"X": ROWS, "y": ROWS[:, 0] * 1j}, r"y must be .* got complex128"),
        ({"X": ROWS[:0], "y": ROWS[:0, 0]}, r"at least one row and one feature, got X \(m, n_x\) = \(0, 2\)"),
        ({"X": ROWS[:, :0], "y": ROWS[:, 0]}, r"at least one row and one feature, got X \(m, n_x\) = \(4, 0\)"),
        ({"X": np.array([[1.0, np.nan], [1, 2]]), "y": np.ones(2)}, r"missing values in 'x2' \(row 1\): fill them"),
        ({"X": np.array([[1.0, np.nan]] * 2), "y": np.ones(2)}, r"no values at all in 'x2' \(2, from row 1\)"),
        ({"X": np.array([[1.0, np.inf]]), "y": np.ones(1)}, r"infinity in 'x2' \(row 1\): drop"),
        ({"X": ROWS, "y": np.array([1.0, np.inf, np.nan, 2.0])}, r"NaN or infinity in 'y' \(2, from row 2\)"),
        ({"X": ROWS, "y": np.array([7, 7, 7, 7])}, "y must hold at least two classes, got '7' only"),
        ({"X": ROWS, "y": np.array([{}, {}, {}, {}])}, "not a readable .npz file: Object arrays cannot be loaded"),
    ],
)
def test_npz_that_does_not_fit_is_refused(npz, arrays, message):
    with pytest.raises(ValueError, match=message) as refusal:
        data.load_table(npz(**arrays))
    assert "table.npz" in str(refusal.value)


# ---- tables that are refused ----


@pytest.mark.parametrize(
    ("name", "contents", "message"),
    [
        ("t.csv", "a,b\n", "at least one row, got none"),
        ("t.csv", "a:b\n1:2\n", r"one column, \['a:b'\]"),
        (
            "t.csv",
            "a,b\n1,\n,3\n4,\n",
            r"'b' \(2, from row 1\) \(the last column, and so the target\): drop those rows",
        ),
        ("t.csv", "a,c,b\n1,,1\n,3,2\n4,,3\n", r"missing values in 'a' \(row 2\), 'c' \(2, from row 1\): fill"),
        ("t.csv", "a,b\nNA,1\nnan,2\n3,4\n", r"missing values in 'a' \(2, from row 1\)"),
        ("t.csv", "a,b\ninf,1.5\n-inf,2.5\n3,4\n", r"infinity in 'a' \(2, from row 1\)"),
        ("t.csv", "a,b\n1,inf\n2,0.5\n", r"NaN or infinity in 'b' \(row 1\)"),
        (
            "t.csv",
            "a,b\n1,x\n2,y\n?,y\n",
            r"column 'a' holds '\?' in row 3, which is not a number: leave the cell empty",
        ),
        (
            "t.csv",
            'a,b,c\n"1,555",0,x\n"2,225",0,y\n',
            r"column 'a' holds '1,555' in row 1, which is not a number: thousands must not",
        ),
        (
            "t.csv",
            "a,b\n" + "".join(f"no {k},1.5\n" for k in range(101)),
            r"column 'a' holds 101 .*'no 0'.*drop=\['a'\]",
        ),
        ("t.csv", "a,b\n1,0.5\n2,1.5\n3,n.a.\n", "column 'b' holds 'n.a.' in row 3, which is not a number"),
        ("t.csv", "a,b\n1,0\n2,1\n3,?\n", r"column 'b' holds '\?' in row 3, which is not a number"),
        ("t.csv", 'a,b\n"34,278",x\n"1,000",y\n', "'34,278' in row 1, which is not a number: thousands must not be"),
        (
            "t.csv",
            "a,b\n" + "".join(f"{k},no {k % 101}\n" for k in range(202)),
            "holds 101 different texts in 202 rows.*task='class",
        ),
        ("t.csv", "a,b,c\n2024-01-31,,x\n2024-02-01,,y\n", "'a' .* looks like a date.*; column 'b' holds no values"),
        (
            "t.csv",
            "a,b\n2024-01-31,1.5\n2024-02-01,2.5\n",
            "'2024-01-31' in row 1, which is not .* looks like a date: say what",
        ),
        (
            "t.csv",
            "a,b\n1,2024-01-31\n2,2024-02-01\n",
            "column 'b' holds '2024-01-31' in row 1, which is .* a date: say",
        ),
        ("t.csv", "a,b\n,1.5\n,2.5\n", "column 'a' holds no values: leave it out"),
        ("t.csv", "a,b\n ,1.5\n ,2.5\n", "column 'a' holds no values: leave it out"),
        (
            "t.csv",
            "5.1,3.5,setosa\n4.9,3.0,setosa\n",
            r"first line must name the columns, got numbers, \['5.1', '3.5',",
        ),
        ("t.csv", "7,2,1\n4,3,0\n", "the first line must name the columns, got numbers"),
        ("t.csv", "a,b\n1,yes\n2,yes\n", "b must hold at least two classes, got 'yes' only"),
        ("t.csv", "a,b\n1,4\n2,4\n", "b must hold at least two classes, got '4' only"),
        ("t.csv", "a,a,b\n1,2,3.5\n", "columns must have names, each its own"),
        ("t.csv", "a, a,b\n1,2,3.5\n", "columns must have names, each its own, got 'a' twice"),
        ("t.csv", ",a,b\n0,2,3.5\n", r"columns must have names, each its own, got .*to_csv\(index=False\)"),
        ("t.csv", "", "not a readable .csv file"),
        ("t.csv", "a,b\n1,2\n1,2,3\n", "not a readable .csv file: line 3 has 3 fields where the header has 2"),
        ("t.csv", 'a,b\n1,"x\n2,y\n', "not a readable .csv file: line 3: unexpected end of data"),
        (
            "t.csv",
            b"a,b\n1,2\n\xe5,1\n",
            "line 3 holds the byte b'\\\\xe5', which is not UTF-8: save it as UTF-8 first",
        ),
        ("t.csv", "a,b\n1,2\n".encode("utf-16"), "is UTF-16: save it as UTF-8 first"),
        ("t.tsv", "", "not a readable .tsv file"),
        ("t.parquet", "", "not a readable .parquet file"),
        ("t.parquet", b"PAR1" + bytes(100) + b"PAR1", "not a readable .parquet file"),
        ("t.npz", "", "not a readable .npz file"),
        ("t.npz", b"PK\x03\x04" + bytes(100), "not a readable .npz file"),
        ("t.npz", "a,b\n1,2\n", "not a readable .npz file"),
        ("t.feather", b"ARROW1" + bytes(50), "not a readable .feather file"),
        ("t.npy", b"\x93NUMPY" + bytes(50), "not a readable .npy file"),
        ("t.xlsx", "", "must end in .csv, .tsv, .parquet, .feather, .npz, .npy, got"),
    ],
)
def test_a_table_that_cannot_be_learned_from_is_refused_by_name(table, name, contents, message):
    with pytest.raises(ValueError, match=message) as refusal:
        data.load(table(name, contents))
    assert name in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_an_npy_array_named_npz_is_refused(tmp_path):
    with open(tmp_path / "t.npz", "wb") as file:
        np.save(file, ROWS)
    with pytest.raises(ValueError, match=r"t\.npz is not a readable .npz file"):
        data.load_table(tmp_path / "t.npz")


def test_a_target_that_is_not_there_is_told_its_neighbour(table, npz):
    path = table("t.csv", "length,species\n1,a\n2,b\n")
    with pytest.raises(ValueError, match=r"must hold 'specie', got \['length', 'species'\]: did you mean 'species'\?"):
        data.load_table(path, target="specie")
    with pytest.raises(ValueError, match=r"must hold 'zzz', got \['length', 'species'\]$"):
        data.load_table(path, target="zzz")
    with pytest.raises(ValueError, match=r"did you mean 'kind'\?"):
        data.load_table(npz(X=ROWS, kind=ROWS[:, 0]), target="kinds")


def test_dates_are_refused_as_features_and_as_target(tmp_path):
    days = pl.Series([1, 2, 3, 4]).cast(pl.Date)
    path = write_frame(pl.DataFrame({**FRAME, "day": days}), tmp_path / "t.parquet")
    with pytest.raises(ValueError, match=r"day \(the last .*\) must be text, boolean or numeric, got Date"):
        data.load_table(path)
    with pytest.raises(ValueError, match="column 'day' is of dates or times, such as '1970-01-02'"):
        data.load_table(path, target="width")
    assert data.load_table(path, target="width", drop=["day"]).feature_names == ("length",)


@pytest.mark.parametrize("name", ["none.csv", "none.parquet", "none.npz"])
def test_a_file_that_does_not_exist_is_file_not_found(tmp_path, name):
    with pytest.raises(FileNotFoundError, match=name):
        data.load(tmp_path / name)
    (tmp_path / name).mkdir()
    with pytest.raises(FileNotFoundError, match=name):
        data.load(tmp_path / name)


@pytest.mark.parametrize("suffix", ["csv", "parquet", "npz"])
def test_a_table_cut_anywhere_is_read_whole_or_refused(tmp_path, suffix):
    whole = tmp_path / f"whole.{suffix}"
    if suffix == "npz":
        np.savez_compressed(whole, X=ROWS, y=ROWS[:, 0])
    else:
        write_frame(pl.DataFrame({**FRAME, "kind": [1, 2, 1, 2]}), whole)
    contents, cut = whole.read_bytes(), tmp_path / f"cut.{suffix}"
    refused = 0
    for size in range(0, len(contents), max(1, len(contents) // 97)):
        cut.write_bytes(contents[:size])
        try:
            X, _ = data.load_table(cut)
        except ValueError as refusal:
            assert cut.name in str(refusal)  # noqa: PT017
            refused += 1
        else:
            assert suffix == "csv"
            np.testing.assert_array_equal(X, ROWS.T[:, : X.shape[1]])
    assert refused > (10 if suffix == "csv" else 90)


# ---- tiles of a file that is larger than memory ----


@pytest.fixture
def large(tmp_path):
    """A Parquet file of 50 rows in row groups of 20, with a boolean target in the middle, and its columns."""
    random = np.random.default_rng(0)
    columns = {"a": random.normal(size=50).astype(np.float32), "label": random.random(50) < 0.5, "b": np.arange(50)}
    pl.DataFrame(columns).write_parquet(tmp_path / "large.parquet", row_group_size=20)
    return tmp_path / "large.parquet", np.stack([columns["a"], columns["b"]]).astype(np.float64), columns["label"]


@pytest.mark.parametrize("rows", [1, 7, 20, 50, 1000])
def test_tiles_are_the_file_again_and_again(large, rows):
    path, X, label = large
    tiles = data.Tiles(path, "label", rows)
    for _ in range(2):
        parts = list(tiles)
        assert [part.shape[1] for part, _ in parts] == [min(rows, 50 - start) for start in range(0, 50, rows)]
        np.testing.assert_array_equal(np.concatenate([x for x, _ in parts], axis=1), X)
        np.testing.assert_array_equal(np.concatenate([y for _, y in parts], axis=1), label[None])


def test_a_parquet_file_is_streamed(large):
    path, X, label = large
    params = init(jax.random.key(0), 2, 3, hidden="tanh", scale=1.0)
    tiles = data.Tiles(path, "label", rows=17)
    J, grads = js.stream(js.cost_and_grads, 8)(params, tiles, l2=0.3)
    assert_close((J, grads), js.cost_and_grads(params, X, label[None], l2=0.3), "float32")
    assert_close(js.stream(js.losses)(params, tiles), js.losses(params, X, label[None]), "float32")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"b": ["1", "2", "3"]}, r"columns must be numeric or boolean, got 'b' \(String\)"),
        ({"b": [1.0, None, 3.0]}, r"missing values, NaN or infinity in 'b' \(row 2\)"),
        ({"b": [1.0, 2.0, float("nan")]}, r"missing values, NaN or infinity in 'b' \(row 3\)"),
        ({"labels": [1, 2, 3]}, "must hold 'label', got .*: did you mean 'labels'?"),
    ],
)
def test_tiles_that_cannot_be_learned_from_name_the_rows_and_columns(tmp_path, change, message):
    label = {} if "labels" in change else {"label": [0, 1, 1]}
    pl.DataFrame({"a": [1.0, 2.0, 3.0], **change, **label}).write_parquet(tmp_path / "t.parquet")
    with pytest.raises(ValueError, match=message):
        list(data.Tiles(tmp_path / "t.parquet", "label", rows=2))


def test_tiles_of_no_file_of_no_rows_and_of_no_parquet_are_refused(tmp_path, table):
    with pytest.raises(FileNotFoundError, match=r"there is no file .*: what is there is a folder, a pipe or a device"):
        data.Tiles(tmp_path)
    with pytest.raises(FileNotFoundError, match="there is no file"):
        data.Tiles(tmp_path / "none.parquet")
    with pytest.raises(ValueError, match="rows must be at least 1, got 0"):
        data.Tiles(table("t.parquet", "text"), rows=0)
    with pytest.raises(ValueError, match=r"is not a readable \.parquet file"):
        list(data.Tiles(table("t.parquet", "text")))
    pl.DataFrame({"a": [], "b": []}).write_parquet(tmp_path / "empty.parquet")
    with pytest.raises(ValueError, match=r"must hold at least one row, got none under \['a', 'b'\]"):
        list(data.Tiles(tmp_path / "empty.parquet"))
