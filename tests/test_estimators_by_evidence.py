"""alpha="evidence": the weight decay that the evidence finds, and error bars, in the estimators."""

import pickle

import jax
import numpy as np
import pytest
from cases import assert_close
from scipy.sparse import csr_array
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import jaxshallow as js
from jaxshallow.estimators import ShallowClassifier, ShallowRegressor, ShallowSearchCV
from jaxshallow.estimators.first import first_params

pytestmark = pytest.mark.usefixtures("as_in_numpy", "little_optimization")
SMALL = {"hidden_layer_sizes": (3,), "activation": "tanh", "solver": "lm", "random_state": 0, "max_iter": 30}
SEED = int(np.random.RandomState(0).randint(2**31 - 1))  # of the data, from random_state=0


def curve(m=40, noise=0.1):
    rng = np.random.default_rng(0)
    X = rng.uniform(-2, 2, (m, 1))
    return X, 50 + 20 * (np.sin(2 * X[:, 0]) + noise * rng.normal(size=m))


def test_a_regressor_has_the_error_bars_of_fit_evidence_in_the_units_of_y(tmp_path):
    X, y = curve()
    X_new = np.array([[0.0], [1.0], [6.0]])
    regressor = ShallowRegressor(alpha="evidence", n_members=2, **SMALL).fit(X, y)
    mean, deviation = regressor.predict(X_new, return_std=True)
    np.testing.assert_array_equal(mean, regressor.predict(X_new))
    assert regressor.alpha == "evidence"
    assert 0 < regressor.alpha_ < 1
    assert 1.4 < regressor.noise_ < 2.6  # 2 made the data, ± 2 / √(2 · 40)
    assert deviation[2] > 2 * deviation[0]  # less is known far away

    members = [gaussian.predict(X_new.T) for gaussian in regressor.posteriors_]
    means, own = (np.array(part)[:, 0].astype(float) for part in zip(*members, strict=True))
    assert len(means) == 2
    assert_close(deviation, np.sqrt((own**2).mean(axis=0) + means.var(axis=0)), "float32")

    with jax.enable_x64(True):  # the same by hand
        Y = (y - y.mean()) / y.std()
        start = first_params({"n_h": 3, "hidden": "tanh", "seed": 0}, 1, 1, "identity", SEED, np.float64)
        found = js.fit_evidence(start, X.T, Y[None], epochs=30, patience=11)
        one = ShallowRegressor(alpha="evidence", **SMALL).fit(X, y)
        assert_close(one.alpha_, found.l2, "float64, after training")
        assert_close(one.noise_, found.noise * y.std(), "float64, after training")
        expected = np.asarray(found.posterior.predict(X_new.T)[1])[0] * y.std()
        assert_close(one.predict(X_new, return_std=True)[1], expected, "float64, after training")

    one.save(tmp_path / "curve.safetensors")
    for again in (ShallowRegressor.load(tmp_path / "curve.safetensors"), pickle.loads(pickle.dumps(one))):
        np.testing.assert_array_equal(again.predict(X_new, return_std=True), one.predict(X_new, return_std=True))
        assert (again.alpha_, again.log_evidence_) == (one.alpha_, one.log_evidence_)
    piped = make_pipeline(StandardScaler(), clone(one)).fit(X, y)
    assert len(piped.predict(X_new, return_std=True)) == 2

    one.set_params(warm_start=True).fit(X, y)  # begins where it is
    assert one.log_evidence_ == pytest.approx(found.log_evidence, abs=0.1)
    one.set_params(alpha=0.1, warm_start=False, tol=10.0).fit(X, y)
    assert one.alpha_ is one.noise_ is one.log_evidence_ is one.posteriors_ is None
    with pytest.raises(ValueError, match="error bars are for alpha='evidence'"):
        one.predict(X_new, return_std=True)


def test_a_classifier_is_trained_by_the_evidence_and_has_a_posterior():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 2))
    labels = np.array(["a", "b", "c"])[np.digitize(X[:, 0] + 0.3 * rng.normal(size=60), [-0.5, 0.5])]
    classifier = ShallowClassifier(alpha="evidence", **SMALL).fit(csr_array(X), labels, sample_weight=np.full(60, 2.0))
    P = classifier.predict_proba(X)
    np.testing.assert_array_equal(classifier.predict(X), classifier.classes_[P.argmax(axis=1)])
    assert classifier.score(X, labels) > 0.8
    assert classifier.noise_ is None
    assert 0 < classifier.alpha_ < 100
    (gaussian,) = classifier.posteriors_
    with jax.enable_x64(True):
        moderated = np.asarray(gaussian.predict_proba(X.T)).T
    assert moderated.max(axis=1).mean() < P.max(axis=1).mean()


@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
def test_a_search_takes_the_evidence_as_a_candidate():
    X, y = curve()
    grid = {"alpha": ["evidence", 1e-3, 1e-2]}
    search = ShallowSearchCV(ShallowRegressor(**SMALL), grid, cv=2).fit(X, y)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert search.cv_results_["mean_test_score"][0] > 0.9


def test_what_does_not_go_with_the_evidence_is_refused():
    X, y = curve()
    with pytest.raises(ValueError, match=r"alpha must be 'evidence' or a number .*, got 'evidenz'"):
        ShallowRegressor(alpha="evidenz").fit(X, y)
    with pytest.raises(ValueError, match="early_stopping must be False for alpha='evidence'"):
        ShallowRegressor(alpha="evidence", early_stopping=True).fit(X, y)
    with pytest.raises(ValueError, match="X_val and y_val must not be given for alpha='evidence'"):
        ShallowRegressor(alpha="evidence", **SMALL).fit(X, y, X_val=X, y_val=y)
    with pytest.raises(ValueError, match="partial_fit needs a number for alpha"):
        ShallowRegressor(alpha="evidence").partial_fit(X, y)
    with pytest.raises(ValueError, match="needs more than 1 sample"):
        ShallowRegressor(alpha="evidence", **SMALL).fit(X[:1], y[:1])
    with pytest.raises(ValueError, match="Y must vary"):
        ShallowRegressor(alpha="evidence", **SMALL).fit(X, np.full_like(y, 3.0))
