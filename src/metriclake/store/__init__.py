"""
The time-series store: dimensions, measures, time; a logical table per tenant. All ClickHouse text lives here.
"""

from metriclake.store.bounds import Bounds, Spent
from metriclake.store.catalogue import Catalogue, Metric, Place
from metriclake.store.engine import READERS, Engine, fsync_folder
from metriclake.store.load import Arrival, Loader, Outcome
from metriclake.store.reader import TenantReader
from metriclake.store.selection import (
    Aggregate,
    Answer,
    Bucket,
    Condition,
    Constant,
    Dimension,
    Measure,
    Operation,
    Operator,
    Selection,
    Term,
)
from metriclake.store.table import prepare

__all__ = [
    "READERS",
    "Aggregate",
    "Answer",
    "Arrival",
    "Bounds",
    "Bucket",
    "Catalogue",
    "Condition",
    "Constant",
    "Dimension",
    "Engine",
    "Loader",
    "Measure",
    "Metric",
    "Operation",
    "Operator",
    "Outcome",
    "Place",
    "Selection",
    "Spent",
    "TenantReader",
    "Term",
    "fsync_folder",
    "prepare",
]
