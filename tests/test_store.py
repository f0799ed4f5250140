import errno
import json
import os
import pickle
import signal
import socket
import stat
import subprocess
import sys
import tracemalloc

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy
from cases import draw

import jaxshallow as js
from jaxshallow import store
from jaxshallow.estimators import ShallowClassifier, ShallowRegressor
from jaxshallow.store import files, load, read_metadata, save
from jaxshallow.store.files import replacing, write_atomically

LEAVES = ("W1", "b1", "W2", "b2")


def network(dtype=jnp.float32, **options):
    """JAX arrays, every entry non-zero, biases too."""
    return jax.tree.map(jnp.asarray, draw(dtype=dtype, **{"output": "softmax", "n_y": 2, **options}).params)


def bits(params):
    return [(leaf.shape, leaf.dtype, leaf.tobytes()) for leaf in map(np.asarray, jax.tree.leaves(params))]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.safetensors"


UNCHECKED = pytest.mark.filterwarnings("ignore:.* has no checksum")


@pytest.fixture
def tampered(path):
    """Writes a model whose header or arrays were changed by hand, without a checksum, as earlier versions wrote it."""

    def write(header=None, **arrays):
        save(path, network())
        file = path.read_bytes()
        leaves = {**safetensors.numpy.load(file), **arrays}
        size = int.from_bytes(file[:8], "little")
        text = json.loads(json.loads(file[8 : 8 + size])["__metadata__"]["jaxshallow"])
        text = {k: v for k, v in {**text, "checksum": None, **(header or {})}.items() if v is not None}
        leaves = {name: leaf for name, leaf in leaves.items() if leaf is not None}
        path.write_bytes(safetensors.numpy.save(leaves, metadata={"jaxshallow": json.dumps(text)}))
        return path

    return write


# ---- the round trip ----


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_every_dtype_comes_back_bit_for_bit(path, dtype):
    with jax.enable_x64(True):
        params = network(jnp.dtype(dtype))
        save(path, params)
        loaded = load(path)
        assert bits(loaded) == bits(params)
        assert {leaf.dtype for leaf in jax.tree.leaves(loaded)} == {jnp.dtype(dtype)}
        assert all(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(loaded))


def test_extreme_numbers_come_back_bit_for_bit(path):
    tiny, largest = np.finfo(np.float32).smallest_subnormal, np.finfo(np.float32).max
    params = js.Params(jnp.array([[-0.0, tiny]]), jnp.array([[largest]]), jnp.array([[-tiny]]), jnp.array([[-largest]]))
    save(path, params)
    assert bits(load(path)) == bits(params)


@pytest.mark.parametrize("output", ["sigmoid", "softmax", "identity"])
@pytest.mark.parametrize("hidden", ["sigmoid", "tanh", "relu", "leaky_relu", "identity"])
def test_the_nonlinearities_come_back_and_so_the_predictions(path, hidden, output):
    params = network(hidden=hidden, output=output)
    save(path, params)
    loaded = load(path)
    assert (loaded.hidden, loaded.output) == (hidden, output)
    X = jnp.array(np.random.default_rng(1).standard_normal((3, 5)), jnp.float32)
    np.testing.assert_array_equal(js.forward(loaded, X).A2, js.forward(params, X).A2)


def test_arrays_laid_out_by_columns_are_saved_by_rows(path):
    params = network()
    by_columns = js.Params(**{name: np.asfortranarray(getattr(params, name)) for name in LEAVES}, hidden="tanh")
    save(path, by_columns)
    np.testing.assert_array_equal(load(path).W1, params.W1)


def test_the_same_model_is_the_same_file(path, tmp_path):
    save(path, network(), {"a": 1, "b": 2})
    save(tmp_path / "again", network(), {"a": 1, "b": 2})
    assert path.read_bytes() == (tmp_path / "again").read_bytes()


def test_other_programs_can_read_the_arrays(path):
    save(path, network())
    arrays = safetensors.numpy.load_file(path)
    assert set(arrays) == set(LEAVES)
    np.testing.assert_array_equal(arrays["W1"], network().W1)


def test_metadata_comes_back(path):
    metadata = {"features": ["x1", "å\n"], "mean": [0.1, 1e-300], "nested": {"epochs": 3, "ok": None}}
    save(path, network(), metadata)
    assert read_metadata(path) == metadata
    save(path, network())
    assert read_metadata(path) == {}


