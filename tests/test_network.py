from dataclasses import replace
from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import (
    FUNCTIONS,
    HEADS,
    MATRIX,
    THREAD_EDGES,
    assert_close,
    assert_same,
    draw,
    every_function,
    reference_cost,
    reference_forward,
    reference_grads,
    reference_losses,
    stack,
)
from jax import export

import jaxshallow as js

pytestmark = pytest.mark.usefixtures("compiled_lightly")

# ---- forward propagation and cost against NumPy ----


@pytest.mark.parametrize(("hidden", "output", "n_y", "m"), MATRIX)
def test_forward_and_cost_match_numpy(hidden, output, n_y, m, x64):
    case = draw(hidden, output, n_y, m=m)
    params, X, Y = case.params, case.X, case.Y
    assert_close(js.forward(params, X), reference_forward(params, X), "float64")
    assert_close(js.losses(params, X, Y), reference_losses(params, X, Y), "float64")
    for keywords in case.penalties:
        assert_close(js.cost(params, X, Y, **keywords), reference_cost(params, X, Y, **keywords), "float64")


@pytest.mark.parametrize(("output", "n_y"), HEADS)
def test_each_column_of_forward_is_forward_example(output, n_y, x64):
    case = draw("tanh", output, n_y)
    cache = js.forward(case.params, case.X)
    for j in range(case.X.shape[1]):
        columns = js.forward_example(case.params, case.X[:, [j]])
        assert_close(columns, [Z[:, [j]] for Z in cache], "float64")


def test_a_single_example_has_the_shapes_of_the_notes():
    params = jax.eval_shape(lambda key: js.init(key, 3, 4), jax.random.key(0))
    x, y = jnp.ones((3, 1)), jnp.ones((1, 1))
    chex.assert_shape([params.W1, params.b1, params.W2, params.b2], [(4, 3), (4, 1), (1, 4), (1, 1)])
    z1, a1, z2, a2 = jax.eval_shape(js.forward_example, params, x)
    chex.assert_shape([x, z1, a1, z2, a2], [(3, 1), (4, 1), (4, 1), (1, 1), (1, 1)])
    for gradient in (js.manual_grads_example, js.manual_grads):
        d = jax.eval_shape(gradient, params, x, y)
        chex.assert_shape([d.W1, d.b1, d.W2, d.b2], [(4, 3), (4, 1), (1, 4), (1, 1)])


def test_many_examples_have_the_shapes_of_the_notes():
    case = draw("tanh", "softmax", 2, m=5, dtype=np.float32)[:3]
    cache = jax.eval_shape(js.forward, *case[:2])
    chex.assert_shape([cache.Z1, cache.A1, cache.Z2, cache.A2], [(4, 5), (4, 5), (2, 5), (2, 5)])
    chex.assert_shape(jax.eval_shape(js.losses, *case), (5,))
    chex.assert_shape(jax.eval_shape(partial(js.cost, l2=0.1), *case, weights=np.ones(5)), ())
    J, d = jax.eval_shape(js.cost_and_grads, *case)
    chex.assert_shape([J, d.W1, d.b1, d.W2, d.b2], [(), (4, 3), (4, 1), (2, 4), (2, 1)])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("output", "n_y"), HEADS)
