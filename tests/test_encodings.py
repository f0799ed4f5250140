"""Encodings of numbers: what each does, where columns are odd, and scikit-learn's contract."""

import json

import numpy as np
import pytest
from sklearn.datasets import load_diabetes
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

from jaxshallow.estimators import PiecewiseLinearEncoder, RobustSmoothClipper, ShallowRegressor, ShallowSearchCV
from jaxshallow.tables.encodings import PiecewiseLinear, SmoothClip

pytestmark = pytest.mark.usefixtures("as_in_numpy")
RNG = np.random.default_rng(0)
# A usual column, one of few values, a constant one, one with gaps, one with nothing but gaps, one with a far value.
ODD = np.stack(
    [
        RNG.normal(size=200), RNG.integers(0, 2, 200), np.full(200, 7.0), np.where(RNG.random(200) < 0.2, np.nan, 1.0),
        np.full(200, np.nan), np.r_[RNG.normal(size=199), 1e9],
    ],
    axis=1,
)  # fmt: skip


@parametrize_with_checks([RobustSmoothClipper(), PiecewiseLinearEncoder(), PiecewiseLinearEncoder(edges="tree")])
def test_scikit_learns_contract_is_kept(estimator, check):
    check(estimator)


def test_clipping_keeps_the_middle_and_the_order_and_nears_three():
    X = np.sort(RNG.standard_cauchy(1001))[:, None]
    found = RobustSmoothClipper().fit_transform(X)
    low, median, high = np.quantile(X, (0.25, 0.5, 0.75))
    middle = abs(X - median) < 0.1 * (high - low)
    np.testing.assert_allclose(found[middle], ((X - median) / (high - low))[middle], atol=1e-3)
    assert (np.diff(found[:, 0]) >= 0).all()
    assert abs(found).max() < 3
    assert RobustSmoothClipper().fit(X).transform([[1e30]]).item() == pytest.approx(3)


@pytest.mark.parametrize("encoder", [RobustSmoothClipper(), PiecewiseLinearEncoder(), PiecewiseLinearEncoder(4)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_odd_columns_have_an_answer_and_the_map_comes_back_from_json(encoder, dtype):
    X = ODD.astype(dtype)
    found = encoder.fit(X).transform(X)
    assert found.dtype == dtype
    assert len(encoder.get_feature_names_out()) == found.shape[1]
    assert np.isfinite(found[:, :3]).all()
    again = type(encoder.map_).from_json(json.loads(json.dumps(encoder.map_.as_json())))
    np.testing.assert_array_equal(again.apply(X), found)


def test_a_number_becomes_how_full_its_bins_are():
    encoder = PiecewiseLinearEncoder(n_bins=4).fit(np.arange(101.0)[:, None])
    assert encoder.map_.columns[0].edges == (0, 25, 50, 75, 100)
    expected = {0: [0, 0, 0, 0], 10: [0.4, 0, 0, 0], 60: [1, 1, 0.4, 0], 100: [1, 1, 1, 1], -10: [-0.4, 0, 0, 0],
                1e9: [1, 1, 1, 2], -1e9: [-1, 0, 0, 0]}  # fmt: skip
    np.testing.assert_allclose(encoder.transform([[x] for x in expected]), list(expected.values()))


def test_of_odd_columns_only_what_they_hold_is_kept():
    encoder = PiecewiseLinearEncoder().fit(ODD)
    normal, few, constant, gaps, nothing, _ = encoder.map_.columns
    assert len(normal.edges) == 17
    assert few.edges == (0, 1)
    assert (constant.n, gaps.n, nothing.n) == (0, 1, 1)  # of a value and gaps, whether there is one
    names = encoder.get_feature_names_out(["a", "b", "c", "d", "e", "f"])
    assert [name for name in names if "missing" in name] == ["d missing", "e missing"]
    unseen = np.array([[np.nan, np.nan, np.nan, np.nan, np.nan, 0.0]])
    found = encoder.transform(unseen)
    usual = np.where(np.isnan(unseen), np.median(ODD[:, 0]), unseen)
    np.testing.assert_array_equal(found[:, :16], encoder.transform(usual)[:, :16])  # no gap was seen in this column
    assert len(PiecewiseLinearEncoder(16).fit(ODD[:50, :1]).map_.columns[0].edges) == 6  # 10 rows in each bin


def test_a_trees_edges_are_where_the_target_steps():
    x = RNG.uniform(0, 1, 500)
    encoder = PiecewiseLinearEncoder(3, edges="tree", random_state=0).fit(x[:, None], (x > 0.7) + 2.0 * (x > 0.2))
    np.testing.assert_allclose(encoder.map_.columns[0].edges[1:-1], [0.2, 0.7], atol=0.02)


def test_what_cannot_be_is_refused():
    for settings, message in [
        ({"n_bins": 0}, "n_bins must be an integer of at least 1, got 0"),
        ({"n_bins": 2.5}, "n_bins must be an integer of at least 1, got 2.5"),
        ({"edges": "even"}, "edges must be one of quantiles, tree, got 'even'"),
        ({"edges": "tree"}, "edges='tree' requires y to be passed"),
    ]:
        with pytest.raises(ValueError, match=message):
            PiecewiseLinearEncoder(**settings).fit(ODD)


@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
def test_in_a_search_each_fold_has_edges_of_its_own():
    X, y = load_diabetes(return_X_y=True)
    pipeline = make_pipeline(PiecewiseLinearEncoder(8), ShallowRegressor((4,), max_iter=3, random_state=0))
    search = ShallowSearchCV(pipeline, {"shallowregressor__alpha": [1e-4, 1e-2]}, cv=2).fit(X, y)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert isinstance(search.best_estimator_[0].map_, PiecewiseLinear)
    assert isinstance(make_pipeline(RobustSmoothClipper(), pipeline[-1]).fit(X, y)[0].map_, SmoothClip)
