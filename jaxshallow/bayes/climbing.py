"""The highest evidence of one start, over log l2: MacKay's step while it climbs, else a parabola.

MacKay's update takes the curvature for constant. Where a network has more hidden units than the data determine, it is
not, and his steps lead down past the highest evidence, to a network that fits the noise. So no step down is kept that
lowers it. Steps up always are: with so little weight decay that he asks for more, outputs saturate, the curvature
vanishes, and what is called the evidence is none.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from jaxshallow.params import Params

LONGEST = math.log(10)  # step of log l2
FREE = 0.1  # step of log l2 up that may be left undone
HALF = 0.5  # a weight: a network with less is switched off
CLEAR = 0.9  # of the way to a point that is lower: what goes further is refuted


class Point(NamedTuple):
    """What the evidence says of the network at the minimum of the cost with one l2.

    Attributes:
        log_evidence: −∞ where there is no posterior.
        next_l2: of MacKay's update.
    """

    l2: float
    noise: float
    log_evidence: float
    next_l2: float
    params: Params

    @property
    def worth(self) -> float:
        """The log evidence, or −∞ where MacKay asks for more weight decay."""
        return -math.inf if self.asks_for_more else self.log_evidence

    @property
    def asks_for_more(self) -> bool:
        return math.log(self.next_l2 / self.l2) > FREE

    @property
    def determined(self) -> float:
        """How many weights the data determine, γ without the biases' share: of a network that is switched off, none."""
        squares = sum(float(np.sum(np.square(W))) for W in (self.params.W1, self.params.W2))
        return self.next_l2 * squares / self.noise**2

    def within(self, low: float, high: float) -> Point:
        """The same, whose next l2 lies between these, and is its own where nothing could tell of a better one."""
        if not math.isfinite(self.log_evidence):
            return self._replace(log_evidence=-math.inf, next_l2=self.l2)
        if self.determined < HALF:
            return self._replace(next_l2=self.l2)
        return self._replace(next_l2=min(max(self.next_l2, low), high))


@dataclass
class Climb:
    """The points of one start, in the order in which they were tried.

    Attributes:
        tol: a step of l2 by at most this share is none.
    """

    points: list[Point]
    tol: float

    @property
    def best(self) -> Point:
        """The point of the most worth; if none has any, that of the most weight decay."""
        return max(self.points, key=lambda point: (point.worth, point.l2))

    @property
    def moves(self) -> bool:
        return self.next_l2 != self.best.l2

    @property
    def next_l2(self) -> float:
        """The first step of `steps` that is one; without a posterior, to more weight decay."""
        best = self.best
        if not math.isfinite(best.log_evidence):
            return best.l2 * math.exp(LONGEST)
        return next((best.l2 * math.exp(step) for step in self.steps if abs(step) > self.tol), best.l2)

    @property
    def steps(self) -> Iterator[float]:
        """Steps of log l2 to consider, in this order: MacKay's, unless it is refuted, and within the neighbours."""
        x, (below, above) = math.log(self.best.l2), self.neighbours
        beyond = above if self.step > 0 else below
        if beyond is None or abs(self.step) < CLEAR * abs(math.log(beyond.l2) - x):
            yield self.step
        if below and above and math.isfinite(below.worth) and math.isfinite(above.worth):
            yield vertex(below, self.best, above) - x
        elif beyond is not None:
            yield (math.log(beyond.l2) - x) / 2

    @property
    def step(self) -> float:
        """MacKay's step of log l2 from the best, or `LONGEST` in its direction."""
        return min(max(math.log(self.best.next_l2 / self.best.l2), -LONGEST), LONGEST)

    @property
    def neighbours(self) -> tuple[Point | None, Point | None]:
        """The points next to the best, below it and above."""
        l2 = self.best.l2
        below = max((point for point in self.points if point.l2 < l2), key=lambda point: point.l2, default=None)
        above = min((point for point in self.points if point.l2 > l2), key=lambda point: point.l2, default=None)
        return below, above

    @property
    def at_an_edge(self) -> bool:
        """Whether MacKay's step leads to where there is no posterior."""
        beyond = self.neighbours[self.step > 0]
        return abs(self.step) > self.tol and beyond is not None and not math.isfinite(beyond.log_evidence)


def vertex(below: Point, best: Point, above: Point) -> float:
    """The log l2 of the top of the parabola through three points, of which the middle one is the highest."""
    x = math.log(best.l2)
    left, right = x - math.log(below.l2), math.log(above.l2) - x
    falls_left, falls_right = best.worth - below.worth, best.worth - above.worth
    steepness = left * falls_right + right * falls_left
    return x + (right**2 * falls_left - left**2 * falls_right) / (2 * steepness) if steepness else x
