"""
Decode events that are JSON text, within limits.

Decoding is fast, but for two things that a hostile text can be full of: numbers with large exponents, for which msgspec
takes a hundred times as long as Python does, and small arrays and objects. So in a text of some length Python reads the
fractions, and there is a limit to the brackets.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import msgspec

from metriclake._errors import EventTooComplex, InvalidEvent

MOST_BYTES = 1_048_576
"""How long a text may be, as in EventBridge and at the doors."""

MOST_BRACKETS = 65_536
"""How many opening brackets a text may have, those in strings included."""

FAULTS = (msgspec.MsgspecError, UnicodeError, RecursionError)
"""What decoding a text may raise beside this module's own errors."""

_SHORT = 8192
"""So long a text is decoded without a look at what it is full of."""

Decode = Callable[[bytes | str], Any]


def limited(type_: Any) -> Decode:
    """
    Return what decodes a text into a type, within the limits.

    It raises EventTooComplex beyond them, and one of `FAULTS` for what is no JSON, or none of this type.
    """
    short = msgspec.json.Decoder(type_).decode
    long = msgspec.json.Decoder(type_, float_hook=_fraction).decode

    def decode(text: bytes | str) -> Any:
        if len(text) <= _SHORT:
            return short(text)
        whole = text.encode() if isinstance(text, str) else text
        if len(whole) > MOST_BYTES:
            raise EventTooComplex(f"The event is longer than {MOST_BYTES} bytes: split it.")
        if whole.count(b"[") + whole.count(b"{") > MOST_BRACKETS:
            raise EventTooComplex(f"The event has more than {MOST_BRACKETS} arrays and objects: split it.")
        return long(whole)

    return decode


def _fraction(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError("Number out of range")
    return number


_decode = limited(Any)


def decode_event(text: bytes | str) -> dict[str, Any]:
    """
    Return the event that a text spells.

    Raises:
        InvalidEvent: The text is no JSON object.
        EventTooComplex: The text is beyond the limits, or nested too deep.

    """
    try:
        event = _decode(text)
    except RecursionError:
        raise EventTooComplex("The event is nested too deep to be decoded: send it flatter.") from None
    except FAULTS as error:
        raise InvalidEvent(f"The event is no JSON that can be read: {error}") from None
    if not isinstance(event, dict):
        raise InvalidEvent(f"An event is a JSON object, and this is of another type: {type(event).__name__}.")
    return event
