"""How sure is the network, and how much weight decay does it want? All of it from the second derivatives by hand.

The files; each imports only from those above it:

    conformal    intervals and sets from predictions of unseen examples
    predictive   what a Gaussian posterior says of new examples
    posterior    `Gaussian` and `Posterior`: what is known of a trained network
    loading      `load_posterior`: from a file that `save` wrote
    gaussian     `laplace`: its precision, its evidence, and what cannot be
    leaving_out  `leave_one_out`, `influence`: the network without an example
    starts       several starts, checked together, and trained by `fit_many`
    retraining   `trained_without`: what `leave_one_out` foretells, truly trained
    climbing     to the highest evidence of one start
    evidence     `fit_evidence`: l2 and noise without a validation set
    labels       `label_audit`: labels that surprise networks which have not seen them
"""

from jaxshallow.bayes.evidence import Evidence, EvidenceHistory, fit_evidence
from jaxshallow.bayes.gaussian import laplace
from jaxshallow.bayes.labels import LabelAudit, label_audit
from jaxshallow.bayes.leaving_out import influence, leave_one_out
from jaxshallow.bayes.loading import load_posterior
from jaxshallow.bayes.posterior import Gaussian, Posterior
from jaxshallow.bayes.retraining import trained_without

__all__ = [
    "Evidence",
    "EvidenceHistory",
    "Gaussian",
    "LabelAudit",
    "Posterior",
    "fit_evidence",
    "influence",
    "label_audit",
    "laplace",
    "leave_one_out",
    "load_posterior",
    "trained_without",
]
