"""The scikit-learn face: its own contract suite, its MLP's answers, and its searches' results."""

import contextlib
import pickle
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import polars as pl
import pytest
from sklearn.base import clone
from sklearn.compose import TransformedTargetRegressor
from sklearn.datasets import load_diabetes, load_digits, load_iris, make_multilabel_classification
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.metrics import log_loss
from sklearn.model_selection import (
    GridSearchCV,
    RandomizedSearchCV,
    StratifiedKFold,
    cross_val_score,
    train_test_split,
)
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import check_random_state, estimator_checks

import jaxshallow as js
from jaxshallow.estimators import ShallowClassifier, ShallowRegressor, ShallowSearchCV, choosing, pool, training
from jaxshallow.estimators.first import first_params
from jaxshallow.estimators.settings import CONSTRAINTS, LASTING, PER_NETWORK, Recipe

pytestmark = [
    pytest.mark.usefixtures("as_in_numpy", "little_optimization"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]
IRIS = load_iris(return_X_y=True)
IRIS = (IRIS[0] - IRIS[0].mean(axis=0)) / IRIS[0].std(axis=0), IRIS[1]


# ---- scikit-learn's contract ----

CHECKED = [ShallowClassifier(max_iter=100), ShallowRegressor(max_iter=100)]
CONTRACT = estimator_checks.parametrize_with_checks(CHECKED)


# As a list: scikit-learn before 1.8 makes a generator of them, which pytest 9 warns of.
@pytest.mark.parametrize(CONTRACT.args[0], list(CONTRACT.args[1]), **CONTRACT.kwargs)
def test_the_contract_of_scikit_learn_is_kept(estimator, check):
    check(estimator)


def test_names_and_defaults_are_those_of_the_mlp():
    for ours, theirs in ((ShallowClassifier(), MLPClassifier()), (ShallowRegressor(), MLPRegressor())):
        expected = theirs.get_params()
        assert {name: ours.get_params()[name] for name in expected} == expected


# ---- the MLP's answers ----


def twins(settings, *, regression):
    """Our estimator, and an MLP that starts from the weights that ours draws; all examples are alike, so that their
    order is of no account."""
    X = np.tile(np.random.default_rng(0).standard_normal(3), (40, 1))
    y = np.full(40, 1.5) if regression else np.arange(40) % 2
    if not regression:
        settings = {**settings, "batch_size": 40}  # both classes in each
    settings = {**settings, "hidden_layer_sizes": (4,), "activation": "tanh", "random_state": 3}
    ours = (ShallowRegressor if regression else ShallowClassifier)(**settings).fit(X, y)
    theirs = (MLPRegressor if regression else MLPClassifier)(**{**settings, "max_iter": 1, "warm_start": True}).fit(
        X, y
    )
    seed = check_random_state(3).randint(2**31 - 1)
    start = first_params({"n_h": 4, "hidden": "tanh", "seed": 0}, 3, 1, "sigmoid", seed, np.float64)
    theirs.coefs_, theirs.intercepts_ = [start.W1.T.copy(), start.W2.T.copy()], [start.b1[:, 0], start.b2[:, 0]]
    theirs.t_, theirs._no_improvement_count, theirs.best_loss_, theirs.loss_curve_ = 0, 0, np.inf, []
    return ours, theirs.set_params(**settings).fit(X, y)


@pytest.mark.parametrize(
    "settings",
    [
        {"solver": "adam", "learning_rate_init": 0.1},
        {"solver": "adam", "beta_1": 0.5, "beta_2": 0.9},
        {"solver": "sgd", "learning_rate_init": 0.1},
        {"solver": "sgd", "nesterovs_momentum": False, "momentum": 0.5},
        {"solver": "sgd", "learning_rate": "invscaling", "learning_rate_init": 0.5, "momentum": 0, "power_t": 0.3},
        {"solver": "sgd", "learning_rate": "adaptive", "momentum": 0, "tol": 9.0, "n_iter_no_change": 2},
    ],
    ids=lambda settings: "-".join(str(value) for value in settings.values()),
)
def test_solvers_step_as_those_of_the_mlp(x64, in_jax, settings):
    regression = settings["solver"] == "sgd" and "nesterovs_momentum" not in settings  # the others classify
    ours, theirs = twins({"alpha": 0.5, "batch_size": 10, "max_iter": 12, **settings}, regression=regression)
    assert ours.n_iter_ == theirs.n_iter_
    for got, expected in zip([*ours.coefs_, ours.loss_curve_], [*theirs.coefs_, theirs.loss_curve_], strict=True):
        np.testing.assert_allclose(got, expected, rtol=0, atol=1e-12 * np.abs(expected).max())


@pytest.mark.parametrize(("n", "batch_size"), [(17, 1), (1000, 200), (203, 200)])
def test_an_epoch_has_the_minibatches_of_the_mlp(n, batch_size):
    X, y = np.random.default_rng(0).standard_normal((n, 3)), np.arange(n) % 2
    settings = {"hidden_layer_sizes": (2,), "batch_size": batch_size, "max_iter": 4, "random_state": 0}
    ours, theirs = (make(**settings).fit(X, y) for make in (ShallowClassifier, MLPClassifier))
    assert ours._state.opt_state[0].count == theirs._optimizer.t


def test_digits_are_read_as_well_as_by_the_mlp():
    X, y = load_digits(return_X_y=True)
    folds = StratifiedKFold(10, shuffle=True, random_state=0)
    scores = cross_val_score(make_pipeline(StandardScaler(), ShallowClassifier(random_state=0)), X, y, cv=folds)
    assert scores.mean() > 0.982 - 0.007  # the MLP's mean less one standard deviation over folds, measured likewise


def test_training_stops_where_the_mlp_would(x64):
    X, y = IRIS
    settings = {"learning_rate_init": 0.05, "tol": 1e-2, "n_iter_no_change": 3, "random_state": 0}
    ours, theirs = (make((8,), **settings).fit(X, y) for make in (ShallowClassifier, MLPClassifier))
    for curve in (ours.loss_curve_, theirs.loss_curve_):
        lowest = np.minimum.accumulate(curve)
        idle = np.array(curve[1:]) > lowest[:-1] - 1e-2
        assert len(curve) < 200
        assert idle[-4:].all()
        assert not any(idle[k : k + 4].all() for k in range(len(idle) - 4))


def test_not_having_converged_is_said():
    with pytest.warns(ConvergenceWarning, match="Maximum iterations"):
        ShallowClassifier((3,), max_iter=2).fit(*IRIS)


# ---- what its users asked for ----


def test_labels_may_be_strings_and_columns_have_names():
    X, y = IRIS
    frame = pl.DataFrame(X, schema=["a", "b", "c", "d"])
    names = np.array(["setosa", "versicolor", "virginica"])[y]
    classifier = ShallowClassifier((8,), solver="lbfgs", max_iter=50, random_state=0).fit(frame, names)
    assert classifier.classes_.tolist() == ["setosa", "versicolor", "virginica"]
    assert (classifier.predict(frame) == names).mean() > 0.95
    np.testing.assert_allclose(classifier.predict_proba(frame).sum(axis=1), 1, rtol=1e-6)
    np.testing.assert_allclose(np.exp(classifier.predict_log_proba(frame)), classifier.predict_proba(frame), rtol=1e-5)
    if not hasattr(StandardScaler().fit(frame), "feature_names_in_"):
        pytest.skip("this scikit-learn does not read the names of this polars")
    assert classifier.feature_names_in_.tolist() == ["a", "b", "c", "d"]
    with pytest.raises(ValueError, match="feature names should match"):
        classifier.predict(frame.rename({"a": "z"}))


def test_attributes_have_the_shapes_of_the_mlp():
    ours, theirs = (make((5,), max_iter=3, random_state=0).fit(*IRIS) for make in (ShallowClassifier, MLPClassifier))
    for name in ("coefs_", "intercepts_"):
        assert [a.shape for a in getattr(ours, name)] == [a.shape for a in getattr(theirs, name)]
    for name in ("n_iter_", "t_", "n_layers_", "n_outputs_", "out_activation_", "n_features_in_"):
        assert getattr(ours, name) == getattr(theirs, name)
    assert len(ours.loss_curve_) == len(theirs.loss_curve_) == 3
    assert ours.validation_loss_curve_ is None


def test_an_example_may_have_several_labels():
    X, Y = make_multilabel_classification(n_samples=80, n_classes=4, random_state=0)
    classifier = ShallowClassifier((20,), solver="lbfgs", max_iter=30, random_state=0).fit(X, Y)
    assert classifier.predict(X).shape == Y.shape
    assert classifier.score(X, Y) > 0.7
    assert classifier.out_activation_ == "logistic"


def test_class_weights_are_sample_weights():
    X, y = IRIS[0][50:], IRIS[1][50:]
    settings = {"hidden_layer_sizes": (4,), "max_iter": 30, "learning_rate_init": 0.01, "random_state": 0}
    by_class = ShallowClassifier(**settings, class_weight={1: 1, 2: 9}).fit(X, y)
    by_sample = ShallowClassifier(**settings).fit(X, y, sample_weight=np.where(y == 2, 9, 1))
    np.testing.assert_array_equal(by_class.coefs_[0], by_sample.coefs_[0])
    plain = ShallowClassifier(**settings).fit(X, y)
    assert (by_class.predict(X) == 2).sum() > (plain.predict(X) == 2).sum()
    balanced = ShallowClassifier(**settings, class_weight="balanced").fit(X[:70], y[:70])
    expected = ShallowClassifier(**settings).fit(X[:70], y[:70], sample_weight=np.where(y[:70] == 1, 0.7, 1.75))
    np.testing.assert_allclose(balanced.coefs_[0], expected.coefs_[0], rtol=1e-9)


def test_ones_own_validation_examples_stop_training_and_choose_the_best(either_way):
    X, y = IRIS
    wrong = (y[::3] + 1) % 3  # labels that get worse as training gets better
    classifier = ShallowClassifier((8,), learning_rate_init=0.05, n_iter_no_change=4, random_state=0)
    classifier.fit(X, y, X_val=X[::3], y_val=wrong)
    curve = np.array(classifier.validation_loss_curve_)
    assert len(curve) == classifier.n_iter_ == curve.argmin() + 1 + 5 < 200
    probabilities = classifier.predict_proba(X[::3])[np.arange(50), wrong]
    assert -np.log(probabilities).mean() == pytest.approx(curve.min(), rel=1e-5)
    assert classifier.best_validation_loss_ == curve.min()


def test_early_stopping_holds_examples_out():
    X, y = IRIS
    classifier = ShallowClassifier((8,), early_stopping=True, learning_rate_init=0.05, random_state=0).fit(X, y)
    assert classifier.t_ == 135 * classifier.n_iter_
    assert len(classifier.validation_loss_curve_) == classifier.n_iter_
    weights = 1.0 + y
    classifier.fit(X, y, sample_weight=weights)
    seed = check_random_state(0).randint(2**31 - 1)
    _, test = train_test_split(np.arange(150), test_size=0.1, random_state=seed, stratify=y)
    expected = log_loss(y[test], classifier.predict_proba(X[test]), sample_weight=weights[test])
    assert classifier.best_validation_loss_ == pytest.approx(expected, rel=1e-5)
    with pytest.raises(ValueError, match="validation set is too small"):
        ShallowRegressor(early_stopping=True, validation_fraction=0.02).fit(X[::3], y[::3])


def test_an_ensemble_averages_the_probabilities_of_its_members():
    X, y = IRIS
    ensemble = ShallowClassifier((4,), n_members=3, max_iter=20, random_state=0).fit(X, y)
    assert len(ensemble.members_) == 3
    each = [np.asarray(js.forward(member, X.T.astype(np.float32)).A2).T for member in ensemble.members_]
    np.testing.assert_allclose(ensemble.predict_proba(X), np.mean(each, axis=0), rtol=1e-5)
    costs = [float(js.cost(m, X.T.astype(np.float32), np.eye(3)[:, y].astype(np.float32))) for m in ensemble.members_]
    assert costs == sorted(costs)
    assert len(set(costs)) == 3
    with pytest.raises(ValueError, match="a mean of 3 networks"):
        ensemble.save("ensemble.safetensors")


def test_the_curve_of_an_ensemble_is_that_of_one_member(x64, either_way):
    X, y = IRIS
    settings = {"hidden_layer_sizes": (3,), "n_members": 4, "learning_rate_init": 0.05, "random_state": 1}
    whole = ShallowClassifier(**settings, max_iter=9, tol=0).fit(X, y)
    by_parts = ShallowClassifier(**settings)
    for _ in range(9):
        by_parts.partial_fit(X, y, classes=[0, 1, 2])
    np.testing.assert_allclose(by_parts.loss_curve_, whole.loss_curve_, rtol=1e-9)


def test_partial_fits_are_the_epochs_of_a_fit(x64, either_way):
    X, y = IRIS
    settings = {"hidden_layer_sizes": (4,), "batch_size": 64, "random_state": 0}
    whole = ShallowClassifier(**settings, max_iter=6).fit(X, y)
    by_parts = ShallowClassifier(**settings)
    for _ in range(6):
        by_parts.partial_fit(X, y, classes=[0, 1, 2])
    np.testing.assert_allclose(by_parts.coefs_[0], whole.coefs_[0], rtol=1e-9)
    np.testing.assert_allclose(by_parts.loss_curve_, whole.loss_curve_, rtol=1e-9)
    assert by_parts.t_ == whole.t_ == 6 * 150


def test_numbers_beyond_the_dtype_of_computation_are_refused(in_jax):
    with pytest.raises(ValueError, match="X holds numbers beyond float32"):
        ShallowClassifier().fit(IRIS[0] * 1e300, IRIS[1])


def test_what_a_warm_start_goes_on_from_must_stay():
    warm = ShallowClassifier((3,), max_iter=2, warm_start=True).fit(*IRIS)
    warm.set_params(alpha=1.0, learning_rate_init=0.1).fit(*IRIS)
    for change in ({"solver": "sgd"}, {"hidden_layer_sizes": (4,)}, {"n_members": 2}):
        with pytest.raises(ValueError, match=r"to go on, hidden_layer_sizes, .* must stay as they were"):
            clone(warm).fit(*IRIS).set_params(**change).fit(*IRIS)


def test_partial_fit_needs_all_classes_at_first():
    X, y = IRIS
    with pytest.raises(ValueError, match="classes must be passed on the first call"):
        ShallowClassifier().partial_fit(X, y)
    classifier = ShallowClassifier((3,)).partial_fit(X[:80], y[:80], classes=[0, 1, 2])
    assert classifier.predict_proba(X).shape == (150, 3)
    with pytest.raises(ValueError, match="has classes not in"):
        classifier.partial_fit(X, y + 1)
    with pytest.raises(ValueError, match="not the same as on last call"):
        classifier.partial_fit(X, y, classes=[0, 1])
    assert not hasattr(ShallowClassifier(solver="lbfgs"), "partial_fit")
    with pytest.raises(ValueError, match="does not support early_stopping"):
        ShallowRegressor(early_stopping=True).partial_fit(X, y)


@pytest.mark.parametrize("y", [IRIS[1], np.array(["a", "b", "c"])[IRIS[1]], IRIS[1] > 0, np.eye(3, dtype=int)[IRIS[1]]])
def test_a_saved_estimator_predicts_the_same(tmp_path, y):
    X = pl.DataFrame(IRIS[0], schema=["a", "b", "c", "d"])
    weights = None if y.ndim > 1 else {label: 2 for label in y}
    classifier = ShallowClassifier(np.int64(4), alpha=0.5, class_weight=weights, max_iter=5, random_state=0).fit(X, y)
    classifier.save(tmp_path / "model.safetensors")
    loaded = ShallowClassifier.load(tmp_path / "model.safetensors")
    np.testing.assert_array_equal(loaded.predict(X), classifier.predict(X))
    np.testing.assert_array_equal(loaded.predict_proba(X), classifier.predict_proba(X))
    assert (loaded.classes_ == classifier.classes_).all()
    assert loaded.classes_.dtype == classifier.classes_.dtype
    assert {**loaded.get_params()} == {**classifier.get_params()}
    assert (loaded.loss_, loaded.best_loss_) == (classifier.loss_, classifier.best_loss_)
    assert loaded.loss_curve_ == classifier.loss_curve_
    assert js.load(tmp_path / "model.safetensors", dtype="float32").W1.shape == (4, 4)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(classifier)).predict(X), classifier.predict(X))
    with pytest.raises(ValueError, match="does not hold a ShallowRegressor, but ShallowClassifier"):
        ShallowRegressor.load(tmp_path / "model.safetensors")
    with pytest.raises(
        ValueError, match="cannot continue training: loaded and search-fitted estimators have no optimizer state"
    ):
        loaded.partial_fit(X, y)
    assert loaded.set_params(warm_start=True).fit(X, y).n_iter_ == 5


