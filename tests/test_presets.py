"""Estimators that take tables as they are: presets, categories and gaps, bagging, intervals and sets."""

import datetime
import inspect
import pickle
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import polars as pl
import pytest
from sklearn.base import clone
from sklearn.linear_model import LinearRegression
from sklearn.metrics import accuracy_score, r2_score
from sklearn.model_selection import KFold, cross_val_score
from sklearn.preprocessing import StandardScaler
from sklearn.utils import estimator_checks

import jaxshallow as js
from jaxshallow.bayes.conformal import grouped, groups_of, thinned, upper_end, within
from jaxshallow.estimators import (
    PiecewiseLinearEncoder,
    RobustSmoothClipper,
    ShallowClassifier,
    ShallowRegressor,
    ShallowSearchCV,
)
from jaxshallow.estimators.cells import cells_of
from jaxshallow.estimators.networks import joined
from jaxshallow.estimators.presets import PRESETS
from jaxshallow.tables.features import fit_features

pytestmark = [
    pytest.mark.usefixtures("as_in_numpy", "compiled_lightly"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]

QUICK = {
    "hidden_layer_sizes": (8,), "learning_rate_init": 0.02, "max_iter": 20, "n_members": 3, "random_state": 0,
    "encoding": "piecewise linear",
}  # fmt: skip


def table(m=240, seed=0):
    """A frame with a gap in every column, and what it decides."""
    rng = np.random.default_rng(seed)
    a, b, c = rng.normal(50, 10, m), rng.choice(["red", "green", "blue"], m), rng.exponential(1e4, m)
    y = np.sin(a / 10) + (b == "red") * 2 + np.log1p(c) / 5 + 100
    frame = {"a": [None if k % 17 == 3 else float(v) for k, v in enumerate(a)], "b": b.tolist(), "c": c.tolist()}
    frame["b"][5] = None
    frame["c"][7] = None
    return pl.DataFrame(frame), y


FRAME, Y = table()
LABELS = np.where(np.median(Y) < Y, "high", "low")
KINDS = pytest.mark.parametrize(("make", "y"), [(ShallowRegressor, Y), (ShallowClassifier, LABELS)])


def answer(estimator, X):
    return estimator.predict(X) if isinstance(estimator, ShallowRegressor) else estimator.predict_proba(X)


# ---- scikit-learn's contract ----

# Without bagging, which is trained in JAX; a few seconds each would be minutes.
CHECKED = [
    make(preset="tables", **{**QUICK, "max_iter": 100}, bagging=None) for make in (ShallowClassifier, ShallowRegressor)
]
UNWEIGHTED = "edges and medians are those of the rows, whatever these weigh"
CONTRACT = estimator_checks.parametrize_with_checks(
    CHECKED,
    expected_failed_checks=lambda _: {
        f"check_sample_weight_equivalence_on_{kind}_data": UNWEIGHTED for kind in ("dense", "sparse")
    },
)


@pytest.mark.parametrize(CONTRACT.args[0], list(CONTRACT.args[1]), **CONTRACT.kwargs)
def test_the_contract_of_scikit_learn_is_kept(estimator, check):
    check(estimator)


# ---- presets ----


@KINDS
def test_a_preset_is_values_that_get_params_shows_and_clone_keeps(make, y):
    names = inspect.signature(make).parameters
    expected = {name: value for name, value in PRESETS["tables"].items() if name in names}
    shown = make(preset="tables").get_params(deep=False)
    assert {name: shown[name] for name in expected} == expected
    assert clone(make(preset="tables", beta_2=0.9)).get_params(deep=False) == {**shown, "beta_2": 0.9}
    assert make().get_params(deep=False) != shown


def test_what_is_given_beside_a_preset_counts_even_if_it_is_the_usual_default():
    default = ShallowRegressor()
    for name in PRESETS["tables"]:
        usual = getattr(default, name)
        assert getattr(ShallowRegressor(preset="tables", **{name: usual}), name) == usual
    assert ShallowRegressor((7,), preset="tables").hidden_layer_sizes == (7,)
    assert ShallowRegressor("poisson", (7,), "tanh", preset="tables").activation == "tanh"
    assert ShallowClassifier((7,), preset="tables").hidden_layer_sizes == (7,)


def test_set_params_fills_in_a_preset_too():
    estimator = ShallowClassifier().set_params(preset="tables", n_members=2)
    assert (estimator.n_members, estimator.average, estimator.beta_2) == (2, "logits", 0.95)
    assert estimator.set_params(alpha=1.0).average == "logits"


def test_a_preset_that_there_is_not_is_refused_when_fitted():
    with pytest.raises(ValueError, match="preset must be None or one of tables, got 'trees'"):
        ShallowClassifier(preset="trees").fit(np.eye(4), [0, 1, 0, 1])


@KINDS
def test_a_table_with_text_and_gaps_is_fitted_as_it_is(make, y):
    estimator = make(preset="tables", **{**QUICK, "max_iter": 60}).fit(FRAME, y)
    assert estimator.score(FRAME, y) > 0.8
    assert [column.name for column in estimator.features_.columns] == ["a", "b", "c"]
    assert estimator.n_features_in_ == 3
    unknown = FRAME.with_columns(b=pl.lit("violet"), a=pl.lit(None, pl.Float64), c=pl.lit(1e300))
    assert np.isfinite(np.asarray(answer(estimator, unknown), float)).all()
    if hasattr(StandardScaler().fit(FRAME.select("a")), "feature_names_in_"):  # else it reads no names of polars
        assert estimator.feature_names_in_.tolist() == ["a", "b", "c"]
        with pytest.raises(ValueError, match="feature names should match"):
            estimator.predict(FRAME.rename({"a": "z"}))


@KINDS
def test_pickles_and_files_predict_the_same(make, y, tmp_path):
    estimator = make(preset="tables", **{**QUICK, "encoding": PiecewiseLinearEncoder(n_bins=4)}).fit(FRAME, y)
    expected = answer(estimator, FRAME)
    np.testing.assert_array_equal(answer(pickle.loads(pickle.dumps(estimator)), FRAME), expected)
    estimator.save(tmp_path / "model.safetensors")
    loaded = make.load(tmp_path / "model.safetensors")
    # The members have become one network: the same sums in another order.
    np.testing.assert_allclose(answer(loaded, FRAME), expected, rtol=1e-5)
    assert len(loaded.members_) == 1
    assert loaded.members_[0].W1.shape[0] == 3 * 8
    assert loaded.get_params(deep=False)["encoding"].n_bins == 4
    unknown = FRAME.with_columns(b=pl.lit("violet"))
    np.testing.assert_allclose(answer(loaded, unknown), answer(estimator, unknown), rtol=1e-5)


def test_an_ensemble_is_one_network_exactly_for_averaged_logits(x64):
    estimator = ShallowClassifier((5,), n_members=3, average="logits", solver="lbfgs", max_iter=20, random_state=0)
    X = np.random.default_rng(0).normal(size=(50, 3))
    estimator.fit(X, np.arange(50) % 3)
    one = clone(estimator).set_params(n_members=1, hidden_layer_sizes=(15,))
    one.__dict__.update({**estimator.__dict__, "n_members": 1})
    one.members_ = [joined(estimator._networks)]
    np.testing.assert_allclose(one.predict_proba(X), estimator.predict_proba(X), rtol=1e-12)
    apart = clone(estimator).set_params(average="outputs")
    apart.__dict__.update({**estimator.__dict__, "average": "outputs"})
    assert abs(apart.predict_proba(X) - estimator.predict_proba(X)).max() > 1e-6
    with pytest.raises(ValueError, match="with average='logits'"):
        apart.save("nowhere.safetensors")


# ---- cells and features ----


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (["b", None, "a", " b ", "NA"], ["b", None, "a", "b", None]),
        ([True, "x", False], ["true", "x", "false"]),
        ([1.0, "x", np.nan, 2], ["1", "x", None, "2"]),
    ],
)
def test_words_are_those_of_a_table_of_text(column, expected):
    cells, (words,) = cells_of(np.array([column], object).T, "from_dtype")
    assert [None if np.isnan(c) else words[int(c)] for c in cells[:, 0]] == expected


