"""A forward pass that the reader moves through; `forward_pass.js` repeats the equations of `network.py`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from html import escape
from typing import NamedTuple

import numpy as np
from jax.typing import ArrayLike

from jaxshallow import checks, plots
from jaxshallow.params import ONE_CLASS, Params
from jaxshallow.reports.html import Html, read_file

MOST_EXAMPLES = 1000

MOST_ROWS = 12

IN_JAVASCRIPT = ("sigmoid", "tanh", "relu", "leaky_relu", "identity")

# The plane in its picture of 460 × 430 pixels: left, top and side.
FRAME = (68, 12, 384)

# The outlines of `plots.MARKERS`, from their middles.
OUTLINES = (
    "m-4,0a4,4 0 1 0 8,0a4,4 0 1 0 -8,0z",
    "m-3.5,-3.5h7v7h-7z",
    "m0,-4.5l4.5,8h-9z",
    "m0,-5l4.5,5l-4.5,5l-4.5,-5z",
    "m0,4.5l4.5,-8h-9z",
    "m-4.5,0l8,-4.5v9z",
    "m4.5,0l-8,-4.5v9z",
    "m-1.5,-4.5h3v3h3v3h-3v3h-3v-3h-3v-3h3z",
)

# White to blue, for numbers.
SHADES = tuple(f"rgb({255 - 255 * k // 10}, {255 - 141 * k // 10}, {255 - 77 * k // 10})" for k in range(11))


def forward_pass(
    params: Params,
    X: ArrayLike,
    Y: ArrayLike,
    *,
    names: Sequence[str] = ("x1", "x2"),
    labels: Sequence[str] = (),
    heading: str = "The forward pass, number by number",
) -> Html:
    """A section in which the reader moves a point x in the plane, and z1, a1, z2 and a2 follow.

    Move the point with the mouse, a finger or the arrow keys; an address that ends in #x=1.5,-0.3 starts it there.
    Colours show the network's class all over the plane or, if it does not classify, its first output.

    Args:
        params: a network of two inputs and a built-in activation. It takes x as it is plotted.
        X: (2, m) examples as columns; at most 1000 are shown.
        Y: (n_y, m) targets as columns.
        names: the features' names.
        labels: the names of the classes; or of the outputs, where these are several labels or numbers.
        heading: of the section.

    Raises:
        ValueError: the network does not have two inputs, or has an activation of your own or numbers that are not
            finite; or X, Y, names or labels do not fit it.

    Example:
        >>> import jax.numpy as jnp
        >>> params = Params(jnp.ones((4, 2)), jnp.zeros((4, 1)), jnp.ones((1, 4)), jnp.zeros((1, 1)), hidden="tanh")
        >>> "a1 = g(z1)" in forward_pass(params, jnp.eye(2), jnp.array([[0, 1]]), labels=["cat", "dog"])
        True
    """
    params, X, Y = _checked(params, X, Y)
    classifies, n_y = params.task in ONE_CLASS, len(Y)
    n = max(n_y, 2) if classifies else n_y
    labels = [str(label) for label in labels] or [f"class {c}" if classifies else f"y{c + 1}" for c in range(n)]
    if len(labels) != n or len(names) != 2:
        raise ValueError(f"labels must be {n} and names 2, got {len(labels)} and {len(names)}")

    low, high = (corner.ravel() for corner in plots.limits(X))
    colouring = _colours_of_classes(params, Y, n) if classifies else _shades_of_numbers(params, Y)
    m = X.shape[1]
    shown = np.unique(np.linspace(0, m - 1, min(m, MOST_EXAMPLES)).astype(int))
    plane = _plane(X[:, shown], colouring._replace(group=colouring.group[shown]), names, low, high, classifies)
    some = f" {len(shown):,} of the {m:,} examples are shown." if len(shown) < m else ""
    legend = _legend(colouring, labels, classifies)
    columns = _columns(params, names, labels if n_y == n else [""])
    weights = "".join(_matrix(name, np.asarray(getattr(params, name), float)) for name in checks.LEAVES)
    return Html(
        f'<section class="forward-pass">\n<h2>{escape(heading)}</h2>\n'
        "<p>Drag the white point, click anywhere in the plane, or choose the point and press the arrow keys (with "
        f"Shift for large steps).{some}</p>\n"
        "<noscript><p>This part of the page needs JavaScript.</p></noscript>\n"
        f'<div class="panes">\n<figure class="plane">{plane}{legend}</figure>\n'
        f'<div class="numbers">\n<div class="columns">{columns}</div>\n'
        '<p class="answer">ŷ is <output aria-live="polite"></output>.</p>\n'
        f'<details><summary>The weights</summary><div class="matrices">{weights}</div></details>\n</div>\n</div>\n'
        f'<script type="application/json">{_script_data(params, X[:, 0], labels, colouring, low, high)}</script>\n'
        f"<script>\n{read_file('forward_pass.js')}</script>\n</section>\n"
    )


def _checked(params: Params, X: ArrayLike, Y: ArrayLike) -> tuple[Params, np.ndarray, np.ndarray]:
    params = checks.parameters(params)
    n_x = params.W1.shape[1]
    if n_x != 2:
        raise ValueError(f"the plane needs two features, got n_x = {n_x}")
    if params.hidden not in IN_JAVASCRIPT:
        raise ValueError(f"hidden must be one of {', '.join(IN_JAVASCRIPT)} to run in a page, got {params.hidden!r}")
    Y = np.asarray(checks.targets(params, checks.features(params, X), Y), float)
    X = np.asarray(X, float)
    checks.values(params, X, Y)
    return params, X, Y


class _Colouring(NamedTuple):
    """How the examples are drawn.

    Attributes:
        group: (m,) the number of each example's colour.
        colours: one for each class, or from white to blue for numbers.
        outlines: the shapes of the marks, one for each colour.
        shades: the numbers that the first and the last colour stand for.
    """

    group: np.ndarray
    colours: list[str]
    outlines: list[str]
    shades: list[float]


def _colours_of_classes(params: Params, Y: np.ndarray, n: int) -> _Colouring:
    colours = [plots.COLOURS[c % len(plots.COLOURS)] for c in range(n)]
    return _Colouring(plots.classes_of(params, Y), colours, [_outline(c) for c in range(n)], [0.0, 1.0])


def _shades_of_numbers(params: Params, Y: np.ndarray) -> _Colouring:
    """By the first output; a sigmoid's lies between 0 and 1."""
    low, high = (0.0, 1.0) if params.output == "sigmoid" else (float(Y[0].min()), float(Y[0].max()))
    if low == high:
        high += max(1.0, abs(high))
    group = np.rint((Y[0] - low) / (high - low) * (len(SHADES) - 1)).astype(int)
    return _Colouring(group, list(SHADES), [OUTLINES[0]] * len(SHADES), [low, high])