def test_a_regressor_is_saved_too_and_takes_several_targets(tmp_path):
    X, y = load_diabetes(return_X_y=True, scaled=True)
    Y = np.stack([y, -y], axis=1) / y.std()
    regressor = ShallowRegressor((8,), solver="lbfgs", max_iter=30, random_state=0).fit(X * 20, Y)
    assert regressor.predict(X * 20).shape == (442, 2)
    assert regressor.score(X * 20, Y) > 0.5
    regressor.save(tmp_path / "model.safetensors")
    loaded = ShallowRegressor.load(tmp_path / "model.safetensors")
    np.testing.assert_array_equal(loaded.predict(X), regressor.predict(X))


def test_progress_of_many_is_shown_on_stderr_alone(capsys, monkeypatch):
    ShallowClassifier((3,), max_iter=4, n_members=2, verbose=True).fit(*IRIS)
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "100%" in printed.err
    monkeypatch.setitem(sys.modules, "rich.progress", None)
    with pytest.raises(ImportError, match=r"pip install 'jaxshallow\[scripts\]'"):
        ShallowClassifier((3,), n_members=2, verbose=True).fit(*IRIS)


@pytest.mark.parametrize("device", ["cpu", "cpu:0"])
def test_the_device_can_be_chosen(in_jax, device):
    classifier = ShallowClassifier((3,), max_iter=4, device=device, random_state=0).fit(*IRIS)
    expected = ShallowClassifier((3,), max_iter=4, random_state=0).fit(*IRIS)
    np.testing.assert_array_equal(classifier.predict_proba(IRIS[0]), expected.predict_proba(IRIS[0]))
    assert clone(classifier).device == pickle.loads(pickle.dumps(classifier)).device == device


