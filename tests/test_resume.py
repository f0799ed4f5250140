"""Runs that are stopped and go on: in the very bits of those that were not, whatever stopped them."""

import json
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
import optax
import pytest
from cases import assert_close, draw, init

import jaxshallow as js
from jaxshallow.many import chunks, plan, records
from jaxshallow.programs import sweep, train
from jaxshallow.store import checkpoints

KEY = jax.random.key(3)
ADAM, LBFGS = optax.adam(0.05), optax.lbfgs()


pytestmark = pytest.mark.usefixtures("standard_promotion")


def assert_same_bits(got, expected):
    got, expected = got.arrays(), expected.arrays()
    assert list(got) == list(expected)
    for name, array in expected.items():
        assert got[name].dtype == array.dtype
        assert got[name].tobytes() == array.tobytes(), name


# ---- in the library ----


@pytest.mark.parametrize(
    ("dtype", "options"),
    [
        (jax.numpy.bfloat16, {"learning_rate": 0.5, "l2": 0.1}),
        (np.float32, {"optimizer": ADAM, "batch_size": 16, "key": KEY, "patience": 90}),
        (np.float32, {"optimizer": LBFGS}),
    ],
)
def test_a_fit_that_was_stopped_ends_in_the_bits_of_one_that_was_not(little_optimization, dtype, options):
    """211 epochs: the last program has one more than the others."""
    case = draw("tanh", m=50, dtype=dtype)
    validation = {"validation": (case.X, 1 - case.Y)} if "optimizer" in options else {}

    def fit(stop=None, resume=None):
        callback = lambda result: len(result.history.cost) == stop  # noqa: E731
        return js.fit(
            case.params, case.X, case.Y, epochs=211, callback=callback, resume=resume, **options, **validation
        )

    whole, part = fit(), None
    assert 90 < len(whole.history.cost) < 211 if "patience" in options else len(whole.history.cost) == 211
    for stop in (2, 58, 208, None):
        part = fit(stop, part and part.arrays())
    assert_same_bits(part, whole)
    assert_same_bits(fit(resume=whole), whole)


class Odd(NamedTuple):
    """A state with whatever JAX takes for a leaf, or for none."""

    old_key: object = jax.random.PRNGKey(5)
    keys: object = jax.random.split(jax.random.key(6, impl="rbg"), 3)
    count: object = 0
    rate: object = 0.25
    on: object = True
    number: object = np.float64(2)
    short: object = np.zeros(2, jax.numpy.bfloat16)
    rest: object = (None, optax.EmptyState(), optax.MaskedNode(), {"b": [], "a": np.int8(3)})


def odd_update(grads, state, params=None):
    keys = jax.vmap(lambda key: jax.random.split(key)[0])(state.keys)
    old_key, one = jax.random.split(state.old_key)
    noise = jax.random.normal(keys[0]) + jax.random.normal(one)
    state = state._replace(old_key=old_key, keys=keys, count=state.count + 1, on=~state.on, short=state.short + 1)
    return jax.tree.map(lambda g: -state.rate * g + 0.01 * noise, grads), state


def noisy(impl):
    return optax.chain(
        optax.add_noise(0.01, 0.5, key=1),
        optax.MultiSteps(optax.add_noise(0.01, 0.5, key=jax.random.key(2, impl=impl)), 2).gradient_transformation(),
        optax.GradientTransformation(lambda params: Odd(), odd_update),
    )


def test_states_with_random_keys_and_odd_leaves_go_on_in_the_same_bits(little_optimization, tmp_path):
    case, optimizer = draw("tanh", m=20, dtype=np.float32), noisy("unsafe_rbg")

    def fit(epochs, resume=None, optimizer=optimizer):
        return js.fit(case.params, case.X, case.Y, optimizer=optimizer, epochs=epochs, resume=resume)

    whole, part = fit(4), fit(2)
    kinds = {name.rpartition(".")[2] for name in part.arrays()}
    assert {"threefry2x32", "unsafe_rbg", "rbg"} <= kinds
    checkpoints.save_state(tmp_path, part.arrays(), {}, "2 of 4 epochs")
    resumed = fit(4, checkpoints.load_state(tmp_path, {})[0])
    assert_same_bits(resumed, whole)
    dtypes = [[leaf.dtype for leaf in jax.tree.leaves(result.opt_state)] for result in (resumed, whole)]
    assert dtypes[0] == dtypes[1]
    with pytest.raises(ValueError, match=r"rng_key.rbg must be uint32 \(4,\), got nothing"):
        fit(4, part, noisy("rbg"))


