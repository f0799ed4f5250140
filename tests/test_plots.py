"""Pictures: what they draw, what they refuse, and that a file is written whole or not at all."""

import errno
import importlib
import os
import sys

import numpy as np
import pytest
from cases import draw

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
    params = draw("tanh", output, n_y, n_x=n_x).params
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


def test_a_picture_without_suffix_is_written_twice_and_its_svg_is_the_same_each_time(tmp_path):
    written = []
    for name in ("first", "second"):
        drawing, (ax,) = plots.figure()
        plots.residuals(ax, np.arange(40.0), np.arange(40.0) + 1, "price in $ or $")
        written.append(plots.save(drawing, tmp_path / name))
    assert written[0] == [tmp_path / "first.png", tmp_path / "first.svg"]
    assert plots.save(drawing, tmp_path / "third.svg") == [tmp_path / "third.svg"]
    svg = written[0][1].read_text()
    assert svg == written[1][1].read_text()
    assert ">price in $ or $, predicted</text>" in svg  # as text, and no formula between the two $


def test_the_confusion_matrix_counts_rows_by_truth_and_columns_by_prediction():
    _, (ax,) = plots.figure()
    plots.confusion_matrix(ax, [0, 0, 0, 1, 2, 2], [0, 0, 1, 1, 0, 2], ["a", "b$", "c" * 60])
    cells = {(text.get_position()[1] - 0.5, text.get_position()[0] - 0.5): text.get_text() for text in ax.texts}
    assert cells == {(0, 0): "2", (0, 1): "1", (1, 1): "1", (2, 0): "1", (2, 2): "1"}
    shares = ax.collections[0].get_array().reshape(3, 3)
    np.testing.assert_allclose(shares, [[2 / 3, 1 / 3, 0], [0, 1, 0], [1 / 2, 0, 1 / 2]])
    assert len(ax.get_yticklabels()[2].get_text()) < 40


def test_calibration_is_that_of_numbers_computed_by_hand():
    """Ten examples at 0.2, three of them of class 1, and ten at 0.9, all of class 1."""
    _, (ax,) = plots.figure()
    A2 = np.repeat([[0.2, 0.9]], 10, axis=1)
    truth = np.repeat([0, 1, 1], [7, 3, 10])
    plots.calibration(ax, truth, A2, ["no", "yes"])
    (points,) = [line for line in ax.lines if line.get_marker() == "o"]
    np.testing.assert_allclose(points.get_xydata(), [[0.2, 0.3], [0.9, 1.0]])
    brier = (7 * 0.2**2 + 3 * 0.8**2 + 10 * 0.1**2) / 20
    assert ax.get_title(loc="left") == f"Brier score {brier:.3f}, calibration error 0.100\n2 bins of 10 examples"
    assert ax.get_xlabel() == "predicted probability of yes"


def test_calibration_of_softmax_is_that_of_the_predicted_class():
    _, (ax,) = plots.figure()
    A2 = np.array([[0.7, 0.1, 0.1], [0.2, 0.7, 0.2], [0.1, 0.2, 0.7]])
    plots.calibration(ax, [0, 1, 0], A2, ["a", "b", "c"])
    (points,) = [line for line in ax.lines if line.get_marker() == "o"]
    np.testing.assert_allclose(points.get_xydata(), [[0.7, 2 / 3]])
    brier = (2 * (0.3**2 + 0.2**2 + 0.1**2) + 0.9**2 + 0.2**2 + 0.7**2) / 3
    assert f"Brier score {brier:.3f}, calibration error 0.033\n1 bin of 3 examples" in ax.get_title(loc="left")
    assert "confidence" in ax.get_xlabel()


def test_residuals_are_what_is_left_over():
    _, (ax,) = plots.figure()
    plots.residuals(ax, [1.0, 2.0, 3.0], [1.0, 3.0, 3.0], "y")
    np.testing.assert_array_equal(ax.lines[1].get_xydata(), [[1, 0], [3, -1], [3, 0]])
    assert ax.get_title(loc="left").startswith("R² 0.500")


