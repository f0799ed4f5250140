"""The scikit-learn face among what its users bring: sparse rows, other targets, pipelines, processes, many lengths."""

import os
import signal
import subprocess
import sys
import warnings
from dataclasses import replace

import jax.numpy as jnp
import numpy as np
import pytest
import sklearn
from cases import programs_of
from scipy import sparse
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import TransformedTargetRegressor, make_column_transformer
from sklearn.datasets import load_wine
from sklearn.exceptions import DataConversionWarning
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.naive_bayes import GaussianNB
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import jaxshallow as js
from jaxshallow import forks
from jaxshallow.activations import HIDDEN
from jaxshallow.estimators import ShallowClassifier, ShallowRegressor, ShallowSearchCV, predicting, scales

pytestmark = [
    pytest.mark.usefixtures("as_in_numpy", "little_optimization"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]
RNG = np.random.default_rng(0)
X = RNG.standard_normal((60, 12)) * (RNG.random((60, 12)) < 0.3)
THREE = np.arange(60) % 3
LABELS = (RNG.random((60, 3)) < 0.4).astype(int)
QUICK = {"hidden_layer_sizes": (3,), "max_iter": 2, "random_state": 0}


def network(y=THREE, activation="relu", members=1):
    """A fitted classifier whose networks are drawn: training, the expensive part, is none of the point here."""
    fitted = ShallowClassifier(**QUICK).fit(X, y)
    (n_y, _), rng = fitted.members_[0].W2.shape, np.random.default_rng(1)
    shapes = {"W1": (3, 12), "b1": (3, 1), "W2": (n_y, 3), "b2": (n_y, 1)}
    fitted.members_ = [
        replace(
            fitted.members_[0],
            hidden=activation,
            **{name: rng.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()},
        )
        for _ in range(members)
    ]
    return fitted


# ---- sparse rows ----


def sparse_forms(dense):
    csr = sparse.csr_matrix(dense)
    where = np.nonzero(np.ones_like(dense))
    rows, columns = np.nonzero(dense)
    halves = np.tile(dense[rows, columns] / 2, 2)
    return {
        **{form: getattr(sparse, form)(dense) for form in ("csr_matrix", "csc_matrix", "coo_matrix", "lil_matrix")},
        **{form: getattr(sparse, form)(dense) for form in ("csr_array", "csc_array", "coo_array", "dok_array")},
        "int64": sparse.csr_array((csr.data, csr.indices.astype(np.int64), csr.indptr.astype(np.int64)), csr.shape),
        "explicit zeros": sparse.csr_matrix((dense[where], where), dense.shape),
        "said twice": sparse.coo_matrix((halves, (np.tile(rows, 2), np.tile(columns, 2))), dense.shape),
        "rows backwards": sparse.csr_array(csr[:, ::-1])[:, ::-1],
    }


def test_sparse_rows_train_and_predict_as_dense_ones():
    expected = ShallowClassifier(**QUICK).fit(X, THREE, X_val=X, y_val=THREE)
    for form, rows in sparse_forms(X).items():
        got = ShallowClassifier(**QUICK).fit(rows, THREE, X_val=rows, y_val=THREE)
        np.testing.assert_array_equal(got.coefs_[0], expected.coefs_[0], err_msg=form)
        # Sums of one float64 product in another order.
        np.testing.assert_allclose(got.predict_proba(rows), expected.predict_proba(X), rtol=1e-12, err_msg=form)
        np.testing.assert_array_equal(got.predict(rows), expected.predict(X), err_msg=form)
        assert got.score(rows, THREE) == expected.score(X, THREE)
    assert got.__sklearn_tags__().input_tags.sparse
    for dtype in (np.float32, np.int8, bool):
        dense, rows = (X * 5).astype(dtype), sparse.csc_array((X * 5).astype(dtype))
        of_dense, of_sparse = (ShallowRegressor(**QUICK).partial_fit(A, THREE).predict(A) for A in (dense, rows))
        np.testing.assert_allclose(of_sparse, of_dense, rtol=1e-12)
    narrow = ShallowClassifier(**QUICK).fit(X.astype(np.float32), THREE)
    with pytest.raises(ValueError, match="X holds numbers beyond float32"):
        narrow.predict(sparse.csr_array(X * 1e300))
    with pytest.raises(ValueError, match="Input X contains NaN"):
        expected.predict(sparse.csr_array(X * np.nan))


def test_a_search_and_an_activation_of_ones_own_take_sparse_rows(monkeypatch):
    rows, grid = sparse.coo_array(X), {"alpha": [0.1, 10.0]}
    of_dense, of_sparse = (
        ShallowSearchCV(ShallowClassifier(**QUICK), grid, cv=2, refit=False).fit(A, THREE).cv_results_
        for A in (X, rows)
    )
    np.testing.assert_array_equal(of_sparse["mean_test_score"], of_dense["mean_test_score"])
    monkeypatch.setitem(HIDDEN, "sine", js.Activation(jnp.sin))
    sine = network(activation="sine")
    np.testing.assert_allclose(sine.predict_proba(rows), sine.predict_proba(X), rtol=1e-5)  # both in float32


def test_the_sparse_output_of_transformers_is_taken_as_it_is():
    texts, kinds = ["the cat sat", "a dog ran off", "cat and dog"] * 20, ["x", "y", "z", "x"] * 15
    table = np.array([texts, kinds], dtype=object).T
    probabilities = []
    for sparsest in (1.0, 0.0):  # sparse, and made dense
        encoded = make_column_transformer(
            (TfidfVectorizer(), 0), (OneHotEncoder(), [1]), sparse_threshold=sparsest
        )  # fmt: skip
        assert sparse.issparse(encoded.fit_transform(table)) == bool(sparsest)
        pipeline = make_pipeline(encoded, ShallowClassifier(**QUICK)).fit(table, THREE)
        probabilities.append(pipeline.predict_proba(table))
    np.testing.assert_allclose(*probabilities, rtol=1e-12)


def test_several_labels_may_be_sparse_and_are_predicted_so(tmp_path):
    for form in (sparse.csr_matrix, sparse.csc_array):
        got = ShallowClassifier(**QUICK).fit(sparse.csr_array(X), form(LABELS))
        expected = ShallowClassifier(**QUICK).fit(X, LABELS)
        assert sparse.issparse(got.predict(X))
        assert sparse.issparse(MLPClassifier(**QUICK).fit(X, form(LABELS)).predict(X))
        np.testing.assert_array_equal(got.predict(X).toarray(), expected.predict(X))
        got.save(tmp_path / "several.safetensors")
        assert (ShallowClassifier.load(tmp_path / "several.safetensors").predict(X) != got.predict(X)).nnz == 0


def test_wide_sparse_rows_are_predicted_in_tiles_and_refused_for_training_where_they_do_not_fit(monkeypatch):
    wide = sparse.csr_array((np.ones(1000), np.arange(1000), np.arange(1001)), (1000, 10**9))
    with pytest.raises(ValueError, match=r"X is sparse, 1000 × 1000000000, .* GiB of this machine's .*partial_fit"):
        ShallowClassifier(**QUICK).fit(wide, np.arange(1000) % 2)
    classifier, expected = network(), network().predict_proba(X)
    monkeypatch.setattr(predicting, "NUMBERS", 3 * 16)
    monkeypatch.setattr(sparse.csr_array, "toarray", None)
    np.testing.assert_allclose(classifier.predict_proba(sparse.csr_array(X)), expected, rtol=1e-12)


# ---- probabilities ----


def test_probabilities_sum_to_one_and_their_logarithms_are_finite():
    for y, members in ((THREE, 1), (THREE > 1, 1), (THREE, 3), (THREE > 1, 3)):
        classifier = network(y, members=members)
        far = np.concatenate([X, 3e3 * X])  # where a float32 is 0 or 1
        P, logarithms = classifier.predict_proba(far), classifier.predict_log_proba(far)
        assert P.dtype == np.float64
        np.testing.assert_allclose(P.sum(axis=1), 1, rtol=0, atol=1e-12)
        assert (P == 0).any()
        assert np.isfinite(logarithms).all()
        np.testing.assert_allclose(np.exp(logarithms), P, rtol=1e-9, atol=1e-300)
        np.testing.assert_array_equal(classifier.classes_[P.argmax(axis=1)], classifier.predict(far))
        log_loss(y, P[:60])  # would warn
        calibrated = CalibratedClassifierCV(FrozenEstimator(classifier)).fit(X, y).predict_proba(X)
        np.testing.assert_allclose(calibrated.sum(axis=1), 1, rtol=0, atol=1e-12)
    several = network(LABELS, members=2)
    for rows in (X, 3e3 * X):  # far out several labels have 1
        P, logarithms = several.predict_proba(rows), several.predict_log_proba(rows)
        np.testing.assert_allclose(np.exp(logarithms), P, rtol=1e-9, atol=1e-300)
        np.testing.assert_array_equal(logarithms.argmax(axis=1), P.argmax(axis=1))


# ---- many lengths ----


@pytest.mark.parametrize("activation", ["relu", "tanh", "sigmoid", "leaky_relu", "identity"])
def test_numpy_predicts_as_jax_does_and_a_row_as_it_does_among_others(monkeypatch, activation):
    classifier = network(activation=activation, members=2)
    in_numpy = classifier.predict_proba(X)
    alone = np.concatenate([classifier.predict_proba(row[None]) for row in X])
    np.testing.assert_allclose(alone, in_numpy, rtol=1e-13)
    monkeypatch.setattr(predicting, "SMALL", 0)
    np.testing.assert_allclose(classifier.predict_proba(X), in_numpy, rtol=1e-4)  # float32
    np.testing.assert_array_equal(classifier.predict(X), in_numpy.argmax(axis=1))


def test_predictions_of_all_lengths_share_two_programs(monkeypatch):
    monkeypatch.setitem(HIDDEN, "sine", js.Activation(jnp.sin))
    long, lengths = np.tile(X, (60, 1)), np.random.default_rng(0).integers(1, 3600, 40)
    # So low that there are lengths for NumPy, for short tiles and for long ones.
    monkeypatch.setattr(predicting, "SMALL", 64 * 3 * (12 + 3 + predicting.ACTIVATION))
    monkeypatch.setattr(predicting, "LARGE", 16 * predicting.SMALL)
    for activation in ("relu", "sine"):
        classifier = network(activation=activation)
        expected = classifier.predict_proba(X)
        before = programs_of(predicting._scores)
        for length in (64, *lengths):
            got = classifier.predict_proba(long[:length])
            np.testing.assert_allclose(got, np.resize(expected, got.shape), rtol=1e-4)  # float32
        assert len(programs_of(predicting._scores).keys() - before.keys()) <= 2


# ---- processes ----

FORKS = """
import os, sys, warnings
import numpy as np
warnings.simplefilter("ignore")
from joblib import parallel_backend
from sklearn.model_selection import GridSearchCV, cross_val_score
import jax
import jaxshallow as js
from jaxshallow.estimators import ShallowClassifier, choosing
X, y = np.random.default_rng(0).standard_normal((40, 3)), np.arange(40) % 2
choosing.COMPILING = 0  # so that JAX trains
network = ShallowClassifier((2,), max_iter=1, random_state=0)

def in_child(work):
    child = os.fork()
    if not child:
        print(work(), flush=True)
        os._exit(0)
    os.waitpid(child, 0)

def refused(work, *arguments, **settings):
    try:
        return work(*arguments, **settings)
    except Exception as error:
        return type(error).__name__ + " forked 'loky' 'threading'" * all(
            word in str(error) for word in ("forked", "'loky'", "'threading'"))

in_child(lambda: refused(lambda: len(network.fit(X, y).members_)))  # JAX has not run yet
network.fit(X, y)
in_child(lambda: refused(network.fit, X, y))
in_child(lambda: in_child(lambda: refused(network.fit, X, y)))
in_child(lambda: len(network.predict(np.tile(X, (100_000, 1)))))
choosing.COMPILING = 1
in_child(lambda: len(network.fit(X, y).members_))
choosing.COMPILING = 0
params = js.init(jax.random.key(0), 3, 2)
for work in (
    lambda: js.fit(params, X.T, y[None], epochs=1), lambda: js.cost(params, X.T, y[None]),
    lambda: js.fit_many(jax.random.key(0), X.T, y[None], [{"n_h": 2}], epochs=1),
):
    in_child(lambda: refused(work))
with parallel_backend("multiprocessing"):
    print(refused(GridSearchCV(network, {"alpha": [0.1, 1.0]}, cv=2, n_jobs=2).fit, X, y))
    print(refused(cross_val_score, network, X, y, cv=2, n_jobs=2, error_score="raise"))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_training_in_a_forked_process_is_refused_where_it_would_hang():
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}
    process = subprocess.Popen(
        [sys.executable, "-c", FORKS], env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    try:
        printed, errors = process.communicate(timeout=120)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        raise
    assert process.returncode == 0, errors
    said = "RuntimeError forked 'loky' 'threading'"
    assert printed.splitlines() == [
        "1",
        said,
        said,
        "None",
        "4000000",
        "1",
        *[said] * 3,
        said.replace("Runtime", "Value"),
        said,
    ]


def test_this_process_is_not_taken_for_a_forked_one(monkeypatch):
    jnp.zeros(1).block_until_ready()
    owner = forks.Owner()
    owner.before_fork()
    assert owner.pid == os.getpid()
    monkeypatch.setattr(forks, "OWNER", owner)
    forks.refuse_after_fork()
    owner.pid += 1
    with pytest.raises(RuntimeError, match="forked from one in which JAX ran"):
        forks.refuse_after_fork()


# ---- validation through a pipeline ----


def wine():
    X, y = load_wine(return_X_y=True)
    X, X_test, y, y_test = train_test_split(X, y, random_state=0, stratify=y, test_size=0.2)
    X, X_val, y, y_val = train_test_split(X, y, random_state=0, stratify=y)
    return X, y, {"X_val": X_val, "y_val": y_val}, X_test, y_test


def test_validation_examples_that_a_pipeline_did_not_transform_are_remarked():
    X, y, validation, X_test, y_test = wine()
    network = ShallowClassifier((4,), learning_rate_init=0.05, max_iter=50, random_state=0)
    with pytest.warns(UserWarning, match=r"X_val is not on the scale of X: .*transform_input=\['X_val'\]"):
        Pipeline([("scaler", StandardScaler()), ("network", network)]).fit(
            X, y, **{f"network__{name}": value for name, value in validation.items()}
        )
    with sklearn.config_context(enable_metadata_routing=True):
        asking = sklearn.base.clone(network).set_fit_request(X_val=True, y_val=True)
        pipeline = Pipeline([("scaler", StandardScaler()), ("network", asking)], transform_input=["X_val"])
        pipeline.fit(X, y, **validation)
    scaler = StandardScaler().fit(X)
    validation["X_val"] = scaler.transform(validation["X_val"])
    expected = network.fit(scaler.transform(X), y, **validation)
    np.testing.assert_array_equal(pipeline["network"].coefs_[0], expected.coefs_[0])
    assert pipeline.score(X_test, y_test) > 0.95
    regressor = TransformedTargetRegressor(ShallowRegressor(**QUICK), transformer=StandardScaler())
    with pytest.warns(UserWarning, match="y_val is not on the scale of y: .*transform y_val as well"):
        regressor.fit(scaler.transform(X), 100.0 + y, **validation)


def test_ordinary_validation_examples_are_not_remarked():
    rng = np.random.default_rng(0)
    draws = {
        "normal": rng.standard_normal, "cauchy": rng.standard_cauchy,
        "rare": lambda size: (rng.random(size) < 0.02) * 1.0, "steps": lambda size: rng.integers(0, 3, size) * 1.0,
        "constant": np.ones, "one of time": lambda size: np.vstack([np.arange(size[1]), rng.random((9, size[1]))]),
    }  # fmt: skip
    for draw in draws.values():
        for n_x, m, m_val in ((1, 1000, 100), (10, 1000, 100), (30, 100, 10), (3, 3, 1), (1, 2, 500), (5, 40, 1)):
            scales.warn_of_another_scale("X", *np.split(draw((n_x, m + m_val)).T, [m]))
    X, *_ = wine()
    for scaled in (StandardScaler().fit_transform(X), X / X.max(axis=0), np.log1p(X), X * 1000):
        for A, A_val in ((scaled, X), (X, scaled)):
            with pytest.warns(UserWarning, match="is not on the scale"):
                scales.warn_of_another_scale("X", A, A_val[::3])


# ---- targets ----

HALF = np.arange(12) % 2
ONE = np.linspace(0, 1, 12)
TARGETS = {
    "text": np.array(["a", "b"] * 6), "digits": np.array(["1", "2"] * 6), "bytes": np.array([b"a", b"b"] * 6),
    "objects": np.array(["a", "b"] * 6, dtype=object), "list of text": ["a", "b"] * 6,
    "dates": np.array(["2020-01-01", "2020-01-02"] * 6, "M8[D]"), "durations": np.arange(12).astype("m8[s]"),
    "mixed": np.array(["a", 1] * 6, dtype=object), "records": np.zeros(12, [("a", int)]), "none": None,
    "some none": np.array([None, 1.0] * 6, dtype=object), "numbers": ONE, "NaN": np.where(HALF, np.nan, 1.0),
    "inf": np.where(HALF, np.inf, 1.0), "column": HALF[:, None], "column of numbers": ONE[:, None],
    "complex": HALF + 1j, "several numbers": np.stack([ONE, -ONE], axis=1),
    "several classes": np.stack([HALF, np.arange(12) % 3], axis=1), "lists of text": [["a", "b"]] * 12,
    "sets": [{1}, {2}] * 6, "ragged": [[1], [1, 2]] * 6, "cube": np.zeros((12, 2, 2)), "short": HALF[:5], "empty": [],
    "one number": 3, "dict": dict(enumerate(HALF)), "sparse column": sparse.csr_matrix(HALF[:, None]),
    "bool": HALF > 0, "objects of numbers": HALF.astype(object), "float16": HALF.astype(np.float16),
    "one class": np.zeros(12),
}  # fmt: skip
# Theirs is an error of NumPy's inside the fit, or of Python's; ours is one that says what is wrong with y.
BETTER = {("some none", "Classifier"): ValueError}


def outcome(estimator, y):
    """The type of the error, or the shape of predictions; and the warnings."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", DataConversionWarning)
        try:
            fitted = estimator.fit(np.linspace(-1, 1, 36).reshape(12, 3), y)
            result = fitted.predict(np.zeros((2, 3))).shape
        except Exception as error:
            result = TypeError if isinstance(error, TypeError) else type(error)  # NumPy's own are kinds of it
    return result, {one.category for one in caught if one.category is DataConversionWarning}


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::RuntimeWarning", "ignore::FutureWarning")
@pytest.mark.parametrize("kind", ["Classifier", "Regressor"])
def test_targets_are_taken_and_refused_as_by_the_mlp(kind):
    ours, theirs = {"Classifier": (ShallowClassifier, MLPClassifier), "Regressor": (ShallowRegressor, MLPRegressor)}[
        kind
    ]
    for name, y in TARGETS.items():
        got, expected = (outcome(make(hidden_layer_sizes=(2,), max_iter=1), y) for make in (ours, theirs))
        assert got == (BETTER.get((name, kind), expected[0]), expected[1]), name


