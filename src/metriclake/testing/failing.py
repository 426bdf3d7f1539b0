"""
What a twin can be told to do wrong, and which requests that is for. Pure, but for the order's own counting.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class Status:
    """
    Answer with a status instead of taking the request; `stored` takes it first, as behind a gateway that gave up.

    Without `body` and `headers` the answer is the one that this service gives with such a status.
    """

    status: int
    headers: Mapping[str, str] | None = None
    body: bytes | None = None
    stored: bool = False

    def __post_init__(self) -> None:
        """
        Refuse what is no status, and a success without the words of one.
        """
        if not 200 <= self.status <= 599:
            raise ValueError("an answer's status is a number from 200 to 599")
        if self.status < 400 and self.body is None:
            raise ValueError("for a status below 400 say what the body is: Status(200, body=b'...')")


@dataclass(frozen=True, slots=True)
class Drop:
    """
    Hang up. Before the request was looked at, or `stored`: after all of it was taken, the classic cause of duplicates.

    `partly` sends half of the answer first, to a request that is stored.
    """

    stored: bool = False
    partly: bool = False

    def __post_init__(self) -> None:
        """
        Refuse half an answer to what was not taken: there is none.
        """
        if self.partly and not self.stored:
            raise ValueError("half an answer needs a request that was taken: Drop(stored=True, partly=True)")


@dataclass(frozen=True, slots=True)
class Slow:
    """
    Take the request at once, and answer it after so many seconds.
    """

    seconds: float


@dataclass(frozen=True, slots=True)
class Refuse:
    """
    Refuse each record for which `when` holds, with a reason, in the way that this service refuses a part of a request.
    """

    when: Callable[[Any], bool]
    reason: str = "refused on order"


@dataclass(frozen=True, slots=True)
class WrongRegion:
    """
    Answer as always and keep nothing, as Segment's endpoint of another region does.
    """


Failure = Status | Drop | Slow | Refuse | WrongRegion


class Order:
    """
    A failure that a twin was told, for some of its requests, until it is used up or stopped.

    As a context manager it is stopped at the end.
    """

    def __init__(self, failure: Failure, times: int | None, share: float, path: str, seed: int) -> None:
        """
        For at most `times` requests whose path begins with `path`, and of those for a `share`, drawn from `seed`.
        """
        if times is not None and times < 1:
            raise ValueError("a failure is for at least one request: leave `times` out for one that goes on")
        if not 0 < share <= 1:
            raise ValueError("`share` is a part of the requests: more than 0, at most 1")
        self.failure = failure
        self.happened = 0
        self._stopped = False
        self._left = times
        self._share = share
        self._path = path
        self._chance = random.Random(seed)  # noqa: S311 - the same requests in each run, and no secret

    def __enter__(self) -> Self:
        """
        Return the order.
        """
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """
        Stop.
        """
        self.stop()

    def stop(self) -> None:
        """
        Let later requests through.
        """
        self._stopped = True

    @property
    def over(self) -> bool:
        """
        Tell whether no request is met any more.
        """
        return self._stopped or self._left == 0

    def meets(self, path: str) -> bool:
        """
        Tell whether the next request is met, and count it if so.
        """
        if self.over or not path.startswith(self._path):
            return False
        if self._share < 1 and self._chance.random() >= self._share:
            return False
        if self._left is not None:
            self._left -= 1
        self.happened += 1
        return True


@dataclass(slots=True)
class Orders:
    """
    All that a twin was told, in the order in which it was told.
    """

    given: list[Order] = field(default_factory=list)

    def meeting(self, path: str) -> tuple[Failure | None, tuple[Refuse, ...]]:
        """
        Return what becomes of the next request as a whole, by the first order that meets it, and of its records.
        """
        self.given = [order for order in self.given if not order.over]
        refusals = tuple(
            order.failure for order in self.given if isinstance(order.failure, Refuse) and order.meets(path)
        )
        wholes = (order for order in self.given if not isinstance(order.failure, Refuse))
        return next((order.failure for order in wholes if order.meets(path)), None), refusals
