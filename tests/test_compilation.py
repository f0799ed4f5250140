"""The compilation cache: a second process compiles nothing, and a folder that cannot be is said."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import jaxshallow as js

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
