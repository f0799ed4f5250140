"""The configs of a sweep, one for each network, from lists and ranges of values."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from jaxshallow.programs.options import check_learning_rate, default_learning_rate, option, weight_scale
from jaxshallow.programs.sweep_options import Options

SWEPT = ("n_h", "hidden", "learning_rate", "l2", "scale")


class Range(NamedTuple):
    low: float
    high: float
    log: bool


def choose(options: Options) -> tuple[list[dict[str, Any]], list[str]]:
    """A config for each network, and the names of the settings in which kinds of networks differ."""
    for name in ("seeds", "random", "folds"):
        value, least = getattr(options, name), 2 if name == "folds" else 1
        if value is not None and value < least:
            raise ValueError(f"--{name} must be at least {least}, got {value}")
    check_learning_rate(options)
    if options.learning_rate is None:
        options = replace(options, learning_rate=str(default_learning_rate(options.optimizer)))
    values = {name: parsed(name, getattr(options, name)) for name in SWEPT}
    kinds = kinds_of(values, options)
    if any(kind["learning_rate"] <= 0 for kind in kinds):
        raise ValueError(f"--learning-rate must be above 0, got {options.learning_rate}")
    swept = [name for name, choice in values.items() if isinstance(choice, Range) or len(choice) > 1] or ["n_h"]
    few = options.random is not None or options.folds is not None
    seeds = options.seeds or (1 if few else 100)
    return [{**kind, "seed": seed} for kind in kinds for seed in range(seeds)], swept


def kinds_of(values: dict[str, list[Any] | Range], options: Options) -> list[dict[str, Any]]:
    """The grid of all values, or --random draws from them, without duplicates."""
    if options.random is None:
        if ranges := [name for name, choice in values.items() if isinstance(choice, Range)]:
            raise ValueError(f"{option(ranges[0])} is a range to draw from: give --random, how many, or a list")
        kinds = [dict(zip(values, row, strict=True)) for row in itertools.product(*values.values())]
    else:
        rng = np.random.default_rng(options.seed)
        kinds = [{name: drawn(rng, name, choice) for name, choice in values.items()} for _ in range(options.random)]
    return list({tuple(kind.values()): kind for kind in kinds}.values())


def parsed(name: str, text: str) -> list[Any] | Range:
    """ "1,2,3" as a list, "low:high" and "low:high:log" as a `Range`."""
    converters: dict[str, Callable[[str], Any]] = {"n_h": int, "hidden": str, "scale": weight_scale}
    convert = converters.get(name, float)
    try:
        if ":" not in text:
            return [convert(value.strip()) for value in text.split(",")]
        low, high, *log = text.split(":")
        found = Range(float(low), float(high), log == ["log"])
        if (log and not found.log) or not found.low < found.high or (found.log and found.low <= 0):
            raise ValueError
    except ValueError:
        raise ValueError(
            f"{option(name)} must be a value, a list such as 2,8,32, or a range low:high or low:high:log, got {text!r}"
        ) from None
    if name in ("hidden", "scale"):
        raise ValueError(f"{option(name)} must be a value or a list, got the range {text!r}")
    return found


def drawn(rng: np.random.Generator, name: str, choice: list[Any] | Range) -> Any:
    """A random value."""
    if not isinstance(choice, Range):
        return choice[rng.integers(len(choice))]
    low, high, log = choice
    value = float(np.exp(rng.uniform(np.log(low), np.log(high)))) if log else float(rng.uniform(low, high))
    return round(value) if name == "n_h" else float(f"{value:.3g}")
