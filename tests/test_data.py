import subprocess
import sys

import jax
import numpy as np
import polars as pl
import pytest
import sklearn.datasets
from cases import assert_close

import jaxshallow as js
from jaxshallow import data

# name: n_x, m, n_y, output, examples per class
SETS = {
    "flower": (2, 400, 1, "sigmoid", (200, 200)),
    "moons": (2, 200, 1, "sigmoid", (100, 100)),
    "circles": (2, 200, 1, "sigmoid", (100, 100)),
    "blobs": (2, 200, 1, "sigmoid", (100, 100)),
    "quantiles": (2, 200, 1, "sigmoid", (100, 100)),
    "xor": (2, 200, 1, "sigmoid", None),
    "spiral": (2, 300, 3, "softmax", (100, 100, 100)),
    "digits": (64, 1797, 10, "softmax", (178, 182, 177, 183, 181, 182, 181, 179, 174, 180)),
    "breast_cancer": (30, 569, 1, "sigmoid", (212, 357)),
    "iris": (4, 150, 3, "softmax", (50, 50, 50)),
    "wine": (13, 178, 3, "softmax", (59, 71, 48)),
    "diabetes": (10, 442, 1, "identity", None),
}


def counts(Y):
    return tuple(int(n) for n in ([(Y == 0).sum(), (Y == 1).sum()] if len(Y) == 1 else Y.sum(axis=1)))


@pytest.fixture
def table(tmp_path):
    """Writes text or bytes to a file of the given name and returns its path."""

    def write(name, contents):
        path = tmp_path / name
        path.write_bytes(contents if isinstance(contents, bytes) else contents.encode())
        return path

    return write


@pytest.fixture
def npz(tmp_path):
    def write(**arrays):
        np.savez(tmp_path / "table.npz", **arrays)
        return tmp_path / "table.npz"

    return write


# ---- the course's data sets ----


def test_every_listed_set_is_tested():
    assert set(data.DATASETS) == set(SETS)


@pytest.mark.parametrize("name", SETS)
def test_each_set_has_the_shapes_labels_and_head_it_promises(name):
    n_x, m, n_y, output, balance = SETS[name]
    dataset = data.load(name)
    X, Y = dataset
    assert dataset.name == name
    assert dataset.output == output
    assert X.shape == (n_x, m)
    assert Y.shape == (n_y, m)
    assert X.dtype == Y.dtype == np.float64
    assert np.isfinite(X).all()
    assert len(dataset.feature_names) == n_x
    if output == "identity":
        assert dataset.labels == ()
        return
    assert set(np.unique(Y)) == {0.0, 1.0}
    assert len(dataset.labels) == max(n_y, 2)
    assert all(type(label) is str for label in (*dataset.labels, *dataset.feature_names))
    if output == "softmax":
        np.testing.assert_array_equal(Y.sum(axis=0), 1)
    if balance is not None:
        assert counts(Y) == balance


@pytest.mark.parametrize("name", SETS)
def test_each_set_is_the_same_at_every_call(name):
    (X, Y), (X_again, Y_again) = data.load(name), data.load(name)
    np.testing.assert_array_equal(X, X_again)
    np.testing.assert_array_equal(Y, Y_again)
    assert not np.shares_memory(X, X_again)


def test_flower_is_the_course_generator_draw_for_draw():
    random = np.random.RandomState(1)
    rows, labels = np.zeros((400, 2)), np.zeros((400, 1))
    for j in range(2):
        ix = range(200 * j, 200 * (j + 1))
        t = np.linspace(j * 3.12, (j + 1) * 3.12, 200) + random.randn(200) * 0.2
        r = 4 * np.sin(4 * t) + random.randn(200) * 0.2
        rows[ix] = np.c_[r * np.sin(t), r * np.cos(t)]
        labels[ix] = j
    X, Y = data.flower()
    np.testing.assert_array_equal(X, rows.T)
    np.testing.assert_array_equal(Y, labels.T)


