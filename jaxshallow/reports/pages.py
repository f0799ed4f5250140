"""Reports: one HTML page that holds its pictures, style and script, and loads nothing else.

A `page` is made of sections; a `section` of plain texts, which are escaped, and of what `table`, `picture` and
`preformatted` return. `forward_pass` is a section in which the reader moves a point and sees every number of the
forward pass follow; its script, `forward_pass.js`, repeats the equations of `network.py`.
"""

from __future__ import annotations

import base64
import numbers
import re
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

from jaxshallow import plots
from jaxshallow.reports.html import Html, as_html, read_file

LARGEST_SVG = 2**20

NUMBER = re.compile(r"[-−+]?[\d,]*\.?\d+(e[-+]?\d+)?( ?%)?|nan|-?inf", re.IGNORECASE)


def page(title: str, sections: Iterable[Html], *, language: str = "en") -> str:
    """The whole page, to be written as UTF-8.

    Args:
        title: of the page.
        sections: what `section` and `forward_pass` return, in order.
        language: of the texts, such as "en" or "de".

    Example:
        >>> text = page("Flower & co", [section("Scores", "It learns.", table([["part", "J"], ["training", 0.25]]))])
        >>> "<h1>Flower &amp; co</h1>" in text, "https://" in text
        (True, False)
    """
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
    return (
        f'<!DOCTYPE html>\n<html lang="{escape(language)}">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        f"<title>{escape(title)}</title>\n<style>\n{read_file('report.css')}</style>\n</head>\n"
        f"<body>\n<main>\n<h1>{escape(title)}</h1>\n{''.join(map(as_html, sections))}</main>\n</body>\n</html>\n"
    )


def section(heading: str, *pieces: str) -> Html:
    """A part of the page under a heading; pieces that are plain texts become paragraphs.

    Example:
        >>> section("a < b", "text")
        '<section>\\n<h2>a &lt; b</h2>\\n<p>text</p>\\n</section>\\n'
    """
    return Html(f"<section>\n<h2>{escape(heading)}</h2>\n{''.join(map(as_html, pieces))}</section>\n")


def table(rows: Sequence[Sequence[Any]], *, caption: str = "") -> Html:
    """A table whose first row names the columns, and whose first column names the rows; numbers are right-aligned.

    Args:
        rows: of cells: texts, numbers (floats to four digits) or None for an empty cell.
        caption: above the table.

    Raises:
        ValueError: there is no row, or the rows differ in length.

    Example:
        >>> "<td class=\\"number\\">0.3333</td>" in table([["", "x1"], ["mean", 1 / 3]])
        True
    """
    if not rows or len({len(row) for row in rows}) > 1:
        raise ValueError(f"rows must be of one length each, got lengths {[len(row) for row in rows]}")
    head, *body = [[as_cell(value) for value in row] for row in rows]
    columns = [[row[k] for row in body] for k in range(len(head))]
    # A column of numbers, some of which may be missing.
    right = [any(column) and all(not cell or NUMBER.fullmatch(cell) for cell in column) for column in columns]
    style = [' class="number"' if number else "" for number in right]
    names = "".join(f'<th scope="col"{s}>{escape(cell)}</th>' for s, cell in zip(style, head, strict=True))
    lines = "".join(
        f'<tr><th scope="row"{style[0]}>{escape(row[0])}</th>'
        + "".join(f"<td{s}>{escape(cell)}</td>" for s, cell in zip(style[1:], row[1:], strict=True))
        + "</tr>\n"
        for row in body
    )
    above = f"<caption>{escape(caption)}</caption>\n" if caption else ""
    return Html(
        f'<div class="scroll"><table>\n{above}<thead>\n<tr>{names}</tr>\n</thead>\n'
        f"<tbody>\n{lines}</tbody>\n</table></div>\n"
    )


def picture(drawing: plots.Figure | bytes, alt: str, *, caption: str = "") -> Html:
    """A figure, or the contents of an .svg or .png file, within the page.

    A figure goes in as SVG, sharp at every size, unless that would be large: then as PNG.

    Args:
        drawing: the figure or the contents.
        alt: what it shows, for those who cannot see it.
        caption: below the picture.

    Raises:
        ValueError: the contents are neither SVG nor PNG.

    Example:
        >>> drawing, (ax,) = plots.figure()
        >>> picture(drawing, "Nothing yet")[:71]
        '<figure class="picture"><img alt="Nothing yet" src="data:image/svg+xml;'
    """
    content = drawing if isinstance(drawing, bytes) else plots.encoded(drawing, "svg")
    if not isinstance(drawing, bytes) and len(content) > LARGEST_SVG:
        content = plots.encoded(drawing, "png")
    kind = "png" if content.startswith(b"\x89PNG") else "svg+xml" if b"<svg" in content[:1000] else None
    if kind is None:
        raise ValueError(f"a picture must be a figure, or an .svg or .png file, got {content[:20]!r}")
    below = f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
    data = base64.b64encode(content).decode()
    return Html(
        f'<figure class="picture"><img alt="{escape(alt)}" src="data:image/{kind};base64,{data}">{below}</figure>\n'
    )


def preformatted(text: str) -> Html:
    """A text as it stands, line by line: a command, versions, options.

    Example:
        >>> preformatted("train.py --data <file>")
        '<pre>train.py --data &lt;file&gt;</pre>\\n'
    """
    return Html(f"<pre>{escape(text)}</pre>\n")


def as_cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        return str(value)
    return f"{value:,}" if isinstance(value, numbers.Integral) else f"{value:.4g}"
