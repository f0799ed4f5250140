"""The certificate: it holds for the library, and it fails for planted and for real faults.

A certificate runs some two hundred programs. Those of one size serve every test, so 3-4-1 and 7 examples it is, and a
test has other sizes only where its claim needs them.
"""

import inspect
import json
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import HEADS, HIDDEN

import jaxshallow as js
from jaxshallow import curvature
from jaxshallow.certificate import comparison, executions
from jaxshallow.certificate.bounds import Arithmetic, Bounded, arithmetic_of
from jaxshallow.certificate.executions import name_result
from jaxshallow.certificate.reference import Reference
from jaxshallow.certificate.rows import compare
from jaxshallow.tiles import chains

ONE = ("highest",)
CHAINS_RUN = jax.default_backend() == "cpu" and jax.local_device_count() == 1


def problem(hidden="tanh", output="sigmoid", n_y=1, *, n_x=3, n_h=4, m=7, dtype="float32", scale=0.6, seed=0):
    draw = np.random.default_rng(seed).normal
    W1, b1, W2, b2 = (
        draw(0, np.hypot(spread, 0.1), shape).astype(dtype)
        for shape, spread in (((n_h, n_x), scale), ((n_h, 1), 0), ((n_y, n_h), scale), ((n_y, 1), 0))
    )
    X, Y = draw(size=(n_x, m)).astype(dtype), draw(size=(n_y, m)).astype(dtype)
    if output == "softmax":
        Y = np.eye(n_y, dtype=dtype)[:, np.arange(m) % n_y]
    elif output == "sigmoid":
        Y = (Y > 0).astype(dtype)
    return js.Params(W1, b1, W2, b2, hidden=hidden, output=output), X, Y


def failing(certificate):
    return {(row.quantity, row.execution, row.mode) for row in certificate.rows if not row.holds}


# ---- it holds, as users compile it ----

as_users_compile = pytest.mark.usefixtures("as_users_compile")


@as_users_compile
def test_every_execution_of_the_notes_network_holds():
    certificate = js.certify(*problem(), l2=0.1, weights=jnp.linspace(0.5, 2, 7), precisions=ONE)
    assert certificate.ok, str(certificate)
    executions = {(row.quantity, row.execution) for row in certificate.rows}
    assert executions == {
        *((("forward", how)) for how in ("Python loop", "scan loop", "vmap", "matrix")),
        *((("gradient", how)) for how in ("Python loop", "scan loop", "vmap", "matrix", "autodiff")),
        *(((what, "matrix")) for what in ("losses", "cost", "cost, gradient", "gradient norms", "clipped gradient")),
        ("cost, gradient", "stream"),
        *([("cost, gradient", "chains")] if CHAINS_RUN else []),
        ("cost, gradient", "many"),
        ("cost, gradient", "NumPy"),
        ("gradient", "finite differences"),
        *(("second derivatives", how) for how in ("matrix", "autodiff", "stream", "P × P matrices")),
    }
    modes = {(row.execution, row.mode) for row in certificate.rows if row.quantity == "forward"}
    assert modes == {(how, mode) for how in ("Python loop", "scan loop", "vmap", "matrix") for mode in ("eager", "jit")}


@as_users_compile
def test_it_holds_at_every_precision(certify_only):
    """Those whose products differ in kind; a precision is set around an execution, whichever it is."""
    certify_only(lambda one: one.name in ("vmap", "stream") or one.run is js.cost_and_grads, eager=is_matrix)
    certificate = js.certify(*problem(), l2=0.1, weights=jnp.linspace(0.5, 2, 7))
    assert certificate.ok, str(certificate)
    precisions = {(row.execution, row.mode, row.precision) for row in certificate.rows if row.mode != "NumPy"}
    runs = (("vmap", "jit"), ("stream", "jit"), ("matrix", "eager"), ("matrix", "jit"))
    assert precisions == {(*run, precision) for run in runs for precision in ("default", "high", "highest")}


def is_matrix(execution):
    return execution.name == "matrix"


@pytest.fixture
def no_loops(certify_only):
    """The loops run the equations of one example, as vmap does; and whatever runs eagerly, the matrix form does."""
    certify_only(lambda execution: not execution.loop, eager=is_matrix)


# Each hidden activation once, with the heads in turn, and each dtype.
HALF = {"tanh", "relu", "identity"}
CASES = [(h, *HEADS[i % len(HEADS)], "bfloat16" if h in HALF else "float32") for i, h in enumerate(HIDDEN)]


