"""Training in NumPy: the epochs of `training.epochs`, by the rules of the estimators, of some networks side by side."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxshallow.estimators.examples import Examples
from jaxshallow.estimators.numpy_network import Batch, Network, params_of, vector_of
from jaxshallow.estimators.numpy_solvers import Solver
from jaxshallow.estimators.results import many_of
from jaxshallow.estimators.threads import one_blas_thread
from jaxshallow.many import Many, Progress
from jaxshallow.params import Params
from jaxshallow.training.epochs import History, State, epoch_order


class Shared(NamedTuple):
    """What the networks of a run share.

    Attributes:
        examples, validation: as rows, in the dtype of computation.
        batch_size: None: full batch.
        key_words: of the order of minibatches, as in `epoch_order`.
        shuffle: False: minibatches are consecutive examples.
        epochs, epochs_before, patience, tol, callback: as in `fit_many`.
        on_plateau: as in `Rules`.
    """

    examples: Examples
    validation: Examples | None
    batch_size: int | None
    key_words: list[int]
    shuffle: bool
    epochs: int
    epochs_before: int
    patience: int
    tol: float
    callback: Callable[[Progress], Any] | None
    on_plateau: Callable[[Any], tuple[Any, Any]] | None


class Course(NamedTuple):
    """A network on its way: the `State` of `training.epochs`, with all weights in one vector.

    Attributes:
        theta: W1, b1, W2, b2, one behind the other.
        memory: the solver's state.
        best_cost, idle_epochs: as there.
        best: the weights of the lowest validation cost; None where there is no validation.
        epochs: of this shared.
        lost: whether the cost of the last was not finite.
    """

    theta: np.ndarray
    memory: Any
    best_cost: float
    idle_epochs: int
    best: np.ndarray | None
    epochs: int = 0
    lost: bool = False


# ---- from `State` and back ----


def course_of(state: State, solver: Solver) -> Course:
    """The way on from a state that `watched` has seen; its optimizer is new where it has none."""

    def is_params(node: Any) -> bool:
        return isinstance(node, Params)

    theta, best = vector_of(state.params), state.best_params and vector_of(state.best_params)
    memory = solver.init(theta)
    if state.opt_state is not None:
        memory = jax.tree.map(
            lambda node: vector_of(node) if is_params(node) else node, state.opt_state, is_leaf=is_params
        )
    return Course(theta, memory, float(state.best_cost), int(state.idle_epochs), best)


def state_of_course(course: Course, like: Params) -> State:
    """The state of a course; `like` is a network of its shapes."""
    memory = jax.tree.map(lambda leaf: params_of(leaf, like) if np.ndim(leaf) else leaf, course.memory)
    best = None if course.best is None else params_of(course.best, like)
    return State(params_of(course.theta, like), memory, course.best_cost, np.int32(course.idle_epochs), best)


# ---- epochs ----


class Training:
    """The networks of a run, and what has become of them.

    Attributes:
        courses: of each network, after its last whole epoch.
        history: as in `Many`.
    """

    def __init__(
        self, shared: Shared, networks: Sequence[Network], solvers: Sequence[Solver], courses: Sequence[Course]
    ) -> None:
        self.shared, self.networks, self.solvers, self.courses = shared, networks, solvers, list(courses)
        self.validation = None if shared.validation is None else Batch.of(shared.validation)
        curves = [np.full((len(networks), shared.epochs), np.nan) for _ in range(3 if shared.validation else 1)]
        self.history = History(*curves)
        self.since = time.monotonic()

    @property
    def going_on(self) -> dict[int, Course]:
        """The networks that have not stopped, by their numbers."""
        return {
            k: course
            for k, course in enumerate(self.courses)
            if course.epochs < self.shared.epochs and course.idle_epochs < self.shared.patience and not course.lost
        }

    def epoch(self, number: int, courses: dict[int, Course]) -> None:
        """Train some of the networks for an epoch."""
        total = dict.fromkeys(courses, 0.0)
        for batch in batches(self.shared, number):
            for k, course in courses.items():
                J, slope = self.networks[k].cost_and_slope(course.theta, batch)
                update, memory = self.solvers[k].update(slope, course.memory)
                courses[k] = course._replace(theta=course.theta + update, memory=memory)
                total[k] += float(J) * batch.X.shape[1]
        for k, course in courses.items():
            cost = total[k] / len(self.shared.examples.X)
            validated = self.validation and self.networks[k].validated(course.theta, self.validation)
            seen = (cost, *(validated or ()))
            for curve, value in zip(self.history, seen, strict=False):
                curve[k, number] = value
            # If Ctrl-C comes before this, the network is as it was after the epoch before.
            self.courses[k] = self._after(course, cost, validated[0] if validated else cost)

    def _after(self, course: Course, cost: float, now: float) -> Course:
        """The course after an epoch, with what `patience` needs, as in `training.epochs`; `now` is the cost it watches."""
        shared, lower = self.shared, now < course.best_cost
        idle, memory = 0 if now < course.best_cost - shared.tol else course.idle_epochs + 1, course.memory
        if shared.on_plateau and idle >= shared.patience:
            memory, stops = shared.on_plateau(memory)
            idle = idle if stops else 0
        best = course.theta if lower and shared.validation else course.best
        best_cost = now if lower else course.best_cost
        return Course(course.theta, memory, best_cost, idle, best, course.epochs + 1, not np.isfinite(cost))

    def many(self, configs: Sequence[Mapping[str, Any]], *, finished: bool) -> Many:
        """The result so far."""
        epochs = np.array([course.epochs for course in self.courses])
        lost = np.array([course.lost for course in self.courses])
        states = [state_of_course(course, one.like) for course, one in zip(self.courses, self.networks, strict=True)]
        return many_of(configs, states, self.history, epochs, np.where(lost, epochs - 1, -1), finished=finished)

    def progress(self, configs: Sequence[Mapping[str, Any]]) -> Progress:
        """What a callback sees."""
        going_on = self.going_on
        epochs = np.array([course.epochs for course in self.courses])
        shares = [course.epochs / self.shared.epochs if k in going_on else 1.0 for k, course in enumerate(self.courses)]
        share, seconds = float(np.mean(shares)), time.monotonic() - self.since
        watched = self.history[0] if self.history[1] is None else self.history[1]
        lowest = np.fmin.reduce(watched, axis=1)
        many = partial(self.many, configs, finished=False)
        return Progress(share, float(np.fmin.reduce(lowest)), lowest, epochs, seconds, seconds / share - seconds, many)


def batches(shared: Shared, epoch: int) -> Iterator[Batch]:
    """The minibatches of an epoch; the last has what is left."""
    m = len(shared.examples.X)
    if shared.batch_size is None:
        yield Batch.of(shared.examples)
        return
    order = epoch_order(shared.key_words, shared.epochs_before + epoch, m, shared.batch_size).ravel() if shared.shuffle else None
    for first in range(0, m, shared.batch_size):
        rows = slice(first, min(first + shared.batch_size, m))
        yield Batch.of(shared.examples.rows(rows if order is None else order[rows]))


def train_in_numpy(
    shared: Shared, networks: Sequence[Network], solvers: Sequence[Solver], states: Sequence[State], configs: Sequence[Any]
) -> Many:
    """Train networks side by side, as `fit_many` does.

    Args:
        shared: what they share.
        networks, solvers: of each.
        states: where they begin, as `watched` leaves them; an optimizer's state of None is new.
        configs: of the networks, for the result.
    """
    courses = [course_of(*pair) for pair in zip(states, solvers, strict=True)]
    training = Training(shared, networks, solvers, courses)
    try:
        # A network that diverges is known by its cost.
        with one_blas_thread(), np.errstate(all="ignore"):
            for number in range(shared.epochs):
                if not (going_on := training.going_on):
                    break
                training.epoch(number, going_on)
                if shared.callback and shared.callback(training.progress(configs)):
                    return training.many(configs, finished=False)
    except KeyboardInterrupt:
        return training.many(configs, finished=False)
    return training.many(configs, finished=True)
