"""The estimators beside scikit-learn's MLPs: its own tests, the same steps from the same weights, the same face."""

import inspect
import itertools
import json
import os
import re
import runpy
import subprocess
import sys
import warnings
from collections import Counter
from pathlib import Path

import jax
import numpy as np
import pytest
import sklearn
from sklearn.datasets import load_iris
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import mean_poisson_deviance
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.utils.fixes import parse_version

import jaxshallow as js
from jaxshallow import estimators
from jaxshallow.estimators import ShallowClassifier, ShallowRegressor

pytestmark = [
    pytest.mark.usefixtures("as_in_numpy", "little_optimization"),
    pytest.mark.skipif(
        parse_version(sklearn.__version__) < parse_version("1.9"), reason="the MLPs of earlier versions know less"
    ),
]
PAIRS = [(ShallowClassifier, MLPClassifier), (ShallowRegressor, MLPRegressor)]
IRIS = load_iris(return_X_y=True)
IRIS = (IRIS[0] - IRIS[0].mean(axis=0)) / IRIS[0].std(axis=0), IRIS[1]


# ---- scikit-learn's own tests ----

TWO_LAYERS = "its networks have two hidden layers"
STAY_OUT = {
    "test_mlp_classifier_dtypes_casting": TWO_LAYERS,
    "test_mlp_regressor_dtypes_casting": TWO_LAYERS,
    "test_mlp_param_dtypes": TWO_LAYERS,  # four cases
    "test_gradient": "calls the private _loss_grad_lbfgs; our gradients are tested against autodiff",
}
ON_OURS = """
import json, sys
import jax, pytest
import sklearn.neural_network
from jaxshallow.estimators import ShallowClassifier, ShallowRegressor

jax.config.update("jax_disable_most_optimizations", True)  # the time is nearly all compiling
sklearn.neural_network.MLPClassifier, sklearn.neural_network.MLPRegressor = ShallowClassifier, ShallowRegressor

class Outcomes(dict):
    def pytest_runtest_logreport(self, report):
        if report.when == "call" or report.skipped:
            self[report.nodeid.split("::")[-1]] = report.outcome

outcomes = Outcomes()
module = "sklearn.neural_network.tests.test_mlp"
pytest.main(["--pyargs", module, "-q", "-c", "/dev/null", "-p", "no:cacheprovider", "--tb=no"], plugins=[outcomes])
json.dump(outcomes, open(sys.argv[1], "w"))
"""


def test_scikit_learns_own_tests_of_its_mlp_pass_on_ours(tmp_path):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(js.__file__).parents[1]), *sys.path[1:]])}
    arguments = [sys.executable, "-c", ON_OURS, tmp_path / "outcomes.json"]
    run = subprocess.run(arguments, env=environment, cwd=tmp_path, capture_output=True, text=True)
    assert (tmp_path / "outcomes.json").exists(), run.stderr
    outcomes = json.loads((tmp_path / "outcomes.json").read_text())
    failed = {name for name, outcome in outcomes.items() if outcome == "failed"}
    assert Counter(outcomes.values())["passed"] > 40
    assert len(failed) <= 10
    assert {name.partition("[")[0] for name in failed} == {
        name for name in STAY_OUT if any(ran.startswith(name) for ran in outcomes)
    }, run.stdout


# ---- the steps of the solvers ----

N = 23  # so that the last minibatch is smaller
X = np.random.default_rng(0).standard_normal((N, 3))
STEPS = [
    *({"solver": "adam", "batch_size": size} for size in (5, 200)),
    {"solver": "adam", "batch_size": 5, "beta_1": 0.5, "beta_2": 0.9, "epsilon": 0.1},
    *(
        {"solver": "sgd", "learning_rate": schedule, "momentum": momentum, "nesterovs_momentum": nesterov,
         "batch_size": size, "power_t": 0.3, "tol": 0.2, "n_iter_no_change": 2}
        for schedule, nesterov, size, momentum in itertools.product(
            ("constant", "invscaling", "adaptive"), (True, False), (5, 200), (0.9, 0.0)
        )
    ),
    {"solver": "lbfgs"},
    {"solver": "lbfgs", "max_fun": 4},
]  # fmt: skip


