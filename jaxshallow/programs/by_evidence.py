"""What train and sweep have in common where the evidence chooses the weight decay."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import jaxshallow as js
from jaxshallow.programs import running
from jaxshallow.programs.examples import Examples
from jaxshallow.programs.options import RunOptions

EPOCHS = 200  # of one weight decay, at most
OPTIMIZERS = {"sgd": "levenberg_marquardt", "lm": "levenberg_marquardt", "lbfgs": "lbfgs"}  # sgd is the default


def check(options: RunOptions, asked: str) -> None:
    """ValueError for options that do not go with the one that was asked for."""
    if options.optimizer not in OPTIMIZERS:
        raise ValueError(
            f"{asked} needs a minimum: --optimizer must be lm or lbfgs, got {options.optimizer}; or leave it out"
        )
    if options.learning_rate is not None:
        raise ValueError(f"--learning-rate is not for {asked}, whose optimizers choose their own steps")
    if options.batch_size is not None:
        raise ValueError(f"--batch-size is not for {asked}, which takes all examples in each step")
    if options.resume:
        raise ValueError(f"--resume is not for {asked}, which begins anew each time")
    if options.precision == "bfloat16":
        raise ValueError(f"--precision must be float32 or float64 for {asked}, got bfloat16")


def fit(starts: Sequence[js.Params], examples: Examples, options: RunOptions) -> js.Evidence:
    """`fit_evidence`; what it warns of is a remark."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always", UserWarning)
        found = js.fit_evidence(
            starts, *examples, optimizer=OPTIMIZERS[options.optimizer], epochs=min(options.epochs, EPOCHS),
            **({} if options.patience is None else {"patience": options.patience}),
        )  # fmt: skip
    for warning in said:
        running.remark(str(warning.message))
    return found
