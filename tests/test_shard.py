"""shard: the examples split over devices, in one process and in two.

Where there are fewer than eight devices, the first test runs this file once more, in a process with eight on the CPU.
"""

import os
import socket
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from cases import (
    HIDDEN,
    PAIRS,
    assert_close,
    draw,
    init,
    largest_array,
    reference_clipped_grads,
    reference_cost,
    reference_cost_and_grads,
    reference_forward,
    reference_grads,
    reference_labels,
    reference_losses,
    reference_norms,
)
from jax import lax
from jax.sharding import AxisType, NamedSharding, PartitionSpec

import jaxshallow as js
from jaxshallow.estimators import ShallowRegressor, predicting

ENOUGH = jax.device_count() >= 8
on_eight_devices = pytest.mark.skipif(not ENOUGH, reason="run by the first test of this file, on eight devices")
compiled_lightly = pytest.mark.usefixtures("little_optimization")  # what devices get and give is the same
HERE = Path(__file__)


@pytest.mark.skipif(ENOUGH, reason="there are eight devices")
def test_this_file_holds_on_eight_devices():
    environment = {**os.environ, "JAX_PLATFORMS": "cpu", "JAX_NUM_CPU_DEVICES": "8"}
    run = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-p", "no:xdist", str(HERE)]
    result = subprocess.run(run, env=environment, capture_output=True, text=True, cwd=HERE.parents[1])
    assert result.returncode == 0, result.stdout + result.stderr


def mesh(*shape):
    return jax.make_mesh(shape or (8,), ("a", "b")[: len(shape) or 1])


MEANS = {
    "cost": (js.cost, reference_cost),
    "manual_grads": (js.manual_grads, reference_grads),
    "cost_and_grads": (js.cost_and_grads, reference_cost_and_grads),
}


@on_eight_devices
@compiled_lightly
@pytest.mark.parametrize(("name", "m"), [*((name, 50) for name in MEANS), ("cost_and_grads", 1), ("cost_and_grads", 8)])
def test_means_over_devices_are_the_mean(x64, name, m):
    case = draw("tanh", "softmax", 3, m=m)
    mean, reference = MEANS[name]
    for keywords in case.penalties[0 if (name, m) == ("cost_and_grads", 50) else 3 :: 3]:  # none and all, or all
        expected = reference(*case[:3], **keywords)
        for fn in (mean, js.stream(mean, 3)):
            assert_close(jax.jit(js.shard(fn, mesh()))(*case[:3], **keywords), expected, "float64")


@on_eight_devices
@compiled_lightly
@pytest.mark.parametrize("m", [1, 8, 50])
def test_columns_over_devices_lie_side_by_side(x64, m):
    params, X, Y, *_ = draw("tanh", "softmax", 3, m=m)
    for fn, reference, arguments in (
        (js.forward, reference_forward, (X,)),
        (js.predict, reference_labels, (X,)),
        (js.losses, reference_losses, (X, Y)),
        (js.per_example_grad_norms, reference_norms, (X, Y)),
    ):
        for how in (fn, js.stream(fn, 3)) if m == 50 else (fn,):
            assert_close(js.shard(how, mesh())(params, *arguments), reference(params, *arguments), "float64")


@on_eight_devices
@compiled_lightly
@pytest.mark.parametrize(("hidden", "output", "n_y"), PAIRS, ids=HIDDEN)
def test_every_activation_and_head_is_sharded(x64, hidden, output, n_y):
    case = draw(hidden, output, n_y)
    keywords = case.penalties[-1]
    sharded = js.shard(js.cost_and_grads, mesh())
    assert_close(sharded(*case[:3], **keywords), reference_cost_and_grads(*case[:3], **keywords), "float64")


@on_eight_devices
@compiled_lightly
def test_clipping_is_sharded_and_streamed(x64):
    case = draw(m=50)
    for keywords in (case.penalties[0], case.penalties[-1]):
        expected = reference_clipped_grads(*case[:3], 0.5, **keywords)
        for fn in (js.clipped_grads, js.stream(js.clipped_grads, 3)):
            assert_close(js.shard(fn, mesh())(*case[:3], 0.5, **keywords), expected, "float64")


