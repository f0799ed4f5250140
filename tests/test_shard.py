"""shard: the examples split over devices, in one process and in two.

Where there are fewer than eight devices, the first test runs this file once more, in a process with eight on the CPU.
"""

import os
import socket
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import HIDDEN, PAIRS, assert_close, draw, largest_array
from jax.sharding import NamedSharding, PartitionSpec

import jaxshallow as js

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


MEANS = {"cost": js.cost, "manual_grads": js.manual_grads, "cost_and_grads": js.cost_and_grads}


@on_eight_devices
@compiled_lightly
@pytest.mark.parametrize(("name", "m"), [*((name, 50) for name in MEANS), ("cost_and_grads", 1), ("cost_and_grads", 8)])
def test_means_over_devices_are_the_mean(x64, name, m):
    case = draw("tanh", "softmax", 3, m=m)
    for keywords in (case.penalties[0], case.penalties[-1]):
        expected = MEANS[name](*case[:3], **keywords)
        for fn in (MEANS[name], js.stream(MEANS[name], 3)):
            assert_close(jax.jit(js.shard(fn, mesh()))(*case[:3], **keywords), expected, "float64")


@on_eight_devices
@compiled_lightly
@pytest.mark.parametrize("m", [1, 8, 50])
def test_columns_over_devices_lie_side_by_side(x64, m):
    params, X, Y, *_ = draw("tanh", "softmax", 3, m=m)
    for fn, arguments in (
        (js.forward, (X,)),
        (js.predict, (X,)),
        (js.losses, (X, Y)),
        (js.per_example_grad_norms, (X, Y)),
    ):
        for how in (fn, js.stream(fn, 3)):
            assert_close(js.shard(how, mesh())(params, *arguments), fn(params, *arguments), "float64")


@on_eight_devices
@compiled_lightly
@pytest.mark.parametrize(("hidden", "output", "n_y"), PAIRS, ids=HIDDEN)
def test_every_activation_and_head_is_sharded(x64, hidden, output, n_y):
    case = draw(hidden, output, n_y)
    keywords = case.penalties[-1]
    sharded = js.shard(js.cost_and_grads, mesh())
    assert_close(sharded(*case[:3], **keywords), js.cost_and_grads(*case[:3], **keywords), "float64")


@on_eight_devices
@compiled_lightly
def test_clipping_is_sharded_and_streamed(x64):
    case = draw(m=50)
    for keywords in case.penalties:
        expected = js.clipped_grads(*case[:3], 0.5, **keywords)
        for fn in (js.clipped_grads, js.stream(js.clipped_grads, 3)):
            assert_close(js.shard(fn, mesh())(*case[:3], 0.5, **keywords), expected, "float64")


@on_eight_devices
@compiled_lightly
def test_a_device_without_weight_counts_nothing(x64):
    case = draw(m=16)
    for weights in (np.arange(16) >= 14.0, np.zeros(16)):
        keywords = {"weights": weights.astype(float), "l2": 0.3}
        expected = js.cost_and_grads(*case[:3], **keywords)
        assert_close(js.shard(js.cost_and_grads, mesh())(*case[:3], **keywords), expected, "float64")


@on_eight_devices
@compiled_lightly
def test_a_mesh_of_two_axes_and_explicit_axes_serve_as_well(x64):
    case = draw(m=50)
    expected = js.cost_and_grads(*case[:3])
    for one in (mesh(4, 2), jax.make_mesh((8,), ("a",), axis_types=(jax.sharding.AxisType.Explicit,))):
        assert_close(jax.jit(js.shard(js.cost_and_grads, one))(*case[:3]), expected, "float64")


@on_eight_devices
def test_examples_that_are_split_already_stay_where_they_are():
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
    for fn in (js.cost_and_grads, js.stream(js.cost_and_grads, 3)):
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
    for k in range(11):
        params = js.init(jax.random.fold_in(key, k), 3, 4, hidden="tanh", scale=0.5)
        alone = js.fit(params, case.X, case.Y, learning_rate=0.5, epochs=5)
        assert_close(many.params(k), alone.params, "float64, after training")


@on_eight_devices
def test_the_certificate_covers_stream_shard_and_both_together():
    params, X, Y, *_ = draw("tanh", m=50, dtype=np.float32)
    certificate = js.certify(params, X, Y, l2=0.1, precisions=("highest",))
    assert certificate.ok, str(certificate)
    assert {"stream", "shard", "shard, stream"} <= {row.execution for row in certificate.rows}


@on_eight_devices
def test_the_certificate_finds_a_fault_of_shard_alone(monkeypatch):
    """A psum that forgets to sum."""
    monkeypatch.setattr(jax.lax, "psum", lambda x, axes: x)
    params, X, Y, *_ = draw("tanh", m=48, dtype=np.float32)
    certificate = js.certify(params, X, Y, precisions=("highest",))
    assert {row.execution for row in certificate.rows if not row.holds} == {"shard", "shard, stream"}


@on_eight_devices
def test_a_wrong_shape_is_named_as_without_it():
    params, X, Y, *_ = draw(dtype=np.float32)
    with pytest.raises(ValueError, match=r"examples are columns, use X\.T"):
        js.shard(js.cost, mesh())(params, X.T, Y)


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
result = js.fit(params, X, Y, learning_rate=1.2, epochs=50, grads=js.shard(js.stream(js.cost_and_grads), mesh))
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