def begun(estimator, y, n_outputs):
    """The estimator with weights that are assigned: the same for ours and theirs."""
    rng = np.random.default_rng(1)
    if isinstance(estimator, MLPClassifier | MLPRegressor):  # which needs more than its weights
        estimator.set_params(max_iter=1).fit(X, y).set_params(max_iter=8)
        if estimator.solver != "lbfgs":
            estimator.t_, estimator._no_improvement_count = 0, 0
            estimator.best_loss_, estimator.loss_curve_ = np.inf, []
    estimator.coefs_ = [rng.standard_normal(shape) * 0.5 for shape in ((3, 4), (4, n_outputs))]
    estimator.intercepts_ = [rng.standard_normal(n) * 0.5 for n in (4, n_outputs)]
    return estimator


def of_both(settings, pair, *, weights=None):
    y = np.arange(N) % 3 if pair is PAIRS[0] else X @ [1, 2, -1] + 0.1 * np.cos(np.arange(N))
    both = []
    for make in pair:
        settings = {"hidden_layer_sizes": (4,), "activation": "tanh", "alpha": 0.3, "max_iter": 8, "shuffle": False,
                    "learning_rate_init": 0.05, "warm_start": True, **settings}  # fmt: skip
        estimator = begun(make(**settings), y, 3 if pair is PAIRS[0] else 1)
        both.append(estimator.fit(X, y) if weights is None else estimator.fit(X, y, weights))
    return both


def agree(ours, theirs, tolerance, case):
    assert (ours.n_iter_, ours.t_) == (theirs.n_iter_, theirs.t_), case
    curves = getattr(theirs, "loss_curve_", [theirs.loss_])
    pairs = [*zip([*ours.coefs_, *ours.intercepts_], [*theirs.coefs_, *theirs.intercepts_], strict=True)]
    for got, expected in [*pairs, (ours.loss_curve_[-len(curves) :], curves)]:
        error = np.abs(np.subtract(got, expected)).max() / np.abs(expected).max()
        assert error < tolerance, (case, error)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning", "ignore:Got `batch_size`")
def test_every_solver_steps_as_that_of_the_mlp_from_the_same_weights(x64):
    rates = set()
    for settings in STEPS:
        ours, theirs = of_both(settings, PAIRS[0])
        agree(ours, theirs, 1e-12, settings)  # 40 steps at 1e-16, and L-BFGS-B's differences
        if settings.get("learning_rate") == "adaptive":
            assert ours._optimizer.learning_rate == pytest.approx(theirs._optimizer.learning_rate), settings
            rates.add(round(theirs._optimizer.learning_rate, 9))
    assert len(rates - {0.05}) > 0  # the rate has fallen
    for settings in ({"solver": "adam"}, {"solver": "lbfgs"}, {"solver": "lbfgs", "loss": "poisson"}):
        ours, theirs = of_both(settings, PAIRS[1]) if "loss" not in settings else counts()
        agree(ours, theirs, 1e-12, settings)
    weights = 0.1 + np.arange(N) % 4
    agree(*of_both(STEPS[0], PAIRS[0], weights=weights), 1e-12, "weights")
    # A second fit begins with the last weights and a new optimizer; "invscaling" goes on counting after an epoch.
    ours, theirs = of_both(STEPS[11], PAIRS[0])
    agree(ours.fit(X, np.arange(N) % 3), theirs.fit(X, np.arange(N) % 3), 1e-12, "a warm start")
    for _ in range(2):
        agree(ours.partial_fit(X, np.arange(N) % 3), theirs.partial_fit(X, np.arange(N) % 3), 1e-12, "partial_fit")


def counts():
    y = np.arange(N) % 5
    both = [
        begun(make(loss="poisson", hidden_layer_sizes=4, activation="tanh", solver="lbfgs", warm_start=True, max_iter=8,
                   alpha=0.3), y, 1).fit(X, y)
        for make in PAIRS[1]
    ]  # fmt: skip
    assert [estimator.out_activation_ for estimator in both] == ["exp", "exp"]
    np.testing.assert_allclose(both[0].predict(X), both[1].predict(X), rtol=1e-9)
    return both


# ---- the face ----


def public(estimator):
    return {name for name in dir(estimator) if not name.startswith("_") and hasattr(estimator, name)}


