import re
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import polars as pl
import pytest
import scipy.sparse
from cases import FUNCTIONS as RESULTS
from cases import draw, stack
from jax.experimental.sparse import BCOO

import jaxshallow as js
from jaxshallow import checks

pytestmark = pytest.mark.usefixtures("compiled_lightly")

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
            for given in (Y.astype(dtype), jnp.asarray(Y, dtype)):
                cast = checks.targets(params, X, given)
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


# ---- what was given is looked at before it is cast ----

PLACES = {"X": (2, 5), "Y": (0, 3), "weights": (6,), "W1": (1, 2), "W2": (0, 3)}


def given_as(change):
    """The case, with each array in turn changed: (name, case), the leaves of the parameters among them."""
    for name in ("X", "Y", "weights"):
        yield name, BINARY._replace(**{name: change(getattr(BINARY, name), PLACES[name])})
    for name in ("W1", "W2"):
        leaf = change(getattr(BINARY.params, name), PLACES[name])
        yield name, BINARY._replace(params=replace(BINARY.params, **{name: leaf}))


def cost(case):
    return float(js.cost(case.params, case.X, case.Y, weights=case.weights))


def test_masked_entries_are_refused_and_fully_unmasked_arrays_pass():
    def masked(array, place):
        mask = np.zeros(array.shape, bool)
        mask[place] = True
        return np.ma.array(array, mask=mask)

    for name, case in given_as(masked):
        message = f"{name} must not hold masked entries, got one at {PLACES[name]} (1 in all): fill them, {name}.filled"
        for function in (cost, lambda case: js.fit(case.params, case.X, case.Y, weights=case.weights, epochs=1)):
            with pytest.raises(ValueError, match=re.escape(message)):
                function(case)
    with pytest.raises(ValueError, match="X must not hold masked entries"):
        js.data.scaling(masked(BINARY.X, (0, 0)))
    with pytest.raises(ValueError, match="X must not hold masked entries"):
        js.losses(BINARY.params, list(masked(BINARY.X, (0, 0))), BINARY.Y)
    with pytest.raises(ValueError, match="X must not hold masked entries"):
        js.stream(js.cost)(BINARY.params, [(masked(BINARY.X, (0, 0)), BINARY.Y)])
    for _, case in given_as(lambda array, place: np.ma.array(array)):
        assert cost(case) == cost(BINARY)


def test_byte_order_width_and_layout_do_not_matter():
    expected = cost(BINARY)

    def read_only(array, place):
        array = array.copy()
        array.flags.writeable = False
        return array

    for change in (
        lambda array, place: array.astype(">f4"),
        lambda array, place: array.astype(np.float64),
        lambda array, place: array.astype(np.float64).tolist(),
        lambda array, place: np.asfortranarray(array),
        lambda array, place: np.ascontiguousarray(array[..., ::-1])[..., ::-1],
        read_only,
    ):
        for name, case in given_as(change):
            assert cost(case) == expected, name
    wide = jax.tree.map(lambda array: array.astype(np.longdouble), BINARY._replace(l2=None))
    assert cost(wide) == expected  # each of them, since all leaves of Params must have one dtype
    assert cost(BINARY._replace(Y=BINARY.Y.astype(">u8"))) == expected


def test_a_number_beyond_the_dtype_is_told_as_such_with_its_place():
    def huge(array, place):
        array = array.astype(np.float64)
        array[place] = 1e300
        return array

    for name, case in given_as(huge):
        message = f"{name} must lie within float32's range, ±3.4e+38, got 1e+300 at {PLACES[name]} (1 in all): scale it"
        with pytest.raises(ValueError, match=re.escape(message)):
            cost(case)
    with pytest.raises(
        ValueError, match=re.escape("X must lie within float16's range, ±6.55e+04, got 70000.0 at (0, 0)")
    ):
        js.forward(js.init(jax.random.key(0), 2, 3, dtype=jnp.float16), np.full((2, 1), 7e4, np.float32))
    with jax.enable_x64(True):  # the way out
        params = jax.tree.map(lambda leaf: leaf.astype(np.float64), BINARY.params)
        assert np.isfinite(js.forward(params, huge(BINARY.X, PLACES["X"])).A2).all()
        with pytest.raises(ValueError, match="X must lie within float32's range"):
            js.forward(BINARY.params, jnp.asarray(huge(BINARY.X, PLACES["X"])))
    with pytest.raises(ValueError, match="X must lie within float64's range"):
        js.forward(BINARY.params, np.full((3, 1), np.longdouble("1e400")))
    wide = np.array([[0, 2**40, 1]])  # as int32 it would be 0
    params = js.Params([[1.0]], [[0.0]], [[1.0]], [[0.0]], hidden="identity", output="identity")
    assert js.losses(params, np.zeros((1, 3)), wide)[1] == 2.0**79