def test_many_with_random_keys_in_their_states_go_on_in_the_same_bits(little_optimization):
    case, configs = draw("tanh", m=20, dtype=np.float32), [{**CONFIGS[0], "seed": seed} for seed in (0, 1)]
    noisy_sgd = partial(optax.noisy_sgd, key=1)

    def fit_many(resume=None, callback=None):
        return js.fit_many(
            KEY, case.X, case.Y, configs, epochs=4, optimizer=noisy_sgd, resume=resume, callback=callback
        )

    whole, part = fit_many(callback=lambda now: None), fit_many(callback=lambda now: True)
    assert not part.finished
    assert_same_bits(fit_many(part.arrays()), whole)
    params = init(jax.random.fold_in(KEY, 0), 3, 3, hidden="tanh", scale="glorot")
    alone = js.fit(params, case.X, case.Y, optimizer=noisy_sgd(0.5), epochs=4).params
    assert_close(whole.params(0), alone, "float32")


def test_fit_goes_on_with_nothing_that_is_another_run(little_optimization):
    case = draw("tanh", m=50, dtype=np.float32)
    fit = lambda epochs=6, **options: js.fit(case.params, case.X, case.Y, epochs=epochs, **options)  # noqa: E731
    result = fit(optimizer=ADAM)
    with pytest.raises(ValueError, match=r"form of optimizer: state.opt_state.* must be nothing, got int32 \(\)"):
        fit(resume=result)
    with pytest.raises(ValueError, match=r"history.validation_cost must be float32 \(6,\), got nothing"):
        fit(resume=result, optimizer=ADAM, validation=(case.X, case.Y))
    with pytest.raises(ValueError, match="epochs must be at least the 6 of resume, got 5"):
        fit(5, resume=result, optimizer=ADAM)
    with pytest.raises(ValueError, match=r"same hidden and output, \('relu', 'sigmoid'\), got \('tanh', 'sigmoid'\)"):
        js.fit(replace(case.params, hidden="relu"), case.X, case.Y, epochs=6, resume=result, optimizer=ADAM)
    with pytest.raises(TypeError, match="what fit returned, or the arrays"):
        fit(resume=case.params, optimizer=ADAM)
    assert len(fit(9, resume=result, optimizer=ADAM).history.cost) == 9


CONFIGS = [
    {"n_h": 3, "hidden": "tanh", "learning_rate": 0.5, "scale": "glorot", "seed": 0},
    {"n_h": 17, "hidden": "tanh", "learning_rate": 0.02, "scale": 0.5, "seed": 1},
    {"n_h": 4, "hidden": "tanh", "learning_rate": 0.9, "scale": "he", "seed": 2},
    {"n_h": 2, "hidden": "tanh", "learning_rate": 0.05, "scale": 1.0, "seed": 3},
]
FOLDS = {"folds": 2, "standardize": True, "patience": 3, "batch_size": 16, "optimizer": "adam"}


@pytest.mark.parametrize(("output", "options"), [("sigmoid", FOLDS), ("identity", {"max_memory": 1400})])
def test_many_that_were_stopped_end_in_the_bits_of_those_that_were_not(
    little_optimization, monkeypatch, output, options
):
    """With networks that stop alone, by patience or by diverging, and with groups that have not begun."""
    monkeypatch.setattr(chunks, "OPERATIONS_OF_COMPILING", 0)  # a program for each number of networks
    if output == "identity":
        monkeypatch.setattr(plan, "OPERATIONS_OF_COMPILING", 0)  # and for each width
    case = draw("tanh", output, m=50, dtype=np.float32)
    configs = CONFIGS if output == "sigmoid" else [CONFIGS[0], {**CONFIGS[2], "learning_rate": 1e6}, CONFIGS[3]]

    def fit_many(callback, resume=None):
        return js.fit_many(
            KEY, case.X, case.Y, configs, epochs=40, output=output, callback=callback, resume=resume, **options
        )

    reports = []
    whole, part, stops = fit_many(reports.append), None, 0
    while part is None or not part.finished:
        left = iter([False] * (1 + 5 * stops) + [True])
        part = fit_many(lambda now, left=left: next(left), part and part.arrays())
        stops += not part.finished
    assert_same_bits(part, whole)
    np.testing.assert_array_equal(part.history.cost, whole.history.cost)
    np.testing.assert_array_equal(part.epochs, whole.epochs)
    np.testing.assert_array_equal(part.diverged_at, whole.diverged_at)
    assert stops >= 3
    assert len(part.stacks) == (2 if output == "sigmoid" else 3)
    assert len(set(whole.epochs)) > 2 if "patience" in options else whole.diverged_at[1] > 0
    for k in range(len(whole)):
        for got, expected in zip(*map(jax.tree.leaves, (part.params(k), whole.params(k))), strict=True):
            np.testing.assert_array_equal(got, expected)
    assert_same_bits(reports[-1].many(), whole)


