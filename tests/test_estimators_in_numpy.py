"""Small problems are trained in NumPy: by the same steps as in JAX, without JAX, and in the dtype of X."""

import os
import subprocess
import sys

import jax
import numpy as np
import pytest
import threadpoolctl
from sklearn.neural_network import MLPClassifier, MLPRegressor

import jaxshallow as js
from jaxshallow import in_numpy
from jaxshallow.activations import HIDDEN
from jaxshallow.estimators import ShallowClassifier, ShallowRegressor, choosing, predicting
from jaxshallow.estimators.examples import Data, Examples
from jaxshallow.estimators.first import first_params
from jaxshallow.estimators.settings import Recipe
from jaxshallow.estimators.threads import one_blas_thread
from jaxshallow.training.epochs import words

pytestmark = [
    pytest.mark.usefixtures("as_in_numpy", "little_optimization"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]
RNG = np.random.default_rng(0)
M = 23  # so that the last minibatch is smaller
X = RNG.standard_normal((M, 3))
TWO, THREE, LABELS = np.arange(M) % 2, np.arange(M) % 3, (RNG.random((M, 2)) < 0.5).astype(int)
NUMBER, NUMBERS, COUNTS = X @ [1, 2, -1], X[:, :2] ** 2, np.arange(M) % 5
WEIGHTS = np.where(np.arange(M) % 7, 0.1 + np.arange(M) % 4, 0)  # of some examples 0

# ---- the same steps ----

SGD, EARLY = {"solver": "sgd", "learning_rate_init": 0.05}, {"early_stopping": True, "validation_fraction": 0.3}
PLATEAUS = {**SGD, "learning_rate": "adaptive", "tol": 0.2, "n_iter_no_change": 2}
# Every solver × activation × head × weights × validation at least once, each with something else beside it.
SAME = {
    "adam": (THREE, {"activation": "tanh", "batch_size": 5}),
    "adam, weights, early stopping": (TWO, {"weights": WEIGHTS, "batch_size": 5, **EARLY}),
    "adam, full batch, ensemble": (NUMBERS, {"activation": "logistic", "n_members": 2, "weights": WEIGHTS}),
    "adam, validation": (LABELS, {"activation": "leaky_relu", "batch_size": 5, "validated": True, "tol": 0.01}),
    "sgd": (COUNTS, {"activation": "tanh", "loss": "poisson", "batch_size": 5, **SGD}),
    "sgd, plain": (NUMBER, {"activation": "leaky_relu", "weights": WEIGHTS, "nesterovs_momentum": False, **SGD}),
    "invscaling": (THREE, {"weights": WEIGHTS, "learning_rate": "invscaling", "batch_size": 5, **EARLY, **SGD}),
    "adaptive": (TWO, {"activation": "identity", "batch_size": 5, "shuffle": False, **PLATEAUS}),
    "adaptive, validation": (COUNTS, {"loss": "poisson", "weights": WEIGHTS, "validated": True, **PLATEAUS}),
    "lbfgs": (THREE, {"solver": "lbfgs", "activation": "tanh", "weights": WEIGHTS, **EARLY}),
    "lbfgs, poisson": (COUNTS, {"solver": "lbfgs", "loss": "poisson", "activation": "logistic"}),
}


def trained(y, settings, fits):
    settings = {"alpha": 0.3, "max_iter": 8, "learning_rate_init": 0.02, "random_state": 1, **settings}
    weights, validated = settings.pop("weights", None), settings.pop("validated", False)
    classifies = np.asarray(y).dtype.kind == "i" and "loss" not in settings
    estimator = (ShallowClassifier if classifies else ShallowRegressor)(
        hidden_layer_sizes=4, warm_start=True, **settings
    )
    validation = {"X_val": X[::2], "y_val": y[::2]} if validated else {}
    for _ in range(fits):
        estimator.fit(X, y, weights, **validation)
    if not validated and not estimator.early_stopping and estimator.solver != "lbfgs":
        for _ in range(fits):
            estimator.partial_fit(X, y, weights)
    return estimator


@pytest.mark.parametrize("case", SAME)
def test_numpy_takes_the_steps_of_jax(x64, request, case):
    y, settings = SAME[case]
    ours = trained(y, settings, fits=2)
    request.getfixturevalue("in_jax")
    theirs = trained(y, settings, fits=2)
    assert (ours.n_iter_, ours.t_, ours._best_first.tolist()) == (
        theirs.n_iter_,
        theirs.t_,
        theirs._best_first.tolist(),
    )
    curves = [[*one.coefs_, *one.intercepts_, *(c or [] for c in one.curves_[0])] for one in (ours, theirs)]
    states = [one._state if one.solver != "lbfgs" else one._state.params for one in (ours, theirs)]
    for got, expected in (curves, states):
        for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9)  # of 1e-16, after 160 steps
    assert jax.tree.structure(states[0]) == jax.tree.structure(states[1])
    assert ours._in_numpy
    assert not theirs._in_numpy


