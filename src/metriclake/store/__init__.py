"""
The time-series store: dimensions, measures, time; a logical table per tenant. All ClickHouse text lives here.
"""

from metriclake.store.catalogue import Catalogue, Metric, Place
from metriclake.store.engine import Engine, fsync_folder
from metriclake.store.load import Arrival, Loader, Outcome
from metriclake.store.reader import Answer, Bucket, Filter, Selection, TenantReader
from metriclake.store.table import prepare

__all__ = [
    "Answer",
    "Arrival",
    "Bucket",
    "Catalogue",
    "Engine",
    "Filter",
    "Loader",
    "Metric",
    "Outcome",
    "Place",
    "Selection",
    "TenantReader",
    "fsync_folder",
    "prepare",
]