def test_ctrl_c_between_the_records_of_a_block_and_its_state_loses_no_bit(little_optimization, monkeypatch):
    case = draw("tanh", m=50, dtype=np.float32)
    fit_many = lambda resume=None: js.fit_many(  # noqa: E731
        KEY, case.X, case.Y, CONFIGS[::2], epochs=40, callback=lambda now: None, resume=resume
    )
    whole, real, blocks = fit_many(), records.Records.record, []

    def record(run, *arguments):
        goes_on = real(run, *arguments)
        blocks.append(goes_on)
        if len(blocks) == 7:
            raise KeyboardInterrupt
        return goes_on

    monkeypatch.setattr(records.Records, "record", record)
    part = fit_many()
    assert not part.finished
    assert_same_bits(fit_many(part), whole)


def test_many_go_on_with_nothing_that_is_another_run(little_optimization):
    case = draw("tanh", m=50, dtype=np.float32)
    fit_many = lambda configs=CONFIGS[:2], epochs=6, **more: js.fit_many(  # noqa: E731
        KEY, case.X, case.Y, configs, epochs=epochs, **more
    )
    part = fit_many(callback=lambda now: True)
    for change, message in (
        ({"configs": CONFIGS[:3]}, r"diverged_at must be int64 \(3,\), got int64 \(2,\)"),
        ({"epochs": 1}, "of no more epochs"),
        ({"optimizer": "adam"}, r"form of optimizer: state.opt_state.* must be int32 \(2,\), got nothing"),
    ):
        with pytest.raises(ValueError, match=message):
            fit_many(resume=part.arrays(), **change)
    with pytest.raises(ValueError, match="resume must be a run of the same configs and folds"):
        fit_many([{**config, "hidden": "relu"} for config in CONFIGS[:2]], resume=part)
    with pytest.raises(TypeError, match=r"what fit_many returned, or the arrays\(\) of it, got list"):
        fit_many(resume=[part])


# ---- on disk ----

ARRAYS = {
    "state.params.W1": np.arange(12, dtype=jax.numpy.bfloat16).reshape(4, 3),
    "state.opt_state.0.count": np.asarray(7, np.int32),
    "scale": np.asarray(np.nan, np.float64),
    "0.place.alive": np.array([True, False]),
    "1.history.cost": np.random.default_rng(0).normal(size=(50, 40)),
}


def kept(folder, n=2):
    for step in range(n):
        checkpoints.save_state(folder, {**ARRAYS, "step": np.asarray(step)}, {"--n-h": 4}, f"{step} of 9 epochs")


