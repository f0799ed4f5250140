"""Parameters: what each may be, and the `Recipe` that training makes of them.

Names and meanings are scikit-learn's. A new parameter needs a field in `base`, or in the estimator that alone has it, a
line in CONSTRAINTS, and its use: in `Recipe`, or where the data are prepared.
"""

from __future__ import annotations

import contextlib
import numbers
from collections import ChainMap
from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import jax
import numpy as np

from jaxshallow.activations import HIDDEN
from jaxshallow.estimators.presets import PRESETS
from jaxshallow.estimators.solvers import Factory, lowered, solver
from jaxshallow.training.epochs import Rules

ACTIVATIONS = {"logistic": "sigmoid"}  # scikit-learn's name: ours
# May differ among networks that train together. All other parameters are settings: the same for all of them.
PER_NETWORK = (
    "hidden_layer_sizes", "activation", "alpha", "learning_rate_init", "momentum", "beta_1", "beta_2", "epsilon",
)  # fmt: skip
LOSSES = {"squared_error": "identity", "poisson": "exp"}  # of a regressor, and the head that it needs
IN_FULL_BATCHES = ("lbfgs", "lm")  # the solvers that take all examples in each step, and the dtype of X
# Must stay as they are while training continues, by `warm_start` or `partial_fit`.
LASTING = ("hidden_layer_sizes", "activation", "solver", "learning_rate", "n_members")


# ---- what a parameter may be ----


class OneOf(NamedTuple):
    """One of some names."""

    names: Collection[str]

    def allows(self, value: Any) -> bool:
        return isinstance(value, str) and value in self.names

    def __str__(self) -> str:
        return f"one of {', '.join(self.names)}"


class Number(NamedTuple):
    """A number between `low` and `high`, or `other`; `closed` says which of the two numbers it may be, too."""

    low: float
    high: float
    closed: Literal["both", "left", "neither"]
    other: str | None = None

    def allows(self, value: Any) -> bool:
        if isinstance(value, str):
            return value == self.other
        if not isinstance(value, int | float | np.number):
            return False
        above = value > self.low if self.closed == "neither" else value >= self.low
        below = value <= self.high if self.closed == "both" else value < self.high
        return bool(above and below)

    def __str__(self) -> str:
        return self.number if self.other is None else f"{self.other!r} or {self.number}"

    @property
    def number(self) -> str:
        if self.closed == "both":
            return f"a number from {self.low} to {self.high}"
        if self.closed == "left":
            return f"a number of at least {self.low} and below {self.high}"
        return f"a number above {self.low}" + ("" if self.high == np.inf else f" and below {self.high}")


class Integer(NamedTuple):
    """An integer of at least `low`, or what `other` is."""

    low: int
    other: str | float | None = None

    def allows(self, value: Any) -> bool:
        if isinstance(value, str | float):
            return value == self.other
        return value is not True and isinstance(value, numbers.Integral) and int(value) >= self.low

    def __str__(self) -> str:
        integer = f"an integer of at least {self.low}"
        return integer if self.other is None else f"{self.other!r} or {integer}"


BAGGING = ("folds", "bootstrap")
EVIDENCE = "evidence"  # in the place of a weight decay, for the best one
LONG = 2**31 - 2  # in the place of an infinite number of epochs
NOT_NEGATIVE = Number(0, np.inf, closed="both")
POSITIVE = Number(0, np.inf, closed="neither")
BELOW_ONE = Number(0, 1, closed="left")
COUNT = Integer(1)

CONSTRAINTS: dict[str, OneOf | Number | Integer] = {
    "activation": OneOf(ChainMap[str, Any](HIDDEN, ACTIVATIONS)),  # a view: users may add to HIDDEN
    "solver": OneOf(("adam", "sgd", "lbfgs", "lm")),
    "learning_rate": OneOf(("constant", "invscaling", "adaptive", "cosine")),
    "alpha": NOT_NEGATIVE._replace(other=EVIDENCE),
    "power_t": NOT_NEGATIVE,
    "tol": NOT_NEGATIVE,
    "momentum": Number(0, 1, closed="both"),
    "beta_1": BELOW_ONE,
    "beta_2": BELOW_ONE,
    "validation_fraction": BELOW_ONE,
    "learning_rate_init": POSITIVE,
    "epsilon": POSITIVE,
    "max_iter": COUNT,
    "n_iter_no_change": Integer(1, other=np.inf),
    "n_members": COUNT,
    "max_fun": COUNT,
    "max_categories": COUNT,
    "average": OneOf(("outputs", "logits")),
    "batch_size": Integer(1, other="auto"),
}


