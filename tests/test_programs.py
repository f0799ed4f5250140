"""The command `jaxshallow` and the launchers in scripts/: one program each, by either way, and only when asked for."""

import importlib
import json
import os
import runpy
import subprocess
import sys
from pathlib import Path

import jax
import pytest

import jaxshallow as js
from jaxshallow.programs import cli
from jaxshallow.store.files import version

ROOT = Path(__file__).parents[1]


pytestmark = pytest.mark.usefixtures("standard_promotion", "little_optimization")


@pytest.fixture
def start(capsys, monkeypatch):
    """Starts a program by the command or by its launcher: the exit code, what was printed, and what was said."""
    monkeypatch.setattr(cli, "prepare", lambda program: None)  # whose settings are for a process of its own

    def start(how, *words):
        words = list(map(str, words))
        if how == "launcher":
            path = f"scripts/{words.pop(0)}.py"
            monkeypatch.setattr(sys, "argv", [path, *words])
            begin = lambda: runpy.run_path(str(ROOT / path), run_name="__main__")  # noqa: E731
        else:
            monkeypatch.setattr(sys, "argv", ["/usr/bin/jaxshallow", *words])
            begin = lambda: sys.exit(cli.main())  # noqa: E731
        with pytest.raises(SystemExit) as stop:
            begin()
        printed = capsys.readouterr()
        return stop.value.code, printed.out, printed.err

    return start


def in_a_new_process(text):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    return subprocess.run([sys.executable, "-c", text], env=environment, capture_output=True, text=True)


def test_each_program_has_its_launcher_and_its_line():
    launchers = {path.stem for path in (ROOT / "scripts").glob("*.py") if "programs.cli" in path.read_text()}
    assert launchers == set(cli.PROGRAMS)
    for name, line in cli.PROGRAMS.items():
        module = importlib.import_module(f"jaxshallow.programs.{name}")
        assert module.__doc__.startswith(line.removesuffix("."))


def test_the_command_knows_its_version(start):
    assert start("command", "--version") == (0, f"jaxshallow {version()}\n", "")


def test_the_command_and_the_launcher_train_the_same_network(start, tmp_path):
    found = []
    for how in ("command", "launcher"):
        out = tmp_path / how
        code, printed, _ = start(how, "train", "--data", "moons", "--epochs", 20, "--n-h", 8, "--out", out, "--json")
        results = {name: value for name, value in json.loads(printed).items() if not name.endswith("_seconds")}
        assert results.pop("files")
        found.append((code, results, (out / "model.safetensors").read_bytes()))
    assert found[0] == found[1]
    assert found[0][0] == 0


@pytest.mark.parametrize("program", cli.PROGRAMS)
def test_help_is_the_same_and_names_the_command_that_was_typed(start, program):
    code, by_launcher, _ = start("launcher", program, "--help")
    assert code == 0
    assert f"\n    python scripts/{program}.py " in by_launcher
    code, by_command, _ = start("command", program, "--help")
    assert code == 0
    assert by_command.startswith(f"usage: jaxshallow {program} [-h]")
    _, rest = by_launcher.replace(f"python scripts/{program}.py", f"jaxshallow {program}").split("\n", 1)
    assert by_command.split("\n", 1)[1] == rest


def test_wrong_options_exit_with_2_either_way(start):
    for how in ("command", "launcher"):
        code, printed, errors = start(how, "train", "--optimizer", "newton")
        assert (code, printed) == (2, "")
        assert "invalid choice 'newton'" in errors
        code, printed, errors = start(how, "predict", "nowhere.safetensors", "nowhere.csv")
        assert (code, printed) == (2, "")
        assert "there is no file nowhere.csv" in errors


def test_a_report_shows_the_command_that_was_typed(start, tmp_path):
    options = ["--data", "moons", "--epochs", "2", "--report", "--out", tmp_path]
    for how, words in (("command", "jaxshallow train"), ("launcher", "python scripts/train.py")):
        assert start(how, "train", *options)[0] == 0
        assert f"{words} --data moons --epochs 2 --out {tmp_path} --report" in (tmp_path / "report.html").read_text()


def test_help_lists_the_programs(start):
    code, printed, errors = start("command", "--help")
    assert (code, errors) == (0, "")
    assert printed.startswith("usage: jaxshallow [-h] {train,sweep,predict,export,compare}")
    text = " ".join(printed.replace("│", " ").split())
    assert all(f"{name} {line}" in text for name, line in cli.PROGRAMS.items())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nonsense"], "Unrecognized options: nonsense"),
        (["trian", "--help"], "Unrecognized options: trian"),
        (["--n-h", "8"], "Unrecognized options: --n-h"),
        ([], "Missing subcommand"),
    ],
)
def test_what_names_no_program_exits_with_2_and_says_which_there_are(start, words, message):
    code, printed, errors = start("command", *words)
    assert (code, printed) == (2, "")
    assert message in errors
    assert "train, sweep, predict, export, compare" in errors


def test_a_program_is_imported_only_when_it_is_asked_for():
    done = in_a_new_process("""
import contextlib, sys
import jaxshallow
assert not any(name.startswith("jaxshallow.programs") for name in sys.modules)
from jaxshallow.programs import cli
def imported():
    return [name for name in cli.PROGRAMS if f"jaxshallow.programs.{name}" in sys.modules]
for words, programs in (["--help"], []), (["train", "--help"], ["train"]), (["export", "--help"], ["train", "export"]):
    with contextlib.suppress(SystemExit):
        cli.main(words)
    assert imported() == programs
""")
    assert done.returncode == 0, done.stderr


def test_without_the_extra_one_line_says_what_to_install():
    done = in_a_new_process("""
import sys
sys.modules.update(tyro=None, rich=None, polars=None)
from jaxshallow.programs import cli
cli.prepare = None
assert [cli.main(words) for words in ([], ["--help"], *([name] for name in cli.PROGRAMS))] == [1] * 7
""")
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    lines = done.stderr.splitlines()
    assert len(lines) == 7
    assert all(line.endswith(": pip install 'jaxshallow[scripts]'") for line in lines)


def test_a_sweep_has_a_device_for_each_core_unless_told_otherwise(monkeypatch):
    settings = []
    monkeypatch.setattr(js, "enable_compilation_cache", lambda: settings.append("cache"))
    monkeypatch.setattr(jax.config, "update", lambda *setting: settings.append(setting))
    monkeypatch.delenv("JAX_NUM_CPU_DEVICES", raising=False)
    cli.prepare("train")
    cli.prepare("sweep")
    monkeypatch.setenv("JAX_NUM_CPU_DEVICES", "1")
    cli.prepare("sweep")
    assert settings == ["cache", "cache", ("jax_num_cpu_devices", os.cpu_count()), "cache"]
