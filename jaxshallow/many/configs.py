"""The config of each network, completed and checked, and the settings that all networks of a run share."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike, DTypeLike

from jaxshallow import given
from jaxshallow.activations import resolve
from jaxshallow.many.optimizers import Factory, Recipe, arguments_of, is_number, takes_rate
from jaxshallow.params import Params, check_scale, check_sizes
from jaxshallow.training.epochs import Rules, words

DEFAULTS = {"hidden": "sigmoid", "l2": 0.0, "scale": 0.01, "seed": 0}
PER_EXAMPLE = ("weights", "validation_weights")
CUT_DEVIATION = 0.87962566103423978  # of the standard normal distribution truncated at ±2


@dataclass(frozen=True, eq=False, kw_only=True)
class Settings:
    """What the networks of a run share.

    Attributes:
        key: a JAX random key.
        networks: a complete config for each network.
        n_x, n_y, dtype: of the data, and so of all networks.
        validated: whether there is a validation cost.
        output: the head of all networks.
        recipes: of their optimizers; None for plain gradient descent.
        epochs, batch_size, patience, tol, callback: as in `fit_many`.
        first: the networks to start from; None: they are drawn.
        devices: the JAX devices to train on.
        shuffle, rules: as in `fit_many`.
        epochs_before: how many epochs the runs behind `start` had; the order of minibatches continues from there.
    """

    key: ArrayLike
    networks: Sequence[dict[str, Any]]
    n_x: int
    n_y: int
    dtype: np.dtype[Any]
    validated: bool
    output: str
    recipes: Sequence[Recipe | None]
    epochs: int
    batch_size: int | None
    patience: int | None
    tol: float
    callback: Callable[[Any], Any] | None
    first: Sequence[Params] | None
    devices: Sequence[jax.Device]
    shuffle: bool
    rules: Rules
    epochs_before: int

    @property
    def workers(self) -> int:
        """How many chunks run at a time: one on each device, and on a CPU one on each core."""
        on_cores = len(self.devices) == 1 and self.devices[0].platform == "cpu"
        return _cores() if on_cores else len(self.devices)

    @cached_property
    def key_words(self) -> list[int]:
        """The integers of the key, read once: that can cost more than an epoch."""
        return words(self.key)


def _cores() -> int:
    """Those that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def complete(configs: Sequence[Mapping[str, Any]] | Mapping[str, Any], factory: Factory | None) -> list[dict[str, Any]]:
    """A dict for each network, with the defaults filled in.

    Raises:
        ValueError, TypeError: a value is invalid; the message names the network and the value.
    """
    if isinstance(configs, Mapping):
        configs = _rows(configs)
    if not len(configs):
        raise ValueError("configs must hold at least one network, got none")
    takes = arguments_of(factory)
    known = {"n_h", "fold", *DEFAULTS, *PER_EXAMPLE, *takes} | ({"learning_rate"} if takes_rate(factory) else set())
    defaults = {**DEFAULTS, "learning_rate": 0.1 if factory is None else 0.001}
    networks = []
    for k, config in enumerate(configs):
        if unknown := set(config) - known:
            raise ValueError(f"configs[{k}] must have names of {sorted(known)}, got {sorted(unknown)}")
        if "n_h" not in config:
            raise ValueError(f"configs[{k}] must have n_h, its number of hidden units, got {sorted(config)}")
        networks.append({"n_h": config["n_h"], **defaults, **config})
    needed = inspect.Parameter.empty
    used = [name for name in takes if takes[name] is needed or any(name in network for network in networks)]
    for k, network in enumerate(networks):
        for name in used:
            network.setdefault(name, takes[name])
        try:
            _check(network, used, schedules=factory is not None)
        except (ValueError, TypeError) as error:
            raise type(error)(f"configs[{k}]: {error}") from None
    return networks


