"""
Answers over all tenants are those of plain Python over the events of all.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from itertools import chain
from typing import Any

import pytest

from metriclake._errors import InvalidBody
from metriclake.query import Declared, FleetAnswers
from metriclake.query.fleet_answers import MAX_BYTES
from metriclake.store import FleetReader
from query.drawn import Drawn, drawn_questions, load
from query.plain_answers import (
    Rows,
    answered,
    filtered,
    moment_of,
    period_before,
    period_of,
    same,
    text,
    value_of,
    within,
)
from store.shelf import Shelf

pytestmark = pytest.mark.engine

QUESTIONS = 90
TENANTS = 4
LEFT_OUT = {
    "total": (),
    "top": ("interval", "group_by", "fill", "compare", "limit"),
    "movers": ("interval", "group_by", "fill", "compare", "limit"),
    "adoption": ("measure", "aggregate", "group_by", "limit", "compare"),
}
ADDED_UP = ("count", "unique", "sum", "rate")


@pytest.fixture(scope="module")
def tenants(shelf: Shelf) -> list[Drawn]:
    """
    Load the events of a few tenants, each another draw.
    """
    unsynced = "fsync_after_insert = 0, fsync_part_directory = 0"
    shelf.engine.command(f"ALTER TABLE metriclake.metrics MODIFY SETTING {unsynced}")  # their months are many parts
    return load(shelf, TENANTS)


def asked_of(view: str) -> Iterator[tuple[dict[str, Any], datetime]]:
    """
    Yield drawn questions without what a view has no use for.
    """
    for question, now in drawn_questions(QUESTIONS):
        yield {key: part for key, part in question.items() if key not in LEFT_OUT[view]}, now


def found(shelf: Shelf, question: dict[str, Any], now: datetime) -> dict[str, Any]:
    """
    Return the answer to a fleet question that is asked at a moment.
    """
    reader = FleetReader(shelf.engine, shelf.catalogue)
    return FleetAnswers(reader, lambda: Declared(1, dict), lambda: now).answer(json.dumps(question).encode())


def tenants_of(tenants: list[Drawn], question: dict[str, Any], now: datetime, view: str) -> Rows:
    """
    Return the rows of `top` or `movers` as plain Python has them.
    """
    period = period_of(question, now)
    before = period_before(question, period)
    aggregate = question.get("aggregate", "sum" if "measure" in question else "count")
    rows: Rows = []
    for one in tenants:
        events = [event for event in one.events if filtered(event, question)]
        parts = [within(events, period), within(events, before)]
        values = [value_of(part, question, period.seconds(0)) if part else None for part in parts]
        if view == "top" and parts[0]:
            rows.append([one.tenant, values[0]])
        if view == "movers":
            now_value, earlier = (0 if value is None and aggregate in ADDED_UP else value for value in values)
            if now_value is not None and earlier is not None and now_value != earlier:
                rows.append([one.tenant, now_value, earlier, now_value - earlier])
    if view == "top":
        return sorted(rows, key=lambda row: (row[1] is None, -(row[1] or 0), row[0]))
    return sorted(rows, key=lambda row: (-abs(row[3]), row[0]))


def adopted(tenants: list[Drawn], question: dict[str, Any], now: datetime) -> Rows:
    """
    Return the rows of `adoption` as plain Python has them.
    """
    period = period_of(question, now)
    having: dict[int, set[str]] = {}
    for one in tenants:
        for event in within([event for event in one.events if filtered(event, question)], period):
            having.setdefault(period.position(moment_of(event)), set()).add(one.tenant)
    filled = question.get("fill", "none") != "none"
    positions = range(len(period.starts)) if period.starts and filled else sorted(having) if period.starts else [0]
    rows: Rows = []
    for position in positions:
        empty = None if question.get("fill") == "null" and period.starts else 0
        count = len(having[position]) if position in having else empty
        time = [text(period.starts[position])] if period.starts else []
        rows.append([*time, count, None if count is None else count / len(tenants)])
    return rows


def wanted(tenants: list[Drawn], question: dict[str, Any], now: datetime, view: str) -> Rows:
    """
    Return the rows of any view as plain Python has them.
    """
    if view == "total":
        return answered(chain.from_iterable(one.events for one in tenants), question, now)
    return adopted(tenants, question, now) if view == "adoption" else tenants_of(tenants, question, now, view)


@pytest.mark.parametrize("view", list(LEFT_OUT))
def test_answers_over_all_tenants_are_those_of_plain_python(shelf: Shelf, tenants: list[Drawn], view: str) -> None:
    """
    Whatever is asked over all tenants, each cell of each row is right.
    """
    wrong = []
    compared = 0
    for question, now in asked_of(view):
        rows, expected = found(shelf, {**question, "show": view}, now)["rows"], wanted(tenants, question, now, view)
        compared += len(expected)
        if not same(rows, expected):
            wrong.append((question, now.isoformat(), rows[:5], expected[:5]))

    assert wrong == []
    assert compared > QUESTIONS


def test_meta_says_what_is_covered(shelf: Shelf, tenants: list[Drawn]) -> None:
    """
    An answer says which time it covers, and of how many tenants there are events.
    """
    question, now = next(asked_of("top"))
    meta = found(shelf, {**question, "show": "top", "limit": 1}, now)["meta"]

    assert (meta["tenants"], meta["interval"]) == (len(tenants), "none")
    assert {"from", "to", "elapsed_ms"} <= set(meta)


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[" * 100_000, b" " * (MAX_BYTES + 1)])
def test_what_is_no_json_is_refused(shelf: Shelf, body: bytes) -> None:
    """
    A body that cannot be read, or is too long, is refused by name.
    """
    with pytest.raises(InvalidBody):
        FleetAnswers(FleetReader(shelf.engine, shelf.catalogue), lambda: Declared(1, dict)).answer(body)
