"""Pictures. Each function draws into matplotlib axes and returns them; `figure` and `save` do the rest.

figures    figures, colours, files
plane      two features: decision boundaries, hidden units
answers    confusion matrix, calibration, residuals, weights as images
curves     learning curves, and the results of many networks
certainty  error bands, the evidence for weight decays, leaving examples out
timings    times of executions and of other libraries
"""

from jaxshallow.extras import require

require("matplotlib", "plot")

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jaxshallow.plots.answers import calibration, confusion_matrix, residuals, weight_images
from jaxshallow.plots.certainty import error_band, evidence, foretold
from jaxshallow.plots.curves import heat_map, learning_curves, scatter_map, spread
from jaxshallow.plots.figures import COLOURS, LINES, MARKERS, encoded, figure, plain, save
from jaxshallow.plots.plane import classes_of, decision_boundary, hidden_units, limits
from jaxshallow.plots.timings import time_against_size, times_of_peers

__all__ = [
    "COLOURS",
    "LINES",
    "MARKERS",
    "Axes",
    "Figure",
    "calibration",
    "classes_of",
    "confusion_matrix",
    "decision_boundary",
    "encoded",
    "error_band",
    "evidence",
    "figure",
    "foretold",
    "heat_map",
    "hidden_units",
    "learning_curves",
    "limits",
    "plain",
    "residuals",
    "save",
    "scatter_map",
    "spread",
    "time_against_size",
    "times_of_peers",
    "weight_images",
]
