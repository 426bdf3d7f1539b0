"""
Decide what moment `last` reaches back from, and which questions have the same answer.

Pure. The present moves in steps, so that a question of the last 30 days is the same question for some minutes: its
range ends at the next step, which leaves out nothing that has happened.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Any

import msgspec

from metriclake.query.answer_cache import CacheKey
from metriclake.query.intervals import start_of
from metriclake.query.question import RATE, Draft, Question
from metriclake.store import Bucket
from metriclake.tokens import TenantClaims

_STEPS = (timedelta(minutes=5), timedelta(minutes=1), timedelta(seconds=10))
_LEAST = timedelta(seconds=1)
_PARTS = 300
"""A step is no more than this part of the range."""

_PARTS_OF_INTERVAL = 60
"""Nor than this part of what has passed of the present interval, where an answer depends on how much that is."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DIGEST_BYTES = 16


def present(question: Question, now: datetime) -> datetime:
    """
    Return the moment at which a question is asked: `now`, or for `last` the end of the step that it falls into.
    """
    if question.last is None:
        return now
    longest = question.last / _PARTS
    if question.bucket is not Bucket.NONE and (question.compared or question.aggregate == RATE):
        passed = now - start_of(now, question.bucket, question.zone)
        longest = min(longest, passed / _PARTS_OF_INTERVAL)
    step = next((step for step in _STEPS if step <= longest), _LEAST)
    return _EPOCH + -((_EPOCH - now) // step) * step


def key_of(claims: TenantClaims, draft: Draft, moment: datetime, version: int) -> CacheKey:
    """
    Return the key of a question's answer; `moment` is its present, `version` the pipeline file's.

    What the token allows is part of it, since a wrong question is answered with names that are nearly right.
    """
    moving = moment if draft.question.last is not None else None
    return _key(claims, draft.question.metric, (draft, moving, version))


def catalog_key(claims: TenantClaims, version: int) -> CacheKey:
    """
    Return the key of what a tenant's catalogue says to this token.
    """
    return _key(claims, "", version)


def _key(claims: TenantClaims, metric: str, asked: Any) -> CacheKey:
    encoded = msgspec.json.encode((asked, claims.metrics and sorted(claims.metrics)))
    return CacheKey(claims.tenant_id, metric, blake2b(encoded, digest_size=_DIGEST_BYTES).digest())
