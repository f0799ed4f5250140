"""Compiled programs kept on disk, so that the next run starts compiled."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

import jax
from jax.experimental.compilation_cache import compilation_cache


def enable_compilation_cache(path: str | os.PathLike[str] | None = None) -> Path | None:
    """Keep what JAX compiles in a folder, for the next process that compiles the same.

    This sets JAX's own persistent cache, for the whole process, and lowers its thresholds: by default it skips programs
    that compile in under a second, as all of ours do. Importing the library never does this. The folder may be deleted
    at any time; entries of other versions of JAX or other devices are not used. The scripts call this; the environment
    variable `JAX_ENABLE_COMPILATION_CACHE=false` turns it off.

    Args:
        path: the folder; None is `$JAX_COMPILATION_CACHE_DIR`, or else jaxshallow in `$XDG_CACHE_HOME` or `~/.cache`.

    Returns:
        The folder; None, with a warning, if it was not given and cannot be made.

    Raises:
        OSError: the given folder cannot be made or written to.

    Example:
        >>> import jaxshallow as js
        >>> folder = js.enable_compilation_cache("out/compiled")  # doctest: +SKIP
    """
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(path or os.environ.get("JAX_COMPILATION_CACHE_DIR") or Path(home) / "jaxshallow")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK):
            raise PermissionError(f"cannot write to {folder}")
    except OSError as error:
        if path is not None:
            raise
        warnings.warn(f"programs are not kept compiled: {error}", stacklevel=2)
        return None
    jax.config.update("jax_compilation_cache_dir", str(folder))
    compilation_cache.reset_cache()  # else an earlier folder stays in use
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    return folder
