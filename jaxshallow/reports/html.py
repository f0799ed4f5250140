"""Text that is HTML already, and the files that a page holds."""

from __future__ import annotations

import importlib.resources
from html import escape


class Html(str):
    """A text that is HTML as it stands. Any other text is escaped."""

    __slots__ = ()


def as_html(piece: str) -> str:
    return piece if isinstance(piece, Html) else f"<p>{escape(piece)}</p>\n"


def read_file(name: str) -> str:
    return importlib.resources.files("jaxshallow.reports").joinpath(name).read_text(encoding="utf-8")