def test_cost_and_gradient_are_finite_and_right_at_extreme_Z2(output, n_y, dtype, request, as_users_compile):
    if dtype == np.float64:
        request.getfixturevalue("x64")
    case = draw("identity", output, n_y, n_x=2, n_h=2, m=4, dtype=dtype)
    # Z2 = ±1000 exactly in its first row, with either label, the opposite in the second, half in the third.
    case.X[:] = [[1, -1, 1, -1], [0, 0, 0, 0]]
    case.Y[:] = [[1, 1, 0, 0], [0, 0, 1, 1], [0, 0, 0, 0]][:n_y]
    zero = np.zeros((n_y, 1), dtype)
    W2 = np.stack([1000 * np.resize([1.0, -1.0, 0.5], n_y), np.zeros(n_y)], axis=1).astype(dtype)
    params = replace(case.params, W1=np.eye(2, dtype=dtype), b1=np.zeros((2, 1), dtype), W2=W2, b2=zero)
    np.testing.assert_array_equal(reference_forward(params, case.X)[2][0], [1000, -1000, 1000, -1000])

    both = jax.jit(lambda *case: (js.cost_and_grads(*case), jax.grad(js.cost)(*case)))
    (J, grads), by_autodiff = both(params, case.X, case.Y)
    assert np.isfinite(J)
    assert J > 400
    tolerance = "float64" if dtype == np.float64 else "float32"
    assert_close(J, reference_cost(params, case.X, case.Y), tolerance)
    expected = [d.astype(dtype) for d in reference_grads(params, case.X, case.Y)]  # e^−500 is 0 in float32
    assert_close(grads, expected, tolerance)
    assert_close(by_autodiff, grads, tolerance)


def test_a_network_that_knows_nothing_costs_log_of_the_number_of_classes():
    for output, n_y, classes in (("sigmoid", 1, 2), ("softmax", 3, 3)):
        params, X, Y, *_ = draw("sigmoid", output, n_y, dtype=np.float32)
        nothing = jax.tree.map(np.zeros_like, params)
        assert_close(js.cost(nothing, X, Y), np.log(classes), "float32")


# ---- predict ----


def through(Z2, output):
    """A network and an X for which Z2 is the given array: identity all the way."""
    n_y, m = Z2.shape
    eye, zero = jnp.eye(n_y), jnp.zeros((n_y, 1))
    return js.Params(eye, zero, eye, zero, hidden="identity", output=output), jnp.asarray(Z2)


def test_predict_of_one_sigmoid_unit_is_a_row_of_0_and_1():
    labels = js.predict(*through(np.array([[-3.0, -0.1, 0.1, 1000.0]]), "sigmoid"))
    assert_same(labels, jnp.array([0, 0, 1, 1]))


def test_predict_of_even_odds_is_0():
    assert_same(js.predict(*through(np.zeros((1, 2)), "sigmoid")), jnp.array([0, 0]))


def test_predict_of_several_sigmoid_units_is_a_label_for_each():
    labels = js.predict(*through(np.array([[-3.0, 2.0], [0.5, 0.7], [-0.1, -9.0]]), "sigmoid"))
    assert_same(labels, jnp.array([[0, 1], [1, 1], [0, 0]]))


def test_predict_of_softmax_is_the_most_probable_class():
    labels = js.predict(*through(np.array([[3.0, -2.0, 0.0], [0.5, 0.7, 0.0], [-0.1, 9.0, 0.1]]), "softmax"))
    assert_same(labels, jnp.array([0, 2, 2]))


def test_predict_of_identity_is_the_output_itself():
    Z2 = np.array([[-3.0, 2.0], [0.5, 0.7]], np.float32)
    assert_same(js.predict(*through(Z2, "identity")), jnp.asarray(Z2))
    assert js.predict(*through(Z2[:1], "identity")).shape == (1, 2)


# ---- compilers: sizes at which a loop is split over threads, where they have been caught wrong ----

ARCHITECTURES = {"2-4-1": ("tanh", "sigmoid", 1, 2, 4), "3-3-3": ("sigmoid", "softmax", 3, 3, 3)}


@pytest.mark.parametrize("m", THREAD_EDGES)
@pytest.mark.parametrize(("hidden", "output", "n_y", "n_x", "n_h"), ARCHITECTURES.values(), ids=ARCHITECTURES)
def test_compiled_results_match_numpy_at_thread_edges(hidden, output, n_y, n_x, n_h, m, as_users_compile):
    case = draw(hidden, output, n_y, n_x=n_x, n_h=n_h, m=m, dtype=np.float32)
    args, keywords = case[:3], {"weights": case.weights, "l2": case.l2}
    assert_close(jax.jit(js.forward)(*args[:2]), reference_forward(*args[:2]), "float32, each example")
    assert_close(jax.jit(js.losses)(*args), reference_losses(*args), "float32, each example")
    sums = "float32, sums over many examples"
    assert_close(jax.jit(js.cost)(*args, **keywords), reference_cost(*args, **keywords), sums)
    assert_close(jax.jit(js.manual_grads)(*args, **keywords), reference_grads(*args, **keywords), sums)


