"""
Decide what stands before an object's name: Firehose's prefixes with their expressions; pure.

A prefix without any expression gets `yyyy/MM/dd/HH/` appended as it is, without a slash between; one with an expression
gets nothing. The time is the arrival of the oldest record, in UTC. Unlike Firehose's, a random string is the same each
time a sealed batch is tried, so that a second try finds the first one's objects.
"""

from __future__ import annotations

import hashlib
import re
import string
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from metriclake.event import DropReason
from metriclake.javatime import compile_pattern

DATA_PREFIX = "Data/"
ERROR_PREFIX = "Error/!{firehose:error-output-type}/!{timestamp:yyyy/MM/dd/HH}/"

_MOST_CHARACTERS = 1024
_MOST_EVALUATED = 512
_MOST_FOLDER = 150
_RANDOM_LENGTH = 11
_ALPHABET = string.ascii_letters + string.digits
_HOURS = "yyyy/MM/dd/HH"
_EXPRESSION = re.compile(r"!\{([^}]*)\}")
_SAFE = re.compile(r"[A-Za-z0-9/!_.*'()=,:@+&$; -]*", re.ASCII)
_TAKEN = ("archive/", "manifest/")
_SAMPLES = tuple(datetime(2026, month, day, 22, 59, 59, 999_999, UTC) for month, day in ((9, 30), (11, 25)))
"""The moments with the longest texts: Wednesdays in September and November."""


@dataclass(frozen=True, slots=True)
class Moment:
    """
    What a prefix is evaluated for: the oldest arrival, whose seal it is, and for refused records the reason.
    """

    when: datetime
    seal: str
    reason: str = ""


Part = Callable[[Moment], str]
Report = Callable[[str, str, str], None]
"""Takes a fault: the key, what is wrong, what to do."""


@dataclass(frozen=True, slots=True)
class Layout:
    """
    Where the objects of a sealed batch lie.
    """

    data_parts: tuple[Part, ...]
    error_parts: tuple[Part, ...]

    def data(self, moment: Moment) -> str:
        """
        Return the prefix of metric events.
        """
        return "".join(part(moment) for part in self.data_parts)

    def error(self, moment: Moment) -> str:
        """
        Return the prefix of the records that are refused for the moment's reason.
        """
        return "".join(part(moment) for part in self.error_parts)


def layout(prefix: str = DATA_PREFIX, error_prefix: str | None = ERROR_PREFIX, report: Report | None = None) -> Layout:
    """
    Return the layout of two prefixes; `report` hears of every fault, and without one there must be none.
    """
    faults: list[tuple[str, str, str]] = []

    def note(key: str, what: str, hint: str) -> None:
        faults.append((key, what, hint))

    found = _layout(prefix, error_prefix or None, note)
    if not faults:
        _check_evaluated(found, note)
    if faults and report is None:
        raise ValueError(faults[0][1])
    if report is not None:
        for fault in faults:
            report(*fault)
    return found


def _layout(prefix: str, error_prefix: str | None, report: Report) -> Layout:
    data = list(_parts("prefix", prefix, report))
    if not _EXPRESSION.search(prefix):
        data += [*_timestamp("prefix", _HOURS, report), _slash]
    return Layout(tuple(data), tuple(_errors(prefix, error_prefix, report)))


def _errors(prefix: str, error_prefix: str | None, report: Report) -> Iterator[Part]:
    key = "error_prefix"
    if error_prefix is None and _EXPRESSION.search(prefix):
        report(key, "may be empty only if `prefix` has no expression", f"such as {ERROR_PREFIX}")
    elif error_prefix is not None and _EXPRESSION.search(error_prefix):
        if "!{firehose:error-output-type}" not in error_prefix:
            report(key, "has expressions, and so must have !{firehose:error-output-type}", f"such as {ERROR_PREFIX}")
        yield from _parts(key, error_prefix, report)
    else:
        yield from _parts(key, prefix if error_prefix is None else error_prefix, report)
        yield from (_reason, _slash, *_timestamp(key, _HOURS, report), _slash)


