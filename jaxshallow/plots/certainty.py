"""Pictures of how sure a network is: error bands, the evidence for weight decays, leaving examples out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import ArrayLike

from jaxshallow.plots.figures import COLOURS, MANY, plain, shortened

if TYPE_CHECKING:
    from jaxshallow.bayes import Gaussian

BEYOND = 0.25  # of the examples' range, to each side: there the band opens


def error_band(
    ax: Axes, model: Gaussian, X: ArrayLike, Y: ArrayLike, *, names: tuple[str, str] = ("x", "y"), points: int = 300
) -> Axes:
    """The examples, the network's curve, and the band in which 95 % of new targets are expected.

    Args:
        ax: where to draw.
        model: a posterior of a network with one feature, that predicts one number.
        X: (1, m) examples as columns.
        Y: (1, m) targets as columns.
        names: of x and y.
        points: of the curve.

    Raises:
        ValueError: X or Y has more than one row, or the network predicts classes.
    """
    X, Y = np.asarray(X, float), np.asarray(Y, float)
    if len(X) != 1 or len(Y) != 1:
        raise ValueError(f"X and Y must be (1, m), got {X.shape} and {Y.shape}")
    aside = BEYOND * np.ptp(X)
    x = np.linspace(X.min() - aside, X.max() + aside, points)[None]
    columns = x.astype(np.asarray(model.root).dtype)
    mean, deviation = (np.asarray(part, float)[0] for part in model.predict(columns))
    own = np.asarray(model.predict(columns, include_noise=False)[1], float)[0]
    ax.fill_between(x[0], mean - 1.96 * deviation, mean + 1.96 * deviation, color=COLOURS[5], alpha=0.25, linewidth=0,
                    label="95 % of new targets")  # fmt: skip
    ax.fill_between(x[0], mean - 1.96 * own, mean + 1.96 * own, color=COLOURS[0], alpha=0.3, linewidth=0,
                    label="95 %, without noise")  # fmt: skip
    ax.plot(x[0], mean, color=COLOURS[0], label="the network")
    ax.plot(X[0], Y[0], "o", markersize=3, markeredgewidth=0, color=COLOURS[7], alpha=0.6,
            rasterized=X.shape[1] > MANY)  # fmt: skip
    low, high = Y.min(), Y.max()
    ax.set_ylim(low - (high - low) / 2, high + (high - low) / 2)
    ax.legend(frameon=False, fontsize=8, loc="best")
    ax.set(xlabel=plain(shortened(names[0], 32)), ylabel=plain(shortened(names[1], 32)))
    return ax


def evidence(ax: Axes, l2: ArrayLike, log_evidence: ArrayLike, best: float) -> Axes:
    """The log evidence of each weight decay that was tried, the one that was kept marked.

    Args:
        ax: where to draw.
        l2: (tried,) weight decays, in any order.
        log_evidence: (tried,) of each; those that are not finite are left out.
        best: the one that was kept.
    """
    l2, log_evidence = np.asarray(l2, float), np.asarray(log_evidence, float)
    seen = np.flatnonzero(np.isfinite(log_evidence))
    order = seen[np.argsort(l2[seen])]
    ax.plot(l2[order], log_evidence[order], "o-", color=COLOURS[0], markersize=4)
    at = int(np.argmin(abs(np.log(l2 / best))))
    ax.plot(l2[at], log_evidence[at], "o", color=COLOURS[4], markersize=9, label=f"kept: {best:.3g}")
    ax.set_xscale("log")
    ax.legend(frameon=False)
    ax.set(xlabel="weight decay l2", ylabel="log evidence")
    ax.grid(alpha=0.3)
    return ax


def foretold(ax: Axes, one_step: ArrayLike, trained_again: ArrayLike) -> Axes:
    """What leaving an example out does to its loss: by one step of Newton, against networks trained again without it.

    Args:
        ax: where to draw.
        one_step: (k,) the change of the loss of each example, as `influence` says it.
        trained_again: (k,) the same of networks that were trained without the example.

    Raises:
        ValueError: they are not of one length.
    """
    one_step, trained_again = np.asarray(one_step, float), np.asarray(trained_again, float)
    if one_step.ndim != 1 or one_step.shape != trained_again.shape:
        raise ValueError(f"one_step and trained_again must be (k,) both, got {one_step.shape}, {trained_again.shape}")
    both = np.concatenate([one_step, trained_again])
    ends = [both.min(), both.max()]
    ax.plot(ends, ends, "--", color="#777777", linewidth=1)
    ax.plot(one_step, trained_again, "o", color=COLOURS[0], markersize=5, alpha=0.6, markeredgewidth=0)
    ax.set(xlabel="change of an example's loss without it: one step", ylabel="trained again without it")
    ax.grid(alpha=0.3)
    return ax