@on_eight_devices
@compiled_lightly
def test_a_device_without_weight_counts_nothing(x64):
    case = draw(m=16)
    two = (np.arange(16) >= 14).astype(float)
    of_two = reference_cost_and_grads(*case[:3], weights=two, l2=0.3)
    for weights, expected in ((two, of_two), (0 * two, jax.tree.map(np.zeros_like, of_two))):
        assert_close(js.shard(js.cost_and_grads, mesh())(*case[:3], weights=weights, l2=0.3), expected, "float64")


@on_eight_devices
@compiled_lightly
def test_a_mesh_of_two_axes_and_explicit_axes_serve_as_well(x64):
    case = draw(m=50)
    expected = reference_cost_and_grads(*case[:3])
    for one in (mesh(4, 2), jax.make_mesh((8,), ("a",), axis_types=(jax.sharding.AxisType.Explicit,))):
        assert_close(jax.jit(js.shard(js.cost_and_grads, one))(*case[:3]), expected, "float64")


@on_eight_devices
def test_examples_that_are_split_already_stay_where_they_are(as_users_compile):
    params, X, Y, *_ = draw(n_x=3, n_h=50, m=800, dtype=np.float32)
    columns = NamedSharding(mesh(), PartitionSpec(None, "a"))
    X, Y = (jax.device_put(array, columns) for array in (X, Y))
    program = jax.jit(js.shard(js.cost_and_grads, mesh())).lower(params, X, Y).compile()
    assert "all-reduce" in program.as_text()
    assert not any(word in program.as_text() for word in ("all-gather", "all-to-all", "collective-permute"))
    forward = jax.jit(js.shard(js.forward, mesh()))(params, X)
    assert all(array.sharding.is_equivalent_to(columns, 2) for array in forward)
    assert largest_array(js.shard(js.stream(js.cost_and_grads, 10), mesh()), params, X, Y) <= 50 * 100


@on_eight_devices
@compiled_lightly
@pytest.mark.parametrize("batch_size", [None, 13])
def test_fit_over_devices_is_fit(x64, batch_size):
    case = draw("tanh", m=50)
    settings = {"learning_rate": 0.5, "epochs": 20, "l2": 0.1, "batch_size": batch_size, "key": jax.random.key(0)}
    plain = js.fit(*case[:3], **settings)
    for fn in (js.cost_and_grads, js.stream(js.cost_and_grads, 3))[batch_size is not None :]:
        sharded = js.fit(*case[:3], **settings, grads=js.shard(fn, mesh()))
        assert_close(sharded.params, plain.params, "float64")
        assert_close(sharded.history.cost, plain.history.cost, "float64")


@on_eight_devices
def test_long_runs_over_devices_do_not_pile_up():
    """Many unawaited programs with a psum can abort a process; fit's loop is inside its programs."""
    params, X, Y, *_ = draw("tanh", m=64, dtype=np.float32)
    result = js.fit(params, X, Y, learning_rate=0.1, epochs=3000, grads=js.shard(js.cost_and_grads, mesh()))
    assert len(result.history.cost) == 3000
    assert result.history.cost[-1] < result.history.cost[0]


@on_eight_devices
@compiled_lightly
def test_many_networks_are_spread_over_devices(x64):
    case, key = draw(m=20), jax.random.key(3)
    configs = {"n_h": 4, "hidden": "tanh", "learning_rate": 0.5, "seed": range(11), "scale": 0.5}
    many = js.fit_many(key, case.X, case.Y, configs, epochs=5)
    for k in (0, 7, 10):
        params = init(jax.random.fold_in(key, k), 3, 4, hidden="tanh", scale=0.5)
        alone = js.fit(params, case.X, case.Y, learning_rate=0.5, epochs=5)
        assert_close(many.params(k), alone.params, "float64, after training")