def test_what_would_vanish_in_the_dtype_is_told():
    with pytest.raises(
        ValueError, match="weights must sum to a number that float32 can divide by, got 7e-50: scale them"
    ):
        cost(BINARY._replace(weights=np.full(7, 1e-50)))
    X = BINARY.X * np.array([[1], [1e-50], [1]])
    with pytest.raises(ValueError, match=r"X must hold numbers of at least 1.18e-38, .* got less in all of row 1"):
        js.fit(BINARY.params, X, BINARY.Y, epochs=1)
    assert np.isfinite(js.forward(BINARY.params, X).A2).all()  # one example may well have so little of something


def test_what_is_no_array_of_real_numbers_is_refused_with_its_way_out():
    class Elsewhere:
        def __array__(self, *_, **__):
            raise RuntimeError("copy it to the host first, use .cpu()")

    X = BINARY.X
    for wrong, error, message in (
        (X.astype(object), TypeError, r"X must be real, got object, such as .*: make it numbers, np.array\(X, float\)"),
        (X.astype(str), TypeError, r"X must be real, got <U.*: make it numbers, np.array\(X, float\)"),
        (X.astype("M8[s]"), TypeError, r"X must be real, got datetime64\[s\]: say what matters of it in numbers"),
        (X.astype("m8[s]"), TypeError, r"X must be real, got timedelta64\[s\]: divide it by its unit"),
        (np.zeros(7, [("a", "f4"), ("b", "f4")]), TypeError, "X must be real, got .*structured_to_unstructured"),
        (scipy.sparse.csr_matrix(X), TypeError, r"X must be a dense array, got csr_matrix: use X.toarray\(\)"),
        (BCOO.fromdense(X), TypeError, r"X must be a dense array, got BCOO: use X.todense\(\)"),
        ([[1.0, 2.0], [3.0], [4.0]], ValueError, "X must be an array, got a list with rows of different lengths"),
        ((row for row in X), TypeError, "X must be real, got object: generator is no array of numbers"),
        ({"a": 1.0}, TypeError, "X must be real, got object: dict is no array of numbers"),
        (Elsewhere(), TypeError, r"X must be an array that NumPy can read, got Elsewhere: .*use .cpu\(\)"),
    ):
        with pytest.raises(error, match=message):
            js.forward(BINARY.params, wrong)
    np.testing.assert_array_equal(np.array(X.astype(object), float), X)


def test_ways_out_fit_lists_and_frames_too():
    frame = pl.DataFrame(BINARY.X.T)
    for X in (BINARY.X.T.tolist(), frame):
        with pytest.raises(ValueError, match=r"examples are columns, use np.asarray\(X\).T$"):
            js.forward(BINARY.params, X)
        np.testing.assert_array_equal(
            js.forward(BINARY.params, np.asarray(X).T).A2, js.forward(BINARY.params, BINARY.X).A2
        )
    with pytest.raises(ValueError, match=r"use np.asarray\(Y\).reshape\(1, -1\)$"):
        js.losses(BINARY.params, BINARY.X, BINARY.Y[0].tolist())


def test_weights_are_checked_outside_of_jit_and_all_zero_ones_are_a_padded_batch():
    for weights, message in (
        (-np.ones(7), "weights must be at least 0, got values from -1.0 to -1.0"),
        ([1, 1, -2, 1, 1, 1, 1], "weights must be at least 0, got values from -2 to 1"),
        (jnp.full(7, -1.0), "weights must be at least 0"),
        (np.full(7, np.nan), "weights must be finite, got nan at (0,) (7 in all)"),
        (np.full(7, np.inf), "weights must be finite, got inf"),
    ):
        for name in TAKE_WEIGHTS:
            with pytest.raises(ValueError, match=re.escape(message)):
                FUNCTIONS[name](*BINARY._replace(weights=weights))
    assert cost(BINARY._replace(weights=np.zeros(7, int))) == 0
    assert cost(BINARY._replace(weights=np.ones(7, bool))) == cost(BINARY._replace(weights=np.ones(7)))
    by_list = jax.grad(lambda a: js.cost(*BINARY[:3], weights=[a, *BINARY.weights[1:]]))(float(BINARY.weights[0]))
    by_array = jax.grad(lambda w: js.cost(*BINARY[:3], weights=w))(jnp.asarray(BINARY.weights))
    np.testing.assert_allclose(by_list, by_array[0], rtol=1e-5)  # one float32 sum in two programs