def test_ctrl_c_keeps_what_has_been_trained(monkeypatch, either_way):
    def interrupting(*_):
        seen = []

        def callback(now):
            seen.append(now)
            if len(seen) > 3:
                raise KeyboardInterrupt

        return contextlib.nullcontext(callback)

    monkeypatch.setattr(training, "progress", interrupting)
    with pytest.warns(UserWarning, match="Training interrupted by user"):
        classifier = ShallowClassifier((3,), tol=0, max_iter=100).fit(*IRIS)
    assert 0 < classifier.n_iter_ < 100
    assert classifier.predict(IRIS[0]).shape == (150,)
    with pytest.raises(KeyboardInterrupt):
        ShallowSearchCV(ShallowClassifier((3,)), {"alpha": [0.1, 0.2]}, cv=2).fit(*IRIS)
    assert pool.current_pool.get() is None


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"hidden_layer_sizes": (100, 50)}, "one layer, such as .*one hidden layer; scikit-learn's MLP or Flax"),
        ({"hidden_layer_sizes": ()}, "one layer, such as"),
        ({"hidden_layer_sizes": 0}, "hidden_layer_sizes must be > 0"),
        ({"hidden_layer_sizes": (2.5,)}, "hidden_layer_sizes must be > 0"),
        ({"activation": "swish"}, "activation must be one of logistic, sigmoid, .*got 'swish'"),
        ({"activation": ["relu"]}, r"activation must be one of .*got \['relu'\]"),
        ({"max_iter": True}, "max_iter must be an integer of at least 1, got True"),
        ({"solver": "newton"}, "solver must be one of adam, sgd, lbfgs, lm, got 'newton'"),
        ({"learning_rate": "fast"}, "learning_rate must be one of constant"),
        ({"alpha": -1}, "alpha must be 'evidence' or a number from 0"),
        ({"alpha": "none"}, "alpha must be 'evidence' or a number from 0"),
        ({"learning_rate_init": 0}, "learning_rate_init must be a number above 0, got 0"),
        ({"momentum": 2}, "momentum must be a number from 0 to 1, got 2"),
        ({"max_iter": 0}, "max_iter must be an integer of at least 1, got 0"),
        ({"n_members": 1.5}, "n_members must be an integer of at least 1"),
        ({"batch_size": 0}, "batch_size must be 'auto' or an integer"),
        ({"shuffle": 0}, "shuffle must be True or False, got 0"),
        ({"n_iter_no_change": 2.5}, "n_iter_no_change must be inf or an integer of at least 1, got 2.5"),
        ({"beta_1": 1.0}, "beta_1 must be a number of at least 0 and below 1"),
        ({"device": "abacus"}, "device must be None or one that JAX has here, .*got 'abacus'"),
        ({"device": "cpu:99"}, "device must be None or one that JAX has here"),
    ],
)
def test_what_cannot_be_is_refused_by_name(settings, message):
    with pytest.raises(ValueError, match=message):
        ShallowClassifier(**settings).fit(*IRIS)