@on_eight_devices
def test_the_certificate_covers_stream_shard_and_both_together(certify_only, as_users_compile):
    certify_only(lambda one: one.compiled or one.name == "vmap" or one.run is js.cost_and_grads, lambda one: False)
    params, X, Y, *_ = draw("tanh", m=24, dtype=np.float32)
    X, Y, _ = on(explicit(8), (None, "a"), X, Y)
    certificate = js.certify(params, X, Y, l2=0.1, precisions=("highest",))
    assert certificate.ok, str(certificate)
    assert {"stream", "shard", "shard, stream"} <= {row.execution for row in certificate.rows}


@on_eight_devices
def test_the_certificate_finds_a_fault_of_shard_alone(monkeypatch, certify_only):
    """A psum that forgets to sum."""
    monkeypatch.setattr(jax.lax, "psum", lambda x, axes: x)
    certify_only(lambda execution: execution.compiled)
    params, X, Y, *_ = draw("tanh", m=48, dtype=np.float32)
    certificate = js.certify(params, X, Y, precisions=("highest",))
    assert {row.execution for row in certificate.rows if not row.holds} == {"shard", "shard, stream"}
    assert {"stream", "many"} < {row.execution for row in certificate.rows}


@on_eight_devices
def test_a_wrong_shape_is_named_as_without_it():
    params, X, Y, *_ = draw(dtype=np.float32)
    with pytest.raises(ValueError, match=r"examples are columns, use X\.T"):
        js.shard(js.cost, mesh())(params, X.T, Y)


# ---- explicit meshes, and jax.set_mesh ----


def explicit(*shape, names=("a", "b")):
    return jax.make_mesh(shape, names[: len(shape)], axis_types=(AxisType.Explicit,) * len(shape))


def on(mesh, spec, X, Y, weights=None):
    """X split as `spec`, and Y and the weights along the examples as X is."""
    specs = PartitionSpec(*spec), PartitionSpec(None, spec[1]), PartitionSpec(spec[1])
    given = (X, Y) if weights is None else (X, Y, weights)
    arrays = [jax.device_put(array, NamedSharding(mesh, spec)) for array, spec in zip(given, specs, strict=False)]
    return *arrays, *[None] * (3 - len(arrays))


def everything(params, X, Y, weights):
    """What every function of the library makes of its arguments."""
    options = {"weights": weights, "l2": 0.3}
    columns = {"forward": js.forward(params, X), "predict": js.predict(params, X), "losses": js.losses(params, X, Y)}
    columns |= {"scan": js.forward_scan(params, X), "vmap": js.forward_vmap(params, X)}
    columns |= {"norms": js.per_example_grad_norms(params, X, Y), "stream": js.stream(js.forward, 5)(params, X)}
    gradients = {
        fn: fn(params, X, Y, **options)
        for fn in (js.manual_grads, js.manual_grads_scan, js.manual_grads_vmap, jax.grad(js.cost))
    }
    gradients["clipped"] = js.clipped_grads(params, X, Y, 0.5, **options)
    gradients["stream"] = js.stream(js.manual_grads, 5)(params, X, Y, **options)
    gradients["shard"] = js.shard(js.manual_grads, mesh())(params, X, Y, **options)
    numbers = js.cost(params, X, Y, **options), js.score(params, X, Y), 1 / js.grad_noise_scale(params, X, Y)
    return columns, list(gradients.values()), (numbers, js.stream(js.cost, 5)(params, X, Y, **options))