def test_text_that_is_numbers_is_numbers():
    cells, words = cells_of(np.array([[1, None], [2.5, "NaN"], [True, 4]], object), "from_dtype")
    assert words == (None, None)
    np.testing.assert_array_equal(cells, [[1, np.nan], [2.5, np.nan], [1, 4]])


def test_categories_are_named_counted_or_marked():
    X = np.array([[1, 5], [2, 5], [1, 6]])
    for chosen in ([0], [True, False]):
        assert cells_of(X, chosen)[1] == (("1", "2"), None)
    assert cells_of(FRAME, ["b"])[1][1] == ("blue", "green", "red")
    with pytest.raises(ValueError, match=r"categorical_features must be among the columns, .*got 'z'"):
        cells_of(FRAME, ["z"])
    with pytest.raises(ValueError, match=r"column 'b' must be numbers: .* say categorical_features='from_dtype'"):
        cells_of(FRAME, None)
    with pytest.raises(TypeError, match="column 'when' must be numbers or categories, got datetime64"):
        cells_of(pl.DataFrame({"when": [datetime.date(2020, 1, 1)]}), "from_dtype")


def test_rare_new_and_missing_words_have_rows():
    words = ("a", "b", "c", "d")
    x = np.array([0, 0, 0, 1, 1, 2, np.nan])[:, None]
    features = fit_features(x, ["k"], [words])
    assert features.names == ("k=a", "k=b", "k=(other)", "k=(missing)")
    rows = features.apply(np.array([0, 2, 3, 4, np.nan])[:, None])  # 3 was never seen in training, 4 is no word
    np.testing.assert_array_equal(rows.argmax(axis=0), [0, 2, 2, 2, 3])
    np.testing.assert_array_equal(rows.sum(axis=0), 1)
    few = fit_features(x, ["k"], [words], most=1)
    assert few.names == ("k=a", "k=(other)", "k=(missing)")
    full = fit_features(x[:5], ["k"], [words])  # nothing rare, nothing missing: then these are 0 everywhere
    assert full.apply(np.array([[3.0], [np.nan]])).tolist() == [[0, 0], [0, 0]]