def recipe(**params):
    return Recipe.of(ShallowClassifier(**params).get_params())


def test_equal_recipes_are_one_training():
    ways = [(4,), [4], 4, np.int64(4), np.array([4])]
    assert len({recipe(hidden_layer_sizes=way) for way in ways}) == 1
    assert recipe(alpha=0.5) == recipe(alpha=np.float64(0.5)) != recipe(alpha=0.6)
    assert recipe(class_weight={0: 1, 1: 2}) == recipe(class_weight={0: 1, 1: 2}) != recipe(class_weight={0: 1, 1: 3})


def test_recipes_that_differ_in_the_network_alone_share_settings():
    assert len({recipe(**own).settings for own in ({}, {"alpha": 1.0, "activation": "tanh"}, {"momentum": 0.5})}) == 1
    assert len({recipe(**own).settings for own in ({}, {"tol": 0.1}, {"early_stopping": True}, {"solver": "sgd"})}) == 4
    drawn, other, fixed = (recipe(random_state=state).settings for state in (None, np.random.RandomState(0), 0))
    assert drawn == other != fixed


def test_constraints_are_on_parameters_that_there_are():
    for estimator in (ShallowClassifier(), ShallowRegressor()):
        assert {*CONSTRAINTS, *PER_NETWORK, *LASTING} <= set(estimator.get_params())


