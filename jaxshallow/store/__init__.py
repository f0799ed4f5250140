"""Models and checkpoints on disk.

files        files that are written whole or not at all
models       `save` and `load`: one network, as safetensors
checkpoints  the state of a run, to resume it from
"""

from jaxshallow.store.models import Saved, load, load_all, read_metadata, save

__all__ = ["Saved", "load", "load_all", "read_metadata", "save"]
