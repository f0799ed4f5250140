"""A table of text, such as a .csv: what its columns are called, what sets them apart, and its rows.

These are the rules of every reader: `load_table`, the program predict, and the Python file that `export` writes. That
file holds a copy of this code, which is why it needs Python's own library alone. Rows are what the csv module reads.
"""

from __future__ import annotations

import csv
import io
import itertools
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO, NamedTuple

MISSING = ["", "NA", "N/A", "n/a", "#N/A", "<NA>", "NaN", "nan", "NAN", "-NaN", "-nan", "NULL", "Null", "null"]

# A number in plain text, and as it is written where the decimal mark is a comma or a point, with the other of the two,
# or a space or an apostrophe, between thousands.
NUMBER = r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?"
BETWEEN = " '\u2019\u00a0\u202f"
WRITTEN = {
    mark: rf"[-+]?(?:(?:[0-9]+|[1-9][0-9]{{0,2}}(?:{groups}))(?:{mark}[0-9]*)?|{mark}[0-9]+)(?:[eE][-+]?[0-9]+)?"
    for mark, groups in (
        (mark, "|".join(rf"(?:{between}[0-9]{{3}})+" for between in (other, *BETWEEN)))
        for mark, other in ((",", r"\."), (r"\.", ","))
    )
}

# How files that are no table of text begin, what they are, and what to do.
FOREIGN = {
    rb"\xff\xfe|\xfe\xff": "UTF-16: save it as UTF-8 first",
    rb"\x1f\x8b": "compressed by gzip: unpack it first, gunzip -c TABLE > plain.csv",
    rb"BZh[1-9]1AY": "compressed by bzip2: unpack it first, bunzip2 -c TABLE > plain.csv",
    rb"\xfd7zXZ\x00": "compressed by xz: unpack it first, xz -dc < TABLE > plain.csv",
    rb"\x28\xb5\x2f\xfd": "compressed by zstd: unpack it first, zstd -dc < TABLE > plain.csv",
    rb"7z\xbc\xaf": "a 7-Zip archive: unpack it first",
    rb"PK\x03\x04": "an Excel workbook or a zip archive: save the sheet as CSV UTF-8 in Excel, or unpack the archive",
    rb"\xd0\xcf\x11\xe0": "an old Excel workbook: save the sheet as CSV UTF-8 in Excel",
    rb"PAR1": "Parquet: rename it, to end in .parquet",
    rb"ARROW1": "an Arrow file: rename it, to end in .feather",
    rb"\x93NUMPY": "a NumPy array: rename it, to end in .npy",
    rb"\x89HDF": "HDF5: save the table as CSV first",
    rb"SQLite format 3": "an SQLite database: save the table as CSV first",
    rb"%PDF-": "a PDF: save the table as CSV first",
    rb"version https://git-lfs": "a pointer of Git LFS to the file: get the file itself first, git lfs pull",
    rb"(?i)\s*<(!doctype|html|head|body|table|\?xml)\b": "a web page or XML, not a table of text: download the table",
    rb"""\s*(\{\s*"|\[\s*[\[{])""": "JSON: save the table as CSV first",
    rb"(?i)\s*@relation\b": "ARFF: save the table as CSV first",
}


class Table(NamedTuple):
    """What `read_table` finds."""

    names: list[str]
    separator: str
    rows: Iterator[list[str]]
    simple: bool
    doubt: str


def kind_of(start: bytes) -> str:
    """What a file that begins so is, and what to do; "" if it may be a table of text."""
    return next((kind for pattern, kind in FOREIGN.items() if re.match(pattern, start)), "")


def text_lines(stream: BinaryIO) -> Iterator[str]:
    """The lines of a binary stream as text; ValueError, with the line's number, for what is not UTF-8.

    Line ends are kept, and may be those of Unix, Windows or old Macs.
    """
    begun = False
    for number, line in enumerate(stream, 1):
        line = line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line
        if not begun and (kind := kind_of(line)):
            raise ValueError(f"it is {kind}")
        begun = begun or bool(line.strip())
        try:
            text = line.decode()
        except UnicodeDecodeError as error:
            byte = line[error.start : error.start + 1]
            raise ValueError(
                f"line {number} holds the byte {byte!r}, which is not UTF-8: save it as UTF-8 first"
            ) from None
        if "\0" in text:
            raise ValueError(f"line {number} holds a zero byte, which no text does: save it as UTF-8 text first")
        yield from io.StringIO(text, newline="")