def test_a_state_comes_back_bit_for_bit_and_the_last_three_are_kept(tmp_path, capfd):
    (tmp_path / "mine.json").write_text("{}")
    kept(tmp_path, 5)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == [*(f"00000{n}{end}" for n in (3, 4, 5) for end in ("", ".json")), "mine.json"]
    assert checkpoints.unfinished(tmp_path) == "4 of 9 epochs"
    arrays, passed_over = checkpoints.load_state(tmp_path, {"--n-h": 4})
    assert passed_over == []
    assert arrays.pop("step") == 4
    assert sorted(arrays) == sorted(ARRAYS)
    for name, array in ARRAYS.items():
        assert arrays[name].dtype == array.dtype
        assert arrays[name].shape == array.shape
        assert arrays[name].tobytes() == array.tobytes()
    checkpoints.clear(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.json"]
    assert checkpoints.unfinished(tmp_path) is None
    assert capfd.readouterr() == ("", "")


def truncate(data):
    return data[: len(data) // 2]


def empty(data):
    return b""


def flip(data):
    return data[: len(data) // 2] + bytes([data[len(data) // 2] ^ 4]) + data[len(data) // 2 + 1 :]


@pytest.fixture(scope="module")
def two_states(tmp_path_factory):
    folder = tmp_path_factory.mktemp("states")
    kept(folder)
    return folder


@pytest.mark.parametrize("damage", [truncate, empty, flip])
def test_a_torn_state_is_passed_over_for_the_one_before_it(tmp_path, two_states, damage):
    whole = {path.relative_to(two_states): path.read_bytes() for path in two_states.rglob("*") if path.is_file()}
    files = [path for path, data in whole.items() if path.parts[0].startswith("000002") and data]
    assert len(files) >= 4
    shutil.copytree(two_states, tmp_path, dirs_exist_ok=True)
    for file in files:
        (tmp_path / file).write_bytes(damage(whole[file]))
        arrays, passed_over = checkpoints.load_state(tmp_path, {"--n-h": 4})
        assert arrays["step"] == 0
        (sentence,) = passed_over
        assert re.match("000002 is (torn|of another run): .", sentence)
        (tmp_path / file).write_bytes(whole[file])
    (tmp_path / "000002.json").unlink()  # as if it had been stopped while it was written
    arrays, passed_over = checkpoints.load_state(tmp_path, {"--n-h": 4})
    assert (arrays["step"], passed_over) == (0, [])


def test_states_whose_record_cannot_be_written_push_out_no_complete_one(tmp_path, monkeypatch):
    def full(*_):
        raise OSError("No space left on device")

    kept(tmp_path, 1)
    with monkeypatch.context() as patch:
        patch.setattr(checkpoints, "write_atomically", full)
        for _ in range(checkpoints.KEPT):
            with pytest.raises(OSError, match="No space left"):
                kept(tmp_path, 1)
    arrays, skipped = checkpoints.load_state(tmp_path, {"--n-h": 4})
    assert (arrays["step"], skipped) == (0, [])
    kept(tmp_path, 1)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["000001", "000001.json", "000005", "000005.json"]


def test_a_fingerprint_names_what_differs(tmp_path):
    X = np.zeros((2, 5), np.float32)
    about = checkpoints.fingerprint({"--n-h": 4, "--data": Path("a.csv")}, (X, None))
    assert about["jax"] == jax.__version__
    assert json.loads(json.dumps(about)) == about
    X[1, 2] = 1
    other = checkpoints.fingerprint({"--n-h": 8, "--data": Path("a.csv")}, (X, None))
    assert [name for name in about if about[name] != other[name]] == ["--n-h", "the examples"]
    checkpoints.save_state(tmp_path, ARRAYS, about, "3 of 9 epochs")
    arrays, (sentence,) = checkpoints.load_state(tmp_path, other)
    assert arrays is None
    assert sentence.startswith("000001 is of another run: --n-h was 4, now 8, the examples was ")


# ---- in the programs ----

TRAIN = ["--data", "iris", "--epochs", "300", "--validation", "0.2"]
SWEEP = ["--data", "iris", "--n-h", "2,3", "--seeds", "2", "--epochs", "300", "--validation", "0.2"]


def main(script, out, *options):
    return script.main([*(TRAIN if script is train else SWEEP), *options, "--out", str(out), "--json"])


def said(capsys):
    return " ".join(capsys.readouterr().err.split())


def outcome(script, out):
    """The bits that must not depend on whether the run was stopped."""
    if script is sweep:
        return (out / "sweep.csv").read_bytes(), (out / "sweep.safetensors").read_bytes()
    params = js.load(out / "model.safetensors")
    return [leaf.tobytes() for leaf in map(np.asarray, jax.tree.leaves(params))], json.loads(
        (out / "history.json").read_text()
    )["history"]


@pytest.mark.parametrize(("script", "number"), [(train, signal.SIGINT), (sweep, signal.SIGTERM)])
def test_a_signal_keeps_the_state_and_resume_finishes_the_run(
    little_optimization, capsys, tmp_path, monkeypatch, script, number
):
    whole, out = tmp_path / "whole", tmp_path / "out"
    folder = out / script.FOLDER
    assert main(script, whole) == 0
    reports, real = [], script.Keeper.keep_if_due

    def signalling(keeper, *arguments):
        reports.append(keeper)
        if len(reports) == 20:
            signal.raise_signal(number)
        real(keeper, *arguments)

    monkeypatch.setattr(script.Keeper, "keep_if_due", signalling)
    handlers = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)]
    assert main(script, out) == 128 + number
    assert "--resume goes on with it" in said(capsys)
    assert [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)] == handlers

    assert main(script, out) == 2
    progress = "60 of 300 epochs" if script is train else r"[\d,]+ of 1,200 epochs"
    sentence = f"holds an unfinished run, {progress}: --resume goes on with it; delete the folder to begin anew"
    assert re.search(sentence, said(capsys))
    assert main(script, out, "--resume", "--hidden", "relu", "--l2", "0.1") == 2
    text = said(capsys)
    assert "000001 is of another run: --hidden was tanh, now relu, --l2 was 0" in text
    assert "holds no state of this run that is whole" in text
    assert folder.is_dir()

    shutil.copytree(folder / "000001", folder / "000002")
    (folder / "000002.json").write_bytes((folder / "000001.json").read_bytes())
    torn = max(
        (path for path in (folder / "000002").rglob("*") if path.is_file()), key=lambda path: path.stat().st_size
    )
    torn.write_bytes(b"")
    assert main(script, out, "--resume") == 0
    assert "000002 is torn" in said(capsys)
    assert not folder.exists()
    assert outcome(script, out) == outcome(script, whole)

    assert main(script, out, "--resume") == 2
    assert "holds no state to go on from" in said(capsys)
    assert outcome(script, out) == outcome(script, whole)