def test_flower_begins_and_ends_with_the_same_values_on_every_machine():
    X, Y = data.flower()
    ends = [[1.204442292254319, 0.7307808250007513], [3.5761141481288448, 3.0683292081876545]]
    # the draws are NumPy's for ever; sin and cos may differ in the last place, and r cancels a digit or two
    np.testing.assert_allclose(X[:, [0, -1]], ends, rtol=1e-13)
    np.testing.assert_array_equal(Y[:, [0, 199, 200, -1]], [[0, 0, 1, 1]])


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (data.circles, lambda: sklearn.datasets.make_circles(200, factor=0.5, noise=0.3, random_state=0)),
        (data.moons, lambda: sklearn.datasets.make_moons(200, noise=0.2, random_state=0)),
        (data.blobs, lambda: sklearn.datasets.make_blobs(200, random_state=5, n_features=2, centers=6)),
        (
            data.quantiles,
            lambda: sklearn.datasets.make_gaussian_quantiles(
                mean=None, cov=0.5, n_samples=200, n_features=2, n_classes=2, shuffle=True, random_state=0
            ),
        ),
    ],
)
def test_the_course_sets_are_scikit_learns_with_examples_as_columns(ours, theirs):
    rows, labels = theirs()
    np.testing.assert_array_equal(ours().X, rows.T)
    np.testing.assert_array_equal(ours().Y, [labels % 2])


@pytest.mark.parametrize("make", [data.flower, data.moons, data.circles, data.blobs, data.quantiles, data.xor])
def test_m_and_seed_choose_the_size_and_the_draw(make):
    assert make(60, seed=3).X.shape == (2, 60)
    np.testing.assert_array_equal(make(60, seed=3).X, make(m=60, seed=3).X)
    assert not np.array_equal(make(60, seed=3).X, make(60, seed=4).X)


def test_spiral_arms_are_the_classes_and_two_arms_take_one_unit():
    assert counts(data.spiral(m=35, n_classes=5).Y) == (7,) * 5
    two = data.spiral(m=10, n_classes=2)
    assert (two.output, two.Y.shape, counts(two.Y)) == ("sigmoid", (1, 10), (5, 5))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: data.flower(7), "m must be a positive multiple of 2, got 7"),
        (lambda: data.flower(0), "m must be a positive multiple of 2, got 0"),
        (lambda: data.xor(0), "m must be a positive multiple of 1, got 0"),
        (lambda: data.moons(1), "m must be at least 2, got 1"),
        (lambda: data.spiral(100, 3), "m must be a positive multiple of 3, got 100"),
        (lambda: data.spiral(100, 1), "n_classes must be at least 2, got 1"),
    ],
)
def test_an_impossible_size_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


# ---- scaling ----


def test_scaling_gives_each_feature_mean_zero_and_deviation_one():
    X = data.wine().X
    mean, std = data.scaling(X)
    scaled = (X - mean) / std
    # sums of 178 float64 terms of order 1
    np.testing.assert_allclose(scaled.mean(axis=1), 0, atol=1e-13)
    np.testing.assert_allclose(scaled.std(axis=1), 1, rtol=1e-13)


@pytest.mark.parametrize("constant", [0.0, 0.1, -1e100])
def test_scaling_turns_a_constant_feature_to_exactly_zero(constant):
    X = np.full((1, 1001), constant)
    mean, std = data.scaling(X)
    np.testing.assert_array_equal(std, [[1.0]])
    np.testing.assert_array_equal((X - mean) / std, np.zeros_like(X))


def test_scaling_never_divides_by_a_spread_whose_square_underflows():
    X = np.array([[1e-200, 2e-200]])
    mean, std = data.scaling(X)
    np.testing.assert_array_equal(std, [[1.0]])
    assert np.isfinite((X - mean) / std).all()


@pytest.mark.parametrize("shape", [(3,), (3, 0)])
def test_scaling_refuses_what_is_not_a_matrix_of_examples(shape):
    with pytest.raises(ValueError, match="X must be"):
        data.scaling(np.zeros(shape))


# ---- tables that are read ----

ROWS = np.array([[0.5, -1.25], [1e-5, 3.0], [2.0, 4.0], [0.1, 7.5]])
FRAME = {"length": ROWS[:, 0], "width": ROWS[:, 1]}


def write_frame(frame, path):
    if path.suffix == ".parquet":
        frame.write_parquet(path)
    else:
        frame.write_csv(path, separator="\t" if path.suffix == ".tsv" else ",")
    return path


