"""
Render an input template: a text in which the values of an event take the places of `<placeholders>`.

Two kinds, told apart by the first character that is no space, as EventBridge does. `{` begins a JSON template, in which
a placeholder stands for a JSON value, or inside quotes for bare text, which is not escaped. Anything else is text,
delivered as it stands, its own quotes included.

A template that compiles is valid JSON whatever its placeholders stand for, with one exception: a value in quotes may
hold quotes itself. So that is all that is looked at when an event is rendered.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final, NamedTuple, NoReturn, final

import msgspec

from metriclake._errors import Fault, InvalidTransform, TransformFailed
from metriclake.rules.jsonpath import MISSING, Find

MOST_RENDERED_BYTES = 4 * 1024 * 1024
"""How long a rendered template may become: a short template may name a large value very often."""

_PLACE = "input_template"
_PIECE = re.compile(r'<(?P<name>[^<>]*)>|\\[^<]|(?P<quote>")|(?P<space>[ \t\r\n]+)|[^<"\\ \t\r\n]+|<|\\', re.DOTALL)
_OPENS_STRING = re.compile(rb'["\\\x00-\x1f]')
_STRING = re.compile(rb'(?:[^"\\\x00-\x1f]++|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*+')
_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder()
_MISSING_VALUE = b'""'


@dataclass(frozen=True, slots=True)
class Variables:
    """
    What EventBridge's reserved variables stand for, beyond the event: the rule, and the arrival in ISO 8601.

    One that is not known (None) renders as a path that leads nowhere.
    """

    rule_name: str | None = None
    rule_arn: str | None = None
    ingestion_time: str | None = None


def _envelope(event: Mapping[str, Any]) -> dict[str, Any]:
    """
    Return an event without its detail, as EventBridge writes it here: in its own order, with `detailType`.
    """
    return {name: event[key] for key, name in _ENVELOPE.items() if key in event}


_ENVELOPE = {
    "id": "id", "account": "account", "detail-type": "detailType", "time": "time", "source": "source",
    "region": "region", "resources": "resources", "version": "version",
}  # fmt: skip

INGESTION_TIME: Final = "aws.events.event.ingestion-time"

_Given = tuple[Any, Variables]
"""The event that is rendered, and the variables that it does not hold."""


def _known(value: str | None) -> Any:
    return MISSING if value is None else value


_RESERVED: Final[Mapping[str, Callable[[_Given], Any]]] = {
    "aws.events.rule-arn": lambda given: _known(given[1].rule_arn),
    "aws.events.rule-name": lambda given: _known(given[1].rule_name),
    INGESTION_TIME: lambda given: _known(given[1].ingestion_time),
    "aws.events.event": lambda given: _envelope(given[0]),
    "aws.events.event.json": lambda given: given[0],
}

RESERVED: Final = frozenset(_RESERVED)
"""The variables that no path defines."""


class Quoting(Enum):
    """
    How a placeholder stands in its template: as a JSON value, inside a JSON template's quotes, or in plain text.
    """

    VALUE = "value"
    QUOTED = "quoted"
    TEXT = "text"


@dataclass(frozen=True, slots=True)
class Placeholder:
    """
    One `<name>` of a template, and the offset where it stands.
    """

    name: str
    quoting: Quoting
    at: int


class _Use(NamedTuple):
    """
    A value and one way of writing it: which pieces of the text it becomes, and its first placeholder.

    `find` looks into the event, or of a `reserved` variable into the event and the variables.
    """

    find: Find
    reserved: bool
    write: Callable[[Any], bytes]
    pieces: tuple[int, ...]
    first: Placeholder


@final
class Template:
    """
    A compiled template.

    `shape` is what a JSON template decodes to, with marks where placeholders stand (see `placeholders_in`); None of a
    text template.
    """

    __slots__ = ("_constants", "_mark", "_uses", "placeholders", "shape", "text")

    def __init__(self, text: str, finds: Mapping[str, Find], target: str) -> None:
        """
        Compile a template; `finds` are the values that it may name, besides the reserved ones.

        Raises:
            InvalidTransform: It names another, or is no JSON though it begins with `{`; EventBridge's words first.

        """
        self.text = text
        is_json = text.lstrip(" \t\r\n").startswith("{")
        constants, placeholders = _read(text, is_json=is_json)
        for one in placeholders:
            if one.name not in finds and one.name not in RESERVED:
                _refuse_unknown(text, one, target)
        self.placeholders = tuple(placeholders)
        self._mark = ""
        self.shape: Any = None
        if is_json:
            self._mark, self.shape = _shape(text, constants, placeholders, target)
        pieces = [b""] * (2 * len(placeholders) + 1)
        pieces[::2] = [_bytes_of(constant) for constant in constants]
        self._constants = tuple(pieces)
        self._uses = tuple(_uses(placeholders, finds))

    def placeholders_in(self, text: str) -> tuple[Placeholder, ...]:
        """
        Return the placeholders whose marks stand in a string of `shape`.
        """
        return tuple(self.placeholders[int(number)] for number in text.split(self._mark)[1::2]) if self._mark else ()

    def render(self, event: Any, variables: Variables, *, guarded: bool = False) -> bytes:
        """
        Return the text that an event makes, in UTF-8.

        `guarded` refuses every value in quotes that would end its string; without it, as in EventBridge, one that
        leaves valid JSON behind is let through, whatever it has added.

        Raises:
            TransformFailed: The event makes no JSON of a JSON template, or too long a text.

        """
        pieces = list(self._constants)
        size, unsound = 0, None
        given = (event, variables)
        for find, reserved, write, places, first in self._uses:
            try:
                piece = write(find(given if reserved else event))
            except (ValueError, RecursionError) as error:
                raise TransformFailed(f"the value of <{first.name}> {unwritten(error)}") from None
            size += len(piece) * len(places)
            if size > MOST_RENDERED_BYTES:
                raise TransformFailed(f"the template becomes longer than {MOST_RENDERED_BYTES:,} bytes")
            if first.quoting is Quoting.QUOTED and _OPENS_STRING.search(piece) and not _STRING.fullmatch(piece):
                unsound = unsound or first
            for place in places:
                pieces[place] = piece
        text = b"".join(pieces)
        if unsound is not None and (guarded or not _is_json(text)):
            raise TransformFailed(self._breaks_its_quotes(unsound))
        return text

    def place(self, at: int) -> str:
        """
        Return the line and column, from 1, of an offset.
        """
        return place_in(self.text, at)

    def _breaks_its_quotes(self, one: Placeholder) -> str:
        return (
            f"<{one.name}> stands in quotes ({self.place(one.at)} of the template), where values are not escaped, and"
            " this one is an object or an array, or has a quote, a backslash or a control character: write it"
            " without the quotes"
        )


def place_in(text: str, at: int) -> str:
    """
    Return the line and column, from 1, of an offset in a text.
    """
    return f"line {text.count(chr(10), 0, at) + 1}, column {at - text.rfind(chr(10), 0, at)}"


def _read(text: str, *, is_json: bool) -> tuple[list[str], list[Placeholder]]:
    """
    Cut a template at its placeholders; of a JSON template the spaces between its tokens are left out.
    """
    constants: list[list[str]] = [[]]
    placeholders: list[Placeholder] = []
    quoted = False
    for piece in _PIECE.finditer(text):
        if piece["name"] is not None:
            quoting = Quoting.TEXT if not is_json else Quoting.QUOTED if quoted else Quoting.VALUE
            placeholders.append(Placeholder(piece["name"], quoting, piece.start()))
            constants.append([])
            continue
        quoted ^= piece["quote"] is not None
        if quoted or not is_json or piece["space"] is None:
            constants[-1].append(piece[0])
    return ["".join(constant) for constant in constants], placeholders


def _uses(placeholders: list[Placeholder], finds: Mapping[str, Find]) -> Iterator[_Use]:
    """
    Yield each value once for each way of writing it.
    """
    alike: dict[tuple[str, Quoting], list[int]] = {}
    for number, one in enumerate(placeholders):
        alike.setdefault((one.name, one.quoting), []).append(number)
    for (name, quoting), numbers in alike.items():
        pieces = tuple(2 * number + 1 for number in numbers)
        find = finds.get(name) or _RESERVED[name]
        yield _Use(find, name not in finds, _WRITE[quoting], pieces, placeholders[numbers[0]])


def unwritten(error: Exception) -> str:
    """
    Say why a value cannot be written as JSON.
    """
    if isinstance(error, RecursionError):
        return "is nested too deeply"
    if isinstance(error, UnicodeEncodeError):
        return "holds half a surrogate pair, which is no text"
    return "has a number of too many digits"


def _as_value(value: Any) -> bytes:
    return _MISSING_VALUE if value is MISSING else _ENCODER.encode(value)


def _in_quotes(value: Any) -> bytes:
    if type(value) is str:
        return value.encode()
    return b"" if value is MISSING else _ENCODER.encode(value)


def _as_text(value: Any) -> bytes:
    if type(value) is str:
        return value.encode()
    return b"" if value is MISSING else _ENCODER.encode(value).replace(b'"', b"")


_WRITE = {Quoting.VALUE: _as_value, Quoting.QUOTED: _in_quotes, Quoting.TEXT: _as_text}


def _is_json(text: bytes) -> bool:
    try:
        _DECODER.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True


def _bytes_of(constant: str) -> bytes:
    try:
        return constant.encode()
    except UnicodeEncodeError:
        raise InvalidTransform((Fault(_PLACE, "the template holds half a surrogate pair, which is no text"),)) from None


def _shape(text: str, constants: list[str], placeholders: list[Placeholder], target: str) -> tuple[str, Any]:
    """
    Decode a JSON template with marks for its placeholders, each its number between two of the returned letter.
    """
    mark = _check_json(text, placeholders, target)

    def without_marks(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        for key, _ in pairs:
            if mark in key:
                _refuse_key(text, placeholders[int(key.split(mark)[1])], target)
        return dict(pairs)

    marked = [constants[0]]
    for number, (one, constant) in enumerate(zip(placeholders, constants[1:], strict=True)):
        marked_number = f"{mark}{number}{mark}"
        marked += [marked_number if one.quoting is Quoting.QUOTED else f'"{marked_number}"', constant]
    return mark, json.loads("".join(marked), object_pairs_hook=without_marks)


def _check_json(text: str, placeholders: list[Placeholder], target: str) -> str:
    """
    Refuse a JSON template that is no JSON with sound values in it; return a letter that it does not hold.

    A stand-in is as long as its placeholder, so that a fault is found where it stands; one for a value is a number
    between spaces, which fits where a value does and nowhere else.
    """
    tried = list(text)
    for one in placeholders:
        length = len(one.name) + 2
        stand_in = "x" * length if one.quoting is Quoting.QUOTED else f" {1:<{length - 2}} "
        tried[one.at : one.at + length] = stand_in
    try:
        held = json.dumps(json.loads("".join(tried), parse_constant=_no_constant), ensure_ascii=False)
        _DECODER.decode("".join(tried))
        return next(letter for letter in map(chr, range(0xF0000, 0xFFFFE)) if letter not in held)
    except json.JSONDecodeError as error:
        within = (one.at for one in placeholders if one.at <= error.pos < one.at + len(one.name) + 2)
        hint = f"{place_in(text, next(within, error.pos))} of the template: {error.msg}; {_RULES}"
        _refuse(f"Invalid InputTemplate for target {target}", hint)
    except (ValueError, UnicodeEncodeError, RecursionError, msgspec.MsgspecError) as error:
        why = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        _refuse(f"Invalid InputTemplate for target {target}", f"{why}; {_RULES}")


_RULES = "a template that begins with { is JSON, in which <name> stands for a value, or for text inside quotes"


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _refuse_unknown(text: str, one: Placeholder, target: str) -> NoReturn:
    reserved = ", ".join(f"<{name}>" for name in _RESERVED)
    hint = f"{place_in(text, one.at)} of the template: name it in `input_paths`, or take one of {reserved}"
    _refuse(f"InputTemplate for target {target} contains invalid placeholder {one.name}.", hint)


def _refuse_key(text: str, one: Placeholder, target: str) -> NoReturn:
    hint = f"{place_in(text, one.at)} of the template: <{one.name}> is part of a key, and only values may be filled"
    _refuse(f"Invalid InputTemplate for target {target}", hint)


def _refuse(what: str, hint: str) -> NoReturn:
    raise InvalidTransform((Fault(_PLACE, what, hint),))
