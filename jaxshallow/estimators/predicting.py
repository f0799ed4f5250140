"""Prediction: Z2 of each member for any number of rows, and what follows from it, in float64.

Few rows, and sparse ones, are left to NumPy, and so are all in a process where JAX cannot run. More go through JAX in
tiles of two lengths, so that no other length compiles anew. NumPy computes in float64, so that a prediction does not
depend on the rows beside it; JAX in the dtype of the network, to whose rounding both agree.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import numpy as np
from jax import Array
from jax.typing import ArrayLike
from scipy.sparse import issparse
from scipy.special import expit, log_expit, log_softmax, logsumexp, softmax

from jaxshallow.bounded import bounded_jit
from jaxshallow.estimators.examples import cast
from jaxshallow.estimators.settings import devices, precision
from jaxshallow.estimators.sparse import narrow
from jaxshallow.estimators.threads import one_blas_thread
from jaxshallow.forks import is_forked, refuse_after_fork
from jaxshallow.in_numpy import known
from jaxshallow.many import bucket
from jaxshallow.many.widths import widened
from jaxshallow.meshes import no_mesh
from jaxshallow.network import forward
from jaxshallow.params import Params
from jaxshallow.tiles import stream

Scores = Callable[[Any, int], np.ndarray]  # of a tile (rows, n_x), and its full length: Z2 (members, rows, n_y)

ACTIVATION = 32  # multiplications take as long as one activation
FOR_NUMPY = 2**28  # multiplications, which NumPy does in the 20 ms that JAX takes, and JAX compiles for 300 ms before
SMALL, LARGE = 2**24, 2**28  # of the tiles that JAX predicts
NUMBERS = 2**22  # of the largest array that a tile makes, at most
FEWEST = 16  # rows of a tile


def predicted(
    members: Sequence[Params], X: Any, of_scores: Callable[[np.ndarray], np.ndarray], device: str | None
) -> np.ndarray:
    """What `of_scores` makes of Z2, tile by tile.

    Args:
        members: the networks.
        X: (m, n_x) rows, an array or CSR.
        of_scores: takes Z2 (members, rows, n_y), gives (rows, ...).
        device: where JAX predicts.
    """
    n_h, (n_y, n_x, m) = max(len(member.W1) for member in members), (len(members[0].W2), X.shape[1], X.shape[0])
    of_a_row = len(members) * n_h * (n_x + n_y + ACTIVATION)
    activation, small = known(members[0].hidden), m * of_a_row <= FOR_NUMPY
    if activation and (issparse(X) or small or is_forked()):
        scores, lengths = in_numpy(members, activation.g), [max(NUMBERS // (n_h * len(members)), FEWEST)]
    else:
        most = NUMBERS // max(n_x, n_y * len(members))
        scores = in_jax(members, device)
        lengths = [max(power_of_two(min(work // of_a_row, most)), FEWEST) for work in (LARGE, SMALL)]
    with one_blas_thread() if small else contextlib.nullcontext():
        return np.concatenate([of_scores(scores(X[rows], length)) for rows, length in tiles(m, lengths)])


def power_of_two(n: int) -> int:
    """The largest up to n."""
    return 1 << max(n.bit_length() - 1, 0)


def tiles(m: int, lengths: Sequence[int]) -> Iterator[tuple[slice, int]]:
    """m rows in tiles of the longest length while they fill it, then of the next; the last need not be full."""
    start = 0
    for length in lengths:
        while m - start >= length or (length == lengths[-1] and start < m):
            yield slice(start, start + length), length
            start += length


# ---- Z2 ----


def in_numpy(members: Sequence[Params], g: Callable[[np.ndarray], np.ndarray]) -> Scores:
    """Z2 = W2 g(W1 X + b1) + b2, where examples are rows."""
    dtype = members[0].W1.dtype
    wide = [[np.asarray(leaf, np.float64).T for leaf in (p.W1, p.b1, p.W2, p.b2)] for p in members]

    def scores(rows: Any, length: int) -> np.ndarray:
        X = narrow("X", rows, dtype) if issparse(rows) else cast("X", rows, dtype)
        return np.stack([g(X @ W1 + b1) @ W2 + b2 for W1, b1, W2, b2 in wide])

    return scores


def in_jax(members: Sequence[Params], device: str | None) -> Scores:
    """The same in JAX, for tiles that are padded to their full length."""
    refuse_after_fork()
    width = bucket(max(len(member.W1) for member in members))  # other widths do not compile anew, either
    stack = jax.tree.map(lambda *leaves: np.stack(leaves), *[widened(member, width, np.pad) for member in members])
    dtype = stack.W1.dtype
    with precision(dtype):
        stack = jax.device_put(stack, devices(device)[0])

    def scores(rows: Any, length: int) -> np.ndarray:
        X = cast("X", (rows.toarray() if issparse(rows) else rows).T, dtype)
        with no_mesh(), precision(dtype):
            Z2 = _scores(stack, np.pad(X, ((0, 0), (0, length - X.shape[1]))))
            return np.asarray(Z2, np.float64)[:, :, : X.shape[1]].swapaxes(1, 2)

    return scores


@bounded_jit
def _scores(networks: Params, X: ArrayLike) -> Array:
    """(members, n_y, m) Z2 of networks, leaves (members, ...), one at a time and in tiles."""
    return jax.lax.map(lambda params: stream(_Z2)(params, X), networks)


def _Z2(params: Params, X: ArrayLike) -> Array:
    return forward(params, X).Z2


# ---- what follows from it ----

ACTIVATIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "sigmoid": expit,
    "softmax": lambda Z2: softmax(Z2, axis=-1),
    "identity": lambda Z2: Z2,
    "exp": np.exp,
}


def of_mean(of_scores: Callable[[np.ndarray], np.ndarray], Z2: np.ndarray) -> np.ndarray:
    """What `of_scores` makes of the members' mean Z2, the Z2 of the one wide network that they are together."""
    return of_scores(Z2.mean(axis=0, keepdims=True))


def mean_output(Z2: np.ndarray, output: str) -> np.ndarray:
    """(rows, n_y) A2, the mean over members."""
    return ACTIVATIONS[output](Z2).mean(axis=0)


def probabilities(Z2: np.ndarray, output: str) -> np.ndarray:
    """(rows, n_classes), the mean over members; rows sum to 1 if the classes exclude each other."""
    return mean_output(by_class(Z2), output)


def log_probabilities(Z2: np.ndarray, output: str) -> np.ndarray:
    """Their logarithms, which are finite where a probability is too small for a float, and equal where they are."""
    P, Z2 = probabilities(Z2, output), by_class(Z2)
    logarithms = log_softmax(Z2, axis=-1) if output == "softmax" else log_expit(Z2)
    # Several labels may be so likely that each has 1: argmax then finds the same in both.
    return np.where(P > 0.5, np.log(np.maximum(P, 0.5)), logsumexp(logarithms, axis=0) - np.log(len(Z2)))


def by_class(Z2: np.ndarray) -> np.ndarray:
    """Of two classes the first has −z, since 1 − σ(z) = σ(−z)."""
    return np.concatenate([-Z2, Z2], axis=-1) if Z2.shape[-1] == 1 else Z2
