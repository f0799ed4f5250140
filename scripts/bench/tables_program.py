"""A program that fits and scores one table after another, as S3 does, and prints where its time and memory went.

python -m bench.tables_program '{"library": "jaxshallow", "tables": 100, "epochs": 5}'
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

from bench.stopwatch import Stopwatch


def network(library: str, epochs: int) -> Any:
    if library == "jaxshallow":
        from jaxshallow.estimators import ShallowClassifier

        return ShallowClassifier(random_state=0, max_iter=epochs)
    from sklearn.neural_network import MLPClassifier

    return MLPClassifier(random_state=0, max_iter=epochs)


def table(number: int) -> tuple[Any, Any]:
    """A table of 200 to 1,000 rows, 3 to 42 features and 2 to 4 classes."""
    import numpy as np

    rng = np.random.default_rng(number)
    m, n_x, classes = rng.integers(200, 1001), rng.integers(3, 43), rng.integers(2, 5)
    x = rng.standard_normal((m, n_x), np.float32)
    return x, (x @ rng.standard_normal((n_x, classes), np.float32)).argmax(axis=1)


def memory() -> dict[str, float]:
    """The most memory that this process has used, and the memory maps that it has; nothing where Linux is not."""
    if not Path("/proc/self/maps").exists():
        return {}
    peak = re.findall(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text())[0]
    return {"MiB": int(peak) / 1024, "memory maps": Path("/proc/self/maps").read_text().count("\n")}


def main(library: str, tables: int, epochs: int, cache: str | None = None) -> None:
    looks = {-(-tables // 10): "after a tenth", -(-tables // 2): "at half-time", tables: "at the end"}
    used: dict[str, float] = {}
    with Stopwatch() as watch:
        learner = network(library, epochs)
        if library == "jaxshallow":
            watch.listen(cache)
        for done in range(1, tables + 1):
            x, y = table(done)
            learner.fit(x, y).score(x, y)
            if done in looks:
                used |= {f"{what} {looks[done]}": value for what, value in memory().items()}
        parts = watch.lap()
    print(json.dumps({"figures": parts | used}))


if __name__ == "__main__":
    main(**json.loads(sys.argv[1]))