def _parts(key: str, text: str, report: Report) -> Iterator[Part]:
    if len(text) > _MOST_CHARACTERS:
        report(key, f"is longer than {_MOST_CHARACTERS} characters", "")
    pieces = _EXPRESSION.split(text)
    for position, piece in enumerate(pieces):
        if position % 2:
            yield from _expression(key, piece, position, report)
            continue
        if "!{" in piece:
            report(key, "an expression is opened by `!{` and not closed by `}`", "")
        yield _literal(piece)


def _expression(key: str, text: str, position: int, report: Report) -> Iterator[Part]:
    namespace, colon, value = text.partition(":")
    if namespace == "timestamp" and value:
        yield from _timestamp(key, value, report)
    elif text == "firehose:random-string":
        yield _random(key, position)
    elif text == "firehose:error-output-type":
        if key != "error_prefix":
            report(key, "!{firehose:error-output-type} stands in `error_prefix` alone", "data objects have no reason")
        yield _reason
    elif namespace in ("partitionKeyFromQuery", "partitionKeyFromLambda"):
        report(key, f"!{{{namespace}:…}} needs dynamic partitioning, which metriclake does not do", "take it out")
    else:
        known = "timestamp:<pattern>, firehose:random-string, firehose:error-output-type"
        report(key, f"the expression !{{{namespace}{colon}…}} is not known", f"known are {known}")


def _timestamp(key: str, pattern: str, report: Report) -> list[Part]:
    try:
        writers = compile_pattern(pattern)
    except ValueError as error:
        report(key, f"!{{timestamp:…}}: {error}", "letters: y M d D w e E a h H m s S")
        return []
    return [lambda moment: "".join(writer(moment.when) for writer in writers)]


def _literal(text: str) -> Part:
    return lambda _moment: text


def _slash(_moment: Moment) -> str:
    return "/"


def _reason(moment: Moment) -> str:
    return moment.reason


def _random(key: str, position: int) -> Part:
    """
    Make a random string out of the seal and of where the expression stands.
    """

    def drawn(moment: Moment) -> str:
        digest = hashlib.sha256(f"{moment.seal}/{key}/{position}".encode()).digest()
        rest = int.from_bytes(digest, "big")
        letters = []
        for _ in range(_RANDOM_LENGTH):
            rest, letter = divmod(rest, len(_ALPHABET))
            letters.append(_ALPHABET[letter])
        return "".join(letters)

    return drawn


def _check_evaluated(found: Layout, report: Report) -> None:
    """
    Report what only shows in the finished prefixes: their length, their letters, and two that are the same.
    """
    for when in _SAMPLES:
        data = found.data(Moment(when, ""))
        errors = [found.error(Moment(when, "", reason)) for reason in DropReason]
        faults = {"prefix": _wrong(data), "error_prefix": next(filter(None, map(_wrong, errors)), "")}
        if data in errors:
            faults["prefix"] = "gives the names of `error_prefix` to data objects"
        for key, what in faults.items():
            if what:
                report(key, what, "")
        if any(faults.values()):
            return


def _wrong(evaluated: str) -> str:
    """
    Return what is wrong with an evaluated prefix, nothing if it can be used in every kind of lake.
    """
    *folders, last = evaluated.split("/")
    if len(evaluated) > _MOST_EVALUATED:
        return f"becomes longer than {_MOST_EVALUATED} characters"
    if max(map(len, [*folders, last])) > _MOST_FOLDER:
        return f"has a folder of more than {_MOST_FOLDER} characters"
    if not _SAFE.fullmatch(evaluated):
        return "has a character that makes trouble in names: take letters, digits and / ! - _ . * ' ( ) = , : @ + & $ ;"
    if not set(folders).isdisjoint({"", ".", ".."}):
        return "has an empty folder, or one that is `.` or `..`"
    if evaluated.lower().startswith(_TAKEN):
        return "begins with Archive/ or Manifest/, where the lake keeps something else"
    return ""


DEFAULT_LAYOUT = layout()