@as_users_compile
@pytest.mark.parametrize(("hidden", "output", "n_y", "dtype"), CASES)
def test_every_activation_and_head_holds(no_loops, hidden, output, n_y, dtype):
    case = problem(HIDDEN[hidden], output, n_y, dtype=dtype)
    certificate = js.certify(*case, l2=0.2, precisions=ONE)
    assert certificate.ok, str(certificate)


@as_users_compile
def test_loops_hold_in_bfloat16_too(certify_only):
    """Where sums of terms taken one by one lose most."""
    certify_only(lambda execution: execution.loop)
    certificate = js.certify(*problem("tanh", "sigmoid", 3, dtype="bfloat16"), l2=0.2, precisions=ONE)
    assert certificate.ok, str(certificate)
    assert {row.execution for row in certificate.rows} > {"Python loop", "scan loop"}


@as_users_compile
def test_it_holds_in_float64_with_a_tighter_bound(x64, certify_only):
    certify_only(lambda execution: True, eager=is_matrix)
    certificate = js.certify(*problem(dtype="float64"), precisions=ONE)
    assert certificate.ok, str(certificate)
    assert max(row.relative_error for row in certificate.rows if row.mode != "NumPy") < 1e-14


@as_users_compile
@pytest.mark.parametrize(
    ("hidden", "output", "n_y", "scale"),
    [("relu", "softmax", 3, 0.0), ("sigmoid", "sigmoid", 1, 0.0), ("sigmoid", "sigmoid", 1, 50.0)],
)
def test_it_holds_where_units_are_at_a_kink_or_saturated(no_loops, hidden, output, n_y, scale):
    """Zero weights put every relu on its kink and σ on 0; weights of 50 saturate everything."""
    params, X, Y = problem(hidden, output, n_y, scale=scale)
    params = jax.tree.map(jnp.zeros_like, params) if scale == 0 else params
    certificate = js.certify(params, X, Y, precisions=ONE)
    assert certificate.ok, str(certificate)


EXTREMES = {
    # A term of dW2 divided by m = 7 is just below the smallest normal number: all of them may be flushed to 0.
    "underflow": (dict(W1=1.0, W2=0.0, b2=-84.2, hidden="tanh"), 0.1, 0.0),
    "a bias of 2e9": (dict(W1=1.0, W2=1.0, b2=2e9, hidden="leaky_relu", output="identity"), 1.0, 2e9),
}


@as_users_compile
@pytest.mark.parametrize("name", EXTREMES)
def test_it_holds_at_the_ends_of_the_range(no_loops, name):
    options, x, y = EXTREMES[name]
    full = lambda value, *shape: np.full(shape, value, np.float32)  # noqa: E731
    params = js.Params(
        W1=full(options["W1"], 4, 3),
        b1=full(0.0, 4, 1),
        W2=full(options["W2"], 1, 4),
        b2=full(options["b2"], 1, 1),
        hidden=options["hidden"],
        output=options.get("output", "sigmoid"),
    )
    weights = {"underflow": full(1.0, 7)}.get(name)  # for the sake of programs that are there already
    certificate = js.certify(params, full(x, 3, 7), full(y, 1, 7), weights=weights, precisions=ONE)
    assert certificate.ok, str(certificate)


@as_users_compile
def test_it_holds_for_soft_labels_that_rounding_keeps_from_summing_to_one(no_loops):
    params, X, Y = problem("relu", "softmax", 3, dtype="bfloat16")
    soft = jax.nn.softmax(2 * Y + X, axis=0)
    assert (np.asarray(soft, np.float64).sum(axis=0) != 1).any()
    certificate = js.certify(params, X, soft, precisions=ONE)
    assert certificate.ok, str(certificate)


@as_users_compile
def test_it_holds_where_a_subsample_has_no_weight_at_all(monkeypatch, certify_only):
    """The Python loop takes 4 of 7 examples, every second one; exactly those weigh nothing here."""
    certify_only(lambda execution: execution.name == "Python loop" or execution.run is js.cost_and_grads)
    monkeypatch.setattr(executions, "LOOP_EXAMPLES", 4)
    certificate = js.certify(*problem(), weights=np.arange(7) % 2, l2=0.5, precisions=ONE)
    assert certificate.ok, str(certificate)


