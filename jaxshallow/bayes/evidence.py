"""`fit_evidence`: train, ask the evidence for a better l2 and noise, and train on, until they stand still.

The updates are MacKay's (`gaussian.py`), and they need no validation set: every example trains the network. As MATLAB's
`trainbr` does it (Foresee and Hagan 1997), but from minimum to minimum.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array
from jax.typing import ArrayLike

from jaxshallow.bayes.gaussian import check, compiled_posterior, posterior_of
from jaxshallow.bayes.posterior import Posterior
from jaxshallow.bayes.starts import Task, checked_starts, trained
from jaxshallow.bounded import bounded_jit
from jaxshallow.checks import check_tol
from jaxshallow.params import Params, check_sizes


class EvidenceHistory(NamedTuple):
    """Of the best start, one entry for each round.

    Attributes:
        l2: (rounds,) the strength of the weight decay that the round trained with.
        noise: (rounds,) that it left; None for heads without.
        log_evidence: (rounds,) at its end.
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
        evidences: (K,) the last log evidence of each start; −∞ where there is none.
        best: the number of the best start.
    """

    params: Params
    l2: float
    noise: float | None
    log_evidence: float
    posterior: Posterior
    history: EvidenceHistory
    evidences: np.ndarray
    best: int


def fit_evidence(
    params: Params | Sequence[Params],
    X: ArrayLike,
    Y: ArrayLike,
    *,
    weights: ArrayLike | None = None,
    l2: ArrayLike = 0.01,
    noise: ArrayLike | None = None,
    rounds: int = 30,
    tol: float = 0.01,
    epochs: int = 200,
    patience: int = 20,
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
        l2: strength of the weight decay in the first round, > 0. Too much of it switches hidden units off for good.
        noise: standard deviation of the noise of Y, > 0; None: it is found. For identity only.
        rounds: of training and update, at most.
        tol: l2 stands still if it changes by at most this share.
        epochs, patience: a round ends after so many epochs, or so many without a lower cost.
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
    networks, task = checked_starts("fit_evidence", params, X, Y, weights, l2, noise)
    if networks[0].output == "identity" and float(jnp.ptp(task.Y, axis=1).max()) == 0:
        raise ValueError("Y must vary: in constant targets there is nothing to learn, and no noise to find")
    total = task.X.shape[1] if task.weights is None else float(task.weights.sum())
    eps = float(jnp.finfo(task.X.dtype).eps)

    seen: list[Round] = []
    l2s, stuck = np.full(len(networks), float(task.l2)), np.zeros(len(networks), bool)
    for _ in range(rounds):
        tried = trained(networks, task, l2s.tolist(), epochs=epochs, patience=patience, optimizer=optimizer)
        found = looked_at(tried, task, l2s)
        fails = ~np.isfinite(found.log_evidence)
        if seen:  # a start without a posterior goes back to the last it had, and stays there
            found = Round(*(np.where(fails, *both) for both in zip(seen[-1], found, strict=True)))
        networks = [old if fail else new for old, new, fail in zip(networks, tried, fails, strict=True)]
        seen.append(found)
        stuck |= fails
        wanted = np.clip(found.next_l2, total * eps, total / eps)  # beyond, λ is as 0, or all is
        moves = abs(np.log(wanted / found.l2)) > tol
        l2s = np.where(moves & ~stuck, wanted, found.l2)
        if not (moves & ~stuck).any():
            break

    evidences = np.where(np.isfinite(found.log_evidence), found.log_evidence, -np.inf)
    best = int(np.argmax(evidences))
    if moves[best]:
        step = f"from {found.l2[best]:.3g} to {wanted[best]:.3g}"
        if stuck[best]:
            problem, fix = f"there is no posterior in {task.X.dtype} after the step", "use float64, or give the noise"
        else:
            problem, fix = f"the last step of {len(seen)} rounds was", "raise rounds, or tol"
        warnings.warn(f"l2 has not come to rest: {problem} {step}; {fix}", stacklevel=2)
    history = Round(*(np.array([getattr(one, name)[best] for one in seen]) for name in Round._fields))
    last = compiled_posterior(networks[best], *task._replace(l2=jnp.asarray(history.l2[-1], task.X.dtype)))
    check(last, stacklevel=3)
    posterior = last.posterior
    return Evidence(
        params=posterior.params,
        l2=float(history.l2[-1]),
        noise=None if posterior.noise is None else float(history.noise[-1]),
        log_evidence=float(evidences[best]),
        posterior=posterior,
        history=EvidenceHistory(history.l2, None if posterior.noise is None else history.noise, history.log_evidence),
        evidences=evidences,
        best=best,
    )


class Round(NamedTuple):
    """Of each start, (K,), what the evidence says at the end of a round."""

    l2: np.ndarray
    noise: np.ndarray
    log_evidence: np.ndarray
    next_l2: np.ndarray


def looked_at(networks: list[Params], task: Task, l2s: np.ndarray) -> Round:
    """What the evidence says of each network: one program for those of one form."""
    forms = [(jax.tree.structure(one), one.W1.shape) for one in networks]
    found = np.full((3, len(networks)), np.nan)
    for form in dict.fromkeys(forms):
        members = [k for k, other in enumerate(forms) if other == form]
        stack = jax.tree.map(lambda *leaves: np.stack(leaves), *(networks[k] for k in members))
        found[:, members] = posteriors(stack, task, l2s[members].astype(task.X.dtype))
    return Round(l2s, *found)


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
