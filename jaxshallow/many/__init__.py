"""Thousands of networks in one program: other seeds, rates, activations and widths, on the same examples.

`fit`'s own epochs, under `vmap`. All networks share X, so their first layers are one matrix product. They run in
chunks, so few at a time that their activations stay in the cache.

Five words:

    bucket  a width that hidden layers are padded to, so that few widths are compiled
    group   the networks that are trained together: of one activation, one bucket and one fold. One group follows
            another. What `max_memory` has no room for is trained in several shifts, each a group of its own.
    chunk   the networks of a group that run in one program
    block   the epochs of one program
    stack   the arrays of a group's networks, along a first axis (C, ...)

The files, each of which imports from those above it alone:

    configs   what each network has of its own, and the settings that all share
    examples  the data: checked, cut into folds, scaled, on the devices
    widths    buckets, and why padding changes nothing
    plan      which networks make a group, how many a chunk, how many epochs a block
    programs  what is compiled
    result    `Many`, and the `Progress` that a callback sees
    records   the costs of a run, written block by block
    resume    what runs before hand on: `start` and `resume`
    run       `train_group`: the loop
    fitting   `fit_many`: check, plan, train group after group, return
"""

from jaxshallow.many.fitting import fit_many
from jaxshallow.many.plan import memory
from jaxshallow.many.result import Many, Progress
from jaxshallow.many.widths import bucket

__all__ = ["Many", "Progress", "bucket", "fit_many", "memory"]
