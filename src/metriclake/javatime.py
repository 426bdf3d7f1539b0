"""
Write a moment as Java's DateTimeFormatter does, for the letters that people use in object names; pure.

Texts are English, and weeks are those of the United States, as in Firehose: they start on Sunday, and the first is the
one that holds the 1st of January.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime, timedelta

Writer = Callable[[datetime], str]

_PIECE = re.compile(r"'((?:[^']|'')*)'|([A-Za-z])\2*|([^A-Za-z'])")
_MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
           "December")  # fmt: skip
_DAYS = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
_RESERVED = frozenset("{}[]#")
_INSTEAD = {"Y": "y", "u": "y", "L": "M", "k": "H", "K": "h", "n": "S", "c": "e"}


def compile_pattern(pattern: str) -> tuple[Writer, ...]:
    """
    Return what writes each piece of a pattern. Raises ValueError with words for people where it is not one.
    """
    writers: list[Writer] = []
    place = 0
    while place < len(pattern):
        found = _PIECE.match(pattern, place)
        if found is None:
            raise ValueError("a quote is opened and not closed")
        writers.append(_writer(found))
        place = found.end()
    return tuple(writers)


def _writer(found: re.Match[str]) -> Writer:
    if found[1] is not None:
        return _text(found[1].replace("''", "'") or "'")
    if found[2] is not None:
        return _letters(found[2], len(found[0]))
    if found[0] in _RESERVED:
        raise ValueError(f"`{found[0]}` is reserved: put it in quotes")
    return _text(found[0])


def _letters(letter: str, count: int) -> Writer:
    entry = _LETTERS.get(letter)
    if entry is None:
        hint = f", use `{_INSTEAD[letter]}`" if letter in _INSTEAD else ""
        raise ValueError(f"the letter `{letter}` is not known{hint}: text stands in quotes")
    most, make = entry
    if count > most:
        raise ValueError(f"`{letter}` stands at most {most} times in a row")
    return make(count)


def _text(text: str) -> Writer:
    return lambda _when: text


def _number(read: Callable[[datetime], int]) -> Callable[[int], Writer]:
    return lambda count: lambda when: f"{read(when):0{count}d}"


def _year(count: int) -> Writer:
    if count == 2:
        return lambda when: f"{when.year % 100:02d}"
    return lambda when: f"{when.year:0{count}d}"


def _named(read: Callable[[datetime], int], names: tuple[str, ...], first: int) -> Callable[[int], Writer]:
    """
    Write a number with one or two letters, a name with more: short, full, its first letter.
    """

    def make(count: int) -> Writer:
        if count <= 2:
            return _number(read)(count)
        length = {3: 3, 4: None, 5: 1}[count]
        return lambda when: names[read(when) - first][:length]

    return make


def _day_name(count: int) -> Writer:
    return _named(_day_of_week, _DAYS, 1)(max(count, 3))


def _fraction(count: int) -> Writer:
    return lambda when: f"{when.microsecond:06d}000"[:count]


def _half(_count: int) -> Writer:
    return lambda when: "AM" if when.hour < 12 else "PM"


def _day_of_week(when: datetime) -> int:
    return when.isoweekday() % 7 + 1


def _day_of_year(when: datetime) -> int:
    return when.timetuple().tm_yday


def _week(when: datetime) -> int:
    saturday = when + timedelta(days=7 - _day_of_week(when))
    return (_day_of_year(saturday) - 1) // 7 + 1


_LETTERS: dict[str, tuple[int, Callable[[int], Writer]]] = {
    "y": (9, _year),
    "M": (5, _named(lambda when: when.month, _MONTHS, 1)),
    "d": (2, _number(lambda when: when.day)),
    "D": (3, _number(_day_of_year)),
    "w": (2, _number(_week)),
    "e": (5, _named(_day_of_week, _DAYS, 1)),
    "E": (5, _day_name),
    "a": (1, _half),
    "h": (2, _number(lambda when: (when.hour + 11) % 12 + 1)),
    "H": (2, _number(lambda when: when.hour)),
    "m": (2, _number(lambda when: when.minute)),
    "s": (2, _number(lambda when: when.second)),
    "S": (9, _fraction),
}
