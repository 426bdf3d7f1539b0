"""
Read the filters of a question, each with all that may be wrong with it.

Pure. Whether the dimension or measure exists for the tenant is decided in `plan`.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from metriclake._errors import Fault
from metriclake.event import json_kind
from metriclake.store import Operator
from metriclake.store.selection import BOUNDS

MAX_FILTERS = 50
MAX_FILTER_VALUES = 1000
EQUALS = "equals"

_SUBJECTS = ("dimension", "measure")
_OPERATORS = (*(operator.value for operator in Operator), EQUALS)
_PAIRS = tuple({one, other} for one in ("gt", "gte") for other in ("lt", "lte"))
_SHAPE = 'such as {"dimension": "severity", "in": ["high"]}'
_BOUNDED = 'such as {"measure": "seconds", "gte": 0, "lt": 60}'


@dataclass(frozen=True, slots=True)
class Filter:
    """
    One condition of a question: what stands at `place` of it. Two bounds of one filter are two conditions.

    With `measured` the name must be a measure's; without, a bound or `exists` may still be put to one.
    """

    place: str
    name: str
    operator: Operator
    operand: tuple[str, ...] | str | bool | float
    measured: bool = False


def read_filters(value: Any) -> tuple[tuple[Filter, ...], list[Fault]]:
    """
    Return the filters that can be read, and a fault for each that cannot.
    """
    if not isinstance(value, list):
        return (), [Fault("filters", "must be a list", _SHAPE)]
    if len(value) > MAX_FILTERS:
        return (), [Fault("filters", f"has more than {MAX_FILTERS} filters")]
    filters: list[Filter] = []
    faults: list[Fault] = []
    for index, item in enumerate(value):
        place = f"filters[{index}]"
        fault = _fault_of(place, item)
        if fault is None:
            filters.extend(_filters_of(place, item))
        else:
            faults.append(fault)
    return tuple(filters), faults


def _fault_of(place: str, item: Any) -> Fault | None:
    if not isinstance(item, dict):
        return Fault(place, f"is {json_kind(item)}, it must be an object", _SHAPE)
    return _shape_fault(place, item) or next(
        (Fault(place, *found) for key in item if (found := _operand_fault(key, item[key], item))), None
    )


def _shape_fault(place: str, item: Mapping[str, Any]) -> Fault | None:
    """
    Return what is wrong with the keys of a filter.
    """
    subjects = [key for key in _SUBJECTS if key in item]
    if len(subjects) != 1 or not isinstance(item[subjects[0]], str):
        return Fault(place, "names one `dimension` or one `measure`, as text", _SHAPE)
    unknown = next((key for key in item if key not in (*_SUBJECTS, *_OPERATORS)), None)
    if unknown is not None:
        near = difflib.get_close_matches(unknown, _OPERATORS, n=1)
        hint = f"did you mean `{near[0]}`?" if near else f"one of: {', '.join(_OPERATORS)}"
        return Fault(place, "has a key that is not part of a filter", hint)
    operators = {key for key in item if key in _OPERATORS}
    if len(operators) != 1 and operators not in _PAIRS:
        hint = f"one of: {', '.join(_OPERATORS)}"
        return Fault(place, "compares in one way, or with a lower and an upper bound", hint)
    if "measure" in item and not operators <= {*BOUNDS, Operator.EXISTS}:
        return Fault(place, "of a measure takes gt, gte, lt, lte or exists", _BOUNDED)
    return None


def _operand_fault(key: str, value: Any, item: Mapping[str, Any]) -> tuple[str, str] | None:
    """
    Return the words and the hint for what a key of a filter cannot have.
    """
    if key in ("in", "not_in"):
        if not isinstance(value, list) or not value or not all(isinstance(text, str) for text in value):
            return f"`{key}` takes a list of text that is not empty", _SHAPE
        if len(value) > MAX_FILTER_VALUES:
            return f"has more than {MAX_FILTER_VALUES} values", ""
    elif key in (EQUALS, "prefix"):
        if not isinstance(value, str):
            bounded = "; numbers are compared by gt, gte, lt, lte" if "dimension" in item else ""
            return f"`{key}` takes text", f"{_SHAPE}{bounded}"
    elif key == "exists":
        if not isinstance(value, bool):
            return "`exists` takes true or false", ""
    elif key in BOUNDS and not _is_number(value):
        return f"`{key}` takes a number", _BOUNDED
    return None


def _is_number(value: Any) -> bool:
    """
    Tell whether a value is a number that a double can come near to.
    """
    try:
        return not isinstance(value, bool) and isinstance(value, int | float) and math.isfinite(value)
    except OverflowError:
        return False


def _filters_of(place: str, item: Mapping[str, Any]) -> list[Filter]:
    measured = "measure" in item
    name = item["measure" if measured else "dimension"]
    found = []
    for key in _OPERATORS:
        if key in item:
            value = item[key]
            operator = Operator.IN if key == EQUALS else Operator(key)
            operand = (value,) if key == EQUALS else tuple(value) if isinstance(value, list) else value
            found.append(Filter(place, name, operator, operand, measured))
    return found
