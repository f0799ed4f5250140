"""`fit_evidence`: train, ask the evidence for a better l2 and noise, and train on, until they stand still.

It needs no validation set: every example trains the network. As MATLAB's `trainbr` (Foresee and Hagan 1997) it takes
MacKay's updates (`gaussian.py`), but from minimum to minimum, and none that lowers the evidence (`climbing.py`).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array
from jax.typing import ArrayLike

from jaxshallow.bayes.climbing import Climb, Point
from jaxshallow.bayes.gaussian import check, compiled_posterior, posterior_of
from jaxshallow.bayes.posterior import Posterior
from jaxshallow.bayes.starts import Task, checked_starts, trained
from jaxshallow.bounded import bounded_jit
from jaxshallow.checks import check_tol
from jaxshallow.params import Params, check_sizes

FIRST = (100.0, 10.0, 1.0, 0.1, 0.01, 0.001)  # noise falls with l2
STILL = 0.01  # of a log likelihood, in the epochs of `patience`
SMALL_NOISE = 0.1  # of the deviation of the targets, before it is known


class EvidenceHistory(NamedTuple):
    """Of the best start, one entry for each l2 that was tried.

    Attributes:
        l2: (tried,) the strength of the weight decay.
        noise: (tried,) that is left of the targets; None for heads without.
        log_evidence: (tried,) −∞ where there is no posterior.
    """

    l2: np.ndarray
    noise: np.ndarray | None
    log_evidence: np.ndarray


class Evidence(NamedTuple):
    """What `fit_evidence` returns: the best start.

    Attributes:
        params: the trained network.
        l2: strength of its weight decay.
        noise: standard deviation of the noise of Y; None for heads without.
        log_evidence: the highest of all starts.
        posterior: the network's, as `laplace` gives it.
        history: `EvidenceHistory`.
        evidences: (K,) the highest log evidence of each start; −∞ where there is none.
        best: the number of the best start.
        networks, l2s: of each start, where its evidence is the highest.
    """

    params: Params
    l2: float
    noise: float | None
    log_evidence: float
    posterior: Posterior
    history: EvidenceHistory
    evidences: np.ndarray
    best: int
    networks: list[Params]
    l2s: np.ndarray


def fit_evidence(
    params: Params | Sequence[Params],
    X: ArrayLike,
    Y: ArrayLike,
    *,
    weights: ArrayLike | None = None,
    l2: ArrayLike | None = None,
    noise: ArrayLike | None = None,
    rounds: int = 30,
    tol: float = 0.05,
    epochs: int = 200,
    patience: int = 10,
    optimizer: str | Callable[..., optax.GradientTransformation] = "levenberg_marquardt",
) -> Evidence:
    """Train a network and find its weight decay, and the noise of its targets, by the evidence: no validation set.

    Give several starts, and the best evidence wins. They may have different activations and widths, so that the
    evidence chooses n_h too; of equal ones, take the smaller.

    Scale the features and the targets to about mean 0 and deviation 1: one l2 is for both layers.

    Args:
        params: the network to start from, or several, in one list, with the same head.
        X: (n_x, m) examples as columns.
        Y: (n_y, m) targets as columns.
        weights: (m,) weight of each example, which counts it so many times.
        l2: strength of the weight decay to begin with, > 0; None: `FIRST`, all of them, and the best of them goes on.
        noise: standard deviation of the noise of Y, > 0; None: it is found. For identity only.
        rounds: of training and update, at most.
        tol: l2 stands still if its next step is at most this share.
        epochs, patience: a round ends after so many epochs, or so many in which the cost falls by next to nothing.
        optimizer: as in `fit_many`. For more than some thousand parameters, "lbfgs".

    Returns:
        `Evidence` with `params`, `l2`, `noise`, `posterior`.

    A warning says if l2 has not come to rest: after `rounds`, or since the dtype holds no posterior where it leads, as
    single precision may not where targets have no noise.

    Raises:
        ValueError, TypeError: as `laplace` and `fit_many`; Y is constant (identity); no start has a posterior.

    Example:
        >>> from jaxshallow import init
        >>> X = jnp.linspace(-2.0, 2.0, 50)[None]
        >>> Y = jnp.sin(2 * X) + 0.1 * jax.random.normal(jax.random.key(1), X.shape)
        >>> starts = [
        ...     init(key, n_x=1, n_h=4, hidden="tanh", output="identity", scale=1.0)
        ...     for key in jax.random.split(jax.random.key(0), 4)
        ... ]
        >>> found = fit_evidence(starts, X, Y)
        >>> bool(0.07 < found.noise < 0.13)
        True
    """
    check_sizes(rounds=rounds)
    check_tol(tol)
    networks, task = checked_starts("fit_evidence", params, X, Y, weights, FIRST[0] if l2 is None else l2, noise)
    if networks[0].output == "identity" and float(jnp.ptp(task.Y, axis=1).max()) == 0:
        raise ValueError("Y must vary: in constant targets there is nothing to learn, and no noise to find")
    first = FIRST if l2 is None else [float(task.l2)]
    climbs = climbed(networks, task, first, tol, rounds, epochs=epochs, patience=patience, optimizer=optimizer)

    evidences = np.array([climb.best.log_evidence for climb in climbs])
    best = max(range(len(climbs)), key=lambda k: (climbs[k].best.worth, evidences[k]))
    top = climbs[best].best
    warn_of_no_rest(climbs[best], rounds, task)
    last = compiled_posterior(top.params, *task._replace(l2=jnp.asarray(top.l2, task.X.dtype)))
    check(last, stacklevel=3)
    posterior = last.posterior
    l2s, noises, log_evidences = (np.array(column) for column in list(zip(*climbs[best].points, strict=True))[:3])
    return Evidence(
        params=posterior.params,
        l2=top.l2,
        noise=None if posterior.noise is None else top.noise,
        log_evidence=top.log_evidence,
        posterior=posterior,
        history=EvidenceHistory(l2s, None if posterior.noise is None else noises, log_evidences),
        evidences=evidences,
        best=best,
        networks=[climb.best.params for climb in climbs],
        l2s=np.array([climb.best.l2 for climb in climbs]),
    )


def climbed(
    networks: list[Params], task: Task, first: Sequence[float], tol: float, rounds: int, **options: Any
) -> list[Climb]:
    """The climb of each start: every l2 of `first`, falling, and then those that the evidence asks for.

    One program serves all rounds, since all of them train as many networks.
    """
    total = task.X.shape[1] if task.weights is None else float(task.weights.sum())
    eps = float(jnp.finfo(task.X.dtype).eps)
    noise = SMALL_NOISE * float(jnp.std(task.Y)) if networks[0].output == "identity" else 1.0
    climbs = [Climb([], tol) for _ in networks]

    def seen(starts: Sequence[Params], l2s: list[float]) -> list[Point]:
        """Train networks until their log likelihoods stand still, and ask the evidence of each."""
        least = min([noise, *(point.noise for climb in climbs for point in climb.points)])
        tried = trained(starts, task, l2s, tol=STILL * least**2 / total, **options)
        found = zip(l2s, *looked_at(tried, task, np.array(l2s)), tried, strict=True)
        return [Point(*one).within(total * eps, total / eps) for one in found]  # beyond, λ is as 0, or all is

    for l2 in first:
        for climb, point in zip(climbs, seen(networks, [l2] * len(networks)), strict=True):
            climb.points.append(point)
        if all(climb.points[-1].asks_for_more for climb in climbs):
            break  # and so would those with less
    for _ in range(rounds - 1):
        if not any(climb.moves for climb in climbs):
            break
        points = seen([climb.best.params for climb in climbs], [climb.next_l2 for climb in climbs])
        for climb, point in zip(climbs, points, strict=True):
            if climb.moves:
                climb.points.append(point)
    return climbs


def warn_of_no_rest(climb: Climb, rounds: int, task: Task) -> None:
    """Say if l2 has not come to rest."""
    best, at_an_edge = climb.best, climb.at_an_edge
    if not at_an_edge and not climb.moves:
        return
    if at_an_edge:
        problem, fix = f"there is no posterior in {task.X.dtype} after the step", "use float64, or give the noise"
    else:
        problem, fix = f"the last step of {rounds} rounds was", "raise rounds, or tol"
    step = f"from {best.l2:.3g} to {climb.next_l2:.3g}"
    warnings.warn(f"l2 has not come to rest: {problem} {step}; {fix}", stacklevel=3)


def looked_at(networks: list[Params], task: Task, l2s: np.ndarray) -> np.ndarray:
    """(3, K) noise, log evidence and next l2 of each network: one program for those of one form."""
    forms = [(jax.tree.structure(one), one.W1.shape) for one in networks]
    found = np.full((3, len(networks)), np.nan)
    for form in dict.fromkeys(forms):
        members = [k for k, other in enumerate(forms) if other == form]
        stack = jax.tree.map(lambda *leaves: np.stack(leaves), *(networks[k] for k in members))
        found[:, members] = posteriors(stack, task, l2s[members].astype(task.X.dtype))
    return found


@bounded_jit
def posteriors(stack: Params, task: Task, l2s: Array) -> tuple[Array, Array, Array]:
    """Noise, log evidence and next l2 of each network, leaves (K, ...): one after another, so that one R is kept."""

    def one(of: tuple[Params, Array]) -> tuple[Array, Array, Array]:
        params, l2 = of
        posterior = posterior_of(params, *task._replace(l2=l2)).posterior
        own = jnp.ones((), l2.dtype) if posterior.noise is None else posterior.noise
        return own, posterior.log_evidence, posterior.next_l2

    found: tuple[Array, Array, Array] = jax.lax.map(one, (stack, l2s))
    return found
