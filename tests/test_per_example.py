"""Norms of the examples' own gradients, clipping, and the noise scale: what one gradient for each example gives."""

import jax
import numpy as np
import pytest
from cases import (
    HEADS,
    PAIRS,
    assert_close,
    draw,
    largest_array,
    reference_clipped_grads,
    reference_each_gradient,
    reference_norms,
)

import jaxshallow as js

pytestmark = pytest.mark.usefixtures("compiled_lightly")

CASES = pytest.mark.parametrize(
    ("hidden", "output", "n_y", "m"),
    [*((*pair, 7) for pair in PAIRS), *(("tanh", *head, 1) for head in HEADS)],
)


@CASES
def test_norms_are_those_of_the_examples_gradients(x64, hidden, output, n_y, m):
    params, X, Y, *_ = draw(hidden, output, n_y, m=m)
    assert_close(js.per_example_grad_norms(params, X, Y), reference_norms(params, X, Y), "float64")


@CASES
def test_clipped_grads_are_the_mean_of_the_clipped_gradients(x64, hidden, output, n_y, m):
    case = draw(hidden, output, n_y, m=m)
    max_norm = float(np.median(reference_norms(*case[:3]))) * 0.9  # one of m = 1, about half of m = 7
    for keywords in case.penalties:
        assert_close(
            js.clipped_grads(*case[:3], max_norm, **keywords),
            reference_clipped_grads(*case[:3], max_norm, **keywords),
            "float64",
        )


def test_norms_and_clipping_hold_in_float32():
    params, X, Y, *_ = draw("tanh", "softmax", 3, m=7, dtype=np.float32)
    assert_close(js.per_example_grad_norms(params, X, Y), reference_norms(params, X, Y), "float32")
    assert_close(js.clipped_grads(params, X, Y, 0.5), reference_clipped_grads(params, X, Y, 0.5), "float32")


def test_a_norm_that_none_reaches_clips_nothing(x64):
    case = draw(m=7)
    for keywords in case.penalties:
        assert_close(js.clipped_grads(*case[:3], 1e6, **keywords), js.manual_grads(*case[:3], **keywords), "float64")


def test_one_example_moves_the_clipped_mean_by_no_more_than_its_share(x64):
    """An outlier of 10⁶ moves the plain gradient by thousands, the clipped one by at most 2 max_norm / m."""
    params, X, Y, *_ = draw("relu", "identity", m=7)
    outlier = Y.copy()
    outlier[0, 3] = 1e6
    moved = jax.tree.map(np.subtract, js.clipped_grads(params, X, outlier, 0.1), js.clipped_grads(params, X, Y, 0.1))
    distance = np.sqrt(sum(np.sum(leaf**2) for leaf in jax.tree.leaves(moved)))
    assert 0 < distance <= 2 * 0.1 / 7 * (1 + 1e-12)


@pytest.mark.parametrize("function", [js.per_example_grad_norms, lambda *case: js.clipped_grads(*case, 1.0)])
def test_nothing_of_the_size_of_m_gradients_is_made(function):
    params, X, Y, *_ = draw(n_x=30, n_h=20, m=50, dtype=np.float32)
    assert largest_array(function, params, X, Y) == 30 * 50  # X itself, squared
    one = jax.grad(lambda params, x, y: js.cost(params, x[:, None], y[:, None]))
    assert largest_array(jax.vmap(one, (None, 1, 1)), params, X, Y) >= 20 * 30 * 50


def test_an_example_that_is_all_right_has_norm_0_and_survives_clipping():
    params = js.Params(*(np.zeros(shape, np.float32) for shape in ((4, 3), (4, 1), (1, 4), (1, 1))), output="identity")
    X, Y = np.ones((3, 2), np.float32), np.array([[0.0, 1.0]], np.float32)
    norms = jax.jit(js.per_example_grad_norms)(params, X, Y)
    assert np.asarray(norms)[0] == 0
    assert_close(
        jax.jit(js.clipped_grads)(params, X[:, :1], Y[:, :1], 1.0), jax.tree.map(np.zeros_like, params), "float32"
    )


# ---- the noise scale ----


def test_the_noise_scale_is_its_definition(x64):
    params, X, *_ = draw(m=7)
    Y = np.ones((1, 7))  # of one class, so that the gradients agree enough to be told from their noise
    each = np.concatenate([leaf.reshape(7, -1) for leaf in reference_each_gradient(params, X, Y)], 1)
    variance = each.var(axis=0, ddof=1).sum()
    signal = (each.mean(axis=0) ** 2).sum() - variance / 7
    assert signal > 0
    assert_close(js.grad_noise_scale(params, X, Y), variance / signal, "float64")
    streamed = js.grad_noise_scale(
        params, X, Y, norms=js.stream(js.per_example_grad_norms, 2), grads=js.stream(js.manual_grads, 2)
    )
    assert_close(streamed, variance / signal, "float64")


def test_examples_that_agree_have_no_noise_and_a_minimum_has_nothing_else(x64):
    params, X, Y, *_ = draw(m=7)
    same = np.repeat(X[:, :1], 7, axis=1), np.repeat(Y[:, :1], 7, axis=1)
    noise_scale = jax.jit(js.grad_noise_scale)
    assert abs(float(noise_scale(params, *same))) < 1e-12
    contradiction = np.repeat(X[:, :1], 2, axis=1), np.array([[0.0, 1.0]])  # with A2 = ½ their gradients cancel
    undecided = jax.tree.map(np.zeros_like, params)
    assert np.isinf(noise_scale(undecided, *contradiction))


# ---- what is refused ----


@pytest.mark.parametrize(
    ("max_norm", "message"),
    [(0.0, "max_norm must be above 0, got 0.0"), (float("nan"), "above 0, got nan"), (np.ones(3), "must be a scalar")],
)
def test_a_max_norm_that_cannot_be_is_refused(max_norm, message):
    params, X, Y, *_ = draw(dtype=np.float32)
    with pytest.raises(ValueError, match=message):
        js.clipped_grads(params, X, Y, max_norm)


def test_rows_in_place_of_columns_are_named():
    params, X, Y, *_ = draw(dtype=np.float32)
    for call in (
        lambda: js.per_example_grad_norms(params, X.T, Y),
        lambda: js.clipped_grads(params, X.T, Y, 1.0),
        lambda: js.grad_noise_scale(params, X.T, Y),
    ):
        with pytest.raises(ValueError, match=r"examples are columns, use X\.T"):
            call()
    with pytest.raises(ValueError, match="at least 2 examples, got 1"):
        js.grad_noise_scale(params, X[:, :1], Y[:, :1])