def test_an_activation_listed_by_the_user_is_saved_by_its_name(path, monkeypatch):
    monkeypatch.setitem(js.activations.HIDDEN, "sine", js.Activation(jnp.sin, jnp.cos))
    save(path, network(hidden="sine"))
    assert load(path).hidden == "sine"
    monkeypatch.delitem(js.activations.HIDDEN, "sine")
    with pytest.raises(ValueError, match=r"model\.safetensors .*hidden must be one of .* got 'sine'"):
        load(path)


# ---- what is not saved ----


@pytest.mark.parametrize("hidden", [jnp.sin, js.Activation(jnp.sin, jnp.cos)])
def test_an_activation_without_a_name_is_not_saved(path, hidden):
    with pytest.raises(ValueError, match="hidden must be a name to be saved"):
        save(path, network(hidden=hidden))
    assert not path.exists()


@pytest.mark.parametrize("name", LEAVES)
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_network_that_diverged_is_not_saved(path, name, value):
    params = network()
    broken = getattr(params, name).at[0, 0].set(value)
    with pytest.raises(ValueError, match=rf"{name} must be finite, got {value} at \(0, 0\) \(1 in all\)"):
        save(path, js.Params(**{n: getattr(params, n) for n in LEAVES if n != name}, **{name: broken}))
    assert not path.exists()


def test_leaves_that_do_not_fit_are_not_saved(path):
    with pytest.raises(ValueError, match=r"b1 must be \(n_h, 1\) = \(4, 1\), got \(4,\)"):
        save(path, js.Params(jnp.ones((4, 3)), jnp.ones(4), jnp.ones((1, 4)), jnp.ones((1, 1))))
    with pytest.raises(TypeError, match="W1 must be float16, bfloat16, float32 or float64, got float8_e4m3fn"):
        save(path, jax.tree.map(lambda leaf: leaf.astype(jnp.float8_e4m3fn), network()))
    assert not path.exists()


@pytest.mark.parametrize("metadata", [{"mean": np.ones(2)}, {"a": np.nan}, {(1, 2): 3}, ["a list"], "text"])
def test_metadata_that_json_cannot_say_is_not_saved(path, metadata):
    with pytest.raises(TypeError, match="metadata must be"):
        save(path, network(), metadata)
    assert not path.exists()


# ---- what is not loaded ----


def test_truncated_model_is_refused_by_name(path):
    save(path, network(), {"trained_on": "flower"})
    file = path.read_bytes()
    for size in range(len(file)):
        path.write_bytes(file[:size])
        with pytest.raises(ValueError, match=r"model\.safetensors is truncated or not a safetensors file"):
            load(path)


def test_a_model_with_bytes_after_its_end_is_refused(path):
    save(path, network())
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(ValueError, match=r"model\.safetensors is truncated or not a safetensors file"):
        load(path)


@UNCHECKED  # a damaged name of the checksum leaves a file without one
def test_a_damaged_model_is_refused_by_name_or_the_same(path):
    params, metadata = network(), {"trained_on": "flower", "columns": [{"name": "a", "fill": [1.5]}]}
    save(path, params, metadata)
    file, rng, loaded = path.read_bytes(), np.random.default_rng(0), 0
    header = 8 + int.from_bytes(file[:8], "little")
    flips = [[(i, 1 << int(rng.integers(8)))] for i in range(0, header, 2)]  # in the header
    flips += [[(int(i), int(x)) for i, x in rng.integers(1, (len(file), 256), (3, 2))] for _ in range(300)]  # anywhere
    for flip in flips:
        damaged = bytearray(file)
        for i, bits_to_flip in flip:
            damaged[i] ^= bits_to_flip
        path.write_bytes(damaged)
        try:
            found, about, _ = store.load_all(path)
        except ValueError as refusal:
            assert str(path) in str(refusal), flip  # noqa: PT017
            continue
        loaded += 1
        assert bits(found) == bits(params), flip
        assert (found.hidden, found.output, about) == (params.hidden, params.output, metadata), flip
    assert loaded < len(flips) / 20  # spaces, and the name of the checksum


def test_every_single_change_of_the_weights_is_found(path):
    save(path, network())
    file = path.read_bytes()
    for i in range(8 + int.from_bytes(file[:8], "little"), len(file)):
        path.write_bytes(file[:i] + bytes([file[i] ^ 1]) + file[i + 1 :])
        with pytest.raises(ValueError, match=r"model\.safetensors is not as it was written, by its checksum"):
            load(path)


