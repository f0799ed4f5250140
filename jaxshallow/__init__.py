"""jaxshallow: shallow neural networks in JAX. One formula, many executions, all proven equal.

The notes, in their order: activations, params, network, backprop, executions, descent. A folder for each thing beyond
them: training (`fit`), tiles (`stream`, `shard`), many (`fit_many`), bayes (`laplace`, `fit_evidence`), tables, store,
exports, certificate, estimators, plots, reports, programs; the `__init__.py` of each says what is in it.
"""

import importlib
from typing import TYPE_CHECKING, Any

from jaxshallow import data
from jaxshallow.activations import Activation
from jaxshallow.backprop import cost_and_grads, manual_grads, manual_grads_example
from jaxshallow.certify import certify
from jaxshallow.compilation import enable_compilation_cache
from jaxshallow.curvature import gauss_newton, gauss_newton_vector, hessian, hessian_vector, jacobian, ntk
from jaxshallow.descent import make_train_step, update
from jaxshallow.executions import (
    forward_loop,
    forward_scan,
    forward_vmap,
    manual_grads_loop,
    manual_grads_scan,
    manual_grads_vmap,
)
from jaxshallow.network import Cache, cost, forward, forward_example, losses, predict, score
from jaxshallow.params import Params, init
from jaxshallow.per_example import clipped_grads, grad_noise_scale, per_example_grad_norms
from jaxshallow.store import load, read_metadata, save
from jaxshallow.tiles import shard, stream
from jaxshallow.training import FitResult, History, fit, levenberg_marquardt

if TYPE_CHECKING:
    from jaxshallow.bayes import (
        Evidence,
        Gaussian,
        LabelAudit,
        Posterior,
        fit_evidence,
        influence,
        label_audit,
        laplace,
        leave_one_out,
        load_posterior,
        trained_without,
    )
    from jaxshallow.certificate import Certificate
    from jaxshallow.exports import export
    from jaxshallow.many import Many, Progress, fit_many

__all__ = [
    "Activation",
    "Cache",
    "Certificate",
    "Evidence",
    "FitResult",
    "Gaussian",
    "History",
    "LabelAudit",
    "Many",
    "Params",
    "Posterior",
    "Progress",
    "certify",
    "clipped_grads",
    "cost",
    "cost_and_grads",
    "data",
    "enable_compilation_cache",
    "export",
    "fit",
    "fit_evidence",
    "fit_many",
    "forward",
    "forward_example",
    "forward_loop",
    "forward_scan",
    "forward_vmap",
    "gauss_newton",
    "gauss_newton_vector",
    "grad_noise_scale",
    "hessian",
    "hessian_vector",
    "influence",
    "init",
    "jacobian",
    "label_audit",
    "laplace",
    "leave_one_out",
    "levenberg_marquardt",
    "load",
    "load_posterior",
    "losses",
    "make_train_step",
    "manual_grads",
    "manual_grads_example",
    "manual_grads_loop",
    "manual_grads_scan",
    "manual_grads_vmap",
    "ntk",
    "per_example_grad_norms",
    "predict",
    "read_metadata",
    "save",
    "score",
    "shard",
    "stream",
    "trained_without",
    "update",
]

# The wings of these names are imported when the first of them is used: a first answer should not wait for them.
ON_FIRST_USE = {
    "Certificate": "certificate",
    "Evidence": "bayes",
    "Gaussian": "bayes",
    "LabelAudit": "bayes",
    "Many": "many",
    "Posterior": "bayes",
    "Progress": "many",
    "export": "exports",
    "fit_evidence": "bayes",
    "fit_many": "many",
    "influence": "bayes",
    "label_audit": "bayes",
    "laplace": "bayes",
    "leave_one_out": "bayes",
    "load_posterior": "bayes",
    "trained_without": "bayes",
}


def __getattr__(name: str) -> Any:
    if name not in ON_FIRST_USE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(importlib.import_module(f"{__name__}.{ON_FIRST_USE[name]}"), name)
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
