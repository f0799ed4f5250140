"""The options of train."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from jaxshallow.programs.options import RunOptions


@dataclass
class Options(RunOptions):
    n_h: int = 4
    """Hidden units."""
    hidden: str = "tanh"
    """Hidden activation: sigmoid, tanh, relu, leaky_relu, identity, or another that activations.py lists."""
    optimizer: Literal["sgd", "momentum", "rmsprop", "adam", "adamw", "lbfgs", "lm"] = "sgd"
    """sgd is plain gradient descent; lbfgs and lm (Levenberg-Marquardt, for small networks) choose their own steps."""
    learning_rate: float | None = None
    """Learning rate. If not given: 1.2 for sgd, as in the course; 0.1 for momentum; 0.01 for the others."""
    epochs: int = 10_000
    """Passes over the data; with full batches, one step each."""
    patience: int | None = None
    """Early stopping: stop after this many epochs without a lower cost.
    With --validation, the validation cost counts, and the network with the lowest is kept."""
    batch_size: int | None = None
    """Examples a step; all of them (full batch) if not given."""
    l2: float | Literal["evidence"] = 0.0
    """Weight decay. evidence: the best one, found without a validation set, with error bars.
    For small networks, trained from several starts by lm, or by lbfgs if that is the --optimizer."""
    scale: str = "0.01"
    """Standard deviation of the first weights: a number, glorot or he."""
    seed: int = 0
    """Random seed for the weights, the order of the examples and the validation share."""
    precision: Literal["bfloat16", "float32", "float64"] = "float32"
    """The dtype of the whole computation."""
    matmul_precision: Literal["default", "high", "highest"] = "default"
    """Precision of float32 matrix products; default means TF32 on many GPUs."""
    preset: Literal["tables"] | None = None
    """tables: encodings of numbers, gaps, rare categories and an ensemble, as the estimators' preset has them.
    Options that are given count; the model is one network, which predict and export take."""
    validation: float = 0.0
    """Share of the examples held out for validation, from 0 to below 1."""
    standardize: Literal["auto", "yes", "no"] = "auto"
    """Scale features, and a regression's target, to mean 0, deviation 1; the saved model takes raw values.
    auto: all but built-in data sets with two features."""
    out: Path = Path("out")
    """Folder for model.safetensors, history.json and the picture, as PNG and SVG."""
    report: bool = False
    """Also write report.html, one page with all tables and pictures, and more pictures as files."""
    json: bool = False
    """Print the results as JSON instead of a table."""
    quiet: bool = False
    """Print only errors (and the JSON)."""
    checkpoint_every: float = 30.0
    """Seconds between checkpoints, which are kept in a folder of --out for --resume; 0 keeps none."""
    resume: bool = False
    """Continue a run that was stopped."""
    course: bool = False
    """Reproduce the course's published exercise, in float64."""
    demo: Literal["symmetry", "scale"] | None = None
    """Answer one of the notes' two questions."""
