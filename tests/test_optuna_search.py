"""Searches by Optuna, a batch at a time."""

import subprocess
import sys

import numpy as np
import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from jaxshallow.estimators import ShallowClassifier, ShallowOptunaSearchCV, ShallowRegressor, pool

pytestmark = [
    pytest.mark.usefixtures("as_in_numpy", "compiled_lightly"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]
optuna.logging.set_verbosity(optuna.logging.WARNING)

X, Y = load_iris(return_X_y=True)
SPACE = {"hidden_layer_sizes": IntDistribution(2, 6), "alpha": FloatDistribution(1e-4, 1.0, log=True)}
NETWORK = ShallowClassifier(max_iter=15, learning_rate_init=0.05, random_state=0)


def search(estimator=NETWORK, space=SPACE, **settings):
    return ShallowOptunaSearchCV(
        estimator, space, **{"n_trials": 6, "batch_size": 3, "cv": 3, "random_state": 0, **settings}
    )


def test_scores_are_those_of_each_candidate_alone_and_are_told():
    found = search().fit(X, Y)
    trials = found.study_.trials
    assert [trial.state for trial in trials] == [TrialState.COMPLETE] * 6
    assert found.cv_results_["params"] == [trial.params for trial in trials]
    for trial, score in zip(trials, found.cv_results_["mean_test_score"], strict=True):
        expected = cross_val_score(ShallowClassifier(**{**NETWORK.get_params(), **trial.params}), X, Y, cv=3)
        np.testing.assert_allclose(trial.user_attrs["split_scores"], expected, atol=1e-9)
        assert trial.value == pytest.approx(expected.mean()) == pytest.approx(score)
    assert found.best_score_ == found.study_.best_value
    assert found.best_params_ == found.study_.best_params
    assert found.predict(X).shape == Y.shape


def test_a_batch_is_one_training_for_each_fold(monkeypatch):
    runs, train = [], pool.train
    monkeypatch.setattr(pool, "train", lambda recipes, *a, **k: runs.append(len(recipes)) or train(recipes, *a, **k))
    search(n_trials=7, refit=False).fit(X, Y)
    assert sum(runs) == 7 * 3
    assert len(runs) == 3 * 3  # batches of 3, 3 and 1, three folds


def test_the_same_seed_tries_the_same_and_a_batch_is_not_one_candidate_again():
    first, again = (search().fit(X, Y).cv_results_["params"] for _ in range(2))
    assert first == again
    assert len({params["alpha"] for params in first}) == 6


def test_a_function_of_a_trial_defines_what_is_tried():
    def define(trial):
        solver = trial.suggest_categorical("solver", ["adam", "sgd"])
        more = {"momentum": trial.suggest_float("momentum", 0.1, 0.9)} if solver == "sgd" else {}
        return {"solver": solver, "hidden_layer_sizes": (trial.suggest_int("units", 2, 4),), **more}

    found = search(space=define, n_trials=8).fit(X, Y)
    assert {params["solver"] for params in found.cv_results_["params"]} == {"adam", "sgd"}
    assert found.best_estimator_.hidden_layer_sizes == found.best_params_["hidden_layer_sizes"]
    # A later call with the same study tries the best so far again, from its numbers.
    later = search(space=define, n_trials=1, study=found.study_).fit(X, Y)
    assert later.best_score_ >= found.best_score_ - 1e-9


def test_the_network_may_be_a_step_of_a_pipeline():
    space = {
        "shallowclassifier__alpha": FloatDistribution(1e-3, 1.0),
        "standardscaler__with_mean": CategoricalDistribution([True, False]),
    }
    found = search(make_pipeline(StandardScaler(), NETWORK), space).fit(X, Y)
    expected = GridSearchCV(
        make_pipeline(StandardScaler(), NETWORK), {name: [value] for name, value in found.best_params_.items()}, cv=3
    )
    assert found.best_score_ == pytest.approx(expected.fit(X, Y).best_score_)


OTHER = """
import sys, optuna
from sklearn.datasets import load_iris
from optuna.distributions import FloatDistribution
from jaxshallow.estimators import ShallowClassifier, ShallowOptunaSearchCV
study = optuna.load_study(study_name="iris", storage=sys.argv[1])
network = ShallowClassifier((4,), max_iter=15, learning_rate_init=0.05, random_state=0)
space = {"alpha": FloatDistribution(1e-4, 1.0, log=True)}
search = ShallowOptunaSearchCV(network, space, n_trials=4, batch_size=2, cv=3, study=study, refit=False)
search.fit(*load_iris(return_X_y=True))
"""


def test_a_study_is_shared_with_another_process_and_gone_on_from(tmp_path):
    storage = f"sqlite:///{tmp_path}/study.db"
    study = optuna.create_study(study_name="iris", storage=storage, direction="maximize")
    space = {"alpha": FloatDistribution(1e-4, 1.0, log=True)}
    network = ShallowClassifier(**{**NETWORK.get_params(), "hidden_layer_sizes": (4,)})
    first = search(network, space, study=study, n_trials=2).fit(X, Y)
    subprocess.run([sys.executable, "-c", OTHER, storage], check=True, env=None)
    last = search(network, space, study=optuna.load_study(study_name="iris", storage=storage), n_trials=2).fit(X, Y)
    assert len(last.study_.trials) == 8
    assert last.best_score_ == pytest.approx(last.study_.best_value)
    assert last.best_score_ >= first.best_score_


def test_candidates_that_fail_are_told_so_and_the_others_count():
    def define(trial):
        return {"alpha": trial.suggest_float("alpha", -1.0, 1.0)}  # a negative one is refused

    with pytest.warns(match="fits failed|non-finite"):
        found = search(space=define, n_trials=8, batch_size=8).fit(X, Y)
    for trial in found.study_.trials:
        assert trial.state == (TrialState.COMPLETE if trial.params["alpha"] >= 0 else TrialState.FAIL)
    assert found.best_params_["alpha"] >= 0


def test_an_error_leaves_no_trial_open():
    def define(trial):
        raise KeyboardInterrupt

    study = optuna.create_study(direction="maximize")
    with pytest.raises(KeyboardInterrupt):
        search(space=define, study=study).fit(X, Y)
    assert [trial.state for trial in study.trials] == [TrialState.FAIL] * 3


def test_callbacks_are_called_and_time_ends_a_search_after_a_batch():
    seen = []
    found = search(n_trials=100, timeout=0.0, callbacks=[lambda study, trial: seen.append(trial.number)]).fit(X, Y)
    assert len(found.study_.trials) == 3
    assert seen == [0, 1, 2]


def test_numbers_are_searched_by_any_score():
    y = X[:, 0] * X[:, 1]
    estimator = ShallowRegressor(max_iter=15, random_state=0)
    scoring = ["r2", "neg_mean_absolute_error"]
    found = search(estimator, scoring=scoring, refit="neg_mean_absolute_error").fit(X, y)
    assert found.study_.best_value == found.cv_results_["mean_test_neg_mean_absolute_error"].max()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_trials": 0}, "n_trials must be an integer of at least 1, got 0"),
        ({"batch_size": 2.5}, "batch_size must be an integer of at least 1, got 2.5"),
        ({"space": None}, "param_distributions must be .* a function of a trial, got None"),
        ({"study": optuna.create_study()}, "study must maximize one score, got .*MINIMIZE.*direction='maximize'"),
        ({"scoring": ["accuracy", "f1_macro"], "refit": False}, "refit must name one of the scores"),
    ],
)
def test_what_cannot_be_is_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        search(**settings).fit(X, Y)


def test_a_missing_optuna_is_named_with_its_command(monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(ImportError, match=r"pip install 'jaxshallow\[optuna\]'"):
        search().fit(X, Y)
