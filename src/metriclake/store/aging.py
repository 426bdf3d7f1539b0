"""
How rows age: which of them lie together, when they may go cold, when they leave; in the engine's words.

A part of the table goes to the cold volume when all of its rows may, and a merge of a cold part with a hot one is cold.
So rows that may not go at about the same time never share a partition: a month's rows go cold together, `hot` after the
month's end, and a row that comes later than that of its own time has a partition that was cold from the start. Why:
docs/decisions/0015-tiers.md.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta

from metriclake.tiers import Stay, Tiers

PARTITION = "(toYYYYMM(time), tier)"
TTL = "cools TO VOLUME 'cold', toDateTime(time) + toIntervalSecond(retention) DELETE"
LEAVE_SECONDS = 86_400
"""How often at most a partition is rewritten without the rows that are beyond their retention."""

DEFINITIONS = {
    "cools": "DateTime('UTC') CODEC(ZSTD(1))",
    "retention": "UInt32 CODEC(ZSTD(1))",
    "tier": "UInt16 CODEC(ZSTD(1))",
}
"""The columns by which rows age: when one may go cold, for how many seconds it is kept, what it may lie with."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_CALENDAR_END = 2**32 - 1
_SECONDS = "intDiv(toUnixTimestamp64Micro({time}), 1000000)"
_MONTH_END = "toInt64(toUnixTimestamp(toDateTime(addMonths(toStartOfMonth({time}), 1), 'UTC')))"


def lengths(tiers: Tiers, tenant: str, metric: str, tenants: Collection[str] | None = None) -> dict[str, str]:
    """
    Return the expressions of `hot` and `retention`, in seconds, of rows whose `tenant` and `metric` are expressions.

    `tenants` are the only ones that there are, where that is known.
    """
    chosen = tiers.tenants if tenants is None else {one: tiers.tenants[one] for one in tenants if one in tiers.tenants}
    return {
        name: _transformed(tenant, _own(chosen, name), _transformed(metric, _own(tiers.metrics, name), default))
        for name, default in (("hot", _whole(tiers.hot)), ("retention", _whole(tiers.retention)))
    }


def ages(hot: str, retention: str, time: str, now: datetime) -> dict[str, str]:
    """
    Return the expressions of the columns by which a row ages that is written now.
    """
    moment = _whole(now - _EPOCH)
    end = f"({_MONTH_END.format(time=time)} + {hot})"
    late = f"{_SECONDS.format(time=time)} + {hot} <= {moment}"
    return {
        "cools": f"toDateTime(if({late}, {moment}, least({end}, {_CALENDAR_END})), 'UTC')",
        "retention": retention,
        "tier": f"if({late} AND {end} > {moment}, 0, 32 * (1 + {_scale(f'least({hot}, {retention})')}))"
        f" + {_scale(retention)}",
    }


def change(before: Tiers | None, after: Tiers, now: datetime) -> str:
    """
    Return the assignments and the condition that bring rows from what held before, where that is known, to what holds.

    Both columns are always assigned: the engine cannot recalculate a TTL of which it has only one.
    """
    tenants, scope = None, []
    if before is not None and (before.hot, before.retention) == (after.hot, after.retention):
        changed = {
            "tenant": _changed(before.tenants, after.tenants),
            "metric": _changed(before.metrics, after.metrics),
        }
        tenants = None if changed["metric"] else changed["tenant"]
        scope = [f"{column} IN {_texts(names)}" for column, names in changed.items() if names]
    row = lengths(after, "tenant", "metric", tenants)
    wanted = ages(row["hot"], row["retention"], "time", now)
    due = f"toDateTime({_whole(now - _EPOCH)}, 'UTC')"
    differs = f"(retention <> {wanted['retention']} OR greatest(cools, {due}) <> greatest({wanted['cools']}, {due}))"
    condition = f"({' OR '.join(scope)}) AND {differs}" if scope else differs
    return f"retention = {wanted['retention']}, cools = {wanted['cools']} WHERE {condition}"


def micros(moment: datetime) -> int:
    """
    Return microseconds since 1970.
    """
    return (moment - _EPOCH) // timedelta(microseconds=1)


def _changed(before: Mapping[str, Stay], after: Mapping[str, Stay]) -> list[str]:
    return sorted(name for name in {*before, *after} if before.get(name) != after.get(name))


def _own(stays: Mapping[str, Stay], name: str) -> dict[str, int]:
    found = {key: getattr(stay, name) for key, stay in stays.items()}
    return {key: _whole(length) for key, length in found.items() if length is not None}


def _transformed(column: str, own: Mapping[str, int], default: str | int) -> str:
    if not own:
        return str(default)
    return f"toUInt32(transform({column}, {_texts(own)}, {list(own.values())}, {default}))"


def _texts(names: Collection[str]) -> str:
    quoted = ("'" + name.replace("\\", "\\\\").replace("'", "\\'") + "'" for name in names)
    return f"[{', '.join(quoted)}]"


def _scale(length: str) -> str:
    """
    Return the expression of a length's order of magnitude, a power of two of hours: rows of one lie together.
    """
    return f"toUInt16(log2(greatest(1, intDiv({length}, 3600))))"


def _whole(length: timedelta) -> int:
    return length // timedelta(seconds=1)
