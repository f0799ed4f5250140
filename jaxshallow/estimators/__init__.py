"""Shallow networks as scikit-learn estimators: rows are examples, names and defaults are those of its MLP.

The files, in the order in which they import each other, from the bottom up: forks, solvers, settings, training, sparse,
scales, predicting, pool, saving, base, classifier, regressor, search. Every fit is one `fit_many`, of an ensemble and
of all candidates of a search, too.
"""

try:
    import sklearn.base  # noqa: F401
    from sklearn.utils.validation import validate_data  # noqa: F401, which 1.6 brought
except ImportError as error:
    raise ImportError("the estimators need scikit-learn 1.6 or later: pip install 'jaxshallow[sklearn]'") from error

from jaxshallow.estimators.classifier import ShallowClassifier
from jaxshallow.estimators.regressor import ShallowRegressor
from jaxshallow.estimators.search import ShallowSearchCV

__all__ = ["ShallowClassifier", "ShallowRegressor", "ShallowSearchCV"]