@pytest.mark.parametrize("encoding", [None, "smooth clip", "piecewise linear"])
def test_numbers_without_gaps_train_as_they_do_behind_a_transformer(encoding):
    X = np.random.default_rng(0).normal(size=(80, 3))
    y = X[:, 0] ** 2
    settings = {"hidden_layer_sizes": (5,), "max_iter": 30, "random_state": 0}
    inside = ShallowRegressor(encoding=encoding, categorical_features="from_dtype", **settings).fit(X, y)
    before = {None: None, "smooth clip": RobustSmoothClipper(), "piecewise linear": PiecewiseLinearEncoder()}[encoding]
    rows = X if before is None else before.fit_transform(X)
    outside = ShallowRegressor(**settings).fit(rows, y)
    np.testing.assert_array_equal(inside.predict(X), outside.predict(rows))


def test_what_prepares_is_learned_from_the_training_part_alone():
    X = np.arange(100.0)[:, None]
    estimator = ShallowRegressor(encoding="smooth clip", early_stopping=True, max_iter=2, random_state=0)
    estimator.fit(X, X[:, 0])
    (center,) = estimator.features_.encoding.center
    assert center != np.median(X)
    given = clone(estimator).set_params(early_stopping=False).fit(X[::2], X[::2, 0], X_val=X[1::2], y_val=X[1::2, 0])
    assert given.features_.encoding.center == (np.median(X[::2]),)


def test_the_edges_of_a_tree_see_the_training_part_of_y():
    X = np.linspace(0, 1, 200)[:, None]
    y = np.where(X[:, 0] > 0.7, "b", "a")
    estimator = ShallowClassifier(encoding=PiecewiseLinearEncoder(n_bins=2, edges="tree"), max_iter=2, random_state=0)
    (bins,) = estimator.fit(X, y).features_.encoding.columns
    assert bins.edges[1] == pytest.approx(0.7, abs=0.01)


def test_a_warm_start_and_partial_fit_keep_what_prepares():
    estimator = ShallowRegressor(
        encoding="smooth clip", normalize_y=True, warm_start=True, max_iter=5, tol=0.0, random_state=0
    )
    X, y = np.random.default_rng(0).normal(size=(60, 2)), np.linspace(1e4, 2e4, 60)
    before = estimator.fit(X, y).loss_curve_[-1]
    features = estimator.features_
    after = estimator.fit(X + 1, y).loss_curve_
    assert estimator.features_ is features
    assert len(after) == 10
    assert after[5] < 2 * before  # goes on where it was, on the scale of 1
    online = ShallowRegressor(encoding="smooth clip", normalize_y=True, random_state=0)
    for _ in range(30):
        online.partial_fit(X, y)
    assert online.features_.encoding == features.encoding
    assert 1e4 < online.predict(X).mean() < 2e4