@as_users_compile
def test_large_data_is_certified_at_sizes_where_threads_split(certify_only):
    matrix = (js.cost_and_grads, executions._without_weights(js.losses))
    kept = lambda one: one.name in {"Python loop", "vmap", "stream"} or one.run in matrix  # noqa: E731
    certify_only(kept, eager=lambda execution: False)
    certificate = js.certify(*problem(n_x=2, m=70_000), precisions=ONE)
    assert certificate.ok, str(certificate)
    matrix = {row.n_examples for row in certificate.rows if row.execution == "matrix" and row.mode == "jit"}
    assert matrix == {16385, 32769, 65537}
    assert max(row.n_examples for row in certificate.rows if row.execution == "Python loop") <= 16


# ---- it fails ----


@pytest.mark.parametrize("leaf", ["W1", "b1", "W2", "b2"])
@pytest.mark.parametrize("factor", [-1.0, 0.0, 1.001, float("nan")])
def test_a_planted_wrong_gradient_in_any_one_entry_is_found(leaf, factor):
    case = problem(n_y=3)
    J, grads = js.cost_and_grads(*case)
    right = np.asarray(getattr(grads, leaf))
    assert _holds(*case, lambda *_: (J, grads))
    for place in np.ndindex(right.shape):
        wrong = right.copy()
        wrong[place] *= factor
        assert not _holds(*case, lambda *_, wrong=wrong: (J, replace(grads, **{leaf: wrong}))), (leaf, place)


def _holds(params, X, Y, execution) -> bool:
    """Whether one execution holds: the certificate's own comparison, without the rows that are not in question."""
    arrays = name_result(execution(params, X, Y), "planted")[1]
    reference = Reference(params, X, Y, None, 0.0, arithmetic_of("cpu", X.dtype, "highest", False))
    return compare(arrays, reference, X.dtype)[-1]


@pytest.mark.parametrize("factor", [0.0, 2.0, -1.0])
def test_a_wrong_gradient_is_found_in_bfloat16_too(factor):
    """Whole gradients, not entries: bfloat16 has three digits, and its bounds are as wide."""
    case = problem(m=300, dtype="bfloat16")
    right = jax.jit(js.manual_grads)(*case)
    assert _holds(*case, lambda *_: right)
    assert not _holds(*case, lambda *_: jax.tree.map(lambda leaf: leaf * factor, right))


def test_a_planted_execution_fails_the_certificate_and_only_its_own_rows(certify_only):
    certify_only(lambda execution: not execution.loop, eager=lambda execution: execution.name in ("matrix", "planted"))
    params, X, Y = problem()

    def planted(params, X, Y, *, weights=None, l2=0.0):
        grads = js.manual_grads(params, X, Y, weights=weights, l2=l2)
        return replace(grads, b2=-grads.b2)

    certificate = js.certify(params, X, Y, executions={"planted": planted}, precisions=ONE)
    assert not certificate.ok
    assert failing(certificate) == {("gradient", "planted", "eager"), ("gradient", "planted", "jit")}
    assert f"2 of {len(certificate.rows)} rows FAIL" in str(certificate)


def test_a_wrong_derivative_of_a_users_activation_is_found(certify_only):
    certify_only(lambda execution: True, eager=is_matrix)
    params, X, Y = problem(js.Activation(jnp.sin, jnp.sin))
    certificate = js.certify(params, X, Y, precisions=ONE)
    wrong = {execution for quantity, execution, _ in failing(certificate)}
    # Neither autodiff nor differences use it.
    by_hand = {"Python loop", "scan loop", "vmap", "matrix", "stream", "many", "P × P matrices"}
    assert wrong == by_hand | {*["chains"] * CHAINS_RUN}
    gradients = {"gradient", "cost, gradient", "gradient norms", "clipped gradient", "second derivatives"}
    assert {quantity for quantity, _, _ in failing(certificate)} == gradients


def test_a_wrong_second_derivative_of_a_users_activation_is_found(certify_only):
    certify_only(lambda execution: execution.name in ("matrix", "P × P matrices"))
    params, X, Y = problem(js.Activation(jnp.sin, jnp.cos, jnp.sin))  # it is −sin
    rows = js.certify(params, X, Y, precisions=ONE).rows
    assert {row.quantity for row in rows if not row.holds} == {"second derivatives"}
    assert all(row.holds != (row.quantity == "second derivatives") for row in rows)


