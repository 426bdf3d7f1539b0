"""
A part of the pipeline file: what its model is made of, and the units that the file is written in.
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Any, ClassVar

import msgspec

_DURATION = re.compile(r"(\d{1,6})(ms|s|m|h|d|w|y)")
_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800, "y": 31_536_000}
Duration = Annotated[str, msgspec.Meta(pattern=f"^{_DURATION.pattern}$")]
"""A whole number and a unit: ms, s, m, h, d, w (7 d) or y (365 d)."""

_SIZE = re.compile(r"(\d{1,6})(KB|MB|GB|TB)")
_SIZES = {"KB": 2**10, "MB": 2**20, "GB": 2**30, "TB": 2**40}
Size = Annotated[str, msgspec.Meta(pattern=f"^{_SIZE.pattern}$")]
"""A whole number and a unit: KB, MB, GB or TB, of 1,024 each."""


class Spec(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """
    A part of the pipeline file.

    `shorthand` names the key that a bare string stands for; `unless` names keys that must be there where none of
    others is; `later` names keys, or values of keys, that belong to the format but not to this version.
    """

    shorthand: ClassVar[str] = ""
    unless: ClassVar[dict[str, tuple[str, ...]]] = {}
    later: ClassVar[dict[str, tuple[Any, ...] | None]] = {}


def duration(text: str) -> timedelta:
    """
    Return the length of a duration such as `14d`; `text` has passed the model's pattern.
    """
    match = _DURATION.fullmatch(text)
    if match is None:
        msg = f"not a duration: {text!r}"
        raise ValueError(msg)
    return timedelta(seconds=int(match[1]) * _UNITS[match[2]])


def size(text: str) -> int:
    """
    Return the bytes of a size such as `50GB`; `text` has passed the model's pattern.
    """
    match = _SIZE.fullmatch(text)
    if match is None:
        msg = f"not a size: {text!r}"
        raise ValueError(msg)
    return int(match[1]) * _SIZES[match[2]]