def test_a_single_number_is_one_real_number_in_bounds():
    schedule = optax.constant_schedule(0.1)
    never = [1j, True, [0.1], np.ones(1), np.nan, -1, np.float32(-1), np.ma.masked, schedule]
    beyond = [1e300, 1e-50]  # in float32 infinity and 0
    for name, wrong, call in (
        ("learning_rate", [*beyond, np.inf, "1"], lambda a: js.fit(*BINARY[:3], learning_rate=a, epochs=1)),
        ("learning_rate", [*beyond, np.inf, "1", None], lambda a: js.update(BINARY.params, BINARY.params, a)),
        ("l2", [*beyond, np.inf, "1", None], lambda l2: js.cost(*BINARY[:3], l2=l2)),
        ("max_norm", [*beyond, 0, "1", None], lambda norm: js.clipped_grads(*BINARY[:3], norm)),
        ("scale", [*beyond, np.inf, None], lambda scale: js.init(jax.random.key(0), 3, 4, scale=scale)),
        ("tol", [1e300, np.inf, "1", None], lambda tol: js.fit(*BINARY[:3], epochs=1, patience=1, tol=tol)),
    ):
        for value in never + wrong:
            with pytest.raises((ValueError, TypeError), match=f"^{name} must "):
                call(value)
    message = "got a function: give a schedule to an optimizer, optimizer=optax.sgd(schedule)"
    with pytest.raises(TypeError, match=re.escape(message)):
        js.fit(*BINARY[:3], learning_rate=schedule, epochs=1)


def test_keys_and_sizes_are_what_they_must_be():
    with pytest.raises(TypeError, match=r"key must be a JAX random key such as jax.random.key\(0\), got 3"):
        js.init(3, 3, 4)
    with pytest.raises(TypeError, match="key must be a JAX random key"):
        js.fit(*BINARY[:3], epochs=1, batch_size=2, key=3)
    for keys in (jax.random.split(jax.random.key(0)), jax.random.split(jax.random.PRNGKey(0))):
        with pytest.raises(ValueError, match="key must be a single key"):
            js.init(keys, 3, 4)
    np.testing.assert_array_equal(js.init(jax.random.PRNGKey(0), 3, 4).W1, js.init(jax.random.key(0), 3, 4).W1)
    with pytest.raises(TypeError, match="n_h must be an integer, got True"):
        js.init(jax.random.key(0), 3, True)


def test_tiles_and_configs_are_looked_at_as_well(tmp_path, standard_promotion):
    params, X, Y = BINARY[:3]
    mapped = np.memmap(tmp_path / "X", ">f4", "w+", shape=X.shape)
    mapped[:] = X
    streamed = js.stream(js.cost)
    np.testing.assert_array_equal(streamed(params, mapped, Y.astype(">i2")), streamed(params, [(X, Y)]))
    for tile, message in (
        ((X, np.ma.array(Y, mask=Y == 1)), "Y must not hold masked entries"),
        ((X, Y, -np.ones(7)), "weights must be at least 0, got values from -1.0"),
        ((np.where(X > 0, 1e300, X.astype(np.float64)), Y), "X must lie within float32's range"),
    ):
        with pytest.raises(ValueError, match=message):
            streamed(params, [tile])
    for config, error, message in (
        (
            {"weights": np.ma.array(np.ones(7), mask=X[0] > 0)},
            ValueError,
            r"weights must not hold masked",
        ),
        ({"weights": np.full(7, 1e-50)}, ValueError, r"configs\[0\]: weights must sum to a number that float32"),
        ({"learning_rate": -0.1}, ValueError, r"configs\[0\]: learning_rate must be at least 0, got -0.1"),
        ({"scale": 1j}, TypeError, r"configs\[0\]: scale must be real, got complex128"),
        ({"scale": 1e300}, ValueError, r"configs\[0\]: scale must lie within float32's range"),
        ({"l2": 1e-50}, ValueError, r"configs\[0\]: l2 must be 0 or at least 1.18e-38"),
        ({"learning_rate": 1e300}, ValueError, r"configs\[0\]: learning_rate must lie within float32's range"),
        ({"learning_rate": np.ma.masked}, ValueError, r"configs\[0\]: learning_rate must not hold masked entries"),
        ({"learning_rate": optax.constant_schedule(0.1)}, TypeError, "a schedule needs an optimizer"),
    ):
        with pytest.raises(error, match=message):
            js.fit_many(jax.random.key(0), X, Y, [{"n_h": 2, **config}], epochs=1)
    held_out = [(np.ma.array([0, 1], mask=[0, 1]), [2])]
    with pytest.raises(ValueError, match=r"folds must be pairs .* indices must not hold masked entries"):
        js.fit_many(jax.random.key(0), X, Y, [{"n_h": 2}], epochs=1, folds=held_out)
    columns = {"n_h": jnp.array([2, 2]), "learning_rate": np.array(0.1, ">f4")}
    many = js.fit_many(jax.random.key(0), X, Y, columns, epochs=1)
    assert [config["n_h"] for config in many.configs] == [2, 2]
    for wrong, message in (
        (np.ma.array(X, mask=X > 0), "X must not hold masked entries"),
        (np.where(X > 0, 1e300, X.astype(np.float64)), "X must lie within float32's range"),
    ):
        for look in (many.predict_proba, lambda X: many.score(X, Y)):
            with pytest.raises(ValueError, match=message):
                look(wrong)
    np.testing.assert_array_equal(many.predict_proba(X.astype(np.longdouble)), many.predict_proba(X))
    with pytest.raises(ValueError, match=r"X must be an array, got a list with rows of different lengths"):
        js.fit_many(jax.random.key(0), [[1.0], [1.0, 2.0]], Y, [{"n_h": 2}], epochs=1)
    with pytest.raises(ValueError, match="std must be above 0, got 0"):
        js.data.fold_scaling(params, features=(np.zeros((3, 1)), np.zeros((3, 1))))


