"""
The live stream over HTTP: each tenant hears of its own metrics, misses nothing, and holds up nobody.
"""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from starlette.requests import Request

from metriclake._errors import StoreError
from metriclake.connection import Connections, Ended
from metriclake.pipeline.dashboard_specs import DashboardSpec, TileSpec
from metriclake.query import Dashboards, Live
from metriclake.query import live as living
from metriclake.query.streamed import Streamed
from metriclake.store import TenantReader
from metriclake.tokens import TenantClaims
from patience import until
from query.served import KEY, bearing, minted, served
from query.test_query_routes import TOKENS

JOURNAL = "0123abcd"
PATIENCE = 0.5


class Loaded:
    """
    What a store has been loaded with: asked for what is new, it says so from the whole of it.
    """

    def __init__(self) -> None:
        """
        Begin with nothing.
        """
        self.objects: list[tuple[int, dict[str, set[str]]]] = []
        self.asked = 0
        self.fails = False
        self.open = threading.Event()
        self.open.set()

    def since(self, tenant: str, number: int) -> set[str]:
        """
        Return a tenant's metrics in objects after a number.
        """
        self.asked += 1
        assert self.open.wait(20)
        if self.fails:
            raise StoreError("the disk is gone")
        return {name for last, changed in self.objects if last > number for name in changed.get(tenant, ())}


@dataclass
class Place:
    """
    Live streams that are served.
    """

    live: Live
    loaded: Loaded
    client: httpx.Client
    connections: Connections
    boards: dict[str, DashboardSpec]

    def deliver(self, number: int, **changed: Iterable[str]) -> None:
        """
        Load an object, as the store's destination does in its thread.
        """
        names = {tenant: set(metrics) for tenant, metrics in changed.items()}
        self.loaded.objects.append((number, names))
        self.live.delivered(number, names)

    @contextmanager
    def listening(self, token: str | None = None, last: str | None = None, **params: Any) -> Iterator[Heard]:
        """
        Open a stream: of tenant acme unless told otherwise.
        """
        headers = bearing(minted() if token is None else token) | ({"Last-Event-ID": last} if last is not None else {})
        with self.client.stream("GET", "/v1/stream", params=params, headers=headers) as answer:
            assert answer.status_code == 200, answer.read()
            assert answer.headers["Content-Type"].startswith("text/event-stream")
            assert answer.headers["Cache-Control"] == "no-store"
            yield Heard(answer.iter_lines())


@dataclass
class Heard:
    """
    The events of a stream, read as the standard says.
    """

    lines: Iterator[str]
    comments: int = 0
    retry: int | None = None
    last: str | None = field(default=None)

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        """
        Yield the kind and the data of each event; `last` is the last id.
        """
        event: dict[str, str] = {}
        for line in self.lines:
            name, _, value = line.partition(": ")
            if line.startswith(":"):
                self.comments += 1
            elif name == "retry":
                self.retry = int(value)
            elif line:
                event[name] = value
            elif event:
                self.last = event.get("id", self.last)
                yield event["event"], json.loads(event["data"])
                event = {}

    def next(self) -> tuple[str, Any]:
        """
        Return the next event.
        """
        return next(iter(self))

    def metrics(self, count: int) -> list[str]:
        """
        Return the metrics that the next events name.
        """
        events = [self.next() for _ in range(count)]
        assert {kind for kind, _ in events} <= {"metric"}, events
        return [data["metric"] for _, data in events]


def no_reader(_tenant: str) -> TenantReader:
    """
    Stand for a store that nothing here may ask.
    """
    raise AssertionError


