"""What a sweep is asked for."""

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
    """Hidden activations: sigmoid, tanh, relu, leaky_relu, identity, or what else activations.py lists."""
    learning_rate: str | None = None
    """Step lengths. If not given: 1.2 for sgd, as in the course; 0.1 for momentum; 0.01 for the others."""
    l2: str = "0"
    """Weight decays."""
    scale: str = "0.01"
    """Standard deviations of the first weights: numbers, glorot or he."""
    seeds: int | None = None
    """Networks of each kind, with other first weights. If not given: 100; 1 with --random or --folds."""
    random: int | None = None
    """Draw so many kinds, instead of trying each value with each."""
    optimizer: Literal["sgd", "momentum", "rmsprop", "adam", "adamw", "lbfgs"] = "sgd"
    """sgd is plain gradient descent; lbfgs finds its own step length."""
    epochs: int = 5_000
    """Passes over the data; full-batch, one step each."""
    batch_size: int | None = None
    """Examples a step; full-batch if not given."""
    folds: int | None = None
    """Cross-validate: train on all but one part of the examples, validate on it, in turn; stratified for classes."""
    validation: float = 0.0
    """Share of the examples held out for validation, 0 to below 1."""
    patience: int | None = None
    """Stop a network after so many epochs without a lower cost: the validation's, where there is one."""
    standardize: Literal["auto", "yes", "no"] = "auto"
    """Scale features to mean 0, deviation 1 over the training examples; they stay so in the model. auto: all but sets
    of two features."""
    seed: int = 0
    """Of the weights, the order of the examples, the parts and what is drawn."""
    precision: Literal["bfloat16", "float32", "float64"] = "float32"
    """The dtype of the whole computation."""
    out: Path = Path("out")
    """Folder for sweep.csv, sweep.safetensors and the pictures, as PNG and SVG."""
    report: bool = False
    """Write sweep_report.html as well, one page with all tables and pictures."""
    json: bool = False
    """Print the results as JSON instead of a table."""
    quiet: bool = False
    """Say and print nothing but errors (and the JSON)."""
    checkpoint_every: float = 30.0
    """Seconds from one state of the sweep, kept in a folder of --out for --resume, to the next; 0 keeps none."""
    resume: bool = False
    """Go on with the sweep that was stopped."""
