"""Pictures of a network's predictions: confusion matrix, calibration, residuals; and of its weights."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from numpy.typing import ArrayLike

from jaxshallow.params import Params
from jaxshallow.plots.figures import COLOURS, MANY, add_colorbar, plain, shortened


def weight_images(ax: Axes, params: Params, shape: tuple[int, int] = (8, 8), *, most: int = 25) -> Axes:
    """Each hidden unit's row of W1 as a picture, those with the largest columns of W2 first, numbered by unit.

    In small images, clearly negative weights also have a minus sign, for print in grey.

    Args:
        ax: where to draw.
        params: a network whose inputs are the pixels of an image.
        shape: rows and columns of the image.
        most: how many of the n_h units to draw, at most.

    Raises:
        ValueError: the shape does not hold n_x pixels.
    """
    W1, W2 = np.asarray(params.W1, float), np.asarray(params.W2, float)
    if W1.shape[1] != shape[0] * shape[1]:
        raise ValueError(f"shape must hold n_x = {W1.shape[1]} pixels, got {shape}, which holds {shape[0] * shape[1]}")
    units = np.argsort(-np.linalg.norm(W2, axis=0), kind="stable")[:most]
    largest = np.abs(W1[units]).max() or 1
    height = shape[0] / shape[1]
    columns = max(1, round(np.sqrt(len(units) * (height + 0.3) / 1.12)))
    for place, unit in enumerate(units):
        left, top = 1.12 * (place % columns), -(height + 0.3) * (place // columns)
        image = ax.imshow(W1[unit].reshape(shape), cmap="PuOr", vmin=-largest, vmax=largest,
                          extent=(left, left + 1, top - height, top))  # fmt: skip
        if W1.shape[1] <= 100:
            rows, across = np.nonzero(W1[unit].reshape(shape) < -0.25 * largest)
            ax.plot(left + (across + 0.5) / shape[1], top - (rows + 0.5) / shape[1], "_", color="white", markersize=2.5)
        ax.add_patch(Rectangle((left, top - height), 1, height, fill=False, edgecolor="#888888", linewidth=0.5))
        ax.text(left + 0.5, top + 0.04, f"{unit + 1}", ha="center", va="bottom", fontsize=7)
    ax.set(xlim=(-0.05, 1.12 * columns), ylim=(top - height - 0.05, 0.3), aspect="equal")
    ax.set_axis_off()
    add_colorbar(ax, image, ".2g", "weight in W1")
    if len(units) < len(W1):
        ax.set_title(f"{len(units)} of {len(W1)} units, the largest in W2 first", loc="left", fontsize=9)
    return ax


def confusion_matrix(ax: Axes, truth: ArrayLike, predicted: ArrayLike, labels: Sequence[str]) -> Axes:
    """How many examples of each true class (row) were predicted as each class (column); an empty cell is 0.

    The colour is the share of the true class, so that rare classes show as well as frequent ones.

    Args:
        ax: where to draw.
        truth: (m,) class numbers.
        predicted: (m,) predicted class numbers.
        labels: the classes' names, in the order of their numbers.

    Raises:
        ValueError: the class numbers are not both (m,), or one has no label.
    """
    n = len(labels)
    truth, predicted = _class_numbers("truth", truth, n), _class_numbers("predicted", predicted, n)
    if len(truth) != len(predicted):
        raise ValueError(f"truth and predicted must be of one length m, got {len(truth)} and {len(predicted)}")
    counts = np.zeros((n, n), int)
    np.add.at(counts, (truth, predicted), 1)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    mesh = ax.pcolormesh(shares, cmap="Blues", vmin=0, vmax=1, edgecolors="#dddddd", linewidth=0.5)
    add_colorbar(ax, mesh, ".0%", "share of the true class")
    size = 10 if n <= 5 else 8 if n <= 10 else 5.5
    for (row, column), count in np.ndenumerate(counts):
        if count:
            shade = "white" if shares[row, column] > 0.5 else "black"
            ax.text(column + 0.5, row + 0.5, f"{count}", ha="center", va="center", color=shade, fontsize=size)
    # Two lines where a cell is high enough for them.
    short = [textwrap.fill(shortened(label, 26), 14) if n <= 10 else shortened(label, 20) for label in labels]
    longest = max(len(line) for label in short for line in label.splitlines())
    turned = longest * n > 36
    short = [plain(label) for label in short]
    ax.set_xticks(np.arange(n) + 0.5, short, rotation=90 if turned else 0, fontsize=min(size + 1, 9))
    ax.set_yticks(np.arange(n) + 0.5, short, fontsize=min(size + 1, 9))
    ax.tick_params(length=0)
    ax.set(xlabel="predicted class", ylabel="true class", ylim=(n, 0))
    return ax


def _class_numbers(name: str, numbers: ArrayLike, n: int) -> np.ndarray:
    numbers = np.asarray(numbers)
    if numbers.ndim != 1 or not len(numbers):
        raise ValueError(f"{name} must be (m,) class numbers, got {numbers.shape}")
    if not np.isin(numbers, np.arange(n)).all():
        raise ValueError(f"{name} must be class numbers from 0 to {n - 1}, got {np.unique(numbers)[:8].tolist()}")
    return numbers.astype(int)


def calibration(ax: Axes, truth: ArrayLike, A2: ArrayLike, labels: Sequence[str], *, bins: int = 10) -> Axes:
    """Predicted probability against observed share: on the diagonal, what is predicted at 80 % happens in 80 %.

    For two classes in one unit it is the probability of class 1; for softmax, that of the predicted class, its
    confidence. Each point is a bin; the bins hold equally many examples, except for ties. A point's line is Wilson's
    95 % interval of the share. Bars below show how many examples have each probability.

    Args:
        ax: where to draw.
        truth: (m,) class numbers.
        A2: (1, m) or (n_y, m) probabilities, as `forward` gives them.
        labels: the classes' names, in the order of their numbers.
        bins: how many, at most.

    Raises:
        ValueError: A2 is not (n_y, m) probabilities of these classes, or truth is not (m,) class numbers.
    """
    A2, n = np.asarray(A2, float), len(labels)
    truth = _class_numbers("truth", truth, n)
    n_y = 1 if n == 2 and A2.shape != (2, len(truth)) else n
    if A2.shape != (n_y, len(truth)):
        raise ValueError(f"A2 must be (n_y, m) = ({n_y}, {len(truth)}) for {n} classes, got {A2.shape}")
    if not ((A2 >= 0) & (A2 <= 1)).all():
        raise ValueError(f"A2 must be probabilities, got values from {A2.min():g} to {A2.max():g}")
    if n_y == 1:
        chance, came_true, brier = A2[0], truth == 1, np.mean((A2[0] - truth) ** 2)
        one = plain(shortened(labels[1], 20))
        ax.set(xlabel=f"predicted probability of {one}", ylabel=f"observed share of {one}")
    else:
        chance, came_true = A2.max(axis=0), A2.argmax(axis=0) == truth
        brier = np.mean(np.sum((A2 - np.eye(n)[truth].T) ** 2, axis=0))
        ax.set(xlabel="confidence: probability of the predicted class", ylabel="share predicted rightly")
    groups = _quantile_groups(chance, bins)
    counts = np.array([len(group) for group in groups])
    said, seen = (np.array([values[group].mean() for group in groups]) for values in (chance, came_true))
    error = counts @ np.abs(said - seen) / counts.sum()

    z2 = 1.96**2
    centre = (seen + z2 / (2 * counts)) / (1 + z2 / counts)
    half = np.sqrt(z2 * (seen * (1 - seen) / counts + z2 / (4 * counts**2))) / (1 + z2 / counts)
    ax.plot([0, 1], [0, 1], "--", color="#777777", linewidth=1, zorder=1)
    ax.vlines(said, centre - half, centre + half, color=COLOURS[0], alpha=0.5)
    ax.plot(said, seen, "o-", color=COLOURS[0], markersize=5, linewidth=1)

    heights, edges = np.histogram(chance, 20, (0, 1))
    ax.bar(edges[:-1], 0.18 * heights / heights.max(), 0.05, -0.26, align="edge", color="#999999", edgecolor="white")
    ax.text(0.5, -0.05, f"examples, at most {heights.max():,} a bar", ha="center", va="center", fontsize=7)
    ax.set_yticks(np.linspace(0, 1, 6))
    ax.set(xlim=(-0.02, 1.02), ylim=(-0.27, 1.03))
    each = f"{counts.min():,}" if counts.min() == counts.max() else f"{counts.min():,} to {counts.max():,}"
    bins_of = f"{len(groups)} bin{'s' if len(groups) > 1 else ''} of {each} examples"
    ax.set_title(f"Brier score {brier:.3f}, calibration error {error:.3f}\n{bins_of}", loc="left", fontsize=9)
    return ax


def _quantile_groups(values: np.ndarray, bins: int) -> list[np.ndarray]:
    """Indices of the values in bins of equal size, from the lowest up; equal values share a bin."""
    edges = np.unique(np.quantile(values, np.linspace(0, 1, bins + 1)))
    bin_of = np.searchsorted(edges[1:-1], values, side="right")
    return [group for k in range(len(edges)) if len(group := np.flatnonzero(bin_of == k))]


def residuals(ax: Axes, truth: ArrayLike, predicted: ArrayLike, name: str) -> Axes:
    """Residuals, true − predicted, against predictions, with R².

    A good network leaves a shapeless band about 0. The line, the median in bins of equal size, shows a bend; the width
    of the cloud shows whether the spread changes.

    Args:
        ax: where to draw.
        truth: (m,) numbers.
        predicted: (m,) predicted numbers.
        name: what they are.

    Raises:
        ValueError: truth and predicted are not finite numbers, both (m,).
    """
    truth, predicted = np.asarray(truth, float), np.asarray(predicted, float)
    if truth.ndim != 1 or truth.shape != predicted.shape or not len(truth):
        raise ValueError(f"truth and predicted must be (m,) both, got {truth.shape} and {predicted.shape}")
    if not (np.isfinite(truth).all() and np.isfinite(predicted).all()):
        raise ValueError("truth and predicted must be finite")
    rest, total = truth - predicted, np.sum((truth - truth.mean()) ** 2)
    ax.axhline(0, color="#777777", linestyle="--", linewidth=1)
    ax.plot(predicted, rest, "o", markersize=4, alpha=0.4, markeredgewidth=0, color=COLOURS[0],
            rasterized=len(rest) > MANY)  # fmt: skip
    groups = _quantile_groups(predicted, int(np.clip(len(rest) // 20, 1, 10)))
    if len(groups) > 1:
        medians = [(np.median(predicted[group]), np.median(rest[group])) for group in groups]
        ax.plot(*np.transpose(medians), "s-", color=COLOURS[4], markersize=4, linewidth=1.5, label="median")
        ax.legend(frameon=False, loc="upper right", fontsize=8)
    R2 = f"R² {1 - np.sum(rest**2) / total:.3f}" if total > 0 else "R² undefined: the truth is constant"
    ax.set_title(f"{R2}, root mean square {np.sqrt(np.mean(rest**2)):.3g}", loc="left", fontsize=9)
    ax.locator_params(axis="x", nbins=5)
    ax.set(xlabel=f"{plain(shortened(name, 32))}, predicted", ylabel="true − predicted")
    ax.grid(alpha=0.3)
    return ax
