"""`fit_many`: check, plan, train group after group, return."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import jax
import numpy as np
import optax
from jax.typing import ArrayLike, DTypeLike

from jaxshallow import given
from jaxshallow.checks import check_tol
from jaxshallow.many.configs import Settings, check_held, complete
from jaxshallow.many.examples import checked_examples, first_of_each, for_each_fold
from jaxshallow.many.optimizers import factory_of, recipes_of, shapes
from jaxshallow.many.plan import MAX_MEMORY, groups_of
from jaxshallow.many.records import Ended, Records
from jaxshallow.many.result import Many, Progress
from jaxshallow.many.resume import arrays_of_resume, check_start, take_over
from jaxshallow.many.run import train_group
from jaxshallow.many.widths import bucket
from jaxshallow.meshes import no_mesh
from jaxshallow.params import Params, check_sizes
from jaxshallow.training.epochs import OUR_RULES, Rules, State


def fit_many(
    key: ArrayLike,
    X: ArrayLike,
    Y: ArrayLike,
    configs: Sequence[Mapping[str, Any]] | Mapping[str, Any],
    *,
    epochs: int,
    batch_size: int | None = None,
    output: str = "sigmoid",
    optimizer: str | Callable[..., optax.GradientTransformation] = "sgd",
    weights: ArrayLike | None = None,
    validation: tuple[ArrayLike, ArrayLike] | None = None,
    folds: int | Iterable[tuple[ArrayLike, ArrayLike]] | None = None,
    standardize: bool = False,
    patience: int | None = None,
    tol: float = 0.0,
    callback: Callable[[Progress], Any] | None = None,
    max_memory: int = MAX_MEMORY,
    devices: Sequence[jax.Device] | None = None,
    dtype: DTypeLike | None = None,
    start: Many | State | None = None,
    resume: Many | Mapping[str, np.ndarray] | None = None,
    first: Sequence[Params] | None = None,
    epochs_before: int = 0,
    shuffle: bool = True,
    rules: Rules = OUR_RULES,
) -> Many:
    """Train thousands of networks on the same examples: one compiled program, whatever their widths.

    Each activation has a program of its own. So has each width of so many networks that it is worth compiling, or whose
    optimizer looks at more than one hidden unit at a time.

    Network k is the one that `fit` trains alone, up to rounding, which chaotic descent magnifies in long runs:
    `fit(init(jax.random.fold_in(key, seed), n_x, n_h, n_y, ...), X, Y, key=key, ...)`.

    Much of a short run is compiling: after `enable_compilation_cache()` the next process finds it done.

    Args:
        key: a JAX random key. With a network's `seed` it fixes the first weights; alone, the order of minibatches.
        X: (n_x, m) examples as columns.
        Y: (n_y, m) targets as columns.
        configs: a list of dicts, or a dict of columns, in which a single value applies to all. Each network has

            - n_h: its hidden units; everything else is optional:
            - hidden, scale: as in `init`; seed: an integer, 0 by default;
            - learning_rate: by default 0.1 for "sgd", 0.001 for others; l2: 0.0 by default;
            - weights: (m,) weight of each example, such as the counts of a bootstrap sample;
            - validation_weights: the same for the validation examples;
            - fold: with `folds`, the number of the one that it is trained for, alone; by default it is for each;
            - whatever else the optimizer takes, such as Adam's b1, b2 and eps. Numbers may differ within a program;
              networks whose optimizers differ in form (nesterov, memory_size, a schedule as learning_rate) are trained
              by programs of their own.
        epochs: passes over the data.
        batch_size: examples per step; None: full batch.
        output: the head of all networks, as in `init`.
        optimizer: "sgd" (plain gradient descent, `update`), the name of an optax optimizer such as "adam", or an optax
            factory that takes learning_rate, such as `optax.adamw` or `functools.partial(optax.sgd, momentum=0.9)`.
            Where it looks at more than one weight at a time, as `optax.adafactor` and `optax.clip_by_global_norm` do,
            each width is compiled for itself.
        weights: (m,) weights for all networks that have none of their own.
        validation: (X, Y) of the same form, whose cost is recorded after each epoch.
        folds: cross-validation. Each config is trained once per fold, on all other examples, and validated on the fold,
            where every example counts the same. Give the number of folds, which are then consecutive examples, or the
            pairs of indices (train, test) of a scikit-learn splitter: `StratifiedKFold(5).split(X.T, y)`. An index may
            stand there several times, as in a bootstrap sample.
        standardize: scale each feature to mean 0 and deviation 1 over the training examples (of each fold, with
            `folds`), without weights. The scaling is folded into W1 and b1 afterwards, so pass raw values.
        patience, tol: each network stops as in `fit`.
        callback: called with `Progress` now and then; a true return value ends the run there, as Ctrl-C does.
        max_memory: bytes for networks in training; if they need more, they are trained in several groups.
        devices: the JAX devices to train on; None is all devices of this process.
        dtype: of the parameters, as in `init`.
        start: a finished run of the same networks to continue from: their parameters, optimizer states and scaling.
            Patience starts again. Or the `State` of networks of one width, each leaf (K, ...), as a program may keep:
            an optimizer's state of None is drawn anew, and patience goes on with the costs that the state knows.
        resume: an interrupted run with the same arguments: what `fit_many` returned, or its `arrays()`. The result is
            bit-identical to an uninterrupted run.
        first: the networks to start from in place of random ones: `Params` for each config, of its n_h and activation.
        epochs_before: the order of minibatches is that of the epochs after so many; a run in `start` knows its own.
        shuffle: False: minibatches are consecutive examples, the same in every epoch.
        rules: where other libraries' rules take the place of `fit`'s, see `jaxshallow.training.epochs.Rules`.

    Returns:
        `Many`. A network that diverges is stopped, and disturbs no other.

    Raises:
        ValueError: shapes and values as in `fit`; no networks; a config without n_h, with an unknown name or an
            impossible value, or one that the optimizer cannot be used with; the results alone need more than
            `max_memory`; `start` or `resume` is of other networks.
        TypeError: a value of the wrong type; an optimizer that is not a factory.

    Example:
        >>> from jaxshallow import data
        >>> X, Y = data.flower()
        >>> configs = [{"n_h": n_h, "seed": seed} for n_h in (1, 4, 20) for seed in range(5)]
        >>> many = fit_many(jax.random.key(0), X, Y, configs, epochs=50)
        >>> many.cost.shape, many.params(14).W1.shape
        ((15,), (20, 2))
    """
    check_sizes(epochs=epochs, batch_size=batch_size, patience=patience)
    check_tol(tol)
    factory = factory_of(optimizer)
    networks = complete(configs, factory)
    examples = checked_examples(
        key, X, Y, output=output, weights=weights, validation=validation, folds=folds, standardize=standardize,
        dtype=dtype,
    )  # fmt: skip
    first = None if first is None else first_of_each(first, networks, examples, output)
    networks = for_each_fold(networks, examples)
    n_x, n_y, dtype = len(examples.X), len(examples.Y), examples.X.dtype
    check_held(networks, dtype)
    tol = float(given.narrowed("tol", np.asarray(tol), dtype))
    widest = shapes(bucket(max(network["n_h"] for network in networks)), n_x, n_y, dtype)
    recipes = recipes_of(networks, factory, widest)
    devices = jax.local_devices() if devices is None else list(devices)
    batch = examples.m if batch_size is None else min(batch_size, examples.m)
    groups = groups_of(
        networks, recipes, widest,
        max_memory=max_memory, examples=examples.m * epochs, batch=batch, devices=devices,
    )  # fmt: skip
    if isinstance(start, Many):
        check_start(start, networks, examples, output)
        examples = replace(examples, known_scalings=start.scalings)
        epochs_before = start.epochs_before + int(start.epochs.max())
    settings = Settings(
        key=key, networks=networks, n_x=n_x, n_y=n_y, dtype=dtype, validated=examples.validated, output=output,
        recipes=recipes, epochs=epochs, batch_size=batch_size, patience=patience, tol=tol, callback=callback,
        first=first, devices=devices,
        shuffle=shuffle, rules=rules, epochs_before=epochs_before,
    )  # fmt: skip

    records = Records(settings, examples.folds)
    if resume is not None:
        take_over(records, arrays_of_resume(resume, networks, examples), groups, settings, examples)
    left = [group for group in groups if not records.ended[group.members].all()]
    try:
        for fold, those in itertools.groupby(left, key=lambda group: group.fold):
            of_fold = examples.of_fold(fold, settings)
            for group in those:
                with no_mesh():
                    train_group(group, settings, of_fold, records, start)
    except (KeyboardInterrupt, Ended):
        return records.many(finished=False)
    return records.many(finished=True)