def test_targets_that_are_no_numbers_are_named():
    for y, dtype in ((TARGETS["digits"], "<U1"), (TARGETS["dates"], "datetime64"), (TARGETS["records"], "'a'")):
        with pytest.raises(TypeError, match=f"y must be numbers, got .*{dtype}.*: convert it, or classify"):
            ShallowRegressor(**QUICK).fit(X[:12], y)


# ---- networks that come from the grid ----


def test_a_network_may_come_from_the_grid_of_a_search():
    steps = [("scaler", StandardScaler()), ("model", GaussianNB())]
    network = ShallowClassifier(**QUICK)
    grid = [
        {"model": [network, GaussianNB()], "scaler": [StandardScaler(), "passthrough"]},
        {"model": [network], "model__alpha": [0.1, 1.0]},
        {"model__var_smoothing": [0.1]},
    ]
    theirs = GridSearchCV(Pipeline(steps), grid, cv=2).fit(X, THREE)
    ours = ShallowSearchCV(Pipeline(steps), grid, cv=2).fit(X, THREE)
    assert str(ours.cv_results_["params"]) == str(theirs.cv_results_["params"])
    np.testing.assert_array_equal(ours.cv_results_["rank_test_score"], theirs.cv_results_["rank_test_score"])
    np.testing.assert_allclose(ours.cv_results_["mean_test_score"], theirs.cv_results_["mean_test_score"])
    assert str(ours.best_params_) == str(theirs.best_params_)
    assert ours.n_splits_ == 2
    with pytest.raises(TypeError, match="or the grid must bring one, got Pipeline"):
        ShallowSearchCV(Pipeline(steps), {"model__var_smoothing": [0.1, 1.0]}, cv=2).fit(X, THREE)
