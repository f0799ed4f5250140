import re
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import FUNCTIONS as RESULTS
from cases import draw, stack

import jaxshallow as js
from jaxshallow import checks

FUNCTIONS = {**RESULTS, "score": lambda params, X, Y, weights, l2: js.score(params, X, Y)}

# What each function is given, by the argument that may be wrong.
TAKE_X = ["forward", "predict", "score", "losses", "cost", "manual_grads", "cost_and_grads"]
TAKE_Y = ["score", "losses", "cost", "manual_grads", "cost_and_grads"]
TAKE_WEIGHTS = ["cost", "manual_grads", "cost_and_grads"]

ONE_HOT = ": for one-hot Y use output='softmax' and n_y=3"
BINARY = draw("tanh", "sigmoid", 1, dtype=np.float32)  # n_x 3, n_h 4, n_y 1, m 7
CLASSES = draw("tanh", "softmax", 3, dtype=np.float32)


FLOATS = ": use X.astype('float32'), and scale it"
ONE_HOT = ": one-hot columns, jax.nn.one_hot(Y.ravel(), 3, axis=0)"
STACKED = ": map over stacked parameters with jax.vmap"


def refusal(functions, case, error, message, *, traced=True):
    """Each function refuses the case with exactly that message, alone and while it is traced by jit."""
    for name in functions:
        with pytest.raises(error) as refused:
            FUNCTIONS[name](*case)
        assert str(refused.value) == message, name
        if traced:
            with pytest.raises(error) as refused:
                jax.jit(FUNCTIONS[name]).trace(*case)
            assert str(refused.value) == message, name


@pytest.mark.parametrize(
    ("error", "X", "message"),
    [
        (ValueError, BINARY.X.T, "X must be (n_x, m) = (3, m), got (7, 3): examples are columns, use X.T"),
        (ValueError, BINARY.X[0], "X must be (n_x, m) = (3, m), got (7,): one example is a column, X.reshape(-1, 1)"),
        (ValueError, BINARY.X[:2], "X must be (n_x, m) = (3, m), got (2, 7)"),
        (ValueError, BINARY.X[None], "X must be (n_x, m) = (3, m), got (1, 3, 7)"),
        (ValueError, BINARY.X[:, :0], "X must hold at least one example, got (3, 0)"),
        (ValueError, 1.0, "X must be (n_x, m) = (3, m), got ()"),
        (TypeError, BINARY.X.astype(np.int32), "X must be floating point, got int32" + FLOATS),
        (TypeError, BINARY.X > 0, "X must be floating point, got bool" + FLOATS),
        (TypeError, BINARY.X.astype(np.complex64), "X must be real, got complex64"),
    ],
    ids=["rows", "one feature", "features missing", "3-d", "empty", "a number", "integer", "bool", "complex"],
)
def test_a_wrong_X_is_refused(error, X, message):
    refusal(TAKE_X, BINARY._replace(X=X), error, message)


@pytest.mark.parametrize(
    ("error", "Y", "message"),
    [
        (ValueError, BINARY.Y[0], "Y must be (n_y, m) = (1, 7), got (7,): use Y.reshape(1, -1)"),
        (ValueError, BINARY.Y.T, "Y must be (n_y, m) = (1, 7), got (7, 1): use Y.reshape(1, -1)"),
        (ValueError, BINARY.Y[:, :6], "Y must be (n_y, m) = (1, 7), got (1, 6)"),
        (
            ValueError,
            CLASSES.Y,
            "Y must be (n_y, m) = (1, 7), got (3, 7): for one-hot Y use output='softmax' and n_y=3",
        ),
        (ValueError, 1.0, "Y must be (n_y, m) = (1, 7), got ()"),
        (TypeError, BINARY.Y.astype(np.complex64), "Y must be real, got complex64"),
    ],
    ids=["(m,)", "(m, 1)", "too few", "too many units", "a number", "complex"],
)
def test_a_wrong_Y_is_refused(error, Y, message):
    refusal(TAKE_Y, BINARY._replace(Y=Y), error, message)


