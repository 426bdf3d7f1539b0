"""
Count what each tenant's questions and exports took, since the process started.
"""

from __future__ import annotations

import threading
from collections import Counter, OrderedDict
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from metriclake.store import Spent

OTHERS = "(other tenants)"
"""The name under which those are counted together that have not asked for the longest; no tenant can have it."""

_MOST_TENANTS = 10_000


class Ending(StrEnum):
    """
    How a question ended.

    `cached` was answered from memory, `shared` by the statement of an equal question that was being asked; `over_limit`
    was sent away, `too_large` needed more than it may, `invalid` could not be asked, `failed` is the server's fault.
    """

    ANSWERED = "answered"
    CACHED = "cached"
    SHARED = "shared"
    OVER_LIMIT = "over_limit"
    TOO_LARGE = "too_large"
    INVALID = "invalid"
    FAILED = "failed"


@dataclass(slots=True)
class _Account:
    endings: Counter[str] = field(default_factory=Counter)
    exports: int = 0
    statements: int = 0
    rows: int = 0
    bytes: int = 0
    seconds: float = 0.0
    cpu: float = 0.0

    def add(self, other: _Account) -> None:
        self.endings.update(other.endings)
        self.exports += other.exports
        self.statements += other.statements
        self.rows += other.rows
        self.bytes += other.bytes
        self.seconds += other.seconds
        self.cpu += other.cpu

    def as_json(self) -> dict[str, Any]:
        return {
            "questions": self.endings.total(),
            **{ending.value: self.endings[ending] for ending in Ending},
            "exports": self.exports,
            "statements": self.statements,
            "rows_read": self.rows,
            "bytes_read": self.bytes,
            "engine_ms": round(self.seconds * 1000, 3),
            "cpu_ms": round(self.cpu * 1000, 3),
        }


class Usage:
    """
    The accounts of one process. Any thread may use it.
    """

    def __init__(self, now: datetime | None = None, most: int = _MOST_TENANTS) -> None:
        """
        `now` is when the counting starts; `most` is how many tenants have an account of their own.
        """
        self._since = now or datetime.now(UTC)
        self._most = most
        self._lock = threading.Lock()
        self._accounts: OrderedDict[str, _Account] = OrderedDict()
        self._total = _Account()
        self._others = _Account()

    def ended(self, tenant: str, ending: Ending) -> None:
        """
        Count a question.
        """
        with self._lock:
            for account in (self._account(tenant), self._total):
                account.endings[ending] += 1

    def exported(self, tenant: str) -> None:
        """
        Count an export that has begun; what it takes is told as it goes on.
        """
        with self._lock:
            for account in (self._account(tenant), self._total):
                account.exports += 1

    def spent(self, tenant: str, spent: Spent) -> None:
        """
        Count what statements took.
        """
        with self._lock:
            for account in (self._account(tenant), self._total):
                account.statements += spent.statements
                account.rows += spent.rows
                account.bytes += spent.bytes
                account.seconds += spent.seconds
                account.cpu += spent.cpu

    @property
    def total(self) -> dict[str, Any]:
        """
        Return the account of all tenants together.
        """
        with self._lock:
            return self._total.as_json()

    @property
    def hit_share(self) -> float:
        """
        Return the share of the questions that were answered from memory, of all that were answered; 0 where none was.
        """
        with self._lock:
            endings = self._total.endings
            answered = endings[Ending.ANSWERED] + endings[Ending.CACHED] + endings[Ending.SHARED]
            return endings[Ending.CACHED] / answered if answered else 0.0

    def forget(self, tenant: str) -> None:
        """
        Count what a tenant took among the others' from now on.
        """
        with self._lock:
            self._others.add(self._accounts.pop(tenant, _Account()))

    def of(self, tenant: str) -> dict[str, Any]:
        """
        Return a tenant's account, one of nothing where it has none of its own.
        """
        with self._lock:
            return self._accounts.get(tenant, _Account()).as_json()

    def as_json(self) -> dict[str, Any]:
        """
        Return every account, the one that took most of the engine's time first.
        """
        with self._lock:
            named = sorted(self._accounts.items(), key=lambda item: (-item[1].seconds, item[0]))
            rest = [(OTHERS, self._others)] if self._others != _Account() else []
            tenants = [{"tenant": tenant, **account.as_json()} for tenant, account in [*named, *rest]]
            return {"since": self._since.isoformat(), "tenants": tenants, "total": self._total.as_json()}

    def _account(self, tenant: str) -> _Account:
        account = self._accounts.setdefault(tenant, _Account())
        self._accounts.move_to_end(tenant)
        if len(self._accounts) > self._most:
            self._others.add(self._accounts.popitem(last=False)[1])
        return account