def test_other_mistakes_are_said():
    X, y = IRIS
    with pytest.raises(ValueError, match="X_val and y_val must be given together"):
        ShallowClassifier().fit(X, y, X_val=X)
    with pytest.raises(ValueError, match=r"classes not in .*: \[3\]"):
        ShallowClassifier().fit(X, y, X_val=X, y_val=y + 1)
    with pytest.raises(NotFittedError):
        ShallowClassifier().predict(X)
    with pytest.raises(ValueError, match=r"X holds numbers beyond float32, such as .*e\+300: scale them"):
        ShallowClassifier((2,), max_iter=1).fit(np.float32(X), y).predict(X * 1e300)
    with pytest.raises(ValueError, match="y_val must have 2 outputs as y has, got 1"):
        ShallowRegressor().fit(X, np.stack([y, y], axis=1), X_val=X, y_val=y)
    with pytest.raises(ValueError, match="all examples held out for validation weigh 0"):
        ShallowRegressor(early_stopping=True, random_state=0).fit(X, y, sample_weight=np.arange(150) == 0)
    with pytest.raises(ValueError, match="Negative values"):
        ShallowClassifier().fit(X, y, sample_weight=-np.ones(150))
    with pytest.raises(ValueError, match=r"the cost is not finite.*learning_rate_init is too large"):
        ShallowRegressor((3,), solver="sgd", learning_rate_init=1e9).fit(1e6 * X, y)