def on_purpose():
    """What the list of differences names, and what it quotes."""
    listed = estimators.__doc__.partition("on purpose:")[2]
    return set(re.findall(r"[A-Za-z_0-9]+", listed))


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_the_face_is_that_of_the_mlp_but_for_the_differences_that_are_listed():
    named = on_purpose()
    for make, like in PAIRS:
        parameters = inspect.signature(make).parameters
        expected = inspect.signature(like).parameters
        assert set(expected) <= set(parameters)
        assert {name: parameters[name].default for name in expected} == {n: p.default for n, p in expected.items()}
        positional = [n for n, p in expected.items() if p.kind is p.POSITIONAL_OR_KEYWORD]
        assert [n for n, p in parameters.items() if p.kind is p.POSITIONAL_OR_KEYWORD] == positional
        for settings in ({}, {"solver": "sgd"}, {"early_stopping": True}, {"solver": "lbfgs"}):
            settings = {"hidden_layer_sizes": (3,), "max_iter": 2, "random_state": 0, **settings}
            ours, theirs = (of(**settings).fit(*IRIS) for of in (make, like))
            assert public(theirs) - public(ours) <= named
            assert public(ours) - public(theirs) <= named, public(ours) - public(theirs) - named
            for name in (public(theirs) & public(ours)) - set(expected):
                got, wanted = getattr(ours, name), getattr(theirs, name)
                assert callable(got) == callable(wanted), name
                if callable(got) and not name.startswith("set_"):
                    takes = [inspect.signature(method).parameters for method in (got, wanted)]
                    assert list(takes[0])[: len(takes[1])] == list(takes[1]), name
                    assert set(takes[0]) - set(takes[1]) <= named
                elif not callable(got) and name not in ("feature_names_in_", "loss_", "best_loss_"):
                    assert type(got) is type(wanted), (name, settings)
                    assert getattr(got, "shape", ()) == getattr(wanted, "shape", ()), (name, settings)
            for name in ("n_iter_", "t_", "n_layers_", "n_outputs_", "out_activation_", "n_features_in_", "loss"):
                assert getattr(ours, name) == getattr(theirs, name), (name, settings)
            assert [[a.shape for a in of.coefs_ + of.intercepts_] for of in (ours, theirs)] == [
                [(4, 3), (3, ours.n_outputs_), (3,), (ours.n_outputs_,)]
            ] * 2


def warned(make, settings, *data, fits=1):
    estimator = make(hidden_layer_sizes=(3,), random_state=0, **settings)
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        for _ in range(fits):
            estimator.fit(*data)
    return [(one.category, Path(one.filename).parts[-3]) for one in seen], [str(one.message)[:30] for one in seen]


def test_warnings_are_those_of_the_mlp_and_come_from_the_library():
    X, y = IRIS
    cases = [
        ({"max_iter": 2}, (X, y), 1),
        ({"max_iter": 2, "warm_start": True}, (X, y), 2),
        ({"max_iter": 2, "solver": "lbfgs"}, (X, y), 1),
        ({"max_fun": 3, "solver": "lbfgs"}, (X, y), 1),
        ({"tol": 10.0, "n_iter_no_change": 1}, (X, y), 1),
        ({"tol": 10.0, "batch_size": 1000, "n_iter_no_change": 1}, (X, y), 1),
        ({"tol": 10.0, "n_iter_no_change": 1}, (X, y[:, None]), 1),
    ]
    for (make, like), (settings, data, fits) in itertools.product(PAIRS, cases):
        (ours, said), (theirs, expected) = (warned(of, settings, *data, fits=fits) for of in (make, like))
        assert [category for category, _ in ours] == [category for category, _ in theirs], settings
        if "solver" not in settings and data[1].ndim == 1:
            assert said == expected
        assert {place for category, place in ours if category is ConvergenceWarning} <= {"jaxshallow"}
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        warnings.filterwarnings("ignore", category=ConvergenceWarning, module="jaxshallow")
        ShallowClassifier((3,), max_iter=2, random_state=0).fit(X, y)
        ShallowClassifier((3,), max_iter=2, solver="lbfgs", random_state=0).fit(X, y)
    assert seen == []


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_weights_may_be_assigned_averaged_and_trained_further():
    X, y = IRIS
    settings = {"hidden_layer_sizes": (3,), "max_iter": 2, "warm_start": True, "random_state": 0}
    clients = [ShallowClassifier(**settings).fit(X[k::2], y[k::2]) for k in range(2)]
    coefs, intercepts = (
        [np.mean(layers, axis=0) for layers in zip(*(getattr(c, name) for c in clients), strict=True)]
        for name in ("coefs_", "intercepts_")
    )
    for client in clients:
        client.coefs_, client.intercepts_ = coefs, intercepts
    expected = js.forward(clients[0].members_[0], X.T.astype(np.float32)).A2.T
    np.testing.assert_allclose(clients[1].predict_proba(X), expected, rtol=1e-5, atol=1e-6)
    clients[0].coefs_[0][:] = 0  # in place as well
    assert np.ptp(clients[0].predict_proba(X), axis=0).max() < 1e-6
    clients[0].coefs_ = [np.zeros((4, 3)), np.zeros((3, 3))]
    clients[0].set_params(learning_rate_init=1e-12).fit(X, y)
    assert np.abs(clients[0].coefs_[1]).max() < 1e-9  # it went on from there
    clients[1].partial_fit(X, y)
    assert 0 < np.abs(clients[1].coefs_[0] - coefs[0]).max() < 0.1
    server = ShallowClassifier((3,), warm_start=True, max_iter=1, learning_rate_init=1e-12)  # never fitted
    server.coefs_, server.intercepts_ = coefs, intercepts
    np.testing.assert_allclose(server.fit(X, y).coefs_[0], coefs[0], atol=1e-6)
    server.coefs_ = [coefs[0].T, coefs[1]]
    with pytest.raises(ValueError, match=r"coefs_ must be \(n_features, n_hidden\) and .* got \[\(3, 4\), \(3, 3\)\]"):
        server.predict(X)
    server.coefs_ = [np.zeros((5, 3)), coefs[1]]
    with pytest.raises(ValueError, match=r"coefs_ must be \(n_features, n_hidden\) = \(4, 3\) .* got \(5, 3\)"):
        server.fit(X, y)


