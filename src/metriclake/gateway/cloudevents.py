"""
What a CloudEvent 1.0 is as a domain event, in all three modes of the HTTP binding: structured, batch and binary.

A CloudEvent is identified by its source and its id together, a domain event by its id alone: so the domain event's id
is made of both, the same in every mode and on every try. What has no place in EventBridge's envelope stands under
`cloudevent`, as text, beside the detail and not in it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from enum import StrEnum
from functools import partial
from typing import Annotated, Any
from urllib.parse import unquote_to_bytes

import msgspec

from metriclake._errors import InvalidBody
from metriclake.event import json_kind
from metriclake.gateway.bodies import MAX_DEPTH, split, too_deep

_PREFIX = b"ce-"
_BUS = "bus"
_MOST_CHARACTERS = 256
_MOST_ID_BYTES = 256
_NAME = re.compile(r"[a-z0-9]+")
_JSON_TYPE = re.compile(r"[^/;\s]+/(?:[^/;\s]+\+)?json\s*(?:;.*)?", re.IGNORECASE | re.DOTALL)
_TEXT_TYPE = re.compile(r"(?:text/[^/;\s]+|[^/;\s]+/(?:[^/;\s]+\+)?xml)\s*(?:;.*)?", re.IGNORECASE | re.DOTALL)
_CHARSET = re.compile(r";\s*charset\s*=\s*\"?([^\s;\"]+)", re.IGNORECASE)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_BROKEN_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
_ABSOLUTE_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[^\s]+")
_BLANK = re.compile(r"[\s\x00-\x1f\x7f]")
_REQUIRED = ("specversion", "id", "source", "type")
_TEXTS = frozenset({*_REQUIRED, "subject", "time", "dataschema", "datacontenttype", _BUS})
_ENVELOPE = frozenset({"source", "type", "time", _BUS})
_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_RAW = msgspec.json.Decoder(msgspec.Raw)
_OBJECT = ord("{")
_Moment = Annotated[datetime, msgspec.Meta(tz=True)]


class Mode(StrEnum):
    """
    How the HTTP binding carries an event.
    """

    STRUCTURED = "application/cloudevents+json"
    BATCH = "application/cloudevents-batch+json"
    BINARY = "binary"


class Refused(ValueError):  # noqa: N818 - a verdict on one item, which goes into the answer
    """
    This item is no CloudEvent that can be taken: the message names the attribute.
    """


def mode_of(headers: Iterable[tuple[bytes, bytes]], content_type: str) -> Mode | None:
    """
    Return the mode of a request, None where it brings no CloudEvents. Raises InvalidBody for formats but JSON.
    """
    if content_type[:23].lower() == "application/cloudevents":
        kind = content_type.partition(";")[0].strip().lower()
        if kind not in (Mode.STRUCTURED, Mode.BATCH) or _charset(content_type) not in (None, "utf-8", "us-ascii"):
            raise InvalidBody(f"CloudEvents are read as {Mode.STRUCTURED} or {Mode.BATCH} in UTF-8, or binary", 415)
        return Mode(kind)
    return Mode.BINARY if any(name.startswith(_PREFIX) for name, _ in headers) else None


def read(mode: Mode, headers: Iterable[tuple[bytes, bytes]], body: bytes) -> list[bytes | Refused]:
    """
    Return each CloudEvent of a request as a domain event's line, or why it is none. Raises InvalidBody.
    """
    if mode is Mode.BINARY:
        return [_tried(partial(_from_headers, headers, body))]
    start = body.lstrip()[:1]
    if mode is Mode.BATCH and start != b"[":
        raise InvalidBody("a batch of CloudEvents is a JSON array: nothing of it was accepted")
    texts = split(body, "")
    if mode is Mode.STRUCTURED and (start != b"{" or len(texts) != 1):
        raise InvalidBody(f"a structured CloudEvent is one JSON object; for several send {Mode.BATCH}")
    return [_tried(partial(_from_text, text)) for text in texts]


def _tried(make: Callable[[], bytes]) -> bytes | Refused:
    try:
        return make()
    except Refused as refused:
        return refused


def _from_text(text: bytes) -> bytes:
    """
    Return the domain event of an event in the JSON format.
    """
    if too_deep(text):
        raise Refused(f"it is nested deeper than {MAX_DEPTH} levels")
    try:
        members = _MEMBERS.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Refused("it is not a JSON object") from error
    data, packed = _given(members.pop("data", None)), _given(members.pop("data_base64", None))
    found = {name: _attribute(name, raw) for name, raw in members.items()}
    attributes = {name: value for name, value in found.items() if value is not None}
    if data is not None and packed is not None:
        raise Refused("`data` and `data_base64` are both there: send one of them")
    if packed is not None:
        detail = _detail(attributes.get("datacontenttype", "application/json"), _unpacked(packed), "data_base64")
    else:
        detail = _wrapped(data)
    return _line(attributes, detail)


def _from_headers(headers: Iterable[tuple[bytes, bytes]], body: bytes) -> bytes:
    """
    Return the domain event of an event in the binary mode: attributes in headers, data as it is.
    """
    attributes: dict[str, str] = {}
    kind = ""
    for header, value in headers:
        if header == b"content-type":
            kind = value.decode("latin-1").strip()
        elif header.startswith(_PREFIX):
            name = header[len(_PREFIX) :].decode("latin-1")
            if name in attributes:
                raise Refused(f"`{_shown(name)}` is there twice")
            attributes[name] = _unquoted(name, value.decode("latin-1"))
    if "datacontenttype" in attributes:
        raise Refused("`datacontenttype` is the header Content-Type in the binary mode")
    if kind:
        attributes["datacontenttype"] = kind
    return _line(attributes, _detail(kind or "application/json", body, "data"))


def _line(attributes: Mapping[str, str], detail: Any) -> bytes:
    faults = [*_faults(attributes)]
    if faults:
        raise Refused("; ".join(faults))
    event: dict[str, Any] = {
        "id": identity(attributes["source"], attributes["id"]),
        "source": attributes["source"],
        "detail-type": attributes["type"],
        _BUS: attributes.get(_BUS, "default"),
        "cloudevent": {name: value for name, value in attributes.items() if name not in _ENVELOPE},
        "detail": detail,
    }
    if "time" in attributes:
        event["time"] = attributes["time"]
    return msgspec.json.encode(event)


def identity(source: str, event_id: str) -> str:
    """
    Return a domain event's id: the source, a space and the id; the SHA-256 of that where it is too long for an id.

    A source holds no space, so two events have the same id only if both parts are the same.
    """
    whole = f"{source} {event_id}"
    packed = whole.encode()
    return whole if len(packed) <= _MOST_ID_BYTES else f"sha256:{hashlib.sha256(packed).hexdigest()}"


def _faults(attributes: Mapping[str, str]) -> Iterable[str]:
    """
    Yield what is wrong with an event's attributes, each by its name.
    """
    yield from (f"`{name}` is missing" for name in _REQUIRED if name not in attributes)
    if attributes.get("specversion", "1.0") != "1.0":
        yield "`specversion` must be 1.0"
    for name, value in attributes.items():
        if not _NAME.fullmatch(name) or name == "data":
            yield f"`{_shown(name)}` cannot name an attribute: lower-case letters and digits"
        elif not value:
            yield f"`{name}` is empty"
        elif name in ("id", "source", "type", _BUS) and len(value) > _MOST_CHARACTERS:
            yield f"`{name}` is longer than {_MOST_CHARACTERS} characters"
    if _BLANK.search(attributes.get("source", "")):
        yield "`source` must be a URI reference, without spaces"
    if attributes.get("dataschema") and not _ABSOLUTE_URI.fullmatch(attributes["dataschema"]):
        yield "`dataschema` must be an absolute URI"
    if attributes.get("datacontenttype") and "/" not in attributes["datacontenttype"]:
        yield "`datacontenttype` must be a media type, such as application/json"
    if attributes.get("time") and not _is_moment(attributes["time"]):
        yield "`time` must be RFC 3339 with an offset, such as 2026-01-31T12:00:00Z"


def _is_moment(text: str) -> bool:
    try:
        msgspec.convert(text, _Moment)
    except (msgspec.ValidationError, OverflowError):
        return False
    return True


def _given(raw: msgspec.Raw | None) -> msgspec.Raw | None:
    return None if raw is None or bytes(raw) == b"null" else raw


def _attribute(name: str, raw: msgspec.Raw) -> str | None:
    """
    Return an attribute's value in CloudEvents' canonical text, the one that the binary mode has; null is no value.
    """
    try:
        value = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Refused(f"`{_shown(name)}` is not valid JSON") from error
    if value is None or isinstance(value, str):
        return value
    if name in _TEXTS:
        raise Refused(f"`{name}` must be text, not {json_kind(value)}")
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    what = "a fraction" if isinstance(value, float) else json_kind(value)
    raise Refused(f"`{_shown(name)}` is {what}: an attribute is text, a whole number or a boolean")


def _unquoted(name: str, value: str) -> str:
    """
    Return a header's value as the attribute it carries: quotes undone, then percent-encoding, once.
    """
    if len(value) > 1 and value[0] == value[-1] == '"':
        value = _ESCAPED.sub(r"\1", value[1:-1])
    try:
        if _BROKEN_PERCENT.search(value):
            raise Refused(f"`{_shown(name)}` is not percent-encoded: a % of its own is sent as %25")
        return unquote_to_bytes(value.encode("latin-1")).decode("utf-8")
    except UnicodeDecodeError as error:
        raise Refused(f"`{_shown(name)}` is not UTF-8 once its percent-encoding is undone") from error


def _unpacked(packed: msgspec.Raw) -> bytes:
    try:
        return base64.b64decode(msgspec.json.decode(packed, type=str), validate=True)
    except (msgspec.DecodeError, msgspec.ValidationError, binascii.Error, ValueError) as error:
        raise Refused("`data_base64` must be base64 text") from error


def _detail(kind: str, data: bytes, member: str) -> Any:
    """
    Return the detail of data in bytes: JSON as it is, text as text, the rest in base64.
    """
    if not data.strip():
        return {}
    if _JSON_TYPE.fullmatch(kind):
        if too_deep(data):
            raise Refused(f"`{member}` is nested deeper than {MAX_DEPTH} levels")
        try:
            data.decode("utf-8")
            return _wrapped(_given(_RAW.decode(data.replace(b"\n", b" ").replace(b"\r", b" ").strip())))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise Refused(f"`{member}` is not JSON, as `datacontenttype` says or leaving it out does") from error
    if _TEXT_TYPE.fullmatch(kind) and _charset(kind) in (None, "utf-8", "us-ascii"):
        try:
            return {"data": data.decode("utf-8")}
        except UnicodeDecodeError:
            pass
    return {"data_base64": base64.b64encode(data).decode()}


def _wrapped(data: msgspec.Raw | None) -> Any:
    """
    Return the detail of a JSON value: an object is the detail, nothing an empty one, anything else its `data`.
    """
    if data is None:
        return {}
    return data if memoryview(data)[0] == _OBJECT else {"data": data}


def _charset(content_type: str) -> str | None:
    found = _CHARSET.search(content_type)
    return found[1].lower() if found else None


def _shown(name: str) -> str:
    return name[:64]
