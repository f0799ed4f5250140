"""The scikit-learn face: rows are examples, and names and defaults are those of MLPClassifier and MLPRegressor.

Every fit is a `fit_many`: an ensemble is some networks of it, and a search trains all its candidates on a fold at once.
"""

from __future__ import annotations

import contextlib
import contextvars
import functools
import hashlib
import numbers
import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
import optax

from jaxshallow import store
from jaxshallow.activations import HIDDEN
from jaxshallow.many import Many, Progress, bucket, fit_many, length_step, sum_of_outputs, widened

try:
    from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, clone, is_classifier
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.model_selection import ParameterGrid, ParameterSampler, train_test_split
    from sklearn.model_selection._search import BaseSearchCV  # made to be subclassed, as its docstring says
    from sklearn.preprocessing import LabelBinarizer
    from sklearn.utils import check_random_state, column_or_1d, compute_sample_weight
    from sklearn.utils.metaestimators import available_if
    from sklearn.utils.multiclass import check_classification_targets, type_of_target, unique_labels
    from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data
except ImportError as error:
    raise ImportError("the estimators need scikit-learn 1.6 or later: pip install 'jaxshallow[sklearn]'") from error

ACTIVATIONS = {"logistic": "sigmoid"}  # what scikit-learn calls otherwise
# What may differ among networks that are trained together; the rest is settled once for a `fit_many`.
PER_NETWORK = (
    "hidden_layer_sizes", "activation", "alpha", "learning_rate_init", "momentum", "beta_1", "beta_2", "epsilon",
)  # fmt: skip
LASTING = ("hidden_layer_sizes", "activation", "solver", "learning_rate", "n_members")  # of what goes on with training
FLOATS = (np.float64, np.float32)


# ---- solvers: optax factories of a learning rate, one object for each setting, since each object compiles anew ----


def _lbfgs(learning_rate):  # a line search finds its own step length
    return optax.lbfgs()


@functools.cache
def _sgd(nesterov: bool):
    return functools.partial(optax.sgd, nesterov=nesterov)