def _rows(columns: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A dict for each network from a dict of columns, in which a single value applies to all."""
    columns = {
        name: np.asarray(column) if isinstance(column, jax.Array) and column.ndim else column
        for name, column in columns.items()
    }
    many = {
        name: column
        for name, column in columns.items()
        if isinstance(column, list | tuple | range | np.ndarray) and not _is_single(column)
    }
    sizes = {name: len(column) for name, column in many.items()}
    if len(set(sizes.values())) > 1:
        raise ValueError(f"the columns of configs must be of one length, got {sizes}")
    K = next(iter(sizes.values()), 1)
    return [{name: many[name][k] if name in many else columns[name] for name in columns} for k in range(K)]


def _check(config: dict[str, Any], used: Sequence[str], *, schedules: bool) -> None:
    """Check the values of one config, and make NumPy's numbers plain Python ones.

    Args:
        config: of one network.
        used: names of the optimizer's own values, which may be anything that its factory takes.
        schedules: whether the learning rate may be an optax schedule.
    """
    plain = ("n_h", "seed", "scale", "l2", "learning_rate", *used)
    config.update({name: given.numbers(name, config[name]).item() for name in plain if _is_single(config[name])})
    check_sizes(n_h=config["n_h"])
    resolve(config["hidden"])
    check_scale(config["scale"])
    if not isinstance(config["seed"], int) or isinstance(config["seed"], bool):
        raise TypeError(f"seed must be an integer, got {config['seed']!r}")
    if not 0 <= config["seed"] < 2**32:
        raise ValueError(f"seed must be at least 0 and below 2^32, got {config['seed']}")
    for name in ("l2", "learning_rate"):
        if not is_number(config[name]) and not (schedules and name == "learning_rate" and callable(config[name])):
            fix = ": a schedule needs an optimizer, such as optimizer=optax.sgd" if callable(config[name]) else ""
            raise TypeError(f"{name} must be a number, got {config[name]!r}{fix}")
    for name in ("l2", "learning_rate", *used):
        if config[name] is inspect.Parameter.empty:
            raise ValueError(f"{name} must be given: the optimizer has no default for it")
        if is_number(config[name]) and not np.isfinite(config[name]):
            raise ValueError(f"{name} must be finite, got {config[name]}")
    for name in ("l2", "learning_rate"):
        if is_number(config[name]) and config[name] < 0:
            raise ValueError(f"{name} must be at least 0, got {config[name]}")


def _is_single(value: Any) -> bool:
    """Whether a value is one number of NumPy's or JAX's."""
    if isinstance(value, np.generic):
        return True
    array = isinstance(value, np.ndarray | jax.Array) and not given.is_traced(value)
    return array and value.ndim == 0 and not jnp.issubdtype(value.dtype, jax.dtypes.prng_key)


def check_held(networks: Sequence[Mapping[str, Any]], dtype: DTypeLike) -> None:
    """ValueError for a number that the dtype cannot hold: it would be infinite or, of the network's own, vanish."""
    tiny, largest = float(jnp.finfo(dtype).tiny), float(jnp.finfo(dtype).max)
    for k, network in enumerate(networks):
        for name, value in network.items():
            if not isinstance(value, float) or value == 0:
                continue
            if abs(value) > largest or (abs(value) < tiny and name in ("learning_rate", "l2", "scale")):
                given.scalar(f"configs[{k}]: {name}", value, dtype)


def columns(settings: Settings, members: np.ndarray) -> dict[str, Any]:
    """The numbers in the members' configs, as arrays (C,) for the programs; the members have one recipe."""
    configs, n_x, n_y = [settings.networks[k] for k in members], settings.n_x, settings.n_y
    recipe = settings.recipes[members[0]]

    def column(name: str, dtype: Any = settings.dtype) -> np.ndarray:
        return np.array([config[name] for config in configs], dtype)

    deviations = [_deviations(config["scale"], n_x, config["n_h"], n_y, settings.dtype) for config in configs]
    deviation1, deviation2 = np.array(deviations, settings.dtype).T
    numbers = {} if recipe is None else {name: column(name, jnp.result_type(kind)) for name, kind in recipe.numbers}
    return {
        "n_h": column("n_h", np.int32),
        "seed": column("seed", np.uint32),
        "learning_rate": column("learning_rate") if recipe is None else None,
        "l2": column("l2"),
        "cut": np.array([isinstance(config["scale"], str) for config in configs]),
        "deviation1": deviation1,
        "deviation2": deviation2,
        "numbers": numbers,
    }


def _deviations(scale: float | str, n_x: int, n_h: int, n_y: int, dtype: np.dtype[Any]) -> tuple[Any, Any]:
    """The standard deviations of W1 and W2, before truncation for "glorot" and "he", rounded as `init` rounds them."""
    if scale == "glorot":
        variances = 2 / (n_x + n_h), 2 / (n_h + n_y)
    elif scale == "he":
        variances = 2 / n_x, 2 / n_h
    else:
        return float(scale), float(scale)
    W1, W2 = (np.sqrt(np.asarray(variance, dtype)) / np.asarray(CUT_DEVIATION, dtype) for variance in variances)
    return W1, W2