@on_eight_devices
@compiled_lightly
def test_arrays_on_explicit_meshes_give_the_same_numbers_split_as_they_are(x64):
    case = draw("tanh", n_x=4, n_h=6, m=48)
    weights = case.penalties[-1]["weights"]
    expected = jax.jit(everything)(*case[:3], weights)
    two_axes = explicit(4, 2)
    halves = replace(
        case.params,
        W1=jax.device_put(case.params.W1, NamedSharding(two_axes, PartitionSpec("b"))),
        W2=jax.device_put(case.params.W2, NamedSharding(two_axes, PartitionSpec(None, "b"))),
    )
    for params, one, spec in (
        (case.params, explicit(8), (None, "a")),
        (halves, two_axes, ("b", "a")),
    ):
        X, Y, w = on(one, spec, case.X, case.Y, weights)
        actual = columns, gradients, numbers = jax.jit(everything)(params, X, Y, w)
        assert_close(actual, expected, "float64")
        assert all(column.sharding.spec[-1] == "a" for column in jax.tree.leaves(columns))
        assert all(number.sharding.is_fully_replicated for number in jax.tree.leaves(numbers))
        if params is halves:
            assert all(g.W1.sharding.spec[0] == g.W2.sharding.spec[1] == "b" for g in gradients)


@on_eight_devices
@compiled_lightly
def test_outside_of_jit_explicit_arrays_serve_as_well(x64):
    case = draw("tanh", m=8)
    X, Y, _ = on(explicit(8), (None, "a"), case.X, case.Y)
    held = jax.device_put(case.params, jax.devices()[0])
    cost_and_grads = reference_cost_and_grads(*case[:3])
    assert_close(js.cost(held, X=X, Y=Y), cost_and_grads[0], "float64")
    assert_close(js.forward_loop(case.params, X), reference_forward(case.params, case.X), "float64")
    assert_close(js.stream(js.cost, 3)(case.params, [(X, Y)] * 2), cost_and_grads[0], "float64")
    mixed = jax.make_mesh((4, 2), ("a", "b"), axis_types=(AxisType.Explicit, AxisType.Auto))
    X, Y, _ = on(mixed, (None, ("a", "b")), case.X, case.Y)
    assert_close(jax.jit(js.cost_and_grads)(case.params, X, Y), cost_and_grads, "float64")


@on_eight_devices
@compiled_lightly
def test_fit_takes_arrays_on_an_explicit_mesh(x64):
    case = draw("tanh", m=16)
    X, Y, _ = on(explicit(8), (None, "a"), case.X, case.Y)
    sharded = js.shard(js.cost_and_grads, explicit(8))
    for settings in (
        {"optimizer": optax.sgd(0.1, momentum=0.9)},
        {"batch_size": 6, "key": jax.random.key(0), "patience": 3},
    ):
        plain = js.fit(*case[:3], epochs=4, l2=0.1, validation=(case.X, case.Y), **settings)
        for grads in (js.cost_and_grads, sharded):
            split = js.fit(case.params, X, Y, epochs=4, l2=0.1, validation=(X, Y), grads=grads, **settings)
            assert_close(split.params, plain.params, "float64, after training")
            assert_close(split.history, plain.history, "float64, after training")


@on_eight_devices
@compiled_lightly
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_all_runs_under_set_mesh(x64, in_jax):
    case, key, configs = draw("tanh", m=16), jax.random.key(0), {"n_h": 4, "seed": range(3)}
    J, gradient = reference_cost_and_grads(*case[:3])
    first, many = js.init(key, 3, 4), js.fit_many(key, case.X, case.Y, configs, epochs=3)
    optimizer = optax.sgd(1.0)
    for kind in (AxisType.Explicit, AxisType.Auto):
        with jax.set_mesh(jax.make_mesh((8,), ("a",), axis_types=(kind,))):
            for over in (mesh(), explicit(4, 2)):
                assert_close(jax.jit(js.shard(js.cost_and_grads, over))(*case[:3]), (J, gradient), "float64")
            assert_close(jax.jit(jax.grad(js.cost))(*case[:3]), gradient, "float64")
            assert_close(js.init(key, 3, 4), first, "float64")
            again = js.fit_many(key, case.X, case.Y, configs, epochs=3)
            assert_close(again.cost, many.cost, "float64")
            X = jax.device_put(case.X, NamedSharding(explicit(4, 2), PartitionSpec(None, "a")))
            assert_close(again.predict_proba(X), many.predict_proba(case.X), "float64")
            regressor = ShallowRegressor((2,), solver="lbfgs", max_iter=2, random_state=0).fit(case.X.T, case.Y[0])
            assert np.isfinite(predicting.in_jax(regressor.members_, None)(case.X.T, 16)).all()
            copied = jax.tree.map(jnp.array, case.params)
            stepped = js.make_train_step(optimizer)(copied, optimizer.init(copied), case.X, case.Y)
            leaves = [W - dW for W, dW in zip(jax.tree.leaves(case.params), gradient, strict=True)]
            assert_close(stepped[0], leaves, "float64")


