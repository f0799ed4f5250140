"""Shallow networks as scikit-learn estimators: a drop-in replacement for its MLPClassifier and MLPRegressor.

The files, from the bottom up: settings, training, pool, saving, base, classifier, regressor, search. Each imports only
from those before it. Rows are examples here; in the rest of the library, columns are.
"""

try:
    import sklearn.base
    from sklearn.utils.validation import validate_data  # noqa: F401, new in 1.6
except ImportError as error:
    raise ImportError("the estimators need scikit-learn 1.6 or later: pip install 'jaxshallow[sklearn]'") from error

from jaxshallow.estimators.base import ShallowClassifier, ShallowRegressor, ShallowSearchCV

__all__ = ["ShallowClassifier", "ShallowRegressor", "ShallowSearchCV"]