def test_a_model_of_an_earlier_version_loads_with_a_remark_whose_way_out_works(tampered, path):
    tampered()
    for read in (load, read_metadata):
        with pytest.warns(UserWarning, match=r"model\.safetensors has no checksum.*save it again") as said:
            read(path)
        assert said[0].filename == __file__
    with pytest.warns(UserWarning, match="no checksum"):
        save(path, js.load(path), js.read_metadata(path))
    assert bits(load(path)) == bits(network())


@UNCHECKED
@pytest.mark.parametrize(
    "header",
    [{"metadata": [1]}, {"metadata": "text"}, {"format": "1"}, {"format": [1]}, {"version": 3}, {"metadata": 7}],
)
def test_a_header_of_other_kinds_is_refused_by_name(tampered, path, header):
    tampered(header)
    for read in (load, read_metadata):
        with pytest.raises(ValueError, match=r"model\.safetensors is a safetensors file, but not one that jaxshallow"):
            read(path)


def test_places_of_arrays_that_are_no_places_are_refused_by_name(path):
    save(path, network())
    file = path.read_bytes()
    size = int.from_bytes(file[:8], "little")
    for places in ([], [0], "", "ab", None, {}, [0, "48"], [0, None]):
        start = json.loads(file[8 : 8 + size])
        start["b1"]["data_offsets"] = places
        text = json.dumps(start).encode()
        path.write_bytes(len(text).to_bytes(8, "little") + text + file[8 + size :])
        with pytest.raises(ValueError, match=r"model\.safetensors is truncated or not a safetensors file"):
            load(path)


def test_brackets_without_end_are_refused_by_name(path):
    deep = "[" * 100_000
    path.write_bytes(len(deep).to_bytes(8, "little") + deep.encode())
    with pytest.raises(ValueError, match=r"model\.safetensors is truncated or not a safetensors file"):
        load(path)
    path.write_bytes(safetensors.numpy.save({}, metadata={"jaxshallow": deep}))
    with pytest.raises(ValueError, match=r"model\.safetensors is a safetensors file, but not one that jaxshallow"):
        load(path)
    nested = []
    for _ in range(100_000):
        nested = [nested]
    with pytest.raises(TypeError, match="metadata must be JSON-serializable"):
        save(path, network(), {"deep": nested})


def test_three_gigabytes_that_are_no_model_are_refused_unread(path, monkeypatch):
    header = b'{"a":{"dtype":"U8","shape":[3221225472],"data_offsets":[0,3221225472]}}'
    for start, message in (
        (b"", "is truncated or not a safetensors file"),
        ((2**31).to_bytes(8, "little"), "is truncated or not a safetensors file"),
        (len(header).to_bytes(8, "little") + header, "is a safetensors file, but not one that"),
    ):
        path.write_bytes(start)
        with open(path, "r+b") as file:
            file.truncate(len(start) + 3 * 2**30)  # a hole: no disk is used
        tracemalloc.start()
        with pytest.raises(ValueError, match=message):
            load(path)
        assert tracemalloc.get_traced_memory()[1] < 2**20
        tracemalloc.stop()


def test_what_is_no_file_is_neither_read_nor_replaced(path, tmp_path, monkeypatch):
    os.mkfifo(path)  # a reader of it would wait for ever
    with socket.socket(socket.AF_UNIX) as listening:
        monkeypatch.chdir(tmp_path)
        listening.bind("socket")
    (tmp_path / "link").symlink_to(path)
    for special, kind in ((path, "a pipe"), (tmp_path / "socket", "a socket"), (tmp_path / "link", "a pipe")):
        before = special.lstat()
        for read in (load, read_metadata):
            with pytest.raises(ValueError, match=f"{special.name} is {kind}, not a model"):
                read(special)
        with pytest.raises(OSError, match=f"is {kind}: write to a file, and copy that: '.*{special.name}'"):
            save(special, network())
        assert special.lstat() == before
    assert sorted(os.listdir(tmp_path)) == ["link", "model.safetensors", "socket"]


