"""The options that the programs share, the meaning of their values, and how a command line is read."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

import optax

from jaxshallow.programs.extra import needs_scripts
from jaxshallow.training import levenberg_marquardt

with needs_scripts():
    import tyro

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T")

OPTIMIZERS: dict[str, Callable[[float], Any]] = {
    "sgd": lambda learning_rate: None,  # plain gradient descent, js.update
    "momentum": lambda learning_rate: optax.sgd(learning_rate, momentum=0.9),
    "rmsprop": optax.rmsprop,
    "adam": optax.adam,
    "adamw": optax.adamw,
    "lbfgs": lambda learning_rate: optax.lbfgs(),
    "lm": lambda learning_rate: levenberg_marquardt(),
}
LEARNING_RATES = {"sgd": 1.2, "momentum": 0.1}  # defaults; 0.01 for the others
OWN_STEPS = ("lbfgs", "lm")  # choose the length of their steps themselves


@dataclass
class DataOptions:
    data: str = "flower"
    """flower, moons, circles, blobs, quantiles, xor, spiral, digits, breast_cancer, iris, wine, diabetes,
    or a file (.csv, .tsv, .parquet, .feather, .npz, .npy) whose rows are examples."""
    target: str | None = None
    """For a file: the column to predict; the last if not given."""
    missing: Literal["error", "mean"] = "error"
    """For a file: what to do with missing values.
    mean fills them with the mean of the training examples (with --folds, of all examples)."""
    drop: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = ()
    """For a file: a column to leave out, such as an ID. For several: --drop a --drop b."""
    categories: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = ()
    """For a file: a column of categories, whatever it looks like, such as codes.
    For several: --categories a --categories b."""
    task: Literal["auto", "classification", "regression"] = "auto"
    """For a file: what the target is.
    auto: text, booleans and at most 20 different integers that repeat are classes."""


class RunOptions(DataOptions):
    """What the options of train and sweep have in common, for code that takes either.

    This is not a dataclass, so these are not fields: each program declares them in the order of its own --help, with
    its own defaults and help.
    """

    optimizer: Literal["sgd", "momentum", "rmsprop", "adam", "adamw", "lbfgs", "lm"]
    learning_rate: Any
    epochs: int
    patience: int | None
    batch_size: int | None
    seed: int
    precision: Literal["bfloat16", "float32", "float64"]
    validation: float
    standardize: Literal["auto", "yes", "no"]
    out: Path
    report: bool
    json: bool
    quiet: bool
    checkpoint_every: float
    resume: bool


def read(options: type[T], argv: Sequence[str] | None, program: str, description: str | None) -> T:
    """Read the options from a command line. On --help or a wrong option, tyro prints and exits.

    Args:
        options: a dataclass with a field for each option.
        argv: the words; None for those of the command line.
        program: the program's name, such as "train".
        description: the text at the top of --help; `jaxshallow train` in it becomes the command that was typed.
    """
    command = " ".join(started_as(program))
    return tyro.cli(
        options,
        args=argv,
        prog=command if by_command() else None,
        description=(description or "").replace(f"jaxshallow {program} ", f"{command} "),
        config=(tyro.conf.FlagCreatePairsOff,),
    )


def named(options: type[DataclassInstance], argv: Sequence[str] | None) -> set[str]:
    """The fields whose options a command line names, whatever their values."""
    words = {word.partition("=")[0].replace("_", "-") for word in (sys.argv[1:] if argv is None else argv)}
    return {field.name for field in fields(options) if option(field.name) in words}


def started_as(program: str) -> list[str]:
    """The command before the options, as typed: `jaxshallow train` or `python scripts/train.py`."""
    return ["jaxshallow", program] if by_command() else ["python", f"scripts/{program}.py"]


def by_command() -> bool:
    """Whether this process was started as `jaxshallow`."""
    return Path(sys.argv[0]).stem == "jaxshallow"


def option(name: str) -> str:
    """A field's name as an option: n_h is --n-h."""
    return f"--{name.replace('_', '-')}"


def settings(options: DataclassInstance) -> dict[str, Any]:
    """The options, JSON-serializable."""
    return {name: str(value) if isinstance(value, Path) else value for name, value in asdict(options).items()}


def check_learning_rate(options: RunOptions) -> None:
    """ValueError for a learning rate that the optimizer would not use."""
    if options.learning_rate is not None and options.optimizer in OWN_STEPS:
        raise ValueError(f"--learning-rate is not for --optimizer {options.optimizer}, which chooses its own steps")


def default_learning_rate(optimizer: str) -> float:
    return LEARNING_RATES.get(optimizer, 0.01)


def weight_scale(text: str) -> float | str:
    """The `scale` for `js.init`, from the text of --scale."""
    if text in ("glorot", "he"):
        return text
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"--scale must be a number, glorot or he, got {text!r}") from None
