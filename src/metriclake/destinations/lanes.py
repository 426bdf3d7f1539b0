"""
What waits of each kind of call, and the requests that have their answer.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from metriclake.destinations.batches import fill
from metriclake.destinations.destination import Capabilities, Receipt, Repeats
from metriclake.destinations.tries import Job


@dataclass(slots=True, eq=False)
class Lane:
    """
    What waits of one kind: jobs in order, and parcels that go before them and stay as they are.
    """

    kind: str
    capabilities: Capabilities
    ready: deque[Job] = field(default_factory=deque)
    parcels: deque[list[Job]] = field(default_factory=deque)
    out: int = 0

    def pick(self) -> list[Job]:
        """
        Take the next batch; empty where nothing is ready.
        """
        if self.parcels:
            return self.parcels.popleft()
        count = fill((job.record for job in self.ready), self.capabilities)
        return [self.ready.popleft() for _ in range(count)]

    @property
    def noted_first(self) -> bool:
        """
        Tell whether a request must be noted before it leaves.

        Where it is sent again in any case, it makes no difference after a crash whether it had left.
        """
        return self.capabilities.repeats is not Repeats.HARMLESS and not self.capabilities.retry_unknown


@dataclass(slots=True)
class Answered:
    """
    A request that has its answer.
    """

    lane: Lane
    jobs: list[Job]
    left_at: int
    receipt: Receipt
