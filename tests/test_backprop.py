from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import (
    HEADS,
    HIDDEN,
    MATRIX,
    PAIRS,
    Case,
    assert_close,
    assert_same,
    draw,
    init,
    reference_cost,
    reference_grads,
    reference_losses,
)
from hypothesis import given, settings
from hypothesis import strategies as st

import jaxshallow as js

pytestmark = pytest.mark.usefixtures("compiled_lightly")

# ---- one gradient, four ways: by hand, by autodiff, by finite differences, by NumPy ----


def assert_all_penalties(case: Case, expected, tolerance):
    """manual_grads equal the expected gradient, with weights or not × with l2 or not."""
    for keywords in case.penalties:
        assert_close(js.manual_grads(*case[:3], **keywords), expected(*case[:3], **keywords), tolerance)


@pytest.mark.parametrize(("hidden", "output", "n_y", "m"), MATRIX)
def test_manual_grads_match_autodiff(hidden, output, n_y, m, x64):
    case = draw(hidden, output, n_y, m=m)
    assert all(W.all() for W in jax.tree.leaves(case.params))
    assert_all_penalties(case, jax.grad(js.cost), "float64")


@pytest.mark.parametrize(("hidden", "output", "n_y", "m"), MATRIX)
def test_manual_grads_match_numpy(hidden, output, n_y, m, x64):
    assert_all_penalties(draw(hidden, output, n_y, m=m), reference_grads, "float64")


@pytest.mark.parametrize(("hidden", "output", "n_y"), PAIRS, ids=HIDDEN)
def test_manual_grads_match_autodiff_in_float32(hidden, output, n_y):
    case = draw(hidden, output, n_y, dtype=np.float32)
    assert_all_penalties(case, jax.grad(js.cost), "float32")
    assert_all_penalties(case, reference_grads, "float32")


def finite_differences(params, X, Y, **keywords):
    """dJ/dW of every entry W by central differences of the reference's cost, h = eps^(1/3)."""
    h = np.finfo(np.float64).eps ** (1 / 3)

    def slopes(name):
        W = getattr(params, name)
        d = np.empty_like(W)
        for index in np.ndindex(W.shape):
            step = np.zeros_like(W)
            step[index] = h
            above, below = (reference_cost(replace(params, **{name: W + s}), X, Y, **keywords) for s in (step, -step))
            d[index] = (above - below) / (2 * h)
        return d

    return replace(params, **{name: slopes(name) for name in ("W1", "b1", "W2", "b2")})


@pytest.mark.parametrize(("hidden", "output", "n_y", "m"), MATRIX)
def test_manual_grads_match_finite_differences(hidden, output, n_y, m, x64):
    assert_all_penalties(draw(hidden, output, n_y, m=m), finite_differences, "finite differences")


sizes = st.integers(1, 5)


@settings(max_examples=8, deadline=None, derandomize=True, database=None)
@given(sizes, sizes, sizes, sizes, st.sampled_from(["sigmoid", "softmax", "identity"]))
def test_manual_grads_match_autodiff_for_any_shape(n_x, n_h, n_y, m, output):
    with jax.enable_x64(True):
        n_y += output == "softmax"  # which needs two units at least
        case = draw("tanh", output, n_y, n_x=n_x, n_h=n_h, m=m)
        gradients = jax.jit(lambda *args: (js.manual_grads(*args, l2=0.3), jax.grad(js.cost)(*args, l2=0.3)))
        assert_close(*gradients(*case[:3]), "float64")


@pytest.mark.parametrize(("hidden", "output", "n_y"), PAIRS, ids=HIDDEN)
def test_manual_grads_match_autodiff_where_everything_is_zero(hidden, output, n_y, x64):
    case = draw(hidden, output, n_y)
    params = jax.tree.map(np.zeros_like, case.params)
    assert_all_penalties(case._replace(params=params), jax.grad(js.cost), "float64")


@pytest.mark.parametrize("keywords", [{}, {"weights": np.arange(1.0, 8.0)}, {"weights": np.arange(7.0), "l2": 0.3}])
def test_cost_and_grads_are_cost_and_manual_grads(keywords, x64):
    case = draw("tanh", "softmax", 3)
    J, grads = js.cost_and_grads(*case[:3], **keywords)
    assert_same(J, js.cost(*case[:3], **keywords))
    assert_same(grads, js.manual_grads(*case[:3], **keywords))


