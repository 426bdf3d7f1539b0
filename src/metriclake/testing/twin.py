"""
A local stand-in for a service that a destination sends to: what all twins have in common.

A twin of a service adds one method, `judge`: what the service would answer to a request, and which records it would
keep. Whether that happens is decided here, since a twin can be told to fail.
"""

from __future__ import annotations

import hashlib
import time
import zlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from threading import Condition
from types import TracebackType
from typing import Any, ClassVar, Self
from urllib.parse import parse_qsl

import msgspec

from metriclake.testing.clock import Clock
from metriclake.testing.failing import Drop, Failure, Order, Orders, Refuse, Slow, Status, WrongRegion
from metriclake.testing.loopback import Answer, Loopback, Reply, Request
from metriclake.testing.record import Arrival, Counts, Keep, Ledger, Refusal, Rejected, Rule, Seen, Taken

MOST_BYTES = 64 * 1024 * 1024
"""More than any of the services takes; a body beyond it is not read."""

_UNTIL_SECONDS = 10.0
_GZIP = 16 + zlib.MAX_WBITS


@dataclass(frozen=True, slots=True)
class Asked:
    """
    A request as a service sees it: the body decompressed, the query decoded.
    """

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    refusals: Sequence[Refuse] = ()

    @property
    def media_type(self) -> str:
        """
        Return the type of the body, without parameters.
        """
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    def refused(self, record: Any) -> Refusal | None:
        """
        Return why a record is refused on order, if it is.
        """
        return next((Refusal(record, order.reason) for order in self.refusals if order.when(record)), None)


@dataclass(frozen=True, slots=True)
class Verdict:
    """
    What a service would do: answer, keep records, leave others out, and change what else it has.
    """

    answer: Answer
    taken: Sequence[Arrival] = ()
    rejected: Sequence[Refusal] = ()
    changes: Sequence[Callable[[], None]] = ()


