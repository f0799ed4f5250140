"""Thousands of networks in one program: different seeds, rates, activations and widths, on the same examples.

The epochs are `fit`'s own, under `vmap`. All networks share X, so their first layers are one matrix product. They run
in chunks small enough for their activations to stay in the cache.

Five words:

    bucket  a width that hidden layers are padded to, so that few widths are compiled
    group   networks that are trained together: one activation, one bucket, one fold. Groups are trained one after
            another. Networks that together need more than `max_memory` are split into several groups.
    chunk   the networks of a group that run in one program
    block   the epochs of one program
    stack   the arrays of a group's networks, along a first axis (C, ...)

The files; each imports only from those above it:

    elementwise is an optimizer blind to padding?
    optimizers  which optimizers networks may share, and numbers that are structure
    configs     the config of each network, and the settings that all share
    examples    the data: checked, split into folds, scaled, on the devices
    widths      buckets, and why padding changes nothing
    plan        which networks make a group, how many a chunk, how many epochs a block
    programs    what is compiled
    result      `Many`, and the `Progress` that a callback sees
    records     the costs of a run, written block by block
    resume      continuing earlier runs: `start` and `resume`
    run         `train_group`: the loop
    fitting     `fit_many`: check, plan, train group after group, return
"""

from jaxshallow.many.fitting import fit_many
from jaxshallow.many.plan import memory
from jaxshallow.many.result import Many, Progress
from jaxshallow.many.widths import bucket

__all__ = ["Many", "Progress", "bucket", "fit_many", "memory"]
