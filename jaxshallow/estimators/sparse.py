"""Sparse rows, as OneHotEncoder and TfidfVectorizer make them: dense for training, whose minibatches are dense."""

from __future__ import annotations

import math
import os
from typing import Any

import numpy as np

from jaxshallow.estimators.examples import cast

COPIES = 2  # of the dense rows while a network trains: columns, and columns on the device, take half of them each


def narrow(name: str, X: Any, dtype: Any) -> Any:
    """CSR rows in a dtype; ValueError where a number is beyond it."""
    return type(X)((cast(name, X.data, dtype), X.indices, X.indptr), shape=X.shape)


def dense(name: str, X: Any) -> np.ndarray:
    """CSR rows as an array.

    Raises:
        ValueError: it would not fit into this machine's memory.
    """
    size, memory = COPIES * math.prod(X.shape) * X.dtype.itemsize, physical_memory()
    if size > memory:
        raise ValueError(
            f"{name} is sparse, {X.shape[0]} × {X.shape[1]}, and training, which needs it dense, would take "
            f"{size / 2**30:.3g} GiB of this machine's {memory / 2**30:.3g}: call partial_fit on parts of the rows, or "
            "take fewer columns, for example by TruncatedSVD or SelectKBest"
        )
    return X.toarray()


def physical_memory() -> float:
    """Bytes; infinite where the system does not say."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # Windows has no sysconf
        return math.inf
