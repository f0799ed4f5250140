"""A program that searches as S1 does, and prints where its time went; or with "again", that of a second search.

python -m bench.search_program '{"library": "jaxshallow", "candidates": 24, "folds": 5, "again": true}'
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

from bench.stopwatch import Stopwatch


def search(library: str, candidates: int, folds: int) -> Any:
    """The search of S1, not yet fitted. Fewer than 24 candidates are those of the narrowest networks."""
    alphas, widths = [1e-5, 1e-4, 1e-3], [(4,), (16,), (64,), (100,)]
    if candidates < 24:
        alphas, widths = [1e-4], widths[: candidates // 2]
    grid = {"alpha": alphas, "learning_rate_init": [1e-3, 1e-2], "hidden_layer_sizes": widths}
    if library == "jaxshallow":
        from jaxshallow.estimators import ShallowClassifier, ShallowSearchCV

        return ShallowSearchCV(ShallowClassifier(random_state=0), grid, cv=folds)
    from sklearn.model_selection import GridSearchCV
    from sklearn.neural_network import MLPClassifier

    return GridSearchCV(MLPClassifier(random_state=0), grid, cv=folds, n_jobs=-1)


def examples() -> tuple[Any, Any]:
    from sklearn.datasets import load_breast_cancer
    from sklearn.preprocessing import StandardScaler

    x, y = load_breast_cancer(return_X_y=True)
    return StandardScaler().fit_transform(x), y


def main(library: str, candidates: int, folds: int, again: bool = False, cache: str | None = None) -> None:
    measured: dict[str, Any] = {}
    with Stopwatch() as watch:
        asked = search(library, candidates, folds)
        if library == "jaxshallow":
            watch.listen(cache)
        x, y = examples()
        asked.fit(x, y)
        if again:
            watch.lap()
            start = time.perf_counter()
            asked.fit(x, y)
            measured["seconds"] = time.perf_counter() - start
        measured["figures"] = watch.lap()
    print(json.dumps(measured))


if __name__ == "__main__":
    main(**json.loads(sys.argv[1]))
