"""
The time-series store: dimensions, measures, time; a logical table per tenant. All ClickHouse text lives here.
"""

from metriclake.store.bounds import Bounds, Spent
from metriclake.store.catalogue import Catalogue, Metric, Place
from metriclake.store.changes import ChangesReader
from metriclake.store.engine import EXPORTERS, READERS, Engine, fsync_folder
from metriclake.store.export import ExportReader, Extract
from metriclake.store.fleet import FleetReader, FleetSelection, FleetView
from metriclake.store.formats import ArrowFormat, CsvFormat, Format, NdjsonFormat, ParquetFormat
from metriclake.store.holdings import Holding, holdings, matching
from metriclake.store.load import Arrival, Loader, Outcome
from metriclake.store.reader import Origin, TenantReader
from metriclake.store.recounted import RowCount
from metriclake.store.rollups.builder import Rollups
from metriclake.store.rollups.sets import RollupSets
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
    "EXPORTERS",
    "READERS",
    "Aggregate",
    "Answer",
    "Arrival",
    "ArrowFormat",
    "Bounds",
    "Bucket",
    "Catalogue",
    "ChangesReader",
    "Condition",
    "Constant",
    "CsvFormat",
    "Dimension",
    "Engine",
    "ExportReader",
    "Extract",
    "FleetReader",
    "FleetSelection",
    "FleetView",
    "Format",
    "Holding",
    "Loader",
    "Measure",
    "Metric",
    "NdjsonFormat",
    "Operation",
    "Operator",
    "Origin",
    "Outcome",
    "ParquetFormat",
    "Place",
    "RollupSets",
    "Rollups",
    "RowCount",
    "Selection",
    "Spent",
    "TenantReader",
    "Term",
    "fsync_folder",
    "holdings",
    "matching",
    "prepare",
]