@pytest.mark.parametrize(
    ("fault", "m"), [("hessian_vector", 31), ("gauss_newton_vector", 32), ("hessian", 33), ("gauss_newton", 34)]
)
def test_a_wrong_second_derivative_is_found(fault, m, monkeypatch, certify_only):
    certify_only(lambda execution: execution.named is executions._named_second)
    right = getattr(curvature, fault)
    scale = lambda leaf: leaf.at[-1, -1].multiply(1.001)  # noqa: E731
    monkeypatch.setattr(curvature, fault, lambda *args, **options: jax.tree.map(scale, right(*args, **options)))
    rows = js.certify(*problem(m=m), l2=0.3, precisions=ONE).rows  # of a size that no other test has compiled
    wrong = {"P × P matrices"} if not fault.endswith("vector") else {"matrix", "stream"}
    assert {row.execution for row in rows if not row.holds} == wrong


def test_an_activation_listed_by_its_name_is_certified_against_its_derivative(monkeypatch, certify_only):
    certify_only(lambda execution: execution.name in ("matrix", "autodiff"), eager=lambda execution: False)
    """As activations.py invites: listed in HIDDEN, with the right g′ and with a wrong one."""
    monkeypatch.setitem(js.activations.HIDDEN, "sine", js.Activation(jnp.sin, jnp.cos))
    monkeypatch.setitem(js.activations.HIDDEN, "wrong sine", js.Activation(jnp.sin, jnp.sin))
    assert js.certify(*problem("sine"), precisions=ONE).ok
    assert not _holds(*problem("wrong sine"), js.cost_and_grads)


def test_a_students_numpy_is_certified_eagerly(certify_only):
    certify_only(lambda execution: execution.name in ("matrix", "student"))

    def students(params, X, Y, *, weights=None, l2=0.0):
        W1, b1, W2, b2, X, Y = (np.asarray(array) for array in (*jax.tree.leaves(params), X, Y))
        A1 = np.tanh(W1 @ X + b1)
        dZ2 = 1 / (1 + np.exp(-(W2 @ A1 + b2))) - Y
        dZ1 = W2.T @ dZ2 * (1 - A1**2)
        m = X.shape[1]
        return replace(
            params,
            W1=dZ1 @ X.T / m,
            b1=dZ1.sum(axis=1, keepdims=True) / m,
            W2=dZ2 @ A1.T / m,
            b2=dZ2.sum(axis=1, keepdims=True) / m,
        )

    certificate = js.certify(*problem(), executions={"student": students}, precisions=ONE)
    assert certificate.ok, str(certificate)
    assert [row.mode for row in certificate.rows if row.execution == "student"] == ["eager"]


def test_by_default_every_size_at_which_threads_split_is_certified():
    assert inspect.signature(js.certify).parameters["max_examples"].default == comparison.THREAD_SPLIT_SIZES[-1]


def test_a_fault_in_the_library_itself_is_found(monkeypatch, certify_only):
    certify_only(lambda execution: not execution.loop, eager=is_matrix)
    equations = js.backprop.backpropagate
    monkeypatch.setattr(js.backprop, "backpropagate", lambda *args: equations(*args[:-1], 0.0))
    # The replacement forgets λ. No other test has this activation: its programs serve none of them.
    found = failing(js.certify(*problem(js.Activation(lambda Z: jnp.sin(Z))), l2=1.0, precisions=ONE))
    assert found == {
        *(("gradient", "matrix", mode) for mode in ("eager", "jit")),
        *(("cost, gradient", "matrix", mode) for mode in ("eager", "jit")),
        ("cost, gradient", "stream", "jit"),
        *[("cost, gradient", "chains", "eager")] * CHAINS_RUN,
    }


@pytest.mark.skipif(not CHAINS_RUN, reason="one program fills another device")
@pytest.mark.parametrize("m", [1, 7, 16])
def test_a_fault_in_the_chains_alone_is_found(monkeypatch, certify_only, m):
    """A chain that begins an example early. On one example there is no second chain."""
    certify_only(lambda execution: execution.name in ("stream", "chains"))
    case = problem(m=m)
    certificate = js.certify(*case, precisions=ONE)
    assert certificate.ok, str(certificate)
    assert {row.execution for row in certificate.rows} >= {"stream", "chains"}
    made = chains.Chains.__init__

    def early(itself, *arguments):
        made(itself, *arguments)
        itself.firsts = [first - int(first > 0) for first in itself.firsts]

    monkeypatch.setattr(chains.Chains, "__init__", early)
    found = failing(js.certify(*case, precisions=ONE))
    assert found == ({("cost, gradient", "chains", "eager")} if m > 1 else set())