def _script_data(
    params: Params, x: np.ndarray, labels: list[str], colouring: _Colouring, low: np.ndarray, high: np.ndarray
) -> str:
    """What `forward_pass.js` needs, as JSON; the point starts at x."""
    digits = [max(0, 3 - int(np.floor(np.log10(end - start)))) for start, end in zip(low, high, strict=True)]
    colours, shades = colouring.colours, colouring.shades
    given = {
        **{name: np.asarray(getattr(params, name), float).tolist() for name in checks.LEAVES},
        **{"hidden": params.hidden, "output": params.output, "labels": labels, "colours": colours, "shades": shades},
        **{"low": low.tolist(), "high": high.tolist(), "digits": digits, "start": x.tolist(), "frame": FRAME},
    }
    # A "<" in a text could end the script or begin a comment in it.
    return json.dumps(given, allow_nan=False).replace("<", "\\u003c")


def _legend(colouring: _Colouring, labels: list[str], classifies: bool) -> str:
    if classifies:
        items = "".join(
            f'<li><svg viewBox="-7 -7 14 14" aria-hidden="true"><path fill="{colour}" d="M0,0{outline}"/></svg> '
            f"{escape(label)}</li>"
            for colour, outline, label in zip(colouring.colours, colouring.outlines, labels, strict=True)
        )
    else:
        low, high = colouring.shades
        items = f"<li>{escape(labels[0])}: from {low:.4g}, white, to {high:.4g}, blue</li>"
    return f'<ul class="legend">{items}</ul>'


def _columns(params: Params, names: Sequence[str], outputs: list[str]) -> str:
    """x, z1, a1, z2 and a2, with arrows between them."""
    σ = {"sigmoid": "σ(z2)", "softmax": "softmax(z2)", "identity": "z2", "exp": "exp(z2)"}[params.output]
    units = [f"{k + 1}" for k in range(len(params.W1))]
    first, *others = (
        _column("x", "x", list(names)),
        _column("z1", "z1 = W1 x + b1", units),
        _column("a1", "a1 = g(z1)", units, f"g = {params.hidden}"),
        _column("z2", "z2 = W2 a1 + b2", outputs),
        _column("a2", f"a2 = {σ}", outputs),
    )
    steps = (f'<div class="step"><span aria-hidden="true">→</span>{column}</div>' for column in others)
    return first + "".join(steps)