def test_a_device_is_never_replaced(path, monkeypatch):
    path.write_bytes(b"stands for a device")
    real, device = os.stat, os.stat_result((stat.S_IFCHR | 0o666, *path.stat()[1:]))
    monkeypatch.setattr(os, "stat", lambda p, **k: device if os.fspath(p) == os.fspath(path) else real(p, **k))
    with pytest.raises(OSError, match="is a device: write to a file, and copy that"):
        save(path, network())
    with pytest.raises(ValueError, match="is a device, not a model"):
        load(path)
    assert path.read_bytes() == b"stands for a device"
    assert os.listdir(path.parent) == [path.name]


@pytest.mark.parametrize(
    "contents", [b"", b"PK\x03\x04" * 50, pickle.dumps({"W1": 1}), b"\xff" * 100, bytes(100), b'{"W1": [1, 2]}']
)
def test_a_foreign_file_is_refused_by_name_and_never_unpickled(path, contents):
    path.write_bytes(contents)
    for read in (load, read_metadata):
        with pytest.raises(ValueError, match=r"model\.safetensors is truncated or not a safetensors file"):
            read(path)


@pytest.mark.parametrize("metadata", [None, {"format": "pt"}, {"jaxshallow": "no json"}, {"jaxshallow": "[1]"}])
def test_another_programs_safetensors_file_is_refused(path, metadata):
    path.write_bytes(safetensors.numpy.save({"W1": np.ones((2, 2), np.float32)}, metadata=metadata))
    for read in (load, read_metadata):
        with pytest.raises(ValueError, match=r"model\.safetensors is a safetensors file, but not one that jaxshallow"):
            read(path)


@UNCHECKED
@pytest.mark.parametrize("key", ["format", "version", "hidden", "output", "metadata"])
def test_a_header_that_lacks_an_entry_is_refused(tampered, key):
    with pytest.raises(ValueError, match=r"not one that jaxshallow\.save wrote"):
        load(tampered({key: None}))


def test_a_later_format_asks_for_an_upgrade(tampered):
    with pytest.raises(ValueError, match=r"model\.safetensors is of format 4, from jaxshallow 9\.0; .* upgrade"):
        load(tampered({"format": 4, "version": "9.0"}))


@UNCHECKED
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"b1": np.ones(4, np.float32)}, r"b1 must be \(n_h, 1\) = \(4, 1\), got \(4,\)"),
        ({"W2": np.ones((2, 5), np.float32)}, r"W2 must be \(n_y, n_h\) = \(2, 4\), got \(2, 5\)"),
        ({"b2": np.ones((2, 1), np.float16)}, "b2 must be float32 as W1 is, got float16"),
        ({"W1": np.ones((4, 3), np.int32)}, "W1 must be one of F16, BF16, F32, F64, got I32"),
        ({"W1": np.full((4, 3), np.nan, np.float32)}, r"W1 must be finite, got nan at \(0, 0\) \(12 in all\)"),
        ({"b2": None}, "its arrays must be W1, b1, W2, b2, got W1, W2, b1"),
        ({"W3": np.ones((1, 1), np.float32)}, "its arrays must be W1, b1, W2, b2, got W1, W2, W3, b1, b2"),
        ({"header": {"hidden": "sine"}}, "hidden must be one of .* got 'sine'"),
        ({"header": {"hidden": 3}}, "hidden must be a name"),
        ({"header": {"output": "tanh"}}, "output must be one of .* got 'tanh'"),
        ({"header": {"output": ["sigmoid"]}}, "list"),
    ],
)
def test_arrays_and_names_that_do_not_fit_are_refused_by_name(tampered, change, message):
    with pytest.raises(ValueError, match=r"model\.safetensors does not hold a network: .*" + message):
        load(tampered(**change))


def test_float64_is_never_narrowed_on_loading(path):
    with jax.enable_x64(True):
        save(path, network(np.float64))
    with jax.enable_x64(False), pytest.raises(ValueError, match=r"W1 is float64: first jax\.config\.update"):
        load(path)


def test_a_missing_file_is_file_not_found(path):
    for read in (load, read_metadata):
        with pytest.raises(FileNotFoundError, match=r"model\.safetensors"):
            read(path)


def test_missing_safetensors_is_named_with_its_command(path, monkeypatch):
    save(path, network())
    monkeypatch.setitem(sys.modules, "safetensors", None)
    monkeypatch.setitem(sys.modules, "safetensors.numpy", None)
    for call in (lambda: save(path, network()), lambda: load(path), lambda: read_metadata(path)):
        with pytest.raises(ImportError, match=r"pip install 'jaxshallow\[scripts\]'"):
            call()