def test_ctrl_c_while_the_best_of_a_finished_sweep_is_trained_again_keeps_its_state(
    little_optimization, capsys, tmp_path, monkeypatch
):
    real = js.fit_many

    def fit_many(*arguments, folds=None, **settings):
        many = real(*arguments, folds=folds, **settings)
        return many if folds else replace(many, finished=False)  # as Ctrl-C leaves it

    monkeypatch.setattr(js, "fit_many", fit_many)
    options = ["--data", "iris", "--n-h", "2", "--folds", "2", "--epochs", "9", "--out", str(tmp_path)]
    assert sweep.main([*options, "--checkpoint-every", "1e-9"]) == 130
    assert "interrupted: nothing was written; --resume goes on with it" in said(capsys)
    assert (tmp_path / sweep.FOLDER).is_dir()


def test_a_state_that_cannot_be_kept_does_not_end_the_training(capsys, tmp_path):
    (tmp_path / train.FOLDER).touch()
    assert main(train, tmp_path, "--checkpoint-every", "1e-9") == 0
    assert "no state was kept in" in said(capsys)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--checkpoint-every", "-1"], "--checkpoint-every must be at least 0 seconds, got -1"),
        (["--resume", "--course"], "--resume goes on with a training of your own"),
    ],
)
def test_wrong_options_are_named(capsys, tmp_path, options, message):
    assert main(train, tmp_path, *options) == 2
    assert message in said(capsys)


def test_without_orbax_a_sentence_says_what_to_install(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoints.importlib.util, "find_spec", lambda name: None)
    assert main(train, tmp_path) == 2
    assert "orbax-checkpoint is missing: pip install 'jaxshallow[scripts]'" in said(capsys)


LONG = {
    train: ["--data", "digits", "--n-h", "64", "--optimizer", "adam", "--batch-size", "200", "--epochs", "600"],
    sweep: ["--data", "iris", "--n-h", "2,8", "--seeds", "30", "--epochs", "2500"],
}  # fmt: skip


@pytest.mark.parametrize("script", [train, sweep])
def test_a_run_that_is_killed_at_a_random_moment_ends_in_the_same_bits(tmp_path, monkeypatch, script):
    """In fresh processes, with a device for each core where the program has one."""
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path / "compiled"))
    monkeypatch.setenv("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")

    def begin(out, *options):
        launcher = Path(__file__).parents[1] / "scripts" / Path(script.__file__).name
        command = [sys.executable, launcher, *LONG[script], "--out", tmp_path / out, *options]
        return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)

    def states():
        return {path.name for path in (tmp_path / "killed" / script.FOLDER).glob("*.json")}

    killed = begin("killed", "--checkpoint-every", "0.05")
    while killed.poll() is None and not states():
        time.sleep(0.01)
    time.sleep(random.Random(script.__name__).uniform(0, 0.2))
    assert killed.poll() is None
    killed.kill()
    killed.communicate()
    assert states()
    # These find what the killed run has compiled.
    for process in (begin("whole", "--checkpoint-every", "0"), begin("killed", "--resume")):
        _, errors = process.communicate()
        assert process.returncode == 0, errors
    assert not states()
    assert outcome(script, tmp_path / "killed") == outcome(script, tmp_path / "whole")