@pytest.mark.parametrize("hidden", ["sigmoid", "tanh", "relu", "leaky_relu", "identity"])
@pytest.mark.parametrize("output", ["sigmoid", "softmax", "identity", "exp"])
def test_the_equations_in_numpy_keep_the_dtype_and_are_those_of_the_core(x64, hidden, output):
    rng = np.random.default_rng(2)
    leaves = [rng.standard_normal(shape) for shape in ((4, 3), (4, 1), (2, 4), (2, 1))]
    Y = np.eye(2)[:, TWO] if output == "softmax" else 1.0 * LABELS.T
    for weights, l2 in ((None, 0.0), (WEIGHTS, 0.3), (0 * WEIGHTS, 0.3)):
        params = js.Params(*leaves, hidden=hidden, output=output)
        J, grads = in_numpy.cost_and_grads(params, X.T, Y, weights=weights, l2=l2)
        expected_J, expected = js.cost_and_grads(params, X.T, Y, weights=weights, l2=l2)
        np.testing.assert_allclose(J, expected_J, rtol=1e-13)
        for name in ("W1", "b1", "W2", "b2"):
            np.testing.assert_allclose(getattr(grads, f"d{name}"), getattr(expected, name), rtol=1e-12, atol=1e-14)
        narrow = jax.tree.map(np.float32, (params, X.T, Y, weights))
        of_narrow = in_numpy.cost_and_grads(*narrow[:3], weights=narrow[3], l2=l2)
        assert {A.dtype for A in jax.tree.leaves(of_narrow)} == {np.dtype(np.float32)}


def test_the_order_of_minibatches_is_that_of_a_key():
    for seed in (0, 2**31 - 2):
        data = Data(Examples(X, TWO[:, None], None), None, "sigmoid", seed)
        assert data.key_words == words(jax.random.key(seed, impl="threefry2x32"))


def test_first_weights_have_the_distribution_of_the_mlps_and_do_not_depend_on_the_dtype():
    for hidden, activation in (("sigmoid", "logistic"), ("relu", "relu")):
        config = {"n_h": 200, "hidden": hidden, "seed": 0}
        wide, narrow = (first_params(config, 3, 1, "sigmoid", 5, dtype) for dtype in (np.float64, np.float32))
        theirs = MLPClassifier((200,), activation=activation, max_iter=1, learning_rate_init=1e-12).fit(X, TWO)
        layers = zip(jax.tree.leaves(wide), (theirs.coefs_[0], theirs.intercepts_[0], *theirs.coefs_[1:]), strict=False)
        for ours, drawn in layers:
            limits = [np.abs(weights).max() for weights in (ours, drawn)]
            assert limits[0] == pytest.approx(limits[1], rel=0.05)  # the largest of 200 uniform numbers or more
            assert abs(ours.mean()) < 0.2 * limits[0]  # 5 deviations
        for a, b in zip(jax.tree.leaves(wide), jax.tree.leaves(narrow), strict=True):
            np.testing.assert_array_equal(a.astype(np.float32), b)
        other = first_params({**config, "seed": 1}, 3, 1, "sigmoid", 5, np.float64)
        assert (wide.W1 != other.W1).all()