# ---- writing whole or not at all ----


def no_space(*args, **kwargs):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("failing", ["fsync", "replace"])
def test_a_full_disk_keeps_the_old_model_and_leaves_nothing_behind(path, monkeypatch, failing):
    save(path, network())
    old = path.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(os, failing, no_space)
        with pytest.raises(OSError, match="No space left"):
            save(path, network(n_h=9))
    assert path.read_bytes() == old
    assert os.listdir(path.parent) == [path.name]
    save(path, network(n_h=9))
    assert load(path).W1.shape == (9, 3)


def test_a_write_that_stops_part_way_keeps_the_old_model_and_leaves_nothing_behind(path):
    resource = pytest.importorskip("resource")
    save(path, network())
    old, limits = path.read_bytes(), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
    try:
        with pytest.raises(OSError, match="too large"):
            save(path, network(n_h=9999))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == old
    assert os.listdir(path.parent) == [path.name]


def test_a_program_killed_before_the_replacement_keeps_the_old_model(path):
    save(path, network())
    old = path.read_bytes()
    code = (
        "import os, runpy, signal, sys; write = runpy.run_path(sys.argv[1])['write_atomically']; "  # without JAX: fast
        "os.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL); write(sys.argv[2], bytes(99))"
    )
    killed = subprocess.run([sys.executable, "-c", code, files.__file__, path], timeout=120, check=False)
    assert killed.returncode == -9
    assert path.read_bytes() == old
    assert bits(load(path)) == bits(network())
    save(path, network(n_h=9))  # what the killed program left does not stand in the way
    assert load(path).W1.shape == (9, 3)


def test_the_data_is_on_disk_before_it_is_named_and_the_name_after(path, monkeypatch):
    done, fsync, replace = [], os.fsync, os.replace

    def noted_fsync(descriptor):
        done.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        fsync(descriptor)

    def noted_replace(source, target):
        assert os.path.getsize(source) == 3
        assert os.path.dirname(source) == os.path.dirname(target)
        done.append("replace")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(os, "replace", noted_replace)
    write_atomically(path, b"abc")
    assert done == ["file", "replace", "folder"]
    assert path.read_bytes() == b"abc"


def test_an_interrupt_leaves_nothing_behind(path, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_atomically(path, b"abc")
    assert os.listdir(path.parent) == []


def test_a_link_is_followed_and_stays_a_link(path, tmp_path):
    save(path, network())
    link = tmp_path / "latest"
    link.symlink_to(path)
    save(link, network(n_h=9))
    assert link.is_symlink()
    assert load(path).W1.shape == (9, 3)


def test_a_new_file_has_the_usual_permissions(path, tmp_path):
    write_atomically(path, b"abc")
    (tmp_path / "usual").write_bytes(b"abc")
    assert path.stat().st_mode == (tmp_path / "usual").stat().st_mode


def test_a_file_keeps_its_permissions_and_its_owner(path):
    for mode in (0o600, 0o640, 0o666):
        write_atomically(path, b"old")
        path.chmod(mode)
        if os.geteuid() == 0:
            os.chown(path, 12345, 54321)
        before = path.stat()
        with replacing(path) as temporary:
            assert temporary.stat().st_mode & 0o077 == 0  # nobody else looks into what was private
            temporary.write_bytes(b"new")
        after = path.stat()
        assert (after.st_mode, after.st_uid, after.st_gid) == (before.st_mode, before.st_uid, before.st_gid)
        assert path.read_bytes() == b"new"


def test_the_other_names_of_a_hard_link_keep_the_old_contents(path, tmp_path):
    write_atomically(path, b"old")
    os.link(path, tmp_path / "backup")
    write_atomically(path, b"new")
    assert (path.read_bytes(), (tmp_path / "backup").read_bytes()) == (b"new", b"old")


def test_a_read_only_file_is_not_replaced(path, monkeypatch):
    write_atomically(path, b"old")
    path.chmod(0o400)
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write anything
    with pytest.raises(PermissionError, match="is read-only: '"):
        save(path, network())
    assert path.read_bytes() == b"old"


def test_a_link_to_nothing_yet_is_written_through(path, tmp_path):
    link = tmp_path / "latest"
    link.symlink_to(path)
    write_atomically(link, b"abc")
    assert link.is_symlink()
    assert path.read_bytes() == b"abc"


def test_what_killed_writers_left_is_deleted_and_what_running_ones_write_is_not(path):
    code = (
        "import runpy, sys; replacing = runpy.run_path(sys.argv[1])['replacing']\n"  # without JAX, in no time
        "with replacing(sys.argv[2]): print('writing', flush=True); sys.stdin.read()"
    )
    pipes, program = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}, [sys.executable, "-c", code]
    killed, running = (subprocess.Popen([*program, files.__file__, path], **pipes) for _ in range(2))
    with killed, running:
        assert (killed.stdout.readline(), running.stdout.readline()) == (b"writing\n", b"writing\n")
        other = path.with_name(".model.safetensors.notes.tmp")
        other.write_bytes(b"somebody else's")
        assert len(os.listdir(path.parent)) == 3
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        write_atomically(path, b"abc")
        assert len(os.listdir(path.parent)) == 3  # the file, the other, and what the running one writes
        with replacing(path) as mine:
            write_atomically(path, b"def")  # while this process writes, too
            mine.write_bytes(b"ghi")
        assert path.read_bytes() == b"ghi"
        running.communicate()
    assert running.returncode == 0
    assert sorted(os.listdir(path.parent)) == sorted([path.name, other.name])
    assert path.read_bytes() == b""