def check(params: Mapping[str, Any]) -> None:
    """Refuse parameters that cannot be, or that cannot be on this machine.

    Raises:
        ValueError: with the parameter's name, what it must be and what it is.
    """
    for name, constraint in CONSTRAINTS.items():
        if not constraint.allows(params[name]):
            raise ValueError(f"{name} must be {constraint}, got {params[name]!r}")
    for name in ("shuffle", "warm_start", "nesterovs_momentum", "early_stopping", "normalize_y"):
        if name in params and not isinstance(params[name], bool | np.bool_):
            raise ValueError(f"{name} must be True or False, got {params[name]!r}")
    if params.get("loss") not in (None, *LOSSES):
        raise ValueError(f"loss must be one of {', '.join(LOSSES)}, got {params['loss']!r}")
    if params["alpha"] == EVIDENCE and params["early_stopping"]:
        raise ValueError("early_stopping must be False for alpha='evidence', which holds no examples out")
    if params["bagging"] not in (None, *BAGGING):
        raise ValueError(f"bagging must be None or one of {', '.join(BAGGING)}, got {params['bagging']!r}")
    if params["preset"] not in (None, *PRESETS):
        raise ValueError(f"preset must be None or one of {', '.join(PRESETS)}, got {params['preset']!r}")
    if params["bagging"]:
        check_bagging(params)
    n_hidden(params["hidden_layer_sizes"])
    if params["device"] is not None:  # to ask JAX would start it
        devices(params["device"])


def check_bagging(params: Mapping[str, Any]) -> None:
    """Refuse what members that train on different examples cannot have."""
    if params["n_members"] == 1:
        raise ValueError(f"n_members must be 2 or more for bagging={params['bagging']!r}, got 1")
    if params["solver"] == "lbfgs":
        raise ValueError(
            "solver must be adam, sgd or lm for bagging, which trains all members in one program, got 'lbfgs'"
        )
    if params["alpha"] == EVIDENCE:
        raise ValueError("bagging must be None for alpha='evidence', which is that of all examples")


def n_hidden(hidden_layer_sizes: Any) -> int:
    """Units of the one hidden layer; ValueError where there are more layers or none."""
    sizes = np.atleast_1d(np.asarray(hidden_layer_sizes, dtype=object)).tolist()
    if len(sizes) != 1:
        raise ValueError(
            f"hidden_layer_sizes must be one layer, such as (100,), got {hidden_layer_sizes}: jaxshallow is "
            "for networks with one hidden layer; scikit-learn's MLP or Flax has deeper ones"
        )
    if not isinstance(sizes[0], numbers.Integral) or int(sizes[0]) < 1:
        raise ValueError(f"hidden_layer_sizes must be > 0, integers, got {hidden_layer_sizes}")
    return int(sizes[0])


def devices(device: str | None) -> Sequence[jax.Device]:
    """The devices of a name such as "cpu" or "gpu:1"; all that JAX uses by default for None."""
    if device is None:
        return jax.local_devices()
    platform, _, number = str(device).partition(":")
    try:
        found = jax.local_devices(backend=platform)
        return [found[int(number)]] if number else found
    except (RuntimeError, ValueError, IndexError) as error:
        raise ValueError(f"device must be None or one that JAX has here, 'cpu' or 'gpu:1', got {device!r}") from error


def precision(dtype: Any) -> contextlib.AbstractContextManager[Any]:
    """Float64 in JAX if that is the dtype: in this thread, while the context lasts."""
    return jax.enable_x64(True) if dtype == np.float64 else contextlib.nullcontext()


def is_stochastic(estimator: Any) -> bool:
    """Whether there is a `partial_fit`, for scikit-learn's `available_if`."""
    if estimator.solver in IN_FULL_BATCHES:
        raise AttributeError(
            f"partial_fit is for the stochastic solvers, 'sgd' and 'adam', not for {estimator.solver!r}"
        )
    return True


def validation_score(A2: Any, Y: Any, weights: Any, task: str) -> Any:
    """scikit-learn's `score`, weighted: accuracy or R²; NaN where an output is not finite; in NumPy or JAX, as A2 is.

    Args:
        A2, Y: (n_y, m) outputs and targets.
        weights: (m,) or None.
        task: as in `Params`.
    """
    xp = A2.__array_namespace__()
    w = xp.ones(Y.shape[1], Y.dtype) if weights is None else weights

    def mean(rows: Any) -> Any:
        return xp.sum(rows * w, axis=-1) / xp.sum(w)

    if task == "regression":
        missed, spread = mean((A2 - Y) ** 2), mean((Y - mean(Y)[:, None]) ** 2)
        constant = xp.where(missed == 0, 1, 0).astype(A2.dtype)
        found = xp.mean(xp.where(spread > 0, 1 - missed / xp.where(spread > 0, spread, 1), constant))
        return xp.where(xp.isfinite(A2).all(), found, xp.nan)
    if task == "multiclass":
        return mean((A2.argmax(axis=0) == Y.argmax(axis=0)).astype(A2.dtype))
    return mean(((A2 > 0.5) == (Y > 0.5)).all(axis=0).astype(A2.dtype))


