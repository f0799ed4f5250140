"""Levenberg-Marquardt: its step, that it never raises the cost, and that it fits into everything that trains."""

import re
import warnings
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from cases import assert_close, assert_same, draw
from jax.flatten_util import ravel_pytree
from sklearn.base import clone
from sklearn.datasets import load_wine
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import cross_val_score

import jaxshallow as js
from jaxshallow import curvature
from jaxshallow.estimators import ShallowClassifier, ShallowRegressor, ShallowSearchCV
from jaxshallow.many import chunks
from jaxshallow.many import run as running
from jaxshallow.params import size_of
from jaxshallow.stacks import cholesky, solve, solve_factored
from jaxshallow.tiles import jacobians
from jaxshallow.training.epochs import epochs_a_program
from jaxshallow.training.levenberg_marquardt import MOST_BEND, matrix_of

pytestmark = pytest.mark.usefixtures("standard_promotion", "compiled_lightly")  # optax's own promote

HEADS = [("sigmoid", 1), ("softmax", 3), ("identity", 2), ("exp", 1)]


def curve(n_h=10, seed=0, dtype=np.float64):
    """A network, and the curve that it is to learn."""
    x = np.linspace(-3, 3, 200, dtype=dtype)[None]
    rng = np.random.default_rng(seed)
    W1, b1, W2 = rng.normal(size=(n_h, 1)), rng.normal(size=(n_h, 1)), rng.normal(size=(1, n_h)) / n_h**0.5
    leaves = (W.astype(dtype) for W in (W1, b1, W2, np.zeros((1, 1))))
    return js.Params(*leaves, hidden="tanh", output="identity"), x, np.sin(2 * x) + 0.3 * np.cos(5 * x)


@pytest.mark.parametrize(("output", "n_y"), HEADS)
def test_the_first_step_solves_its_equations(output, n_y, x64):
    params, X, Y, weights, l2 = draw("tanh", output, n_y, m=20)
    keywords = {"weights": weights, "l2": l2}
    G = np.asarray(jax.jit(js.gauss_newton)(params, X, Y, **keywords))
    system = G + 10.0 * np.diag(G).max() * np.eye(len(G))
    dJ, unravel = ravel_pytree(jax.jit(js.manual_grads)(params, X, Y, **keywords))
    s = -np.linalg.solve(system, dJ)
    bend = jax.jit(curvature.acceleration)(params, X, Y, unravel(s), weights=weights)
    a = -np.linalg.solve(system, ravel_pytree(bend)[0]) / 2
    assert 2 * np.linalg.norm(a) < MOST_BEND * np.linalg.norm(s)  # so damped, the step is taken

    result = js.fit(params, X, Y, optimizer=js.levenberg_marquardt(damping=10.0), epochs=1, **keywords)
    expected = jax.tree.map(lambda W, d: W + d, params, unravel(s + a))
    assert_close(result.params, expected, "float64")


# Each head in float32, where rounding is coarse, and another dtype once.
@pytest.mark.parametrize(("output", "n_y", "dtype"), [*((*h, np.float32) for h in HEADS), (*HEADS[1], np.float64)])
def test_no_step_raises_the_cost(output, n_y, dtype, x64, as_users_compile):
    # More parameters than examples: the matrix is singular but for its damping.
    params, X, Y, weights, l2 = draw("tanh", output, n_y, m=7, dtype=dtype)
    result = js.fit(params, X, Y, optimizer=js.levenberg_marquardt(), epochs=300, weights=weights, l2=l2)
    cost = result.history.cost
    # The cost is computed twice, as what a step would lead to and as where the next begins: an ulp apart or so.
    assert (np.diff(cost) <= 8 * np.finfo(dtype).eps * cost[:-1]).all()
    gradient = jax.jit(js.manual_grads)(result.params, X, Y, weights=weights, l2=l2)
    assert max(abs(leaf).max() for leaf in jax.tree.leaves(gradient)) < 1e-3 * cost[0]  # near a minimum


def test_it_learns_a_curve_that_other_optimizers_do_not(x64):
    params, X, Y = curve()
    optimizers = {"lm": js.levenberg_marquardt(), "lbfgs": optax.lbfgs(), "adam": optax.adam(0.01)}
    rmse = {
        name: float(np.sqrt(2 * js.fit(params, X, Y, optimizer=one, epochs=200).history.cost[-1]))
        for name, one in optimizers.items()
    }
    assert rmse["lm"] < 0.01 < rmse["lbfgs"] < rmse["adam"]