@pytest.mark.parametrize(
    ("Y", "message"),
    [
        (np.arange(7) % 3, "Y must be (n_y, m) = (3, 7), got (7,)" + ONE_HOT),
        (np.arange(7)[None] % 3, "Y must be (n_y, m) = (3, 7), got (1, 7)" + ONE_HOT),
        (np.arange(7)[:, None] % 3, "Y must be (n_y, m) = (3, 7), got (7, 1)" + ONE_HOT),
        (CLASSES.Y.T, "Y must be (n_y, m) = (3, 7), got (7, 3): examples are columns, use Y.T"),
    ],
    ids=["(m,)", "(1, m)", "(m, 1)", "rows"],
)
def test_labels_that_are_not_one_hot_columns_are_refused_with_the_way_out(Y, message):
    refusal(TAKE_Y, CLASSES._replace(Y=Y), ValueError, message)
    way_out = re.search("(jax.nn.one_hot.*|Y.T)$", message)[0]
    assert js.losses(CLASSES.params, CLASSES.X, eval(way_out)).shape == (7,)


def test_a_wrong_single_example_is_refused():
    params, X, Y, *_ = BINARY
    for x, message in [
        (X[:, 0], "x must be (n_x, 1) = (3, 1), got (3,): one example is a column, x.reshape(-1, 1)"),
        (X[:, :1].T, "x must be (n_x, 1) = (3, 1), got (1, 3): examples are columns, use x.T"),
        (X, "x must be (n_x, 1) = (3, 1), got (3, 7)"),
        (X[:, :3], "x must be (n_x, 1) = (3, 1), got (3, 3)"),
    ]:
        for function in (js.forward_example, lambda params, x: js.manual_grads_example(params, x, Y[:, :1])):
            with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
                function(params, x)
    for y, message in [
        (Y[:, 0], "y must be (n_y, 1) = (1, 1), got (1,): use y.reshape(1, -1)"),
        (Y, "y must be (n_y, 1) = (1, 1), got (1, 7)"),
    ]:
        with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
            js.manual_grads_example(params, X[:, :1], y)
    with pytest.raises(TypeError, match="x must be floating point, got int32"):
        js.forward_example(params, np.ones((3, 1), np.int32))


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (np.ones(6), "weights must be (m,) = (7,), got (6,)"),
        (np.ones((1, 7)), "weights must be (m,) = (7,), got (1, 7)"),
        (np.ones((7, 1)), "weights must be (m,) = (7,), got (7, 1)"),
        (1.0, "weights must be (m,) = (7,), got ()"),
    ],
    ids=["too few", "(1, m)", "(m, 1)", "a number"],
)
def test_wrong_weights_are_refused(weights, message):
    refusal(TAKE_WEIGHTS, BINARY._replace(weights=weights), ValueError, message)


@pytest.mark.parametrize(
    ("l2", "message"),
    [
        (-0.1, "l2 must be at least 0 and finite, got -0.1"),
        (np.float32(-1), "l2 must be at least 0 and finite, got -1.0"),
        (float("nan"), "l2 must be at least 0 and finite, got nan"),
        (np.ones(1), "l2 must be a scalar, got (1,)"),
        (np.ones(7), "l2 must be a scalar, got (7,)"),
    ],
)
def test_a_wrong_l2_is_refused(l2, message):
    refusal(TAKE_WEIGHTS, BINARY._replace(l2=l2), ValueError, message, traced=False)


@pytest.mark.parametrize(
    ("error", "wrong", "message"),
    [
        (ValueError, {"b1": np.ones(4)}, "b1 must be (n_h, 1) = (4, 1), got (4,)"),
        (ValueError, {"b1": np.ones((1, 4))}, "b1 must be (n_h, 1) = (4, 1), got (1, 4)"),
        (ValueError, {"W2": np.ones((4, 1))}, "W2 must be (n_y, n_h) = (4, 4), got (4, 1)"),
        (ValueError, {"W2": np.ones((1, 5))}, "W2 must be (n_y, n_h) = (1, 4), got (1, 5)"),
        (ValueError, {"W2": np.ones(())}, "W2 must be (n_y, n_h) = (0, 4), got ()"),
        (ValueError, {"b2": np.ones((2, 1))}, "b2 must be (n_y, 1) = (1, 1), got (2, 1)"),
        (ValueError, {"b2": np.ones(1)}, "b2 must be (n_y, 1) = (1, 1), got (1,)"),
        (ValueError, {"W1": np.ones((5, 3))}, "b1 must be (n_h, 1) = (5, 1), got (4, 1)"),
        (ValueError, {"W1": np.ones(3)}, "W1 must be (n_h, n_x), got (3,)" + STACKED),
        (TypeError, {"W1": np.ones((4, 3), np.int32)}, "W1 must be floating point, got int32"),
        (TypeError, {"W1": np.ones((4, 3), np.complex64)}, "W1 must be real, got complex64"),
        (TypeError, {"b2": jnp.ones((1, 1), jnp.bfloat16)}, "b2 must be float32 as W1 is, got bfloat16"),
        (TypeError, {"W2": np.ones((1, 4), np.int32)}, "W2 must be float32 as W1 is, got int32"),
    ],
)
def test_parameters_that_do_not_fit_together_are_refused(error, wrong, message):
    refusal(FUNCTIONS, BINARY._replace(params=replace(BINARY.params, **wrong)), error, message)


