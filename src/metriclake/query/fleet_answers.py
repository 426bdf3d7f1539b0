"""
Answer fleet questions: plan them by the metrics of all tenants, let the fleet's reader read, and arrange what it found.

One at a time, so that tenants' questions find connections free. Nothing is kept in memory.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec

from metriclake._errors import InvalidBody
from metriclake.query.answers import Declared, covered
from metriclake.query.arrange import as_text
from metriclake.query.fleet import plan_fleet, read_fleet, rows_of_tenants, rows_of_total
from metriclake.store import FleetReader, FleetView

MAX_BYTES = 256 * 1024


class FleetAnswers:
    """
    The answers over all tenants of one server.
    """

    def __init__(
        self,
        reader: FleetReader,
        declared: Callable[[], Declared],
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """
        Take what returns the measures that the pipeline file names, and what tells the moment.
        """
        self._reader = reader
        self._declared = declared
        self._clock = clock
        self._turn = threading.Lock()

    def catalogue(self) -> dict[str, Any]:
        """
        Return the metrics of all tenants; a measure with more than one type has `drifted`.
        """
        units = self._declared().units()
        return {
            "metrics": [
                {
                    "name": metric.name,
                    "first_time": as_text(metric.first),
                    "last_time": as_text(metric.last),
                    "dimensions": [*metric.dimensions, *metric.attributes],
                    "measures": [
                        {
                            "name": name,
                            "types": types,
                            "unit": units.get((metric.name, name)),
                            "drifted": len(types) > 1,
                        }
                        for name, types in sorted(metric.measures.items())
                    ],
                }
                for metric in self._reader.metrics().values()
            ]
        }

    def answer(self, body: bytes) -> dict[str, Any]:
        """
        Answer a fleet question in JSON: `columns`, `rows`, `meta`, where `tenants` is of how many there are events.

        Raises InvalidBody, InvalidQuestion with every fault, and QuestionTooLarge.
        """
        question = read_fleet(_decoded(body))
        with self._turn:
            began = time.perf_counter()
            planned = plan_fleet(question, self._reader.metrics(), self._declared().units(), self._clock())
            tenants = self._reader.tenants()
            if question.view in (FleetView.TOTAL, FleetView.ADOPTION):
                rows = rows_of_total(planned, self._reader.total(planned.selection), tenants)
            else:
                rows = rows_of_tenants(planned, self._reader.tenants_of(planned.selection))
            elapsed = round((time.perf_counter() - began) * 1000, 3)
        return {
            "columns": [column.as_json() for column in planned.columns],
            "rows": rows,
            "meta": {**covered(planned.made), "tenants": tenants, "elapsed_ms": elapsed},
        }


def _decoded(body: bytes) -> Any:
    if len(body) > MAX_BYTES:
        raise InvalidBody(f"a fleet question has at most {MAX_BYTES} bytes", 413)
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidBody(f"the fleet question is not JSON: {error}") from error
    except RecursionError as error:
        raise InvalidBody("the fleet question is nested too deeply") from error
