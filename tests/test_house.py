"""The house itself: imports point only downwards, and importing the library does nothing else."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

import jaxshallow

ORDER = [
    "activations",
    "compilation",
    "params",
    "checks",
    "network",
    "backprop",
    "executions",
    "descent",
    "tables",
    "data",
    "many",
    "certify",
    "store",
    "checkpoints",
    "exports",
    "estimators",
    "plots",
    "reports",
]
HOUSE = Path(jaxshallow.__file__).parent
ROOMS = sorted(path.stem for path in HOUSE.glob("*.py") if path.stem != "__init__")


def imported(room: str):
    """The full names of all that the module imports, at its top or inside its functions."""
    for node in ast.walk(ast.parse((HOUSE / f"{room}.py").read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            source = "jaxshallow." + (node.module or "") if node.level else node.module
            yield from (f"{source.rstrip('.')}.{alias.name}" for alias in node.names)


def test_every_module_has_its_place_in_the_order():
    assert set(ROOMS) <= set(ORDER)
    assert {"activations", "params", "checks", "network", "backprop"} <= set(ROOMS)


@pytest.mark.parametrize("room", ROOMS)
def test_imports_point_only_downwards(room):
    below = ORDER[: ORDER.index(room)]
    ours = [name.split(".")[1:] for name in imported(room) if name.split(".")[0] == "jaxshallow"]
    assert [name for name in ours if not name or name[0] not in below] == []


@pytest.mark.parametrize(
    ("package", "room"), [("matplotlib", "plots"), ("sklearn.base", "estimators"), ("tyro", "programs")]
)
def test_only_one_module_may_import(package, room):
    importers = [other for other in ROOMS if any(name.startswith(package) for name in imported(other))]
    assert set(importers) <= {room}


@pytest.mark.parametrize("room", ["activations", "params", "checks", "network", "backprop"])
def test_the_core_needs_jax_numpy_and_chex_alone(room):
    others = {name.split(".")[0] for name in imported(room)} - {"jaxshallow"} - set(sys.stdlib_module_names)
    assert others <= {"jax", "numpy", "chex"}


def test_importing_the_library_computes_nothing_and_changes_no_setting():
    program = """
import os, sys
import jax
from jax._src import xla_bridge
settings, environment = dict(jax.config.values), dict(os.environ)
import jaxshallow
assert dict(jax.config.values) == settings, "JAX settings changed"
assert dict(os.environ) == environment, "environment changed"
assert not jax.config.jax_enable_x64
assert not xla_bridge._backends, "a JAX backend was started"
optional = {"sklearn", "matplotlib", "polars", "safetensors", "rich", "tyro", "orbax", "onnx", "onnxruntime"}
assert not optional & {name.split(".")[0] for name in sys.modules}, optional & set(sys.modules)
assert "jaxshallow.programs" not in sys.modules
"""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("JAX_ENABLE_X64")}
    environment["PYTHONPATH"] = os.pathsep.join([str(HOUSE.parent), environment.get("PYTHONPATH", "")])
    result = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