def test_a_file_may_have_the_longest_name(tmp_path):
    name = "å" * 120 + ".txt"  # 244 bytes
    write_atomically(tmp_path / name, b"abc")
    assert os.listdir(tmp_path) == [name]


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device", "whatever"),
        RuntimeError("parquet: File out of specification: underlying IO error: No space left on device (os error 28)"),
        OSError("No space left on device (os error 28)"),
    ],
)
def test_a_full_disk_is_called_so_whoever_notices_it(path, error):
    path.write_bytes(b"old")
    with pytest.raises(OSError, match="No space left on device, while writing: '") as said, replacing(path):
        raise error
    assert said.value.errno == errno.ENOSPC
    assert path.read_bytes() == b"old"
    assert os.listdir(path.parent) == [path.name]


def test_a_missing_folder_and_a_folder_in_the_way_are_told(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"there is no folder .*models: make it first"):
        save(tmp_path / "models" / "m.safetensors", network())
    (tmp_path / "taken").mkdir()
    with pytest.raises(IsADirectoryError):
        save(tmp_path / "taken", network())
    assert os.listdir(tmp_path) == ["taken"]


def test_an_estimator_keeps_numbers_that_are_not_finite(path):
    X = np.linspace(-1, 1, 20)[:, None]
    regressor = ShallowRegressor((2,), solver="lbfgs", n_iter_no_change=np.inf).fit(X, X[:, 0])
    regressor.validation_scores_ = [np.nan, 0.5]  # of a validation set of one example
    regressor.save(path)
    loaded = ShallowRegressor.load(path)
    assert loaded.get_params() == regressor.get_params()
    np.testing.assert_array_equal(loaded.validation_scores_, [np.nan, 0.5])


def test_an_estimators_file_with_nonsense_in_it_is_refused_by_name(path):
    right = {"estimator": "ShallowRegressor", "params": {}, "known": {}}
    for wrong in (
        {"params": 5},
        {"params": {"no": 1}},
        {"params": {"alpha": {"a": 1}}},
        {"params": {"activation": ["relu"]}},
        {"params": {"loss": "poisson"}},  # the network has another head
        {"known": [1]},
        {"known": {"predict": 1}},
    ):
        save(path, network(output="identity", n_y=1), {**right, **wrong})
        with pytest.raises(ValueError, match=r"model\.safetensors does not hold a ShallowRegressor as save writes it"):
            ShallowRegressor.load(path)
    save(path, network(output="identity", n_y=1), right)
    assert ShallowRegressor.load(path).n_features_in_ == 3
    for classes in (["a", "b", "c"], ["b", "a"]):
        labels = {"estimator": "ShallowClassifier", "classes": classes, "dtype": "<U1", "kind": "multiclass"}
        save(path, network(output="sigmoid", n_y=1), {**right, **labels})
        with pytest.raises(ValueError, match=r"does not hold a ShallowClassifier .* must be sorted and fit 1 outputs"):
            ShallowClassifier.load(path)
