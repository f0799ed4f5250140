"""Thousands of networks in one program: different seeds, rates, activations and widths, on the same examples.

Networks of one width are stacked: the epochs are `fit`'s own, under `vmap`. Networks of different widths stand side by
side, as one wide network whose W2 has a block for each. All networks share X, so their first layers are one matrix
product. They run in chunks small enough for their activations to stay in the cache, on all cores at a time.

Six words:

    group   networks that are trained together: one activation, one fold, one recipe of an optimizer, and one width, or
            several side by side. Groups are trained one after another. Networks that together need more than
            `max_memory` are split into several groups.
    recipe  how an optimizer is made, but for its numbers. One that looks at more than one hidden unit at a time trains
            each width by itself.
    chunk   the networks of a group that run in one program
    block   the epochs of one program
    stack   the arrays of a group's networks, along a first axis (C, ...)
    units   the hidden units of a chunk's networks side by side, along a first axis (U, ...)

The files; each imports only from those above it:

    elementwise  does a function treat each hidden unit by itself?
    optimizers   recipes: what an optimizer is compiled for, and the numbers that may differ
    configs      the config of each network, and the settings that all share
    widths       few lengths of arrays, so that few programs are compiled
    examples     the data: checked, split into folds, scaled, on the devices
    side_by_side the formula of networks of different widths: one network whose W2 has a block for each
    units        from stacks to units, and back
    plan         which networks make a group
    chunks       how many networks make a chunk, how many epochs a block
    programs     what is compiled
    result       `Many`, and the `Progress` that a callback sees
    records      the costs of a run, written block by block
    resume       continuing earlier runs: `start` and `resume`
    run          `train_group`: the loop
    fitting      `fit_many`: check, plan, train group after group, return
"""

from jaxshallow.many.fitting import fit_many
from jaxshallow.many.plan import memory
from jaxshallow.many.result import Many, Progress
from jaxshallow.many.widths import bucket

__all__ = ["Many", "Progress", "bucket", "fit_many", "memory"]