def test_stacked_parameters_are_refused_with_the_way_out():
    stacked = stack(*[BINARY.params] * 5)
    message = "W1 must be (n_h, n_x), got (5, 4, 3)" + STACKED
    refusal(FUNCTIONS, BINARY._replace(params=stacked), ValueError, message)
    assert jax.vmap(js.forward, in_axes=(0, None))(stacked, BINARY.X).A2.shape == (5, 1, 7)


@pytest.mark.parametrize("argument", ["X", "Y", "weights"])
def test_strings_and_objects_are_refused(argument):
    for dtype in (str, object):
        wrong = np.full(getattr(BINARY, argument).shape, "a", dtype)
        for name in TAKE_WEIGHTS:
            with pytest.raises(TypeError, match=f"^{argument} must be real, got "):
                FUNCTIONS[name](*BINARY._replace(**{argument: wrong}))


def test_complex_weights_and_l2_are_refused():
    for name in TAKE_WEIGHTS:
        with pytest.raises(TypeError, match=r"^weights must be real, got complex"):
            FUNCTIONS[name](*BINARY._replace(weights=np.ones(7, np.complex64)))
        with pytest.raises(TypeError, match=r"^l2 must be real"):
            FUNCTIONS[name](*BINARY._replace(l2=1j))


def test_lists_of_weights_do_as_well_as_arrays():
    expected = js.cost(*BINARY[:3], weights=np.ones(7))
    assert js.cost(*BINARY[:3], weights=[1.0] * 7) == expected


# ---- values, which are known outside traced code only ----


def changed(array, index, value):
    array = array.copy()
    array[index] = value
    return jnp.asarray(array)


@pytest.mark.parametrize("case", [BINARY, CLASSES, draw("tanh", "identity", 3)], ids=["sigmoid", "softmax", "identity"])
def test_right_values_pass(case):
    assert checks.values(*case[:3]) is None
    assert checks.values(*case[:4]) is None
    zeros_among_them = changed(case.weights, slice(0, 6), 0.0)
    assert checks.values(*case[:3], zeros_among_them) is None


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_number_that_is_not_finite_is_named_with_its_place(value):
    params, X, Y, weights, _ = BINARY
    where = f"must be finite, got {value} at"
    with pytest.raises(ValueError, match=re.escape(f"X {where} (2, 5) (1 in all)")):
        checks.values(params, changed(X, (2, 5), value), Y)
    with pytest.raises(ValueError, match=re.escape(f"X {where} (1, 0) (7 in all)")):
        checks.values(params, changed(X, 1, value), Y)
    with pytest.raises(ValueError, match=re.escape(f"Y {where} (0, 3) (1 in all)")):
        checks.values(params, X, changed(Y, (0, 3), value))
    with pytest.raises(ValueError, match=re.escape(f"weights {where} (6,) (1 in all)")):
        checks.values(params, X, Y, changed(weights, 6, value))


@pytest.mark.parametrize(("value", "span"), [(2.0, "0.0 to 2.0"), (-1.0, "-1.0 to 1.0")])
def test_labels_outside_0_to_1_are_refused(value, span):
    Y = changed(np.array([[0, 1, 0, 1, 0, 1, 0]], np.float32), (0, 2), value)
    message = f"Y must lie in [0, 1] for output='sigmoid', got values from {span}"
    with pytest.raises(ValueError, match=re.escape(message)):
        checks.values(BINARY.params, BINARY.X, Y)


def test_labels_between_0_and_1_pass():
    assert checks.values(BINARY.params, BINARY.X, jnp.linspace(0, 1, 7)[None]) is None
    soft = jax.nn.softmax(jnp.asarray(CLASSES.X), axis=0)
    assert checks.values(CLASSES.params, CLASSES.X, soft) is None


