"""
Drive the stream: watch the journal, close batches, write their objects, announce them.

One thread a partition makes a batch ready, and another one writes and announces the batch before it meanwhile: in
order, one at a time. Everything that decides is in `batcher`, `steps` and `compose`; here are the clock, the journal,
the directory and the lake. A worker that dies anywhere is followed by one that does the same again, with the same
result: seals, the directory's answers and objects are each made once.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Protocol

from metriclake._errors import MetriclakeError, StageFailed
from metriclake.books import Delta
from metriclake.entry import Announcement, EntryInfo, Held, HeldInfo, Seal, StoredEntry
from metriclake.stream.batcher import Close, Limits, Wait, Waiting, decide
from metriclake.stream.compose import Plan
from metriclake.stream.composer import Composer, LocalComposer, Ready
from metriclake.stream.directory import Directory
from metriclake.stream.held import Verdict, choose, decode_verdict, encode_verdict
from metriclake.stream.lake import Lake
from metriclake.stream.objects import ObjectWriter, announcement_of, deltas_of

PARTITION = 0
"""The embedded journal has one."""

_LOG = logging.getLogger(__name__)
_RETRY_SECONDS = 1.0
_IDLE_SECONDS = 0.5
_FREE_SECONDS = 1.0
"""How often the directory is asked for the tenants of whom something is held."""

_MOST_FREED = 500
"""Tenants of whom what is held is looked at for one seal: the directory is asked for no more than those."""


class StreamJournal(Protocol):
    """
    What the stream needs of the journal.
    """

    @property
    def identity(self) -> str:
        """
        Return the journal's own name.
        """

    def wait(self, timeout: float) -> bool:
        """
        Wait until something was appended.
        """

    def pending(self, partition: int, after: int) -> list[EntryInfo]:
        """
        Return what stands after an offset.
        """

    def read(self, partition: int, first: int, last: int) -> list[StoredEntry]:
        """
        Return the entries of a range.
        """

    def last_sealed(self, partition: int) -> Seal | None:
        """
        Return the newest seal.
        """

    def unannounced(self, partition: int) -> list[Seal]:
        """
        Return the seals whose objects are not announced.
        """

    def seal(self, seal: Seal) -> None:
        """
        Close a batch.
        """

    def pin(self, seal: Seal, answers: bytes, freed: Sequence[int] = ()) -> bytes:
        """
        Keep the directory's answers for a seal and take what it frees; the first wins.
        """

    def held_tenants(self, partition: int) -> dict[str, int]:
        """
        Return of whom something is held, with the oldest arrival.
        """

    def held(self, partition: int, tenant: str) -> list[HeldInfo]:
        """
        Return what is held of a tenant, in order.
        """

    def freed(self, seal: Seal) -> list[Held]:
        """
        Return what a seal has taken of what was held.
        """

    def announce(
        self, seal: Seal, announcement: Announcement | None, deltas: Sequence[Delta], held: Sequence[Held] = ()
    ) -> int | None:
        """
        Announce, checkpoint, count, hold and free, and trim.
        """


class StreamWorker:
    """
    The stream of one partition, in threads of its own.
    """

    def __init__(
        self, journal: StreamJournal, lake: Lake, directory: Directory, plan_of: Callable[[int | None], Plan],
        limits: Callable[[], Limits], composer: Composer | None = None,
    ) -> None:  # fmt: skip
        """
        `plan_of` returns the plan of a version, and of None the one in force; `limits` the buffer in force.

        `composer` makes the objects: where none is given, in this process.
        """
        self._journal = journal
        self._directory = directory
        self._plan_of = plan_of
        self._limits = limits
        self._partition = PARTITION
        self._composer: Composer = composer or LocalComposer(plan_of)
        self._stop = threading.Event()
        self._waiting: deque[Waiting] = deque()
        self._sealed: deque[Waiting] = deque()
        self._written: Future[None] | None = None
        self._holds = False
        self._seen = 0
        self._recovered = False
        self._free_at = 0.0
        self._last_freed = ""
        self._thread = threading.Thread(target=self._run, name=f"stream-{PARTITION}", daemon=True)
        self._writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"lake-{PARTITION}")
        self._objects = ObjectWriter(lake, f"archive-{PARTITION}")
        self.failure: MetriclakeError | None = None
        self.announced = threading.Event()
        self.heard: Callable[[], None] = self.announced.set

    def start(self) -> None:
        """
        Start the thread.
        """
        self._thread.start()

    def stop(self) -> None:
        """
        Flush what waits, and end; returns when all of it is announced or has failed.
        """
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join()
        self._writer.shutdown()
        self._objects.close()
        self._composer.close()

    @property
    def lag(self) -> tuple[float, int]:
        """
        Return how old the oldest entry is that no announced object holds, in seconds, and how many such entries wait.
        """
        waiting = (*self._sealed, *self._waiting)
        return (max(0.0, time.monotonic() - waiting[0].seen) if waiting else 0.0, len(waiting))

    def _run(self) -> None:
        while True:
            try:
                if not self._recovered:
                    self._recover()
                    self._recovered = True
                if self._turn():
                    return
            except Exception as error:  # noqa: BLE001 - whatever it is, the stream says it and tries again
                self._recovered = False
                if self._give_up(error):
                    return

    def _give_up(self, error: Exception) -> bool:
        """
        Say what failed, and wait for a while; True when the server is stopping and a further try would delay it.
        """
        self.failure = StageFailed(f"the stream waits and tries again: {error}")
        _LOG.error("stream failed, nothing is lost", extra={"partition": self._partition, "error": str(error)})
        return self._stop.wait(_RETRY_SECONDS)

    def _recover(self) -> None:
        """
        Finish the seals that an earlier worker left, and start after the last of them.
        """
        self._composer.start()
        if self._written is not None:
            wait([self._written])
            self._written = None
        for seal in self._journal.unannounced(self._partition):
            self._finish(seal)
        self._settle()
        last = self._journal.last_sealed(self._partition)
        self._seen = last.last if last else 0
        self._waiting.clear()
        self._sealed.clear()
        self.failure = None

    def _turn(self) -> bool:
        """
        Look, decide, act once; True when there is nothing left to do and the server is stopping.
        """
        stopping = self._stop.is_set()
        if self._written is not None and self._written.done():
            self._settle()
        self._look()
        verdict = decide(self._waiting, time.monotonic(), self._limits(), flush=stopping)
        if isinstance(verdict, Close):
            self._finish(self._seal(verdict))
            return False
        if stopping:
            self._settle()
            return True
        if self._free():
            return False
        self._journal.wait(self._patience(verdict))
        return False

    @staticmethod
    def _patience(verdict: Wait) -> float:
        return _IDLE_SECONDS if verdict.seconds is None else min(verdict.seconds, _IDLE_SECONDS)

    def _look(self) -> None:
        now = time.monotonic()
        for info in self._journal.pending(self._partition, self._seen):
            self._waiting.append(Waiting(info.offset, info.size, info.arrived_at, now))
            self._seen = info.offset

    def _free(self) -> bool:
        """
        Make a seal of what is held alone, where the directory answers for some of its tenants; False where not.
        """
        if time.monotonic() < self._free_at:
            return False
        self._free_at = time.monotonic() + _FREE_SECONDS
        tenants_held = self._journal.held_tenants(self._partition)
        some = self._some(tenants_held)
        can_go = some if not self._plan_of(None).wait else list(self._directory.resolve(some))
        if not can_go:
            return False
        self._finish(self._seal(Close(0), min(tenants_held[tenant] for tenant in can_go)), some)
        self._free_at = 0.0
        return True

    def _some(self, tenants_held: Iterable[str]) -> list[str]:
        """
        Return some of the tenants, others each time, so that those for whom the directory fails stand in no one's way.
        """
        ordered = sorted(tenants_held)
        some = [tenant for tenant in ordered if tenant > self._last_freed][:_MOST_FREED]
        some += ordered[: _MOST_FREED - len(some)] if len(some) < len(ordered) else []
        self._last_freed = some[-1] if some else ""
        return list(dict.fromkeys(some))

    def _seal(self, verdict: Close, oldest_at: int = 0) -> Seal:
        batch = [self._waiting[index] for index in range(verdict.entries)]
        last = self._journal.last_sealed(self._partition)
        after = last.last + 1 if last else 1
        seal = Seal(
            journal=self._journal.identity,
            partition=self._partition,
            number=last.number + 1 if last else 1,
            first=batch[0].offset if batch else after,
            last=batch[-1].offset if batch else after - 1,
            oldest_at=min(entry.arrived_at for entry in batch) if batch else oldest_at,
            sealed_at=time.time_ns() // 1000,
            version=self._plan_of(None).version,
        )
        self._journal.seal(seal)
        self._sealed.extend(self._waiting.popleft() for _ in batch)
        return seal

    def _finish(self, seal: Seal, to_free: Sequence[str] = ()) -> None:
        """
        Make a seal's objects ready, and let them be written when those of the seal before are announced.

        `to_free` are tenants of whom what is held may go on with it.
        """
        if self._holds:
            self._settle()
        ready = self._ready(seal, to_free)
        self._settle()
        self._holds = bool(ready.held)
        self._written = self._writer.submit(self._write, seal, ready)

    def _settle(self) -> None:
        """
        Wait until what is being written is announced; raises what went wrong with it.
        """
        written, self._written = self._written, None
        if written is not None:
            written.result()

    def _ready(self, seal: Seal, to_free: Sequence[str]) -> Ready:
        here = self._composer.sort(seal, self._journal.read(self._partition, seal.first, seal.last))
        verdict = self._pin(seal, here, to_free)
        return self._composer.compose(verdict, self._journal.freed(seal))

    def _write(self, seal: Seal, ready: Ready) -> None:
        """
        Put a seal's objects into the lake, and announce them.
        """
        manifest = self._objects.write(ready.composed)
        announcement = announcement_of(manifest, ready.composed.path)
        self._journal.announce(seal, announcement, deltas_of(manifest), ready.held)
        while self._sealed and self._sealed[0].offset <= seal.last:
            self._sealed.popleft()
        self.heard()

    def _pin(self, seal: Seal, here: Sequence[str], to_free: Sequence[str]) -> Verdict:
        """
        Ask the directory, decide what goes on, is held and is freed, and pin that, or return what is pinned already.

        `here` are the tenants of the batch.
        """
        plan = self._plan_of(seal.version)
        waiting = self._journal.held_tenants(self._partition)
        held = {
            tenant: self._journal.held(self._partition, tenant)
            for tenant in dict.fromkeys([*here, *to_free]) if tenant in waiting
        }  # fmt: skip
        answers = self._directory.resolve([*here, *held.keys() - set(here)])
        can_go = [tenant for tenant in held if tenant in answers or not plan.wait]
        choice = choose(held, can_go, self._limits().size)
        return decode_verdict(self._journal.pin(seal, encode_verdict(answers, choice.behind), choice.freed))
