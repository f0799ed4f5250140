"""Training runs.

scaling   the mean and deviation of features, and how to fold them into the weights
keys      random keys as plain numbers
epochs    the compiled loop: epochs, minibatches, early stopping
tall      epochs over many examples, on all cores
resume    training state as named arrays, and back
levenberg_marquardt   second-order steps for small networks, as an optax transformation
fitting   `fit`: check, run some epochs at a time, return
"""

from jaxshallow.training.epochs import History
from jaxshallow.training.fitting import FitResult, fit
from jaxshallow.training.levenberg_marquardt import levenberg_marquardt
from jaxshallow.training.scaling import Scaling, fold_scaling, scaling

__all__ = ["FitResult", "History", "Scaling", "fit", "fold_scaling", "levenberg_marquardt", "scaling"]
