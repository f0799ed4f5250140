"""`trained_without`: the networks that have not seen an example, truly trained. `leave_one_out` foretells them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jax.typing import ArrayLike

from jaxshallow.bayes.starts import checked_starts, trained
from jaxshallow.params import Params


def trained_without(
    params: Params,
    X: ArrayLike,
    Y: ArrayLike,
    examples: Sequence[int],
    *,
    l2: ArrayLike,
    weights: ArrayLike | None = None,
    epochs: int = 100,
) -> list[Params]:
    """A network for each of some examples, which goes on from a trained one without it, to its own minimum.

    What `leave_one_out` and `influence` say in one step, in hundreds: to see how far they can be trusted.

    Args:
        params: the trained network.
        X: (n_x, m) the examples that it was trained on.
        Y: (n_y, m) their targets.
        examples: the numbers of those to leave out, one at a time.
        l2: strength of the weight decay that it was trained with, > 0.
        weights: (m,) weight of each example.
        epochs: of Levenberg-Marquardt, at most.

    Returns:
        A network for each of `examples`.

    Raises:
        ValueError, TypeError: as `laplace` and `fit_many`; an example is none.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> from jaxshallow import fit, init, leave_one_out, levenberg_marquardt
        >>> X = jnp.linspace(-2.0, 2.0, 40)[None]
        >>> Y = jnp.sin(2 * X) + 0.1 * jax.random.normal(jax.random.key(1), X.shape)
        >>> params = init(jax.random.key(0), n_x=1, n_h=4, hidden="tanh", output="identity", scale=1.0)
        >>> network = fit(params, X, Y, optimizer=levenberg_marquardt(), epochs=200, l2=0.01).params
        >>> (one,) = trained_without(network, X, Y, [3], l2=0.01)
        >>> truth = one.W2 @ jnp.tanh(one.W1 @ X[:, [3]] + one.b1) + one.b2
        >>> foretold = leave_one_out(network, X, Y, l2=0.01)[:, [3]]
        >>> bool(abs(truth - foretold).item() < 0.01)
        True
    """
    (network,), task = checked_starts(
        "trained_without", params, X, Y, weights, l2, 1.0 if params.output == "identity" else None
    )
    m = task.X.shape[1]
    chosen = np.asarray(examples)
    if chosen.ndim != 1 or chosen.dtype.kind not in "iu" or not ((chosen >= 0) & (chosen < m)).all():
        raise ValueError(f"examples must be numbers from 0 to {m - 1}, got {examples!r}")
    own = np.ones(m) if task.weights is None else np.asarray(task.weights, float)
    without = [own * (np.arange(m) != i) for i in chosen]
    alike, l2s = [network] * len(chosen), [float(task.l2)] * len(chosen)
    return trained(alike, task, l2s, without, epochs=epochs, optimizer="levenberg_marquardt")
