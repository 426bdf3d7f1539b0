"""
Decide what a cache of tenants' attributes answers, and whom it asks its source for.

Pure: the clock, monotonic seconds, is an argument. A fresh value is not asked for again. A stale one is given only
while the source has failed; a tenant that was unknown is no value to go on with then. What failed is left alone for a
while, so that a source that is down does not hold up every batch.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from metriclake.stream.directory import Attributes

_FIRST_PAUSE = 1.0
_LONGEST_PAUSE = 30.0
"""Seconds that a source which is down is left alone: doubled from the first to the longest."""


@dataclass(frozen=True, slots=True)
class CacheTerms:
    """
    How long an answer is fresh, in seconds: of a known tenant, of an unknown one; and how many tenants are kept.
    """

    ttl: float
    unknown_ttl: float
    size: int


@dataclass(frozen=True, slots=True)
class Asked:
    """
    What the cache says of tenants: answers, which of those are stale, and whom the source must be asked for.

    Tenants in neither are those of whom nothing can be said now.
    """

    answers: dict[str, Attributes | None] = field(default_factory=dict)
    stale: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()


@dataclass(slots=True)
class _Kept:
    """
    What is known of a tenant: its last answer and until when that is fresh, and until when it is not asked for.
    """

    answer: Attributes | None = None
    fresh_until: float | None = None
    asked_again_at: float = 0.0


class TenantCache:
    """
    The attributes of the tenants that were asked for last.
    """

    def __init__(self, terms: CacheTerms) -> None:
        """
        `terms` says how long, and how many.
        """
        self._terms = terms
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._down_until = 0.0
        self._pause = 0.0

    def __len__(self) -> int:
        """
        Return how many tenants are kept.
        """
        return len(self._kept)

    def ask(self, tenants: Iterable[str], now: float) -> Asked:
        """
        Say what is known of tenants, and who must be asked for.
        """
        found = Asked()
        stale: list[str] = []
        missing: list[str] = []
        for tenant in tenants:
            kept = self._kept.get(tenant)
            if kept is not None and kept.fresh_until is not None and now < kept.fresh_until:
                found.answers[tenant] = kept.answer
                self._kept.move_to_end(tenant)
            elif now < self._down_until or (kept is not None and now < kept.asked_again_at):
                if kept is not None and kept.answer is not None:
                    found.answers[tenant] = kept.answer
                    stale.append(tenant)
            else:
                missing.append(tenant)
        return Asked(found.answers, tuple(stale), tuple(missing))

    def learn(
        self, asked: Sequence[str], answers: Mapping[str, Attributes | None], now: float, *, down: bool = False
    ) -> Asked:
        """
        Keep what the source answered, and say what that makes of the tenants that it was asked for.

        Those without an answer keep what they had, as stale. `down` says that nobody need be asked for, for a while.
        """
        self._rest(now, down=down)
        found: dict[str, Attributes | None] = {}
        stale: list[str] = []
        for tenant in asked:
            if tenant in answers:
                answer = found[tenant] = answers[tenant]
                lives = self._terms.unknown_ttl if answer is None else self._terms.ttl
                self._keep(tenant, _Kept(answer, now + lives))
                continue
            last = self._fail(tenant, now)
            if last is not None:
                found[tenant] = last
                stale.append(tenant)
        return Asked(found, tuple(stale))

    def _rest(self, now: float, *, down: bool) -> None:
        self._pause = min(_LONGEST_PAUSE, max(_FIRST_PAUSE, 2 * self._pause)) if down else 0.0
        self._down_until = now + self._pause

    def _fail(self, tenant: str, now: float) -> Attributes | None:
        """
        Leave a tenant alone for a while; returns the value that it has, which is stale now.
        """
        kept = self._kept.get(tenant)
        last = None if kept is None else kept.answer
        self._keep(tenant, _Kept(last, None, now + _FIRST_PAUSE))
        return last

    def _keep(self, tenant: str, kept: _Kept) -> None:
        self._kept[tenant] = kept
        self._kept.move_to_end(tenant)
        while len(self._kept) > self._terms.size:
            self._kept.popitem(last=False)
