"""Tables from files: columns of numbers and categories, with missing values, become X and Y.

dataset   `Dataset` and `Column`: what a table becomes
problems  error messages that name the column and the row
looks     what a text looks like: an amount of money, an e-mail, ...
columns   is a column numbers or categories, and which rows of X does it become?
targets   is the target classes or a quantity?
frames    .csv, .tsv, .parquet and .feather, read by polars
arrays    .npz and .npy, read by NumPy
tiles     `Tiles`: a Parquet file that is larger than memory
remarks   what looks suspicious
load      `load_table`
"""

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
