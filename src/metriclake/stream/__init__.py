"""
What EventBridge rules and Firehose do: batch, seal, match and transform, validate, enrich, write lake objects.
"""

from metriclake.stream.backfill import Backfill, Surroundings, Wanted
from metriclake.stream.batcher import Close, Limits, Wait, Waiting, decide
from metriclake.stream.cache import CacheTerms
from metriclake.stream.cached import CachedDirectory
from metriclake.stream.compose import Plan
from metriclake.stream.composer import RemoteComposer, serve
from metriclake.stream.directory import CurrentDirectory, Directory, DirectoryState, FileDirectory, NoDirectory
from metriclake.stream.explanation import Explanation, explain, read_event
from metriclake.stream.lake import SUFFIXES, Lake
from metriclake.stream.preview import Preview
from metriclake.stream.recounted import Recount
from metriclake.stream.refused import Refusals, Terms
from metriclake.stream.throttle import Load
from metriclake.stream.verify import LakeCheck
from metriclake.stream.worker import StreamWorker

__all__ = [
    "SUFFIXES",
    "Backfill",
    "CacheTerms",
    "CachedDirectory",
    "Close",
    "CurrentDirectory",
    "Directory",
    "DirectoryState",
    "Explanation",
    "FileDirectory",
    "Lake",
    "LakeCheck",
    "Limits",
    "Load",
    "NoDirectory",
    "Plan",
    "Preview",
    "Recount",
    "Refusals",
    "RemoteComposer",
    "StreamWorker",
    "Surroundings",
    "Terms",
    "Wait",
    "Waiting",
    "Wanted",
    "decide",
    "explain",
    "read_event",
    "serve",
]