@pytest.mark.parametrize("suffix", ["csv", "tsv", "parquet", "CSV"])
@pytest.mark.parametrize(
    ("target", "output", "Y", "labels"),
    [
        (["dog", "cat", "dog", "cat"], "sigmoid", [[1, 0, 1, 0]], ("cat", "dog")),
        ([True, False, False, True], "sigmoid", [[1, 0, 0, 1]], ("false", "true")),
        ([10, 9, 9, 10], "sigmoid", [[1, 0, 0, 1]], ("9", "10")),
        (["c", "a", "b", "a"], "softmax", [[0, 1, 0, 1], [0, 0, 1, 0], [1, 0, 0, 0]], ("a", "b", "c")),
        ([0.0, 1.0, 1.0, 0.0], "identity", [[0, 1, 1, 0]], ()),
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
    rows = "".join(f"{i}.5,{i}\n" for i in range(n))
    assert data.load_table(table("many.csv", "a,b\n" + rows)).output == output
    assert data.load_table(npz(X=np.ones((n, 1)), y=np.arange(n))).output == output


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
    with pytest.raises(ValueError, match=r"numeric or boolean, got 'a' \('x'\)"):
        data.load_table(table("t.csv", late + "x,3\n"))


def test_blank_lines_and_a_byte_order_mark_are_skipped(table):
    dataset = data.load_table(table("t.csv", b"\xef\xbb\xbfa,b\r\n1,2.5\r\n\r\n3,4.5\r\n\r\n"))
    assert dataset.feature_names == ("a",)
    np.testing.assert_array_equal(dataset.X, [[1, 3]])


def test_a_file_name_with_a_glob_in_it_is_one_file(table):
    table("ab.csv", "a,b\n9,9.5\n")
    np.testing.assert_array_equal(data.load_table(table("[ab]*.csv", "a,b\n1,2.5\n")).X, [[1]])


def test_what_is_loaded_may_be_written_to(tmp_path):
    X, Y = data.load_table(write_frame(pl.DataFrame({**FRAME, "y": ROWS[:, 0]}), tmp_path / "t.parquet"))
    X += 1
    Y *= 2
    np.testing.assert_array_equal(X, ROWS.T + 1)
    np.testing.assert_array_equal(Y, [2 * ROWS[:, 0]])


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
        ({"X": np.array([[1.0, np.nan]]), "y": np.ones(1)}, r"NaN or infinity in 'x2' \(1\)"),
        ({"X": ROWS, "y": np.array([1.0, np.inf, np.nan, 2.0])}, r"NaN or infinity in 'y' \(2\)"),
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
        ("t.csv", "a;b\n1;2\n", r"one column, \['a;b'\]"),
        ("t.csv", "a,b\n1,\n,3\n4,\n", r"missing values in 'a' \(1\), 'b' \(2\)"),
        ("t.csv", "a,b,c\n1,2,3\n1,2\n", r"missing values in 'c' \(1\)"),
        ("t.csv", "a,b\nNA,1\nnan,2\n3,4\n", r"missing values in 'a' \(2\)"),
        ("t.csv", "a,b\ninf,1.5\n-inf,2.5\n3,4\n", r"NaN or infinity in 'a' \(2\)"),
        ("t.csv", "a,b\n1,inf\n2,0.5\n", r"NaN or infinity in 'b' \(1\)"),
        ("t.csv", "a,b,c,d\n1,x y,p,0\n2,z,q,1\n", r"numeric or boolean, got 'b' \('x y'\), 'c' \('p'\)"),
        ("t.csv", "a,b\n1,yes\n2,yes\n", "b must hold at least two classes, got 'yes' only"),
        ("t.csv", "a,b\n1,4\n2,4\n", "b must hold at least two classes, got '4' only"),
        ("t.csv", "a,a,b\n1,2,3.5\n", "columns must have names, each its own"),
        ("t.csv", ",a,b\n0,2,3.5\n", "columns must have names, each its own"),
        ("t.csv", "", "not a readable .csv file"),
        ("t.csv", "a,b\n1,2\n1,2,3\n", "not a readable .csv file"),
        ("t.csv", b"a,b\n\xe5,1\n", "not a readable .csv file"),
        ("t.tsv", "", "not a readable .tsv file"),
        ("t.parquet", "", "not a readable .parquet file"),
        ("t.parquet", b"PAR1" + bytes(100) + b"PAR1", "not a readable .parquet file"),
        ("t.npz", "", "not a readable .npz file"),
        ("t.npz", b"PK\x03\x04" + bytes(100), "not a readable .npz file"),
        ("t.npz", "a,b\n1,2\n", "not a readable .npz file"),
        ("t.xlsx", "", "must end in .csv, .tsv, .parquet or .npz"),
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
    with pytest.raises(ValueError, match="day must be text, boolean or numeric, got Date"):
        data.load_table(path)
    with pytest.raises(ValueError, match="features must be numeric or boolean, got 'day'"):
        data.load_table(path, target="width")


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


# ---- load, and what need not be there ----


def test_an_unknown_name_lists_the_names():
    with pytest.raises(ValueError, match=r"flower, moons, .*, diabetes, got 'flwer': did you mean 'flower'\?"):
        data.load("flwer")
    with pytest.raises(ValueError, match=r"flower, moons, .*, diabetes, got 'zzz'$"):
        data.load("zzz")


def test_a_named_set_takes_no_target():
    with pytest.raises(ValueError, match="target is for tables: iris has its own, got 'species'"):
        data.load("iris", target="species")


@pytest.mark.parametrize(
    ("module", "call", "fix"),
    [
        ("sklearn.datasets", data.moons, r"pip install 'jaxshallow\[sklearn\]'"),
        ("sklearn.datasets", data.iris, r"pip install 'jaxshallow\[sklearn\]'"),
        ("polars", None, r"pip install 'jaxshallow\[scripts\]'"),
    ],
)
def test_a_missing_package_is_named_with_its_command(monkeypatch, table, module, call, fix):
    path = table("t.csv", "a,b\n1,2.5\n")
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=fix):
        call() if call else data.load(path)


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
    params = js.init(jax.random.key(0), 2, 3, hidden="tanh", scale=1.0)
    tiles = data.Tiles(path, "label", rows=17)
    J, grads = js.stream(js.cost_and_grads, 8)(params, tiles, l2=0.3)
    assert_close((J, grads), js.cost_and_grads(params, X, label[None], l2=0.3), "float32")
    assert_close(js.stream(js.losses)(params, tiles), js.losses(params, X, label[None]), "float32")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"b": ["1", "2", "3"]}, r"columns must be numeric or boolean, got 'b' \(String\)"),
        ({"b": [1.0, None, 3.0]}, r"in rows 0 to 2, missing values, NaN or infinity in 'b' \(1\)"),
        ({"b": [1.0, 2.0, float("nan")]}, r"in rows 2 to 3, missing values, NaN or infinity in 'b' \(1\)"),
        ({"labels": [1, 2, 3]}, "must hold 'label', got .*: did you mean 'labels'?"),
    ],
)
def test_tiles_that_cannot_be_learned_from_name_the_rows_and_columns(tmp_path, change, message):
    label = {} if "labels" in change else {"label": [0, 1, 1]}
    pl.DataFrame({"a": [1.0, 2.0, 3.0], **change, **label}).write_parquet(tmp_path / "t.parquet")
    with pytest.raises(ValueError, match=message):
        list(data.Tiles(tmp_path / "t.parquet", "label", rows=2))