def _plane(
    X: np.ndarray,
    colouring: _Colouring,
    names: Sequence[str],
    low: np.ndarray,
    high: np.ndarray,
    classifies: bool,
) -> str:
    """The picture: the examples, the axes, and the point that the reader moves."""
    left, top, side = FRAME
    bottom, right = top + side, left + side
    across, up = (X - low[:, None]) / (high - low)[:, None] * side
    starts = [f"M{left + x:.1f},{bottom - y:.1f}" for x, y in zip(across, up, strict=True)]
    marks = "".join(
        f'<path fill="{colour}" d="{"".join(starts[i] + outline for i in np.flatnonzero(colouring.group == k))}"/>'
        for k, (colour, outline) in enumerate(zip(colouring.colours, colouring.outlines, strict=True))
    )
    ticks = "".join(
        f'<text x="{left + (t - low[0]) / (high[0] - low[0]) * side:.1f}" y="{bottom + 16}" text-anchor="middle">'
        f"{t:.6g}</text>"
        for t in _ticks(low[0], high[0])
    ) + "".join(
        f'<text x="{left - 6}" y="{bottom - (t - low[1]) / (high[1] - low[1]) * side + 4:.1f}" text-anchor="end">'
        f"{t:.6g}</text>"
        for t in _ticks(low[1], high[1])
    )
    return (
        '<svg viewBox="0 0 460 430" role="group" aria-label="The plane of the two features">\n'
        f'<image class="region" x="{left}" y="{top}" width="{side}" height="{side}" preserveAspectRatio="none" '
        f'opacity="{0.25 if classifies else 0.8}"/>\n'
        f'<rect x="{left}" y="{top}" width="{side}" height="{side}" fill="none" stroke="#999"/>\n'
        f'<g fill="#333">{ticks}\n<text x="{(left + right) / 2}" y="{bottom + 31}" text-anchor="middle">'
        f'{escape(names[0])}</text>\n<text transform="translate(13, {(top + bottom) / 2}) rotate(-90)" '
        f'text-anchor="middle">{escape(names[1])}</text></g>\n'
        f'<g stroke="{"#fff" if classifies else "#333"}" stroke-width="0.5">{marks}</g>\n'
        '<g class="handle" tabindex="0" role="slider" aria-label="the point x; the arrow keys move it" '
        f'aria-valuemin="{low[0]:.6g}" aria-valuemax="{high[0]:.6g}">'
        '<circle class="ring" r="20" fill="transparent"/><circle class="grip" r="7"/></g>\n</svg>\n'
    )


def _outline(c: int) -> str:
    """A class's mark, as in `plots`: when the colours repeat, the shapes differ."""
    return OUTLINES[(c + c // len(plots.COLOURS)) % len(OUTLINES)]


def _ticks(low: float, high: float) -> np.ndarray:
    """Round numbers from low to high, about four to nine."""
    rough = (high - low) / 5
    power = 10 ** np.floor(np.log10(rough))
    step = power * max(factor for factor in (1, 2, 5) if factor * power <= rough)
    return np.arange(np.ceil(low / step), np.floor(high / step) + 1) * step + 0.0


def _column(name: str, equation: str, rows: list[str], note: str = "") -> str:
    """A vector with its equation and shape; the script writes the numbers."""
    cells = "".join(f'<tr><th scope="row">{escape(row)}</th><td></td></tr>' for row in rows[:MOST_ROWS])
    more = f"<small>and {len(rows) - MOST_ROWS:,} more</small>" if len(rows) > MOST_ROWS else ""
    below = f", {note}" if note else ""
    return (
        f'<figure class="column"><figcaption>{equation} <small>({len(rows):,}, 1){below}</small></figcaption>'
        f'<table data-column="{name}"><tbody>{cells}</tbody></table>{more}</figure>'
    )


def _matrix(name: str, W: np.ndarray) -> str:
    part = W[:MOST_ROWS, :MOST_ROWS]
    rows = "".join(f"<tr>{''.join(f'<td>{_shown(w)}</td>' for w in row)}</tr>" for row in part)
    more = f"<small>its first {part.shape[0]} rows and {part.shape[1]} columns</small>" if part.size < W.size else ""
    return (
        f'<figure class="matrix"><figcaption>{name} ({W.shape[0]:,}, {W.shape[1]:,})</figcaption>'
        f"<table><tbody>{rows}</tbody></table>{more}</figure>"
    )


def _shown(v: float) -> str:
    """As `forward_pass.js` writes numbers."""
    return f"{v:.3f}" if v == 0 or 0.0005 <= abs(v) < 1e5 else f"{v:.2e}"