def test_a_users_activation_that_does_not_keep_shape_and_dtype_is_named():
    Activation = js.Activation
    for hidden, message in (
        (lambda Z: Z.astype(jnp.bfloat16), r"hidden must give .*, \(4, 7\) float32, got \(4, 7\) bfloat16"),
        (lambda Z: Z.astype(complex), r"hidden must give .* got \(4, 7\) complex64"),
        (lambda Z: Z.sum(axis=0), r"hidden must give .* got \(7,\) float32"),
        (lambda Z: None, "hidden must give .* got NoneType"),
        (np.tanh, "hidden must .* use jax.numpy"),
        (lambda Z: Z if (Z > 0).all() else -Z, "hidden must be made of JAX's operations: .* jnp.where"),
        (Activation(jnp.tanh, lambda Z: 1.0), "g_prime of hidden must give .* got float"),
        (Activation(jnp.sin, lambda Z: Z.astype(jnp.float16)), "g_prime of hidden must give .* float16"),
    ):
        params = replace(BINARY.params, hidden=hidden)
        with pytest.raises(TypeError, match=message):
            jax.eval_shape(js.manual_grads, params, BINARY.X, BINARY.Y)
    with pytest.raises(TypeError, match="hidden must be a name, a function or an Activation, got str"):
        replace(BINARY.params, hidden=Activation(jnp.tanh, "tanh_prime"))
    for g_prime in (lambda Z: Z > 0, lambda Z: jnp.where(Z > 0, 1, 0)):  # exact in any dtype
        ours = replace(BINARY.params, hidden="relu")
        own = replace(BINARY.params, hidden=Activation(jax.nn.relu, g_prime))
        np.testing.assert_array_equal(js.manual_grads(own, *BINARY[1:3]).W1, js.manual_grads(ours, *BINARY[1:3]).W1)


def test_a_buffer_that_is_refilled_does_not_change_a_step_in_flight(standard_promotion):
    def aligned(shape):  # memory that a program on a CPU reads in place
        memory = np.zeros(4 * int(np.prod(shape)) + 64, np.uint8)
        start = -memory.ctypes.data % 64
        return memory[start : start + 4 * int(np.prod(shape))].view(np.float32).reshape(shape)

    optimizer = optax.sgd(0.1)
    step, start = js.make_train_step(optimizer), js.init(jax.random.key(0), 3, 2000, scale=1.0)
    buffers = {"X": aligned((3, 4000)), "Y": aligned((1, 4000)), "weights": aligned((4000,))}
    leaves = {name: aligned(getattr(start, name).shape) for name in ("W1", "b1", "W2", "b2")}
    results = []
    for refill in (False, True):
        for array in buffers.values():
            array[...] = 1
        for name, leaf in leaves.items():
            leaf[...] = getattr(start, name)
        params = js.Params(**leaves)
        result = step(params, optimizer.init(start), **buffers)
        for array in (*buffers.values(), *leaves.values()) if refill else ():
            array[...] = 0
        results.append(jax.tree.map(np.array, result[0]))
    np.testing.assert_array_equal(results[0].W1, results[1].W1)
    np.testing.assert_array_equal(results[0].W2, results[1].W2)


def test_a_train_step_looks_at_its_batch(standard_promotion):
    optimizer = optax.sgd(0.1)
    step, params = js.make_train_step(optimizer), js.init(jax.random.key(0), 3, 4)
    X, Y = BINARY.X, BINARY.Y
    for batch, message in (
        ((np.ma.array(X, mask=X > 0), Y), "X must not hold masked entries"),
        ((np.where(X > 0, 1e300, X.astype(np.float64)), Y), "X must lie within float32's range"),
        ((X, Y, -np.ones(7)), "weights must be at least 0"),
        ((X.T, Y), "X must be .* use X.T"),
    ):
        with pytest.raises(ValueError, match=message):
            step(params, optimizer.init(params), *batch)