def test_a_warm_start_is_refused_where_it_cannot_go_on():
    X, y = IRIS
    settings = {"hidden_layer_sizes": (3,), "tol": 10.0, "n_iter_no_change": 1, "warm_start": True, "random_state": 0}
    classifier = ShallowClassifier(**settings).fit(X, y)
    before = classifier.coefs_[0].copy()
    for other in (np.minimum(y, 1), y + 1, np.arange(150) % 5, np.array(["a", "b", "c"])[y]):
        with pytest.raises(ValueError, match="warm_start can only be used where `y` has the same classes"):
            classifier.fit(X, other)
    np.testing.assert_array_equal(classifier.coefs_[0], before)
    classifier.fit(X, y)
    regressor = ShallowRegressor(**settings).fit(X, 1.0 + y)
    with pytest.raises(ValueError, match=r"\(n_hidden, n_outputs\) = \(3, 2\), got .* \(3, 1\)"):
        regressor.fit(X, np.stack([y, y], axis=1))
    with pytest.raises(ValueError, match="loss must stay as it was"):
        regressor.set_params(loss="poisson").fit(X, 1.0 + y)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_validation_scores_are_accuracies_and_r2_of_each_epoch():
    X, y = IRIS
    for make, target, solver in ((ShallowClassifier, y, "adam"), (ShallowRegressor, X[:, :2], "lbfgs")):
        whole = make((3,), solver=solver, max_iter=4, random_state=0).fit(X, target, X_val=X[::2], y_val=target[::2])
        assert len(whole.validation_scores_) == len(whole.validation_loss_curve_) == whole.n_iter_
        best = int(np.argmin(whole.validation_loss_curve_))
        assert whole.validation_scores_[best] == pytest.approx(whole.score(X[::2], target[::2]), abs=1e-5)
        assert whole.best_validation_score_ == max(whole.validation_scores_)
        assert whole.best_loss_ is None
    warm = ShallowClassifier((3,), max_iter=2, early_stopping=True, warm_start=True, random_state=0).fit(X, y).fit(X, y)
    assert len(warm.validation_scores_) == len(warm.loss_curve_) == 4
    with pytest.warns(ConvergenceWarning, match="not finite in iteration .*: the network is the best before"):
        lost = ShallowRegressor(
            activation="identity", solver="sgd", learning_rate_init=1, early_stopping=True, max_iter=20, random_state=0
        ).fit(X * 5, y)
    assert np.isnan(lost.validation_scores_[-1])
    assert np.isfinite(lost.predict(X)).all()
    assert np.isfinite([lost.best_validation_score_, lost.best_validation_loss_]).all()


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_lbfgs_computes_in_the_dtype_of_x_and_leaves_jax_as_it_was(in_jax):
    X, y = IRIS
    for dtype in (np.float32, np.float64):
        regressor = ShallowRegressor((3,), solver="lbfgs", max_iter=5, random_state=0).fit(
            X.astype(dtype), X[:, 1] ** 2
        )
        assert {A.dtype for A in regressor.coefs_ + regressor.intercepts_} == {np.dtype(dtype)}
        assert len(regressor.loss_curve_) == regressor.n_iter_ == 5
        assert regressor.loss_curve_[-1] == regressor.loss_
    assert js.init(jax.random.key(0), 2, 2).W1.dtype == np.float32
    ensemble = ShallowRegressor((3,), solver="lbfgs", max_iter=5, n_members=2, random_state=0).fit(X, X[:, 1] ** 2)
    costs = [
        float(js.cost(m, X.T.astype(np.float32), X[None, :, 1].astype(np.float32) ** 2)) for m in ensemble.members_
    ]
    assert costs[0] < costs[1]