class Unreadable(Exception):  # noqa: N818 - a verdict on a body, which never leaves this package
    """
    A body cannot be decompressed; `status` is what a server would say to it.
    """

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class Twin(ABC):
    """
    A server on 127.0.0.1 while a `with` statement lasts. All of it may be used from any thread.
    """

    RULES: ClassVar[tuple[Rule, ...]]
    compressions: ClassVar[frozenset[str]] = frozenset({"gzip"})
    regional: ClassVar[bool] = False

    def __init__(
        self, clock: Clock | None, keep: Keep | None, look_back: float | None = None, *, latest: bool = False
    ) -> None:
        """
        `clock` and `keep` are for tests that move the time or send much; the rest is the service's deduplication.
        """
        self.clock = clock or Clock()
        self._ledger = Ledger(keep or Keep(), look_back, latest=latest)
        self._orders = Orders()
        self._changed = Condition()
        self._loopback = Loopback(self._handle, MOST_BYTES)
        self._fault: Exception | None = None

    @abstractmethod
    def judge(self, asked: Asked, now: float) -> Verdict:
        """
        Return what the service would do with a request. It is called by one thread at a time.
        """

    @abstractmethod
    def failing(self, status: int) -> Answer:
        """
        Return how the service answers with a status of 400 or more.
        """

    def __enter__(self) -> Self:
        """
        Begin to listen.
        """
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """
        Stop; where the twin itself failed, say so unless something else is being raised.
        """
        self._loopback.stop()
        if kind is None:
            self._raise_fault()

    def start(self) -> Self:
        """
        Begin to listen, on a free port.
        """
        self._loopback.start()
        return self

    def stop(self) -> None:
        """
        Hang up and end; RuntimeError where a request could not be judged, such as by an order's `when` that raised.
        """
        self._loopback.stop()
        self._raise_fault()

    @property
    def url(self) -> str:
        """
        Return where it listens, without a path.
        """
        if not self._loopback.port:
            raise RuntimeError("this twin is not running: use it in a `with` statement, or start() it")
        return f"http://127.0.0.1:{self._loopback.port}"

    @property
    def taken(self) -> tuple[Taken, ...]:
        """
        Return the records that are there, in the order of their arrival, after the service's deduplication.
        """
        with self._changed:
            return tuple(self._ledger.taken.values())

    @property
    def records(self) -> tuple[Any, ...]:
        """
        Return the records of `taken` alone.
        """
        return tuple(taken.record for taken in self.taken)

    @property
    def debugger(self) -> tuple[Rejected, ...]:
        """
        Return the records that were not accepted, each with its reason, also where the answer did not tell.
        """
        with self._changed:
            return tuple(self._ledger.rejected)

    @property
    def requests(self) -> tuple[Seen, ...]:
        """
        Return the requests, in the order of their arrival.
        """
        with self._changed:
            return tuple(self._ledger.requests)

    @property
    def counts(self) -> Counts:
        """
        Return how many there were until now.
        """
        with self._changed:
            return deepcopy(self._ledger.counts)

    def fail(
        self, failure: Failure | int, *, times: int | None = None, share: float = 1.0, path: str = "", seed: int = 0
    ) -> Order:
        """
        Fail from now on: for so many requests, a share of them, those below a path, or all until the order is stopped.

        A number is a status. Of several orders the one given first meets a request; refusals of records all do.
        """
        if isinstance(failure, int):
            failure = Status(failure)
        if isinstance(failure, WrongRegion) and not self.regional:
            raise ValueError(f"what {type(self).__name__} does in a wrong region is not documented")
        order = Order(failure, times, share, path, seed)
        with self._changed:
            self._orders.given.append(order)
        return order

    def heal(self) -> None:
        """
        Stop all failures.
        """
        with self._changed:
            self._orders.given.clear()

    def away(self) -> None:
        """
        Refuse connections, as a host that is down, and hang up those that are open.
        """
        self._loopback.hang_up()

    def back(self) -> None:
        """
        Listen again, at the same place.
        """
        self._loopback.listen()

    def until(self, holds: Callable[[Counts], bool], seconds: float = _UNTIL_SECONDS) -> None:
        """
        Wait until the counts are as wanted; TimeoutError where that takes longer.
        """
        end = time.monotonic() + seconds
        with self._changed:
            while not holds(self._ledger.counts):
                if not self._changed.wait(end - time.monotonic()) and time.monotonic() >= end:
                    raise TimeoutError(f"what was waited for did not come in {seconds} s: {self._ledger.counts}")

    def _handle(self, request: Request) -> Reply:
        with self._changed:
            try:
                return self._reply(request)
            except Exception as error:  # noqa: BLE001 - what is wrong with the twin is told to the test, not to the client
                self._fault = self._fault or error
                return Reply(Answer(500))
            finally:
                self._changed.notify_all()

    def _reply(self, request: Request) -> Reply:
        now = self.clock()
        counts = self._ledger.counts
        counts.requests += 1
        number = counts.requests
        failure, refusals = self._orders.meeting(request.path)
        asked, unreadable = self._asked(request, refusals)

        answer: Answer | None = None
        if not isinstance(failure, Status | Drop) or failure.stored:
            verdict = self.judge(asked, now) if not unreadable else Verdict(self.failing(unreadable))
            self._commit(verdict, now, number, elsewhere=isinstance(failure, WrongRegion))
            answer = verdict.answer

        reply = self._failed(failure, answer)
        self._ledger.see(_seen(asked, number, now, failure or (refusals or (None,))[0], reply))
        return reply

    def _asked(self, request: Request, refusals: tuple[Refuse, ...]) -> tuple[Asked, int]:
        status, body = 0, request.body
        try:
            body = _unpacked(body, request.headers.get("content-encoding", ""), self.compressions)
        except Unreadable as error:
            status = error.status
        query = dict(parse_qsl(request.query, keep_blank_values=True))
        return Asked(request.method, request.path, query, request.headers, body, refusals), status

    def _commit(self, verdict: Verdict, now: float, number: int, *, elsewhere: bool) -> None:
        if elsewhere:
            self._ledger.counts.elsewhere += len(verdict.taken)
            return
        for arrival in verdict.taken:
            self._ledger.take(arrival, now, number)
        for refusal in verdict.rejected:
            self._ledger.reject(refusal, now, number)
        for change in verdict.changes:
            change()

    def _failed(self, failure: Failure | None, answer: Answer | None) -> Reply:
        """
        Return what becomes of an answer on order.
        """
        match failure:
            case Status(status=status, headers=headers, body=body):
                own = self.failing(status)
                return Reply(Answer(status, {**own.headers, **(headers or {})}, own.body if body is None else body))
            case Drop(partly=True):
                return Reply(answer, broken=True)
            case Drop():
                return Reply(None)
            case Slow(seconds=seconds):
                return Reply(answer, seconds)
            case _:
                return Reply(answer)

    def _raise_fault(self) -> None:
        if self._fault is not None:
            raise RuntimeError("the twin could not judge a request") from self._fault


def as_json(status: int, value: Any, headers: Mapping[str, str] | None = None) -> Answer:
    """
    Return an answer in JSON.
    """
    return Answer(status, {"Content-Type": "application/json", **(headers or {})}, msgspec.json.encode(value))


def _seen(asked: Asked, number: int, now: float, failure: Failure | None, reply: Reply) -> Seen:
    return Seen(
        number=number,
        at=now,
        method=asked.method,
        path=asked.path,
        query=asked.query,
        headers=asked.headers,
        size=len(asked.body),
        digest=hashlib.blake2b(asked.body, digest_size=16).hexdigest(),
        status=0 if reply.answer is None or reply.broken else reply.answer.status,
        failure=type(failure).__name__ if failure is not None else "",
    )


def _unpacked(body: bytes, encoding: str, known: frozenset[str]) -> bytes:
    """
    Return a body without its compression, which is one that the service knows.
    """
    if encoding.lower() in ("", "identity"):
        return body
    if encoding.lower() not in known:
        raise Unreadable(415)
    unpacking = zlib.decompressobj(_GZIP)
    try:
        unpacked = unpacking.decompress(body, MOST_BYTES)
    except zlib.error:
        raise Unreadable(400) from None
    if unpacking.unconsumed_tail:
        raise Unreadable(413)
    if not unpacking.eof:
        raise Unreadable(400)
    return unpacked
