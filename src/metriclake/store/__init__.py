"""
The time-series store: dimensions, measures, time; a logical table per tenant. All ClickHouse text lives here.
"""

from metriclake.store.catalogue import Catalogue, Metric, Place
from metriclake.store.engine import Engine, fsync_folder
from metriclake.store.load import Arrival, Loader, Outcome
from metriclake.store.reader import TenantReader
from metriclake.store.selection import (
    Aggregate,
    Answer,
    Bucket,
    Condition,
    Dimension,
    Measure,
    Operator,
    Selection,
)
from metriclake.store.table import prepare

__all__ = [
    "Aggregate",
    "Answer",
    "Arrival",
    "Bucket",
    "Catalogue",
    "Condition",
    "Dimension",
    "Engine",
    "Loader",
    "Measure",
    "Metric",
    "Operator",
    "Outcome",
    "Place",
    "Selection",
    "TenantReader",
    "fsync_folder",
    "prepare",
]