# ---- per example, in lower case ----


@pytest.mark.parametrize(("output", "n_y"), HEADS)
@pytest.mark.parametrize("hidden", HIDDEN.values(), ids=HIDDEN)
def test_the_mean_of_per_example_gradients_is_the_matrix_gradient(hidden, output, n_y, x64):
    case = draw(hidden, output, n_y)
    each = jax.vmap(js.manual_grads_example, in_axes=(None, 1, 1))(case.params, case.X[:, :, None], case.Y[:, :, None])
    mean = jax.tree.map(lambda d: np.asarray(d).mean(axis=0), each)
    assert_close(mean, js.manual_grads(*case[:3]), "float64")


def test_the_gradient_of_one_example_is_the_matrix_gradient_of_its_column(x64):
    case = draw("tanh", "softmax", 3)
    for j in range(len(case.weights)):
        x, y = case.X[:, [j]], case.Y[:, [j]]
        assert_close(js.manual_grads_example(case.params, x, y), js.manual_grads(case.params, x, y), "float64")


def test_the_head_for_counts_matches_autodiff_and_numpy(x64):
    case = draw("tanh", "exp", 2)
    assert_close(js.losses(*case[:3]), reference_losses(*case[:3]), "float64")
    assert_all_penalties(case, jax.grad(js.cost), "float64")
    assert_all_penalties(case, reference_grads, "float64")


# ---- weights and l2 ----

WEIGHTED_HEADS = [("sigmoid", 1), ("softmax", 3), ("identity", 3)]

cost_and_grads = jax.jit(js.cost_and_grads)


@pytest.mark.parametrize("l2", [0.0, 0.3])
@pytest.mark.parametrize(("output", "n_y"), WEIGHTED_HEADS)
def test_a_weight_of_0_removes_the_example(output, n_y, l2, x64):
    case = draw("tanh", output, n_y)
    kept = np.array([0, 2, 3, 6])
    weights = np.zeros_like(case.weights)
    weights[kept] = case.weights[kept]
    removed = cost_and_grads(*case[:3], weights=weights, l2=l2)
    deleted = cost_and_grads(case.params, case.X[:, kept], case.Y[:, kept], weights=case.weights[kept], l2=l2)
    assert_close(removed, deleted, "float64")
    # The removed numbers have no say at all.
    case.X[:, [1, 4, 5]] *= -100
    case.Y[:, [1, 4, 5]] = 1 - case.Y[:, [1, 4, 5]]
    assert_same(cost_and_grads(*case[:3], weights=weights, l2=l2), removed)


@pytest.mark.parametrize("l2", [0.0, 0.3])
@pytest.mark.parametrize(("output", "n_y"), WEIGHTED_HEADS)
def test_an_integer_weight_repeats_the_example(output, n_y, l2, x64):
    case = draw("tanh", output, n_y)
    counts = np.array([1, 2, 0, 3, 1, 5, 1])
    repeated = np.repeat(np.arange(7), counts)
    weighted = cost_and_grads(*case[:3], weights=counts, l2=l2)
    assert_close(weighted, cost_and_grads(case.params, case.X[:, repeated], case.Y[:, repeated], l2=l2), "float64")


def test_weights_of_1_are_no_weights(x64):
    case = draw("tanh", "softmax", 3)
    assert_close(cost_and_grads(*case[:3], weights=np.ones(7), l2=0.3), cost_and_grads(*case[:3], l2=0.3), "float64")


@pytest.mark.parametrize("factor", [1e-6, 3.0, 1e6])
def test_scaling_all_weights_changes_no_unregularised_cost(factor, x64):
    case = draw("tanh", "softmax", 3)
    expected = cost_and_grads(*case[:3], weights=case.weights)
    assert_close(cost_and_grads(*case[:3], weights=factor * case.weights), expected, "float64")