def test_targets_are_standardised_inside_and_predicted_in_their_own_units():
    X = np.random.default_rng(0).normal(size=(200, 2))
    y = np.c_[1e6 + 1e3 * X[:, 0], X[:, 1] - 5]
    estimator = ShallowRegressor((16,), normalize_y=True, solver="lbfgs", random_state=0).fit(X, y)
    assert r2_score(y, estimator.predict(X)) > 0.99
    assert estimator.loss_ < 0.1
    constant = ShallowRegressor((4,), normalize_y=True, solver="lbfgs", random_state=0).fit(X, np.full(200, 7.0))
    np.testing.assert_allclose(constant.predict(X), 7.0, atol=1e-2)


def test_a_rate_that_falls_as_a_cosine_is_the_same_in_numpy_and_jax(monkeypatch):
    from jaxshallow.estimators import base

    X = np.random.default_rng(0).normal(size=(64, 3)).astype(np.float32)
    y = X[:, 0].astype(np.float32)
    for solver in ("adam", "sgd"):
        found = []
        for in_numpy in (True, False):
            monkeypatch.setattr(base, "is_for_numpy", lambda *_, there=in_numpy: there)
            network = ShallowRegressor(
                (6,), learning_rate="cosine", solver=solver, max_iter=20, tol=0.0, batch_size=16, random_state=0
            )
            with warnings.catch_warnings():
                warnings.simplefilter("error")  # to end there is meant
                found.append(network.fit(X, y))
        ours, theirs = (np.array(network.loss_curve_) for network in found)
        np.testing.assert_allclose(ours, theirs, rtol=1e-3)
        steps = abs(np.diff(ours))
        assert steps[-1] < 0.1 * steps[0]


# ---- bagging ----


@KINDS
@pytest.mark.parametrize("how", ["folds", "bootstrap"])
def test_unseen_examples_are_predicted_by_those_that_did_not_see_them(make, y, how):
    estimator = make(preset="tables", bagging=how, **{**QUICK, "n_members": 8}).fit(FRAME, y)
    if how == "folds":
        assert not np.isnan(np.asarray(estimator.oof_)).any()
    known = ~np.isnan(np.asarray(estimator.oof_).reshape(len(Y), -1)[:, 0])
    score = r2_score if make is ShallowRegressor else accuracy_score
    found = (
        estimator.oof_ if make is ShallowRegressor else estimator.classes_[np.nan_to_num(estimator.oof_).argmax(axis=1)]
    )
    assert estimator.oof_score_ == pytest.approx(score(y[known], found[known]))
    assert estimator.oof_score_ < estimator.score(FRAME, y)


def test_folds_whose_bins_differ_have_networks_of_one_width():
    widths, rows = set(), set()
    for train, _ in KFold(4, shuffle=True, random_state=0).split(Y):
        estimator = ShallowRegressor(preset="tables", **{**QUICK, "max_iter": 2}).fit(FRAME[train], Y[train])
        widths.add(len(estimator.coefs_[0]))
        rows.add(estimator.rows_of(FRAME).shape[1])
        one = estimator.as_one()
        assert one.W1.shape[1] == estimator.rows_of(FRAME).shape[1] == estimator.features_.n_rows
        ours = np.asarray(js.forward(jax.tree.map(jnp.asarray, one), estimator.rows_of(FRAME).T.astype(np.float32)).A2)
        np.testing.assert_allclose(ours[0], estimator.predict(FRAME), rtol=1e-4)
    assert len(rows) > 1
    assert len(widths) == 1


