"""Pictures. Each function draws into matplotlib axes and returns them; `figure` and `save` do the rest.

Colours are Okabe and Ito's, told apart by colour-blind readers and in print; the background is white, so that a
saved picture reads on a dark page too.
"""

from __future__ import annotations

import io
import textwrap
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jaxshallow.descent import History
from jaxshallow.network import predict
from jaxshallow.params import Params
from jaxshallow.store import write_atomically

try:
    import matplotlib
    from matplotlib.axes import Axes
    from matplotlib.colors import ListedColormap
    from matplotlib.figure import Figure
    from matplotlib.patches import FancyArrowPatch, Rectangle
    from matplotlib.patheffects import withStroke
except ImportError as error:
    raise ImportError("pictures need matplotlib: pip install 'jaxshallow[plot]'") from error

COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9", "#F0E442", "#000000")
LINES = (*COLOURS[:6], COLOURS[7])  # without yellow, which is faint as a line
MARKERS = "os^Dv<>P"
MANY = 5_000  # beyond as many points a vector picture holds them as pixels: it would be of many megabytes, and slow


def figure(rows: int = 1, columns: int = 1, *, size: tuple[float, float] = (5.0, 4.0)) -> tuple[Figure, np.ndarray]:
    """A figure of rows × columns axes, each of `size` inches, and its axes in reading order."""
    drawing = Figure(figsize=(size[0] * columns, size[1] * rows), layout="constrained")
    axes = drawing.subplots(rows, columns, squeeze=False).ravel()
    for ax in axes:
        ax.spines[["top", "right"]].set_visible(False)
        ax.ticklabel_format(useOffset=False)
        ax.set_prop_cycle(color=COLOURS)
    return drawing, axes


def save(drawing: Figure, path: str | Path) -> list[Path]:
    """Write the figure, each file at once and whole, in the format of the path's suffix (.png, .svg, .pdf).

    The same figure gives the same .svg and .pdf, byte by byte, and the text in them is text: it can be searched.

    Args:
        drawing: the figure.
        path: the file. Without a suffix, two are written, .png and .svg.

    Returns:
        The paths of the files written.

    Raises:
        ValueError: matplotlib knows no such format.
        OSError: the file cannot be written; a file of that name stays as it was.
    """
    path = Path(path)
    paths = [path] if path.suffix else [path.with_suffix(".png"), path.with_suffix(".svg")]
    contents = [encoded(drawing, path.suffix.lstrip(".")) for path in paths]
    for path, content in zip(paths, contents, strict=True):
        write_atomically(path, content)
    return paths


def encoded(drawing: Figure, format: str) -> bytes:
    """The figure as a file of that format would hold it.

    Raises:
        ValueError: matplotlib knows no such format.
    """
    content = io.BytesIO()
    undated = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}
    settings: Any = {"savefig.facecolor": "white", "svg.hashsalt": "jaxshallow", "svg.fonttype": "none"}
    with matplotlib.rc_context(settings), warnings.catch_warnings():
        # A letter that the font lacks is a box in a .png, and itself in an .svg.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        drawing.savefig(content, format=format, dpi=150, metadata=undated.get(format))
    return content.getvalue()


