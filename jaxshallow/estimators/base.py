"""What the classifier and the regressor share: their parameters, how they are fitted, and what is known afterwards."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any, Self

import numpy as np
from scipy.sparse import issparse
from sklearn.base import BaseEstimator, is_classifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state, column_or_1d
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from jaxshallow.estimators.forks import refuse_after_fork
from jaxshallow.estimators.pool import current_pool
from jaxshallow.estimators.predicting import mean_output, predicted
from jaxshallow.estimators.saving import SavingMixin
from jaxshallow.estimators.scales import warn_of_another_scale
from jaxshallow.estimators.settings import LASTING, Recipe
from jaxshallow.estimators.sparse import dense
from jaxshallow.estimators.training import Data, Examples, hold_out, ranked, train
from jaxshallow.many import Many

FLOATS = (np.float64, np.float32)
Pair = tuple[Any, Any]  # X_val and y_val


@dataclass(eq=False, repr=False, match_args=False)
class BaseShallow(SavingMixin, BaseEstimator):
    """The fields are the parameters: a dataclass writes the `__init__` that scikit-learn reads them from.

    A subclass says how y becomes targets (`_encoded`), which head these need (`_output`), what its kind of y adds to
    the weights of examples (`_weights`) and to a file (`_labels`, `_relabel`).
    """

    hidden_layer_sizes: int | Sequence[int] | np.ndarray = (100,)
    activation: str = "relu"
    _: KW_ONLY
    solver: str = "adam"
    alpha: float = 0.0001
    batch_size: int | str = "auto"
    learning_rate: str = "constant"
    learning_rate_init: float = 0.001
    power_t: float = 0.5
    max_iter: int = 200
    shuffle: bool = True
    random_state: int | np.random.RandomState | None = None
    tol: float = 1e-4
    verbose: bool = False
    warm_start: bool = False
    momentum: float = 0.9
    nesterovs_momentum: bool = True
    early_stopping: bool = False
    validation_fraction: float = 0.1
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-8
    n_iter_no_change: int = 10
    max_fun: int = 15000
    n_members: int = 1
    device: str | None = None

    # ---- what is known after fitting, in scikit-learn's terms; `members_` holds the networks, the best first ----

    @property
    def coefs_(self) -> list[np.ndarray]:
        """Weights of the best member as scikit-learn has them: (n_features, n_hidden) and (n_hidden, n_outputs)."""
        return [np.asarray(self.members_[0].W1).T, np.asarray(self.members_[0].W2).T]

    @property
    def intercepts_(self) -> list[np.ndarray]:
        """Biases of the best member: (n_hidden,) and (n_outputs,)."""
        return [np.asarray(self.members_[0].b1)[:, 0], np.asarray(self.members_[0].b2)[:, 0]]

    @property
    def n_layers_(self) -> int:
        check_is_fitted(self)
        return 3

    @property
    def n_outputs_(self) -> int:
        return len(self.members_[0].W2)

    @property
    def out_activation_(self) -> str:
        return {"sigmoid": "logistic"}.get(self.members_[0].output, self.members_[0].output)

    # ---- fitting ----

    def fit(self, X: Any, y: Any, sample_weight: Any = None, *, X_val: Any = None, y_val: Any = None) -> Self:
        """Train on rows of examples.

        Args:
            X: (n_samples, n_features) array, data frame or sparse matrix. Sparse rows are made dense for training; they
                are refused if they would not fit into memory, and `partial_fit` takes them in parts.
            y: (n_samples,) targets, or (n_samples, n_outputs).
            sample_weight: (n_samples,) weights ≥ 0; they act within a minibatch, as in scikit-learn.
            X_val, y_val: examples to validate on after each epoch. Training stops early by their cost, as with
                `early_stopping`, and no part of X is held out. A Pipeline transforms X alone, unless it is made with
                `transform_input=["X_val"]`; a warning says so if X_val is not on the scale of X.

        Returns:
            The estimator itself.

        Raises:
            ValueError: as MLPClassifier and MLPRegressor do; more than one hidden layer; every network diverged.
        """
        return self._fit(X, y, sample_weight, (X_val, y_val))

    def _partial_fit(self, X: Any, y: Any, sample_weight: Any) -> Self:
        if self.early_stopping:
            raise ValueError("partial_fit does not support early_stopping=True")
        return self._fit(X, y, sample_weight, (None, None), incremental=True)

    def _fit(self, X: Any, y: Any, sample_weight: Any, validation: Pair, incremental: bool = False) -> Self:
        refuse_after_fork()
        recipe = Recipe.of(self.get_params())
        continues = (incremental or self.warm_start) and hasattr(self, "members_")
        if continues:
            self._check_that_training_can_continue(recipe)
        X, y = self._validated(X, y, reset=not continues)
        Y = self._encoded(y, known=continues or incremental)
        weights = self._weights(X, y, sample_weight, incremental)
        data = self._data(Examples(X, Y, weights), y, validation)
        many, mine = self._trained(recipe, data, continues, incremental)
        best_first = self._keep(many, mine, n_examples=data.examples.X.shape[1])
        self._begun = recipe.lasting
        reached_the_end = many.finished and (many.epochs[best_first] == self.max_iter).any()
        if reached_the_end and not incremental and self.solver != "lbfgs":
            warnings.warn(
                f"Maximum iterations ({self.max_iter}) reached and the optimization hasn't converged yet.",
                ConvergenceWarning,
                stacklevel=3,
            )
        return self

    def _check_that_training_can_continue(self, recipe: Recipe) -> None:
        if getattr(self, "_many", None) is None:
            raise ValueError(
                "cannot continue training: loaded and search-fitted estimators have no optimizer state; fit anew"
            )
        if self._begun != recipe.lasting:
            raise ValueError(
                f"to go on, {', '.join(LASTING)} must stay as they were, {self._begun}, got {recipe.lasting}"
            )

    def _validated(self, X: Any, y: Any, reset: bool) -> tuple[np.ndarray, np.ndarray]:
        """X and y as arrays; with `reset` their columns are those to expect from now on."""
        X, y = validate_data(
            self, X, y, accept_sparse="csr", multi_output=True, y_numeric=not is_classifier(self), dtype=FLOATS,
            reset=reset,
        )  # fmt: skip
        y = column_or_1d(y, warn=True) if y.ndim == 2 and y.shape[1] == 1 else y
        return dense("X", X) if issparse(X) else X, y

    def _data(self, examples: Examples, y: np.ndarray, validation: Pair) -> Data:
        """The training data, with the user's validation examples or, for `early_stopping`, some that are held out."""
        pool = current_pool.get()
        shared_seed = pool.seed if pool and self.random_state is None else self.random_state
        seed = int(check_random_state(shared_seed).randint(2**31 - 1))
        held_out = self._validation(validation, examples.Y.shape[1])
        if held_out is None and self.early_stopping:
            stratify = y if is_classifier(self) and y.ndim == 1 else None
            examples, held_out = hold_out(examples, self.validation_fraction, seed, stratify)
        data = Data.of_rows(examples, held_out, self._output, seed)
        if data.validation is not None and validation[0] is not None:
            warn_of_another_scale("X", data.examples.X, data.validation.X)
            if not is_classifier(self):
                warn_of_another_scale("y", data.examples.Y, data.validation.Y)
        return data

    def _validation(self, validation: Pair, n_outputs: int) -> Examples | None:
        """The user's validation examples; None if there are none."""
        X_val, y_val = validation
        if (X_val is None) != (y_val is None):
            raise ValueError("X_val and y_val must be given together")
        if X_val is None:
            return None
        X, y = self._validated(X_val, y_val, reset=False)
        Y = self._encoded(y, known=True)
        if Y.shape[1] != n_outputs:
            raise ValueError(f"y_val must have {n_outputs} outputs as y has, got {Y.shape[1]}")
        return Examples(X, Y, None)

    def _trained(self, recipe: Recipe, data: Data, continues: bool, incremental: bool) -> tuple[Many, np.ndarray]:
        """Train, in a search with its other candidates: the networks, and the numbers of this estimator's own."""
        pool = current_pool.get()
        if pool and not continues:
            trained = pool.trained(recipe, data)
            self._many = None
            return trained
        many, (mine,) = train([recipe], data, start=self._many if continues else None, incremental=incremental)
        if not many.finished:
            if not many.epochs.all():
                raise KeyboardInterrupt
            warnings.warn("Training interrupted by user.", stacklevel=4)
        self._many = many
        return many, mine

    def _keep(self, many: Many, mine: np.ndarray, n_examples: int) -> np.ndarray:
        """Keep the networks `mine` and how their training went; their numbers, best first."""
        best_first = ranked(many, mine)
        if not len(best_first):
            raise ValueError(
                "Solver produced non-finite parameter weights: the cost is not finite. The input data may contain "
                "large values and need to be scaled, or learning_rate_init is too large"
            )
        best, continued = best_first[0], many.epochs_before > 0
        self.members_ = [many.params(k) for k in best_first]
        self.n_iter_ = int(many.epochs[best])
        self.t_: int = (self.t_ if continued else 0) + self.n_iter_ * n_examples
        # (n_members, epochs), of earlier fits too: another member may be the best next time.
        self._costs: np.ndarray = np.hstack([*([self._costs] if continued else []), many.history.cost[mine]])
        curve = self._costs[np.flatnonzero(mine == best)[0]]
        self.loss_curve_ = curve[np.isfinite(curve)].tolist()
        self.loss_, self.best_loss_ = self.loss_curve_[-1], float(np.nanmin(self.loss_curve_))
        self.validation_loss_curve_ = None
        if many.history.validation_cost is not None:
            self.validation_loss_curve_ = many.history.validation_cost[best, : self.n_iter_].tolist()
            self.best_validation_loss_ = min(self.validation_loss_curve_)
        return best_first

    # ---- predicting ----

    def _predicted(self, X: Any, of_scores: Callable[..., np.ndarray]) -> np.ndarray:
        """What `of_scores(Z2, output)` makes of the members' Z2."""
        check_is_fitted(self)
        X = validate_data(self, X, accept_sparse="csr", dtype=FLOATS, reset=False)
        of_scores = functools.partial(of_scores, output=self.members_[0].output)
        return predicted(self.members_, X, of_scores, self.device)

    def _outputs(self, X: Any) -> np.ndarray:
        """(n_samples, n_outputs) mean output of the members."""
        return self._predicted(X, mean_output)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    # ---- what a subclass says of y ----

    @property
    def _output(self) -> str:
        """The head of the network, when `_encoded` has seen y."""
        raise NotImplementedError

    def _encoded(self, y: np.ndarray, known: bool) -> np.ndarray:
        """(n_samples, n_outputs) targets; if `known`, y has the labels of an earlier y."""
        raise NotImplementedError

    def _weights(self, X: np.ndarray, y: np.ndarray, sample_weight: Any, incremental: bool) -> np.ndarray | None:
        """The weights of examples; None for equal ones."""
        return None if sample_weight is None else _check_sample_weight(sample_weight, X, ensure_non_negative=True)
