"""
What `/metrics` says.
"""

from __future__ import annotations

import asyncio

import httpx
from prometheus_client.parser import text_string_to_metric_families
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from metriclake.telemetry import Facts, QuestionFacts, Telemetry

FACTS = Facts(
    lags={"stream": 1.5, "store": 0.0},
    waiting={"stream": 3, "store": 0},
    events={"received": 7, "store_stored": 5},
    domain_events={"accepted": 9},
    delivered={"crm": {"delivered": 21, "dead": 22}},
    letters={"crm": 23},
    traffic={"crm": {"requests": 24, "throttled": 25}},
    balanced=True,
    backlog=11,
    data=13,
    failing=1,
    connections=17,
    ended={"head": 19},
    questions=QuestionFacts(
        endings={"cached": 21, "answered": 7},
        hit_share=0.75,
        rows=23,
        bytes=29,
        seconds=3.5,
        cpu=1.25,
        running=2,
        waiting=31,
        cache_answers=37,
        cache_bytes=41,
    ),
)


def scraped(*paths: str) -> dict[tuple[str, ...], float]:
    """
    Return the samples of a scrape after requests, by name and the values of their labels.
    """

    async def hello(_: Request) -> Response:
        return Response("hello")

    telemetry = Telemetry(lambda: FACTS)
    routes = [Route("/hello/{name}", hello), *telemetry.routes()]
    app = telemetry.around(Starlette(routes=routes), routes)

    async def ask() -> str:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as client:
            for path in paths:
                await client.get(path)
            return (await client.get("/metrics")).text

    families = text_string_to_metric_families(asyncio.run(ask()))
    return {(one.name, *one.labels.values()): one.value for family in families for one in family.samples}


def test_facts_of_the_moment() -> None:
    """
    Each fact is a sample, those with several parts labelled.
    """
    found = scraped()

    assert found["metriclake_stage_lag_seconds", "stream"] == 1.5
    assert found["metriclake_stage_waiting", "stream"] == 3
    assert found["metriclake_metric_events", "store_stored"] == 5
    assert found["metriclake_domain_events", "accepted"] == 9
    assert found["metriclake_destination_metric_events", "dead", "crm"] == 22
    assert found["metriclake_dead_letters", "crm"] == 23
    assert found["metriclake_destination_traffic", "throttled", "crm"] == 25
    assert found["metriclake_books_balanced",] == 1
    assert found["metriclake_journal_backlog_bytes",] == 11
    assert found["metriclake_data_bytes",] == 13
    assert found["metriclake_stages_failing",] == 1
    assert found["metriclake_connections",] == 17
    assert found["metriclake_connections_ended", "head"] == 19
    assert found["metriclake_questions_total", "cached"] == 21
    assert found["metriclake_questions_rows_read_total",] == 23
    assert found["metriclake_questions_bytes_read_total",] == 29
    assert found["metriclake_questions_engine_seconds_total",] == 3.5
    assert found["metriclake_questions_running",] == 2
    assert found["metriclake_questions_waiting",] == 31
    assert found["metriclake_answer_cache_hit_share",] == 0.75
    assert found["metriclake_answer_cache_answers",] == 37
    assert found["metriclake_answer_cache_bytes",] == 41


def test_requests_are_counted_by_declared_path() -> None:
    """
    Requests count under the path that the route declares, never under what a caller makes up.
    """
    found = scraped("/hello/a", "/hello/b", "/made/up")

    assert found["metriclake_http_answers_total", "/hello/{name}", "200"] == 2
    assert found["metriclake_http_answers_total", "(none)", "404"] == 1
    assert found["metriclake_http_request_seconds_count", "/hello/{name}"] == 2