def limits(X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The lowest and the highest corner, (2, 1) each, of a plane that holds all examples X (2, m) with a margin."""
    margin = 0.08 * np.ptp(X, axis=1, keepdims=True) + 1e-9 * (1 + np.abs(X).max(axis=1, keepdims=True))
    return X.min(axis=1, keepdims=True) - margin, X.max(axis=1, keepdims=True) + margin


def classes_of(params: Params, Y: np.ndarray) -> np.ndarray:
    """(m,) class numbers of the targets Y (n_y, m), of a network with softmax or one sigmoid unit as its output."""
    return Y.argmax(axis=0) if params.output == "softmax" else (Y[0] > 0.5).astype(int)


def decision_boundary(
    ax: Axes,
    params: Params,
    X,
    Y,
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
        ValueError: the network has other than two inputs, or does not classify.
    """
    X, Y = np.asarray(X, float), np.asarray(Y)
    if X.shape[0] != 2:
        raise ValueError(f"a decision boundary needs two features, got n_x = {X.shape[0]}")
    if params.output == "identity" or (params.output == "sigmoid" and len(Y) > 1):
        raise ValueError("a decision boundary needs one class for each example: sigmoid with n_y = 1, or softmax")
    n = max(len(Y), 2)
    low, high = limits(X)
    across, up = (np.linspace(low[i, 0], high[i, 0], points) for i in range(2))
    grid = np.stack(np.meshgrid(across, up)).reshape(2, -1)
    # In parts of some 2^22 hidden activations: a wide network on the whole grid would take gigabytes.
    parts = np.array_split(grid.astype(params.W1.dtype), 1 + grid.shape[1] * params.W1.shape[0] // 2**22, axis=1)
    region = np.concatenate([np.asarray(predict(params, part)) for part in parts]).reshape(points, points)
    colours = [COLOURS[c % len(COLOURS)] for c in range(n)]
    ax.pcolormesh(
        across, up, region, cmap=ListedColormap(colours), vmin=-0.5, vmax=n - 0.5, alpha=0.25, rasterized=True
    )
    _examples(ax, X, classes_of(params, Y), colours, labels, names)
    return ax


def _examples(ax: Axes, X, classes, colours: Sequence, labels: Sequence[str], names: Sequence[str]) -> None:
    """The examples in the plane, each class in its colour and shape, and the plane's limits and names."""
    for c, colour in enumerate(colours):
        here = classes == c
        # In the second round of the colours each has another shape than in the first.
        marker = MARKERS[(c + c // len(COLOURS)) % len(MARKERS)]
        label = plain(labels[c]) if len(labels) else f"class {c}"
        ax.scatter(X[0, here], X[1, here], s=14, color=colour, marker=marker, edgecolors="white", linewidths=0.4,
                   label=label, rasterized=X.shape[1] > MANY)  # fmt: skip
    low, high = limits(X)
    ax.set(xlabel=plain(names[0]), ylabel=plain(names[1]))
    ax.set(xlim=(low[0, 0], high[0, 0]), ylim=(low[1, 0], high[1, 0]))


def plain(text: Any) -> str:
    """A user's text, in which matplotlib finds no formula between $ and $."""
    return str(text).replace("$", r"\$")


def _short(text: Any, length: int) -> str:
    """A user's text of at most that length, with its beginning and its end, in which names of a kind often differ."""
    text = str(text)
    return text if len(text) <= length else f"{text[: length - length // 2 - 1]}…{text[-(length // 2) :]}"


def hidden_units(
    ax: Axes,
    params: Params,
    X,
    Y,
    *,
    labels: Sequence[str] = (),
    names: Sequence[str] = ("x1", "x2"),
) -> Axes:
    """Each hidden unit's line w·x + b = 0 in the plane, over the examples, which are grey.

    An arrow with the unit's number points to the side where z1 > 0. The larger the unit's column of W2, the stronger
    its line. Below the axis stand the units whose lines lie elsewhere.

    Args:
        ax: where to draw.
        params: a network of two inputs.
        X: (2, m) examples as columns.
        Y: (n_y, m) targets as columns.
        labels: the classes' names, for a legend.
        names: the features' names.

    Raises:
        ValueError: the network has other than two inputs.
    """
    X, Y = np.asarray(X, float), np.asarray(Y)
    if X.shape[0] != 2:
        raise ValueError(f"the hidden units' lines need two features, got n_x = {X.shape[0]}")
    W1, b1, W2 = (np.asarray(W, float) for W in (params.W1, params.b1, params.W2))
    if params.output == "identity" or (params.output == "sigmoid" and len(Y) > 1):
        _examples(ax, X, np.zeros(X.shape[1]), ["#aaaaaa"], ["examples"], names)
    else:
        greys = [f"{shade:.2f}" for shade in np.linspace(0.78, 0.45, max(len(Y), 2))]
        _examples(ax, X, classes_of(params, Y), greys, labels, names)
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
        # Where a line cuts off no more than a corner, its arrow may leave the picture, but not its number.
        number = low[:, 0] + span * np.clip(labelled[-1], 0.02, 0.98)
        foot, tip = (low[:, 0] + span * (place + length * up) for length in (0, 0.05))
        ax.add_patch(FancyArrowPatch(foot, tip, arrowstyle="-|>", mutation_scale=7, shrinkA=0, shrinkB=0,
                                     color=colour, alpha=alpha))  # fmt: skip
        ax.text(
            number[0],
            number[1],
            f"{unit + 1}",
            color=colour,
            fontsize=8 if len(W1) <= 20 else 6.5,
            fontweight="bold",
            ha="center",
            va="center",
            path_effects=[withStroke(linewidth=2, foreground="white")],
            zorder=4,
        )
    if elsewhere:
        listed = ", ".join(str(unit + 1) for unit in sorted(elsewhere)[:8])
        more = f" and {len(elsewhere) - 8} more" if len(elsewhere) > 8 else ""
        ax.set_xlabel(f"{ax.get_xlabel()}\nelsewhere: {'units' if len(elsewhere) > 1 else 'unit'} {listed}{more}")
    return ax


def _line_in_unit_square(w: np.ndarray, b: float) -> np.ndarray | None:
    """The two ends, as rows, of w·u + b = 0 in the square [0, 1]², or None where the line passes by."""
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


def weight_images(ax: Axes, params: Params, shape: tuple[int, int] = (8, 8), *, most: int = 25) -> Axes:
    """Each hidden unit's row of W1 as a picture, those with the largest columns of W2 first, numbered by unit.

    In small images the clearly negative weights bear a minus too, for print in grey.

    Args:
        ax: where to draw.
        params: a network whose inputs are the pixels of an image.
        shape: rows and columns of the image.
        most: pictures that are drawn, of the n_h.

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
    _colorbar(ax, image, ".2g", "weight in W1")
    if len(units) < len(W1):
        ax.set_title(f"{len(units)} of {len(W1)} units, the largest in W2 first", loc="left", fontsize=9)
    return ax


def confusion_matrix(ax: Axes, truth, predicted, labels: Sequence[str]) -> Axes:
    """How many examples of each class, a row, were given each class, a column; a cell without a number is 0.

    The colour is the share of the true class, so that rare classes are seen as well as frequent ones.

    Args:
        ax: where to draw.
        truth: (m,) class numbers.
        predicted: (m,) class numbers that the network gave.
        labels: the classes' names, in the order of their numbers.

    Raises:
        ValueError: the class numbers are not (m,) both, or not among those of the labels.
    """
    n = len(labels)
    truth, predicted = _class_numbers("truth", truth, n), _class_numbers("predicted", predicted, n)
    if len(truth) != len(predicted):
        raise ValueError(f"truth and predicted must be of one length m, got {len(truth)} and {len(predicted)}")
    counts = np.zeros((n, n), int)
    np.add.at(counts, (truth, predicted), 1)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    mesh = ax.pcolormesh(shares, cmap="Blues", vmin=0, vmax=1, edgecolors="#dddddd", linewidth=0.5)
    _colorbar(ax, mesh, ".0%", "share of the true class")
    size = 10 if n <= 5 else 8 if n <= 10 else 5.5
    for (row, column), count in np.ndenumerate(counts):
        if count:
            shade = "white" if shares[row, column] > 0.5 else "black"
            ax.text(column + 0.5, row + 0.5, f"{count}", ha="center", va="center", color=shade, fontsize=size)
    # Two lines where a cell is high enough for them.
    short = [textwrap.fill(_short(label, 26), 14) if n <= 10 else _short(label, 20) for label in labels]
    longest = max(len(line) for label in short for line in label.splitlines())
    turned = longest * n > 36
    short = [plain(label) for label in short]
    ax.set_xticks(np.arange(n) + 0.5, short, rotation=90 if turned else 0, fontsize=min(size + 1, 9))
    ax.set_yticks(np.arange(n) + 0.5, short, fontsize=min(size + 1, 9))
    ax.tick_params(length=0)
    ax.set(xlabel="predicted class", ylabel="true class", ylim=(n, 0))
    return ax


def _class_numbers(name: str, numbers, n: int) -> np.ndarray:
    numbers = np.asarray(numbers)
    if numbers.ndim != 1 or not len(numbers):
        raise ValueError(f"{name} must be (m,) class numbers, got {numbers.shape}")
    if not np.isin(numbers, np.arange(n)).all():
        raise ValueError(f"{name} must be class numbers from 0 to {n - 1}, got {np.unique(numbers)[:8].tolist()}")
    return numbers.astype(int)


def calibration(ax: Axes, truth, A2, labels: Sequence[str], *, bins: int = 10) -> Axes:
    """Predicted probability against observed share: on the diagonal, what is said to have 80 % comes true in 80 %.

    For two classes in one unit it is the probability of class 1; for softmax, that of the predicted class, its
    confidence. Each point is a bin that holds as many examples as the others, save for ties; its line is the 95 %
    interval of the share (Wilson's). Bars below show how many examples were given each probability.

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
        one = plain(_short(labels[1], 20))
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
    """Indices of the values in bins from the lowest to the highest, equally full, but equal values in one."""
    edges = np.unique(np.quantile(values, np.linspace(0, 1, bins + 1)))
    bin_of = np.searchsorted(edges[1:-1], values, side="right")
    return [group for k in range(len(edges)) if len(group := np.flatnonzero(bin_of == k))]


def residuals(ax: Axes, truth, predicted, name: str) -> Axes:
    """What the network left over, true − predicted, against what it predicted, and R².

    A good network leaves a band about 0 without shape; the line, the median in bins equally full, shows a bend, and the
    width of the cloud whether the spread changes.

    Args:
        ax: where to draw.
        truth: (m,) numbers.
        predicted: (m,) numbers that the network gave.
        name: what they are.

    Raises:
        ValueError: truth and predicted are not finite numbers, (m,) both.
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
    ax.set(xlabel=f"{plain(_short(name, 32))}, predicted", ylabel="true − predicted")
    ax.grid(alpha=0.3)
    return ax


def learning_curves(ax: Axes, history: History) -> Axes:
    """Cost against epoch, training and, where there is one, validation with its lowest point marked."""
    epochs = np.arange(1, len(history.cost) + 1)
    ax.plot(epochs, history.cost, label="training")
    if history.validation_cost is not None:
        validation = np.asarray(history.validation_cost)
        ax.plot(epochs, validation, "--", label="validation")
        if np.isfinite(validation).any():
            best = int(np.nanargmin(validation))
            ax.plot(epochs[best], validation[best], "o", color=COLOURS[1], label=f"lowest, epoch {best + 1:,}")
        ax.legend(frameon=False)
    low, high = np.nanmin(history.cost), np.nanmax(history.cost)
    if low > 0 and high > 10 * low:
        ax.set_yscale("log")
    ax.set(xlabel="epoch", ylabel="cost J")
    return ax


def spread(ax: Axes, groups: Mapping[str, Sequence[float]], *, ylabel: str = "accuracy", format: str = ".1%") -> Axes:
    """A point for each value, group by group, and a line at each group's median, with its value.

    Args:
        ax: where to draw.
        groups: the values of each group, such as an accuracy for each seed; those that are not finite are left out.
        ylabel: what the values are.
        format: of the medians.
    """
    for place, group in enumerate(groups.values()):
        values = np.sort([value for value in group if np.isfinite(value)])
        if not len(values):
            ax.annotate("none", (place, 1), xycoords=("data", "axes fraction"), ha="center", va="bottom", fontsize=8)
            continue
        # Side by side in an order that is the same each time, so that points of one height do not hide each other.
        aside = 0.3 * (2 * (np.arange(len(values)) * 0.618034 % 1) - 1) if len(values) > 1 else 0
        ax.plot(place + aside, values, "o", markersize=3, alpha=0.4, markeredgewidth=0, color=COLOURS[0])
        median = float(np.median(values))
        ax.plot([place - 0.4, place + 0.4], [median, median], color=COLOURS[4], linewidth=2, zorder=1)
        ax.annotate(
            f"{median:{format}}", (place, 1), xycoords=("data", "axes fraction"), ha="center", va="bottom", fontsize=8
        )
    ax.yaxis.set_major_formatter(lambda value, _: f"{value:{format}}")
    ax.set_xticks(range(len(groups)), list(groups))
    ax.set(ylabel=ylabel, xlim=(-0.6, len(groups) - 0.4))
    ax.grid(axis="y", alpha=0.3)
    return ax


def heat_map(
    ax: Axes,
    columns: Sequence,
    rows: Sequence,
    values,
    *,
    names: Sequence[str] = ("", ""),
    format: str = ".1%",
) -> Axes:
    """Values of a grid as colours and numbers; white where there is none.

    Args:
        ax: where to draw.
        columns, rows: what the grid's columns and rows stand for.
        values: (rows, columns) numbers; NaN for none.
        names: of the columns' and the rows' axis.
        format: of the numbers.
    """
    values = np.asarray(values, float)
    mesh = ax.pcolormesh(np.ma.masked_invalid(values), cmap="cividis")
    _colorbar(ax, mesh, format)
    # Numbers where they can be read, in the shade that stands out from the colour under them.
    if values.size <= 100:
        low, high = np.nanmin(values), np.nanmax(values)
        for (row, column), value in np.ndenumerate(values):
            if np.isfinite(value):
                shade = "black" if value > (low + high) / 2 else "white"
                ax.text(column + 0.5, row + 0.5, f"{value:{format}}", ha="center", va="center", color=shade, fontsize=7)
    for axis, ticks in ((ax.xaxis, columns), (ax.yaxis, rows)):
        every = -(-len(ticks) // 12)
        axis.set_ticks(np.arange(len(ticks))[::every] + 0.5, [f"{tick}" for tick in ticks][::every])
    ax.set(xlabel=names[0], ylabel=names[1])
    return ax


def _colorbar(ax: Axes, coloured, format: str, label: str = "") -> None:
    bar = ax.figure.colorbar(coloured, ax=ax, label=label)
    bar.ax.yaxis.set_major_formatter(lambda value, _: f"{value:{format}}")


def scatter_map(
    ax: Axes, x, y, values, *, names: Sequence[str] = ("", ""), label: str = "", format: str = ".1%"
) -> Axes:
    """Values of points drawn at random as colours, the best on top; the arguments are those of `heat_map`."""
    order = np.argsort(values)
    points = ax.scatter(np.asarray(x)[order], np.asarray(y)[order], c=np.asarray(values)[order], cmap="cividis", s=24)
    _colorbar(ax, points, format)
    for axis, numbers in (("x", np.asarray(x)), ("y", np.asarray(y))):
        if numbers.min() > 0 and numbers.max() > 20 * numbers.min():
            ax.set(**{f"{axis}scale": "log"})
    ax.set(xlabel=names[0], ylabel=names[1])
    return ax


def time_against_size(ax: Axes, sizes: Sequence[int], seconds: dict[str, Sequence[float]], *, title: str = "") -> Axes:
    """Time of each execution against the number of examples, both logarithmic; a NaN is a size that was left out."""
    for (name, times), marker in zip(seconds.items(), MARKERS, strict=False):
        ax.loglog(sizes, np.asarray(times) * 1e3, marker=marker, markersize=5, label=name)
    ax.set(xlabel="examples m", ylabel="time, ms", title=title)
    ax.grid(alpha=0.3)
    ax.legend(frameon=False)
    return ax


def times_of_peers(
    ax: Axes, seconds: dict[str, float], *, ours: str, limit: float | None = None, title: str = ""
) -> Axes:
    """A point for each contestant on a logarithmic axis of ms, ours in colour; a line at the machine's limit.

    Points and not bars, whose length would mean nothing where no 0 is.
    """
    names = [name for name in seconds if not name.startswith("limit")][::-1]
    for place, name in enumerate(names):
        ms = seconds[name] * 1e3
        ax.plot(ms, place, "o", color=COLOURS[0] if name.startswith(ours) else "#777777")
        ax.annotate(
            f"{ms:,.0f}" if ms >= 100 else f"{ms:.3g}", (ms, place), (7, 0), textcoords="offset points", va="center"
        )
    if limit is not None:
        ax.axvline(limit * 1e3, color=COLOURS[4], linestyle="--", linewidth=1, label="limit")
        ax.legend(frameon=False, loc="upper right")
    ax.set_yticks(range(len(names)), names)
    ax.set(xscale="log", xlabel="time, ms", ylim=(-0.6, len(names) - 0.4))
    low, high = ax.get_xlim()
    ax.set_xlim(10 ** np.floor(np.log10(low)), 10 ** np.ceil(np.log10(high * 1.5)))
    ax.grid(alpha=0.3)
    ax.set_title(textwrap.fill(title, 46), loc="left", fontsize="medium")
    return ax
