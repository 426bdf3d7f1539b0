"""
A reader answers for its one tenant what plain Python computes over the same events.
"""

from __future__ import annotations

import math
import random
from collections import defaultdict
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from statistics import quantiles
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from metriclake._errors import InvalidToken, QuestionTooLarge
from metriclake.event import MetricEvent
from metriclake.store import (
    Aggregate,
    Bounds,
    Bucket,
    Condition,
    Constant,
    Dimension,
    Measure,
    Operation,
    Operator,
    Selection,
)
from metriclake.store.reader import TenantReader
from store.shelf import NOW, Shelf, event

pytestmark = pytest.mark.engine

START, END = datetime(2025, 1, 1, tzinfo=UTC), datetime(2026, 7, 1, tzinfo=UTC)
ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Pacific/Auckland")


@pytest.fixture(scope="module")
def events(shelf: Shelf) -> list[MetricEvent]:
    """
    Load 600 metric events of a year and a half for one tenant, and others' beside them; return the one's.
    """
    chance = random.Random(7)  # noqa: S311 - test data
    made = []
    for index in range(600):
        moment = START + timedelta(microseconds=chance.randrange((END - START) // timedelta(microseconds=1)))
        dimensions = {"kind": chance.choice("abc"), "tenant_plan": chance.choice(("free", "paid"))}
        if chance.random() < 0.7:
            dimensions["region"] = chance.choice(("eu", "us"))
        measures: dict[str, Any] = {"size": chance.choice((-1.5, 0.25, 3.0, 1e6)), "items": chance.randrange(-5, 50)}
        if chance.random() < 0.2:
            del measures["size"]
        made.append(event("acme", f"{index}", time=moment, dimensions=dimensions, **measures))
    others = [MetricEvent(one.metric_name, {**one.metadata, "tenant_id": "globex"}, one.data) for one in made]
    for first in range(0, 600, 200):
        shelf.load(*made[first : first + 200], *others[first : first + 200], integers={"uploads": ["items"]})
    return made


def moment_of(one: MetricEvent) -> datetime:
    """
    Return an event's time.
    """
    return datetime.fromisoformat(str(one.data["event_time"]))


def plain_start(moment: datetime, bucket: Bucket, zone: str) -> datetime | None:
    """
    Return where the interval of a moment starts, in zones whose midnights are all there.
    """
    local = moment.astimezone(ZoneInfo(zone)).replace(second=0, microsecond=0)
    midnight = local.replace(hour=0, minute=0, fold=0)
    starts = {
        Bucket.NONE: None,
        Bucket.MINUTE: local,
        Bucket.FIVE_MINUTES: local.replace(minute=local.minute // 5 * 5),
        Bucket.HOUR: local.replace(minute=0),
        Bucket.DAY: midnight,
        Bucket.WEEK: midnight - timedelta(days=local.weekday()),
        Bucket.MONTH: midnight.replace(day=1),
        Bucket.QUARTER: midnight.replace(day=1, month=(local.month - 1) // 3 * 3 + 1),
        Bucket.YEAR: midnight.replace(day=1, month=1),
    }
    found = starts[bucket]
    return None if found is None else found.astimezone(UTC)


def plain_value(aggregate: Aggregate, values: list[float]) -> float | None:
    """
    Return an aggregate of the numbers that are there, in the order of their time.
    """
    counts = {Aggregate.COUNT: len(values), Aggregate.UNIQUE: len(set(values))}
    if aggregate in counts or not values:
        return counts.get(aggregate)
    if aggregate.startswith("p"):
        return quantiles(values, n=100, method="inclusive")[int(aggregate[1:]) - 1] if len(values) > 1 else values[0]
    aggregates: dict[Aggregate, Callable[[list[float]], float]] = {
        Aggregate.SUM: math.fsum,
        Aggregate.AVG: lambda numbers: math.fsum(numbers) / len(numbers),
        Aggregate.MIN: min,
        Aggregate.MAX: max,
        Aggregate.LAST: lambda numbers: numbers[-1],
    }
    return aggregates[aggregate](values)


def plainly(
    events: Iterable[MetricEvent], selection: Selection, kept: Callable[[MetricEvent], bool] = lambda _: True
) -> dict[tuple[Any, ...], float | None]:
    """
    Answer a selection of the events that are kept by plain Python: interval's start and dimensions, to the value.
    """
    groups: dict[tuple[Any, ...], list[float]] = defaultdict(list)
    for one in sorted(events, key=moment_of):
        moment = moment_of(one)
        if not (selection.start <= moment < selection.end and kept(one)):
            continue
        start = plain_start(moment, selection.bucket, selection.zone)
        key = (*(() if start is None else (start,)), *(one.metadata.get(name, "") for name in selection.group_by))
        value = one.data.get(selection.value.name) if isinstance(selection.value, Measure) else 0
        groups[key].extend([] if value is None else [float(value)])
    return {key: plain_value(selection.aggregate, values) for key, values in groups.items()}


def answered(reader: TenantReader, selection: Selection) -> dict[tuple[Any, ...], float | None]:
    """
    Answer a selection by the engine, in the same shape.
    """
    rows = reader.select(selection).rows
    found = {tuple(row[:-1]): row[-1] for row in rows}
    assert len(found) == len(rows)
    assert list(found) == sorted(found)
    return found


def numbers(answer: dict[tuple[Any, ...], float | None]) -> dict[tuple[Any, ...], float]:
    """
    Return the part of an answer that is not null.
    """
    return {key: value for key, value in answer.items() if value is not None}


def asked(**parts: Any) -> Selection:
    """
    Return a selection over all events, counting unless told otherwise.
    """
    return Selection(**{"metric": "uploads", "aggregate": Aggregate.COUNT, "start": START, "end": END, **parts})


SIZE = Measure("size", ("double",))
ITEMS = Measure("items", ("integer",))


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("bucket", Bucket)
def test_intervals_are_those_of_the_zone(shelf: Shelf, events: list[MetricEvent], bucket: Bucket, zone: str) -> None:
    """
    Each interval starts where the clocks of its zone say so, whatever they do in between.
    """
    selection = asked(bucket=bucket, zone=zone, aggregate=Aggregate.SUM, value=ITEMS)

    assert answered(shelf.reader("acme"), selection) == plainly(events, selection)


@pytest.mark.parametrize(
    ("aggregate", "value"),
    [(Aggregate.COUNT, None), *((aggregate, measure) for aggregate in Aggregate for measure in (SIZE, ITEMS))],
)
def test_aggregates_are_those_of_plain_python(
    shelf: Shelf, events: list[MetricEvent], aggregate: Aggregate, value: Measure | None
) -> None:
    """
    Every aggregate, over all and in intervals and groups, is what plain Python makes of the values that are there.
    """
    for parts in ({}, {"bucket": Bucket.WEEK}, {"bucket": Bucket.DAY, "group_by": ("kind", "region")}):
        selection = asked(aggregate=aggregate, value=value, **parts)
        found, wanted = answered(shelf.reader("acme"), selection), plainly(events, selection)

        assert [key for key, number in found.items() if number is None] == [
            key for key in sorted(wanted) if wanted[key] is None
        ]
        assert numbers(found) == pytest.approx(numbers(wanted), rel=1e-12)


@pytest.mark.parametrize(
    "group_by",
    [("kind",), ("region",), ("tenant_plan",), ("region", "kind"), ("kind", "tenant_plan", "region"), ("unheard",)],
    ids="+".join,
)
def test_groups_have_empty_text_where_the_dimension_is_absent(
    shelf: Shelf, events: list[MetricEvent], group_by: tuple[str, ...]
) -> None:
    """
    Dimensions and attributes group, up to three together; what lacks one stands under empty text.
    """
    selection = asked(group_by=group_by)

    assert answered(shelf.reader("acme"), selection) == plainly(events, selection)


def where(name: str, operator: Operator, operand: Any) -> Condition:
    """
    Return a condition on a dimension.
    """
    return Condition(Dimension(name), operator, operand)


CONDITIONS: dict[str, tuple[tuple[Condition, ...], Callable[[MetricEvent], bool]]] = {
    "one": ((where("kind", Operator.IN, ("a",)),), lambda one: one.metadata["kind"] == "a"),
    "two": (
        (where("kind", Operator.IN, ("a", "c")), where("region", Operator.IN, ("eu",))),
        lambda one: one.metadata["kind"] != "b" and one.metadata.get("region") == "eu",
    ),
    "absent": ((where("region", Operator.IN, ("",)),), lambda one: "region" not in one.metadata),
    "attribute": (
        (where("tenant_plan", Operator.IN, ("paid",)), where("kind", Operator.IN, ("b", "nothing"))),
        lambda one: one.metadata["tenant_plan"] == "paid" and one.metadata["kind"] == "b",
    ),
    "quotes": ((where("kind", Operator.IN, ("a') OR (1=1",)),), lambda _: False),
    "unknown": ((where("unheard", Operator.IN, ("x",)),), lambda _: False),
    "not-in": ((where("region", Operator.NOT_IN, ("us", "x")),), lambda one: one.metadata.get("region") != "us"),
    "prefix": ((where("tenant_plan", Operator.PREFIX, "pa"),), lambda one: one.metadata["tenant_plan"] == "paid"),
    "prefix-pattern": ((where("kind", Operator.PREFIX, "%"),), lambda _: False),
    "exists": ((where("region", Operator.EXISTS, operand=True),), lambda one: "region" in one.metadata),
    "exists-not": ((where("region", Operator.EXISTS, operand=False),), lambda one: "region" not in one.metadata),
    "no-number": ((where("kind", Operator.GTE, -1e300),), lambda _: False),
    "measure-exists": ((Condition(SIZE, Operator.EXISTS, operand=True),), lambda one: "size" in one.data),
    "measure-exists-not": ((Condition(SIZE, Operator.EXISTS, operand=False),), lambda one: "size" not in one.data),
    "measure-bound": ((Condition(SIZE, Operator.GT, 0.25),), lambda one: float(one.data.get("size", 0)) > 0.25),
    "integer-bounds": (
        (Condition(ITEMS, Operator.GTE, 3), Condition(ITEMS, Operator.LT, 7.5)),
        lambda one: 3 <= float(one.data["items"]) < 7.5,
    ),
    "integer-beyond-64-bits": ((Condition(ITEMS, Operator.LTE, 2**64),), lambda _: True),
}


@pytest.mark.parametrize("name", CONDITIONS)
def test_conditions_keep_what_meets_all_of_them(shelf: Shelf, events: list[MetricEvent], name: str) -> None:
    """
    Conditions are combined by and, values of one by or, and a value is never read as SQL.
    """
    conditions, kept = CONDITIONS[name]
    selection = asked(conditions=conditions, group_by=("kind", "region"))

    assert answered(shelf.reader("acme"), selection) == plainly(events, selection, kept)


def test_integers_are_compared_exactly(shelf: Shelf) -> None:
    """
    Neighbours that are one double are told apart by a bound.
    """
    most = 2**53
    shelf.load(
        *(event("near", str(index), metric="near", n=most + index) for index in range(3)), integers={"near": ["n"]}
    )
    whole = Condition(Measure("n", ("integer",)), Operator.GT, most + 1)

    found = shelf.reader("near").select(asked(metric="near", conditions=(whole,), end=NOW + timedelta(1))).rows

    assert found == [(1,)]


SIZE_BY_ITEMS = Operation("/", SIZE, ITEMS)


def test_a_formula_of_a_sum_is_of_the_sums(shelf: Shelf) -> None:
    """
    One sum is divided by the other, of all events that have it; of an average each event's quotient counts.
    """
    rows = ((2.0, 1), (9.0, 3), (5.0, 0), (7.0, None), (None, 4))
    shelf.load(
        *(
            event("ratio", str(index), more={k: v for k, v in (("size", size), ("items", items)) if v is not None})
            for index, (size, items) in enumerate(rows)
        ),
        integers={"uploads": ["items"]},
    )
    reader = shelf.reader("ratio")

    def value(aggregate: Aggregate, formula: Operation = SIZE_BY_ITEMS) -> object:
        return reader.select(asked(aggregate=aggregate, value=formula, end=NOW + timedelta(1))).rows[0][-1]

    assert value(Aggregate.SUM) == 23 / 8
    assert value(Aggregate.AVG) == 2.5
    assert (value(Aggregate.MAX), value(Aggregate.COUNT), value(Aggregate.UNIQUE)) == (3.0, 2, 2)
    assert value(Aggregate.SUM, Operation("/", SIZE, Operation("-", ITEMS, ITEMS))) is None
    assert value(Aggregate.SUM, Operation("*", Constant(1e300), Operation("*", SIZE, Constant(1e300)))) is None
    assert value(Aggregate.COUNT, Operation("*", Constant(1e300), Operation("*", SIZE, Constant(1e300)))) == 0


def test_the_last_of_one_moment_is_of_the_greatest_id(shelf: Shelf) -> None:
    """
    Where several events have the last time, the answer is the same every time.
    """
    shelf.load(*(event("last", name, size=value) for name, value in (("b", 1.0), ("c", 2.0), ("a", 3.0))))
    shelf.load(event("last", "d"))

    assert shelf.value("last", "last", "size") == 2.0


def test_unique_tells_types_apart_and_numbers_not(shelf: Shelf) -> None:
    """
    3 and 3.0 are one value, 0.0 and -0.0 another; "3" is text, true is no number, and what is absent is no value.
    """
    values: tuple[Any, ...] = (3.0, "3", 0.0, -0.0, True, "true", "", False)
    shelf.load(*(event("unique", str(index), metric="u", size=value) for index, value in enumerate(values)))
    shelf.load(event("unique", "i", metric="u", size=3), event("unique", "no", metric="u"), integers={"u": ["size"]})

    assert shelf.value("unique", "unique", "size", "u") == 7


def test_the_range_has_its_start_and_not_its_end(shelf: Shelf) -> None:
    """
    An event at the start is counted and one at the end is not, to the microsecond.
    """
    tick = timedelta(microseconds=1)
    moments = [NOW - tick, NOW, NOW + tick, NOW + 5 * tick, NOW + 6 * tick]
    shelf.load(*(event("edges", str(index), time=moment) for index, moment in enumerate(moments)))

    found = shelf.reader("edges").select(asked(start=NOW, end=NOW + 5 * tick)).rows

    assert found == [(2,)]


@pytest.mark.parametrize(
    ("aggregate", "value"),
    [
        ("count", 4),
        ("sum", 10.5),
        ("avg", 2.625),
        ("min", 1.5),
        ("max", 4.0),
        ("last", 4.0),
        ("p50", 2.5),
        ("unique", 4),
    ],
)
def test_a_measure_of_two_numeric_types_answers_as_one(shelf: Shelf, aggregate: str, value: float) -> None:
    """
    Doubles from before and integers from after a declaration are aggregated together.
    """
    tenant = f"two-{aggregate}"
    shelf.load(event(tenant, "1", metric="two", size=1.5), event(tenant, "2", metric="two", size=2.0))
    shelf.load(
        event(tenant, "3", metric="two", size=3), event(tenant, "4", metric="two", size=4), integers={"two": ["size"]}
    )

    assert shelf.value(tenant, aggregate, "size", "two") == value


def test_count_of_a_drifted_measure_counts_the_events_that_have_it(shelf: Shelf) -> None:
    """
    However many types a measure has come in, each event with it is counted once and one without it never.
    """
    shelf.load(
        event("mixed", "1", size=1.5),
        event("mixed", "2", size="text"),
        event("mixed", "3", size=""),
        event("mixed", "4", size=False),
        event("mixed", "5"),
    )
    types = shelf.reader("mixed").metrics()["uploads"].measures["size"]
    size = Measure("size", types)

    assert shelf.reader("mixed").select(asked(end=NOW + timedelta(1), value=size)).rows == [(4,)]


def test_a_sum_of_large_integers_is_exact_or_refused(shelf: Shelf) -> None:
    """
    A sum of integers never wraps around to another number without a word.
    """
    most = 2**63 - 1
    shelf.load(
        event("sum", "1", metric="big", n=most), event("sum", "2", metric="big", n=most), integers={"big": ["n"]}
    )

    assert float(str(shelf.value("sum", "sum", "n", "big"))) == float(2 * most)


def test_an_answer_over_nothing_is_null_and_a_count_zero(shelf: Shelf, events: list[MetricEvent]) -> None:
    """
    Where no event is in the range, aggregates are null, a count is 0, and intervals have no rows.
    """
    assert events
    reader = shelf.reader("acme")
    empty: dict[str, Any] = {"start": END, "end": END + timedelta(days=1)}

    for aggregate in Aggregate:
        counts = aggregate in (Aggregate.COUNT, Aggregate.UNIQUE)
        found = reader.select(asked(aggregate=aggregate, value=SIZE, **empty)).rows
        assert found == [(0 if counts else None,)]
    assert reader.select(asked(**empty)).rows == [(0,)]
    assert reader.select(asked(bucket=Bucket.DAY, **empty)).rows == []


@pytest.mark.parametrize("tenant", ["", " ", "a b", "a'b", 'a"b', "a/b", "..", "a..b", "a\\b", "a\0b", "ä", "x" * 129])
def test_a_reader_needs_a_tenant(shelf: Shelf, tenant: str) -> None:
    """
    A reader cannot be made for what is no tenant id, nor without one.
    """
    with pytest.raises(InvalidToken):
        shelf.reader(tenant)
    with pytest.raises(TypeError):
        TenantReader(shelf.engine, shelf.catalogue)  # type: ignore[call-arg] # that is what is shown


def test_selections_together_are_answered_as_each_alone(shelf: Shelf, events: list[MetricEvent]) -> None:
    """
    One statement of several selections, of every shape and type of value, has the answers of one statement each.
    """
    assert events
    reader = shelf.reader("acme")
    before = (START - (END - START), START)
    selections = [
        asked(),
        asked(bucket=Bucket.MONTH, zone="Europe/Berlin", group_by=("kind", "region", "tenant_plan")),
        asked(aggregate=Aggregate.SUM, value=ITEMS, bucket=Bucket.WEEK),
        asked(aggregate=Aggregate.AVG, value=SIZE, group_by=("region",)),
        asked(aggregate=Aggregate.SUM, value=SIZE, start=END, end=END + timedelta(1)),
        asked(
            start=END - timedelta(90), before=(END - timedelta(180), END - timedelta(90)), group_by=("kind",), limit=1
        ),
        asked(before=before),
        asked(metric="unheard", bucket=Bucket.DAY),
        asked(aggregate=Aggregate.UNIQUE, value=Dimension("region"), bucket=Bucket.YEAR),
    ]

    assert reader.select_all(selections) == [reader.select(selection) for selection in selections]
    assert reader.select_all([]) == []


def test_a_narrowed_reader_has_less_time_and_the_same_tenant(shelf: Shelf, events: list[MetricEvent]) -> None:
    """
    A part of the time is what is left to each of several statements; nothing else changes.
    """
    reader = TenantReader(shelf.engine, shelf.catalogue, "acme", Bounds(seconds=1000, rows=10)).narrowed(100)

    assert reader.select(asked()).rows == [(len(events),)]
    with pytest.raises(QuestionTooLarge, match="10 rows of answer"):
        reader.select(asked(bucket=Bucket.DAY))
    with pytest.raises(QuestionTooLarge, match="seconds"):
        reader.narrowed(10**6).select(asked(bucket=Bucket.DAY))
    assert reader.spent.statements == 3
