"""What is compiled: how much of it a process keeps, what a first run compiles, and the cache on disk."""

import gc
import os
import subprocess
import sys
import threading
import weakref
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from cases import assert_same

import jaxshallow as js
from jaxshallow import bounded
from jaxshallow.bounded import bounded_jit
from jaxshallow.constants import without_compiling
from jaxshallow.estimators import ShallowClassifier, ShallowSearchCV

ROOT = Path(__file__).parents[1]
# Counts what JAX compiles: its own events for reads from the cache, and for what was not in it.
PROGRAM = """
import sys
import jax
counts = {"hits": 0, "misses": 0}
def count(event, **_):
    for what in counts:
        counts[what] += event == f"/jax/compilation_cache/cache_{what}"
jax.monitoring.register_event_listener(count)
import jaxshallow as js
folder = js.enable_compilation_cache(*sys.argv[1:])
params = js.init(jax.random.key(0), 2, 4)
js.fit(params, *js.data.flower(), epochs=3)
print(folder, counts["hits"], counts["misses"])
"""


def fit_in_a_new_process(*arguments, **environment):
    run = [sys.executable, "-c", PROGRAM, *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    result = subprocess.run(run, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return result.stdout.split()


def test_a_second_process_finds_every_program_compiled(tmp_path):
    folder, _, misses = fit_in_a_new_process(tmp_path / "compiled")
    assert folder == str(tmp_path / "compiled")
    assert int(misses) > 0
    _, hits, misses_again = fit_in_a_new_process(tmp_path / "compiled")
    assert int(hits) >= int(misses)
    assert misses_again == "0"


def test_another_folder_takes_the_place_of_the_first(tmp_path):
    program = """
import sys
import jax
import jax.numpy as jnp
import jaxshallow as js
for folder in sys.argv[1:]:
    js.enable_compilation_cache(folder)
    jax.jit(lambda x: jnp.sin(x) + len(folder))(1.0)
"""
    folders = tmp_path / "one", tmp_path / "another"
    subprocess.run([sys.executable, "-c", program, *folders], env={**os.environ, "PYTHONPATH": str(ROOT)}, check=True)
    assert all(any(folder.iterdir()) for folder in folders)


@pytest.mark.parametrize(
    ("variable", "folder"),
    [("JAX_COMPILATION_CACHE_DIR", ""), ("XDG_CACHE_HOME", "jaxshallow"), ("HOME", ".cache/jaxshallow")],
)
def test_the_folder_is_where_the_environment_says(tmp_path, monkeypatch, variable, folder):
    for name in ("JAX_COMPILATION_CACHE_DIR", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    where, _, misses = fit_in_a_new_process(**{variable: str(tmp_path)})
    assert Path(where) == tmp_path / folder
    assert len(list(Path(where).iterdir())) >= int(misses) > 0


def test_a_home_that_cannot_be_written_is_a_warning_and_a_folder_of_ones_own_an_error(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path / "file" / "below"))
    with pytest.warns(UserWarning, match="programs are not kept compiled"):
        assert js.enable_compilation_cache() is None
    with pytest.raises(OSError, match="file"):
        js.enable_compilation_cache(tmp_path / "file")


# ---- the bound on what a process keeps ----


@pytest.fixture
def limit(monkeypatch):
    """So few that the tests soon reach the bound."""
    monkeypatch.setattr(bounded, "LIMIT", 4)
    return bounded.LIMIT


def maps():
    """How many memory maps the process has, where the system tells."""
    return len(Path("/proc/self/maps").read_text().splitlines()) if Path("/proc/self/maps").exists() else 0


def examples(m, n_x=3):
    X = np.random.default_rng(m).normal(size=(n_x, m)).astype(np.float32)
    return X, (X[:1] > 0).astype(np.float32)


def test_programs_that_were_not_used_for_longest_go_with_all_their_memory_maps(limit):
    double = bounded_jit(lambda x: jnp.tanh(x) @ x.T)
    made = []
    for n in range(1, 31):
        double(np.ones((2, n), np.float32))
        made.append(weakref.ref(list(bounded.PROGRAMS.values())[-1].jitted))
        if n == 10:
            after_ten = maps()
    assert [one() is not None for one in made] == [False] * (30 - limit) + [True] * limit
    assert maps() - after_ten <= 20  # 20 more programs, of more than 10 maps each


@pytest.mark.usefixtures("little_optimization", "standard_promotion")
def test_whatever_is_called_with_many_shapes_keeps_to_the_bound(limit):
    params, optimizer = js.init(jax.random.key(0), 3, 2), optax.adam(0.01)
    step = js.make_train_step(optimizer)
    ways = {
        "init": lambda X, Y: js.init(jax.random.key(0), X.shape[1], 2),
        "fit": lambda X, Y: js.fit(params, X, Y, epochs=2, optimizer=optimizer),
        "stream": lambda X, Y: js.stream(js.cost_and_grads, 2)(params, X, Y),
        "step": lambda X, Y: step(jax.tree.map(np.asarray, params), optimizer.init(params), X, Y),
        "predict": lambda X, Y: js.predict(params, X),
        "score": lambda X, Y: js.score(params, X, Y),
        "many": lambda X, Y: js.fit_many(jax.random.key(0), X, Y, {"n_h": [2]}, epochs=2),
    }
    for way, run in ways.items():
        for m in (5, 6, 7):
            run(*examples(m))
            assert 0 < len(bounded.PROGRAMS) <= limit, way


def test_a_program_in_use_stays(limit):
    traced = []
    double = bounded_jit(lambda x: traced.append(x.shape) or 2 * x)
    for n in range(1, 10):
        double(np.ones(100, np.float32))
        double(np.ones(n, np.float32))
    assert traced.count((100,)) == 1


@pytest.mark.usefixtures("little_optimization")
def test_a_program_that_was_dropped_comes_back_to_the_same_bits(limit):
    params, (X, Y) = js.init(jax.random.key(0), 3, 4), examples(20)
    before = js.fit(params, X, Y, epochs=5)
    for n in range(limit):
        bounded_jit(lambda x: x + 1)(np.ones(n, np.float32))
    assert_same(js.fit(params, X, Y, epochs=5), before)


def test_the_programs_of_a_step_go_with_the_step():
    params, optimizer, before = js.init(jax.random.key(0), 3, 2), optax.sgd(0.1), len(bounded.PROGRAMS)
    step = js.make_train_step(optimizer)
    step(params, optimizer.init(params), *examples(5))
    assert len(bounded.PROGRAMS) == before + 1
    del step
    gc.collect()
    assert len(bounded.PROGRAMS) == before


# ---- compiling ahead, and at once ----


def compiled_by(caplog, run):
    """The names of the programs that `run` compiles."""
    caplog.clear()
    jax.config.update("jax_log_compiles", True)  # in all threads
    run()
    jax.config.update("jax_log_compiles", False)
    said = [record.getMessage() for record in caplog.records]
    return [line.split("jit(")[1].split(")")[0] for line in said if line.startswith("Finished XLA compilation of")]


def in_threads(*runs):
    """Run all at once. (A thread has JAX's settings of the process, without those of a `with` outside of it.)"""
    threads = [threading.Thread(target=run) for run in runs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_what_a_thread_prepares_is_found_by_another(caplog):
    def double(x, *, power):
        return 2 * x**power

    ahead = bounded_jit(double, static_argnames=("power",))
    x, placed = np.ones((2, 3), np.float32), jax.device_put(np.ones(7, np.float32), jax.devices()[0])
    like = jax.ShapeDtypeStruct((2, 3), x.dtype), jax.ShapeDtypeStruct((7,), x.dtype, sharding=placed.sharding)
    prepare = [lambda one=one: ahead.prepare(one, power=3) for one in like]
    call = [lambda one=one: ahead(one, power=3) for one in (x, jax.device_put(x), placed)]
    assert compiled_by(caplog, lambda: in_threads(*prepare)) == ["double", "double"]
    assert compiled_by(caplog, lambda: in_threads(*call)) == []
    assert compiled_by(caplog, lambda: ahead(x, power=2)) == ["double"]


def test_threads_that_call_at_once_compile_once(caplog):
    slow = bounded_jit(lambda x: jax.lax.scan(lambda c, _: (jnp.sin(c @ x), None), x, None, length=3)[0])
    call = lambda: slow(np.ones((4, 4), np.float32))  # noqa: E731
    assert len(compiled_by(caplog, lambda: in_threads(*[call] * 4))) == 1


@pytest.mark.usefixtures("standard_promotion")
def test_a_first_run_compiles_no_program_beside_those_it_needs(caplog):
    jax.clear_caches()
    key, (X, Y), optimizer = jax.random.key(0), examples(23), optax.adam(0.01)
    held_out = examples(11)
    run = {}
    assert compiled_by(caplog, lambda: run.update(params=js.init(key, 3, 4))) == ["_draw"]
    params = run["params"]
    assert compiled_by(caplog, lambda: js.fit(params, X, Y, epochs=3)) == ["run_epochs"]
    batches = {"optimizer": optimizer, "batch_size": 5, "key": key, "validation": held_out, "patience": 2}
    trained = ["first_state", "run_epochs"]
    assert compiled_by(caplog, lambda: run.update(fit=js.fit(params, X, Y, epochs=3, **batches))) == trained
    assert compiled_by(caplog, lambda: (run["fit"].params, run["fit"].history.cost[-1], run["fit"].arrays())) == []
    assert compiled_by(caplog, lambda: js.predict(params, X)) == ["answers"]
    assert compiled_by(caplog, lambda: js.score(params, X, Y)) == ["score_on"]
    many = lambda: js.fit_many(key, X, Y, {"n_h": [2, 3]}, epochs=3, optimizer="adam", batch_size=5)  # noqa: E731
    assert compiled_by(caplog, lambda: run.update(many=many())) == ["draw", "train_units"]
    assert compiled_by(caplog, lambda: (run["many"].params(1), run["many"].table(), run["many"].arrays())) == []
    assert len(compiled_by(caplog, lambda: run["many"].score(*held_out))) == 1


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.usefixtures("in_jax", "as_in_numpy")
def test_a_first_search_compiles_one_program(caplog):
    jax.clear_caches()
    X, Y = examples(60, n_x=5)
    network = ShallowClassifier(random_state=0, max_iter=3, batch_size=25)
    grid = {"hidden_layer_sizes": [(2,), (3,)], "learning_rate_init": [0.01, 0.1]}
    search = ShallowSearchCV(network, grid, cv=3, refit=False, error_score="raise")
    assert compiled_by(caplog, lambda: search.fit(X.T, Y[0] > 0)) == ["train_units"]


@pytest.mark.parametrize(
    "body",
    [
        lambda A, b: (A, jnp.zeros((2, 5)), jnp.zeros((), np.int32), {"of b": jnp.broadcast_to(b, (4, 3))}),
        lambda A, b: jax.vmap(lambda row: (row, jnp.ones_like(row), jnp.full((2, 1), 7.0)))(A),
        lambda A, b: (jnp.sin(b), A)[1],  # what is computed is not asked for
        lambda A, b: (A, b + 1),
    ],
)
def test_what_only_hands_on_arrays_and_constants_equals_its_program(x64, caplog, body):
    A, b = np.arange(12.0).reshape(4, 3), np.arange(3.0)
    expected, program, on_device = jax.jit(body)(A, b), bounded_jit(body), jax.device_put(b)
    found = {}
    names = compiled_by(caplog, lambda: found.update(result=without_compiling(program, A, on_device)))
    computes = "add" in str(jax.make_jaxpr(body)(A, b))
    assert len(names) == computes
    assert_same(found["result"], expected)
    for leaf, like in zip(jax.tree.leaves(found["result"]), jax.tree.leaves(expected), strict=True):
        assert leaf.dtype == like.dtype
        if not computes:
            leaf[...] = 0  # its own memory: the arguments stay
    assert_same((A[-1], b), (np.array([9.0, 10, 11]), np.array([0.0, 1, 2])))
