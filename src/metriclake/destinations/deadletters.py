"""
Dead letters for people: counted, shown with the metric event that each refers to, redriven, dropped.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol

from metriclake._errors import LakeError, MetriclakeError
from metriclake.deadletter import DeadLetter, LetterGroup, LetterState, WhichLetters
from metriclake.destinations.objects import Announced

_AT_ONCE = 1000


class Letters(Protocol):
    """
    What is needed of the journal.
    """

    def letters(self, which: WhichLetters, after: int, limit: int) -> list[DeadLetter]:
        """
        Return dead letters after a number.
        """

    def groups(self, which: WhichLetters) -> list[LetterGroup]:
        """
        Count dead letters.
        """

    def restate(self, which: WhichLetters, state: LetterState, after: int, limit: int) -> tuple[int, int]:
        """
        Have dead letters redriven or dropped; returns how many, and the number to go on after, 0 at the end.
        """


class DeadLetters:
    """
    The dead letters of one server.
    """

    def __init__(
        self, letters: Letters, read: Callable[[int], Announced], failures: Callable[[], Mapping[str, str | None]]
    ) -> None:
        """
        `read` returns an announced object; `failures` says of each destination at work why it does not take all.
        """
        self._letters = letters
        self._read = read
        self._failures = failures

    def groups(self, which: WhichLetters) -> dict[str, Any]:
        """
        Count dead letters by destination, reason, tenant, metric and state; say which destinations are in trouble.
        """
        groups = [
            {**dataclasses.asdict(one), "oldest": _time(one.oldest), "newest": _time(one.newest)}
            for one in self._letters.groups(which)
        ]
        return {"groups": groups, "failures": {name: why for name, why in self._failures().items() if why}}

    def records(self, which: WhichLetters, after: int, limit: int) -> dict[str, Any]:
        """
        Return dead letters with their attempts, each with its metric event from the lake.
        """
        found = self._letters.letters(which, after, limit)
        lines = self._lines({one.letter.object for one in found})
        shown = [_shown(one, lines[one.letter.object]) for one in found]
        return {"letters": shown, "next": found[-1].number if len(found) == limit else 0}

    def restate(self, which: WhichLetters, state: LetterState, after: int) -> dict[str, Any]:
        """
        Redrive or drop some of the dead letters that are meant; returns how many, and where to go on.

        Raises MetriclakeError where a redrive would wait for a destination that the pipeline file does not have.
        """
        if state is LetterState.REDRIVING:
            which = self._at_work(which)
        changed, following = self._letters.restate(which, state, after, _AT_ONCE)
        return {"letters": changed, "next": following}

    def _at_work(self, which: WhichLetters) -> WhichLetters:
        known = list(self._failures())
        for name in which.destinations:
            if name not in known:
                raise MetriclakeError(
                    f"the pipeline file has no destination `{name}`: add it, or drop its dead letters"
                )
        if not known:
            raise MetriclakeError("the pipeline file has no destinations: nothing can be redriven")
        return dataclasses.replace(which, destinations=which.destinations or known)

    def _lines(self, objects: set[int]) -> dict[int, Sequence[bytes] | str]:
        """
        Return the lines of some objects, or why they cannot be read.
        """
        lines: dict[int, Sequence[bytes] | str] = {}
        for number in objects:
            try:
                lines[number] = self._read(number).lines.splitlines()
            except LakeError as error:
                lines[number] = str(error)
        return lines


def _shown(one: DeadLetter, lines: Sequence[bytes] | str) -> dict[str, Any]:
    letter = one.letter
    readable = not isinstance(lines, str)
    return {
        "number": one.number,
        "destination": one.destination,
        "state": one.state,
        "reason": letter.reason,
        "tenant": letter.tenant,
        "metric": letter.metric,
        "kind": letter.kind,
        "id": letter.record,
        "counted": letter.counted,
        "first_at": _time(letter.first_at),
        "last_at": _time(one.last_at),
        "attempts": [
            {"at": _time(attempt.at), "answer": attempt.answer, "detail": attempt.detail} for attempt in letter.attempts
        ],
        "object": one.path,
        "line": letter.line,
        "event": lines[letter.line - 1].decode() if not isinstance(lines, str) else None,
        "unreadable": None if readable else lines,
    }


def _time(micros: int) -> str:
    return datetime.fromtimestamp(micros / 1_000_000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