# ---- which of the two ----


def chosen(m, n_x, n_y=1, runs=1, *, validated=0, candidates=({},), **params):
    recipes = [Recipe.of(ShallowClassifier(**{**params, **own}).get_params()) for own in candidates]
    held_out = Examples(np.empty((validated, n_x)), np.empty((validated, n_y)), None) if validated else None
    data = Data(Examples(np.empty((m, n_x)), np.empty((m, n_y)), None), held_out, "sigmoid", 0)
    return choosing.is_for_numpy(recipes, data, runs)


def test_shapes_and_settings_alone_choose_between_numpy_and_jax(monkeypatch):
    monkeypatch.setitem(HIDDEN, "sine", js.Activation(jax.numpy.sin))
    assert chosen(569, 30)  # breast_cancer by default
    assert chosen(1000, 42, max_iter=5)
    assert not chosen(1797, 64, 10)  # digits by default
    assert not chosen(569, 30, candidates=[{"alpha": alpha} for alpha in range(6)])
    assert not chosen(569, 30, runs=6)
    assert not chosen(569, 30, n_members=6)
    assert not chosen(569, 30, activation="sine")
    assert not chosen(569, 30, max_iter=2000)
    assert not chosen(569, 30, batch_size=1)
    assert not chosen(569, 30, validated=50_000)
    assert chosen(569, 30, device="cpu")
    monkeypatch.setattr("jaxshallow.estimators.settings.devices", lambda device: [])
    assert not chosen(569, 30, device="gpu")


def test_what_partial_fit_has_begun_goes_on_where_it_began(monkeypatch):
    classifier = ShallowClassifier((3,)).partial_fit(X, TWO, classes=[0, 1])
    monkeypatch.setattr(choosing, "COMPILING", 0.0)
    classifier.partial_fit(X[:5], TWO[:5])
    assert classifier.coefs_[0].dtype == np.float64
    anew = ShallowClassifier((3,)).partial_fit(X, TWO, classes=[0, 1])
    monkeypatch.undo()
    anew.partial_fit(X[:5], TWO[:5])
    assert anew.coefs_[0].dtype == np.float32
    anew.set_params(warm_start=True, max_iter=3).fit(X, TWO)  # a new optimizer, and a new choice
    assert anew.coefs_[0].dtype == np.float64


WITHOUT_JAX = """
import warnings
import numpy as np
from jax._src import xla_bridge
from jaxshallow.estimators import ShallowClassifier, ShallowRegressor, ShallowSearchCV
warnings.simplefilter("ignore")
rng = np.random.default_rng(0)
for m, n_x, solver in ((60, 3, "adam"), (90, 7, "sgd"), (40, 2, "lbfgs")):
    X = rng.standard_normal((m, n_x))
    classifier = ShallowClassifier((4,), solver=solver, max_iter=3, early_stopping=True).fit(X, X[:, 0] > 0)
    classifier.score(X, X[:, 0] > 0), classifier.predict_proba(X), classifier.predict_log_proba(X)
    ShallowRegressor((4,), solver=solver, max_iter=3, n_members=2, warm_start=True).fit(X, X).fit(X, X).predict(X)
    ShallowSearchCV(ShallowClassifier(solver=solver, max_iter=3), {"alpha": [0.1, 1.0]}, cv=2).fit(X, X[:, 0] > 0)
ShallowClassifier((4,)).partial_fit(X, X[:, 0] > 0, classes=[False, True]).partial_fit(X, X[:, 0] > 0)
assert not xla_bridge.backends_are_initialized()
"""


