"""The options of a sweep."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from jaxshallow.programs.options import RunOptions


@dataclass
class Options(RunOptions):
    n_h: str = "1,2,3,4,5,20,50"
    """Hidden units."""
    hidden: str = "tanh"
    """Hidden activations: sigmoid, tanh, relu, leaky_relu, identity, or others that activations.py lists."""
    learning_rate: str | None = None
    """Learning rates. If not given: 1.2 for sgd, as in the course; 0.1 for momentum; 0.01 for the others."""
    l2: str = "0"
    """Weight decays."""
    scale: str = "0.01"
    """Standard deviations of the first weights: numbers, glorot or he."""
    seeds: int | None = None
    """Networks of each kind, each with its own first weights. If not given: 100, or 1 with --random or --folds."""
    random: int | None = None
    """Draw this many kinds at random, instead of trying the whole grid."""
    optimizer: Literal["sgd", "momentum", "rmsprop", "adam", "adamw", "lbfgs", "lm"] = "sgd"
    """sgd is plain gradient descent; lbfgs and lm (Levenberg-Marquardt, for small networks) choose their own steps."""
    epochs: int = 5_000
    """Passes over the data; with full batches, one step each."""
    batch_size: int | None = None
    """Examples a step; all of them (full batch) if not given."""
    evidence: bool = False
    """Compare without held-out examples, by the evidence, which also chooses each network's weight decay.
    For small networks, trained by lm, or by lbfgs if that is the --optimizer, from 5 starts or --seeds."""
    folds: int | None = None
    """Cross-validate with this many folds, stratified for classes."""
    validation: float = 0.0
    """Share of the examples held out for validation, from 0 to below 1."""
    patience: int | None = None
    """Early stopping, per network: stop after this many epochs without a lower cost.
    The validation cost counts, if there is one."""
    standardize: Literal["auto", "yes", "no"] = "auto"
    """Scale features to mean 0, deviation 1 over the training examples; the saved model takes raw values.
    auto: all but built-in data sets with two features."""
    seed: int = 0
    """Random seed for the weights, the order of the examples, the validation share or folds, and --random."""
    precision: Literal["bfloat16", "float32", "float64"] = "float32"
    """The dtype of the whole computation."""
    out: Path = Path("out")
    """Folder for sweep.csv, sweep.safetensors and the pictures, as PNG and SVG."""
    report: bool = False
    """Also write sweep_report.html, one page with all tables and pictures."""
    json: bool = False
    """Print the results as JSON instead of a table."""
    quiet: bool = False
    """Print only errors (and the JSON)."""
    checkpoint_every: float = 30.0
    """Seconds between checkpoints, which are kept in a folder of --out for --resume; 0 keeps none."""
    resume: bool = False
    """Continue a sweep that was stopped."""
