"""The optional packages that the programs need: the extra `scripts`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator


class MissingExtra(ImportError):
    """A package is missing; the message says what to `pip install`."""


@contextlib.contextmanager
def needs_scripts() -> Iterator[None]:
    """Around imports of the extra `scripts`: MissingExtra if one of them fails."""
    try:
        yield
    except ImportError as error:
        raise MissingExtra(f"{error}: pip install 'jaxshallow[scripts]'") from error
