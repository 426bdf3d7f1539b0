"""
Decides when the sample events happen, hour by hour, and gives each its envelope.
"""

from __future__ import annotations

import math
import uuid
from datetime import UTC, datetime, timedelta
from random import Random
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from metriclake.samples._kinds import ADVISORY, FIXED, OPENED, POSTURE, STEADY, Kind, stamp
from metriclake.samples._tenants import PROFILES, Profile, days_after_incident

if TYPE_CHECKING:
    from collections.abc import Iterator

Event = dict[str, Any]

_HOUR: Final = timedelta(hours=1)
_GROWN_OVER: Final = timedelta(days=90)
_NAMES: Final = uuid.uuid5(uuid.NAMESPACE_DNS, "samples.metriclake")


class _Draft(NamedTuple):
    """
    An event before it is known whether its hour was busy enough for it; sorts by time.
    """

    at: datetime
    name: str
    kind: Kind
    who: Profile
    rank: float
    detail: dict[str, Any]


def history(now: datetime, days: int = 90, seed: int = 7) -> Iterator[Event]:
    """
    Yield the domain events of the last `days` days before `now`, oldest first.
    """
    now = now.astimezone(UTC).replace(microsecond=0)
    since = now - timedelta(days=days)
    hour = since.replace(minute=0, second=0)

    while hour <= now:
        drafts = sorted(draft for who in PROFILES for draft in _drafts(who, hour, seed))
        yield from (_event(d) for d in drafts if since < d.at <= now and d.rank < _level(d.who, now - d.at))
        hour += _HOUR


def moment(now: datetime, index: int, seed: int = 7) -> list[Event]:
    """
    Return the live events of one tick: none to three, the index setting two ticks of one second apart.

    Called every second or two it is busier than history, so that someone who watches sees the charts move.
    """
    at = now.astimezone(UTC).replace(microsecond=0)
    random = Random(f"{seed}/live/{stamp(at)}/{index}")  # noqa: S311 - sample data, not secrets
    weights = [kind.per_day for kind in STEADY]
    drafts = []

    for number in range(random.choices((0, 1, 2, 3), (0.35, 0.35, 0.2, 0.1))[0]):
        who = random.choices(PROFILES, [profile.size for profile in PROFILES])[0]
        kind = random.choices(STEADY, weights)[0]
        name = f"{seed}/live/{stamp(at)}/{index}/{number}"
        drafts.append(_Draft(at, name, kind, who, 0.0, kind.make(random, who, at)))

    return [_event(draft) for draft in drafts]


def _drafts(who: Profile, hour: datetime, seed: int) -> Iterator[_Draft]:
    """
    Draw all that a tenant's hour may hold; depends on nothing but the arguments.
    """
    random = Random(f"{seed}/{who.tenant}/{stamp(hour)}")  # noqa: S311 - sample data, not secrets

    for kind, expected in _expected(who, hour, seed):
        for number in range(_poisson(random, expected)):
            at = hour + timedelta(seconds=random.randrange(3600))
            name = f"{seed}/{who.tenant}/{kind.make.__name__}/{stamp(hour)}/{number}"
            rank = 0.0 if kind in {POSTURE, ADVISORY} else random.random()
            yield _Draft(at, name, kind, who, rank, kind.make(random, who, at))


def _expected(who: Profile, hour: datetime, seed: int) -> Iterator[tuple[Kind, float]]:
    """
    Say how many events of each kind a tenant's hour holds on average, before thinning.
    """
    mood = Random(f"{seed}/{who.tenant}/{hour:%Y-%m-%d}").lognormvariate(0.0, 0.14)  # noqa: S311 - sample data
    news, aftermath = _incident(who, hour)

    for kind in STEADY:
        busy = aftermath if kind is FIXED else 1.0
        yield kind, kind.per_day * who.size * mood * busy * _rhythm(who, kind, hour)
    yield ADVISORY, news * OPENED.per_day * who.size / 8
    yield POSTURE, 1 / 6


def _rhythm(who: Profile, kind: Kind, hour: datetime) -> float:
    """
    Return the share of a day's events that falls into an hour: people work by day and rest at weekends.
    """
    away = (hour.hour + 0.5 - who.noon + 12) % 24 - 12
    workday = math.exp(-((away / 3.6) ** 2) / 2) / 9.0
    week = 0.14 if hour.weekday() >= 5 else 1.3

    return kind.people * workday * week + (1 - kind.people) / 24


def _incident(who: Profile, hour: datetime) -> tuple[float, float]:
    """
    Return how many times a usual day's findings the incident brings, and how much more is fixed after it.
    """
    since = days_after_incident(who, hour)
    if since >= 4:
        return 0.0, 1.0

    return (2.6 if since < 1 and 13 <= hour.hour < 21 else 0.0), (1.2, 2.6, 2.1, 1.5)[int(since)]


def _level(who: Profile, age: timedelta) -> float:
    """
    Return which share of the drafts of a given age happened; it only falls with age, never rises.
    """
    youth = max(0.0, 1 - age / _GROWN_OVER)

    return (1 + who.growth * youth) / (1 + who.growth)


def _poisson(random: Random, expected: float) -> int:
    """
    Draw how many events happen where `expected` are usual.
    """
    limit, product, count = math.exp(-expected), random.random(), 0
    while product > limit:
        product *= random.random()
        count += 1

    return count


def _event(draft: _Draft) -> Event:
    """
    Put a draft into EventBridge's shape.
    """
    return {
        "id": str(uuid.uuid5(_NAMES, draft.name)),
        "source": draft.kind.source,
        "detail-type": draft.kind.detail_type,
        "time": stamp(draft.at),
        "bus": draft.kind.bus,
        "detail": draft.detail,
    }