def test_a_fold_is_trained_as_it_is_alone():
    """The member of a fold is what `fit` trains on the other folds, validated on this."""
    X = np.random.default_rng(0).normal(size=(90, 2))
    y = X[:, 0] * X[:, 1]
    settings = {"hidden_layer_sizes": (8,), "max_iter": 15, "random_state": 1, "batch_size": 30}
    bagged = ShallowRegressor(bagging="folds", n_members=3, **settings).fit(X, y)
    oof = np.full(90, np.nan)
    for place, k in enumerate(bagged._best_first):
        _, test = list(KFold(3, shuffle=True, random_state=seed_of(1)).split(X))[k]
        oof[test] = answer(alone(bagged, place), X[test])
    np.testing.assert_allclose(bagged.oof_, oof, rtol=1e-5)


def seed_of(random_state):
    return int(np.random.RandomState(random_state).randint(2**31 - 1))


def alone(estimator, place):
    one = clone(estimator).set_params(n_members=1, bagging=None)
    one.__dict__.update({**estimator.__dict__, "n_members": 1, "bagging": None})
    one.members_ = [estimator.members_[place]]
    return one


def test_intervals_are_those_of_the_paper_and_of_mapie():
    rng = np.random.default_rng(0)
    X, new = rng.normal(size=(103, 3)), rng.normal(size=(50, 3))
    y = X @ [1, 2, -1] + rng.standard_t(3, size=103)
    cv = KFold(5, shuffle=True, random_state=0)
    seen, distances, means = np.ones((103, 5), bool), np.empty(103), []
    for k, (train, test) in enumerate(cv.split(X)):
        line = LinearRegression().fit(X[train], y[train])
        seen[test, k], distances[test] = False, abs(y[test] - line.predict(X[test]))
        means.append(line.predict(new))
    groups = grouped(seen, distances)
    own = [means[group.members[0]] for group in groups]
    for level in (0.5, 0.8, 0.9, 0.95):
        upper = upper_end(groups, own, level)
        lower = -upper_end(groups, [-mean for mean in own], level)
        each = np.array(means)[np.argmin(seen, axis=1)]
        rank = int(np.ceil(level * 104)) - 1
        np.testing.assert_allclose(upper, np.sort(each + distances[:, None], axis=0)[rank], atol=1e-12)
        np.testing.assert_allclose(lower, -np.sort(distances[:, None] - each, axis=0)[rank], atol=1e-12)
        mapie = pytest.importorskip("mapie.regression")
        oracle = mapie.CrossConformalRegressor(LinearRegression(), confidence_level=level, method="plus", cv=cv)
        _, theirs = oracle.fit_conformalize(X, y).predict_interval(new)
        np.testing.assert_allclose(np.c_[lower, upper], theirs[:, :, 0], atol=1e-12)


def test_a_set_holds_the_classes_whose_score_exceeds_few_of_the_examples():
    groups = grouped(np.array([[False]] * 9), np.arange(1, 10) / 10)  # scores 0.1 ... 0.9
    scores = [np.array([[0.05, 0.55, 0.95]])]
    assert within(groups, scores, 0.9).tolist() == [[True, True, False]]  # of 9 scores, 9 are below 0.95: 9 < 9 is not
    assert within(groups, scores, 0.55).tolist() == [[True, True, False]]  # 5 are below 0.55: 5 < 5.5
    assert within(groups, scores, 0.45).tolist() == [[True, False, False]]


def test_too_few_examples_for_a_level_give_infinite_intervals():
    groups = grouped(np.array([[False]] * 5), np.arange(5.0))
    assert upper_end(groups, [np.zeros(2)], 0.8).tolist() == [4, 4]
    assert np.isinf(upper_end(groups, [np.zeros(2)], 0.9)).all()


@pytest.mark.parametrize("how", ["folds", "bootstrap"])
def test_the_share_of_new_targets_in_intervals_and_sets_is_as_asked(how):
    train, test = table(400), table(1000, seed=1)
    noise = np.random.default_rng(2).normal(0, 0.5, 1400)
    y, y_new = train[1] + noise[:400], test[1] + noise[400:]
    settings = {**QUICK, "n_members": 8, "max_iter": 40, "bagging": how}
    regressor = ShallowRegressor(preset="tables", **settings).fit(train[0], y)
    for level in (0.5, 0.9):
        low, high = regressor.predict_interval(test[0], level).T
        assert (low < high).all()
        share = np.mean((low <= y_new) & (y_new <= high))
        assert (
            level - 0.05 < share < level + 0.1
        )  # a network of some of the examples errs a little more than that of all
    classifier = ShallowClassifier(preset="tables", **settings).fit(train[0], np.digitize(y, [101, 103]))
    truth = np.digitize(y_new, [101, 103])
    chosen = classifier.predict_set(test[0], 0.9)
    assert chosen.shape == (1000, 3)
    assert 0.85 < chosen[np.arange(1000), truth].mean() < 0.97
    assert chosen.sum(axis=1).mean() < 2.2