def test_a_network_among_many_is_the_one_that_fit_trains_alone(x64):
    params, X, Y = curve()
    alone = [
        js.fit(one, X, Y, optimizer=js.levenberg_marquardt(), epochs=15).params for one in (params, curve(seed=1)[0])
    ]
    for number, optimizer in ((2, "levenberg_marquardt"), (1, js.levenberg_marquardt)):
        first = [params, curve(seed=1)[0]][:number]
        configs = [{"n_h": 10, "hidden": "tanh"}] * number
        many = js.fit_many(
            jax.random.key(0), X, Y, configs, epochs=15, optimizer=optimizer, output="identity", first=first
        )
        for k in range(number):
            assert_close(many.params(k), alone[k], "float64, after training")


def test_widths_and_dampings_may_differ_among_many(x64):
    _, X, Y = curve()
    configs = [{"n_h": n_h, "hidden": "tanh", "scale": 1.0, "damping": d} for n_h in (3, 5) for d in (1e-3, 1.0)]
    many = js.fit_many(jax.random.key(0), X, Y, configs, epochs=20, optimizer="levenberg_marquardt", output="identity")
    for k, config in enumerate(configs):
        start = js.init(
            jax.random.fold_in(jax.random.key(0), 0), 1, config["n_h"], hidden="tanh", output="identity", scale=1.0
        )
        alone = js.fit(start, X, Y, optimizer=js.levenberg_marquardt(config["damping"]), epochs=20)
        assert_close(many.params(k), alone.params, "float64, after training")


def test_a_resumed_run_ends_in_the_same_bits(x64):
    params, X, Y = curve()
    run = partial(js.fit, params, X, Y, optimizer=js.levenberg_marquardt())
    assert_same(run(epochs=30, resume=run(epochs=11)).params, run(epochs=30).params)


def test_a_network_that_has_arrived_stops():
    params, X, Y = curve(n_h=3, dtype=np.float32)
    result = js.fit(params, X, Y, optimizer=js.levenberg_marquardt(), epochs=2000, patience=20)
    assert 20 < len(result.history.cost) < 2000
    again = js.fit(result.params, X, Y, optimizer=js.levenberg_marquardt(), epochs=5)
    assert again.history.cost[-1] >= 0.999 * result.history.cost[-1]


def test_a_step_of_ones_own_loop_is_that_of_fit(x64):
    params, X, Y = curve()
    optimizer = js.levenberg_marquardt()
    step = js.make_train_step(optimizer)
    mine, opt_state = jax.tree.map(jnp.array, params), optimizer.init(params)
    for _ in range(5):
        mine, opt_state, J = step(mine, opt_state, X, Y)
    result = js.fit(params, X, Y, optimizer=optimizer, epochs=5)
    assert_close((mine, J), (result.params, result.history.cost[-1]), "float64")


def test_the_matrix_in_tiles_takes_the_same_steps(x64, monkeypatch):
    params, X, Y = curve()
    run = partial(js.fit, params, X, Y, epochs=10)
    whole = run(optimizer=js.levenberg_marquardt())
    monkeypatch.setattr(jacobians, "JACOBIAN", 31 * 16)
    assert_close(run(optimizer=js.levenberg_marquardt()).params, whole.params, "float64, after training")


def test_minibatches_half_precision_and_transformations():
    params, X, Y = curve(dtype=np.float32)
    run = partial(js.fit, X=X, Y=Y, optimizer=js.levenberg_marquardt(), epochs=5)
    batches = run(params, batch_size=64, key=jax.random.key(0))
    assert batches.history.cost[-1] < batches.history.cost[0]
    half = run(jax.tree.map(lambda W: jnp.asarray(W, jnp.bfloat16), params))
    assert half.params.W1.dtype == jnp.bfloat16
    assert half.history.cost[-1] < half.history.cost[0]
    two = jax.tree.map(lambda W: jnp.stack([W, W]), params)
    stacked = jax.vmap(lambda params: run(params).params)(two)
    assert_close(jax.tree.map(lambda W: W[1], stacked), run(params).params, "float32")


def test_stacked_matrices_are_factored_one_by_one_on_a_cpu(x64):
    # jaxlib 0.10 hangs where two programs factor stacks at the same time, as chunks of many networks do.
    A = draw(n_h=5, m=5).X.T @ draw(n_h=5, m=5).X + np.eye(5)
    stacks = np.stack([A, 2 * A, -A]), np.stack([[A, 3 * A]])
    for run, stack in zip((jax.vmap(cholesky), jax.vmap(jax.vmap(cholesky))), stacks, strict=True):
        program = jax.jit(run)
        np.testing.assert_array_equal(program(stack), np.asarray(jnp.linalg.cholesky(stack)))
        calls = re.findall(r"potrf.*-> \(?tensor<([0-9x]*)f64>", program.lower(stack).as_text())
        assert calls
        assert set(calls) == {"5x5x"}


