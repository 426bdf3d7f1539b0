"""
Tenant-separated metrics for SaaS products: events in, each customer's own charts out.

The path of an event::

    gateway ──► journal ──► stream ──────────────────► destinations ──► store ──► query ──► charts
    accepts     keeps       rules, validate, enrich;     one loop,        the        answers,   shows
                            lake: Data/ Error/ Archive/  one file each    metrics    for one    them
                                                                                     tenant
"""

from metriclake._errors import (
    DataDirectoryInUse,
    EventTooComplex,
    InvalidBody,
    InvalidEvent,
    InvalidPattern,
    InvalidPipeline,
    InvalidQuestion,
    InvalidTemplate,
    InvalidToken,
    InvalidTransform,
    JournalError,
    JournalFull,
    JournalUnavailable,
    LakeError,
    MetriclakeError,
    NewerFormat,
    NoRoom,
    NotAllowed,
    OverLimit,
    QuestionTooLarge,
    StageFailed,
    StaleSeal,
    StoreError,
    TransformFailed,
)
from metriclake._version import __version__ as __version__

__all__ = [
    "DataDirectoryInUse",
    "EventTooComplex",
    "InvalidBody",
    "InvalidEvent",
    "InvalidPattern",
    "InvalidPipeline",
    "InvalidQuestion",
    "InvalidTemplate",
    "InvalidToken",
    "InvalidTransform",
    "JournalError",
    "JournalFull",
    "JournalUnavailable",
    "LakeError",
    "MetriclakeError",
    "NewerFormat",
    "NoRoom",
    "NotAllowed",
    "OverLimit",
    "QuestionTooLarge",
    "StageFailed",
    "StaleSeal",
    "StoreError",
    "TransformFailed",
]
