"""Settings of every test: strict dtypes and ranks, full-precision products, pictures without a screen."""

import gc
import os
import tempfile
from dataclasses import replace
from importlib.metadata import version

os.environ.setdefault("MPLBACKEND", "Agg")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # its threads spin while they wait, and all matrices here are small
# What one module, worker or process has compiled serves the others of this run, and of no other: they inherit the name.
if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
    compiled = tempfile.TemporaryDirectory(prefix="jaxshallow-")
    os.environ["JAX_COMPILATION_CACHE_DIR"] = compiled.name
# A CPU's code in one part, and from XLA's emitters of before MLIR, takes half the time to make. jaxlib 0.11 and later
# have no others; `as_users_compile` is for what hangs on them.
if "xla_cpu_parallel_codegen_split_count" not in os.environ.get("XLA_FLAGS", ""):
    flags = [os.environ.get("XLA_FLAGS", ""), "--xla_cpu_parallel_codegen_split_count=1"]
    if tuple(map(int, version("jaxlib").split(".")[:2])) < (0, 11):
        flags.append("--xla_cpu_use_fusion_emitters=false")
    os.environ["XLA_FLAGS"] = " ".join(flags).strip()

import jax
import numpy as np
import pytest
from jax._src import compiler

from jaxshallow.certificate import comparison

EMITTERS = "xla_cpu_use_fusion_emitters"
CHOICE_OF_EMITTERS = EMITTERS in os.environ["XLA_FLAGS"]
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
# Without it a GPU multiplies float32 matrices in TF32, with 10 bits of mantissa.
jax.config.update("jax_default_matmul_precision", "highest")


def pytest_collection_finish():
    """Every full collection would look through all of JAX once more, and its tracing makes many of them."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


@pytest.fixture(autouse=True)
def strict():
    """No dtype and no rank is promoted in silence. Doctests, which lie elsewhere, run as a user's code does."""
    with jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise"):
        yield


@pytest.fixture
def standard_promotion():
    """For tests that train: optax itself promotes (β ** count). Strict promotion is for the library's own code."""
    with jax.numpy_dtype_promotion("standard"):
        yield


@pytest.fixture
def as_in_numpy(standard_promotion):
    """For tests of what scikit-learn calls: its own checks promote ranks, too."""
    with jax.numpy_rank_promotion("allow"):
        yield


@pytest.fixture
def x64():
    """Float64 inside the test that asks for it; float32 tests run beside it in the same process."""
    with jax.enable_x64(True):
        yield


@pytest.fixture(autouse=True, scope="module")
def forget_programs():
    """Compiled programs of one module serve no other, and thousands of them take gigabytes."""
    yield
    jax.clear_caches()


@pytest.fixture
def as_users_compile():
    """For tests whose point is what the compiler makes of the equations: with the emitters that users have."""


@pytest.fixture(autouse=True)
def emitters(request):
    """What was compiled with those of users serves no test without them, nor the other way round."""
    asked = "as_users_compile" in request.fixturenames and CHOICE_OF_EMITTERS
    if asked != (compiler.get_compile_options is with_emitters):
        jax.clear_caches()
        compiler.get_compile_options = with_emitters if asked else options_of


options_of = compiler.get_compile_options


def with_emitters(*args, env_options_overrides=None, **options):
    return options_of(*args, env_options_overrides={**(env_options_overrides or {}), EMITTERS: True}, **options)


@pytest.fixture
def little_optimization():
    """For tests whose time is nearly all compiling, and whose point is not what the compiler makes of the equations."""
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


@pytest.fixture
def long_run():
    """For tests whose time is running, in a file that is `compiled_lightly`."""


@pytest.fixture
def compiled_lightly(request):
    """`little_optimization` for a whole file, but for its long runs and what hangs on the compiler."""
    if not {"long_run", "as_users_compile"} & set(request.fixturenames):
        request.getfixturevalue("little_optimization")


@pytest.fixture
def certify_only(monkeypatch):
    """Leaves executions out of certificates where they are not the claim, or their eager run: a program or thirty."""

    def only(kept, eager=lambda execution: True):
        every = comparison.all_executions
        listed = lambda *of: [  # noqa: E731
            replace(one, compiled=one.compiled or not eager(one)) for one in every(*of) if kept(one)
        ]
        monkeypatch.setattr(comparison, "all_executions", listed)

    return only


@pytest.fixture
def in_jax(monkeypatch):
    """For what JAX does in the estimators, which train small problems in NumPy."""
    from jaxshallow.estimators import choosing

    monkeypatch.setattr(choosing, "COMPILING", 0.0)


@pytest.fixture(params=["in NumPy", "in JAX"])
def either_way(request):
    """For what the estimators do wherever they train."""
    if request.param == "in JAX":
        request.getfixturevalue("in_jax")


@pytest.fixture
def table(tmp_path):
    """Writes text or bytes to a file of the given name and returns its path."""

    def write(name, contents):
        path = tmp_path / name
        path.write_bytes(contents if isinstance(contents, bytes) else contents.encode())
        return path

    return write


@pytest.fixture
def npz(tmp_path):
    def write(**arrays):
        np.savez(tmp_path / "table.npz", **arrays)
        return tmp_path / "table.npz"

    return write