@functools.cache
def _sgd_invscaling(nesterov: bool, power_t: float, n_examples: int, steps: int):
    """α / tᵖ, with t the examples seen before this epoch of so many steps."""

    def factory(learning_rate, momentum):
        rate = lambda step: learning_rate / (1.0 + step // steps * n_examples) ** power_t  # noqa: E731
        return optax.sgd(rate, momentum, nesterov)

    return factory


@functools.cache
def _sgd_adaptive(nesterov: bool, patience: int, tol: float, steps: int):
    """α / 5 each time that the mean cost of an epoch was no lower, by tol, for so many epochs."""
    plateau = optax.contrib.reduce_on_plateau(
        0.2, patience, rtol=0.0, atol=max(tol, np.finfo(np.float32).tiny), accumulation_size=steps
    )

    def factory(learning_rate, momentum):
        return optax.chain(optax.sgd(learning_rate, momentum, nesterov), plateau)

    return factory


# ---- the estimators ----


class _Data(NamedTuple):
    """What a fit trains on, examples as columns, and the seed of its key."""

    X: np.ndarray
    Y: np.ndarray
    weights: np.ndarray | None
    validation: tuple[np.ndarray, np.ndarray, np.ndarray | None] | None  # X, Y and weights
    seed: int

    def digest(self) -> bytes:
        seen = hashlib.blake2b(str((self.seed, self.X.shape, self.Y.shape)).encode())
        for array in (self.X, self.Y, self.weights, *(self.validation or ())):
            if array is not None:
                seen.update(np.ascontiguousarray(array).tobytes())
        return seen.digest()


def _is_stochastic(estimator: _Shallow) -> bool:
    if estimator.solver == "lbfgs":
        raise AttributeError("partial_fit is for the stochastic solvers, 'sgd' and 'adam', not for 'lbfgs'")
    return True


class _Shallow(BaseEstimator):
    """What the classifier and the regressor share."""

    _many: Many | None
    _costs: np.ndarray  # (n_members, epochs) of the runs so far

    def __init__(
        self,
        hidden_layer_sizes=(100,),
        activation="relu",
        *,
        solver="adam",
        alpha=0.0001,
        batch_size="auto",
        learning_rate="constant",
        learning_rate_init=0.001,
        power_t=0.5,
        max_iter=200,
        shuffle=True,
        random_state=None,
        tol=1e-4,
        verbose=False,
        warm_start=False,
        momentum=0.9,
        nesterovs_momentum=True,
        early_stopping=False,
        validation_fraction=0.1,
        beta_1=0.9,
        beta_2=0.999,
        epsilon=1e-8,
        n_iter_no_change=10,
        max_fun=15000,
        n_members=1,
        device=None,
    ):
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.solver = solver
        self.alpha = alpha
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.learning_rate_init = learning_rate_init
        self.power_t = power_t
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.random_state = random_state
        self.tol = tol
        self.verbose = verbose
        self.warm_start = warm_start
        self.momentum = momentum
        self.nesterovs_momentum = nesterovs_momentum
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.n_iter_no_change = n_iter_no_change
        self.max_fun = max_fun
        self.n_members = n_members
        self.device = device

    # What is known after fitting. `members_` holds the networks, the one of the lowest cost first.

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

    def fit(self, X, y, sample_weight=None, *, X_val=None, y_val=None):
        """Train on rows of examples.

        Args:
            X: (n_samples, n_features) array or data frame.
            y: (n_samples,) targets, or (n_samples, n_outputs).
            sample_weight: (n_samples,) weights ≥ 0; they act within a minibatch, as in scikit-learn.
            X_val, y_val: examples to validate on after each epoch. Their cost is watched, as with `early_stopping`,
                for which no part of X is then held out.

        Returns:
            The estimator itself.

        Raises:
            ValueError: as MLPClassifier and MLPRegressor do; more than one hidden layer; every network diverged.
        """
        return self._fit(X, y, sample_weight, (X_val, y_val))

    def _partial_fit(self, X, y, sample_weight):
        if self.early_stopping:
            raise ValueError("partial_fit does not support early_stopping=True")
        return self._fit(X, y, sample_weight, (None, None), incremental=True)

    def _fit(self, X, y, sample_weight, validation, incremental: bool = False):
        self._check()
        goes_on = (incremental or self.warm_start) and hasattr(self, "members_")
        if goes_on and self._many is None:
            raise ValueError("there is no optimizer's state to go on from in what was loaded, or trained by a search")
        if goes_on and self._begun != self._kind():
            raise ValueError(
                f"to go on, {', '.join(LASTING)} must stay as they were, {self._begun}, got {self._kind()}"
            )
        X, y = validate_data(
            self, X, y, multi_output=True, y_numeric=not is_classifier(self), dtype=FLOATS, reset=not goes_on
        )
        Y = self._encoded(y, known=goes_on or incremental)
        weights = self._weights(X, y, sample_weight, incremental)
        pool = _pool.get()
        data = self._data(X, y, Y, weights, validation, pool.seed if pool and self.random_state is None else None)
        if pool and not goes_on:
            many, mine = pool.trained(self, data)
            self._many = None
        else:
            earlier = self._many if goes_on else None
            many, (mine,) = _train([self], data, start=earlier, incremental=incremental)
            if not many.finished:
                if not many.epochs.all():
                    raise KeyboardInterrupt
                warnings.warn("Training interrupted by user.", stacklevel=3)
            self._many = many
        self._keep(many, mine, data, warn=not incremental)
        return self

    def _check(self) -> None:
        """ValueError for what cannot be, or cannot be here."""
        for name, choices in (
            ("activation", {**ACTIVATIONS, **HIDDEN}),
            ("solver", ("adam", "sgd", "lbfgs")),
            ("learning_rate", ("constant", "invscaling", "adaptive")),
        ):
            if getattr(self, name) not in choices:
                raise ValueError(f"{name} must be one of {', '.join(choices)}, got {getattr(self, name)!r}")
        for name, low, high in (
            ("alpha", 0, np.inf), ("power_t", 0, np.inf), ("tol", 0, np.inf), ("momentum", 0, 1),
        ):  # fmt: skip
            value = getattr(self, name)
            if not isinstance(value, int | float | np.number) or not low <= value <= high:
                raise ValueError(f"{name} must be a number from {low} to {high}, got {value!r}")
        for name in ("beta_1", "beta_2", "validation_fraction"):
            value = getattr(self, name)
            if not isinstance(value, int | float | np.number) or not 0 <= value < 1:
                raise ValueError(f"{name} must be a number of at least 0 and below 1, got {value!r}")
        for name in ("learning_rate_init", "epsilon"):
            value = getattr(self, name)
            if not isinstance(value, int | float | np.number) or not 0 < value < np.inf:
                raise ValueError(f"{name} must be a number above 0, got {value!r}")
        for name in ("max_iter", "n_iter_no_change", "n_members", "max_fun"):
            value = getattr(self, name)
            if not isinstance(value, numbers.Integral) or value < 1:
                raise ValueError(f"{name} must be an integer of at least 1, got {value!r}")
        if self.batch_size != "auto" and not (isinstance(self.batch_size, int | np.integer) and self.batch_size >= 1):
            raise ValueError(f"batch_size must be 'auto' or an integer of at least 1, got {self.batch_size!r}")
        if not self.shuffle:
            raise ValueError("shuffle must be True: minibatches are drawn in a new order in every epoch")
        self._n_hidden()
        _devices(self.device)

    def _n_hidden(self) -> int:
        sizes = np.atleast_1d(np.asarray(self.hidden_layer_sizes, dtype=object)).tolist()
        if len(sizes) != 1:
            raise ValueError(
                f"hidden_layer_sizes must be one layer, such as (100,), got {self.hidden_layer_sizes}: jaxshallow is "
                "for networks with one hidden layer; scikit-learn's MLP or Flax has deeper ones"
            )
        if not isinstance(sizes[0], numbers.Integral) or sizes[0] < 1:
            raise ValueError(f"hidden_layer_sizes must be > 0, integers, got {self.hidden_layer_sizes}")
        return int(sizes[0])

    def _data(self, X, y, Y, weights, validation, seed: int | None) -> _Data:
        """The training data, without what is held out for validation."""
        random = check_random_state(self.random_state if seed is None else seed)
        seed = int(random.randint(2**31 - 1))
        X_val, y_val = validation
        if (X_val is None) != (y_val is None):
            raise ValueError("X_val and y_val must be given together")
        held_out = None
        if X_val is not None:
            X_val, y_val = validate_data(
                self, X_val, y_val, multi_output=True, y_numeric=not is_classifier(self), dtype=FLOATS, reset=False
            )
            held_out = X_val, self._encoded(y_val, known=True), None
            if held_out[1].shape[1] != Y.shape[1]:
                raise ValueError(f"y_val must have {Y.shape[1]} outputs as y has, got {held_out[1].shape[1]}")
        elif self.early_stopping:
            stratify = y if is_classifier(self) and y.ndim == 1 else None
            train, test = train_test_split(
                np.arange(len(X)), test_size=self.validation_fraction, random_state=seed, stratify=stratify
            )
            if len(test) < 2:
                raise ValueError("The validation set is too small. Increase 'validation_fraction' or give X_val, y_val")
            if weights is not None and not weights[test].any():
                raise ValueError("all examples held out for validation weigh 0")
            of = lambda rows: (X[rows], Y[rows], None if weights is None else weights[rows])  # noqa: E731
            held_out, (X, Y, weights) = of(test), of(train)
        validation = None
        if held_out is not None:
            validation = _columns("X_val", held_out[0], X.dtype), _columns("y_val", held_out[1], X.dtype), held_out[2]
        return _Data(_columns("X", X, X.dtype), _columns("y", Y, X.dtype), weights, validation, seed)

    def _weights(self, X, y, sample_weight, incremental: bool) -> np.ndarray | None:
        return None if sample_weight is None else _check_sample_weight(sample_weight, X, ensure_non_negative=True)

    def _settings(self) -> str:
        """All that must be equal for networks to be trained together, but for the seed that a generator draws."""
        common = {name: value for name, value in self.get_params().items() if name not in PER_NETWORK}
        if not isinstance(self.random_state, numbers.Integral):
            del common["random_state"]
        return repr(common)

    def _kind(self) -> tuple:
        return tuple(getattr(self, name) for name in LASTING)

    def _own(self) -> str:
        """What may differ."""
        return repr([getattr(self, name) for name in PER_NETWORK])

    @property
    def _output(self) -> str:
        return "identity"

    def _config(self, n_examples: int, batch_size: int) -> dict[str, Any]:
        """The network as `fit_many` takes it; where scikit-learn divides alpha by the batch, it divides l2 by all."""
        config: dict[str, Any] = {
            "n_h": self._n_hidden(),
            "hidden": ACTIVATIONS.get(self.activation, self.activation),
            "scale": "glorot",
            "learning_rate": self.learning_rate_init,
            "l2": self.alpha * n_examples / batch_size,
        }
        if self.solver == "adam":
            config |= {"b1": self.beta_1, "b2": self.beta_2, "eps": self.epsilon}
        if self.solver == "sgd":
            config |= {"momentum": self.momentum}
        return config

    def _optimizer(self, n_examples: int, steps: int) -> Callable[..., optax.GradientTransformation]:
        nesterov = bool(self.nesterovs_momentum)
        if self.solver == "lbfgs":
            return _lbfgs
        if self.solver == "adam":
            return optax.adam
        if self.learning_rate == "invscaling":
            return _sgd_invscaling(nesterov, float(self.power_t), n_examples, steps)
        if self.learning_rate == "adaptive":
            return _sgd_adaptive(nesterov, self.n_iter_no_change + 1, float(self.tol), steps)
        return _sgd(nesterov)

    def _keep(self, many: Many, mine: np.ndarray, data: _Data, warn: bool) -> None:
        """Take the networks `mine`, best first, and what is known of their training."""
        everyone, order = mine, many.order()
        mine = order[np.isin(order, mine) & (many.diverged_at[order] < 0)]
        if not len(mine):
            raise ValueError(
                "Solver produced non-finite parameter weights: the cost is not finite. The input data may contain "
                "large values and need to be scaled, or learning_rate_init is too large"
            )
        self.members_ = [many.params(k) for k in mine]
        best = mine[0]
        self.n_iter_, self._begun = int(many.epochs[best]), self._kind()
        before = [self._costs] if many.epochs_before else []
        self._costs = np.hstack([*before, many.history.cost[everyone]])
        mine_of_all = self._costs[np.flatnonzero(everyone == best)[0]]
        self.loss_curve_ = mine_of_all[np.isfinite(mine_of_all)].tolist()
        self.loss_ = self.loss_curve_[-1]
        self.best_loss_ = float(np.nanmin(self.loss_curve_))
        self.t_ = (getattr(self, "t_", 0) if many.epochs_before else 0) + self.n_iter_ * data.X.shape[1]
        self.validation_loss_curve_ = None
        if many.history.validation_cost is not None:
            self.validation_loss_curve_ = many.history.validation_cost[best, : self.n_iter_].tolist()
            self.best_validation_loss_ = min(self.validation_loss_curve_)
        if warn and self.solver != "lbfgs" and many.finished and (many.epochs[mine] == self.max_iter).any():
            warnings.warn(
                f"Maximum iterations ({self.max_iter}) reached and the optimization hasn't converged yet.",
                ConvergenceWarning,
                stacklevel=4,
            )

    def _outputs(self, X) -> np.ndarray:
        """(n_samples, n_outputs) mean output of the members."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=FLOATS, reset=False)
        # Padded to a few widths and lengths, so that other sizes do not compile anew.
        n_h = max(len(member.W1) for member in self.members_)
        stack = jax.tree.map(
            lambda *leaves: np.stack(leaves), *(widened(p, bucket(n_h), np.pad) for p in self.members_)
        )
        wide = np.pad(_columns("X", X, stack.W1.dtype), ((0, 0), (0, bucket(len(X)) - len(X))))
        with jax.default_device(_devices(self.device)[0]):
            total = sum_of_outputs(stack, wide)
        return np.asarray(total)[:, : len(X)].T / len(self.members_)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the network with `jaxshallow.save`, and what the estimator knows into the file's metadata.

        Args:
            path: the file, by custom *.safetensors. `load` reads it back, and `jaxshallow.load` the network alone.

        Raises:
            ValueError: the estimator is an ensemble: save each of `members_` with `jaxshallow.save`.
            TypeError: a parameter is nothing that JSON can say.
            NotFittedError: it has not been fitted.
            OSError, ImportError: as `jaxshallow.save`.
        """
        check_is_fitted(self)
        if len(self.members_) > 1:
            raise ValueError(
                f"a file holds one network, not {len(self.members_)}: save each of members_ with jaxshallow.save"
            )
        names = (
            "n_iter_",
            "t_",
            "loss_",
            "best_loss_",
            "loss_curve_",
            "validation_loss_curve_",
            "best_validation_loss_",
        )
        known = {name: getattr(self, name) for name in names if hasattr(self, name)}
        if hasattr(self, "feature_names_in_"):
            known["feature_names_in_"] = self.feature_names_in_.tolist()
        params = {name: _as_json(name, value) for name, value in self.get_params().items()}
        metadata = {
            "estimator": type(self).__name__,
            "params": params,
            "known": known,
            "feature_names": known.get("feature_names_in_", [f"x{k}" for k in range(self.n_features_in_)]),
            **self._labels(),
        }
        store.save(path, self.members_[0], metadata)

    @classmethod
    def load(cls, path: str | os.PathLike[str]):
        """The estimator that `save` wrote, to predict with; executes nothing.

        Raises:
            ValueError: the file is not of this estimator, or as `jaxshallow.load`.
        """
        metadata, params = store.read_metadata(path), store.load(path)
        if metadata.get("estimator") != cls.__name__:
            raise ValueError(f"{os.fspath(path)} does not hold a {cls.__name__}, but {metadata.get('estimator')}")
        estimator = cls(**{name: _from_json(value) for name, value in metadata["params"].items()})
        for name, value in metadata["known"].items():
            setattr(estimator, name, np.array(value, dtype=object) if name == "feature_names_in_" else value)
        estimator.members_ = [jax.tree.map(np.asarray, params)]
        estimator._many = None
        estimator.n_features_in_ = params.W1.shape[1]
        estimator._relabel(metadata)
        return estimator

    def _encoded(self, y, known: bool) -> np.ndarray:
        raise NotImplementedError

    def _labels(self) -> dict[str, Any]:
        return {}

    def _relabel(self, metadata: dict[str, Any]) -> None:
        pass


class ShallowClassifier(ClassifierMixin, _Shallow):
    """A classifier with one hidden layer, in the place of scikit-learn's `MLPClassifier`.

    Its names and defaults are MLPClassifier's, and so are the cost, the minibatches and the rules for stopping; numbers
    are drawn otherwise. Computation is in float32, in float64 if X is and JAX's x64 is on. Other than there:

    Args:
        hidden_layer_sizes: one layer: (100,) or 100.
        activation: relu, tanh, logistic (or sigmoid), identity, leaky_relu.
        solver: adam, sgd (with `momentum`, and `learning_rate` constant, invscaling or adaptive), lbfgs; optax's.
            "adaptive" divides the rate on plateaus of the training cost, until `max_iter`. lbfgs stops as the others
            do, and knows no `max_fun`: its line search takes at most 20 steps.
        early_stopping: hold out `validation_fraction`, stop when its cost (finer than its accuracy) was not lower by
            `tol` for `n_iter_no_change` epochs, and keep the best network.
        verbose: show a progress bar (needs rich).
        warm_start: go on with the optimizer where it was.
        class_weight: "balanced", or {class: weight}.
        n_members: networks in an ensemble, which differ in their first weights; their probabilities are averaged.
        device: to train and predict on, such as "cpu", "gpu" or "gpu:1"; None: all that JAX has by itself.

    Attributes:
        classes_: the labels.
        members_: the networks, `Params`, best first; `coefs_`, `intercepts_` and the curves are those of the first.
        loss_curve_, validation_loss_curve_: cost of each epoch; the second is None if nothing was validated.
        n_iter_, t_, loss_, best_loss_, best_validation_loss_, n_features_in_, feature_names_in_, n_layers_, n_outputs_,
        out_activation_: as in scikit-learn.

    Example:
        >>> from sklearn.datasets import load_iris
        >>> X, y = load_iris(return_X_y=True)
        >>> classifier = ShallowClassifier((10,), solver="lbfgs", random_state=0).fit(X, y)
        >>> classifier.score(X, y) > 0.95
        True
    """

    def __init__(
        self,
        hidden_layer_sizes=(100,),
        activation="relu",
        *,
        solver="adam",
        alpha=0.0001,
        batch_size="auto",
        learning_rate="constant",
        learning_rate_init=0.001,
        power_t=0.5,
        max_iter=200,
        shuffle=True,
        random_state=None,
        tol=1e-4,
        verbose=False,
        warm_start=False,
        momentum=0.9,
        nesterovs_momentum=True,
        early_stopping=False,
        validation_fraction=0.1,
        beta_1=0.9,
        beta_2=0.999,
        epsilon=1e-8,
        n_iter_no_change=10,
        max_fun=15000,
        class_weight=None,
        n_members=1,
        device=None,
    ):
        super().__init__(
            hidden_layer_sizes, activation, solver=solver, alpha=alpha, batch_size=batch_size,
            learning_rate=learning_rate, learning_rate_init=learning_rate_init, power_t=power_t, max_iter=max_iter,
            shuffle=shuffle, random_state=random_state, tol=tol, verbose=verbose, warm_start=warm_start,
            momentum=momentum, nesterovs_momentum=nesterovs_momentum, early_stopping=early_stopping,
            validation_fraction=validation_fraction, beta_1=beta_1, beta_2=beta_2, epsilon=epsilon,
            n_iter_no_change=n_iter_no_change, max_fun=max_fun, n_members=n_members, device=device,
        )  # fmt: skip
        self.class_weight = class_weight

    @available_if(_is_stochastic)
    def partial_fit(self, X, y, sample_weight=None, classes=None):
        """One epoch on these examples, going on from the call before.

        Args:
            X, y, sample_weight: as in `fit`.
            classes: all labels there will be; needed in the first call only.
        """
        if not hasattr(self, "classes_"):
            if classes is None:
                raise ValueError("classes must be passed on the first call to partial_fit.")
            several = type_of_target(y).startswith("multilabel")
            self._binarizer = LabelBinarizer().fit(y if several else classes)
            self.classes_ = self._binarizer.classes_
        elif classes is not None and not np.array_equal(unique_labels(classes), self.classes_):
            raise ValueError(f"classes={classes!r} is not the same as on last call to partial_fit: {self.classes_!r}")
        return self._partial_fit(X, y, sample_weight)

    def predict(self, X) -> np.ndarray:
        """(n_samples,) labels, or (n_samples, n_outputs) of 0 and 1 where an example may have several."""
        outputs = self._outputs(X)
        return self._binarizer.inverse_transform(outputs[:, 0] if outputs.shape[1] == 1 else outputs)

    def predict_proba(self, X) -> np.ndarray:
        """(n_samples, n_classes) probabilities, the mean over the members."""
        outputs = self._outputs(X)
        return np.hstack([1 - outputs, outputs]) if outputs.shape[1] == 1 else outputs

    def predict_log_proba(self, X) -> np.ndarray:
        """(n_samples, n_classes) logarithms of the probabilities."""
        with np.errstate(divide="ignore"):
            return np.log(self.predict_proba(X))

    def _encoded(self, y, known: bool) -> np.ndarray:
        check_classification_targets(y)
        y = column_or_1d(y, warn=True) if y.ndim == 2 and y.shape[1] == 1 else y
        if not known:
            self._binarizer = LabelBinarizer().fit(y)
            self.classes_ = self._binarizer.classes_
        elif len(new := np.setdiff1d(unique_labels(y), self.classes_)):
            raise ValueError(f"`y` has classes not in `self.classes_`: {new} not in {self.classes_}")
        return self._binarizer.transform(y)

    def _weights(self, X, y, sample_weight, incremental: bool) -> np.ndarray | None:
        weights = super()._weights(X, y, sample_weight, incremental)
        if self.class_weight is None:
            return weights
        if incremental and self.class_weight == "balanced":
            raise ValueError("class_weight='balanced' is not for partial_fit, which sees some examples: give a dict")
        by_class = compute_sample_weight(self.class_weight, y)
        return by_class if weights is None else by_class * weights

    @property
    def _output(self) -> str:
        return "softmax" if self._binarizer.y_type_ == "multiclass" else "sigmoid"

    def _labels(self) -> dict[str, Any]:
        kind = self._binarizer.y_type_
        labels = [str(label) for label in self.classes_]
        return {"labels": labels, "classes": self.classes_.tolist(), "dtype": self.classes_.dtype.str, "kind": kind}

    def _relabel(self, metadata: dict[str, Any]) -> None:
        classes = np.array(metadata["classes"], dtype=metadata["dtype"])
        y = np.eye(len(classes), dtype=int) if metadata["kind"].startswith("multilabel") else classes
        self._binarizer = LabelBinarizer().fit(y)
        self.classes_ = self._binarizer.classes_

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags


class ShallowRegressor(RegressorMixin, _Shallow):
    """A regressor with one hidden layer and squared error, in the place of scikit-learn's `MLPRegressor`.

    All is as in `ShallowClassifier`, without what belongs to classes. As there, targets are best scaled beforehand:
    `sklearn.compose.TransformedTargetRegressor`.

    Example:
        >>> X = np.linspace(-2, 2, 100)[:, None]
        >>> regressor = ShallowRegressor((20,), activation="tanh", solver="lbfgs", random_state=0).fit(X, X[:, 0] ** 2)
        >>> regressor.score(X, X[:, 0] ** 2) > 0.99
        True
    """

    @available_if(_is_stochastic)
    def partial_fit(self, X, y, sample_weight=None):
        """One epoch on these examples, going on from the call before."""
        return self._partial_fit(X, y, sample_weight)

    def predict(self, X) -> np.ndarray:
        """(n_samples,) or (n_samples, n_outputs) predictions, the mean over the members."""
        outputs = self._outputs(X)
        return outputs[:, 0] if outputs.shape[1] == 1 else outputs

    def _encoded(self, y, known: bool) -> np.ndarray:
        return y.reshape(len(y), -1)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags


# ---- training ----


def _train(
    estimators: Sequence[_Shallow], data: _Data, *, start: Many | None = None, incremental: bool = False
) -> tuple[Many, np.ndarray]:
    """One `fit_many` of estimators that differ in PER_NETWORK alone; the first has seen the labels.

    Returns:
        `Many`, and its numbers (estimators, members).
    """
    first, n = estimators[0], data.X.shape[1]
    batch = n if first.solver == "lbfgs" else min(200 if first.batch_size == "auto" else first.batch_size, n)
    # The adaptive rate is there to go on where the cost stands still.
    impatient = data.validation is not None or not (first.solver == "sgd" and first.learning_rate == "adaptive")
    X, Y, weights = data.X, data.Y, data.weights
    if batch == n:  # with minibatches fit_many does it, and draws none of them
        X, Y, weights = _lengthened(X, Y, weights)
    common, validation = {}, None
    if data.validation is not None:
        *validation, common["validation_weights"] = _lengthened(*data.validation)
    configs = [
        {**one._config(n, batch), "seed": seed, **common} for one in estimators for seed in range(first.n_members)
    ]
    with _progress(first.verbose, len(configs)) as callback:
        many = fit_many(
            jax.random.key(data.seed), X, Y, configs,
            epochs=1 if incremental else first.max_iter, batch_size=None if batch == n else batch,
            output=first._output, optimizer=first._optimizer(n, -(-n // batch)),
            weights=weights, validation=validation,
            patience=first.n_iter_no_change + 1 if impatient and not incremental else None, tol=first.tol,
            callback=callback, devices=_devices(first.device), dtype=data.X.dtype, start=start,
        )  # fmt: skip
    return many, np.arange(len(configs)).reshape(len(estimators), -1)


class _Pool:
    """Estimators to be trained together: the first of them that is fitted on some data trains all others on it too."""

    def __init__(self, estimators: Sequence[_Shallow], n_folds: int):
        self.seed = int(check_random_state(None).randint(2**31 - 1))  # of all that have none of their own
        self.mates: dict[str, dict[str, _Shallow]] = {}
        for estimator in estimators:
            with contextlib.suppress(ValueError):  # it will say so itself when it is fitted
                estimator._check()
                self.mates.setdefault(estimator._settings(), {})[estimator._own()] = estimator
        self.runs: dict[str, dict[bytes, Any]] = {settings: {} for settings in self.mates}
        self.n_folds = n_folds

    def trained(self, estimator: _Shallow, data: _Data) -> tuple[Many, np.ndarray]:
        """`Many`, and the numbers of the estimator's networks in it."""
        settings, own, seen = estimator._settings(), estimator._own(), data.digest()
        runs, mates = self.runs.get(settings, {}), self.mates.get(settings, {})
        if seen not in runs and own in mates and len(runs) < self.n_folds:
            # The one that asks comes first: it alone has seen the labels.
            runs[seen] = self._together([estimator, *(mate for name, mate in mates.items() if name != own)], data)
        if runs.get(seen) and own in mates:
            many, numbers = runs[seen]
            return many, numbers[own]
        # What comes before it is random, so that no other sees the same data; or it cannot be trained with others.
        many, (mine,) = _train([estimator], data)
        if not many.finished:
            raise KeyboardInterrupt
        return many, mine

    def _together(self, everyone: Sequence[_Shallow], data: _Data):
        """`Many` and the numbers of each; None where one of them spoils it for all, such as by its size."""
        try:
            many, numbers = _train(everyone, data)
        except ValueError:
            return None
        if not many.finished:
            raise KeyboardInterrupt
        return many, {one._own(): mine for one, mine in zip(everyone, numbers, strict=True)}


_pool: contextvars.ContextVar[_Pool | None] = contextvars.ContextVar("_pool", default=None)


@contextlib.contextmanager
def _trained_together(estimators: Sequence[_Shallow], n_folds: int) -> Iterator[None]:
    before = _pool.set(_Pool(estimators, n_folds))
    try:
        yield
    finally:
        _pool.reset(before)


@contextlib.contextmanager
def _progress(verbose, n: int) -> Iterator[Callable[[Progress], None] | None]:
    """A callback for `fit_many` that draws a progress bar on stderr; None where none is wanted."""
    if not verbose:
        yield None
        return
    try:
        from rich.console import Console
        from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar
    except ImportError as error:
        raise ImportError("verbose needs rich: pip install 'jaxshallow[scripts]'") from error
    columns = TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn()
    with Bar(*columns, console=Console(stderr=True)) as bar:
        what = f"{n} networks" if n > 1 else "network"
        task = bar.add_task(what, total=1.0)
        yield lambda now: bar.update(task, completed=now.share, description=f"{what}, best cost {now.best:.4g}")


def _columns(name: str, rows: np.ndarray, dtype) -> np.ndarray:
    """Examples as columns, in the dtype of computation, which must hold them."""
    dtype = jax.dtypes.canonicalize_dtype(dtype)
    with np.errstate(over="ignore"):
        columns = np.ascontiguousarray(rows.T, dtype)
    if not np.isfinite(columns).all():
        raise ValueError(f"{name} holds numbers beyond {dtype}, such as {np.abs(rows).max():.3g}: scale them")
    return columns


def _lengthened(X, Y, weights):
    """Some examples more, at most 3 %, that weigh 0: folds that differ by one example need not be compiled anew."""
    m = X.shape[1]
    more = -m % length_step(m)
    weights = np.pad(np.ones(m) if weights is None else weights, (0, more))
    # Repeated, and not 0: the head expects targets that can be.
    return *(np.pad(A, ((0, 0), (0, more)), mode="edge") for A in (X, Y)), weights


def _devices(device: str | None) -> list[jax.Device]:
    if device is None:
        return jax.local_devices()
    platform, _, number = str(device).partition(":")
    try:
        devices = jax.local_devices(backend=platform)
        return [devices[int(number)]] if number else devices
    except (RuntimeError, ValueError, IndexError) as error:
        raise ValueError(f"device must be None or one that JAX has here, 'cpu' or 'gpu:1', got {device!r}") from error


def _as_json(name: str, value):
    """A parameter as JSON: a dict, whose keys need not be text, as pairs, and a generator's state not at all."""
    if isinstance(value, np.random.RandomState):
        return None
    if isinstance(value, dict):
        return {"pairs": [[_as_json(name, part) for part in pair] for pair in value.items()]}
    if isinstance(value, list | tuple | np.ndarray):
        return [_as_json(name, part) for part in value]
    value = value.item() if isinstance(value, np.generic) else value
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"{name} cannot be saved: {value!r}")


def _from_json(value):
    if isinstance(value, dict):
        return {key: item for key, item in value["pairs"]}
    return tuple(value) if isinstance(value, list) else value


# ---- searching ----


class ShallowSearchCV(BaseSearchCV):
    """`GridSearchCV` and `RandomizedSearchCV` for shallow networks: all candidates train on a fold in one `fit_many`.

    Attributes, scores and the choice of the best are theirs, and so are the networks: those that GridSearchCV would
    train one by one, up to rounding. In `cv_results_` the fit time of a candidate is its share of the common training.

    Args:
        estimator: `ShallowClassifier`, `ShallowRegressor`, or a Pipeline or other estimator around one of them, whose
            other steps are fitted on each fold's training rows alone.
        param_grid: {name: values}, or a list of such: every combination is tried.
        param_distributions: {name: values or a scipy.stats distribution}, in place of `param_grid`: `n_iter`
            candidates are drawn, by `random_state`.
        scoring, refit, cv, verbose, error_score, return_train_score: as in `GridSearchCV`.
        n_jobs, pre_dispatch: have no effect: the networks share all cores as it is.

    `hidden_layer_sizes`, `activation`, `alpha`, `learning_rate_init`, `momentum`, `beta_1`, `beta_2` and `epsilon` may
    differ within one training; other values of other parameters, or of other steps, are trainings of their own.

    Example:
        >>> from sklearn.datasets import load_iris
        >>> X, y = load_iris(return_X_y=True)
        >>> estimator = ShallowClassifier(solver="lbfgs", random_state=0, max_iter=50)
        >>> grid = {"hidden_layer_sizes": [(2,), (4,)], "alpha": [1e-4, 1e-1]}
        >>> search = ShallowSearchCV(estimator, grid, cv=3).fit(X, y)
        >>> len(search.cv_results_["params"]), bool(search.best_score_ > 0.9)
        (4, True)
    """

    def __init__(
        self,
        estimator,
        param_grid=None,
        *,
        param_distributions=None,
        n_iter=10,
        scoring=None,
        n_jobs=None,
        refit=True,
        cv=None,
        verbose=0,
        pre_dispatch="2*n_jobs",
        error_score=np.nan,
        return_train_score=False,
        random_state=None,
    ):
        super().__init__(
            estimator, scoring=scoring, n_jobs=n_jobs, refit=refit, cv=cv, verbose=verbose, pre_dispatch=pre_dispatch,
            error_score=error_score, return_train_score=return_train_score,
        )  # fmt: skip
        self.param_grid = param_grid
        self.param_distributions = param_distributions
        self.n_iter = n_iter
        self.random_state = random_state

    def fit(self, X, y=None, **params):
        """Train and score all candidates on all folds, and the best one on all examples.

        Args:
            X: (n_samples, n_features).
            y: (n_samples,) or (n_samples, n_outputs).
            params: `sample_weight` and the like for `fit`, `groups` for the splitter.

        Raises:
            ValueError: not one of `param_grid` and `param_distributions` is given; an unknown parameter.
            TypeError: there is no shallow network in `estimator`, or more than one.
        """
        if (self.param_grid is None) == (self.param_distributions is None):
            raise ValueError("give param_grid or param_distributions, one of them")
        _name_of_network(self.estimator)
        asked = getattr(self, "n_jobs")  # noqa: B009
        self.n_jobs = None  # other processes would train the networks one by one
        try:
            super().fit(X, y, **params)
        finally:
            self.n_jobs = asked
        times = self.cv_results_["mean_fit_time"]
        times[:], self.cv_results_["std_fit_time"][:] = times.mean(), 0.0
        return self

    def _run_search(self, evaluate_candidates, **more):
        if self.param_grid is None:
            candidates = ParameterSampler(self.param_distributions, self.n_iter, random_state=self.random_state)
        else:
            candidates = ParameterGrid(self.param_grid)
        groups, self._order = _groups(self.estimator, list(candidates))
        cv = _SameSplits(self._checked_cv_orig)
        for group in groups:
            networks = []
            for candidate in group:
                one = clone(self.estimator).set_params(**clone(candidate, safe=False))
                networks += [one for one in [one, *one.get_params().values()] if isinstance(one, _Shallow)]
            with _trained_together(networks, self.n_splits_):
                evaluate_candidates(group, cv, **more)

    def _format_results(self, candidate_params, n_splits, out, more_results=None):
        """The candidates in the order of the grid, which decides between equals, and not in that of their training."""
        if len(candidate_params) == len(self._order):
            candidate_params = [candidate_params[k] for k in self._order]
            out = [one for k in self._order for one in out[k * n_splits : (k + 1) * n_splits]]
        return super()._format_results(candidate_params, n_splits, out, more_results)


class _SameSplits:
    """A splitter that, if it is random, draws once for all groups of candidates."""

    def __init__(self, cv):
        self.cv, self.splits = cv, None

    def split(self, *arguments, **more):
        self.splits = self.splits or list(self.cv.split(*arguments, **more))
        return self.splits


def _name_of_network(estimator) -> str:
    """The name of the shallow network among the estimator's parameters; "" if it is the estimator itself."""
    if isinstance(estimator, _Shallow):
        return ""
    names = [name for name, value in estimator.get_params().items() if isinstance(value, _Shallow)]
    if len(names) != 1:
        raise TypeError(
            "estimator must be a ShallowClassifier or ShallowRegressor, or hold one, as a Pipeline does, got "
            f"{type(estimator).__name__} with {len(names)}"
        )
    return names[0]


def _groups(estimator, candidates: list[dict[str, Any]]) -> tuple[list[list[dict[str, Any]]], list[int]]:
    """The candidates, put together where all but the network is alike, so that it sees the same data; and where in
    these groups, one after another, each candidate stands."""
    network = _name_of_network(estimator)
    groups: dict[str, list[int]] = {}
    for k, candidate in enumerate(candidates):
        others = {
            name: value
            for name, value in candidate.items()
            if network and name != network and not name.startswith(f"{network}__")
        }
        groups.setdefault(repr(sorted(others.items())), []).append(k)
    trained = [k for group in groups.values() for k in group]
    return [[candidates[k] for k in group] for group in groups.values()], np.argsort(trained).tolist()