@pytest.mark.parametrize("bends", [True, False])
def test_of_several_encodings_the_one_is_kept_that_errs_least_on_unseen_rows(bends, tmp_path):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 2) if bends else (80, 30))  # bins of 30 columns are many for 80 rows
    y = np.sin(6 * X[:, 0]) if bends else X[:, 0] + X[:, 1]
    encodings = ["smooth clip", "piecewise linear"]
    settings = {**QUICK, "max_iter": 40}
    alone = {name: ShallowRegressor(preset="tables", **{**settings, "encoding": name}).fit(X, y) for name in encodings}
    found = ShallowRegressor(preset="tables", **{**settings, "encoding": encodings}).fit(X, y)
    best = max(alone, key=lambda name: alone[name].oof_score_)
    assert best == ("piecewise linear" if bends else "smooth clip")
    assert found.features_ == alone[best].features_
    np.testing.assert_array_equal(found.predict(X), alone[best].predict(X))
    found.save(tmp_path / "model.safetensors")
    assert ShallowRegressor.load(tmp_path / "model.safetensors").features_.encoding == found.features_.encoding


@KINDS
def test_a_warm_start_goes_on_with_each_member_on_its_own_fold(make, y):
    settings = {**QUICK, "learning_rate": "constant", "tol": 0.0, "max_iter": 10, "warm_start": True}
    estimator = make(preset="tables", **settings).fit(FRAME, y)
    first, curves = estimator.oof_score_, [one.cost[-1] for one in estimator.curves_]
    estimator.fit(FRAME, y)
    assert estimator.oof_score_ != first
    for one, before in zip(estimator.curves_, curves, strict=True):
        assert len(one.cost) == 20
        assert one.cost[10] < 1.5 * before
    with pytest.raises(ValueError, match="partial_fit does not support bagging"):
        estimator.partial_fit(FRAME, y)


def test_predictions_are_of_the_dtype_of_x_however_many():
    X = np.random.default_rng(0).normal(size=(100, 2))
    estimator = ShallowRegressor(preset="tables", **{**QUICK, "max_iter": 2}).fit(X, X[:, 0])
    many = np.tile(X, (6000, 1))
    assert estimator.predict(X).dtype == estimator.predict(many).dtype == np.float64
    assert estimator.predict(many.astype(np.float32)).dtype == np.float32
    np.testing.assert_allclose(estimator.predict(many)[:100], estimator.predict(X), rtol=1e-4, atol=1e-5)


@KINDS
def test_a_file_knows_how_far_off_unseen_rows_were(make, y, tmp_path):
    estimator = make(preset="tables", **QUICK).fit(FRAME, y)
    estimator.save(tmp_path / "model.safetensors")
    loaded = make.load(tmp_path / "model.safetensors")
    if make is ShallowRegressor:
        ends, mean = loaded.predict_interval(FRAME, 0.9), loaded.predict(FRAME)
        distance = np.sort(abs(estimator.oof_ - Y))[int(np.ceil(0.9 * 241)) - 1]
        np.testing.assert_allclose(ends, np.c_[mean - distance, mean + distance], rtol=1e-6)
        ours = np.ptp(estimator.predict_interval(FRAME, 0.9), axis=1)  # wider where the members disagree
        assert 0.95 < np.mean(ours) / (2 * distance) < 1.3
    else:
        assert (loaded.predict_set(FRAME) == estimator.predict_set(FRAME)).mean() > 0.9


def test_a_file_keeps_a_thousand_errors_evenly_by_their_ranks():
    scores = np.random.default_rng(0).exponential(size=20_000)
    kept = thinned(scores)
    assert len(kept) == 1000
    assert kept == sorted(kept)
    (groups,) = groups_of({"unseen": [kept]})
    for level in (0.5, 0.9, 0.99):
        all_of_them = upper_end(grouped(np.array([[False]] * 20_000), scores), [np.zeros(1)], level)
        np.testing.assert_allclose(upper_end(groups, [np.zeros(1)], level), all_of_them, rtol=0.01)
    assert thinned(np.array([3.0, 1.0])) == [1.0, 3.0]
    with pytest.raises(ValueError, match="unseen of a model must be a list of numbers"):
        groups_of({"unseen": [["a"]]})