def read_table(lines: Iterable[str], likely: str = ",") -> Table:
    """The names of a table's columns, what separates them, and its rows, from its lines.

    The separator is the comma, semicolon, tab or | by which the first lines have as many fields as the header, or what
    a line "sep=;" says. Lines without any text, and columns without any, name included, are left out.

    Args:
        lines: of text.
        likely: the separator, where several would do.

    Returns:
        `Table`. Its rows are lists of text, read as they are asked for; a row that is longer or shorter than the header
        is a ValueError, with its line. `simple` says that the header is the first line and every column has a name;
        `doubt` is the end of an error, "" or why there may be one column only.

    Raises:
        ValueError: it is empty; the first line does not name the columns, each its own.
    """
    csv.field_size_limit(2**31 - 1)
    lines, size = iter(lines), 0
    sample: list[str] = []
    for line in lines:
        sample.append(line)
        size += len(line)
        if len(sample) > 100 or size > 2**20:
            break
    whole = size <= 2**20 and len(sample) <= 100
    above = next((k for k, line in enumerate(sample) if line.strip()), None)
    if above is None:
        raise ValueError("it is empty")
    said = re.fullmatch(r'"?sep=([^\w"])"?', sample[above].rstrip("\r\n"), re.IGNORECASE)
    above += said is not None
    separator = said[1] if said else _separator(sample[above:], likely, whole)
    _, *rows = _fields(sample[above:], separator, whole) or [[]]
    reader = csv.reader(itertools.chain(sample[above:], lines), delimiter=separator, strict=True, skipinitialspace=True)
    rows_of_text = _rows(reader, above)
    try:
        number, header = next(rows_of_text, (above + 1, []))
    except ValueError as error:
        raise ValueError(f"{error}{_doubt(sample[above:])}") from None
    names = [name.strip() for name in header]
    trailing = bool(rows) and all(len(row) == len(names) + 1 and not row[-1].strip() for row in rows)
    names += [""] * trailing
    _check_names(names, rows, number)
    return Table(
        [name for name in names if name],
        separator,
        _checked(rows_of_text, names),
        simple=number == 1 and all(names),
        doubt=_doubt(sample[above:]) if len(names) == 1 else "",
    )


def _fields(sample: list[str], separator: str, whole: bool) -> list[list[str]]:
    """The fields of the first lines with text; without the last, which may be cut, unless it is the whole table."""
    rows = [row for row in csv.reader(sample, delimiter=separator, skipinitialspace=True) if "".join(row).strip()]
    return rows if whole or len(rows) < 3 else rows[:-1]


def _separator(sample: list[str], likely: str, whole: bool) -> str:
    """The separator by which header and rows have the same number of fields, more than one."""

    def fit(mark: str) -> tuple[bool, bool, int, bool, int]:
        header, *rows = (len(row) for row in _fields(sample, mark, whole))
        usual, n = Counter(rows or [header]).most_common(1)[0]
        return header == usual > 1, max(header, usual) > 1, n, mark == likely, header

    return max(",;\t|", key=fit)


def _check_names(names: list[str], rows: list[list[str]], line: int) -> None:
    """ValueError unless the header names the columns of these rows, each its own."""
    usual, n = Counter(map(len, rows)).most_common(1)[0] if rows else (len(names), 0)
    if len(names) < usual and 2 * n > len(rows):
        fix = "delete what stands above the names, such as a title or a comment"
        if 1 < len(names) == usual - 1 and all(names):
            fix += "; or where R wrote the names of rows without a name for them, put one first, such as id"
        raise ValueError(
            f"line {line} has {len(names)} fields where most lines have {usual}: the first line must name the columns; "
            f"{fix}, got {_shown(names)}"
        )
    if kind := _data_for_names(names, [row for row in rows if len(row) == len(names)]):
        raise ValueError(f"the first line must name the columns, got {kind}, {_shown(names)}: add such a line")
    nameless = [k for k, name in enumerate(names) if not name]
    if any(row[k].strip() for row in rows for k in nameless if k < len(row)):
        fix = ": is it a title? Delete what stands above the names" if len(nameless) == len(names) - 1 else ""
        if not names[0]:
            fix = ": give the first a name, such as id, or write none: to_csv(index=False), in R row.names=FALSE"
        raise ValueError(f"columns must have names, each its own, got {_shown(names)}{fix}")
    if twice := [name for name, n in Counter(filter(None, names)).items() if n > 1]:
        fix = "if this is a row of the data, add a line of names above it"
        raise ValueError(f"columns must have names, each its own, got {twice[0]!r} twice: {fix}")


def _data_for_names(names: list[str], rows: list[list[str]]) -> str | None:
    """ "numbers" or "a row of data" if that is what a header looks like, else None.

    Numbers may be names where they count 0, 1, 2, ..., or where ten or more rise, as years and wavelengths do.
    """
    numbers = [name for name in names if re.fullmatch(NUMBER, name)]
    values = [float(name) for name in numbers]
    if len(values) >= 10 and all(low < high for low, high in itertools.pairwise(values)):
        return None
    if any("." in name for name in numbers):
        return "numbers"
    if numbers == names:
        counts = names in ([str(k) for k in range(start, start + len(names))] for start in (0, 1))
        return None if counts else "numbers"
    rows = [cells for row in rows if (cells := [cell.strip() for cell in row]) != names]
    words = [(k, name) for k, name in enumerate(names) if name and name not in numbers]
    again = [name for k, name in words if any(row[k] == name for row in rows)]
    enough = len(again) > 1 or (again and numbers)
    return "a row of data" if enough and len(again) + len(numbers) > len(names) / 2 else None