def test_small_problems_are_fitted_predicted_and_searched_without_starting_jax():
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    result = subprocess.run([sys.executable, "-c", WITHOUT_JAX], env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


# ---- dtypes ----


def test_dtypes_are_those_of_the_mlp(either_way):
    in_jax = not choosing.COMPILING
    for (ours, theirs), y in (((ShallowClassifier, MLPClassifier), TWO), ((ShallowRegressor, MLPRegressor), NUMBER)):
        for of_fit in (np.float32, np.float64):
            mlp = theirs(hidden_layer_sizes=(3,), max_iter=1).fit(X.astype(np.float32 if in_jax else of_fit), y)
            estimator = ours(hidden_layer_sizes=(3,), max_iter=1).fit(X.astype(of_fit), y, sample_weight=WEIGHTS)
            assert [A.dtype for A in estimator.coefs_] == [A.dtype for A in mlp.coefs_]
            assert {leaf.dtype for leaf in jax.tree.leaves(estimator.members_)} == {np.dtype(np.float32)}
            for of_prediction in (np.float32, np.float64, np.int64):
                rows = X.astype(of_prediction)
                if ours is ShallowRegressor:
                    assert estimator.predict(rows).dtype == mlp.predict(rows).dtype
                else:
                    assert estimator.predict_proba(rows).dtype == mlp.predict_proba(rows).dtype
                    assert estimator.predict_log_proba(rows).dtype == mlp.predict_log_proba(rows).dtype


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_a_float64_network_keeps_its_numbers_in_predictions_and_in_its_file(tmp_path, monkeypatch, solver):
    regressor = ShallowRegressor((3,), activation="tanh", solver=solver, max_iter=5, random_state=0).fit(X, NUMBERS)
    (W1, W2), (b1, b2) = regressor.coefs_, regressor.intercepts_
    expected = np.tanh(X @ W1 + b1) @ W2 + b2
    np.testing.assert_allclose(regressor.predict(X), expected, rtol=1e-13)
    regressor.save(tmp_path / "model.safetensors")
    loaded = ShallowRegressor.load(tmp_path / "model.safetensors")
    np.testing.assert_array_equal(loaded.predict(X), regressor.predict(X))
    np.testing.assert_array_equal(loaded.coefs_[0], W1)
    with pytest.raises(ValueError, match=r"W1 is float64: first .*, or load\(path, dtype='float32'\)"):
        js.load(tmp_path / "model.safetensors")
    alone = js.load(tmp_path / "model.safetensors", dtype="float32")
    np.testing.assert_array_equal(alone.W1, np.float32(W1.T))
    monkeypatch.setattr(predicting, "SMALL", 0)  # JAX predicts
    np.testing.assert_allclose(regressor.predict(X), expected, rtol=1e-13)
    assert jax.numpy.zeros(1).dtype == np.float32


def test_weights_may_be_assigned_as_integers():
    regressor = ShallowRegressor((3,), max_iter=1).fit(X, NUMBERS)
    regressor.coefs_, regressor.intercepts_ = [[[1, 0, 2]] * 3, [[1, 2]] * 3], [[0, 1, 0], [0, 0]]
    hidden = np.maximum(X.sum(axis=1)[:, None] * [1, 0, 2] + [0, 1, 0], 0)
    np.testing.assert_allclose(regressor.predict(X), hidden @ ([[1, 2]] * 3))


# ---- threads ----


def test_blas_has_one_thread_until_the_last_has_left():
    def threads():
        return {one["num_threads"] for one in threadpoolctl.threadpool_info() if one["user_api"] == "blas"}

    with threadpoolctl.threadpool_limits(2, user_api="blas"):
        first, second = one_blas_thread(), one_blas_thread()
        first.__enter__()
        second.__enter__()
        first.__exit__(None, None, None)
        assert threads() == {1}
        second.__exit__(None, None, None)
        assert threads() == {2}
