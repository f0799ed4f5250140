"""Contestants on real tables: each is fitted to a data frame with text and gaps, as its users would.

A contestant is a function of X, y and the task that returns what it has fitted. One that is tuned for as long as
another joins by `@contestant` too.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from bench.rows import OURS
from bench.tabular_tables import CLASSIFICATION

if TYPE_CHECKING:
    import pandas as pd

BASELINE = "HistGradientBoosting"  # that errors and times are compared with
DRAWS = 20  # of a search
SEED = 0

Fit = Callable[["pd.DataFrame", np.ndarray, str], Any]


class Contestant(NamedTuple):
    """Someone who learns a table.

    Attributes:
        group: the process that runs it: thread pools interfere.
        fit: takes X, y and the task, and returns an estimator with predict, and predict_proba for classes.
        needs: the package without which it is left out, and its name in pip.
        quick: whether --quick has it.
    """

    group: str
    fit: Fit
    needs: str
    quick: bool

    @property
    def left_out(self) -> str | None:
        """Why it cannot run here."""
        if importlib.util.find_spec(self.needs):
            return None
        return f"{self.needs} is missing: pip install {self.needs}"


CONTESTANTS: dict[str, Contestant] = {}


def contestant(name: str, group: str, *, needs: str = "sklearn", quick: bool = True) -> Callable[[Fit], Fit]:
    """Enters a function as a contestant."""

    def enter(fit: Fit) -> Fit:
        CONTESTANTS[name] = Contestant(group, fit, needs, quick)
        return fit

    return enter


# ---- what several of them share ----


def prepared(numbers: Any, model: Any, task: str) -> Any:
    """Numbers through `numbers`, a column for each word of a text, then the model, from standardised targets."""
    from sklearn.compose import TransformedTargetRegressor, make_column_selector, make_column_transformer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    words = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    columns = make_column_transformer(
        (numbers, make_column_selector(dtype_include="number")),
        (words, make_column_selector(dtype_exclude="number")),
    )
    pipeline = make_pipeline(columns, model)
    if task == CLASSIFICATION:
        return pipeline
    return TransformedTargetRegressor(pipeline, transformer=StandardScaler())


def standardised() -> Any:
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(SimpleImputer(strategy="median"), StandardScaler())


def with_categories(X: pd.DataFrame) -> pd.DataFrame:
    return X.astype(dict.fromkeys(X.select_dtypes(exclude="number"), "category"))


def of_categories(model: Any) -> Any:
    """The model, after columns of text have become categories."""
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer

    return make_pipeline(FunctionTransformer(with_categories), model)


def without_gaps(model: Any) -> Any:
    """The model, after the median has filled the gaps of numbers, and columns of text have become categories."""
    from sklearn.compose import make_column_selector, make_column_transformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline

    filled = make_column_transformer(
        (SimpleImputer(strategy="median"), make_column_selector(dtype_include="number")),
        remainder="passthrough",
        verbose_feature_names_out=False,
    )
    return make_pipeline(filled.set_output(transform="pandas"), of_categories(model))


# ---- the contestants ----


@contestant(BASELINE, "scikit-learn")
def hist_gradient_boosting(X: pd.DataFrame, y: np.ndarray, task: str) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    kind = HistGradientBoostingClassifier if task == CLASSIFICATION else HistGradientBoostingRegressor
    return of_categories(kind(categorical_features="from_dtype", random_state=SEED)).fit(X, y)


@contestant("LightGBM", "lightgbm", needs="lightgbm")
def lightgbm(X: pd.DataFrame, y: np.ndarray, task: str) -> Any:
    from lightgbm import LGBMClassifier, LGBMRegressor

    kind = LGBMClassifier if task == CLASSIFICATION else LGBMRegressor
    return of_categories(kind(random_state=SEED, verbose=-1)).fit(X, y)


def mlp(task: str) -> Any:
    from sklearn.neural_network import MLPClassifier, MLPRegressor

    kind = MLPClassifier if task == CLASSIFICATION else MLPRegressor
    return prepared(standardised(), kind(random_state=SEED), task)


@contestant("MLP", "scikit-learn")
def mlp_as_it_is(X: pd.DataFrame, y: np.ndarray, task: str) -> Any:
    return mlp(task).fit(X, y)


@contestant("MLP-tuned", "scikit-learn", quick=False)
def mlp_tuned(X: pd.DataFrame, y: np.ndarray, task: str) -> Any:
    """The best of some draws, each fitted to three folds, on all cores."""
    from scipy.stats import loguniform
    from sklearn.model_selection import RandomizedSearchCV

    estimator = mlp(task)
    of_mlp = next(name for name in estimator.get_params() if name.endswith("__alpha")).removesuffix("alpha")
    space = {
        "alpha": loguniform(1e-5, 1e1),
        "learning_rate_init": loguniform(1e-4, 1e-2),
        "hidden_layer_sizes": [(32,), (100,), (256,), (32, 32), (100, 100), (256, 256)],
        "early_stopping": [False, True],
    }
    search = RandomizedSearchCV(
        estimator,
        {of_mlp + name: values for name, values in space.items()},
        n_iter=DRAWS,
        cv=3,
        scoring="neg_log_loss" if task == CLASSIFICATION else "r2",
        random_state=SEED,
        n_jobs=-1,
    )
    return search.fit(X, y)


@contestant("RealMLP", "torch", needs="pytabkit", quick=False)
def real_mlp(X: pd.DataFrame, y: np.ndarray, task: str) -> Any:
    from pytabkit import RealMLP_TD_Classifier, RealMLP_TD_Regressor

    kind = RealMLP_TD_Classifier if task == CLASSIFICATION else RealMLP_TD_Regressor
    return without_gaps(kind(random_state=SEED)).fit(X, y)


@contestant("TabM", "torch", needs="pytabkit", quick=False)
def tab_m(X: pd.DataFrame, y: np.ndarray, task: str) -> Any:
    from pytabkit import TabM_D_Classifier, TabM_D_Regressor

    kind = TabM_D_Classifier if task == CLASSIFICATION else TabM_D_Regressor
    return without_gaps(kind(random_state=SEED)).fit(X, y)


@contestant(OURS, OURS)
def ours(X: pd.DataFrame, y: np.ndarray, task: str) -> Any:
    from jaxshallow.estimators import ShallowClassifier, ShallowRegressor

    kind = ShallowClassifier if task == CLASSIFICATION else ShallowRegressor
    return prepared(standardised(), kind(random_state=SEED), task).fit(X, y)


@contestant(f"{OURS}-tables", OURS)
def ours_for_tables(X: pd.DataFrame, y: np.ndarray, task: str) -> Any:
    from jaxshallow.estimators import ShallowClassifier, ShallowRegressor

    kind = ShallowClassifier if task == CLASSIFICATION else ShallowRegressor
    return kind(preset="tables", random_state=SEED).fit(X, y)
