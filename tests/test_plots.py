"""Pictures: what they draw, what they refuse, and that a file is written whole or not at all."""

import errno
import importlib
import os
import sys

import jax
import numpy as np
import pytest

import jaxshallow as js
from jaxshallow import plots


def test_the_boundary_colours_each_point_by_the_networks_class():
    """A network that answers x1 > 0: the left half is class 0, the right half class 1."""
    params = js.Params(
        np.array([[50.0, 0.0]]), np.zeros((1, 1)), np.ones((1, 1)), np.zeros((1, 1)), hidden="tanh"
    )  # fmt: skip
    X = np.array([[-1.0, 1.0, -1.0, 1.0], [-1.0, -1.0, 1.0, 1.0]])
    _, (ax,) = plots.figure()
    plots.decision_boundary(ax, params, X, (X[:1] > 0).astype(float), points=40)
    region = np.asarray(ax.collections[0].get_array()).reshape(40, 40)
    np.testing.assert_array_equal(region, np.tile(np.arange(40) >= 20, (40, 1)))
    np.testing.assert_array_equal(np.sort(ax.collections[1].get_offsets()[:, 0]), [-1, -1])
    np.testing.assert_array_equal(np.sort(ax.collections[2].get_offsets()[:, 0]), [1, 1])


@pytest.mark.parametrize(
    ("n_x", "n_y", "output", "message"),
    [(3, 1, "sigmoid", "two features"), (2, 1, "identity", "one class"), (2, 3, "sigmoid", "one class")],
)
def test_a_boundary_that_cannot_be_drawn_is_refused(n_x, n_y, output, message):
    params = js.init(jax.random.key(0), n_x, 2, n_y, output=output)
    _, (ax,) = plots.figure()
    with pytest.raises(ValueError, match=message):
        plots.decision_boundary(ax, params, np.ones((n_x, 4)), np.ones((n_y, 4)))


def test_learning_curves_mark_the_lowest_validation_cost_even_beside_nan():
    _, (ax,) = plots.figure()
    plots.learning_curves(ax, js.History(np.array([3.0, 2.0, 1.0]), np.array([3.0, 1.0, np.nan])))
    (lowest,) = [line for line in ax.lines if line.get_label() == "lowest, epoch 2"]
    np.testing.assert_array_equal(lowest.get_xydata(), [[2, 1]])


@pytest.mark.parametrize(("suffix", "start"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")])
def test_a_picture_is_written_in_the_format_of_its_name(tmp_path, suffix, start):
    drawing, _ = plots.figure()
    plots.save(drawing, tmp_path / f"picture.{suffix}")
    assert (tmp_path / f"picture.{suffix}").read_bytes().startswith(start)


def test_a_full_disk_leaves_the_old_picture(tmp_path, monkeypatch):
    path = tmp_path / "picture.png"
    path.write_bytes(b"old")

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space left"):
        plots.save(plots.figure()[0], path)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("module", "missing", "message"),
    [
        ("jaxshallow.plots", "matplotlib", r"pip install 'jaxshallow\[plot\]'"),
        ("train", "tyro", r"pip install 'jaxshallow\[scripts\]'"),
        ("compare", "rich.console", r"pip install 'jaxshallow\[scripts\]'"),
    ],
)
def test_a_missing_extra_is_named_with_its_command(monkeypatch, module, missing, message):
    monkeypatch.setitem(sys.modules, missing, None)
    monkeypatch.delitem(sys.modules, module, raising=False)
    with pytest.raises((ImportError, SystemExit), match=message):
        importlib.import_module(module)
