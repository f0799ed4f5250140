"""An estimator in the file of its network: what it knows goes into the metadata, as JSON."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Self

import jax
import numpy as np
from sklearn.utils.validation import check_is_fitted

from jaxshallow import store
from jaxshallow.bayes.conformal import Group, groups_of
from jaxshallow.estimators.encoders import Encoder
from jaxshallow.estimators.error_bars import ErrorBarsMixin
from jaxshallow.estimators.settings import check
from jaxshallow.params import Params
from jaxshallow.tables.features import Features, features_of

# Fitted attributes that are written as they are.
KNOWN = (
    "n_iter_", "t_", "loss_", "best_loss_", "loss_curve_", "validation_loss_curve_", "best_validation_loss_",
    "validation_scores_", "best_validation_score_", "alpha_", "noise_", "log_evidence_",
)  # fmt: skip


class SavingMixin(ErrorBarsMixin):
    """`save` and `load` for an estimator with `members_`."""

    get_params: Callable[..., dict[str, Any]]
    n_features_in_: int
    as_one: Callable[[], Params]
    _errors_of_unseen: Callable[[], dict[str, Any]]
    _groups: list[list[Group]] | None
    features_: Features | None
    _words: Any

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the network with `jaxshallow.save`, and the rest of the estimator into the file's metadata.

        Args:
            path: the file, by custom *.safetensors. `load` reads it back, and `jaxshallow.load` the network alone, in
                the dtype of `coefs_`.

        An ensemble whose members' Z2 are averaged (average="logits", or a regressor of squared errors) is saved as the
        one network that it is, n_members times as wide. How columns become rows goes into the file, too: the programs
        `predict` and `export` apply it; and so does how far off unseen examples were, by bagging, so that intervals and
        sets follow from the file, too: from the one network, for CV+ needs each member.

        Raises:
            ValueError: the estimator is an ensemble whose outputs are averaged, or one of the evidence.
            TypeError: a parameter is not JSON-serializable.
            NotFittedError: it has not been fitted.
            OSError, ImportError: as `jaxshallow.save`.
        """
        check_is_fitted(self)
        network = self.as_one()
        if self.posteriors_ is not None and len(self._networks) > 1:
            raise ValueError(
                f"a file holds one network with its error bars, not {len(self._networks)}: save each of posteriors_ "
                "with jaxshallow.save"
            )
        known = {name: as_json(name, getattr(self, name)) for name in KNOWN if hasattr(self, name)}
        if hasattr(self, "feature_names_in_"):
            known["feature_names_in_"] = self.feature_names_in_.tolist()
        metadata = {
            "estimator": type(self).__name__,
            "params": {name: as_json(name, value) for name, value in self.get_params(deep=False).items()},
            "known": known,
            "feature_names": known.get("feature_names_in_", [f"x{k}" for k in range(self.n_features_in_)]),
            **self._labels(),
            **(self.features_.as_json() if self.features_ else {}),
            **self._errors_of_unseen(),
        }
        model = network if self.posteriors_ is None else replace(self.posteriors_[0], params=network)
        store.save(path, model, metadata)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """The estimator that `save` wrote, to predict with. Nothing in the file is executed.

        Raises:
            ValueError: the file is not of this estimator, or as `jaxshallow.load`.
        """
        with jax.enable_x64(True):  # or a float64 network could not be read
            saved = store.load_all(path)
        params, metadata = saved.params, saved.metadata
        if metadata.get("estimator") != cls.__name__:
            raise ValueError(f"{os.fspath(path)} does not hold a {cls.__name__}, but {metadata.get('estimator')}")
        try:
            estimator = cls(**{name: from_json(value) for name, value in metadata["params"].items()})
            for name, value in metadata["known"].items():
                if name not in (*KNOWN, "feature_names_in_"):
                    raise ValueError(f"{name} is no attribute that save writes")
                value = from_json(value)
                value = list(value) if isinstance(value, tuple) else value
                setattr(estimator, name, np.array(value, dtype=object) if name == "feature_names_in_" else value)
            check({**estimator.get_params(), "device": None})  # which this machine need not have
            estimator.members_ = [jax.tree.map(np.asarray, params)]
            estimator._take_error_bars(saved)
            estimator.n_features_in_ = params.W1.shape[1]
            estimator._groups = groups_of(metadata)
            if metadata.get("columns"):
                estimator.features_ = features_of(metadata)
                estimator._words, estimator.n_features_in_ = estimator.features_.words, len(estimator.features_.words)
            estimator._relabel(metadata)
            if params.output != estimator._output:
                raise ValueError(f"its network must have output={estimator._output!r}, got {params.output!r}")
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ValueError(f"{os.fspath(path)} does not hold a {cls.__name__} as save writes it: {error}") from error
        return estimator

    def _labels(self) -> dict[str, Any]:
        """What an estimator of its own kind adds to the metadata."""
        return {}

    def _relabel(self, metadata: dict[str, Any]) -> None:
        """Take back what `_labels` added."""


def as_json(name: str, value: Any) -> Any:
    """A value as JSON: a dict as pairs, since its keys need not be text, ±inf and NaN as text, a generator as null."""
    if isinstance(value, np.random.RandomState):
        return None
    if isinstance(value, dict):
        return {"pairs": [[as_json(name, part) for part in pair] for pair in value.items()]}
    if isinstance(value, list | tuple | np.ndarray):
        return [as_json(name, part) for part in value]
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, float) and not math.isfinite(value):
        return {"float": str(value)}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Encoder):
        return {"encoder": type(value).__name__, **as_json(name, value.get_params())}
    raise TypeError(f"{name} cannot be saved: {value!r}")


def from_json(value: Any) -> Any:
    """The value that `as_json` wrote; lists come back as tuples."""
    if isinstance(value, dict) and "float" in value:
        return float(value["float"])
    if isinstance(value, dict) and "encoder" in value:
        (encoder,) = (one for one in Encoder.__subclasses__() if one.__name__ == value["encoder"])
        return encoder(**{from_json(key): from_json(item) for key, item in value["pairs"]})
    if isinstance(value, dict):
        return {from_json(key): from_json(item) for key, item in value["pairs"]}
    return tuple(map(from_json, value)) if isinstance(value, list) else value
