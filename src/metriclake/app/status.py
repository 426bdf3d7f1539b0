"""
Where every event is, and what is wrong: the facts of `status`, of `/metrics` and of the health routes.
"""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from metriclake._config import JOURNAL_QUOTA_BYTES
from metriclake.app.parts import Parts
from metriclake.books import STORE, Books
from metriclake.problems import as_json, problem
from metriclake.query import Ending
from metriclake.stream import DirectoryState
from metriclake.telemetry import Facts, QuestionFacts


class Status:
    """
    How it stands with the parts of one process.
    """

    def __init__(self, parts: Parts) -> None:
        """
        Look at `parts`, which may be at work.
        """
        self._parts = parts

    def routes(self) -> list[BaseRoute]:
        """
        Return the routes that tell whether the process lives, and whether it can take events.
        """
        return [Route("/healthz", self._healthz), Route("/readyz", self._readyz)]

    def as_json(self, most: int | None = None, search: str = "") -> dict[str, Any]:
        """
        Return the answer of `metriclake status --json`; with `most`, that many accounts which a text is in.
        """
        stages = {
            name: {"lag_seconds": round(lag, 3), "waiting": waiting} for name, (lag, waiting) in self._lags().items()
        }
        pipeline = {"version": self._parts.force.configured.plan.version, "refused": self._parts.force.refused}
        books = self._books()
        return {
            "stages": stages,
            **books.as_json(most, search),
            "pipeline": pipeline,
            "directory": _directory_state(self._parts.force.configured.directory.state(), books),
            "rollups": [
                {
                    "metric": one.metric,
                    "dimensions": one.dimensions,
                    "interval": one.grain.name.lower(),
                    "tenants": len(self._parts.sets.tenants(one.id)),
                    "waiting": self._parts.sets.waiting(one),
                }
                for one in self._parts.sets.live
                if self._parts.sets.tenants(one.id)
            ],
            "failures": self._failures(),
        }

    def usage(self) -> dict[str, Any]:
        """
        Return what each tenant's questions took since the start.
        """
        return self._parts.desk.usage.as_json()

    def facts(self) -> Facts:
        """
        Return what `/metrics` says.
        """
        books = self._books()
        lags = self._lags()
        letters = self._parts.journal.deliveries.standing()
        return Facts(
            lags={name: lag for name, (lag, _) in lags.items()},
            waiting={name: waiting for name, (_, waiting) in lags.items()},
            events=books.totals,
            domain_events=asdict(books.domain_events),
            delivered=books.delivered,
            letters={name: letters.get(name, 0) for name in books.delivered},
            traffic={name: asdict(sent) for name, sent in self._parts.destinations.traffic.items()},
            balanced=books.balanced,
            backlog=self._parts.journal.backlog,
            data=self._parts.gauge.used,
            failing=len(self._failures()),
            connections=len(self._parts.connections),
            ended={str(why): count for why, count in self._parts.connections.ended.items()},
            questions=self._question_facts(),
        )

    def _question_facts(self) -> QuestionFacts:
        desk, total = self._parts.desk, self._parts.desk.usage.total
        return QuestionFacts(
            endings={ending.value: total[ending.value] for ending in Ending},
            hit_share=desk.usage.hit_share,
            rows=total["rows_read"],
            bytes=total["bytes_read"],
            seconds=total["engine_ms"] / 1000,
            cpu=total["cpu_ms"] / 1000,
            running=desk.turns.running,
            waiting=desk.turns.waiting,
            cache_answers=len(desk.cache),
            cache_bytes=desk.cache.size,
        )

    def _books(self) -> Books:
        """
        Return the books of this moment.
        """
        return self._parts.journal.books(STORE, self._parts.destinations.names)

    def _lags(self) -> dict[str, tuple[float, int]]:
        """
        Return how far each stage is behind: the age of the oldest that waits, in seconds, and how many wait.
        """
        stages = {"stream": self._parts.stream.lag, STORE: self._parts.loading.lag, "rollups": self._parts.sets.lag}
        return stages | self._parts.destinations.lags

    def _failures(self) -> list[str]:
        directory = self._parts.force.configured.directory.state()
        away = [f"tenants: {directory.reason}"] if directory.reason else []
        here = [str(one) for one in (self._parts.stream.failure, self._parts.loading.failure) if one is not None]
        return [*away, *here, *filter(None, self._parts.destinations.failures.values())]

    async def _healthz(self, _request: Request) -> Response:
        return as_json({"status": "ok"})

    async def _readyz(self, _request: Request) -> Response:
        failures = self._failures()
        if self._parts.journal.backlog > JOURNAL_QUOTA_BYTES:
            full = "the journal is full: the lake or the store does not keep up"
            return problem(503, "Not ready", full, headers={"Retry-After": "5"})
        return as_json({"status": "ready", "failures": failures})


def _directory_state(state: DirectoryState, books: Books) -> dict[str, Any]:
    held = [(account.tenant, account.held) for account in books.accounts if account.held]
    since = state.unavailable_since
    return {
        "source": state.source,
        "unavailable_since": None if since is None else datetime.fromtimestamp(since, UTC).isoformat(),
        "reason": state.reason,
        "stale_tenants": state.stale_tenants,
        "stale_answers": state.stale_answers,
        "held": sum(amount for _, amount in held),
        "held_tenants": len({tenant for tenant, _ in held}),
    }
