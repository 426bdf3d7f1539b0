"""
What EventBridge rules and Firehose do: batch, seal, match and transform, validate, enrich, write lake objects.
"""

from metriclake.stream.batcher import Close, Limits, Wait, Waiting, decide
from metriclake.stream.cache import CacheTerms
from metriclake.stream.cached import CachedDirectory
from metriclake.stream.compose import Plan
from metriclake.stream.directory import Directory, DirectoryState, FileDirectory, NoDirectory
from metriclake.stream.lake import Lake
from metriclake.stream.worker import StreamWorker

__all__ = [
    "CacheTerms",
    "CachedDirectory",
    "Close",
    "Directory",
    "DirectoryState",
    "FileDirectory",
    "Lake",
    "Limits",
    "NoDirectory",
    "Plan",
    "StreamWorker",
    "Wait",
    "Waiting",
    "decide",
]