def test_tiles_of_no_file_of_no_rows_and_of_no_parquet_are_refused(tmp_path, table):
    with pytest.raises(FileNotFoundError, match="there is no file"):
        data.Tiles(tmp_path / "none.parquet")
    with pytest.raises(ValueError, match="rows must be at least 1, got 0"):
        data.Tiles(table("t.parquet", "text"), rows=0)
    with pytest.raises(ValueError, match=r"is not a readable \.parquet file"):
        list(data.Tiles(table("t.parquet", "text")))
    pl.DataFrame({"a": [], "b": []}).write_parquet(tmp_path / "empty.parquet")
    with pytest.raises(ValueError, match=r"must hold at least one row, got none under \['a', 'b'\]"):
        list(data.Tiles(tmp_path / "empty.parquet"))


def test_npz_and_the_flower_need_numpy_only(monkeypatch, npz):
    for module in ("sklearn", "sklearn.datasets", "polars"):
        monkeypatch.setitem(sys.modules, module, None)
    assert data.load("flower").X.shape == (2, 400)
    assert data.load(npz(X=ROWS, y=ROWS[:, 0])).X.shape == (2, 4)


def test_importing_data_and_store_imports_no_extra():
    code = (
        "import sys, jaxshallow.data, jaxshallow.store; "
        "print(*sorted({'sklearn', 'polars', 'safetensors', 'matplotlib'} & set(sys.modules)))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert out.stdout.strip() == ""