# ---- the recipe ----

Settings = tuple[tuple[str, Hashable], ...]


@dataclass(frozen=True)
class Recipe:
    """How the networks of one estimator train: its parameters, checked, in the terms of `fit_many`.

    Recipes can be compared and hashed. Those of equal `settings` can train together; equal ones train the same
    networks. The head of the networks is in `training.Data`, since it depends on y.

    Attributes:
        settings: (name, value) of each parameter that networks share when they train together.
        network: the values of PER_NETWORK, with the number of hidden units in the place of `hidden_layer_sizes`.
        params: all parameters as they were given.
    """

    settings: Settings
    network: tuple[Hashable, ...]
    params: Mapping[str, Any] = field(compare=False, repr=False)

    @classmethod
    def of(cls, params: Mapping[str, Any]) -> Recipe:
        """The recipe of an estimator's `get_params()`.

        Raises:
            ValueError: as `check`.
        """
        check(params)
        shared = {name: value for name, value in params.items() if name not in PER_NETWORK}
        if not isinstance(params["random_state"], numbers.Integral):
            del shared["random_state"]  # a number is drawn for each fit, and is part of its data
        settings = tuple((name, comparable(value)) for name, value in shared.items())
        own = [params[name] for name in PER_NETWORK if name != "hidden_layer_sizes"]
        return cls(settings, (n_hidden(params["hidden_layer_sizes"]), *own), dict(params))

    @property
    def lasting(self) -> tuple[Any, ...]:
        """What must stay while training continues."""
        return tuple(self.params[name] for name in LASTING)

    def batch_size(self, n_examples: int) -> int:
        """Examples in a step."""
        asked = self.params["batch_size"]
        if self.params["solver"] in IN_FULL_BATCHES:
            return n_examples
        return min(200 if asked == "auto" else asked, n_examples)

    def config(self, t_before: int) -> dict[str, Any]:
        """The network in the terms of `fit_many`, without its seed; `t_before` counts the examples of earlier fits."""
        params = self.params
        config = {
            "n_h": n_hidden(params["hidden_layer_sizes"]),
            "hidden": ACTIVATIONS.get(params["activation"], params["activation"]),
            "scale": "glorot",
            "learning_rate": params["learning_rate_init"],
            "l2": params["alpha"],
        }
        if params["solver"] == "lm":
            del config["learning_rate"]
        if params["solver"] == "adam":
            config |= {"b1": params["beta_1"], "b2": params["beta_2"], "eps": params["epsilon"]}
        if params["solver"] == "sgd":
            config |= {"momentum": params["momentum"]}
            config |= {"t_before": float(t_before)} if params["learning_rate"] == "invscaling" else {}
        return config

    def steps(self, n_examples: int) -> int:
        """Steps in an epoch."""
        return -(-n_examples // self.batch_size(n_examples))

    def optimizer(self, n_examples: int) -> Factory:
        """The solver, for `fit_many`."""
        return solver(self.params, n_examples, self.steps(n_examples))

    @property
    def patience(self) -> int:
        """Epochs without improvement after which training stops, or an adaptive learning rate is lowered."""
        return int(min(self.params["n_iter_no_change"], LONG)) + 1

    @property
    def n_encodings(self) -> int:
        """How many encodings are tried, each of which makes data of its own of a fold."""
        encoding = self.params["encoding"]
        return len(encoding) if isinstance(encoding, list | tuple) else 1

    @property
    def rules(self) -> Rules:
        """Where training differs from `fit`."""
        adaptive = self.params["solver"] == "sgd" and self.params["learning_rate"] == "adaptive"
        return Rules(batches_alone=True, on_plateau=lowered if adaptive else None, validation_score=validation_score)


def comparable(value: Any) -> Hashable:
    """The value itself if it is a number, text or None; else its `repr`.

    A dict, such as `class_weight`, cannot be hashed, and an object need not equal the copy that `clone` makes of it.
    """
    return value if value is None or isinstance(value, str | numbers.Number) else repr(value)
