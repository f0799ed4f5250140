"""`ShallowClassifier`: labels as targets, and probabilities."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import Any, Self

import numpy as np
from scipy.sparse import csr_array
from sklearn.base import ClassifierMixin
from sklearn.metrics import accuracy_score
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils import compute_sample_weight
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets, type_of_target, unique_labels

from jaxshallow.bayes.conformal import within
from jaxshallow.estimators.base import BaseShallow
from jaxshallow.estimators.predicting import log_probabilities, probabilities
from jaxshallow.estimators.presets import takes_presets
from jaxshallow.estimators.settings import is_stochastic


@takes_presets
@dataclass(eq=False, repr=False, match_args=False)
class ShallowClassifier(ClassifierMixin, BaseShallow):
    """A classifier with one hidden layer: a drop-in replacement for scikit-learn's `MLPClassifier`.

    Names, defaults, cost, steps, minibatches and stopping rules are MLPClassifier's; what differs on purpose is listed
    in `help(jaxshallow.estimators)`: random numbers, mostly. These parameters differ, or are new:

    Args:
        hidden_layer_sizes: one layer: (100,) or 100.
        activation: relu, tanh, logistic (or sigmoid), identity, leaky_relu.
        solver: adam, sgd (with `momentum`, and `learning_rate` constant, invscaling or adaptive), lbfgs, which is
            SciPy's, or lm, Levenberg-Marquardt, for networks of at most a few hundred weights; set a low `tol`, as it
            goes far below the default. Small problems are trained in NumPy, in the dtype of X; JAX trains larger ones
            in float32, unless its x64 is on; lbfgs and lm always compute in the dtype of X.
        alpha: weight decay, a number, or "evidence" for the one that `fit_evidence` finds, without a grid or examples
            held out. Then networks are trained to a minimum, by "lm" or else by L-BFGS, from `n_members` starts. For up
            to some thousand weights; scale X.
        early_stopping: hold out `validation_fraction` of the examples; stop when their cost (finer than their accuracy)
            has not fallen by `tol` for `n_iter_no_change` epochs, and keep the best network.
        verbose: print each iteration; for an ensemble or a search show a progress bar (needs rich).
        warm_start: `fit` begins with the weights of the last fit, or those assigned to `coefs_` and `intercepts_`, and
            a new optimizer. `partial_fit` goes on with the optimizer as well.
        class_weight: "balanced", or {class: weight}.
        learning_rate: for adam, too, "cosine": the rate falls to 0 in `max_iter` epochs.
        n_members: networks in an ensemble, which differ in their first weights, and with `bagging` in what they see.
        average: of an ensemble the mean of "outputs", the probabilities, or of "logits", their z2: then the ensemble is
            one network, n_members times as wide, and can be saved and exported as such.
        bagging: "folds": of n_members parts of the examples, each member leaves one out; "bootstrap": each sees a
            sample drawn with replacement. It is validated on those that it did not see, and its best epoch kept, so
            that `early_stopping` is not needed. `oof_` and `predict_set` follow.
        encoding: what numbers become before they enter the network: "piecewise linear" or "smooth clip", or a
            transformer, `PiecewiseLinearEncoder(n_bins=8)`. It is learned from the examples that are trained on. Gaps
            (NaN) are taken, and mean something. Of a list of these the one is kept whose networks err least on rows
            that they have not seen. None: numbers stay as they are.
        categorical_features: which columns are categories, as in HistGradientBoostingClassifier: "from_dtype", the
            columns of text or of a dtype for categories; or names, numbers or a mask. Each becomes rows of 0 and 1. A
            gap is a category of its own; a word that is rare, or new at prediction, is among "(other)".
        max_categories: of a column, at most, without "(other)".
        preset: "tables": values for tables with text and gaps, for all of these: `get_params()` shows them, and what is
            given beside it counts.
        device: where to train and predict: "cpu", "gpu", "gpu:1"; None for all devices that JAX uses by default, and
            for the CPU where NumPy does it.

    Attributes:
        classes_: the labels.
        coefs_, intercepts_: the weights of the network, lists of arrays, which may be assigned.
        members_: the networks, `Params`, best first, float32 where JAX's x64 is off; `coefs_`, `intercepts_` and the
            curves are those of the first.
        loss_curve_, validation_loss_curve_, validation_scores_: cost, and cost and score on the validation examples,
            after each epoch; the last two are None without validation.
        curves_: the same of each member, in the order of their seeds: `cost`, `validation_cost`, `validation_score`.
        best_validation_loss_, best_validation_score_: the best of each; the network kept is that of the lowest loss.
        alpha_, log_evidence_, posteriors_: what the evidence found, and the `Gaussian` of each member, whose
            `predict_proba` gives moderated probabilities, nearer to chance. None if alpha is a number.
            `loss_curve_` is then minus the log evidence of each weight decay tried.
        oof_, oof_score_: with bagging the probabilities of each example by the members that did not see it, and their
            score. None without.
        features_: how the columns become what the network takes; None if they stay as they are.
        n_iter_, t_, loss_, best_loss_, n_features_in_, feature_names_in_, n_layers_, n_outputs_, out_activation_: as in
            scikit-learn.

    Example:
        >>> from sklearn.datasets import load_iris
        >>> X, y = load_iris(return_X_y=True)
        >>> classifier = ShallowClassifier((10,), solver="lbfgs", random_state=0).fit(X, y)
        >>> classifier.score(X, y) > 0.95
        True
    """

    _: KW_ONLY
    class_weight: Any = None

    loss = "log_loss"

    @available_if(is_stochastic)
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None, classes: Any = None) -> Self:
        """Train one epoch on these examples, continuing from the last call.

        Args:
            X, y, sample_weight: as in `fit`.
            classes: all labels there will be; needed in the first call only.
        """
        if not hasattr(self, "classes_"):
            if classes is None:
                raise ValueError("classes must be passed on the first call to partial_fit.")
            several = type_of_target(y).startswith("multilabel")
            self._learn_labels(y if several else classes)
        elif classes is not None and not np.array_equal(unique_labels(classes), self.classes_):
            raise ValueError(f"classes={classes!r} is not the same as on last call to partial_fit: {self.classes_!r}")
        return self._partial_fit(X, y, sample_weight)

    def predict(self, X: Any) -> np.ndarray:
        """(n_samples,) labels, or (n_samples, n_outputs) of 0 and 1 where an example may have several."""
        outputs = self._outputs(X)
        return self._binarizer.inverse_transform(outputs[:, 0] if outputs.shape[1] == 1 else outputs)

    def predict_proba(self, X: Any) -> np.ndarray:
        """(n_samples, n_classes) probabilities, the mean over the members, in the wider dtype of X and `coefs_`."""
        return self._predicted(X, probabilities)

    def predict_log_proba(self, X: Any) -> np.ndarray:
        """(n_samples, n_classes) their logarithms, which are finite where a probability is too small for a float."""
        return self._predicted(X, log_probabilities)

    def predict_set(self, X: Any, confidence_level: float = 0.9) -> np.ndarray:
        """The classes that cannot be ruled out: conformal sets, which hold the truth at least so often, on average.

        They follow from the predictions of unseen examples, without further training: CV+ for folds, with 1 minus the
        probability as the score. Sets are larger where the network knows less; a set may be empty.

        Args:
            X: (n_samples, n_features).
            confidence_level: the share of new examples whose class is to be in their set.

        Returns:
            (n_samples, n_classes), true for the classes in the set, in the order of `classes_`.

        Raises:
            ValueError: the fit was without bagging; examples may have several labels.

        Source: Romano, Sesia and Candès (2020), Classification with valid and adaptive coverage.
        """
        self._check_calibrated(confidence_level)
        assert self._groups is not None
        if self._binarizer.y_type_.startswith("multilabel"):
            raise ValueError("predict_set is for one class of each sample, and these have several labels")
        (groups,) = self._groups
        return within(groups, [1 - P for P in self._by_group(X, groups)], confidence_level)

    def _form(self, Z2: np.ndarray) -> np.ndarray:
        return probabilities(Z2, self._networks[0].output)

    def _scores_of(self, oof: np.ndarray, y: np.ndarray, Y: np.ndarray) -> np.ndarray:
        if y.ndim > 1:
            return abs(oof - Y)
        return 1 - oof[np.arange(len(y)), np.searchsorted(self.classes_, y)][:, None]

    def _scored(self, oof: np.ndarray, y: np.ndarray, weights: np.ndarray | None) -> float:
        found = (oof > 0.5).astype(int) if y.ndim > 1 else self.classes_[oof.argmax(axis=1)]
        return float(accuracy_score(y, found, sample_weight=weights))

    @property
    def _output(self) -> str:
        return "softmax" if self._binarizer.y_type_ == "multiclass" else "sigmoid"

    def _encoded(self, y: np.ndarray, known: bool) -> np.ndarray:
        check_classification_targets(y)
        if not known or not hasattr(self, "classes_"):
            self._learn_labels(y)
        elif len(new := np.setdiff1d(unique_labels(y), self.classes_)):
            raise ValueError(f"`y` has classes not in `self.classes_`: {new} not in {self.classes_}")
        if y.ndim > 1:
            return self._binarizer.transform(y)
        numbers = np.searchsorted(self.classes_, y)  # in a tenth of the time that the binarizer takes
        return np.eye(len(self.classes_), dtype=int)[numbers] if self._output == "softmax" else numbers[:, None]

    def _check_labels(self, y: np.ndarray) -> None:
        if hasattr(self, "classes_") and set(classes := unique_labels(y)) != set(self.classes_):
            raise ValueError(
                "warm_start can only be used where `y` has the same classes as in the previous call to fit. Previously "
                f"got {self.classes_}, `y` has {classes}: use partial_fit, or fit anew with warm_start=False"
            )

    def _learn_labels(self, y: Any) -> None:
        self._binarizer = LabelBinarizer().fit(y)
        self.classes_ = self._binarizer.classes_

    def _weights(self, X: np.ndarray, y: np.ndarray, sample_weight: Any, incremental: bool) -> np.ndarray | None:
        weights = super()._weights(X, y, sample_weight, incremental)
        if self.class_weight is None:
            return weights
        if incremental and self.class_weight == "balanced":
            raise ValueError("class_weight='balanced' is not for partial_fit, which sees some examples: give a dict")
        by_class = compute_sample_weight(self.class_weight, y)
        return by_class if weights is None else by_class * weights

    def _labels(self) -> dict[str, Any]:
        kind = self._binarizer.y_type_
        labels = [str(label) for label in self.classes_]
        return {
            "labels": labels, "classes": self.classes_.tolist(), "dtype": self.classes_.dtype.str, "kind": kind,
            "sparse": self._binarizer.sparse_input_,
        }  # fmt: skip

    def _relabel(self, metadata: dict[str, Any]) -> None:
        classes = np.array(metadata["classes"], dtype=metadata["dtype"])
        several = metadata["kind"].startswith("multilabel")
        indicators = (csr_array if metadata.get("sparse") else np.asarray)(np.eye(len(classes), dtype=int))
        self._learn_labels(indicators if several else classes)
        n_outputs = 1 if self._binarizer.y_type_ == "binary" else len(classes)
        if n_outputs != self.n_outputs_ or not np.array_equal(
            self.classes_, np.arange(n_outputs) if several else classes
        ):
            raise ValueError(f"its classes must be sorted and fit {self.n_outputs_} outputs, got {classes.tolist()}")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags
