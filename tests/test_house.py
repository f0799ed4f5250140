"""The house itself: imports point only downwards, between rooms and inside wings, and importing does nothing else."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import jaxshallow

# Rooms and wings, and inside each wing its files: each imports only what stands before it.
ORDER = {
    "activations": [],
    "extras": [],
    "compilation": [],
    "forks": [],
    "given": [],
    "lifetimes": [],
    "bounded": [],
    "constants": [],
    "meshes": [],
    "params": [],
    "checks": [],
    "network": [],
    "backprop": [],
    "per_example": [],
    "curvature": [],
    "stacks": [],
    "executions": [],
    "in_numpy": [],
    "tiles": ["parts", "chains", "host", "streaming", "jacobians", "sharding"],
    "optimizers": [],
    "descent": [],
    "training": ["scaling", "keys", "epochs", "tall", "resume", "levenberg_marquardt", "fitting"],
    "tables": [
        "layout",
        "plain",
        "decimals",
        "dataset",
        "problems",
        "looks",
        "columns",
        "targets",
        "frames",
        "arrays",
        "tiles",
        "remarks",
        "load",
        "edges",
        "encodings",
        "features",
    ],
    "data": [],
    "many": [
        "elementwise",
        "optimizers",
        "configs",
        "widths",
        "examples",
        "side_by_side",
        "units",
        "plan",
        "chunks",
        "programs",
        "result",
        "records",
        "resume",
        "run",
        "fitting",
    ],
    "store": ["files", "models", "checkpoints"],
    "exports": ["standalone", "known", "jax_artifact", "python_file", "onnx_graph", "exporting"],
    "certificate": ["bounds", "reference", "second_order", "rows", "differences", "executions", "comparison"],
    "certify": [],
    "bayes": [
        "conformal",
        "predictive",
        "posterior",
        "loading",
        "gaussian",
        "leaving_out",
        "starts",
        "retraining",
        "climbing",
        "evidence",
        "labels",
    ],
    "estimators": [
        "presets",
        "solvers",
        "settings",
        "encoders",
        "cells",
        "first",
        "examples",
        "bags",
        "results",
        "threads",
        "choosing",
        "numpy_network",
        "numpy_solvers",
        "numpy_epochs",
        "objectives",
        "lbfgs",
        "training",
        "evidence",
        "sparse",
        "scales",
        "predicting",
        "networks",
        "pool",
        "preparing",
        "given_examples",
        "error_bars",
        "saving",
        "out_of_bag",
        "base",
        "classifier",
        "regressor",
        "search",
        "optuna_search",
    ],
    "plots": ["figures", "plane", "answers", "curves", "certainty", "timings"],
    "reports": ["html", "live", "pages"],
    "programs": [
        "extra",
        "cli",
        "options",
        "running",
        "saved",
        "keeper",
        "examples",
        "scores",
        "progress",
        "by_evidence",
        "course",
        "demos",
        "reporting",
        "train_options",
        "train_task",
        "train_results",
        "train_files",
        "train_evidence",
        "train_preset",
        "train",
        "sweep_options",
        "sweep_space",
        "sweep_examples",
        "sweep_kinds",
        "sweep_best",
        "sweep_pictures",
        "sweep_results",
        "sweep_evidence",
        "sweep",
        "compare",
        "export_check",
        "export",
        "predict",
    ],
}
HOUSE = Path(jaxshallow.__file__).parent
FILES = sorted(path.relative_to(HOUSE) for path in HOUSE.rglob("*.py") if path != HOUSE / "__init__.py")
IN_WINGS = [file for file in FILES if len(file.parts) == 2 and file.name != "__init__.py"]
CORE = [
    "activations",
    "forks",
    "given",
    "lifetimes",
    "bounded",
    "meshes",
    "params",
    "checks",
    "network",
    "backprop",
    "per_example",
    "curvature",
]
# The only places that may import what would make the library heavy.
IN_ONE_PLACE = {"matplotlib": "plots", "sklearn.base": "estimators", "tyro": "programs"}


def room_of(file: Path) -> str:
    return file.parts[0].removesuffix(".py")


def imported(file: Path):
    """The full names of all that a file imports, at its top or inside its functions."""
    for node in ast.walk(ast.parse((HOUSE / file).read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{file} imports relatively: give the full name"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def ours(file: Path) -> list[list[str]]:
    """What a file imports of this library: [room, file or name, ...]."""
    return [name.split(".")[1:] for name in imported(file) if name.startswith("jaxshallow.")]


def test_every_file_has_its_place_in_the_order():
    assert sorted({room_of(file) for file in FILES}) == sorted(ORDER)
    for wing, files in ORDER.items():
        assert sorted(files) == sorted(file.stem for file in IN_WINGS if room_of(file) == wing)


def test_every_wing_says_what_is_in_it():
    for wing, files in ORDER.items():
        if files:
            said = re.findall(r"\w+", ast.get_docstring(ast.parse((HOUSE / wing / "__init__.py").read_text())))
            assert [file for file in files if file not in said] == [], wing


@pytest.mark.parametrize("file", FILES, ids=str)
def test_imports_point_only_downwards(file):
    rooms = list(ORDER)
    below = rooms[: rooms.index(room_of(file))]
    assert [name for name in ours(file) if name[0] not in (*below, room_of(file))] == []


@pytest.mark.parametrize("file", IN_WINGS, ids=str)
def test_imports_point_only_downwards_inside_a_wing(file):
    files = ORDER[room_of(file)]
    below = files[: files.index(file.stem)]
    inside = [name for name in ours(file) if name[0] == room_of(file)]
    assert [name for name in inside if len(name) < 2 or name[1] not in below] == []


@pytest.mark.parametrize("file", IN_WINGS, ids=str)
def test_a_file_of_a_wing_takes_no_private_name_of_another(file):
    assert [name for name in ours(file) if name[-1].startswith("_")] == []


def test_only_the_programs_import_the_library_as_a_user_does():
    assert {room_of(file) for file in FILES if "jaxshallow" in imported(file)} <= {"programs"}


@pytest.mark.parametrize(("package", "room"), IN_ONE_PLACE.items())
def test_only_one_room_may_import(package, room):
    importers = {room_of(file) for file in FILES if any(name.startswith(package) for name in imported(file))}
    assert importers <= {room}


@pytest.mark.parametrize("room", CORE)
def test_the_core_needs_jax_numpy_and_chex_alone(room):
    others = {name.split(".")[0] for name in imported(Path(f"{room}.py"))} - {"jaxshallow"}
    assert others - set(sys.stdlib_module_names) <= {"jax", "numpy", "chex"}


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
assert set(jaxshallow.__all__) <= set(dir(jaxshallow))
late = {f"jaxshallow.{wing}" for wing in jaxshallow.ON_FIRST_USE.values()}
assert not late & set(sys.modules), "a wing was imported before its use"
for name in jaxshallow.__all__:
    assert getattr(jaxshallow, name) is not None
assert late <= set(sys.modules)
assert "jaxshallow.exports.standalone" not in sys.modules, "the program that export writes was run"
optional = {"sklearn", "matplotlib", "polars", "safetensors", "rich", "tyro", "orbax", "onnx", "onnxruntime"}
assert not optional & {name.split(".")[0] for name in sys.modules}, optional & set(sys.modules)
assert "jaxshallow.programs" not in sys.modules
"""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("JAX_ENABLE_X64")}
    environment["PYTHONPATH"] = os.pathsep.join([str(HOUSE.parent), environment.get("PYTHONPATH", "")])
    result = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


def test_every_file_is_written_by_the_one_atomic_way():
    """So that a full disk, a crash, a device or a link does everywhere what `store/files.py` promises."""
    writing = re.compile(r"\.write_(text|bytes)\(|\bopen\([^)]*[\"'][wax]b?[\"']")
    found = [
        f"{file}: {line.strip()}"
        for file in FILES
        for line in (HOUSE / file).read_text().splitlines()
        if writing.search(line) and not line.lstrip().startswith((">>>", "..."))
    ]
    assert [where for where in found if "closefd=False" not in where] == [
        "store/files.py: temporary.write_bytes(data)"
    ]  # an exported program writes to stdout
