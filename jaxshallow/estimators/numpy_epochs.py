"""Training in NumPy: the epochs of `training.epochs`, by the rules of the estimators, of some networks side by side."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
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


class Member(NamedTuple):
    """What a network has of its own, and keeps.

    Attributes:
        config: as in `Many`.
        network: its shapes and its formula.
        solver: its optimizer.
    """

    config: Mapping[str, Any]
    network: Network
    solver: Solver


class Course(NamedTuple):
    """A network on its way: its `State`, with all weights in one vector.

    Attributes:
        theta: W1, b1, W2 and b2, one behind the other.
        memory: the solver's state.
        best_cost, idle_epochs: as in `State`.
        best: the weights of the lowest validation cost; None where there is no validation.
        epochs: how many it has had in this run.
        lost: whether the cost of the last was not finite.
    """

    theta: np.ndarray
    memory: Any
    best_cost: float
    idle_epochs: int
    best: np.ndarray | None
    epochs: int = 0
    lost: bool = False

    @classmethod
    def of(cls, state: State, solver: Solver) -> Course:
        """The way on from a state that `watched` has seen; its optimizer is new where it has none."""

        def is_params(node: Any) -> bool:
            return isinstance(node, Params)

        theta = vector_of(state.params)
        memory = solver.init(theta)
        if state.opt_state is not None:
            memory = jax.tree.map(
                lambda node: vector_of(node) if is_params(node) else node, state.opt_state, is_leaf=is_params
            )
        best = None if state.best_params is None else vector_of(state.best_params)
        return cls(theta, memory, float(state.best_cost), int(state.idle_epochs), best)

    def state(self, like: Params) -> State:
        """Its state; `like` is a network of its shapes."""
        memory = jax.tree.map(lambda leaf: params_of(leaf, like) if np.ndim(leaf) else leaf, self.memory)
        best = None if self.best is None else params_of(self.best, like)
        return State(params_of(self.theta, like), memory, self.best_cost, np.int32(self.idle_epochs), best)


def train_in_numpy(shared: Shared, members: Sequence[Member], states: Sequence[State]) -> Many:
    """Train networks side by side, as `fit_many` does.

    Args:
        shared: what they share.
        members: what each has of its own.
        states: where they begin, as `watched` leaves them; an optimizer's state of None is new.
    """
    courses = [Course.of(state, member.solver) for state, member in zip(states, members, strict=True)]
    training = Training(shared, members, courses)
    try:
        # A network that diverges is known by its cost.
        with one_blas_thread(), np.errstate(all="ignore"):
            for epoch in range(shared.epochs):
                if not (going_on := training.going_on):
                    break
                training.train(epoch, going_on)
                if shared.callback is not None and shared.callback(training.progress()):
                    return training.many(finished=False)
    except KeyboardInterrupt:
        return training.many(finished=False)
    return training.many(finished=True)


class Training:
    """The networks of a run, and what has become of them.

    Attributes:
        courses: of each network, after its last whole epoch.
        history: as in `Many`.
    """

    def __init__(self, shared: Shared, members: Sequence[Member], courses: Sequence[Course]) -> None:
        self.shared, self.members, self.courses = shared, members, list(courses)
        self._validation = None if shared.validation is None else Batch.of(shared.validation)
        self._curves = np.full((1 if shared.validation is None else 3, len(members), shared.epochs), np.nan)
        self.history = History(*self._curves)
        self._since = time.monotonic()

    @property
    def going_on(self) -> dict[int, Course]:
        """The networks that have not stopped, by their numbers."""
        epochs, patience = self.shared.epochs, self.shared.patience
        return {
            k: course
            for k, course in enumerate(self.courses)
            if course.epochs < epochs and course.idle_epochs < patience and not course.lost
        }

    def train(self, epoch: int, courses: dict[int, Course]) -> None:
        """Train some of the networks for an epoch."""
        total = dict.fromkeys(courses, 0.0)
        for batch in batches(self.shared, epoch):
            for k, course in courses.items():
                _, network, solver = self.members[k]
                J, slope = network.cost_and_slope(course.theta, batch)
                step, memory = solver.update(slope, course.memory)
                courses[k] = course._replace(theta=course.theta + step, memory=memory)
                total[k] += float(J) * batch.X.shape[1]
        for k, course in courses.items():
            seen = [total[k] / len(self.shared.examples.X)]
            if self._validation is not None:
                seen += self.members[k].network.validated(course.theta, self._validation)
            self._curves[:, k, epoch] = seen
            # If Ctrl-C comes before this, the network is as it was after the epoch before.
            self.courses[k] = after_epoch(course, seen, self.shared)

    def many(self, *, finished: bool) -> Many:
        """The result so far."""
        states = [course.state(member.network.like) for course, member in zip(self.courses, self.members, strict=True)]
        epochs, lost = np.array([(course.epochs, course.lost) for course in self.courses]).T
        configs = [member.config for member in self.members]
        return many_of(configs, states, self.history, epochs, np.where(lost, epochs - 1, -1), finished=finished)

    def progress(self) -> Progress:
        """What a callback sees."""
        going_on = self.going_on
        epochs = np.array([course.epochs for course in self.courses])
        ended = np.array([k not in going_on for k in range(len(self.courses))])
        share, seconds = float(np.where(ended, 1, epochs / self.shared.epochs).mean()), time.monotonic() - self._since
        lowest = np.fmin.reduce(self._curves[min(1, len(self._curves) - 1)], axis=1)
        return Progress(
            share=share,
            best=float(np.fmin.reduce(lowest)),
            lowest=lowest,
            epochs=epochs,
            seconds=seconds,
            seconds_left=seconds / share - seconds,
            many=lambda: self.many(finished=False),
        )


def batches(shared: Shared, epoch: int) -> Iterator[Batch]:
    """The minibatches of an epoch; the last has what is left."""
    examples, size, m = shared.examples, shared.batch_size, len(shared.examples.X)
    if size is None:
        yield Batch.of(examples)
        return
    order = np.arange(m)
    if shared.shuffle:
        order = epoch_order(shared.key_words, shared.epochs_before + epoch, m, size).ravel()
    for first in range(0, m, size):
        yield Batch.of(examples.rows(order[first : min(first + size, m)]))


def after_epoch(course: Course, seen: Sequence[float], shared: Shared) -> Course:
    """The course after an epoch, with what `patience` needs: is the cost the lowest so far? As in `training.epochs`.

    Args:
        course: with the epoch's weights.
        seen: its cost and, where there is validation, the validation cost and score.
        shared: of the run.
    """
    now, memory = seen[min(1, len(seen) - 1)], course.memory
    lower, idle = now < course.best_cost, 0 if now < course.best_cost - shared.tol else course.idle_epochs + 1
    if shared.on_plateau is not None and idle >= shared.patience:
        memory, stops = shared.on_plateau(memory)
        idle = idle if stops else 0
    return Course(
        theta=course.theta,
        memory=memory,
        best_cost=now if lower else course.best_cost,
        idle_epochs=idle,
        best=course.theta if lower and shared.validation is not None else course.best,
        epochs=course.epochs + 1,
        lost=not np.isfinite(seen[0]),
    )
