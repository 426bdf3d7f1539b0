"""
What is noted of records on their way, and how it is read after a crash. Pure.

A request that must not be repeated is noted before it leaves; every answer is noted. What left and has no answer in
the notes may have been taken.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping

import msgspec

from metriclake.deadletter import Attempt
from metriclake.destinations.destination import Record
from metriclake.destinations.tries import DELIVERED, Ending, Job

_RESTARTED = "no-answer"
_RESTARTED_DETAIL = "the server was restarted before there was an answer"


class _Ended(msgspec.Struct, frozen=True, array_like=True, gc=False):
    key: str
    reason: str
    first_at: int
    attempts: list[Attempt]


class _Tried(msgspec.Struct, frozen=True, array_like=True, gc=False):
    key: str
    tries: int
    first_at: int
    sent_at: int
    attempts: list[Attempt]


class _Body(msgspec.Struct, frozen=True, omit_defaults=True):
    left_at: int = 0
    left: list[str] = msgspec.field(default_factory=list)
    delivered: list[str] = msgspec.field(default_factory=list)
    dead: list[_Ended] = msgspec.field(default_factory=list)
    tried: list[_Tried] = msgspec.field(default_factory=list)


_DECODER = msgspec.json.Decoder(_Body)


def key_of(record: Record) -> str:
    """
    Return what names a record in notes: kind and id.
    """
    return f"{record.kind}/{record.id}"


def fingerprint(record: Record) -> bytes:
    """
    Return 16 bytes that stand for a record in the list of those that must not be sent twice.
    """
    return hashlib.sha256(key_of(record).encode()).digest()[:16]


def doubt(record: Record) -> bytes:
    """
    Return 16 bytes that stand for a record in the same list where nobody knows whether it was taken.
    """
    return hashlib.sha256(f"?{key_of(record)}".encode()).digest()[:16]


def progress(answered: Iterable[Job], leaving: Iterable[Job] = (), now: int = 0) -> bytes:
    """
    Return the note of what became of records, or of where they stand, and of requests that are about to leave after it.
    """
    body = _Body(now, [key_of(job.record) for job in leaving])
    for job in answered:
        key = key_of(job.record)
        if job.ending is None:
            body.tried.append(_Tried(key, job.tries, job.first_at, job.sent_at, job.attempts))
        elif job.ending.delivered:
            body.delivered.append(key)
        else:
            body.dead.append(_Ended(key, job.ending.reason, job.first_at, job.attempts))
    return msgspec.json.encode(body)


def recall(notes: Iterable[bytes], jobs: Mapping[str, Job], now: int) -> None:
    """
    Put jobs where the notes say that they stand; `jobs` are by their keys.
    """
    left: dict[str, int] = {}
    for text in notes:
        body = _DECODER.decode(text)
        for key in _apply(body, jobs):
            left.pop(key, None)
        left.update(dict.fromkeys(body.left, body.left_at))
    for key, left_at in left.items():
        job = jobs.get(key)
        if job is not None and job.ending is None:
            job.first_at = job.first_at or left_at
            job.sent_at = job.sent_at or left_at
            job.note(now, _RESTARTED, _RESTARTED_DETAIL)


def _apply(body: _Body, jobs: Mapping[str, Job]) -> list[str]:
    """
    Apply one note; returns the keys that have an answer in it.
    """
    for key in body.delivered:
        if key in jobs:
            jobs[key].ending = DELIVERED
    for dead in body.dead:
        if dead.key in jobs:
            job = jobs[dead.key]
            job.first_at, job.attempts = dead.first_at, list(dead.attempts)
            job.ending = Ending(delivered=False, reason=dead.reason)
    for tried in body.tried:
        if tried.key in jobs:
            job = jobs[tried.key]
            job.tries, job.first_at, job.sent_at = tried.tries, tried.first_at, tried.sent_at
            job.attempts = list(tried.attempts)
    return [*body.delivered, *(one.key for one in body.dead), *(one.key for one in body.tried)]
