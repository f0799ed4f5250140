"""Pictures of networks with two features: the decision boundary and what the hidden units see."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.patches import FancyArrowPatch
from matplotlib.patheffects import withStroke
from numpy.typing import ArrayLike

from jaxshallow.network import predict
from jaxshallow.params import ONE_CLASS, Params
from jaxshallow.plots.figures import COLOURS, LINES, MANY, MARKERS, plain


def limits(X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The lowest and the highest corner, (2, 1) each, of a plane that holds all examples X (2, m) with a margin."""
    margin = 0.08 * np.ptp(X, axis=1, keepdims=True) + 1e-9 * (1 + np.abs(X).max(axis=1, keepdims=True))
    return X.min(axis=1, keepdims=True) - margin, X.max(axis=1, keepdims=True) + margin


def classes_of(params: Params, Y: np.ndarray) -> np.ndarray:
    """(m,) class numbers of the targets Y (n_y, m), of a network with softmax or one sigmoid unit as its output."""
    return Y.argmax(axis=0) if params.task == "multiclass" else (Y[0] > 0.5).astype(int)


def decision_boundary(
    ax: Axes,
    params: Params,
    X: ArrayLike,
    Y: ArrayLike,
    *,
    labels: Sequence[str] = (),
    names: Sequence[str] = ("x1", "x2"),
    points: int = 300,
) -> Axes:
    """The class that the network gives to each point of the plane, under the examples.

    Args:
        ax: where to draw.
        params: a network of two inputs, with sigmoid (one unit) or softmax output.
        X: (2, m) examples as columns.
        Y: (n_y, m) targets as columns.
        labels: the classes' names, for a legend.
        names: the features' names.
        points: of the grid, in each direction.

    Raises:
        ValueError: the network does not have two inputs, or does not classify.
    """
    X, Y = np.asarray(X, float), np.asarray(Y)
    if X.shape[0] != 2:
        raise ValueError(f"a decision boundary needs two features, got n_x = {X.shape[0]}")
    if params.task not in ONE_CLASS:
        raise ValueError("a decision boundary needs one class for each example: sigmoid with n_y = 1, or softmax")
    n = max(len(Y), 2)
    low, high = limits(X)
    across, up = (np.linspace(low[i, 0], high[i, 0], points) for i in range(2))
    grid = np.stack(np.meshgrid(across, up)).reshape(2, -1)
    # In parts of about 2^22 hidden activations: a wide network on the whole grid would take gigabytes.
    parts = np.array_split(grid.astype(params.W1.dtype), 1 + grid.shape[1] * params.W1.shape[0] // 2**22, axis=1)
    region = np.concatenate([np.asarray(predict(params, part)) for part in parts]).reshape(points, points)
    colours = [COLOURS[c % len(COLOURS)] for c in range(n)]
    ax.pcolormesh(
        across, up, region, cmap=ListedColormap(colours), vmin=-0.5, vmax=n - 0.5, alpha=0.25, rasterized=True
    )
    _examples(ax, X, classes_of(params, Y), colours, labels, names)
    return ax


def _examples(
    ax: Axes, X: np.ndarray, classes: np.ndarray, colours: Sequence[Any], labels: Sequence[str], names: Sequence[str]
) -> None:
    """The examples in the plane, each class in its colour and shape, and the plane's limits and names."""
    for c, colour in enumerate(colours):
        here = classes == c
        # When the colours repeat, the shapes differ.
        marker = MARKERS[(c + c // len(COLOURS)) % len(MARKERS)]
        label = plain(labels[c]) if len(labels) else f"class {c}"
        ax.scatter(X[0, here], X[1, here], s=14, color=colour, marker=marker, edgecolors="white", linewidths=0.4,
                   label=label, rasterized=X.shape[1] > MANY)  # fmt: skip
    low, high = limits(X)
    ax.set(xlabel=plain(names[0]), ylabel=plain(names[1]))
    ax.set(xlim=(low[0, 0], high[0, 0]), ylim=(low[1, 0], high[1, 0]))


def hidden_units(
    ax: Axes,
    params: Params,
    X: ArrayLike,
    Y: ArrayLike,
    *,
    labels: Sequence[str] = (),
    names: Sequence[str] = ("x1", "x2"),
) -> Axes:
    """Each hidden unit's line w·x + b = 0 in the plane, over the examples, which are grey.

    An arrow with the unit's number points to the side where z1 > 0. The larger the unit's column of W2, the stronger
    its line. Units whose lines lie elsewhere are listed below the axis.

    Args:
        ax: where to draw.
        params: a network of two inputs.
        X: (2, m) examples as columns.
        Y: (n_y, m) targets as columns.
        labels: the classes' names, for a legend.
        names: the features' names.

    Raises:
        ValueError: the network does not have two inputs.
    """
    X, Y = np.asarray(X, float), np.asarray(Y)
    if X.shape[0] != 2:
        raise ValueError(f"the hidden units' lines need two features, got n_x = {X.shape[0]}")
    _grey_examples(ax, params, X, Y, labels, names)
    W1, b1, W2 = (np.asarray(W, float) for W in (params.W1, params.b1, params.W2))
    size = np.linalg.norm(W2, axis=0)
    strength = size / (size.max() or 1)
    low, high = limits(X)
    span = (high - low)[:, 0]
    labelled: list[np.ndarray] = []
    elsewhere = []
    for unit in np.argsort(-strength, kind="stable"):
        # In the unit square, where lengths across and up are alike.
        w, b = W1[unit] * span, b1[unit, 0] + W1[unit] @ low[:, 0]
        ends = _line_in_unit_square(w, b)
        if ends is None:
            elsewhere.append(int(unit))
            continue
        colour, alpha = LINES[unit % len(LINES)], 0.3 + 0.7 * strength[unit]
        ax.plot(*(low + span[:, None] * ends.T), color=colour, alpha=alpha, linewidth=0.7 + 1.8 * strength[unit])
        up = w / np.linalg.norm(w)
        place = _far_from(labelled, ends[0] + np.linspace(0.06, 0.94, 23)[:, None] * (ends[1] - ends[0]), 0.075 * up)
        labelled.append(place + 0.075 * up)
        foot, tip = (low[:, 0] + span * (place + length * up) for length in (0, 0.05))
        ax.add_patch(FancyArrowPatch(foot, tip, arrowstyle="-|>", mutation_scale=7, shrinkA=0, shrinkB=0,
                                     color=colour, alpha=alpha))  # fmt: skip
        # Where a line cuts off only a corner, its arrow may leave the picture, but not its number.
        number = low[:, 0] + span * np.clip(labelled[-1], 0.02, 0.98)
        _unit_number(ax, number, int(unit), colour, fontsize=8 if len(W1) <= 20 else 6.5)
    if elsewhere:
        _list_elsewhere(ax, elsewhere)
    return ax


def _grey_examples(
    ax: Axes, params: Params, X: np.ndarray, Y: np.ndarray, labels: Sequence[str], names: Sequence[str]
) -> None:
    """The examples in a grey for each class, or all in one where the network does not classify."""
    if params.task not in ONE_CLASS:
        _examples(ax, X, np.zeros(X.shape[1]), ["#aaaaaa"], ["examples"], names)
    else:
        greys = [f"{shade:.2f}" for shade in np.linspace(0.78, 0.45, max(len(Y), 2))]
        _examples(ax, X, classes_of(params, Y), greys, labels, names)


def _unit_number(ax: Axes, place: np.ndarray, unit: int, colour: str, fontsize: float) -> None:
    ax.text(
        place[0],
        place[1],
        f"{unit + 1}",
        color=colour,
        fontsize=fontsize,
        fontweight="bold",
        ha="center",
        va="center",
        path_effects=[withStroke(linewidth=2, foreground="white")],
        zorder=4,
    )


def _list_elsewhere(ax: Axes, units: list[int]) -> None:
    """Below the axis, the units whose lines miss the picture."""
    listed = ", ".join(str(unit + 1) for unit in sorted(units)[:8])
    more = f" and {len(units) - 8} more" if len(units) > 8 else ""
    ax.set_xlabel(f"{ax.get_xlabel()}\nelsewhere: {'units' if len(units) > 1 else 'unit'} {listed}{more}")


def _line_in_unit_square(w: np.ndarray, b: float) -> np.ndarray | None:
    """The two ends, as rows, of w·u + b = 0 in the square [0, 1]², or None if the line misses it."""
    if not w.any():
        return None
    centre = np.full(2, 0.5)
    nearest = centre - w * (w @ centre + b) / (w @ w)
    along = np.array([-w[1], w[0]]) / np.linalg.norm(w)
    first, last = -np.inf, np.inf
    for start, step in zip(nearest, along, strict=True):
        if abs(step) > 1e-12:
            entry, leave = sorted([-start / step, (1 - start) / step])
            first, last = max(first, entry), min(last, leave)
        elif not 0 <= start <= 1:
            return None
    return nearest + np.array([[first], [last]]) * along if first < last else None


def _far_from(taken: list[np.ndarray], places: np.ndarray, offset: np.ndarray) -> np.ndarray:
    """The place whose label, at an offset, is farthest from the labels and the border of the unit square."""
    spots = places + offset
    room = 2 * np.minimum(spots, 1 - spots).min(axis=1)
    for other in taken:
        room = np.minimum(room, np.linalg.norm(spots - other, axis=1))
    return places[room.argmax()]
