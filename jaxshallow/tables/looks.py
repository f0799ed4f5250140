"""What a text looks like: a number in disguise, such as $1,336, or something that names one row, such as an e-mail."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

NUMBER = (
    r"[-+\u2212]?(?:\d{1,3}(?:['\u2019\u00a0\u202f ]\d{3})+(?:[.,]\d+)?|\d{1,3}(?:,\d{2,3})+(?:\.\d+)?|"
    r"\d{1,3}(?:\.\d{3})+(?:,\d+)?|\d+(?:[.,]\d*)?|[.,]\d+)"
)
CURRENCY = (
    r"(?:[A-Z]{0,3}[$€£¥₹₽₩₺₴₦₱₫₪฿]|"
    r"USD|EUR|GBP|CHF|JPY|CNY|INR|CAD|AUD|NZD|BRL|MXN|SEK|NOK|DKK|PLN|CZK|HUF|Rs\.?|kr\.?|zł)"
)
CLOCK = r"\d{1,2}:\d{2}(?::\d{2}(?:[.,]\d+)?)?(?:\s?[ap]\.?m\.?)?|\d{1,2}\s?[ap]\.?m\.?"
MONTH = (
    r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sep(?:t(?:ember)?)?|"
    r"oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)"
)
DAY = r"(?:(?:mon|tues|wednes|thurs|fri|satur|sun)day|mon|tue|wed|thu|fri|sat|sun)"
DATE = (
    r"\d{4}[-/.]\d{1,2}[-/.]\d{1,2}(?:[T ,].*)?|\d{1,2}[-/.]\d{1,2}[-/.](?:\d{4}|\d{2})(?:[T ,].*)?|"
    rf"(?=.*\d)(?=.*(?<![a-z]){MONTH}(?![a-z]))(?!.*{MONTH}.*{MONTH})"
    rf"(?:{MONTH}|{DAY}|st|nd|rd|th|at|am|pm|utc|gmt|[\dz ,./:'+-])+"
)
LETTER = r"[^\W\d_]"

MAX_LENGTH = 200  # the looks of longer texts are those of their start

PLAIN = "write it as a plain number"


class Look(NamedTuple):
    """What texts of one pattern are called, and how their meaning is said in numbers ("" if it cannot be)."""

    what: str
    pattern: re.Pattern[str]
    fix: str = ""


def _look(what: str, pattern: str, fix: str = "") -> Look:
    return Look(what, re.compile(pattern, re.IGNORECASE), fix)


DATES = _look("a date", DATE, "say what matters of it in numbers, such as the year, the month or the days since")

# Numbers, whatever else they are: their categories would have no order.
QUANTITIES = (
    _look(
        "an amount of money",
        rf"\(?[-+]?\s?{CURRENCY}\s?\(?{NUMBER}\s?[kmb]?n?\)?|\(?{NUMBER}\s?[kmb]?n?\s?{CURRENCY}\)?",
        PLAIN,
    ),
    _look("a percentage", rf"{NUMBER}\s?[%‰]", PLAIN),
    _look("a number in parentheses", rf"\({NUMBER}\)", f"{PLAIN}, with a minus sign if that is meant"),
    DATES,
    _look("a time", CLOCK, "write it as a number, such as hours or seconds"),
)

NUMBERS = _look("a number", rf"{NUMBER}(?:e[-+]?\d+)?|[-+]?inf(?:inity)?", "store it as a number")

# These may be categories, such as <18 or 2XL, if they repeat.
BOUND = _look("a number with a bound", rf"(?:[<>≤≥~≈]=?|±)\s?{NUMBER}|{NUMBER}\s?[+<>]", PLAIN)
UNIT = _look("a number with a unit", rf"{NUMBER}\s?(?:{LETTER}|[°µ/²³%\"'.])+", PLAIN)
OTHERS = (
    _look("an e-mail address", r"[^\s@]+@[^\s@]+\.[^\s@]+"),
    _look("a web address", r"(?:https?|ftp)://\S+|www\.\S+"),
    _look("a UUID or a hash", r"\{?[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\}?|(?:0x)?[0-9a-f]{16,}"),
    _look("an IP address", r"\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?|[0-9a-f]{0,4}(?::[0-9a-f]{0,4}){3,7}"),
    _look("a phone number", r"(?=(?:\D*\d){7,15}\D*$)\+?[\d(][\d\s()./-]*(?:\s?(?:x|ext\.?)\s?\d+)?"),
    _look("a pair of coordinates", r"\(?-?\d+\.\d+[°NSEW]*[,;]?\s*-?\d+\.\d+[°NSEW]*\)?"),
    BOUND,
    _look("a range of numbers", rf"[\[(]?{NUMBER}\s?(?:-|–|to|\.\.|,|;)\s?{NUMBER}[\])]?"),
    UNIT,
    NUMBERS,
    _look("an address", rf"\d+\s?{LETTER}?,?\s+{LETTER}.*|(?:{LETTER}[\w.'-]*\s+){{1,3}}\d+{LETTER}?(?:,.*)?"),
    _look("a name", r"(?-i:(?:[^\W\d_a-z][\w'’.-]*,?\s+){1,4}[^\W\d_a-z][\w'’.-]*)"),
    _look("free text", r"(?:\S+\s+){3,}\S.*"),
    _look("an identifier", r"(?=\D*\d)[\w./#:-]+"),
)


def look_of(word: str, looks: Iterable[Look] = (*QUANTITIES, *OTHERS)) -> Look | None:
    """The first look that a text has."""
    return next((look for look in looks if look.pattern.fullmatch(word[:MAX_LENGTH])), None)


def common_look(words: Sequence[str], looks: Iterable[Look] = (*QUANTITIES, *OTHERS)) -> Look | None:
    """The first look that more than half of the texts have."""
    return next(
        (look for look in looks if 2 * sum(look_of(word, [look]) is not None for word in words) > len(words)), None
    )


def are_quantities(words: Sequence[str]) -> bool:
    """Whether more than half of the texts are numbers, in disguise or not.

    Example:
        >>> are_quantities(["$1,336", "950", "free"]), are_quantities(["<18", "18-65", ">65"])
        (True, False)
    """
    return 2 * sum(bool(look_of(word, (NUMBERS, *QUANTITIES))) for word in words) > len(words)


def like(look: Look | None) -> str:
    """The clause of an error; "" without a look.

    Example:
        >>> like(look_of("8%"))
        ', which looks like a percentage'
    """
    return f", which looks like {look.what}" if look else ""