@pytest.mark.parametrize("m", THREAD_EDGES)
@pytest.mark.parametrize(("n_y", "n_x", "n_h"), [(1, 2, 4), (3, 3, 3)])
def test_no_example_is_lost_at_thread_edges(n_y, n_x, n_h, m, as_users_compile):
    # Integers throughout, so that every sum over examples is exact in float32, in any order: one lost or doubled
    # example shows, where it has a loss and is not 0.
    case = draw("identity", "identity", n_y, n_x=n_x, n_h=n_h, m=m, dtype=np.float32)
    params, X, Y = jax.tree.map(lambda a: np.clip(np.rint(2 * a), -2, 2), case[:3])
    X[:, [0, -1]], Y[:, [0, -1]] = 1, 50
    losses = reference_losses(params, X, Y)
    assert losses.sum() < 2**23
    assert losses[[0, -1]].all()
    J, grads = jax.jit(js.cost_and_grads)(params, X, Y)
    expected = reference_cost(params, X, Y), *reference_grads(params, X, Y)
    for a, e in zip(jax.tree.leaves((J, grads)), expected, strict=True):
        np.testing.assert_array_almost_equal_nulp(np.asarray(a), np.asarray(e, np.float32), nulp=1)


# ---- what holds of every function of the core ----


@pytest.mark.parametrize(("output", "n_y"), [("sigmoid", 1), ("softmax", 3), ("identity", 3)])
def test_jit_changes_no_answer(output, n_y, x64, as_users_compile):
    case = draw("tanh", output, n_y)
    assert_close(jax.jit(every_function)(*case), every_function(*case), "float64")


def test_vmap_over_stacked_networks_is_each_network_alone(x64):
    cases = [draw("tanh", "softmax", 3, seed=seed) for seed in range(3)]
    params, X, Y, weights, l2 = stack(*cases)
    together = jax.jit(jax.vmap(every_function))(params, X, Y, weights, l2)
    assert_close(together, stack(*(every_function(*case) for case in cases)), "float64")
    shared = cases[0][1:]
    on_one_data_set = jax.jit(jax.vmap(every_function, in_axes=(0, None, None, None, None)))(params, *shared)
    assert_close(on_one_data_set, stack(*(every_function(case.params, *shared) for case in cases)), "float64")


def inner(trees, others):
    return sum(jnp.vdot(a, b) for a, b in zip(jax.tree.leaves(trees), jax.tree.leaves(others), strict=True))


@pytest.mark.parametrize("output", ["sigmoid", "identity"])
def test_every_function_can_be_differentiated_both_ways(output, x64):
    case, direction = draw("tanh", output, 3, m=2), draw("tanh", output, 3, m=2, seed=1).params
    functions = {name: f for name, f in FUNCTIONS.items() if name != "predict" or output == "identity"}  # not labels
    rng = np.random.default_rng(0)

    @jax.jit
    def slopes(params, direction):
        """Of a random combination of each function's results, by forward and by reverse mode."""
        pairs = {}
        for name, function in functions.items():
            results, pull = jax.vjp(lambda params, f=function: f(params, *case[1:]), params)
            _, tangents = jax.jvp(lambda params, f=function: f(params, *case[1:]), (params,), (direction,))
            combination = jax.tree.map(lambda leaf: jnp.asarray(rng.normal(size=leaf.shape)), results)
            pairs[name] = inner(combination, tangents), inner(*pull(combination), direction)
        return pairs

    for name, (forward_mode, reverse_mode) in slopes(case.params, direction).items():
        assert abs(forward_mode) > 1e-3, name
        assert_close({name: forward_mode}, {name: reverse_mode}, "float64")