def test_several_outputs_have_an_interval_each():
    X = np.random.default_rng(0).normal(size=(120, 2))
    y = np.c_[X[:, 0], 10 * X[:, 1]]
    estimator = ShallowRegressor((8,), bagging="folds", n_members=4, max_iter=30, random_state=0).fit(X, y)
    intervals = estimator.predict_interval(X[:7])
    assert intervals.shape == (7, 2, 2)
    widths = (intervals[:, 1] - intervals[:, 0]).mean(axis=0)
    assert widths[1] > 3 * widths[0]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"bagging": "jackknife"}, "bagging must be None or one of folds, bootstrap, got 'jackknife'"),
        ({"bagging": "folds"}, "n_members must be 2 or more for bagging='folds', got 1"),
        ({"bagging": "folds", "n_members": 3, "solver": "lbfgs"}, "solver must be adam, sgd or lm for bagging"),
        ({"bagging": "folds", "n_members": 3, "alpha": "evidence"}, "bagging must be None for alpha='evidence'"),
        ({"bagging": "folds", "n_members": 99}, "n_members must be at most the 20 samples for bagging='folds', got 99"),
        ({"encoding": "fourier"}, "encoding must be None, 'piecewise linear', 'smooth clip', a transformer such as"),
        ({"encoding": ["smooth clip", None]}, "encoding must be None, .* or a list of these, got None"),
        ({"encoding": ["smooth clip", "piecewise linear"]}, "several encodings need bagging, early_stopping or X_val"),
        (
            {"encoding": PiecewiseLinearEncoder(edges="tree"), "bagging": "folds", "n_members": 2},
            "edges must be 'quantile' with bagging",
        ),
        ({"average": "median"}, "average must be one of outputs, logits, got 'median'"),
        ({"max_categories": 0, "encoding": "smooth clip"}, "max_categories must be an integer of at least 1, got 0"),
        ({"normalize_y": 3}, "normalize_y must be True or False, got 3"),
        ({"learning_rate": "linear"}, "learning_rate must be one of constant, invscaling, adaptive, cosine"),
    ],
)
def test_what_cannot_be_is_refused(settings, message):
    X = np.random.default_rng(0).normal(size=(20, 2))
    with pytest.raises(ValueError, match=message):
        ShallowRegressor(max_iter=2, **settings).fit(X, X[:, 0])


def test_what_needs_bagging_says_so():
    X = np.random.default_rng(0).normal(size=(20, 2))
    regressor = ShallowRegressor(max_iter=2).fit(X, X[:, 0])
    bagged = ShallowRegressor(max_iter=2, bagging="folds", n_members=2).fit(X, X[:, 0])
    assert regressor.oof_ is None
    with pytest.raises(ValueError, match="a fit with bagging='folds' or 'bootstrap'"):
        regressor.predict_interval(X)
    with pytest.raises(ValueError, match="confidence_level must be a number above 0 and below 1, got 90"):
        bagged.predict_interval(X, 90)
    with pytest.raises(ValueError, match="X_val must be None with bagging"):
        bagged.fit(X, X[:, 0], X_val=X, y_val=X[:, 0])


# ---- searches ----


def test_a_search_over_a_presets_parts_is_one_training_where_the_encoding_is_the_same(monkeypatch):
    from jaxshallow.estimators import training

    runs, fit_many = [], training.fit_many
    monkeypatch.setattr(training, "fit_many", lambda *a, **k: runs.append(len(a[3])) or fit_many(*a, **k))
    grid = {"alpha": [0.0, 0.1], "encoding": ["smooth clip", "piecewise linear"]}
    search = ShallowSearchCV(ShallowRegressor(preset="tables", **QUICK), grid, cv=2, refit=False).fit(FRAME, Y)
    assert runs == [6] * 4  # 2 encodings × 2 folds, of 2 candidates × 3 members
    one = ShallowRegressor(preset="tables", **{**QUICK, "encoding": "smooth clip"}, alpha=0.1)
    expected = cross_val_score(one, FRAME, Y, cv=2)
    place = search.cv_results_["params"].index({"alpha": 0.1, "encoding": "smooth clip"})
    ours = [search.cv_results_[f"split{k}_test_score"][place] for k in range(2)]
    np.testing.assert_allclose(ours, expected, rtol=1e-4)


