"""People's tables: files of numbers, categories and gaps become X and Y."""

from jaxshallow.tables.columns import MISSING, columns_of, encode
from jaxshallow.tables.dataset import Column, Dataset
from jaxshallow.tables.frames import DECIMAL_COMMA, csv_options, ragged
from jaxshallow.tables.load import load_table
from jaxshallow.tables.problems import did_you_mean, malformed
from jaxshallow.tables.tiles import Tiles

__all__ = [
    "DECIMAL_COMMA",
    "MISSING",
    "Column",
    "Dataset",
    "Tiles",
    "columns_of",
    "csv_options",
    "did_you_mean",
    "encode",
    "load_table",
    "malformed",
    "ragged",
]