@on_eight_devices
@compiled_lightly
def test_the_formula_serves_inside_of_a_users_own_shard_map(x64):
    case, one = draw("tanh", m=16), explicit(4, 2)
    X, Y, _ = on(one, (None, "a"), case.X, case.Y)
    expected, columns = reference_grads(*case[:3]), PartitionSpec(None, "a")

    @partial(jax.jit, static_argnames="names")
    def mean(params, X, Y, names):
        return jax.shard_map(
            lambda *some: lax.pmean(js.manual_grads(*some), "a"),
            axis_names=names, in_specs=(PartitionSpec(), columns, columns), out_specs=PartitionSpec(),
        )(params, X, Y)  # fmt: skip

    with jax.set_mesh(one):
        for names in (frozenset("a"), frozenset("ab")):
            assert_close(mean(case.params, X, Y, names), expected, "float64")


# ---- two processes ----

ONE_OF_TWO = """
import sys
import jax
import numpy as np

port, rank = sys.argv[1:]
jax.distributed.initialize(f"localhost:{port}", num_processes=2, process_id=int(rank))

import jaxshallow as js
from jax.sharding import NamedSharding, PartitionSpec

mesh = jax.make_mesh((jax.device_count(),), ("examples",))
columns = NamedSharding(mesh, PartitionSpec(None, "examples"))
X, Y = js.data.flower()  # each process could as well read its own part only
half = slice(200 * int(rank), 200 * (int(rank) + 1))
X, Y = (jax.make_array_from_process_local_data(columns, np.float32(array[:, half])) for array in (X, Y))
params = js.init(jax.random.key(0), n_x=2, n_h=4, hidden="tanh", scale=1.0)
sharded = js.shard(js.stream(js.cost_and_grads), mesh)
result = js.fit(params, X, Y, learning_rate=1.2, epochs=50, grads=sharded, validation=(X, Y))
np.testing.assert_allclose(result.history.cost[1:], result.history.validation_cost[:-1], rtol=1e-5)
print(jax.process_count(), jax.device_count(), *map(float, result.history.cost), *np.ravel(result.params.W1))
"""


@pytest.mark.skipif(ENOUGH, reason="run beside the test on eight devices")
def test_two_processes_train_one_network():
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = str(free.getsockname()[1])
    environment = {**os.environ, "JAX_PLATFORMS": "cpu", "JAX_NUM_CPU_DEVICES": "2"}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", ONE_OF_TWO, port, str(rank)],
            env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for rank in range(2)
    ]  # fmt: skip
    outputs = [process.communicate(timeout=200) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    first, second = (np.array(out.splitlines()[-1].split(), float) for out, _ in outputs)  # gloo prints before it
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(first[:2], [2, 4])

    X, Y = (np.float32(array) for array in js.data.flower())
    params = js.init(jax.random.key(0), n_x=2, n_h=4, hidden="tanh", scale=1.0)
    alone = js.fit(params, X, Y, learning_rate=1.2, epochs=50)
    # 50 steps, each of which rounds sums of 400 terms in another order, and descent that does not diverge.
    np.testing.assert_allclose(first[2:52], alone.history.cost, rtol=1e-5)
    np.testing.assert_allclose(first[52:], jnp.ravel(alone.params.W1), atol=1e-4)