async def all_shown(_claims: TenantClaims) -> None:
    """
    Say of a token that it is bound to no dashboard.
    """


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """
    Serve the live streams of a server that has loaded ten objects.
    """
    monkeypatch.setattr(living, "_PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(living, "_OF_TENANT", 3)
    loaded = Loaded()
    boards = {
        "overview": DashboardSpec(tiles=[TileSpec(metric="uploads"), TileSpec(metric="builds")]),
        "secret": DashboardSpec(tiles=[TileSpec(metric="secrets")]),
    }
    dashboards = Dashboards(no_reader, KEY, dict, lambda _tenant: {}, lambda: boards)
    live = Live(KEY, loaded.since, JOURNAL, 10, lambda: 10, dashboards.shown)
    with served(live.routes(), live.close, PATIENCE) as (client, connections):
        yield Place(live, loaded, client, connections, boards)
        loaded.open.set()


def says(answer: httpx.Response, status: int) -> str:
    """
    Return the detail of a problem document.
    """
    assert (answer.status_code, answer.headers["Content-Type"]) == (status, "application/problem+json")
    detail: str = answer.json()["detail"]
    return detail


def test_a_tenant_hears_of_its_own_metrics_alone(place: Place) -> None:
    """
    What is loaded of a tenant is told to it, with an id; of a neighbour it hears nothing.
    """
    token = minted(ttl=timedelta(minutes=5))
    with place.listening(token) as heard, place.listening(minted("globex")) as neighbour:
        kind, opened = heard.next()
        assert (kind, opened["metrics"], heard.last, heard.retry) == ("open", None, f"{JOURNAL}-10", 3000)
        assert timedelta() < datetime.fromisoformat(opened["expires"]) - datetime.now(UTC) <= timedelta(minutes=5)
        neighbour.next()
        place.deliver(11, globex={"secrets"})
        place.deliver(12, acme={"uploads"}, globex={"more"})

        assert heard.metrics(1) == ["uploads"]
        assert heard.last == f"{JOURNAL}-12"
        assert set(neighbour.metrics(2)) == {"secrets", "more"}


def test_a_stream_is_of_the_metrics_that_are_allowed_and_asked_for(place: Place) -> None:
    """
    The token's list and the URL's bound what is told; what the list does not have is refused.
    """
    some = minted(metrics=("uploads", "builds"))
    with place.listening(some) as allowed, place.listening(some, metric="builds") as asked:
        assert allowed.next()[1]["metrics"] == ["builds", "uploads"]
        assert asked.next()[1]["metrics"] == ["builds"]
        place.deliver(11, acme={"secrets", "uploads"})
        place.deliver(12, acme={"builds"})

        assert allowed.metrics(2) == ["uploads", "builds"]
        assert asked.metrics(1) == ["builds"]
    headers = bearing(some)
    assert says(place.client.get("/v1/stream", params={"metric": "secrets"}, headers=headers), 403)
    assert says(place.client.get("/v1/stream", params={"metrics": "uploads"}, headers=headers), 400)


def test_a_token_of_dashboards_hears_of_what_they_show(place: Place) -> None:
    """
    Their metrics and no other is told, what was missed too; another's cannot be asked for, nor those the token lacks.
    """
    bound = minted(dashboards=("overview", "gone"))
    with place.listening(bound) as heard:
        assert heard.next()[1]["metrics"] == ["builds", "uploads"]
        place.deliver(11, acme={"secrets"})
        place.deliver(12, acme={"secrets", "uploads"})
        assert heard.metrics(1) == ["uploads"]
        assert heard.last == f"{JOURNAL}-12"
    with place.listening(bound, last=f"{JOURNAL}-10") as heard:
        heard.next()
        assert heard.metrics(1) == ["uploads"]
    with place.listening(minted(dashboards=("overview",), metrics=("builds", "secrets"))) as heard:
        assert heard.next()[1]["metrics"] == ["builds"]
        place.deliver(13, acme={"secrets", "uploads"})
        place.deliver(14, acme={"builds"})
        assert heard.metrics(1) == ["builds"]

    assert says(place.client.get("/v1/stream", params={"metric": "secrets"}, headers=bearing(bound)), 403)
    with place.listening(minted(dashboards=())) as heard:
        assert heard.next()[1]["metrics"] == []


def test_a_changed_dashboard_counts_for_open_streams(place: Place) -> None:
    """
    What a dashboard shows is looked up when there is something to tell: a stream tells of what it shows by then.
    """
    with place.listening(minted(dashboards=("overview",))) as heard:
        heard.next()
        place.boards["overview"] = DashboardSpec(tiles=[TileSpec(metric="later")])
        place.deliver(11, acme={"uploads", "later"})
        assert heard.metrics(1) == ["later"]


def test_the_last_event_of_an_object_has_its_id(place: Place) -> None:
    """
    Who hears only a part of what an object has brought hears all of it again: the id comes with the last.
    """
    with place.listening() as heard:
        heard.next()
        place.deliver(11, acme={"a", "b", "c"})
        ids = []
        for _ in range(3):
            heard.next()
            ids.append(heard.last)

    assert ids == [f"{JOURNAL}-10", f"{JOURNAL}-10", f"{JOURNAL}-11"]


def test_who_comes_back_hears_what_it_missed(place: Place) -> None:
    """
    With the last event's id, what was loaded since is told first; where nothing was, the store is not asked.
    """
    for number in (11, 12, 13):
        place.deliver(number, acme={f"m{number}"}, globex={"other"})

    with place.listening(last=f"{JOURNAL}-11") as heard:
        assert (heard.next()[0], heard.last) == ("open", None)
        assert sorted(heard.metrics(2)) == ["m12", "m13"]
        assert heard.last == f"{JOURNAL}-13"
    asked = place.loaded.asked
    with place.listening(last=f"{JOURNAL}-13") as heard:
        heard.next()
        assert heard.last == f"{JOURNAL}-13"
    with place.listening(minted(metrics=("m12",)), last=f"{JOURNAL}-10") as heard:
        heard.next()
        assert heard.metrics(1) == ["m12"]

    assert place.loaded.asked == asked + 1


@pytest.mark.parametrize(
    "last", ["x", "", f"{JOURNAL}-", f"{JOURNAL}-11", "ffffffff-3", "-3", f"{JOURNAL}-1e3", "9" * 99]
)
def test_who_cannot_be_told_is_to_ask_again(place: Place, last: str) -> None:
    """
    An id of another journal, of what is not loaded here or of nothing at all is answered with `reset`.
    """
    with place.listening(last=last) as heard:
        assert heard.next()[0] == "open"
        kind, data = heard.next()

    assert (kind, heard.last) == ("reset", f"{JOURNAL}-10")
    assert "ask for everything again" in data["reason"]
    assert place.loaded.asked == 0


def test_a_store_that_does_not_answer_is_a_reset(place: Place) -> None:
    """
    Where what was missed cannot be found out, that is said, and the stream goes on.
    """
    place.loaded.fails = True
    with place.listening(last=f"{JOURNAL}-3") as heard:
        heard.next()
        assert heard.next()[0] == "reset"
        place.deliver(11, acme={"uploads"})
        assert heard.metrics(1) == ["uploads"]


def test_what_is_loaded_while_the_store_is_asked_is_told(place: Place) -> None:
    """
    Between what was missed and what is heard live there is no gap.
    """
    place.deliver(11, acme={"before"})
    place.loaded.open.clear()
    with place.listening(last=f"{JOURNAL}-10") as heard:
        until(lambda: place.loaded.asked == 1)
        place.loaded.objects.clear()  # what was asked for says nothing of what comes now
        place.deliver(12, acme={"meanwhile"})
        place.loaded.objects[:] = [(11, {"acme": {"before"}})]
        place.loaded.open.set()
        heard.next()

        assert heard.metrics(2) == ["before", "meanwhile"]
        assert heard.last == f"{JOURNAL}-12"


def test_a_stream_ends_with_its_token(place: Place) -> None:
    """
    When the token expires the last event says so, and the body comes to its end.
    """
    with place.listening(minted(ttl=timedelta(seconds=2))) as heard:
        heard.next()
        events = list(heard)

    assert [(kind, data["reason"]) for kind, data in events] == [("end", "expired")]
    until(lambda: len(place.live) == 0)


def test_a_quiet_stream_stays_open(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Heartbeats come while nothing happens; the server's patience with connections does not end a stream.
    """
    monkeypatch.setattr(living, "_BEAT_SECONDS", 0.05)
    with place.listening() as heard:
        heard.next()
        began = time.monotonic()
        while time.monotonic() - began < 4 * PATIENCE:
            assert (next(heard.lines)[:1], next(heard.lines)) == (":", "")
        place.deliver(11, acme={"uploads"})
        assert heard.metrics(1) == ["uploads"]

    assert sum(place.connections.ended.values()) == 0


def test_streams_are_limited(place: Place) -> None:
    """
    A tenant has so many streams (429), all together half of the connections (503); whoever goes makes room.
    """
    with ExitStack() as streams:
        opened = [streams.enter_context(place.listening()) for _ in range(3)]
        answer = place.client.get("/v1/stream", headers=bearing(minted()))
        assert "of this tenant" in says(answer, 429)
        assert int(answer.headers["Retry-After"]) > 0
        opened += [streams.enter_context(place.listening(minted("globex"))) for _ in range(2)]
        answer = place.client.get("/v1/stream", headers=bearing(minted("initech")))
        assert "this server allows" in says(answer, 503)
        assert int(answer.headers["Retry-After"]) > 0
        assert [one.next()[0] for one in opened] == ["open"] * 5
    until(lambda: len(place.live) == 0)
    assert place.live._listeners == {}
    with place.listening() as heard:
        heard.next()


def test_who_does_not_read_is_dropped(place: Place) -> None:
    """
    A client that takes nothing is cut off, and what was kept for it is each metric's name once.
    """
    names = {f"metric_{index}_{'x' * 90}" for index in range(2000)}
    with closing(socket.socket()) as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.connect((place.client.base_url.host, place.client.base_url.port))
        slow.sendall(f"GET /v1/stream HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {minted()}\r\n\r\n".encode())
        until(lambda: len(place.live) == 1)
        (listener,) = place.live._listeners["acme"]
        number, most = 10, 0

        def gone() -> bool:
            nonlocal number, most
            number += 1
            place.live.delivered(number, {"acme": names})
            most = max(most, len(listener.pending))
            return len(place.live) == 0

        until(gone)

    assert most <= len(names)
    assert place.connections.ended[Ended.ANSWER] == 1


def test_a_server_that_stops_ends_its_streams(place: Place) -> None:
    """
    Each stream ends with an event that says why, at once, and none begins that would hold the server up.
    """
    with place.listening() as heard:
        heard.next()
        place.live.close()
        events = list(heard)
    with place.listening() as later:
        again = list(later)

    assert [(kind, data["reason"]) for kind, data in events] == [("end", "stopping")]
    assert [kind for kind, _ in again] == ["open", "end"]


@pytest.mark.filterwarnings("ignore:The HMAC key is:jwt.warnings.InsecureKeyLengthWarning")
def test_every_doubt_about_a_token_is_refused(place: Place) -> None:
    """
    A token that is missing, forged, expired or another page's opens no stream; nor does one in the URL.
    """
    for make in TOKENS.values():
        assert says(place.client.get("/v1/stream", headers=bearing(make())), 401)
    assert says(place.client.get("/v1/stream", params={"metric": "x", "token": minted()}), 401)
    page = {**bearing(minted(origin="https://a.example")), "Origin": "https://b.example"}
    assert says(place.client.get("/v1/stream", headers=page), 403)
    assert place.client.head("/v1/stream", headers=bearing(minted())).status_code == 200
    assert len(place.live) == 0


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("deliver"), st.sets(st.sampled_from("abc"), min_size=1, max_size=2)),
        st.tuples(st.just("read"), st.integers(1, 2)),
        st.tuples(st.sampled_from(("leave", "restart")), st.none()),
    ),
    max_size=30,
)


@settings(deadline=None, max_examples=40)
@given(steps=STEPS)
@example(steps=[("deliver", {"a"}), ("read", 1), ("deliver", {"b"})])
@example(steps=[("deliver", {"a"}), ("leave", None), ("deliver", {"a", "b"}), ("restart", None)])
def test_whoever_comes_back_whenever_misses_nothing(steps: list[tuple[str, Any]]) -> None:
    """
    However a client leaves and comes back, also over restarts, it hears of all that was loaded, or is to ask again.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(living, "_PAUSE_SECONDS", 0.0)
        asyncio.run(_walk(steps))


class _Client:
    """
    A client that leaves and comes back, and what it has not heard of yet.
    """

    def __init__(self) -> None:
        """
        Begin on a server that has loaded nothing.
        """
        self.loaded = Loaded()
        self.number = 0
        self.unheard: set[str] = set()
        self._last: str | None = None
        self._fresh = True
        self._stream: Streamed | None = None
        self._pulled: asyncio.Future[bytes] | None = None
        self.restart()

    def restart(self) -> None:
        """
        Begin a new server where the last has ended.
        """
        self._live = Live(KEY, self.loaded.since, JOURNAL, self.number, lambda: 10, all_shown)

    def deliver(self, metrics: set[str]) -> None:
        """
        Load an object.
        """
        self.number += 1
        changed = {"acme": metrics, "globex": {"secret"}}
        self.loaded.objects.append((self.number, changed))
        self.unheard |= metrics
        self._live.delivered(self.number, changed)

    async def read(self, most: int) -> None:
        """
        Take some of what the server sends, as far as it sends.
        """
        if self._stream is None:
            self._fresh = self._last is None
            self._stream = await _opened(self._live, self._last)
        for _ in range(most):
            if self._pulled is None:
                self._pulled = asyncio.ensure_future(anext(self._stream._parts))
            await asyncio.wait({self._pulled}, timeout=0.01)
            if not self._pulled.done():
                return
            for kind, name, id_ in _events(self._pulled.result()):
                asks_for_all = kind == "reset" or (kind == "open" and self._fresh)
                self.unheard -= self.unheard if asks_for_all else {name}
                self._last = id_ or self._last
            self._pulled = None

    async def leave(self) -> None:
        """
        Hang up; what was sent and not taken is lost.
        """
        if self._pulled is not None:
            self._pulled.cancel()
            await asyncio.wait({self._pulled})
        if self._stream is not None:
            await self._stream._parts.aclose()
            self._stream._done()
        self._stream = self._pulled = None


async def _walk(steps: list[tuple[str, Any]]) -> None:
    client = _Client()
    await client.read(1)
    for step, value in steps:
        if step == "deliver":
            client.deliver(value)
        elif step == "read":
            await client.read(value)
        else:
            await client.leave()
            if step == "restart":
                client.restart()
    for _ in range(100):
        await client.read(4)
        if not client.unheard:
            break

    assert client.unheard == set()


async def _opened(live: Live, last: str | None) -> Streamed:
    headers = [(b"authorization", f"Bearer {minted()}".encode())]
    if last is not None:
        headers.append((b"last-event-id", last.encode()))
    scope = {"type": "http", "method": "GET", "path": "/v1/stream", "query_string": b"", "headers": headers}
    answer = await live.stream(Request(scope))
    assert isinstance(answer, Streamed)
    return answer


def _events(part: bytes) -> Iterator[tuple[str, str, str | None]]:
    """
    Yield the kinds, metrics and ids of a part of a stream.
    """
    for block in part.decode().split("\n\n")[:-1]:
        lines = dict(line.split(": ", 1) for line in block.splitlines())
        yield lines["event"], json.loads(lines["data"]).get("metric", ""), lines.get("id")
