"""
Mixpanel's twin by plain HTTP, which is how its /import is spoken to.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from metriclake.testing import Clock, Drop, MixpanelLimits, MixpanelTwin, Refuse
from testing.plain_http import post, speaking

NOON = 1_772_366_400
DAY = 24 * 3600
ACCOUNT = ("service-account", "service-secret")
CASES = [
    json.loads(line)
    for line in (Path(__file__).parents[1] / "cases" / "mixpanel_events.jsonl").read_text().splitlines()
]


@pytest.fixture
def clock() -> Clock:
    """
    Stand still at noon.
    """
    return Clock(NOON)


@pytest.fixture
def twin(clock: Clock) -> Iterator[MixpanelTwin]:
    """
    Have a project with one group key.
    """
    with MixpanelTwin(group_keys=["company_id"], clock=clock) as twin:
        yield twin


@pytest.fixture
def http(twin: MixpanelTwin) -> Iterator[httpx.Client]:
    """
    Speak to the twin as a service account, strictly.
    """
    with sender(twin) as client:
        yield client


def sender(twin: MixpanelTwin) -> httpx.Client:
    """
    Return a client with a service account's credentials.
    """
    return speaking(twin.url, auth=ACCOUNT, params={"strict": "1", "project_id": "1"})


def event(number: int = 0, **properties: Any) -> dict[str, Any]:
    """
    Return an event without faults.
    """
    own = {"time": NOON - 60, "distinct_id": "u", "$insert_id": f"i{number}"}
    return {"event": "Report viewed", "properties": {**own, **properties}}


def insert_ids(twin: MixpanelTwin) -> list[str]:
    """
    Return the ids of the events that are there.
    """
    return [record["properties"]["$insert_id"] for record in twin.records]


@pytest.mark.rule("mixpanel-endpoints", "mixpanel-imported", "mixpanel-formats", "mixpanel-gzip")
@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("kind", ["application/json", "application/x-ndjson"])
def test_events_arrive(twin: MixpanelTwin, http: httpx.Client, kind: str, compressed: bool) -> None:  # noqa: FBT001
    """
    Arrays and lines, compressed or not, are taken, and counted in the answer.
    """
    events = [json.dumps(event(number)) for number in range(3)]
    body = ("[" + ",".join(events) + "]" if kind == "application/json" else "\n".join([*events, ""])).encode()
    headers = {"Content-Type": kind, **({"Content-Encoding": "gzip"} if compressed else {})}
    answer = http.post("/import", content=gzip.compress(body) if compressed else body, headers=headers)

    assert (answer.status_code, answer.json()) == (200, {"code": 200, "num_records_imported": 3, "status": "OK"})
    assert twin.records == tuple(json.loads(text) for text in events)


@pytest.mark.rule("mixpanel-other-paths")
def test_other_paths(http: httpx.Client) -> None:
    """
    What is no endpoint is not found.
    """
    assert [http.post("/import/batch").status_code, http.get("/import").status_code] == [404, 404]


@pytest.mark.rule(
    "mixpanel-service-account",
    "mixpanel-project-token",
    "mixpanel-project-secret",
    "mixpanel-any-token",
    "mixpanel-unauthorized",
)
@pytest.mark.parametrize(
    ("auth", "project", "status"),
    [
        (ACCOUNT, "1", 200),
        (ACCOUNT, "2", 401),
        (ACCOUNT, None, 401),
        ((ACCOUNT[0], "wrong"), "1", 401),
        (("token", ""), None, 200),
        (("token", ""), "1", 200),
        (("token", "x"), None, 401),
        (("secret", ""), "1", 200),
        (("other", ""), None, 401),
        ("Bearer any", "1", 200),
        ("Bearer", "1", 401),
        ("Basic nonsense!", "1", 401),
        (None, "1", 401),
    ],
)
def test_who_may_send(twin: MixpanelTwin, auth: tuple[str, str] | str | None, project: str | None, status: int) -> None:
    """
    A service account needs its project, the project's token and secret do not; others are told that they may not.
    """
    headers = {"Authorization": auth} if isinstance(auth, str) else {}
    answer = post(
        f"{twin.url}/import",
        params={"strict": "1", **({"project_id": project} if project else {})},
        json=[event()],
        headers=headers,
        auth=auth if isinstance(auth, tuple) else None,
    )

    assert (answer.status_code, twin.counts.taken) == (status, int(status == 200))
    assert status == 200 or answer.json() == {"code": 401, "error": "Invalid credentials", "status": "Unauthorized"}


@pytest.mark.rule(
    "mixpanel-required",
    "mixpanel-time-unit",
    "mixpanel-time-range",
    "mixpanel-distinct-id",
    "mixpanel-insert-id",
    "mixpanel-nesting",
    "mixpanel-nesting-counted",
)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_what_an_event_must_be(twin: MixpanelTwin, http: httpx.Client, case: dict[str, Any]) -> None:
    """
    An event is taken, or named in the answer with its field, and in the debugger with the rule.
    """
    sent = event(1, **case["change"])
    sent["properties"].pop(case.get("drop"), None)
    answer = http.post("/import", json=[sent])

    assert [rejected.rule for rejected in twin.debugger] == ([case["rule"]] if case["rule"] else [])
    assert answer.status_code == (400 if case["rule"] else 200)
    assert answer.json()["num_records_imported"] == twin.counts.taken == int(case["rule"] is None)


@pytest.mark.rule("mixpanel-properties", "mixpanel-arrays", "mixpanel-nesting", "mixpanel-event-size")
@pytest.mark.parametrize(
    ("good", "bad", "rule"),
    [
        (dict.fromkeys(map(str, range(251))), dict.fromkeys(map(str, range(252))), "mixpanel-properties"),
        ({"a": [0] * 254}, {"a": [0] * 255}, "mixpanel-arrays"),
        ({"a": {"b": [[0] * 254]}}, {"a": {"b": [[0] * 255]}}, "mixpanel-arrays"),
        (
            {"a": dict.fromkeys(map(str, range(254)))},
            {"a": dict.fromkeys(map(str, range(255)))},
            "mixpanel-nesting",
        ),
        ({"a": "x" * 1_048_460}, {"a": "x" * 1_048_576}, "mixpanel-event-size"),
    ],
    ids=["properties", "array", "inner array", "keys", "size"],
)
def test_how_large_an_event_may_be(
    twin: MixpanelTwin, http: httpx.Client, good: dict[str, Any], bad: dict[str, Any], rule: str
) -> None:
    """
    Fewer than 255 of each, less than a megabyte in all.
    """
    answer = http.post("/import", json=[event(1, **good), event(2, **bad)])

    assert [failed["index"] for failed in answer.json()["failed_records"]] == [1]
    assert (insert_ids(twin), twin.debugger[0].rule) == (["i1"], rule)


@pytest.mark.rule("mixpanel-megabytes", "mixpanel-event-size")
def test_a_megabyte_to_the_byte(http: httpx.Client) -> None:
    """
    An event of 1,048,575 bytes is taken, and one of a byte more is not.
    """
    frame = len(json.dumps(event(1, a=""), separators=(",", ":")))
    for more, status in ((-1, 200), (0, 400)):
        assert http.post("/import", json=[event(1, a="x" * (1024 * 1024 - frame + more))]).status_code == status


@pytest.mark.rule("mixpanel-partly", "mixpanel-failed-record")
def test_a_400_that_is_mostly_a_success(twin: MixpanelTwin, http: httpx.Client) -> None:
    """
    What fails is named by its place and its id; the rest is there, and is a duplicate when all is sent again.
    """
    events = [event(0), event(1, time="soon"), event(2), {"event": "", "properties": {}}, event(4)]
    answer = http.post("/import", json=events)
    again = http.post("/import", json=events)

    assert answer.status_code == again.status_code == 400
    assert answer.json() == again.json()
    assert (answer.json()["num_records_imported"], answer.json()["status"]) == (3, "Bad Request")
    assert answer.json()["failed_records"] == [
        {
            "index": 1,
            "$insert_id": "i1",
            "field": "properties.time",
            "message": "'properties.time' is invalid: must be specified as seconds since epoch",
        },
        {"index": 3, "$insert_id": "", "field": "event", "message": "'event' is missing or empty"},
    ]
    assert (insert_ids(twin), twin.counts.repeated, twin.counts.rejected) == (["i0", "i2", "i4"], 3, 4)


def test_refused_on_order(twin: MixpanelTwin, http: httpx.Client) -> None:
    """
    A record that the test refuses is named as any other that fails.
    """
    twin.fail(Refuse(lambda sent: sent["properties"]["$insert_id"] == "i1", "blocked"), times=1)
    answer = http.post("/import", json=[event(0), event(1)])

    assert (answer.status_code, insert_ids(twin)) == (400, ["i0"])
    assert answer.json()["failed_records"] == [{"index": 1, "$insert_id": "i1", "field": "", "message": "blocked"}]


@pytest.mark.rule("mixpanel-not-strict", "mixpanel-generated-id")
def test_without_strict(twin: MixpanelTwin, http: httpx.Client) -> None:
    """
    Without strict what fails is lost without a word, and an event without an id is never a duplicate.
    """
    unnamed = event()
    del unnamed["properties"]["$insert_id"]
    for _ in range(2):
        answer = http.post("/import", params={"strict": "0", "project_id": "1"}, json=[event(1, time=1), unnamed])
        assert (answer.status_code, answer.json()["num_records_imported"]) == (200, 1)

    assert (twin.counts.taken, twin.counts.repeated, twin.counts.rejected) == (2, 0, 2)


@pytest.mark.rule("mixpanel-unreadable")
@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/json", b""),
        ("application/json", b"[]"),
        ("application/json", b"{}"),
        ("application/json", b"[{]"),
        ("application/json", b"[" * 5000),
        ("application/x-ndjson", b"\n\n"),
        ("application/x-www-form-urlencoded", b"data="),
        ("application/x-www-form-urlencoded", b"\xff"),
        ("application/x-www-form-urlencoded", b"&".join([b"a=b"] * 200)),
        ("text/plain", b"[]"),
    ],
)
def test_what_cannot_be_read(twin: MixpanelTwin, http: httpx.Client, kind: str, body: bytes) -> None:
    """
    A body that holds no event is refused as a whole.
    """
    answer = http.post("/import", content=body, headers={"Content-Type": kind})

    assert (answer.status_code, answer.json()["status"], twin.debugger) == (400, "Bad Request", ())


@pytest.mark.rule("mixpanel-required")
def test_lines_that_are_no_events(twin: MixpanelTwin, http: httpx.Client) -> None:
    """
    A line that is no JSON, no object, or no UTF-8 fails alone.
    """
    bad = json.dumps(event(1, a="?")).encode().replace(b"?", b"\xff")
    body = b"\n".join([json.dumps(event(0)).encode(), b"{", b"[]", bad])
    answer = http.post("/import", content=body, headers={"Content-Type": "application/x-ndjson"})

    assert [failed["index"] for failed in answer.json()["failed_records"]] == [1, 2, 3]
    assert insert_ids(twin) == ["i0"]


@pytest.mark.rule("mixpanel-most-events", "mixpanel-most-events-status")
def test_too_many_events(twin: MixpanelTwin, http: httpx.Client) -> None:
    """
    2,000 events are taken; of 2,001 none is.
    """
    full = http.post("/import", json=[event(number) for number in range(2000)])
    more = http.post("/import", json=[event(number) for number in range(2001)])

    assert (full.status_code, more.status_code, twin.counts.taken) == (200, 413, 2000)
    assert more.json()["status"] == "Request Entity Too Large"


@pytest.mark.rule("mixpanel-most-bytes")
def test_too_many_bytes(clock: Clock) -> None:
    """
    What counts is the size before compression, and the answer names the limit.
    """
    with MixpanelTwin(limits=MixpanelLimits(request_bytes=2_097_152), clock=clock) as twin, sender(twin) as http:
        body = json.dumps([event(number, a="x" * 900_000) for number in range(3)]).encode()
        headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
        answer = http.post("/import", content=gzip.compress(body), headers=headers)

        assert answer.json() == {
            "code": 413,
            "error": "request exceeds max limit of 2097152 bytes",
            "status": "Request Entity Too Large",
        }
        assert (answer.status_code, twin.counts.taken) == (413, 0)


@pytest.mark.rule("mixpanel-strings")
def test_long_strings_are_cut(twin: MixpanelTwin, http: httpx.Client) -> None:
    """
    What is there of a text are 255 characters, wherever it stands.
    """
    http.post("/import", json=[event(1, a="é" * 300, b=["x" * 256, {"c": "x" * 255}])])

    properties = twin.records[0]["properties"]
    assert (properties["a"], properties["b"]) == ("é" * 255, ["x" * 255, {"c": "x" * 255}])


@pytest.mark.rule("mixpanel-duplicates")
def test_four_make_a_duplicate(twin: MixpanelTwin, http: httpx.Client) -> None:
    """
    Events that agree in all four are one, and the latest is shown; a difference in any of them makes another.
    """
    http.post("/import", json=[event(1, city="Berlin"), event(2)])
    http.post("/import", json=[event(1, city="Rome")])
    http.post("/import", json=[event(1, time=NOON), event(1, distinct_id="v"), {**event(1), "event": "other"}])

    assert (twin.counts.taken, twin.counts.repeated) == (5, 1)
    assert twin.records[0]["properties"]["city"] == "Rome"
    assert twin.taken[0].request == 2


def test_a_lost_answer_makes_no_duplicate(twin: MixpanelTwin, http: httpx.Client) -> None:
    """
    What is sent again since nobody answered counts once.
    """
    twin.fail(Drop(stored=True), times=1)
    with pytest.raises(httpx.RemoteProtocolError):
        http.post("/import", json=[event(1), event(2)])
    http.post("/import", json=[event(1), event(2)])

    assert (insert_ids(twin), twin.counts.repeated) == (["i1", "i2"], 2)


@pytest.mark.rule("mixpanel-time-ahead", "mixpanel-time-replaced")
def test_a_time_ahead_makes_a_second_event(twin: MixpanelTwin, http: httpx.Client, clock: Clock) -> None:
    """
    A time that is ahead becomes that of the arrival, so that the same event a second later is another one.
    """
    for _ in range(2):
        http.post("/import", json=[event(1, time=NOON + 600)])
        clock.move(1)

    assert [record["properties"]["time"] for record in twin.records] == [NOON, NOON + 1]


@pytest.mark.rule("mixpanel-compaction")
def test_compaction(twin: MixpanelTwin, http: httpx.Client) -> None:
    """
    Later, two events of one day with the same id are one, whatever their times; those of another day are not.
    """
    times = (NOON - 60, NOON - 3600, NOON - DAY, (NOON - 61) * 1000)
    http.post("/import", json=[event(1, time=time) for time in times])
    before = len(twin.taken)

    assert (before, twin.compact(), twin.compact()) == (4, 2, 0)
    assert [record["properties"]["time"] for record in twin.records] == [NOON - DAY, (NOON - 61) * 1000]


@pytest.mark.rule("mixpanel-rate", "mixpanel-no-retry-after", "mixpanel-failed-count")
def test_the_rate_of_a_rolling_minute(clock: Clock) -> None:
    """
    Above the rate nothing is taken until a minute after what used it up, also where that failed.
    """
    with MixpanelTwin(limits=MixpanelLimits(events_per_minute=10), clock=clock) as twin, sender(twin) as http:
        statuses = [http.post("/import", json=[event(number, time=1) for number in range(6)]).status_code]
        clock.move(30)
        statuses += [http.post("/import", json=[event(number) for number in range(4)]).status_code]
        refused = http.post("/import", json=[event(10)])
        clock.move(29)
        statuses += [http.post("/import", json=[event(10)]).status_code]
        clock.move(1)
        statuses += [http.post("/import", json=[event(10)]).status_code]

        assert (statuses, refused.status_code) == ([400, 200, 429, 200], 429)
        assert refused.json() == {
            "code": 429,
            "error": "Project exceeded rate limits. Please retry the request with exponential backoff.",
            "status": "Too Many Requests",
        }
        assert "Retry-After" not in refused.headers
        assert twin.counts.taken == 5


@pytest.mark.rule("mixpanel-rate")
def test_the_rate_in_bytes(clock: Clock) -> None:
    """
    Bytes count before compression.
    """
    with MixpanelTwin(limits=MixpanelLimits(bytes_per_minute=1000), clock=clock) as twin, sender(twin) as http:
        body = gzip.compress(json.dumps([event(1, a="x" * 600)]).encode())
        headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}

        assert [http.post("/import", content=body, headers=headers).status_code for _ in range(2)] == [200, 429]


@pytest.mark.rule("mixpanel-track-limits", "mixpanel-track-token", "mixpanel-track-answer")
def test_track_by_json(clock: Clock) -> None:
    """
    /track has the limits of /import, and says 1 also of events that are ignored for their token.
    """
    with MixpanelTwin(limits=MixpanelLimits(events=2, events_per_minute=4), clock=clock) as twin:
        own, strange = event(1, token="token"), event(2, token="wrong")
        bodies = [[own, strange], [strange], [own, own, own], [event(3, time=1)], [own]]
        answers = [post(f"{twin.url}/track", json=body) for body in bodies]

        assert [(answer.status_code, answer.text[:1]) for answer in answers] == [
            (200, "1"),
            (200, "1"),
            (413, "{"),
            (200, "0"),
            (429, "{"),
        ]
        assert (insert_ids(twin), [rejected.rule for rejected in twin.debugger]) == (
            ["i1"],
            ["mixpanel-track-token", "mixpanel-track-token", "mixpanel-time-range"],
        )


@pytest.mark.rule("mixpanel-group-key", "mixpanel-group-most")
def test_events_of_a_group(twin: MixpanelTwin, http: httpx.Client, clock: Clock) -> None:
    """
    An event counts for its groups by a key of the project, and not for those before the key was one.
    """
    many = [f"c{number}" for number in range(254)]
    http.post("/import", json=[event(1, company_id="acme", team="red"), event(2, company_id=["acme", "globex"])])
    clock.move(60)
    twin.add_group_key("team")
    http.post("/import", json=[event(3, team="red"), event(4, company_id=many)])

    assert [record["properties"]["$insert_id"] for record in twin.of_group("company_id", "acme")] == ["i1", "i2"]
    assert [record["properties"]["$insert_id"] for record in twin.of_group("team", "red")] == ["i3"]
    assert (len(twin.of_group("company_id", "c253")), twin.of_group("unknown", "acme")) == (1, ())
