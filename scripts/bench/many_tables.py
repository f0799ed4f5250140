"""Contestants that fit and score many tables of different shapes in one process (S3)."""

from __future__ import annotations

from bench.processes import cached, measured
from bench.rows import OURS, Run, contestant


@contestant("S3", f"{OURS}, cold", "new processes")
def s3_cold(tables: int, epochs: int) -> Run:
    return lambda: measured("tables_program", library=OURS, tables=tables, epochs=epochs)


@contestant("S3", f"{OURS}, cached", "new processes")
def s3_cached(tables: int, epochs: int) -> Run:
    return cached("tables_program", library=OURS, tables=tables, epochs=epochs)


@contestant("S3", "scikit-learn", "new processes")
def s3_scikit_learn(tables: int, epochs: int) -> Run:
    return lambda: measured("tables_program", library="scikit-learn", tables=tables, epochs=epochs)
