"""
Where batches are sorted and composed: in this process, or in one of its own beside it.

Sorting and composing are most of what Python does for an event. In a process of its own this takes none of the doors'
and the questions' time, and two cores work at it. That process keeps nothing and writes nothing: where it ends, the
batch is sorted again by the next one, with the same result.
"""

from __future__ import annotations

import os
import pickle
import signal
import socket
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, Protocol

from metriclake._errors import StageFailed
from metriclake.entry import Held, Seal, StoredEntry
from metriclake.stream.compose import Composed, Plan, Sorted, compose, sort, tenants
from metriclake.stream.held import Verdict, hold, take_back


@dataclass(frozen=True, slots=True)
class Ready:
    """
    A batch whose objects can be written, and what it holds aside.
    """

    composed: Composed
    held: list[Held]


class Composer(Protocol):
    """
    What makes the objects of a sealed batch, in two steps: the directory is asked between them.
    """

    def start(self) -> None:
        """
        Get ready, so that the first batch does not wait.
        """

    def sort(self, seal: Seal, entries: Sequence[StoredEntry]) -> list[str]:
        """
        Match, transform and validate; returns the tenants that the directory must be asked for.
        """

    def compose(self, verdict: Verdict, freed: Sequence[Held]) -> Ready:
        """
        Enrich and write out the batch that was sorted last, with what is freed of what was held.
        """

    def close(self) -> None:
        """
        End what works for it.
        """


class LocalComposer:
    """
    Composes in this process.
    """

    def __init__(self, plan_of: Callable[[int], Plan]) -> None:
        """
        `plan_of` returns the plan of a version.
        """
        self._plan_of = plan_of
        self._sorted: tuple[Seal, Sequence[StoredEntry], Plan, Sorted] | None = None

    def start(self) -> None:
        """
        Do nothing: it is ready.
        """

    def sort(self, seal: Seal, entries: Sequence[StoredEntry]) -> list[str]:
        """
        Match, transform and validate.
        """
        plan = self._plan_of(seal.version)
        batch = sort(entries, seal, plan)
        self._sorted = (seal, entries, plan, batch)
        return tenants(batch)

    def compose(self, verdict: Verdict, freed: Sequence[Held]) -> Ready:
        """
        Enrich and write out.
        """
        if self._sorted is None:
            raise StageFailed("no batch is sorted")
        (seal, entries, plan, batch), self._sorted = self._sorted, None
        held = hold(batch, plan, verdict)
        take_back(batch, freed, plan)
        return Ready(compose(batch, entries, seal, plan, verdict.answers), held)

    def close(self) -> None:
        """
        Do nothing: nothing works for it.
        """


class RemoteComposer:
    """
    Composes in a process of its own, which is started when it is needed and ends with this one.
    """

    def __init__(self, command: Sequence[str], text_of: Callable[[int], str]) -> None:
        """
        `command` starts the process, with a socket's number added to it; `text_of` returns a version's pipeline file.
        """
        self._command = command
        self._text_of = text_of
        self._told: set[int] = set()
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: Connection | None = None

    def sort(self, seal: Seal, entries: Sequence[StoredEntry]) -> list[str]:
        """
        Match, transform and validate, over there.
        """
        if seal.version not in self._told:
            self._ask("plan", seal.version, self._text_of(seal.version))
            self._told.add(seal.version)
        found: list[str] = self._ask("sort", seal, entries)
        return found

    def compose(self, verdict: Verdict, freed: Sequence[Held]) -> Ready:
        """
        Enrich and write out, over there.
        """
        ready: Ready = self._ask("compose", verdict, freed)
        return ready

    def start(self) -> None:
        """
        Start the process where there is none.
        """
        self._connected()

    def close(self) -> None:
        """
        End the process; it keeps nothing.
        """
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
        self._told.clear()

    def _connected(self) -> Connection:
        if self._connection is None:
            ours, theirs = socket.socketpair()
            with theirs:
                number = theirs.fileno()
                self._process = subprocess.Popen([*self._command, str(number)], pass_fds=[number])  # noqa: S603 - our own
            self._connection = Connection(ours.detach())
        return self._connection

    def _ask(self, *message: Any) -> Any:
        """
        Send a message and return the answer; raises StageFailed where there is none.
        """
        try:
            connection = self._connected()
            _send(connection, message)
            failed, answer = _receive(connection)
        except (OSError, EOFError, pickle.UnpicklingError) as error:
            self.close()
            raise StageFailed(f"the process that composes batches has ended ({error}): another is started") from error
        if failed:
            raise StageFailed(str(answer))
        return answer


def serve(number: int, plan_of_text: Callable[[str, int], Plan]) -> None:
    """
    Be the process of a RemoteComposer: answer by the socket of that number until the other side closes it.

    A server that is stopped wants its last batches composed, so the signals that stop it are nothing to this process.
    """
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    os.set_inheritable(number, False)  # noqa: FBT003 - the standard library's own signature
    plans: dict[int, Plan] = {}
    composer = LocalComposer(plans.__getitem__)
    with Connection(number) as connection:
        while True:
            try:
                word, *rest = _receive(connection)
            except (EOFError, OSError):
                return
            answer: tuple[bool, Any]
            try:
                if word == "plan":
                    version, text = rest
                    plans[version] = plan_of_text(text, version)
                    answer = (False, None)
                else:
                    answer = (False, composer.sort(*rest) if word == "sort" else composer.compose(*rest))
            except Exception as error:  # noqa: BLE001 - it is said where the batch is waited for
                answer = (True, str(error) or type(error).__name__)
            try:
                _send(connection, answer)
            except OSError:
                return


def _send(connection: Connection, message: Any) -> None:
    connection.send_bytes(pickle.dumps(message, protocol=5))


def _receive(connection: Connection) -> Any:
    return pickle.loads(connection.recv_bytes())  # noqa: S301 - from a socket that only our own process has