# ---- searching ----


def agree(ours, theirs):
    assert ours.cv_results_["params"] == theirs.cv_results_["params"]
    assert set(ours.cv_results_) == set(theirs.cv_results_)
    for name, expected in theirs.cv_results_.items():
        if "score" in name and "time" not in name:
            np.testing.assert_allclose(ours.cv_results_[name], expected, atol=1e-4, err_msg=name)
    assert ours.best_params_ == theirs.best_params_
    assert ours.best_index_ == theirs.best_index_


def count_trainings(monkeypatch):
    sizes = []
    for name in ("descend_in_numpy", "descend_in_jax"):
        real = getattr(training, name)
        monkeypatch.setattr(
            training, name, lambda *a, real=real: sizes.append(len(a[2])) or real(*a)
        )  # the third are the configs
    return sizes


def test_the_search_is_grid_search_in_one_training_a_fold(x64, monkeypatch, either_way):
    X, y = IRIS
    grid = {"alpha": [1e-4, 3.0], "learning_rate_init": [0.02, 0.03]}
    if choosing.COMPILING:  # in JAX `fit_many` draws networks of several forms itself
        grid = {"alpha": [1e-4, 3.0], "hidden_layer_sizes": [(2,), (3,)], "activation": ["tanh", "relu"]}
    estimator = ShallowClassifier((3,), learning_rate_init=0.02, max_iter=20, batch_size=40, random_state=1)
    settings = {"cv": 3, "scoring": ["accuracy", "neg_log_loss"], "refit": "neg_log_loss", "return_train_score": True}
    theirs = GridSearchCV(estimator, grid, **settings).fit(X, y)
    sizes = count_trainings(monkeypatch)
    ours = ShallowSearchCV(estimator, grid, **settings, n_jobs=-1).fit(X, y)
    assert sizes == [8 if choosing.COMPILING else 4] * 3 + [1]
    agree(ours, theirs)
    np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), rtol=1e-6)
    assert ours.n_jobs == -1
    assert len(set(ours.cv_results_["mean_fit_time"])) == 1
    assert clone(ours).get_params()["n_jobs"] == -1


