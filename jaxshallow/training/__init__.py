"""Training runs: the compiled loop over epochs, `fit` around it, and the scaling of features."""

from jaxshallow.training.epochs import History
from jaxshallow.training.fitting import FitResult, fit
from jaxshallow.training.scaling import Scaling, fold_scaling, scaling

__all__ = ["FitResult", "History", "Scaling", "fit", "fold_scaling", "scaling"]
