"""Reports: one HTML page that holds its pictures, style and script, and works offline.

html   text that is HTML already
live   an interactive forward pass
pages  the page and its parts
"""

from jaxshallow.reports.html import Html
from jaxshallow.reports.live import IN_JAVASCRIPT, forward_pass
from jaxshallow.reports.pages import page, picture, preformatted, section, table

__all__ = ["IN_JAVASCRIPT", "Html", "forward_pass", "page", "picture", "preformatted", "section", "table"]