@pytest.mark.parametrize(
    ("solver", "of", "call"), [(solve, lambda A: A, "getrf"), (solve_factored, np.linalg.cholesky, "trsm")]
)
@pytest.mark.parametrize("axes", [(0, 0), (None, 0), (0, None)])
def test_stacked_systems_are_solved_one_by_one_on_a_cpu(solver, of, call, axes, x64):
    A = draw(n_h=5, m=5).X.T @ draw(n_h=5, m=5).X + np.eye(5)
    As, bs = np.stack([A, 2 * A, 3 * A]), np.arange(15.0).reshape(3, 5)
    As, bs = (stack if axis == 0 else stack[0] for stack, axis in zip((As, bs), axes, strict=True))
    program, given = jax.jit(jax.vmap(solver, axes)), (of(As), bs)
    np.testing.assert_allclose(program(*given), np.linalg.solve(As, bs[..., None])[..., 0], rtol=1e-10)
    calls = re.findall(rf"{call}.*-> \(?tensor<([0-9x]*)f64>", program.lower(*given).as_text())
    assert calls
    assert not [shape for shape in calls if shape.startswith("3x")]


@pytest.mark.parametrize("n_y", [1, 3])
def test_the_estimators_take_it(n_y):
    X = np.linspace(-3, 3, 60)[:, None]
    y = np.sin(2 * X) if n_y == 1 else np.sin(X * [1, 2, 3])
    network = ShallowRegressor((8,), activation="tanh", solver="lm", tol=1e-9, random_state=0)
    network.fit(X, y[:, 0] if n_y == 1 else y)
    assert network.score(X, y) > 0.999
    assert network.coefs_[0].dtype == np.float64
    assert not hasattr(network, "partial_fit")
    narrow = ShallowRegressor((8,), activation="tanh", solver="lm", random_state=0).fit(X.astype(np.float32), y[:, 0])
    assert narrow.coefs_[0].dtype == np.float32


def test_a_search_finds_what_each_candidate_finds_alone():
    X, y = load_wine(return_X_y=True)
    X = (X - X.mean(0)) / X.std(0)
    network = ShallowClassifier((3,), activation="tanh", solver="lm", alpha=1.0, max_iter=30, random_state=0)
    with warnings.catch_warnings(action="ignore", category=ConvergenceWarning):
        search = ShallowSearchCV(network, {"alpha": [0.1, 10.0], "hidden_layer_sizes": [(2,), (3,)]}, cv=2).fit(X, y)
        alone = [
            cross_val_score(clone(network).set_params(**p), X, y, cv=2).mean() for p in search.cv_results_["params"]
        ]
    np.testing.assert_allclose(search.cv_results_["mean_test_score"], alone, atol=1 / len(y))  # one example may flip


def test_large_matrices_make_short_programs_and_small_chunks(monkeypatch):
    params, X, Y = curve(n_h=100, dtype=np.float32)
    P = size_of(params)
    plain, short = (epochs_a_program(params, 200, 200, 10**6, None, matrix) for matrix in (0, P))
    assert matrix_of(params, js.levenberg_marquardt().init(params)) == P
    assert short < plain * (6 * 200 * P + 200_000) / (200 * P**2 + P**3 / 3)  # multiplications in a step
    assert matrix_of(params, optax.adam(0.1).init(params)) == 0

    sizes = []
    monkeypatch.setattr(chunks, "MATRIX_ENTRIES", 2 * P**2)
    run_block = running.run_block
    monkeypatch.setattr(running, "run_block", lambda block, *of: sizes.append(block.size) or run_block(block, *of))
    configs = {"n_h": 100, "hidden": "tanh", "seed": range(5)}
    js.fit_many(jax.random.key(0), X, Y, configs, epochs=2, optimizer="levenberg_marquardt", output="identity")
    assert set(sizes) == {2}


# ---- what cannot be ----


def test_what_it_cannot_train_is_refused_with_a_way_out():
    with pytest.raises(ValueError, match=r"at most 5,000 parameters, got 10,201: .* L-BFGS: optax\.lbfgs\(\)"):
        js.fit(js.init(jax.random.key(0), 100, 100), jnp.ones((100, 3)), jnp.ones((1, 3)), epochs=1,
               optimizer=js.levenberg_marquardt())  # fmt: skip
    with pytest.raises(ValueError, match="damping must be above 0 and finite, got 0"):
        js.levenberg_marquardt(damping=0)
    params, X, Y = curve(dtype=np.float32)
    part = optax.masked(js.levenberg_marquardt(), js.Params(True, True, False, False, hidden="tanh", output="identity"))
    with pytest.raises(TypeError, match="levenberg_marquardt must see a whole network"):
        js.fit(params, X, Y, optimizer=part, epochs=1)


def test_a_learning_rate_is_refused_in_configs():
    _, X, Y = curve(dtype=np.float32)
    configs = [{"n_h": 3, "learning_rate": 0.1}]
    with pytest.raises(ValueError, match="got \\['learning_rate'\\]"):
        js.fit_many(jax.random.key(0), X, Y, configs, epochs=1, optimizer="levenberg_marquardt", output="identity")