def test_counts_have_a_head_of_their_own():
    X, y = IRIS
    regressor = ShallowRegressor("poisson", (3,), "tanh", max_iter=3, random_state=0)
    assert (regressor.loss, regressor.hidden_layer_sizes, regressor.activation) == ("poisson", (3,), "tanh")
    old = ShallowRegressor((3,), "tanh")
    assert (old.loss, old.hidden_layer_sizes, old.activation) == ("squared_error", (3,), "tanh")
    with pytest.raises(ValueError, match="y must be at least 0 for loss='poisson', got -1"):
        regressor.fit(X, y - 1)
    with pytest.raises(ValueError, match="loss must be one of squared_error, poisson, got 'huber'"):
        ShallowRegressor(loss="huber").fit(X, y)


def test_lines_are_printed_as_by_the_mlp(capsys):
    X, y = IRIS
    settings = {"tol": 10.0, "n_iter_no_change": 2, "verbose": True, "random_state": 0}
    texts = []
    for of in (ShallowClassifier, MLPClassifier):
        of((3,), **settings).fit(X, y)
        texts.append(re.sub(r"\d\.\d{8}", "…", capsys.readouterr().out))
    assert texts[0] == texts[1]
    assert texts[0].startswith("Iteration 1, loss = …")
    with pytest.warns(ConvergenceWarning):
        ShallowClassifier((3,), **{**settings, "tol": 0}, max_iter=2, solver="lbfgs").fit(X, y)
    assert "Iteration 1, loss" in capsys.readouterr().out


def test_the_head_for_counts_has_the_equations_and_exports_of_the_others(tmp_path, certify_only):
    certify_only(lambda execution: True, eager=lambda execution: execution.run is js.cost_and_grads)
    rng = np.random.default_rng(0)
    W1, W2 = rng.standard_normal((3, 2)).astype(np.float32), rng.standard_normal((2, 3)).astype(np.float32)
    params = js.Params(W1, W1[:, :1], W2, W2[:, :1], hidden="tanh", output="exp")
    X, Y = rng.standard_normal((2, 9)).astype(np.float32), rng.poisson(2.0, (2, 9)).astype(np.float32)
    grads, expected = js.manual_grads(params, X, Y, l2=0.1), jax.grad(js.cost)(params, X, Y, l2=0.1)
    for got, wanted in zip(jax.tree.leaves(grads), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-6)
    deviance = 2 * float(js.cost(params, X, Y))
    assert deviance == pytest.approx(2 * mean_poisson_deviance(Y.ravel(), js.forward(params, X).A2.ravel()), rel=1e-5)
    assert params.task == "regression"
    assert js.certify(params, X, Y, precisions=("highest",)).ok
    with pytest.raises(ValueError, match="Y must be at least 0 for output='exp', got -1"):
        js.fit(params, X, -Y / Y.max(), epochs=1, learning_rate=0.1)
    with pytest.raises(ValueError, match="gradients must be finite to be certified, got"):
        js.certify(js.Params(W1, W1[:, :1], 1000 * W2, W2[:, :1], hidden="tanh", output="exp"), X, Y)
    js.export(params, tmp_path / "model.py")
    written = runpy.run_path(str(tmp_path / "model.py"))
    np.testing.assert_allclose(written["forward"](X).A2, js.forward(params, X).A2, rtol=1e-5)