def test_other_steps_are_fitted_on_each_fold_alone(x64, monkeypatch):
    X, y = load_iris(return_X_y=True)
    pipeline = make_pipeline(StandardScaler(), ShallowClassifier((4,), max_iter=10, random_state=0))
    name = "shallowclassifier__"
    grid = {
        "standardscaler": [StandardScaler(), StandardScaler(with_mean=False), "passthrough"],
        f"{name}alpha": [1e-4, 1.0],
        f"{name}early_stopping": [False, True],
    }
    theirs = GridSearchCV(pipeline, grid, cv=3).fit(X, y, shallowclassifier__sample_weight=1.0 + y)
    sizes = count_trainings(monkeypatch)
    ours = ShallowSearchCV(pipeline, grid, cv=3).fit(X, y, shallowclassifier__sample_weight=1.0 + y)
    assert sizes == [2] * 3 * 2 * 3 + [1]
    assert str(ours.cv_results_["params"]) == str(
        theirs.cv_results_["params"]
    )  # in this order, though trained otherwise
    np.testing.assert_allclose(ours.cv_results_["mean_test_score"], theirs.cv_results_["mean_test_score"])


def test_equals_are_decided_by_the_order_of_the_grid_and_all_see_the_same_splits():
    pipeline = make_pipeline(StandardScaler(), ShallowClassifier((2,), max_iter=1, random_state=0))
    grid = {"shallowclassifier__alpha": [1e-4, 1.0], "standardscaler__with_mean": [True, False]}
    seen = []

    def score(pipeline, X, y):
        seen.append(X.sum())
        return float((pipeline[-1].alpha == 1) == pipeline[0].with_mean)

    settings = {"cv": StratifiedKFold(2, shuffle=True), "scoring": score, "refit": False}
    ours = ShallowSearchCV(pipeline, grid, **settings).fit(*IRIS)
    assert ours.best_params_ == {"shallowclassifier__alpha": 1e-4, "standardscaler__with_mean": False}
    assert len(set(seen)) == 2