@pytest.mark.parametrize("weights", [None, np.arange(7.0)])
def test_l2_is_divided_by_the_sum_of_the_weights(weights, x64):
    case = draw("tanh", "softmax", 3)
    (J0, d0), (J1, d1) = (
        jax.tree.map(np.asarray, cost_and_grads(*case[:3], weights=weights, l2=l2)) for l2 in (0.0, 0.3)
    )
    total = 7 if weights is None else weights.sum()
    W1, W2 = case.params.W1, case.params.W2
    assert_close(J1 - J0, 0.3 / (2 * total) * (np.sum(W1**2) + np.sum(W2**2)), "float64")
    assert_close([d1.W1 - d0.W1, d1.W2 - d0.W2], [0.3 / total * W1, 0.3 / total * W2], "float64")
    assert_same([d1.b1, d1.b2], [d0.b1, d0.b2])  # biases are not decayed


@pytest.mark.parametrize("function", [js.cost, js.manual_grads, js.cost_and_grads, jax.grad(js.cost)])
def test_weights_that_are_all_0_give_0_and_no_nan(function):
    case = draw("tanh", "softmax", 3, dtype=np.float32)
    result = jax.jit(function)(*case[:3], weights=np.zeros(7, np.float32), l2=0.3)
    assert_same(result, jax.tree.map(jnp.zeros_like, result))


def test_vmap_over_weights_gives_every_fold_at_once(x64):
    case = draw("tanh", "softmax", 3)
    folds = 1 - np.eye(7)
    each = jax.jit(jax.vmap(lambda w: js.cost_and_grads(*case[:3], weights=w, l2=0.3)))(folds)
    for j in range(7):
        alone = cost_and_grads(case.params, np.delete(case.X, j, 1), np.delete(case.Y, j, 1), l2=0.3)
        assert_close(jax.tree.map(lambda d, j=j: np.asarray(d)[j], each), alone, "float64")


def test_vmap_over_l2_gives_every_strength_at_once(x64):
    case = draw("tanh", "softmax", 3)
    strengths = np.array([0.0, 0.1, 10.0])
    each = jax.jit(jax.vmap(lambda l2: js.cost_and_grads(*case[:3], l2=l2)))(strengths)
    for k, l2 in enumerate(strengths):
        assert_close(jax.tree.map(lambda d, k=k: np.asarray(d)[k], each), cost_and_grads(*case[:3], l2=l2), "float64")


# ---- what the notes ask, and what compiling costs ----


@jax.jit
def descend(params, X, Y):
    """20 steps at a rate of 0.5."""

    def step(params, _):
        return jax.tree.map(lambda W, dW: W - 0.5 * dW, params, js.manual_grads(params, X, Y)), None

    return jax.lax.scan(step, params, length=20)[0]


@pytest.mark.parametrize("hidden", ["sigmoid", "tanh", "relu"])
def test_hidden_units_that_start_at_zero_stay_identical(hidden):
    case = draw(hidden, "sigmoid", 1, dtype=np.float32, m=20)
    start = init(jax.random.key(0), 3, 4, hidden=hidden, scale=0.0)
    trained = jax.tree.map(np.asarray, descend(start, *case[1:3]))
    assert trained.b2 != start.b2  # it did descend
    for incoming_or_outgoing in (trained.W1, trained.b1, trained.W2.T):
        assert_same(incoming_or_outgoing, np.broadcast_to(incoming_or_outgoing[:1], incoming_or_outgoing.shape))
    broken = descend(init(jax.random.key(0), 3, 4, hidden=hidden, scale=0.01), *case[1:3])
    assert len(np.unique(np.asarray(broken.W1)[:, 0])) == 4


def test_large_weights_stall_the_hidden_layer(x64):
    case = draw("tanh", "sigmoid", 1)
    large = replace(case.params, W1=1000 * case.params.W1)
    small, stalled = js.manual_grads(*case[:3]).W1, js.manual_grads(large, *case[1:3]).W1
    assert np.abs(stalled).max() < 1e-6 * np.abs(small).max()


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="other compilers name their matrix products otherwise")
@pytest.mark.parametrize("keywords", [{}, {"weights": np.ones(7, np.float32), "l2": 0.3}], ids=["plain", "weighted"])
def test_cost_and_grads_share_one_forward_pass(keywords):
    case = draw("tanh", "softmax", 3, dtype=np.float32)

    def count(function):
        text = jax.jit(function).lower(*case[:3], **keywords).compile().as_text()
        return text.count(" dot("), text.count(" tanh(")

    assert count(js.manual_grads) == (5, 1)  # Z1, Z2, dW2, dZ1, dW1; A1
    assert count(js.cost_and_grads) == count(js.manual_grads)