def test_candidates_that_choose_among_encodings_train_together_too(monkeypatch):
    from jaxshallow.estimators import training

    runs, fit_many = [], training.fit_many
    monkeypatch.setattr(training, "fit_many", lambda *a, **k: runs.append(len(a[3])) or fit_many(*a, **k))
    estimator = ShallowRegressor(preset="tables", **{**QUICK, "encoding": ["smooth clip", "piecewise linear"]})
    ShallowSearchCV(estimator, {"alpha": [0.0, 0.1, 1.0]}, cv=2, refit=False).fit(FRAME, Y)
    assert runs == [9] * 4  # 2 folds × 2 encodings, of 3 candidates × 3 members


# ---- what a table can be ----


@KINDS
def test_odd_tables_have_an_answer(make, y):
    m = 40
    rng = np.random.default_rng(0)
    odd = pl.DataFrame(
        {
            "constant": [3.0] * m,
            "nearly": [0.0] * (m - 1) + [1.0],
            "empty": pl.Series([None] * m, dtype=pl.Float64),
            "alone": ["x"] * (m - 1) + ["y"],
            "void": pl.Series([None] * m, dtype=pl.String),
            "each": [f"id{k}" for k in range(m)],
            "huge": (rng.normal(size=m) * 1e300).tolist(),
            "useful": rng.normal(size=m).tolist(),
        }
    )
    estimator = make(preset="tables", **QUICK).fit(odd, y[:m])
    assert np.isfinite(np.asarray(answer(estimator, odd), float)).all()
    words = make(preset="tables", **QUICK).fit(odd.select("alone", "each"), y[:m])
    assert np.isfinite(np.asarray(answer(words, odd.select("alone", "each")), float)).all()


def test_one_value_in_a_fold_of_targets_has_an_answer():
    y = np.zeros(40)
    y[3] = 1.0
    regressor = ShallowRegressor(preset="tables", **QUICK).fit(FRAME[:40], y)
    assert np.isfinite(regressor.oof_).all()
    classifier = ShallowClassifier(preset="tables", **QUICK).fit(FRAME[:40], y.astype(int))
    assert classifier.oof_.shape == (40, 2)


def test_counts_are_predicted_by_the_preset_as_they_are():
    counts = np.random.default_rng(0).poisson(np.where(FRAME["b"].to_numpy() == "red", 6, 1))
    estimator = ShallowRegressor(preset="tables", loss="poisson", **{**QUICK, "max_iter": 40}).fit(FRAME, counts)
    by_colour = [estimator.predict(FRAME.with_columns(b=pl.lit(b))).mean() for b in ("red", "green")]
    assert by_colour[0] > 3 * by_colour[1] > 0
    assert (estimator.oof_ > 0).all()


def test_a_frame_that_is_not_read_yet_is_refused_with_a_way_out():
    with pytest.raises(TypeError, match=r"X must be a data frame or an array, got LazyFrame: X.collect\(\)"):
        ShallowRegressor(preset="tables", **QUICK).fit(FRAME.lazy(), Y)


def test_a_few_rows_have_an_answer():
    y = np.array(["a", "b"] * 6)
    assert ShallowClassifier(preset="tables", **{**QUICK, "n_members": 8}).fit(FRAME[:12], y).oof_.shape == (12, 2)
    with pytest.raises(ValueError, match="n_members must be at most the 5 samples for bagging='folds', got 8"):
        ShallowClassifier(preset="tables", **{**QUICK, "n_members": 8}).fit(FRAME[:5], y[:5])


def test_ten_thousand_columns_are_taken():
    X = np.random.default_rng(0).normal(size=(60, 10_000))
    estimator = ShallowRegressor(preset="tables", **{**QUICK, "max_iter": 2, "hidden_layer_sizes": (2,)})
    assert np.isfinite(estimator.fit(X, X[:, 0]).predict(X)).all()
