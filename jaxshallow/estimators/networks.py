"""An estimator's networks: the best is in `coefs_` and `intercepts_`, which may be assigned, as in scikit-learn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import jax
import numpy as np

from jaxshallow.activations import OUTPUTS
from jaxshallow.estimators.settings import ACTIVATIONS
from jaxshallow.params import Params

SHOWN = {head: head for head in OUTPUTS} | {"sigmoid": "logistic"}  # heads by scikit-learn's names
FLOATS = (np.float64, np.float32)


def joined(members: Sequence[Params]) -> Params:
    """The one network whose Z2 is the mean of the members' Z2: their hidden units side by side, and W2 / n_members."""
    W1, b1 = (np.concatenate([getattr(member, name) for member in members]) for name in ("W1", "b1"))
    W2 = np.concatenate([member.W2 for member in members], axis=1) / len(members)
    b2 = np.mean([member.b2 for member in members], axis=0)
    leaves: Any = {"W1": W1, "b1": b1, "W2": W2, "b2": b2}
    return replace(members[0], **{name: leaf.astype(members[0].W1.dtype) for name, leaf in leaves.items()})


class NetworksMixin:
    """`members_`, beside scikit-learn's `coefs_` and `intercepts_`."""

    activation: str

    @property
    def _output(self) -> str:
        """The head of the network, when the subclass has seen y."""
        raise NotImplementedError

    @property
    def members_(self) -> list[Params]:
        """The networks, the best first, in a dtype that JAX has: without x64, float32 even if `coefs_` are float64."""

        def known(A: np.ndarray) -> np.ndarray:
            return A.astype(jax.dtypes.canonicalize_dtype(A.dtype), copy=False)

        return jax.tree.map(known, self._networks)

    @members_.setter
    def members_(self, members: Sequence[Params]) -> None:
        best, *self._other_members = members
        self._hidden = best.hidden
        # Copies that can be written to.
        self.coefs_ = [np.array(best.W1).T, np.array(best.W2).T]
        self.intercepts_ = [np.array(best.b1)[:, 0], np.array(best.b2)[:, 0]]
        self.n_layers_, self.n_outputs_ = 3, len(best.W2)
        self.out_activation_ = SHOWN[best.output]

    @property
    def _networks(self) -> list[Params]:
        """The networks, the best first, in the dtype in which they were trained or assigned, in NumPy."""

        def floats(A: Any) -> np.ndarray:
            A = np.asarray(A)
            return A if A.dtype in FLOATS else A.astype(np.float64)

        W1, W2 = (floats(W).T for W in self.coefs_)
        b1, b2 = (floats(b)[..., None] for b in self.intercepts_)
        leaves: dict[str, Any] = {"W1": W1, "b1": b1, "W2": W2, "b2": b2}
        found = [leaf.shape for leaf in leaves.values()]
        if len(W1.shape) != 2 or found[1:] != [(len(W1), 1), (len(W2), len(W1)), (len(W2), 1)]:
            raise ValueError(
                "coefs_ must be (n_features, n_hidden) and (n_hidden, n_outputs), and intercepts_ (n_hidden,) and "
                f"(n_outputs,), got {[np.shape(W) for W in self.coefs_]} and {[np.shape(b) for b in self.intercepts_]}"
            )
        hidden = ACTIVATIONS.get(self.activation, self.activation)
        best = Params(**leaves, hidden=getattr(self, "_hidden", hidden), output=self._output)
        return [best, *getattr(self, "_other_members", [])]
