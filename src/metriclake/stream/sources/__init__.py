"""
Where tenants' attributes come from when it is not a file: HTTP, SQL, Python. One file each.
"""

from metriclake.stream.sources.http import HttpSource
from metriclake.stream.sources.python import PythonSource
from metriclake.stream.sources.source import Looked, Source
from metriclake.stream.sources.sql import SqlSource

__all__ = ["HttpSource", "Looked", "PythonSource", "Source", "SqlSource"]
