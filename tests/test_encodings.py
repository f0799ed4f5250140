"""Encodings of numbers: fixed maps, with an answer to every number and to none, the same after a way through JSON."""

import itertools
import json

import numpy as np
import pytest

from jaxshallow.tables.edges import quantile_edges, tree_edges
from jaxshallow.tables.encodings import (
    Bins,
    PiecewiseLinear,
    SmoothClip,
    fit_piecewise_linear,
    fit_smooth_clip,
    from_json,
)

RNG = np.random.default_rng(0)
GAPS = np.where(RNG.random(500) < 0.2, np.nan, RNG.standard_cauchy(500))
COLUMNS = {
    "numbers": RNG.standard_normal(500),
    "long tails": RNG.standard_cauchy(500),
    "gaps": GAPS,
    "mostly 0": np.where(RNG.random(500) < 0.9, 0, RNG.lognormal(size=500)),
    "two values": (RNG.random(500) < 0.3).astype(float),
    "four values": RNG.integers(0, 4, 500).astype(float),
    "constant": np.full(500, 7.0),
    "constant with gaps": np.where(np.isnan(GAPS), np.nan, 7.0),
    "nothing known": np.full(500, np.nan),
    "seconds since 1970": 1.7e9 + RNG.random(500) * 1e-3,
    "tiny": RNG.random(500) * 1e-300,
    "huge": RNG.random(500) * 1e300,
}
X = np.stack(list(COLUMNS.values()))
NAMES = list(COLUMNS)
FITS = {"piecewise linear": fit_piecewise_linear, "smooth clip": fit_smooth_clip}
ENCODINGS = {name: fit(X) for name, fit in FITS.items()}
EVERY_NUMBER = np.array([0.0, 1.0, -1.0, 1e-310, 1e30, -1e30, 1e308, -1e308, np.inf, -np.inf, np.nan])


def rows_of(name, encoded):
    """The encoded rows of one column."""
    return encoded[ENCODINGS["piecewise linear"].ramps.source == NAMES.index(name)]


# ---- piecewise linear ----


def by_the_paper(x, edges):
    """Equation 1, one number and one bin at a time."""
    T = len(edges) - 1
    rows = np.zeros((T, len(x)))
    for t, (low, high) in enumerate(itertools.pairwise(edges), 1):
        for j, value in enumerate(x):
            if value < low and t > 1:
                rows[t - 1, j] = 0
            elif value >= high and t < T:
                rows[t - 1, j] = 1
            else:
                rows[t - 1, j] = (value - low) / (high - low)
    return rows


def test_up_to_one_width_beyond_the_range_the_rows_are_those_of_the_paper():
    edges = (-1.0, 0.5, 0.75, 3.0)
    x = np.linspace(-1.0 - 1.5, 3.0 + 2.25, 101)
    encoded = PiecewiseLinear((Bins(edges, 0.0),)).apply(x[None])
    np.testing.assert_allclose(encoded, by_the_paper(x, edges), rtol=1e-12, atol=1e-12)  # one rounding apart
    one_bin = PiecewiseLinear((Bins((0.0, 2.0), 0.0),)).apply(np.array([[-2.0, 1.0, 4.0, 1e9]]))
    np.testing.assert_array_equal(one_bin, [[-1.0, 0.5, 2.0, 2.0]])


def test_any_line_in_each_bin_is_a_weighted_sum_of_the_rows():
    edges = np.array([0.0, 1.0, 1.5, 4.0, 9.0])
    x = np.linspace(-1, 14, 200)
    heights = RNG.standard_normal(5)
    slopes = np.diff(heights) / np.diff(edges)
    inside = np.interp(x, edges, heights)
    expected = inside + np.minimum(x, 0) * slopes[0] + np.maximum(x - 9, 0) * slopes[-1]
    got = heights[0] + np.diff(heights) @ PiecewiseLinear((Bins(tuple(edges), 0.0),)).apply(x[None])
    np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-12)


def test_a_row_of_the_number_itself_is_standardised_and_held_at_the_ends_of_the_outer_bins():
    x = COLUMNS["long tails"]
    (bins,), encoding = (found := fit_piecewise_linear(x[None])).columns, found
    np.testing.assert_allclose(encoding.apply(x[None])[0], (x - x.mean()) / x.std(), rtol=1e-9, atol=1e-12)
    low, high = 2 * bins.edges[0] - bins.edges[1], 2 * bins.edges[-1] - bins.edges[-2]
    np.testing.assert_array_equal(*encoding.apply(np.array([[high, 2 * high]])).T)
    np.testing.assert_array_equal(*encoding.apply(np.array([[low, 2 * low]])).T)
    without = fit_piecewise_linear(x[None], linear=False)
    np.testing.assert_array_equal(without.apply(x[None]), encoding.apply(x[None])[1:])


