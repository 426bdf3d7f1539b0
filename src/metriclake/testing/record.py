"""
What a twin remembers: counts of everything, and the last of each kind up to a bound.
"""

from __future__ import annotations

from collections import Counter, OrderedDict, deque
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any


@dataclass(frozen=True, slots=True)
class Rule:
    """
    One thing that a twin does as the service does: the fact, and where the service says so.

    An empty `source` marks what the service does not document: there the twin does what harms a sender most, or least
    surprises one, and docs/testing.md says which.
    """

    name: str
    fact: str
    source: str = ""


@dataclass(frozen=True, slots=True)
class Taken:
    """
    A record that is there, as the service keeps it; when it arrived, and in which request.
    """

    kind: str
    record: Any
    at: float
    request: int


@dataclass(frozen=True, slots=True)
class Rejected:
    """
    A record that is not there: why, and by which rule, whatever was answered. `rule` is empty for a failure on order.
    """

    record: Any
    reason: str
    rule: str
    at: float
    request: int


@dataclass(frozen=True, slots=True)
class Seen:
    """
    A request: what it brought, what was answered (0 for nothing) and which failure on order it met.

    `size` and `digest` are of the body after decompression, so that two attempts can be compared.
    """

    number: int
    at: float
    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str] = field(repr=False)
    size: int = 0
    digest: str = ""
    status: int = 0
    failure: str = ""


@dataclass(slots=True)
class Counts:
    """
    How many there were since the start, whatever was kept of them.

    Of the records that were accepted, `taken` are there, `repeated` were known already, `elsewhere` went to another
    region; `rejected` were not accepted. `statuses` counts answers, with 0 for connections that were hung up.
    """

    requests: int = 0
    taken: int = 0
    repeated: int = 0
    rejected: int = 0
    elsewhere: int = 0
    statuses: Counter[int] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class Keep:
    """
    How much a twin remembers: the last `records`, rejected records and `requests`, and the identities of the last ones.

    A record takes as much memory as it has text, an identity about 300 bytes.
    """

    records: int = 100_000
    requests: int = 10_000
    identities: int = 1_000_000


@dataclass(frozen=True, slots=True)
class Arrival:
    """
    A record on its way in; without an identity it is never known already.
    """

    kind: str
    record: Any
    identity: Hashable = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """
    A record that stays out.
    """

    record: Any
    reason: str
    rule: str = ""


class Ledger:
    """
    Records and requests of one twin. Its caller lets in one thread at a time.
    """

    def __init__(self, keep: Keep, look_back: float | None, *, latest: bool) -> None:
        """
        Know an identity for `look_back` seconds, or for ever; where it comes again, the `latest` record stays.
        """
        self.counts = Counts()
        self.requests: deque[Seen] = deque(maxlen=keep.requests)
        self.rejected: deque[Rejected] = deque(maxlen=keep.records)
        self.taken: OrderedDict[int, Taken] = OrderedDict()
        self._keep = keep
        self._look_back = look_back
        self._latest = latest
        self._known: OrderedDict[Hashable, tuple[float, int]] = OrderedDict()
        self._numbers = count()

    def take(self, arrival: Arrival, at: float, request: int) -> None:
        """
        Keep a record, unless its identity is known.
        """
        record = Taken(arrival.kind, arrival.record, at, request)
        number = next(self._numbers)
        if arrival.identity is not None:
            first, before = self._known.get(arrival.identity, (None, number))
            if first is not None and (self._look_back is None or at - first < self._look_back):
                self.counts.repeated += 1
                if self._latest and before in self.taken:
                    self.taken[before] = record
                return
            self._remember(arrival.identity, at, number)
        self.counts.taken += 1
        self.taken[number] = record
        if len(self.taken) > self._keep.records:
            self.taken.popitem(last=False)

    def reject(self, refusal: Refusal, at: float, request: int) -> None:
        """
        Keep what stays out, and why.
        """
        self.counts.rejected += 1
        self.rejected.append(Rejected(refusal.record, refusal.reason, refusal.rule, at, request))

    def see(self, seen: Seen) -> None:
        """
        Keep a request.
        """
        self.counts.statuses[seen.status] += 1
        self.requests.append(seen)

    def _remember(self, identity: Hashable, at: float, number: int) -> None:
        self._known[identity] = (at, number)
        self._known.move_to_end(identity)
        if len(self._known) > self._keep.identities:
            self._known.popitem(last=False)