@pytest.mark.parametrize(
    ("x64_on", "dtype"),
    [
        (False, jnp.float32),
        (False, jnp.bfloat16),
        (False, jnp.float16),
        (True, jnp.float64),
        (True, jnp.float32),
        (True, jnp.bfloat16),
    ],
)
@pytest.mark.parametrize("data_dtype", [np.float32, np.float64])
@pytest.mark.parametrize("output", ["sigmoid", "softmax", "identity"])
def test_the_dtype_of_the_parameters_is_the_dtype_of_every_result(output, data_dtype, x64_on, dtype):
    params, *data, l2 = draw("tanh", output, 3)
    with jax.enable_x64(x64_on):
        params = jax.tree.map(lambda W: jnp.asarray(W.astype(dtype)), params)
        data = [a.astype(data_dtype) for a in data]
        traced = jax.eval_shape(every_function, params, *data, l2)
        constant = jax.eval_shape(lambda params: every_function(params, *data, l2), params)
        for results in (traced, constant):
            labels = results.pop("predict").dtype
            assert labels == dtype if output == "identity" else jnp.issubdtype(labels, jnp.integer)
            assert {leaf.dtype for leaf in jax.tree.leaves(results)} == {jnp.dtype(dtype)}


@pytest.mark.parametrize("output", ["sigmoid", "softmax", "identity"])
def test_bfloat16_answers_are_the_reference_rounded(output, as_users_compile):
    case = draw("tanh", output, 3, dtype=jnp.bfloat16)
    assert_close(jax.jit(js.forward)(*case[:2]), reference_forward(*case[:2]), "bfloat16")
    keywords = {"weights": case.weights, "l2": case.l2}
    J, grads = jax.jit(js.cost_and_grads)(*case[:3], **keywords)
    assert_close(J, reference_cost(*case[:3], **keywords), "bfloat16")
    assert_close(grads, reference_grads(*case[:3], **keywords), "bfloat16")


def test_numpy_parameters_and_data_do_as_well_as_jax_arrays():
    case = draw("tanh", "softmax", 3, dtype=np.float32)
    expected = every_function(*jax.tree.map(jnp.asarray, case))
    assert_same(every_function(*case), expected)
    assert_same(every_function(*jax.tree.map(lambda a: np.asarray(a, np.float64), case)), expected)


def test_lists_and_integer_labels_do_as_well_as_arrays():
    case = draw("tanh", "sigmoid", 1, dtype=np.float32)
    expected = js.cost(*case[:3])
    assert_same(js.cost(case.params, case.X.tolist(), case.Y.tolist()), expected)
    for dtype in (int, bool, np.uint8):
        assert_same(js.cost(case.params, case.X, case.Y.astype(dtype)), expected)
    counts = [1, 2, 3, 0, 1, 2, 3]
    assert_same(
        js.cost(*case[:3], weights=np.array(counts), l2=1), js.cost(*case[:3], weights=jnp.array(counts, float), l2=1.0)
    )


@pytest.mark.parametrize("function", FUNCTIONS.values(), ids=FUNCTIONS)
def test_many_calls_with_other_values_trace_once(function):
    traces = 0

    @jax.jit
    def counted(*args):
        nonlocal traces
        traces += 1
        return function(*args)

    for seed in range(10):
        counted(*draw("tanh", "softmax", 3, dtype=np.float32, seed=seed)._replace(l2=seed / 10))
    assert traces == 1
    counted.trace(*draw("tanh", "softmax", 3, dtype=np.float32, m=8))
    assert traces == 2  # other shapes do trace again: the counter counts


# ---- score ----


