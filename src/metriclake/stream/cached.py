"""
A directory in front of a source outside: the cache, the clock, and patience with a source that does not answer.

Each tenant is asked for by one caller at a time; the others wait for that answer. A source that hangs is given up
after its time, and what it answers later is not heard.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Iterable, Sequence

from metriclake.stream.cache import Asked, CacheTerms, TenantCache
from metriclake.stream.directory import Attributes, DirectoryState
from metriclake.stream.sources.source import Looked, Source

_LOG = logging.getLogger(__name__)
_GRACE_SECONDS = 0.5
"""How much longer than its time a source may take to say what it has found out within it."""

_MOST_HANGING = 4


class CachedDirectory:
    """
    A source outside, asked as seldom as the cache's terms allow.
    """

    def __init__(self, source: Source, terms: CacheTerms, timeout: float) -> None:
        """
        `timeout` is how many seconds one look-up may take.
        """
        self._source = source
        self._cache = TenantCache(terms)
        self._timeout = timeout
        self._changed = threading.Condition()
        self._asked_for: set[str] = set()
        self._hanging = 0
        self._down: tuple[float, str] | None = None
        self._stale: set[str] = set()
        self._stale_answers = 0

    def resolve(self, tenants: Iterable[str]) -> dict[str, Attributes | None]:
        """
        Return what is known of each tenant; those of whom nothing can be said now are missing.
        """
        found: dict[str, Attributes | None] = {}
        left = list(dict.fromkeys(tenants))
        while left:
            mine, others = self._take(left, found)
            if mine:
                self._note(found, self._ask(mine))
            left = others
            if others:
                self._await(others)
        return found

    def state(self) -> DirectoryState:
        """
        Return since when and why the source does not answer, and how many stale values that means.
        """
        with self._changed:
            since, reason = self._down or (None, "")
            return DirectoryState(self._source.kind, since, reason, len(self._stale), self._stale_answers)

    def close(self) -> None:
        """
        Close the source's connections.
        """
        self._source.close()

    def _take(self, tenants: Sequence[str], found: dict[str, Attributes | None]) -> tuple[list[str], list[str]]:
        """
        Take from the cache what it has; returns whom this caller must ask for, and whom another caller asks for.
        """
        with self._changed:
            asked = self._cache.ask(tenants, time.monotonic())
            self._record(found, asked)
            mine = [tenant for tenant in asked.missing if tenant not in self._asked_for]
            others = [tenant for tenant in asked.missing if tenant in self._asked_for]
            self._asked_for.update(mine)
        return mine, others

    def _ask(self, mine: Sequence[str]) -> Asked:
        looked = Looked(failure="the tenants' directory was not asked")
        try:
            looked = self._look_up(mine)
        finally:
            with self._changed:
                learned = self._cache.learn(mine, looked.answers, time.monotonic(), down=looked.down)
                self._stale.difference_update(looked.answers)
                self._judge(looked)
                self._asked_for.difference_update(mine)
                self._changed.notify_all()
        return learned

    def _await(self, others: Sequence[str]) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._asked_for.isdisjoint(others))

    def _note(self, found: dict[str, Attributes | None], asked: Asked) -> None:
        with self._changed:
            self._record(found, asked)

    def _record(self, found: dict[str, Attributes | None], asked: Asked) -> None:
        found.update(asked.answers)
        self._stale.update(asked.stale)
        self._stale_answers += len(asked.stale)

    def _judge(self, looked: Looked) -> None:
        """
        Say in the log when the source fails first and when it answers again.
        """
        if looked.failure and self._down is None:
            _LOG.warning("the tenants' directory does not answer", extra={"reason": looked.failure})
        if not looked.failure and self._down is not None:
            _LOG.info("the tenants' directory answers again")
            self._stale.clear()
        since = self._down[0] if self._down else time.time()
        self._down = (since, looked.failure) if looked.failure else None

    def _look_up(self, tenants: Sequence[str]) -> Looked:
        """
        Ask the source in a thread of its own, and wait for it no longer than its time.
        """
        with self._changed:
            if self._hanging >= _MOST_HANGING:
                return Looked(failure="the tenants' directory hangs: earlier questions are unanswered", down=True)
        answer: queue.SimpleQueue[Looked] = queue.SimpleQueue()
        given_up = threading.Event()
        threading.Thread(target=self._run, args=(tenants, answer, given_up), name="tenants", daemon=True).start()
        try:
            return answer.get(timeout=self._timeout + _GRACE_SECONDS)
        except queue.Empty:
            with self._changed:
                if not answer.empty():
                    return answer.get()
                given_up.set()
                self._hanging += 1
            return Looked(failure=f"the tenants' directory does not answer within {self._timeout:g} s", down=True)

    def _run(self, tenants: Sequence[str], answer: queue.SimpleQueue[Looked], given_up: threading.Event) -> None:
        try:
            looked = self._source.look_up(tenants, self._timeout)
        except Exception as error:  # noqa: BLE001 - whatever it is, the source gave no answer
            looked = Looked(failure=f"the tenants' directory failed ({type(error).__name__})", down=True)
        with self._changed:
            answer.put(looked)
            self._hanging -= given_up.is_set()
