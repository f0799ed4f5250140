import subprocess
import sys

import numpy as np
import pytest
import sklearn.datasets

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


# ---- load, and what need not be there ----


def test_an_unknown_name_lists_the_names():
    with pytest.raises(ValueError, match=r"flower, moons, .*, diabetes, got 'flwer': did you mean 'flower'\?"):
        data.load("flwer")
    with pytest.raises(ValueError, match=r"flower, moons, .*, diabetes, got 'zzz'$"):
        data.load("zzz")


def test_a_named_set_takes_no_target():
    with pytest.raises(ValueError, match="target is for tables: iris has its own, got 'species'"):
        data.load("iris", target="species")
    with pytest.raises(ValueError, match="missing, drop is for tables: iris is one of the library's own"):
        data.load("iris", missing="mean", drop=["a"], task=None)


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


def test_npz_and_the_flower_need_numpy_only(monkeypatch, npz):
    for module in ("sklearn", "sklearn.datasets", "polars"):
        monkeypatch.setitem(sys.modules, module, None)
    assert data.load("flower").X.shape == (2, 400)
    assert data.load(npz(X=np.ones((4, 2)), y=np.arange(4.0))).X.shape == (2, 4)


def test_importing_data_and_store_imports_no_extra():
    code = (
        "import sys, jaxshallow.data, jaxshallow.store; "
        "print(*sorted({'sklearn', 'polars', 'safetensors', 'matplotlib'} & set(sys.modules)))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert out.stdout.strip() == ""
