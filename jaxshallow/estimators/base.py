"""What the classifier and the regressor share: their parameters, how they are fitted, and what is known afterwards."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass, replace
from types import SimpleNamespace
from typing import Any, Self

import numpy as np
from scipy.sparse import issparse
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.validation import check_is_fitted

from jaxshallow.estimators.choosing import is_for_numpy
from jaxshallow.estimators.examples import NOT_FINITE, Data, Examples
from jaxshallow.estimators.given_examples import ExamplesMixin, Pair
from jaxshallow.estimators.networks import SHOWN, joined
from jaxshallow.estimators.out_of_bag import OutOfBagMixin
from jaxshallow.estimators.pool import current_pool
from jaxshallow.estimators.predicting import mean_output, of_mean, predicted
from jaxshallow.estimators.presets import values_of
from jaxshallow.estimators.saving import SavingMixin
from jaxshallow.estimators.settings import EVIDENCE, IN_FULL_BATCHES, LASTING, Recipe, n_hidden
from jaxshallow.estimators.solvers import rate_of
from jaxshallow.estimators.sparse import dense
from jaxshallow.estimators.training import Before, Curves, error_of, going_on, lowest, ranked, state_of, train
from jaxshallow.many import Many
from jaxshallow.params import Params
from jaxshallow.training.epochs import State


@dataclass(eq=False, repr=False, match_args=False)
class BaseShallow(ExamplesMixin, OutOfBagMixin, SavingMixin, BaseEstimator):
    """The fields are the parameters: a dataclass writes the `__init__` that scikit-learn reads them from.

    A subclass says what `ExamplesMixin` asks it about y, and what its kind of y adds to a file (`_labels`, `_relabel`).
    """

    hidden_layer_sizes: int | Sequence[int] | np.ndarray = (100,)
    activation: str = "relu"
    _: KW_ONLY
    solver: str = "adam"
    alpha: float | str = 0.0001
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
    preset: str | None = None
    encoding: Any = None
    categorical_features: Any = None
    max_categories: int = 64
    bagging: str | None = None
    average: str = "outputs"

    @property
    def _optimizer(self) -> SimpleNamespace:
        """scikit-learn's private name, at which people look for the learning rate of the next step."""
        check_is_fitted(self)
        rate = self.learning_rate_init
        if self.solver == "sgd" and self.learning_rate == "invscaling":
            rate /= (self.t_ + 1) ** self.power_t
        if self.solver == "sgd" and self.learning_rate == "adaptive" and self._state is not None:
            rate = float(rate_of(self._state.opt_state)[self._best_first[0]])
        return SimpleNamespace(learning_rate=rate)

    def set_params(self, **params: Any) -> Self:
        """Set parameters by their names; a `preset` sets its own, unless they are among those given."""
        own = values_of(params.get("preset"), self.get_params(deep=False))
        return super().set_params(**{**own, **params})

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
        if self.alpha == EVIDENCE:
            raise ValueError("partial_fit needs a number for alpha: the evidence is that of all examples")
        if self.bagging is not None:
            raise ValueError("partial_fit does not support bagging, which divides all examples: set bagging=None")
        return self._fit(X, y, sample_weight, (None, None), incremental=True)

    def _fit(self, X: Any, y: Any, sample_weight: Any, validation: Pair, incremental: bool = False) -> Self:
        recipe = Recipe.of(self.get_params())
        continues = (incremental or self.warm_start) and hasattr(self, "coefs_")
        if continues:
            self._check_that_training_can_continue(recipe, incremental)
        X, y = self._validated(X, y, reset=not (continues and hasattr(self, "n_features_in_")))
        if continues and not incremental:
            self._check_labels(y)
        Y = self._encoded(y, known=continues or incremental)
        weights = self._weights(X, y, sample_weight, incremental)
        (self.features_, data), *others = self._prepared(self._data(Examples(X, Y, weights), y, validation), continues)
        start = self._start(data, incremental) if continues else None
        if self.alpha == EVIDENCE:
            return self._fit_by_evidence(recipe, data, start)
        many, mine = self._trained(recipe, data, start, incremental)
        for features, other in others:
            rivals, theirs = self._trained(recipe, other, None, incremental)
            if error_of(rivals, theirs) < error_of(many, mine):
                self.features_, data, many, mine = features, other, rivals, theirs
        self._forget_error_bars()
        state = state_of(many, mine)
        self._keep(many, mine, len(data.examples.X), continued=continues)
        self._keep_out_of_bag(data.examples, data.bags, y, Y)
        self._begun, self._state = recipe.lasting, None if current_pool.get() else state
        if state is not None and state.idle_epochs is not None:
            self._no_improvement_count = int(state.idle_epochs[self._best_first[0]])  # scikit-learn's name
            if not incremental:
                self._say_how_it_ended(many, mine, state.idle_epochs, recipe.patience)
        return self

    def _check_that_training_can_continue(self, recipe: Recipe, incremental: bool) -> None:
        if incremental and hasattr(self, "_hidden") and getattr(self, "_state", None) is None:
            raise ValueError(
                "cannot continue training: loaded and search-fitted estimators have no optimizer state; fit anew, or "
                "with warm_start=True, which begins with these weights and a new optimizer"
            )
        if getattr(self, "_begun", recipe.lasting) != recipe.lasting:
            raise ValueError(
                f"to go on, {', '.join(LASTING)} must stay as they were, {self._begun}, got {recipe.lasting}"
            )

    def _start(self, data: Data, incremental: bool) -> State:
        """The networks to go on from; as in scikit-learn, with the optimizer's state in `partial_fit` alone."""
        n_h, (n_x, n_y) = n_hidden(self.hidden_layer_sizes), (data.examples.X.shape[1], data.examples.Y.shape[1])
        head = SHOWN[data.output]
        if getattr(self, "out_activation_", head) != head:
            raise ValueError(f"to go on, loss must stay as it was, for {self.out_activation_} outputs, got {head}")
        members, known = list(map(self._as_trained, self._networks)), getattr(self, "_state", None)
        for W1, W2 in ((member.W1, member.W2) for member in members):
            if (W1.shape, W2.shape) != ((n_h, n_x), (n_y, n_h)):
                raise ValueError(
                    f"to go on, coefs_ must be (n_features, n_hidden) = {(n_x, n_h)} and (n_hidden, n_outputs) = "
                    f"{(n_h, n_y)}, got {W1.T.shape} and {W2.T.shape}"
                )
        if known is None and len(members) != self.n_members:
            raise ValueError(f"to go on, n_members must be {len(members)} as before, got {self.n_members}")
        return going_on(known, members, getattr(self, "_best_first", None), incremental)

    def _say_how_it_ended(self, many: Many, mine: np.ndarray, idle: np.ndarray, patience: int) -> None:
        """scikit-learn's warnings; they come from this module, as there, so that filters can name it."""
        kept = mine[self._best_first]
        lost = many.diverged_at[kept] >= 0
        if lost.any():
            warnings.warn(
                f"The cost is not finite in iteration {many.diverged_at[kept].max() + 1}: the network is the best "
                "before that. Scale the data, or lower learning_rate_init",
                ConvergenceWarning,
                stacklevel=1,
            )
        if self.learning_rate == "cosine":  # which is to end there
            return
        at_the_end = ~lost & (many.epochs[kept] == self.max_iter) & (idle[self._best_first] < patience)
        if many.finished and at_the_end.any():
            warnings.warn(
                f"Stochastic Optimizer: Maximum iterations ({self.max_iter}) reached and the optimization hasn't "
                "converged yet.",
                ConvergenceWarning,
                stacklevel=1,
            )

    @property
    def _in_batches(self) -> bool:
        return self.solver not in IN_FULL_BATCHES

    def _trained(self, recipe: Recipe, data: Data, start: State | None, incremental: bool) -> tuple[Many, np.ndarray]:
        """Train, in a search with its other candidates: the networks, and the numbers of this estimator's own."""
        pool = current_pool.get()
        if pool and start is None:
            return pool.trained(recipe, data)
        if self._in_batches and self.batch_size != "auto" and int(self.batch_size) > len(data.examples.X):
            warnings.warn(
                "Got `batch_size` less than 1 or larger than sample size. It is going to be clipped", stacklevel=1
            )
        before = Before() if start is None else Before(start, getattr(self, "t_", 0), getattr(self, "_epochs", 0))
        if start is None or start.opt_state is None:  # else it is as it was
            self._in_numpy = is_for_numpy([recipe], data)
        many, (mine,) = train([recipe], data, before, in_numpy=self._in_numpy, incremental=incremental)
        self._epochs = before.epochs + int(many.epochs.max())
        if not many.finished:
            if not many.epochs.all():
                raise KeyboardInterrupt
            warnings.warn("Training interrupted by user.", stacklevel=1)
        return many, mine

    def _keep(self, many: Many, mine: np.ndarray, n_examples: int, continued: bool) -> None:
        """Keep the networks `mine` and how their training went."""
        best_first = ranked(many, mine)
        if not len(best_first):
            raise ValueError(
                f"{NOT_FINITE} Here the cost is not finite: scale X and y, or learning_rate_init is too large"
            )
        self.members_ = [self._in_units_of_y(many.params(k)) for k in best_first]
        self._best_first = np.array([np.flatnonzero(mine == k)[0] for k in best_first])
        self.n_iter_ = int(many.epochs[best_first[0]])
        self.t_ = (getattr(self, "t_", 0) if continued else 0) + self.n_iter_ * n_examples * self._in_batches
        # Of all members and of earlier fits: another member may be the best next time.
        curves = [Curves.of(many, k) for k in mine]
        earlier = getattr(self, "curves_", None) if continued else None
        self.curves_ = [*map(Curves.and_then, earlier, curves)] if earlier else curves
        self.loss_curve_, self.validation_loss_curve_, self.validation_scores_ = self.curves_[self._best_first[0]]
        self.loss_, self.best_loss_, self.best_validation_score_ = self.loss_curve_[-1], None, None
        if self.validation_loss_curve_ is None or self.validation_scores_ is None:
            self.best_loss_ = lowest(self.loss_curve_)
        else:
            self.best_validation_loss_ = lowest(self.validation_loss_curve_)
            self.best_validation_score_ = -lowest([-score for score in self.validation_scores_])

    # ---- predicting ----

    def as_one(self) -> Params:
        """The network, or the one, n_members times as wide, that an ensemble with averaged z2 is; it takes `rows_of` X.

        Raises:
            ValueError: the ensemble's outputs are averaged, which no one network gives.
        """
        networks = self._networks
        if len(networks) > 1 and self.average != "logits" and self._output != "identity":
            raise ValueError(
                f"a mean of {len(networks)} networks' outputs is no network: fit with average='logits', and they are "
                "one together, or take each of members_"
            )
        one = joined(networks) if len(networks) > 1 else networks[0]
        return replace(one, W1=one.W1[:, : self.features_.n_rows]) if self.features_ else one

    def rows_of(self, X: Any) -> np.ndarray:
        """(n_samples, n_rows) what the network takes: X encoded, as `features_` says, or X itself."""
        check_is_fitted(self)
        rows = self._rows(self._given(X, reset=False))
        rows = dense("X", rows) if issparse(rows) else rows
        return rows[:, : self.features_.n_rows] if self.features_ else rows

    def _predicted(self, X: Any, of_scores: Callable[..., np.ndarray]) -> np.ndarray:
        """What `of_scores(Z2, output)` makes of the members' Z2."""
        check_is_fitted(self)
        X, networks = self._given(X, reset=False), self._networks
        of_scores = functools.partial(of_scores, output=networks[0].output)
        if self.average == "logits":
            of_scores = functools.partial(of_mean, of_scores)
        found = predicted(networks, self._rows(X), of_scores, self.device)
        with np.errstate(over="ignore"):  # exp of much
            return found.astype(np.result_type(X.dtype, networks[0].W1.dtype), copy=False)

    def _outputs(self, X: Any) -> np.ndarray:
        """(n_samples, n_outputs) mean output of the members."""
        return self._predicted(X, mean_output)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.input_tags.allow_nan = self.encoding is not None
        return tags