@as_users_compile
def test_the_certificate_is_right_about_a_known_compiler_fault():
    """Jitted ((W @ X.T)**2).sum(0), W 3×3 and m = 32769, is wrong in its last column on jaxlib 0.10.2's CPU.

    Where the compiler is right, the jitted losses must hold; where it is wrong, they must fail, and they alone.
    """
    m = 32769
    random = np.random.default_rng(0)
    W, rows = random.normal(size=(3, 3)).astype(np.float32), random.normal(size=(m, 3)).astype(np.float32)
    half_squares = lambda W, rows: ((W @ rows.T) ** 2).sum(0) / 2  # noqa: E731
    truth = half_squares(W.astype(np.float64), rows.astype(np.float64))
    compiler_is_right = np.allclose(jax.jit(half_squares)(W, rows), truth, rtol=1e-4, atol=1e-6)  # 8 W·x, ~1e-6 each

    # A network of identities whose losses are that expression: Z2 = I (W x), Y = 0, L = ½ Σ z².
    zeros, eye = np.zeros((3, 1), np.float32), np.eye(3, dtype=np.float32)
    params = js.Params(W, zeros, eye, zeros, hidden="identity", output="identity")
    losses = lambda params, X, Y: half_squares(params.W1, rows)  # noqa: E731
    case = params, rows.T, np.zeros((3, m), np.float32)
    assert _holds(*case, jax.jit(losses)) == compiler_is_right
    assert _holds(*case, losses)
    assert _holds(*case, jax.jit(js.losses))


# ---- what it prints and takes ----


def test_the_certificate_is_written_as_a_table_and_as_json(certify_only):
    certify_only(lambda execution: execution.name in ("matrix", "broken"))
    broken = lambda params, X, Y, **_: js.cost(params, X, Y) * jnp.nan  # noqa: E731
    certificate = js.certify(*problem(), executions={"broken": broken}, precisions=ONE)
    table, parsed = str(certificate), json.loads(certificate.to_json())
    assert "3-4-1 tanh, sigmoid, float32 on" in table
    assert sum("FAILS" in line for line in table.splitlines()) == 2
    assert parsed["ok"] is certificate.ok is False
    assert len(parsed["rows"]) == len(certificate.rows)
    assert [row["of_bound"] for row in parsed["rows"] if row["execution"] == "broken"] == [None, None]


def _without_keepdims(params, X, Y, **_):
    grads = js.manual_grads(params, X, Y)
    return replace(grads, b1=grads.b1[:, 0])


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"X": np.full((3, 7), np.nan, np.float32)}, ValueError, "X must be finite"),
        ({"Y": np.ones(7)}, ValueError, "Y must be \\(n_y, m\\)"),
        ({"executions": {"odd": lambda *_, **__: "text"}}, TypeError, "execution 'odd' must return"),
        ({"executions": {"short": lambda params, X, Y, **_: js.losses(params, X, Y)[1:]}}, TypeError, "L of shape"),
        ({"executions": {"no keepdims": _without_keepdims}}, TypeError, "db1 of shape \\(4,\\), expected \\(4, 1\\)"),
        ({"params": "NaN"}, ValueError, "W2 must be finite, got nan at \\(0, 0\\)"),
    ],
)
def test_wrong_input_is_refused(certify_only, change, error, message):
    certify_only(lambda execution: execution.name in change.get("executions", ()))
    params, X, Y = problem()
    if change.get("params") == "NaN":
        params = replace(params, W2=jnp.asarray(params.W2).at[0, 0].set(jnp.nan))
    arguments = {"X": X, "Y": Y, "executions": None, **change}
    with pytest.raises(error, match=message):
        js.certify(params, arguments["X"], arguments["Y"], executions=arguments["executions"], precisions=ONE)


def test_bounds_cover_the_rounding_of_each_operation():
    """Float32 results of each operation on random data lie within the bound that is computed beside them."""
    random = np.random.default_rng(0)
    arithmetic = Arithmetic(2**-24, 2**-24, 2**-24, float(np.finfo(np.float32).tiny))
    A, B = (random.normal(size=(50, 50)).astype(np.float32) for _ in range(2))
    a, b = (Bounded(array.astype(np.float64), np.zeros((50, 50)), arithmetic) for array in (A, B))
    pairs = [
        (a + b, A + B),
        (a - b, A - B),
        (a * b, A * B),
        (a @ b, A @ B),
        (a.sum(1), A.sum(1, keepdims=True)),
        (a / 3, A / np.float32(3)),
        ((a @ b).apply(np.tanh), np.tanh(A @ B)),
        ((a @ b) @ (a * b).T, (A @ B) @ (A * B).T),
    ]
    for bounded, float32 in pairs:
        error = abs(float32 - bounded.value)
        assert (error <= bounded.error).all()
        assert error.max() > 0