@pytest.mark.parametrize(
    ("column", "total"), [([1, 1, 0], "2.0"), ([0, 0, 0], "0.0"), ([0.5, 0.25, 0], "0.75"), ([2, -1, 0], "1.0")]
)
def test_columns_that_are_not_one_hot_are_named(column, total):
    Y = changed(CLASSES.Y, (slice(None), 4), column)
    with pytest.raises(ValueError, match=re.escape("Y must be one-hot for output='softmax', got column 4 = ")) as error:
        checks.values(CLASSES.params, CLASSES.X, Y)
    assert f"which sums to {total}" in str(error.value)


def test_integer_and_boolean_labels_pass():
    for params, X, Y, *_ in (BINARY, CLASSES):
        for dtype in (np.int32, np.uint8, bool):
            cast = checks.targets(params, X, Y.astype(dtype))
            assert cast.dtype == np.float32
            assert checks.values(params, X, cast) is None


@pytest.mark.parametrize(
    ("weights", "span"), [([1, 1, 1, -0.5, 1, 1, 2], "-0.5 to 2.0"), ([0, 0, 0, 0, 0, 0, 0], "0.0 to 0.0")]
)
def test_negative_and_all_zero_weights_are_refused(weights, span):
    weights = jnp.asarray(weights, jnp.float32)
    with pytest.raises(ValueError, match=f"weights must be at least 0 and not all 0, got values from {span}"):
        checks.values(*BINARY[:3], weights)


def test_traced_values_are_passed_over():
    bad = BINARY._replace(X=BINARY.X * np.nan, Y=BINARY.Y + 5, weights=-BINARY.weights)

    @jax.jit
    def traced(params, X, Y, weights):
        checks.values(params, X, Y, weights)
        return js.cost(params, X, Y, weights=weights)

    assert np.isnan(traced(*bad[:4]))
    with pytest.raises(ValueError, match="X must be finite"):
        checks.values(*bad[:4])


@pytest.mark.parametrize(
    ("leaf", "value", "error", "message"),
    [
        ("W1", None, TypeError, "W1 must be real, got object"),
        ("b1", [["a"], ["b"], ["c"], ["d"]], TypeError, "b1 must be real, got <U1"),
        ("W2", [[1.0, 2.0, 3.0]], ValueError, "W2 must be (n_y, n_h) = (1, 4), got (1, 3)"),
    ],
)
def test_a_wrong_leaf_is_refused_by_name(leaf, value, error, message):
    params = replace(BINARY.params, **{leaf: value})
    with pytest.raises(error, match=re.escape(message)):
        js.forward(params, BINARY.X)


def test_leaves_may_be_lists():
    params = js.Params([[1.0, 2.0]], [[0.0]], [[1.0]], [[0.0]], hidden="identity", output="identity")
    np.testing.assert_array_equal(js.forward(params, [[3.0], [4.0]]).A2, [[11.0]])


def test_more_examples_than_the_dtype_can_count_are_refused():
    params = js.init(jax.random.key(0), 2, 4, dtype=jnp.float16)
    with pytest.raises(ValueError, match="X holds 70000 examples, more than float16 can count"):
        js.cost(params, np.zeros((2, 70_000), np.float32), np.zeros((1, 70_000), np.float32))


@pytest.mark.parametrize("weight", [3e38, 2e37, 1e-39])
def test_weights_whose_sum_leaves_the_dtype_are_refused(weight):
    weights = np.full(BINARY.X.shape[1], weight, np.float32)
    with pytest.raises(ValueError, match="weights must sum to a number that float32 can divide by"):
        js.fit(BINARY.params, BINARY.X, BINARY.Y, weights=weights, epochs=1)


def test_softmax_with_one_unit_is_refused():
    with pytest.raises(ValueError, match="softmax needs n_y of at least 2, got 1"):
        js.forward(replace(BINARY.params, output="softmax"), BINARY.X)


@pytest.mark.parametrize(
    "function", [js.losses, js.cost, js.score, js.manual_grads, js.cost_and_grads], ids=lambda f: f.__name__
)
def test_a_public_function_checks_once(function, monkeypatch):
    """The equations inside call each other unchecked."""
    calls = []
    for name in ("parameters", "features", "targets"):
        check = getattr(checks, name)
        monkeypatch.setattr(checks, name, lambda *a, check=check, name=name, **k: calls.append(name) or check(*a, **k))
    function(*BINARY[:3])
    assert calls == ["parameters", "features", "targets"]
