"""Models and training states on disk."""

from jaxshallow.store.models import load, read_metadata, save

__all__ = ["load", "read_metadata", "save"]
