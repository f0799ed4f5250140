"""A program that fits the curve of L1a from several starts, and prints where its time went and how near it came.

python -m bench.starts_program '{"library": "jaxshallow", "starts": 20, "steps": 50}'
"""

from __future__ import annotations

import json
import sys
from typing import Any

from bench.rows import RMSE
from bench.stopwatch import Stopwatch


def fit(library: str, starts: int, steps: int) -> float:
    """The median rmse of all starts."""
    if library == "jaxshallow":
        from bench.second_order import fitted

        return fitted("curve", starts, steps)
    from statistics import median

    from joblib import Parallel, delayed

    from bench.regressions import by_scikit_learn

    return median(Parallel(n_jobs=-1)(delayed(by_scikit_learn)("curve", seed) for seed in range(starts)))


def main(library: str, starts: int, steps: int, cache: str | None = None) -> None:
    with Stopwatch() as watch:
        if library == "jaxshallow":
            watch.listen(cache)
        found = 1e3 * fit(library, starts, steps)
        figures: dict[str, Any] = watch.lap() | {RMSE: found}
    print(json.dumps({"figures": figures}))


if __name__ == "__main__":
    main(**json.loads(sys.argv[1]))
