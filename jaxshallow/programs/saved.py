"""A model from its file, with the columns and the labels that a program needs; every error names the file."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import jax

from jaxshallow import store
from jaxshallow.exports.known import checked_metadata
from jaxshallow.params import Params
from jaxshallow.programs import running


def network(path: Path) -> tuple[Params, dict[str, Any]]:
    """The network, in its own dtype, and the metadata as `read_metadata` gives it."""
    return model(path)[:2]


def model(path: Path) -> store.Saved:
    """The same with the error bars, if the file holds them."""
    with warnings.catch_warnings(record=True) as said, jax.enable_x64(True):  # or a float64 model could not be read
        warnings.simplefilter("always", UserWarning)
        try:
            found = store.load_all(path)
        except FileNotFoundError:
            raise
        except OSError as error:  # or it would be taken for an error of writing
            raise ValueError(f"could not read {path}: {error.strerror}") from error
    for warning in said:
        running.remark(str(warning.message))
    known(path, found.params, found.metadata)
    return found


def known(path: Path, params: Params, metadata: dict[str, Any]) -> dict[str, Any]:
    """The columns, feature names, labels and encoding, checked against the network's sizes, or the defaults."""
    try:
        return checked_metadata(params, metadata)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path}: {error}") from error