def test_a_missing_value_is_a_row_of_its_own_where_training_had_some():
    encoded, gaps = ENCODINGS["piecewise linear"].apply(X), np.isnan(GAPS)
    np.testing.assert_array_equal(rows_of("gaps", encoded)[-1], gaps)
    assert not rows_of("gaps", encoded)[:-1, gaps].any()
    np.testing.assert_array_equal(rows_of("constant with gaps", encoded), gaps[None])
    np.testing.assert_array_equal(rows_of("nothing known", encoded), np.ones((1, 500)))


def test_where_training_had_none_the_median_stands_for_a_missing_value():
    x = COLUMNS["numbers"]
    encoding = fit_piecewise_linear(x[None])
    given = np.array([[np.nan, np.median(x)]])
    np.testing.assert_array_equal(*encoding.apply(given).T)


def test_few_values_have_a_bin_less_than_values_and_a_constant_has_none():
    source = ENCODINGS["piecewise linear"].ramps.source.tolist()
    rows = {name: source.count(k) for k, name in enumerate(NAMES)}
    assert rows["two values"] == 1
    assert rows["four values"] == 4  # the number itself and three bins
    assert rows["constant"] == 0
    assert rows["numbers"] == 17
    assert rows["gaps"] == 18
    encoded = ENCODINGS["piecewise linear"].apply(X)
    np.testing.assert_array_equal(rows_of("two values", encoded)[0], COLUMNS["two values"])


def test_names_tell_the_column_the_bin_and_what_is_missing():
    encoding = PiecewiseLinear((Bins((0.0, 1.0, 2.0), None, (1.0, 0.5)), Bins((0.0, 1.0), 0.0), Bins((), 7.0)))
    assert encoding.feature_names(["age", "male", "same"]) == ("age", "age_bin0", "age_bin1", "age_missing", "male")


# ---- smooth clip ----


def test_smooth_clip_is_robust_scaling_and_then_a_bend_to_three():
    x = COLUMNS["long tails"]
    q1, median, q3 = np.quantile(x, [0.25, 0.5, 0.75])
    z = (x - median) / (q3 - q1)
    # The factor is a rounded inverse.
    np.testing.assert_allclose(fit_smooth_clip(x[None]).apply(x[None])[0], z / np.sqrt(1 + (z / 3) ** 2), rtol=1e-13)


def test_smooth_clip_scales_by_half_the_range_where_the_quartiles_are_equal_and_a_constant_is_0():
    x = np.array([0.0] * 9 + [4.0])
    found = fit_smooth_clip(np.stack([x, np.full(10, 7.0), np.full(10, np.nan)]))
    assert found == SmoothClip((0.0, 7.0, 0.0), (0.5, 0.0, 0.0))
    assert not found.apply(np.array([[np.nan], [1e300], [5.0]])).any()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_no_outlier_is_so_large_that_its_square_overflows(dtype):
    x = np.array([1e3, 1e8, 1e10, 1e20, 3e38], dtype)
    got = SmoothClip((0.0,), (1.0,)).apply(x[None])[0]
    # z / √(1 + (z/3)²) without a square of z.
    np.testing.assert_allclose(got, 3 / np.sqrt(1 + (3 / x) ** 2), rtol=4 * np.finfo(dtype).eps)


# ---- both ----


@pytest.mark.parametrize("encoding", ENCODINGS.values(), ids=ENCODINGS)
def test_every_number_has_a_bounded_answer_and_so_has_none(encoding):
    for given in (X, np.tile(EVERY_NUMBER, (len(X), 1))):
        encoded = encoding.apply(given)
        assert encoded.dtype == np.float64
        assert np.abs(encoded).max() <= 3 if isinstance(encoding, SmoothClip) else np.isfinite(encoded).all()


@pytest.mark.parametrize("fit", FITS.values(), ids=FITS)
def test_float32_stays_float32_and_near_the_float64_of_the_same_numbers(fit):
    narrow = X[:8].astype(np.float32)
    encoding = fit(narrow)
    encoded = encoding.apply(narrow)
    assert encoded.dtype == np.float32
    # Differences of numbers that are near each other are exact: what is left are a few roundings of numbers up to 3.
    np.testing.assert_allclose(encoded, encoding.apply(narrow.astype(np.float64)), atol=8 * np.finfo(np.float32).eps)
    assert encoding.apply(np.ones((8, 2), int)).dtype == np.float64


@pytest.mark.parametrize("encoding", ENCODINGS.values(), ids=ENCODINGS)
def test_an_encoding_is_the_same_after_a_way_through_json(encoding):
    found = from_json(json.loads(json.dumps(encoding.as_json(), allow_nan=False)))
    assert found == encoding
    np.testing.assert_array_equal(found.apply(X), encoding.apply(X))


