"""`label_audit`: which labels are most likely wrong?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import optax
from jax.typing import ArrayLike

from jaxshallow.activations import OUTPUTS
from jaxshallow.bayes.gaussian import compiled_posterior, refuse
from jaxshallow.bayes.leaving_out import unseen, with_hessian
from jaxshallow.bayes.starts import checked_starts, trained
from jaxshallow.params import Params


class LabelAudit(NamedTuple):
    """What `label_audit` returns.

    Attributes:
        losses: (m,) the loss of each label by networks that have not seen it, the mean over the starts.
        order: (m,) the examples, most suspicious first.
        A2: (n_y, m) what these networks predict, the mean over the starts: what the label might be instead.
    """

    losses: np.ndarray
    order: np.ndarray
    A2: np.ndarray


def label_audit(
    params: Params | Sequence[Params],
    X: ArrayLike,
    Y: ArrayLike,
    *,
    l2: ArrayLike,
    weights: ArrayLike | None = None,
    epochs: int = 200,
    patience: int = 20,
    optimizer: str | Callable[..., optax.GradientTransformation] = "levenberg_marquardt",
) -> LabelAudit:
    """Which labels are most likely wrong? Those that surprise networks which have not seen them.

    A network that has seen a wrong label may have learnt it. So its loss is that of `leave_one_out`, the mean over
    several starts, which agree on wrong labels more than on what else is hard. They are trained here; that they come to
    rest is not needed. It serves targets of any head: of numbers, it finds outliers.

    Args:
        params: the network to start from, or several, with the same head.
        X: (n_x, m) examples as columns.
        Y: (n_y, m) targets as columns.
        l2: strength of the weight decay, > 0. Rather too much than too little: where a network could fit every label,
            the step to the network without one is long, and the ranking is rough.
        weights: (m,) weight of each example.
        epochs, patience: training ends after so many epochs, or so many without a lower cost.
        optimizer: as in `fit_many`. For more than some hundred parameters, "lbfgs" is faster.

    Returns:
        `LabelAudit` with `losses`, `order`, `A2`.

    Raises:
        ValueError, TypeError: as `laplace` and `fit_many`.

    Example:
        >>> import jax
        >>> from jaxshallow import init
        >>> X = jax.random.normal(jax.random.key(1), (2, 60))
        >>> Y = (X[:1] + X[1:] > 0).astype(float)
        >>> clearest = int(abs(X.sum(axis=0)).argmax())
        >>> wrong = Y.at[:, clearest].set(1 - Y[:, clearest])
        >>> starts = [init(key, 2, 3, hidden="tanh", scale=1.0) for key in jax.random.split(jax.random.key(0), 2)]
        >>> bool(label_audit(starts, X, wrong, l2=1.0).order[0] == clearest)
        True
    """
    networks, task = checked_starts("label_audit", params, X, Y, weights, l2, None)
    alike = [float(task.l2)] * len(networks)
    networks = trained(networks, task, alike, epochs=epochs, patience=patience, optimizer=optimizer)
    head = OUTPUTS[networks[0].output]
    losses, A2 = [], []
    for network in networks:
        found = compiled_posterior(network, *task)
        refuse(found)
        posterior = with_hessian(found.posterior, task.X, task.Y, task.weights)
        Z2 = unseen(posterior, task.X, task.Y, task.weights)
        losses.append(np.asarray(head.loss(Z2, task.Y)))
        A2.append(np.asarray(head.activation(Z2)))
    mean = np.mean(losses, axis=0)
    return LabelAudit(mean, np.argsort(-mean, kind="stable"), np.mean(A2, axis=0))
