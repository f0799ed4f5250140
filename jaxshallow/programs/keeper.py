"""The checkpoints of a run, for --resume."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from jaxshallow import data
from jaxshallow.programs.options import RunOptions, option
from jaxshallow.programs.running import remark, say
from jaxshallow.store import checkpoints


class Keeper:
    """Saves a checkpoint every --checkpoint-every seconds, and loads the newest for --resume."""

    def __init__(self, folder: Path, options: RunOptions, dataset: data.Dataset, examples: Any):
        if not 0 <= options.checkpoint_every < float("inf"):
            raise ValueError(f"--checkpoint-every must be at least 0 seconds, got {options.checkpoint_every}")
        if options.checkpoint_every:
            checkpoints.check_installed()
        self.folder, self.options, self.dataset, self.examples = folder, options, dataset, examples
        self.seconds, self.last = 0.0, time.monotonic()

    @cached_property
    def about(self) -> dict[str, Any]:
        # Options that do not change the result.
        apart = ("out", "report", "json", "quiet", "checkpoint_every", "resume", "course", "demo")
        settings = {option(name): value for name, value in asdict(self.options).items() if name not in apart}
        names = {"the columns": self.dataset.feature_names, "the classes": self.dataset.labels}
        return checkpoints.fingerprint({**settings, **names}, self.examples)

    def earlier(self) -> dict[str, np.ndarray] | None:
        """The checkpoint to resume; ValueError if --resume finds none, or if a run without it would overwrite one."""
        progress = checkpoints.unfinished(self.folder)
        if not self.options.resume:
            if progress is not None:
                raise ValueError(
                    f"{self.folder} holds an unfinished run, {progress}: --resume goes on with it; "
                    "delete the folder to begin anew"
                )
            return None
        state, passed_over = checkpoints.load_state(self.folder, self.about)
        for sentence in passed_over:
            remark(f"passed over: {self.folder / sentence}")
        if state is None:
            if passed_over:
                fix = "give the options of that run, or delete the folder to begin anew"
                raise ValueError(f"--resume: {self.folder} holds no state of this run that is whole: {fix}")
            raise ValueError(f"--resume: {self.folder} holds no state to go on from: leave --resume out to begin")
        say(f"going on from {progress}")
        self.last = time.monotonic()
        return state

    def keep_if_due(self, arrays: Callable[[], dict[str, np.ndarray]], progress: Callable[[], str]) -> None:
        if 0 < self.options.checkpoint_every <= time.monotonic() - self.last:
            self.keep(arrays(), progress())

    def keep(self, arrays: dict[str, np.ndarray], progress: str) -> None:
        if not self.options.checkpoint_every:
            return
        start = time.monotonic()
        try:
            checkpoints.save_state(self.folder, arrays, self.about, progress)
        except Exception as error:  # such as Orbax's for a full disk: training goes on without a checkpoint
            remark(f"no state was kept in {self.folder}: {error}")
        self.last = time.monotonic()
        self.seconds += self.last - start

    def clear(self) -> None:
        """Delete the checkpoints, once the run is finished and written."""
        checkpoints.clear(self.folder)


def hint(folder: Path) -> str:
    """What to add to "interrupted": that --resume continues the run, if there is a checkpoint."""
    return "" if checkpoints.unfinished(folder) is None else "; --resume goes on with it"
