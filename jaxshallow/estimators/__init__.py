"""Shallow networks as scikit-learn estimators: rows are examples, names and defaults are those of its MLP.

The files, in the order in which they import each other, from the bottom up: presets, solvers, settings, encoders,
cells, first, examples, bags, results, threads, choosing, numpy_network, numpy_solvers, numpy_epochs, objectives, lbfgs,
training, evidence, sparse, scales, predicting, networks, pool, preparing, given_examples, error_bars, saving,
out_of_bag, base, classifier, regressor, search, optuna_search. A fit is one `fit_many`, of an ensemble and
of all candidates of a search, too; a small one is computed in NumPy (`choosing` says which), and "lbfgs" is SciPy's.

From the same weights and the same minibatches each solver takes the steps of MLPClassifier and MLPRegressor, and stops
where they do. What differs from them on purpose:

- hidden_layer_sizes: one layer, which is what this library is for.
- activation: leaky_relu too, and sigmoid, our word for logistic. `predict` uses the one that was trained with.
- solver: lm too, Levenberg-Marquardt.
- alpha: "evidence" too, for the weight decay that the evidence finds, with error bars: a regressor's `predict` has
  return_std, and set_predict_request for pipelines that pass it on.
- random_state: other random numbers, of the same distribution.
- dtype: where JAX trains, that is, on all but small problems, the stochastic solvers compute in float32, unless its x64
  is on; NumPy, lbfgs and lm in the dtype of X.
- early_stopping: the validation cost decides, which is finer than the score; the score is recorded in
  `validation_scores_`. lbfgs stops early, too. Several classes are held out in proportion.
- loss_, loss_curve_: with several outputs of a regressor their sum, whose gradient is followed; MLPRegressor shows the
  mean. After lbfgs there is a curve, too, and best_loss_, validation_scores_, best_validation_score_.
- tol: an epoch that falls by exactly `tol` counts as idle.
- verbose: for one network the lines of scikit-learn, without those on an adaptive rate; for many a progress bar.
- partial_fit: the minibatches differ from call to call, a new learning_rate_init takes effect, and with warm_start
  classes may be missing. A regressor with lbfgs has no partial_fit.
- learning_rate: "cosine" too, for adam and sgd: it falls to 0 in max_iter epochs.
- class_weight, n_members, device: are new parameters; X_val, y_val in `fit`; save, load. So are preset, encoding,
  categorical_features, max_categories, normalize_y, for tables as they are, and bagging, average, for ensembles;
  predict_interval and predict_set follow from bagging; as_one and rows_of give the one network of an ensemble, and
  what it takes.
- members_, curves_, validation_loss_curve_, best_validation_loss_; alpha_, noise_, log_evidence_, posteriors_, which
  are None without the evidence; features_, oof_, oof_score_, None without an encoding or bagging: are new attributes.
- ValueError: if a cost is not finite, even where the weights are; a change of what must stay in a warm start.
"""

try:
    import sklearn.base  # noqa: F401
    from sklearn.utils.validation import validate_data  # noqa: F401, which 1.6 brought
except ImportError as error:
    raise ImportError("the estimators need scikit-learn 1.6 or later: pip install 'jaxshallow[sklearn]'") from error

from jaxshallow.estimators.classifier import ShallowClassifier
from jaxshallow.estimators.encoders import PiecewiseLinearEncoder, RobustSmoothClipper
from jaxshallow.estimators.optuna_search import ShallowOptunaSearchCV
from jaxshallow.estimators.regressor import ShallowRegressor
from jaxshallow.estimators.search import ShallowSearchCV

__all__ = [
    "PiecewiseLinearEncoder",
    "RobustSmoothClipper",
    "ShallowClassifier",
    "ShallowOptunaSearchCV",
    "ShallowRegressor",
    "ShallowSearchCV",
]
