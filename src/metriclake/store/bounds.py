"""
What one statement of a tenant may use, what it did use, and what to say where it needs more.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from metriclake._errors import Fault, QuestionTooLarge, StoreError

_CODE = re.compile(r"Code: (\d+)\.")
_HINT = "ask for a shorter range, longer intervals or fewer groups, or filter"


@dataclass(frozen=True, slots=True)
class Bounds:
    """
    What one statement may use: seconds, bytes of memory, rows that it reads, rows of its answer, threads.

    `nice` is that of the threads (`GIVES_WAY`).
    """

    seconds: float = 10.0
    memory: int = 1024 * 1024 * 1024
    rows_read: int = 200_000_000
    rows: int = 100_000
    threads: int = 2
    nice: int = 0

    def settings(self) -> dict[str, Any]:
        """
        Return the engine's settings.
        """
        return {
            "max_execution_time": self.seconds,
            "max_memory_usage": self.memory,
            "max_rows_to_read": self.rows_read,
            "max_result_rows": self.rows,
            "max_threads": self.threads,
            "os_threads_nice_value_query": self.nice,
        }

    @property
    def too_many_rows(self) -> Fault:
        """
        Return the fault of an answer that has more rows than it may.
        """
        return Fault("question", f"has more than {self.rows} rows of answer", _HINT)

    def passed(self, error: StoreError) -> QuestionTooLarge | None:
        """
        Return what to say where a statement needed more; None where the store failed for another reason.
        """
        bounds = {
            "158": f"would read more than {self.rows_read} rows",
            "159": f"takes longer than {self.seconds:g} seconds",
            "241": f"needs more than {self.memory} bytes of memory",
            "396": self.too_many_rows.what,
        }
        code = _CODE.search(str(error))
        what = bounds.get(code[1] if code else "")
        return None if what is None else QuestionTooLarge((Fault("question", what, _HINT),))


@dataclass(slots=True)
class Spent:
    """
    What statements used: rows and bytes that they read from the store, and the seconds that they ran.

    The engine in process tells no CPU time of one statement: `seconds` are those from its start to its end, `cpu` those
    of the thread that asks, which plans the statement and does a part of it.
    """

    statements: int = 0
    rows: int = 0
    bytes: int = 0
    seconds: float = 0.0
    cpu: float = 0.0

    def add(self, summary: Mapping[str, Any], seconds: float) -> None:
        """
        Count a statement by what the engine says of it; `seconds` are how long it took, where the engine says nothing.
        """
        self.statements += 1
        self.rows += int(summary.get("read_rows", 0))
        self.bytes += int(summary.get("read_bytes", 0))
        self.seconds += int(summary["elapsed_ns"]) / 1_000_000_000 if "elapsed_ns" in summary else seconds
