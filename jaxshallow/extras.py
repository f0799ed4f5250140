"""Optional packages, and what to install where one is missing."""

from __future__ import annotations

import contextlib
import importlib.util
from types import ModuleType

# Packages that have another name in pip than in Python.
NAMES = {"orbax": "orbax-checkpoint"}


def require(module: str, extra: str) -> ModuleType:
    """The module, or an ImportError that says what to install."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise _missing(module, extra) from error


def check_installed(module: str, extra: str) -> None:
    """The ImportError of `require` if the module cannot be found. It is not imported, which may take long."""
    with contextlib.suppress(ModuleNotFoundError):  # of the package that the module would be in
        if importlib.util.find_spec(module):
            return
    raise _missing(module, extra)


def _missing(module: str, extra: str) -> ImportError:
    package = module.split(".")[0]
    return ImportError(f"{NAMES.get(package, package)} is missing: pip install 'jaxshallow[{extra}]'")
