"""Tables from files: columns of numbers and categories, with missing values, become X and Y.

layout    what a table of text is: separator, header, rows, missing values, numbers; the rules of all readers
plain     may polars read a table of text?
decimals  decimal commas and marks between thousands
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
edges     where the bins of a column of numbers lie
encodings what makes a column of numbers easy for one hidden layer: piecewise-linear bins, smooth clipping
features  `Features`: how numbers and categories become the rows that a network takes
"""

from jaxshallow.tables.columns import columns_of, encode, known_numbers
from jaxshallow.tables.dataset import Column, Dataset
from jaxshallow.tables.decimals import find_mark, with_plain_numbers
from jaxshallow.tables.frames import ROW, TEXT, Text, open_text, why_unreadable
from jaxshallow.tables.load import load_table
from jaxshallow.tables.problems import check_is_file, did_you_mean, malformed
from jaxshallow.tables.tiles import Tiles

__all__ = [
    "ROW",
    "TEXT",
    "Column",
    "Dataset",
    "Text",
    "Tiles",
    "check_is_file",
    "columns_of",
    "did_you_mean",
    "encode",
    "find_mark",
    "known_numbers",
    "load_table",
    "malformed",
    "open_text",
    "why_unreadable",
    "with_plain_numbers",
]
