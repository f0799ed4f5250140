"""The encodings as scikit-learn's transformers: its contract, names and tables out, and fitting by fold."""

import re

import numpy as np
import polars as pl
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder
from sklearn.utils import estimator_checks

from jaxshallow.estimators import (
    PiecewiseLinearEncoder,
    RobustSmoothClipper,
    ShallowClassifier,
    ShallowRegressor,
    ShallowSearchCV,
)
from jaxshallow.estimators.encoders import as_numbers
from jaxshallow.tables.encodings import fit_piecewise_linear, fit_smooth_clip

pytestmark = [
    pytest.mark.usefixtures("as_in_numpy", "little_optimization"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]
RNG = np.random.default_rng(0)
X = np.column_stack([RNG.lognormal(size=400), np.where(RNG.random(400) < 0.3, np.nan, RNG.standard_normal(400))])
Y = np.log(X[:, 0]) + np.isnan(X[:, 1])
ENCODERS = [PiecewiseLinearEncoder(), PiecewiseLinearEncoder(edges="tree"), RobustSmoothClipper()]
each = pytest.mark.parametrize("encoder", ENCODERS, ids=str)

CONTRACT = estimator_checks.parametrize_with_checks(ENCODERS)


# As a list: scikit-learn before 1.8 makes a generator of them, which pytest 9 warns of.
@pytest.mark.parametrize(CONTRACT.args[0], list(CONTRACT.args[1]), **CONTRACT.kwargs)
def test_the_contract_of_scikit_learn_is_kept(estimator, check):
    check(estimator)


def test_the_transformers_are_the_maps_of_tables_with_examples_as_rows():
    for encoder, fitted in (
        (PiecewiseLinearEncoder(7), fit_piecewise_linear(X.T, n_bins=7)),
        (PiecewiseLinearEncoder(7, linear=False), fit_piecewise_linear(X.T, n_bins=7, linear=False)),
        (RobustSmoothClipper(), fit_smooth_clip(X.T)),
    ):
        assert encoder.fit(X).encoding_ == fitted
        np.testing.assert_array_equal(encoder.transform(X[:9]), fitted.apply(X[:9].T).T)


@each
def test_float32_stays_float32_and_every_number_is_finite(encoder):
    encoded = clone(encoder).fit(X.astype(np.float32), Y).transform(X.astype(np.float32))
    assert encoded.dtype == np.float32
    assert np.isfinite(encoded).all()


def n_bins(encoder, m):
    return encoder.fit(np.arange(m)[:, None]).encoding_.columns[0].n_bins


def test_there_are_8_bins_and_up_to_16_on_more_rows():
    for m, bins in ((5, 4), (20, 8), (400, 10), (1000, 16)):
        assert n_bins(PiecewiseLinearEncoder(), m) == bins
    assert n_bins(PiecewiseLinearEncoder(48), 100) == 48


def test_a_table_comes_out_with_a_name_for_every_column():
    rows = np.array([[1.0, 0.0, 7.0, 1.0], [2.0, 1.0, 7.0, 2.0], [3.0, 1.0, 7.0, np.nan]])
    encoder, names = PiecewiseLinearEncoder(2).set_output(transform="polars"), ["age", "male", "same", "gap"]
    table = encoder.fit_transform(rows)
    assert isinstance(table, pl.DataFrame)
    assert table.columns == encoder.get_feature_names_out().tolist()
    named = encoder.get_feature_names_out(names).tolist()
    assert named == ["age", "age_bin0", "age_bin1", "male", "gap", "gap_missing"]
    clipper = RobustSmoothClipper().set_output(transform="polars").fit(rows)
    assert clipper.transform(rows).columns == ["x0", "x1", "x2", "x3"]
    assert clipper.get_feature_names_out(names).tolist() == names


def test_tree_edges_are_where_the_target_changes_for_classes_and_numbers():
    x = np.arange(400.0)[:, None]
    steps = np.digitize(x[:, 0], [100, 300])
    names = np.array(["b", "a", "c"])[steps]
    for y in (steps, steps / 3, steps * 1000, names, steps > 0, np.stack([steps, -steps], axis=1)):
        edges = PiecewiseLinearEncoder(3, edges="tree").fit(x, y).encoding_.columns[0].edges
        assert edges == ((0.0, 99.5, 399.0) if y.dtype == bool else (0.0, 99.5, 299.5, 399.0))


def test_few_whole_numbers_are_classes_and_many_are_numbers():
    few, many = np.arange(400) % 20, np.arange(400) % 21
    assert as_numbers(few).shape == (400, 20)
    assert as_numbers(many).shape == as_numbers(few / 7).shape == (400, 1)
    assert as_numbers(np.stack([many, few], axis=1)).shape == (400, 21)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"n_bins": 1}, "n_bins must be 'auto' or an integer of at least 2, got 1"),
        ({"n_bins": True}, "n_bins must be 'auto' or an integer of at least 2, got True"),
        ({"n_bins": 2.5}, "n_bins must be 'auto' or an integer of at least 2, got 2.5"),
        ({"linear": "yes"}, "linear must be True or False, got 'yes'"),
        ({"edges": "uniform"}, "edges must be one of quantile, tree, got 'uniform'"),
        ({"edges": "tree"}, "requires y to be passed, but the target y is None: use edges='quantile'"),
    ],
)
def test_what_a_parameter_cannot_be_is_refused(setting, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        PiecewiseLinearEncoder(**setting).fit(X)


@each
def test_sparse_rows_and_infinities_are_refused(encoder):
    with pytest.raises(TypeError, match="Sparse data was passed for X, but dense data is required"):
        clone(encoder).fit(sparse.csr_array(np.eye(40)), np.arange(40))
    with pytest.raises(ValueError, match="contains infinity"):
        clone(encoder).fit(np.where(np.isnan(X), np.inf, X), Y)


# ---- before a network ----

QUICK = {"hidden_layer_sizes": (4,), "solver": "lbfgs", "max_iter": 3, "random_state": 0}


@each
def test_a_pipeline_of_numbers_with_gaps_and_of_categories_trains_and_predicts(encoder):
    table = np.column_stack([X, np.array(["a", "b"])[(X[:, 0] > 1).astype(int)]]).astype(object)
    columns = make_column_transformer((clone(encoder), [0, 1]), (OneHotEncoder(), [2]))
    labels = np.where(Y > 0, "high", "low")
    pipeline = make_pipeline(columns, ShallowClassifier(**QUICK | {"max_iter": 100})).fit(table, labels)
    assert pipeline.score(table, labels) > 0.9
    numbers = make_pipeline(clone(encoder), ShallowRegressor(**QUICK | {"max_iter": 100})).fit(X, Y)
    assert numbers.score(X, Y) > 0.8


@each
def test_in_a_search_they_are_fitted_on_the_training_rows_of_each_fold(encoder):
    grid = {"shallowregressor__alpha": [1e-3, 10.0]}
    pipeline, folds = make_pipeline(clone(encoder), ShallowRegressor(**QUICK)), KFold(3)
    ours = ShallowSearchCV(pipeline, grid, cv=folds, refit=False).fit(X, Y).cv_results_
    theirs = GridSearchCV(pipeline, grid, cv=folds, refit=False).fit(X, Y).cv_results_
    by_hand = []
    for train, test in folds.split(X):
        fitted = clone(encoder).fit(X[train], Y[train])
        network = ShallowRegressor(**QUICK, alpha=10.0).fit(fitted.transform(X[train]), Y[train])
        by_hand.append(network.score(fitted.transform(X[test]), Y[test]))
    # The same networks up to the rounding of float64, in another order of sums.
    np.testing.assert_allclose([ours[f"split{k}_test_score"][1] for k in range(3)], by_hand, rtol=1e-6)
    np.testing.assert_allclose(ours["mean_test_score"], theirs["mean_test_score"], rtol=1e-6)


def test_folds_whose_encoders_make_different_numbers_of_columns_are_searched():
    rare = np.zeros(90)
    rare[:30] = np.arange(30)  # constant wherever the first fold is held out
    pipeline = make_pipeline(PiecewiseLinearEncoder(4), ShallowRegressor(**QUICK))
    search = ShallowSearchCV(pipeline, {"shallowregressor__alpha": [0.1, 1.0]}, cv=KFold(3))
    found = search.fit(np.column_stack([rare, np.arange(90) % 7]), np.arange(90.0)).cv_results_
    assert np.isfinite(found["mean_test_score"]).all()
