"""Pictures of times: executions against the number of examples, and this library against others."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from jaxshallow.plots.figures import COLOURS, MARKERS


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

    Points, not bars: on an axis without 0 a bar's length means nothing.
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
