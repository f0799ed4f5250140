"""jaxshallow: shallow neural networks in JAX. One formula, many executions, all proven equal."""

from jaxshallow import data
from jaxshallow.activations import Activation
from jaxshallow.backprop import cost_and_grads, manual_grads, manual_grads_example
from jaxshallow.certify import Certificate, certify
from jaxshallow.descent import FitResult, History, fit, make_train_step, update
from jaxshallow.executions import (
    forward_loop,
    forward_scan,
    forward_vmap,
    manual_grads_loop,
    manual_grads_scan,
    manual_grads_vmap,
)
from jaxshallow.network import Cache, cost, forward, forward_example, losses, predict
from jaxshallow.params import Params, init
from jaxshallow.store import load, read_metadata, save

__all__ = [
    "Activation",
    "Cache",
    "Certificate",
    "FitResult",
    "History",
    "Params",
    "certify",
    "cost",
    "cost_and_grads",
    "data",
    "fit",
    "forward",
    "forward_example",
    "forward_loop",
    "forward_scan",
    "forward_vmap",
    "init",
    "load",
    "losses",
    "make_train_step",
    "manual_grads",
    "manual_grads_example",
    "manual_grads_loop",
    "manual_grads_scan",
    "manual_grads_vmap",
    "predict",
    "read_metadata",
    "save",
    "update",
]