def test_hidden_units_are_lines_with_arrows_to_their_positive_sides():
    """x1 > 0.5, x2 < −0.5, a unit of no weights and one whose line lies outside."""
    W1 = np.array([[2.0, 0.0], [0.0, -2.0], [0.0, 0.0], [1.0, 1.0]])
    b1 = np.array([[-1.0], [-1.0], [1.0], [9.0]])
    params = js.Params(W1, b1, np.array([[1.0, 4.0, 1.0, 1.0]]), np.zeros((1, 1)))
    X = np.array([[-1.0, 1.0, -1.0, 1.0], [-1.0, -1.0, 1.0, 1.0]])
    _, (ax,) = plots.figure()
    plots.hidden_units(ax, params, X, (X[:1] > 0).astype(float))
    strong, weak = ax.lines
    np.testing.assert_allclose(strong.get_ydata(), -0.5)
    np.testing.assert_allclose(weak.get_xdata(), 0.5)
    assert strong.get_linewidth() > weak.get_linewidth()
    ends = [
        ax.transData.inverted().transform(arrow.get_transform().transform(arrow._posA_posB)) for arrow in ax.patches
    ]
    np.testing.assert_allclose(np.sign(np.diff(ends, axis=1).round(9)), [[[0, -1]], [[1, 0]]])
    assert [text.get_text() for text in ax.texts] == ["2", "1"]
    assert ax.get_xlabel() == "x1\nelsewhere: units 3, 4"


def test_weight_images_show_the_units_of_the_largest_columns_of_W2_first():
    W1 = np.arange(18.0).reshape(3, 6) - 9
    params = js.Params(W1, np.zeros((3, 1)), np.array([[1.0, -5.0, 3.0]]), np.zeros((1, 1)))
    _, (ax,) = plots.figure()
    plots.weight_images(ax, params, (2, 3), most=2)
    assert [text.get_text() for text in ax.texts] == ["2", "3"]
    for image, unit in zip(ax.images, (1, 2), strict=True):
        np.testing.assert_array_equal(image.get_array(), W1[unit].reshape(2, 3))
        assert image.get_clim() == (-8, 8)


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda ax: plots.confusion_matrix(ax, [[0, 1]], [0, 1], "ab"), r"truth must be \(m,\).*got \(1, 2\)"),
        (lambda ax: plots.confusion_matrix(ax, [0, 1], [0, 2], "ab"), r"predicted must be .* 0 to 1, got \[0, 2\]"),
        (lambda ax: plots.confusion_matrix(ax, [0, 1], [0], "ab"), "one length m, got 2 and 1"),
        (
            lambda ax: plots.calibration(ax, [0, 1], np.ones(2), "ab"),
            r"A2 must be .* = \(1, 2\) for 2 classes, got \(2,\)",
        ),
        (lambda ax: plots.calibration(ax, [0, 1], np.array([[0.5, np.nan]]), "ab"), "A2 must be probabilities"),
        (lambda ax: plots.residuals(ax, np.ones((1, 2)), np.ones(2), "y"), r"\(m,\) both, got \(1, 2\)"),
        (lambda ax: plots.residuals(ax, [1.0, np.nan], [1.0, 2.0], "y"), "finite"),
    ],
)
def test_what_cannot_be_drawn_is_refused(draw, message):
    with pytest.raises(ValueError, match=message):
        draw(plots.figure()[1][0])


def test_images_and_planes_of_another_size_are_refused():
    params = js.Params(np.ones((2, 6)), np.ones((2, 1)), np.ones((1, 2)), np.ones((1, 1)))
    _, (ax,) = plots.figure()
    with pytest.raises(ValueError, match=r"n_x = 6 pixels, got \(8, 8\), which holds 64"):
        plots.weight_images(ax, params)
    with pytest.raises(ValueError, match="two features, got n_x = 6"):
        plots.hidden_units(ax, params, np.ones((6, 2)), np.ones((1, 2)))


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
        ("jaxshallow.programs.options", "tyro", r"pip install 'jaxshallow\[scripts\]'"),
        ("jaxshallow.programs.compare", "rich.console", r"pip install 'jaxshallow\[scripts\]'"),
    ],
)
def test_a_missing_extra_is_named_with_its_command(monkeypatch, module, missing, message):
    monkeypatch.setitem(sys.modules, missing, None)
    monkeypatch.delitem(sys.modules, module, raising=False)
    with pytest.raises((ImportError, SystemExit), match=message):
        importlib.import_module(module)