def _doubt(sample: list[str]) -> str:
    """Why there may be one column only, as the end of an error."""
    header, *rows = [len(line.split()) for line in sample if line.strip()]
    if len(set(rows)) > 1 or header == 1 or (rows and rows[0] - header not in (0, 1)):
        return ""
    return ": are its columns set apart by spaces? Put a comma in their place, sed 's/^ *//; s/  */,/g' TABLE > new.csv"


def _rows(reader: Any, above: int) -> Iterator[tuple[int, list[str]]]:
    """The rows with text and the lines on which they end."""
    try:
        for row in reader:
            if "".join(row).strip():
                yield reader.line_num + above, row
    except csv.Error as error:
        raise ValueError(f"line {reader.line_num + above}: {error}") from None


def _checked(rows: Iterable[tuple[int, list[str]]], names: list[str]) -> Iterator[list[str]]:
    """The fields with a name of each row, which must be as long as the header."""
    for line, row in rows:
        if len(row) != len(names):
            why = "was that row cut? A missing value keeps its separator" if len(row) < len(names) else ""
            why = "is it a comment? Delete it" if row[0].startswith("#") else why or "quote text that holds a separator"
            raise ValueError(f"line {line} has {len(row)} fields where the header has {len(names)}: {why}")
        if all(names):
            yield row
            continue
        if value := next((cell for cell, name in zip(row, names, strict=True) if cell.strip() and not name), None):
            raise ValueError(f"line {line} holds {value!r} in a column without a name: columns must have names")
        yield [cell for cell, name in zip(row, names, strict=True) if name]


def _shown(names: list[str]) -> str:
    return "[" + ", ".join(map(repr, names[:10])) + (f" and {len(names) - 10:,} more]" if len(names) > 10 else "]")


def decimal_mark(numbers: Iterable[tuple[str, str]], separator: str, known: str = "") -> str:
    """The decimal mark of a table's numbers, from those that can be read in one way only, such as 0,25 and 1.299,99.

    Args:
        numbers: pairs of a column's name and a text; one of each kind that `WRITTEN` tells apart is enough.
        separator: what separates the columns.
        known: the mark of the table that a network was trained on, "" where it showed none.

    Returns:
        "," or ".", where the other mark stands between thousands; "either" where some have decimal commas and some have
        decimal points; "" where nothing tells.

    Raises:
        ValueError: a number can be read in two ways, such as 1.299, and the others speak for both.
    """
    first: dict[str, tuple[str, str]] = {}
    for name, text in numbers:
        first.setdefault(_kind(text), (name, text))
    comma, point, dotted, grouped = (first.get(kind) for kind in (",", ".", "1.299", "1,299"))
    unclear = dotted or grouped
    beside = [comma, point] if comma and point else [grouped] if dotted and not (comma or point) else []
    if unclear and (others := [text for _, text in filter(None, beside)]):
        name, text = unclear
        fix = "write decimals with a point, and nothing between thousands"
        seen = " and ".join(map(repr, others))
        raise ValueError(f"column {name!r} holds {text!r}, which beside {seen} may be either of two numbers: {fix}")
    if comma or point:
        return "either" if comma and point else "," if comma else "."
    known = known if known in (",", ".") else ""
    if grouped:
        return known or ("," if separator == ";" else "")
    if "1 299" in first and not dotted:
        return known or "."
    return "," if dotted and known == "," and separator != "," else ""


def _kind(text: str) -> str:
    """How a number is written: "," or "." if only that can be its decimal mark, else as "1,299", "1.299" or "1 299"."""
    marks = [mark[-1] for mark, pattern in WRITTEN.items() if re.fullmatch(pattern, text)]
    if not marks or text.isdigit():
        return ""
    if len(marks) == 1:
        return marks[0]
    return next((f"1{mark}299" for mark in ",." if mark in text), "1 299" if set(BETWEEN) & set(text) else "")


def plain_number(text: str, mark: str) -> str:
    """A number that is written with this decimal mark, as plain text; other text as it is."""
    kind = _kind(text)
    mark = (kind if kind in (",", ".") else ".") if mark == "either" else mark
    if mark == "," and re.fullmatch(WRITTEN[","], text):
        return re.sub(f"[.{BETWEEN}]", "", text).replace(",", ".")
    return re.sub(f"[,{BETWEEN}]", "", text) if mark == "." and re.fullmatch(WRITTEN[r"\."], text) else text
