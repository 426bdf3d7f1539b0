"""
The pipeline file: its model, and its reading, typed and with every fault at once and its place in the file.

Pure but for `load`, which opens the file. What the file means to a stage is compiled there.
"""

from metriclake.pipeline.model import BufferSpec, FieldSpec, MetricSpec, Pipeline, StoreSpec
from metriclake.pipeline.reading import LoadedPipeline, load, parse
from metriclake.pipeline.schema import json_schema

__all__ = [
    "BufferSpec",
    "FieldSpec",
    "LoadedPipeline",
    "MetricSpec",
    "Pipeline",
    "StoreSpec",
    "json_schema",
    "load",
    "parse",
]