def test_candidates_are_drawn_as_by_randomized_search(x64):
    X, y = load_diabetes(return_X_y=True)
    regressor = TransformedTargetRegressor(
        ShallowRegressor((4,), learning_rate_init=0.05, max_iter=10, random_state=0), transformer=StandardScaler()
    )
    distributions = {
        "regressor__alpha": np.logspace(-4, 0, 50),
        "regressor__hidden_layer_sizes": [(n,) for n in (2, 3)],
    }
    theirs = RandomizedSearchCV(regressor, distributions, n_iter=4, cv=2, random_state=5).fit(X, y)
    ours = ShallowSearchCV(
        regressor, param_distributions=distributions, n_iter=4, cv=2, random_state=5
    ).fit(X, y)  # fmt: skip
    agree(ours, theirs)


def test_without_a_seed_candidates_share_one_and_train_together(monkeypatch):
    sizes = count_trainings(monkeypatch)
    estimator = ShallowClassifier((3,), max_iter=3, early_stopping=True, n_members=2)
    ShallowSearchCV(estimator, {"alpha": [0.1, 0.2, 0.3]}, cv=2).fit(*IRIS)
    assert sizes == [6, 6, 2]


def test_a_candidate_that_cannot_be_fails_alone():
    estimator = ShallowClassifier((3,), max_iter=3, random_state=0)
    grid = {"alpha": [0.1, -1.0]}
    with pytest.warns(match="2 fits failed out of a total of 4"), pytest.warns(match="scores are non-finite"):
        search = ShallowSearchCV(estimator, grid, cv=2).fit(*IRIS)
    assert np.isnan(search.cv_results_["mean_test_score"]).tolist() == [False, True]
    with pytest.raises(ValueError, match="alpha must be 'evidence' or a number"):
        ShallowSearchCV(estimator, grid, cv=2, error_score="raise").fit(*IRIS)


def test_a_candidate_that_does_not_fit_into_memory_fails_alone():
    search = ShallowSearchCV(
        ShallowClassifier(max_iter=2, random_state=0), {"hidden_layer_sizes": [(2,), (10**9,)]}, cv=2, refit=False
    )  # fmt: skip
    with pytest.warns(match="2 fits failed out of a total of 4"), pytest.warns(match="scores are non-finite"):
        search.fit(*IRIS)
    assert np.isnan(search.cv_results_["mean_test_score"]).tolist() == [False, True]


def test_searches_in_threads_do_not_meet():
    with ThreadPoolExecutor(2) as threads:
        searches = [
            threads.submit(ShallowSearchCV(ShallowClassifier((2,), max_iter=2), {"alpha": [0.1, 0.2]}, cv=k).fit, *IRIS)
            for k in (2, 3)
        ]
        assert [search.result().n_splits_ for search in searches] == [2, 3]
    one, other = (ShallowClassifier((2,), max_iter=2).fit(*IRIS) for _ in range(2))
    assert (one.coefs_[0] != other.coefs_[0]).any()


def test_a_search_says_what_it_cannot_do():
    with pytest.raises(ValueError, match="give param_grid or param_distributions, one of them"):
        ShallowSearchCV(ShallowClassifier()).fit(*IRIS)
    with pytest.raises(TypeError, match=r"must be a ShallowClassifier or ShallowRegressor, or hold one.*MLPClassifier"):
        ShallowSearchCV(MLPClassifier(), {"alpha": [1]}).fit(*IRIS)
    with pytest.raises(ValueError, match="Invalid parameter 'alphas'"):
        ShallowSearchCV(ShallowClassifier(), {"alphas": [1]}).fit(*IRIS)


def test_without_scikit_learn_the_extra_is_named():
    blocked = {name: sys.modules.pop(name) for name in list(sys.modules) if name == "jaxshallow.estimators"}
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setitem(sys.modules, "sklearn.base", None)
            with pytest.raises(ImportError, match=r"pip install 'jaxshallow\[sklearn\]'"):
                import jaxshallow.estimators  # noqa: F401
    finally:
        sys.modules.update(blocked)