def test_edges_that_are_apart_in_float64_alone_give_no_nan_in_float32():
    encoding = fit_piecewise_linear(COLUMNS["seconds since 1970"][None])
    encoded = encoding.apply(COLUMNS["seconds since 1970"][None].astype(np.float32))
    assert np.isfinite(encoded).all()


@pytest.mark.parametrize("encoding", ENCODINGS.values(), ids=ENCODINGS)
def test_no_column_and_no_example_are_fine(encoding):
    assert type(encoding)(*[()] * len(encoding.__dataclass_fields__)).apply(np.ones((0, 4))).shape == (0, 4)
    assert encoding.apply(np.ones((len(X), 0))).shape[1] == 0


# ---- edges ----


def test_quantile_edges_leave_as_many_values_in_each_bin():
    x = COLUMNS["long tails"]
    edges = quantile_edges(x, 10)
    counts, _ = np.histogram(x, edges)
    np.testing.assert_array_equal(counts, 50)


def test_a_frequent_value_is_an_edge_and_leaves_the_bins_to_the_others():
    x = COLUMNS["mostly 0"]
    edges = quantile_edges(x, 8)
    assert len(edges) == 9
    assert edges[0] == 0
    assert edges[-1] == x.max()
    counts, _ = np.histogram(x[x > 0], edges)
    assert counts[1:].max() - counts[1:].min() <= 1


def test_tree_edges_are_where_the_target_changes_whatever_the_scale():
    x = RNG.permutation(np.arange(1000.0))
    y = np.digitize(x, [100.5, 600.5])
    for scale in (1.0, 1e-9, 1e300):  # a tree's own thresholds are of float32
        for targets in (y, y[:, None] == np.arange(3)):
            edges = tree_edges(x * scale, targets, 8)
            np.testing.assert_allclose(edges, np.array([0, 100.5, 600.5, 999]) * scale, rtol=1e-12)
    assert tree_edges(1e9 + x * 1e-6, y, 8).shape == (4,)
    assert tree_edges(np.array([0.0, 1, 1]), np.array([0, 1, 1]), 8).tolist() == [0, 1]


def test_tree_edges_are_as_many_and_as_far_apart_as_asked():
    x, noise = np.arange(1000.0), RNG.standard_normal(1000)
    assert len(tree_edges(x, noise, 5)) == 6
    assert min(np.histogram(x, tree_edges(x, noise, 8, smallest=90))[0]) == 90


# ---- what can be wrong ----

BINS = {"edges": [0.0, 1.0], "fill": 0.0, "linear": None}


@pytest.mark.parametrize(
    ("plain", "message"),
    [
        (None, "not an encoding"),
        ([], "not an encoding"),
        ({"kind": "spline"}, "kind must be 'piecewise linear' or 'smooth clip', got 'spline'"),
        ({"kind": "piecewise linear"}, "not an encoding.*columns"),
        ({"kind": "piecewise linear", "columns": [BINS | {"edges": [1.0, 0.0]}]}, r"edges must increase.*\(1.0, 0.0\)"),
        ({"kind": "piecewise linear", "columns": [BINS | {"edges": [1.0]}]}, "edges must be none, or two or more"),
        ({"kind": "piecewise linear", "columns": [BINS | {"edges": ["a", "b"]}]}, "must be finite numbers"),
        ({"kind": "piecewise linear", "columns": [BINS | {"fill": float("nan")}]}, "must be finite numbers"),
        ({"kind": "piecewise linear", "columns": [BINS | {"linear": [1.0, 0.0]}]}, r"linear must be \(center, scale\)"),
        ({"kind": "piecewise linear", "columns": [BINS | {"linear": [1.0]}]}, r"linear must be \(center, scale\)"),
        ({"kind": "piecewise linear", "columns": [BINS | {"more": 1}]}, "not an encoding.*more"),
        ({"kind": "smooth clip", "center": [1.0], "factor": []}, "center and factor must be as many"),
        ({"kind": "smooth clip", "center": [1.0], "factor": [None]}, "factor must be finite numbers"),
    ],
)
def test_what_is_no_encoding_is_refused(plain, message):
    with pytest.raises(ValueError, match=message):
        from_json(plain)


@pytest.mark.parametrize("encoding", ENCODINGS.values(), ids=ENCODINGS)
def test_x_of_another_shape_or_too_narrow_a_dtype_is_refused(encoding):
    with pytest.raises(ValueError, match=r"X must be \(n_x, m\) = \(12, m\), got \(500, 12\): examples are columns"):
        encoding.apply(X.T)
    with pytest.raises(ValueError, match=r"X must be of a dtype that holds .*e\+299, got float32: scale it"):
        encoding.apply(np.ones((12, 3), np.float32))
