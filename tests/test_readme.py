"""The README's Python runs as it stands, and what it says of the equations is what the source says."""

import re
from pathlib import Path

import jax
import pytest

import jaxshallow as js
from jaxshallow import backprop
from jaxshallow.programs import train

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


@pytest.mark.parametrize("block", range(len(BLOCKS)))
def test_the_python_of_the_readme_runs(block, request, capsys, tmp_path, monkeypatch, certify_only):
    if "js.fit_many(" not in BLOCKS[block]:  # a long run
        request.getfixturevalue("little_optimization")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "out").mkdir()
    (tmp_path / "docs").symlink_to(ROOT / "docs")
    if "out/model.safetensors" in BLOCKS[block]:  # which the command above it has written
        assert train.main(["--data", "iris", "--epochs", "200"]) == 0
    certify = js.certify  # in part: all executions and precisions are another test's, and compile for half a minute
    certify_only(lambda execution: execution.name == "matrix")
    monkeypatch.setattr(js, "certify", lambda *arguments: certify(*arguments, precisions=("highest",)))
    promotes = jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow")  # as users have it
    with promotes[0], promotes[1], jax.default_matmul_precision("highest"):
        capsys.readouterr()
        exec(BLOCKS[block], {})
    assert capsys.readouterr().out


def test_the_equations_of_the_readme_are_those_of_the_source():
    (equations,) = re.findall(r"```text\n(dZ2.*?)```", README, re.DOTALL)
    source = Path(backprop.__file__).read_text()
    lines = equations.splitlines()
    assert len(lines) == 6
    assert "\n".join(f"    {line}" for line in lines) in source


def test_the_readme_names_nothing_that_is_not_there():
    for path in re.findall(r"\]\((docs/[^)]*)\)", README) + re.findall(r"`(\w+\.py)`", README):
        assert (ROOT / path).exists() or (ROOT / "jaxshallow" / path).exists(), path
