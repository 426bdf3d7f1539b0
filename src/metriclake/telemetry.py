"""
What operators watch: `/metrics` in Prometheus' text format.

It names no tenant: totals over all of them, the stages' lags, sizes, and the requests by route and status.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_SECONDS: Final = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


@dataclass(frozen=True, slots=True)
class QuestionFacts:
    """
    What is so of the tenants' questions, all tenants together.

    `endings` counts them by how they ended; `hit_share` is the share of those answered from memory, 0 to 1, since the
    start; `rows`, `bytes` and `seconds` are what statements took of the store, `cpu` the seconds that their threads
    computed.
    """

    endings: Mapping[str, int]
    hit_share: float
    rows: int
    bytes: int
    seconds: float
    cpu: float
    running: int
    waiting: int
    cache_answers: int
    cache_bytes: int


@dataclass(frozen=True, slots=True)
class Facts:
    """
    What is so at the moment of a scrape.

    `lags` and `waiting` are by stage, in seconds and in entries or objects; `events` are metric events by the books'
    counter, over all tenants; `domain_events` likewise; sizes are bytes; `failing` counts the stages that retry;
    `connections` are open now, `ended` counts by reason those that the server has ended. By destination: `delivered`
    are its books, `letters` its dead letters, `traffic` what it was sent since the start.
    """

    lags: Mapping[str, float]
    waiting: Mapping[str, int]
    events: Mapping[str, int]
    domain_events: Mapping[str, int]
    delivered: Mapping[str, Mapping[str, int]]
    letters: Mapping[str, int]
    traffic: Mapping[str, Mapping[str, int]]
    balanced: bool
    backlog: int
    data: int
    failing: int
    connections: int
    ended: Mapping[str, int]
    questions: QuestionFacts


class Telemetry:
    """
    The counters of one server.
    """

    def __init__(self, facts: Callable[[], Facts]) -> None:
        """
        Ask `facts` at each scrape.
        """
        self._registry = CollectorRegistry()
        self._registry.register(_Scrape(facts))
        self._seconds = Histogram(
            "metriclake_http_request_seconds",
            "Time until a request was answered",
            ("route",),
            registry=self._registry,
            buckets=_SECONDS,
        )
        self._answers = Counter(
            "metriclake_http_answers", "Answers by route and status", ("route", "status"), registry=self._registry
        )

    def routes(self) -> list[BaseRoute]:
        """
        Return the route.
        """
        return [Route("/metrics", self.scrape, methods=["GET"])]

    def scrape(self, _request: Request) -> Response:
        """
        Answer a scrape, in a thread: the books are read from the disk.
        """
        return Response(generate_latest(self._registry), media_type=CONTENT_TYPE_PLAIN_0_0_4)

    def around(self, app: ASGIApp, routes: Iterable[BaseRoute]) -> ASGIApp:
        """
        Return the application with its requests counted, by the path that its routes declare.
        """
        paths = {route.endpoint: route.path for route in routes if isinstance(route, Route)}

        async def counted(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http":
                await app(scope, receive, send)
                return
            status = 500
            began = time.perf_counter()

            async def noted(message: Message) -> None:
                nonlocal status
                if message["type"] == "http.response.start":
                    status = message["status"]
                await send(message)

            try:
                await app(scope, receive, noted)
            finally:
                endpoint = scope.get("endpoint")
                route = "(none)" if endpoint is None else paths.get(endpoint, "(none)")
                self._seconds.labels(route).observe(time.perf_counter() - began)
                self._answers.labels(route, str(status)).inc()

        return counted


class _Scrape(Collector):
    """
    The facts as Prometheus reads them.
    """

    def __init__(self, facts: Callable[[], Facts]) -> None:
        self._facts = facts

    def describe(self) -> list[Metric]:
        return []

    def collect(self) -> Iterator[Metric]:
        facts = self._facts()
        yield _labelled("metriclake_stage_lag_seconds", "Age of the oldest that waits", "stage", facts.lags)
        yield _labelled("metriclake_stage_waiting", "Entries or objects that wait", "stage", facts.waiting)
        yield _labelled("metriclake_metric_events", "The books: metric events by counter", "counter", facts.events)
        yield _labelled("metriclake_domain_events", "The books: domain events", "counter", facts.domain_events)
        yield _labelled("metriclake_dead_letters", "Dead letters that are not dropped", "destination", facts.letters)
        yield _by_destination("metriclake_destination_metric_events", "The books of destinations", facts.delivered)
        yield _by_destination("metriclake_destination_traffic", "Sent since the start", facts.traffic)
        yield _labelled("metriclake_connections_ended", "Connections ended by the server", "why", facts.ended)
        gauges = (
            ("metriclake_books_balanced", "1 where every equation of the books holds", int(facts.balanced)),
            ("metriclake_journal_backlog_bytes", "Accepted and not in the lake yet", facts.backlog),
            ("metriclake_data_bytes", "Size of the data directory", facts.data),
            ("metriclake_stages_failing", "Stages that wait and try again", facts.failing),
            ("metriclake_connections", "Open connections", facts.connections),
        )
        for name, words, value in gauges:
            yield GaugeMetricFamily(name, words, value=value)
        yield from _questions(facts.questions)


def _questions(facts: QuestionFacts) -> Iterator[Metric]:
    endings = CounterMetricFamily("metriclake_questions", "Questions by how they ended", labels=["ending"])
    for ending, count in facts.endings.items():
        endings.add_metric([ending], count)
    yield endings
    counters = (
        ("metriclake_questions_rows_read", "Rows that questions read from the store", facts.rows),
        ("metriclake_questions_bytes_read", "Bytes that questions read from the store", facts.bytes),
        ("metriclake_questions_engine_seconds", "Seconds that the store ran for questions", facts.seconds),
        ("metriclake_questions_cpu_seconds", "Seconds that the threads of questions computed", facts.cpu),
    )
    for name, words, value in counters:
        yield CounterMetricFamily(name, words, value=value)
    gauges = (
        ("metriclake_questions_running", "Questions that the store is asked now", facts.running),
        ("metriclake_questions_waiting", "Questions that wait for their turn", facts.waiting),
        ("metriclake_answer_cache_hit_share", "Share of the questions answered from memory", facts.hit_share),
        ("metriclake_answer_cache_answers", "Answers in memory", facts.cache_answers),
        ("metriclake_answer_cache_bytes", "What they take", facts.cache_bytes),
    )
    for name, words, value in gauges:
        yield GaugeMetricFamily(name, words, value=value)


def _labelled(name: str, words: str, label: str, values: Mapping[str, float]) -> Metric:
    family = GaugeMetricFamily(name, words, labels=[label])
    for key, value in values.items():
        family.add_metric([key], value)
    return family


def _by_destination(name: str, words: str, values: Mapping[str, Mapping[str, int]]) -> Metric:
    family = GaugeMetricFamily(name, words, labels=["destination", "counter"])
    for destination, counters in values.items():
        for counter, value in counters.items():
            family.add_metric([destination, counter], value)
    return family