@pytest.mark.parametrize(
    ("output", "n_y"), [("sigmoid", 1), ("sigmoid", 3), ("softmax", 3), ("identity", 1), ("identity", 3)]
)
@pytest.mark.parametrize(("dtype", "rtol"), [(jnp.bfloat16, 2e-2), (np.float32, 1e-5), (np.float64, 1e-12)])
def test_the_score_is_scikit_learns(output, n_y, dtype, rtol, x64):
    metrics = pytest.importorskip("sklearn.metrics")
    case = draw(output=output, n_y=n_y, dtype=dtype)
    rows = [np.asarray(A, np.float64).T for A in (case.Y, js.forward(case.params, case.X).A2)]
    if output == "identity":
        expected = metrics.r2_score(*rows)
    else:
        labels = [A.argmax(axis=1) if output == "softmax" else A > 0.5 for A in rows]
        expected = metrics.accuracy_score(*labels)
    np.testing.assert_allclose(js.score(case.params, case.X, case.Y), expected, rtol=rtol)


def test_the_score_of_a_constant_target_is_1_where_it_is_met_and_else_0():
    params = js.Params(
        np.zeros((1, 1)), np.zeros((1, 1)), np.zeros((2, 1)), np.array([[3.0], [4.0]]), output="identity"
    )
    Y = np.array([[3.0, 3.0], [5.0, 5.0]])
    assert js.score(params, np.ones((1, 2)), Y) == 0.5


# ---- a user's own jax.export ----


def everything(params, X, Y, w):
    """What every function makes of its arguments, but the Python loops."""
    options = {"weights": w, "l2": 0.3}
    each = js.forward(params, X), js.forward_scan(params, X), js.forward_vmap(params, X), js.predict(params, X)
    tiles = js.stream(js.forward, 4)(params, X), js.stream(js.predict)(params, X)
    numbers = js.losses(params, X, Y), js.score(params, X, Y), 1 / js.grad_noise_scale(params, X, Y)
    plain = js.cost_and_grads(params, X, Y), js.stream(js.cost_and_grads, 4)(params, X, Y)
    fns = js.cost_and_grads, js.manual_grads_scan, js.manual_grads_vmap, jax.grad(js.cost)
    weighted = [fn(params, X, Y, **options) for fn in (*fns, js.stream(js.cost_and_grads, 4))]
    clipped = js.per_example_grad_norms(params, X, Y), js.clipped_grads(params, X, Y, 0.5, **options)
    return each, tiles, numbers, plain, weighted, clipped


def test_users_export_with_symbolic_sizes(x64):
    """One program for every number of examples, below a tile and above, and every size of network."""
    names = {"X": "n, m", "Y": "1, m", "w": "m", "W1": "h, n", "b1": "h, 1", "W2": "1, h", "b2": "1, 1"}
    scope = export.SymbolicScope()
    shapes = {name: export.symbolic_shape(shape, scope=scope) for name, shape in names.items()}
    like = [jax.ShapeDtypeStruct(shape, jnp.float64) for shape in shapes.values()]
    of = lambda X, Y, w, *leaves: everything(js.Params(*leaves, hidden="tanh"), X, Y, w)  # noqa: E731
    program = export.export(jax.jit(of))(*like)
    for m in (3, 8):
        params, X, Y, w, *_ = draw("tanh", m=m)
        arguments = X, Y, w, *jax.tree.leaves(params)
        assert_close(program.call(*arguments), jax.jit(of)(*arguments), "float64")
    with pytest.raises(ValueError, match=r"a Python loop needs to know .* got \(3, m\): use the scan"):
        export.export(jax.jit(lambda X: js.forward_loop(params, X)))(
            jax.ShapeDtypeStruct(export.symbolic_shape("3, m"), jnp.float64)
        )
    with pytest.raises(ValueError, match=r"Y must be \(n_y, m\) = \(1, m\), got \(1, q\)"):
        export.export(jax.jit(lambda X, Y: js.cost(params, X, Y)))(
            *(jax.ShapeDtypeStruct(export.symbolic_shape(s, scope=scope), jnp.float64) for s in ("3, m", "1, q"))
        )
