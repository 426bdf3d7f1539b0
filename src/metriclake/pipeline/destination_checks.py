"""
What has the right types in a destination's part of the pipeline file, and still cannot be. Pure.

A metric, a field or a property that is not there is a fault here, and not an empty property in a customer's tool.
"""

from __future__ import annotations

import base64
import binascii
import difflib
import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import Protocol
from urllib.parse import urlsplit

from metriclake.books import STORE, STREAM
from metriclake.event import is_field_name, is_metric_name
from metriclake.pipeline.destination_specs import (
    DestinationSpec,
    HubSpotSpec,
    MappingSpec,
    MixpanelSpec,
    SegmentSpec,
    ServiceSpec,
    WebhookSpec,
)
from metriclake.pipeline.spec import duration, size
from metriclake.public_address import is_address, is_public

_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_VALUE = re.compile(r"[\x20-\x7e]*")
_OWN_HEADERS = frozenset(
    {"host", "content-type", "content-length", "content-encoding", "transfer-encoding", "connection"}
)
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}", re.ASCII)
_STAGES = frozenset({STORE, STREAM, "rollups"})
_SECRET_PREFIX = "whsec_"  # noqa: S105 - what a secret begins with, and none
_LEAST_BYTES, _MOST_BYTES = 24, 64
_ALWAYS = frozenset({"metadata.tenant_id", "metadata.event_id", "data.event_time"})
_HUBSPOT_NAME = re.compile(r"[a-z][a-z0-9_]{0,99}")
_MIXPANEL_OWN = frozenset({"time", "distinct_id", "ip", "token"})
_ENRICHED = "metadata.tenant_"
_FORM = "a field is `metadata.` and a dimension, or `data.` and a measure"

Fields = frozenset[str] | None
"""The fields that a metric declares, such as `data.count`; None where a template or a path makes them."""


class Say(Protocol):
    """
    Takes a fault: where it is, below a destination, what it is, and what to do.
    """

    def __call__(self, place: tuple[str | int, ...], what: str, hint: str = "") -> None:
        """
        Take it.
        """


def check_destination(name: str, spec: DestinationSpec, declared: Mapping[str, Fields], say: Say) -> None:
    """
    Say what cannot be of one destination; `declared` are the file's metrics, each with its fields.
    """
    if not _NAME.fullmatch(name) or name in _STAGES:
        say(
            (),
            f"`{name}` cannot name a destination",
            "1 to 64 of letters, digits, _ and -; not `store`, `stream` or `rollups`",
        )
    _check_start(spec.start, say)
    if not timedelta(minutes=1) <= duration(spec.retry.within) <= timedelta(days=30):
        say(("retry", "within"), "must be at least 1m and at most 30d")
    for metric, mapping in (spec.metrics or {}).items():
        _check_mapping(metric, mapping, declared, say)
    if isinstance(spec, ServiceSpec):
        _check_service(spec, say)
    if isinstance(spec, SegmentSpec):
        check_field(("user",), spec.user, spec, declared, say)
    if isinstance(spec, MixpanelSpec):
        check_field(("distinct_id",), spec.distinct_id, spec, declared, say)
        _check_mixpanel(spec, say)
    if isinstance(spec, HubSpotSpec):
        _check_hubspot(spec, declared, say)
    if isinstance(spec, WebhookSpec):
        _check_webhook(spec, say)


def check_field(
    place: tuple[str | int, ...],
    path: str | None,
    spec: DestinationSpec,
    declared: Mapping[str, Fields],
    say: Say,
) -> None:
    """
    Say where a field that is looked for in every event is none that any of the destination's metrics has.
    """
    if path is None:
        return
    chosen = list(declared) if spec.metrics is None else [name for name in spec.metrics if name in declared]
    others = spec.metrics is not None and any(not mapping.declared for mapping in spec.metrics.values())
    fields = [declared[name] for name in chosen]
    unknown = others or not fields or None in fields
    known = None if unknown else frozenset[str]().union(*(each for each in fields if each is not None))
    _check_path(place, path, known, f"no metric that goes here has `{path}`", say)


def signing_key(secret: str) -> bytes:
    """
    Return the bytes of a webhook's secret; ValueError for what is none.
    """
    try:
        key = base64.b64decode(secret.removeprefix(_SECRET_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not secret.startswith(_SECRET_PREFIX) or not _LEAST_BYTES <= len(key) <= _MOST_BYTES:
        raise ValueError("a secret is `whsec_` and the base64 of 24 to 64 bytes")
    return key


def _check_start(start: str, say: Say) -> None:
    if start in ("now", "beginning"):
        return
    try:
        known = datetime.fromisoformat(start).tzinfo is not None
    except ValueError:
        known = False
    if not known:
        say(("start",), "must be `now`, `beginning` or a time", "such as 2026-01-31T00:00:00Z")


def _check_mapping(metric: str, mapping: MappingSpec, declared: Mapping[str, Fields], say: Say) -> None:
    place = ("metrics", metric)
    if not is_metric_name(metric):
        say(place, f"`{metric}` cannot name a metric", "1 to 128 of letters, digits and _ . : -")
        return
    if mapping.declared and metric not in declared:
        near = difflib.get_close_matches(metric, declared, n=1)
        hint = f"did you mean `{near[0]}`?" if near else "`declared: false` is for what comes by /v1/metrics"
        say(place, f"no metric `{metric}` is declared under `metrics:`", hint)
    known = declared.get(metric) if mapping.declared else None
    for name, path in (mapping.properties or {}).items():
        if not name.strip():
            say((*place, "properties", name), "a property needs a name")
        _check_path((*place, "properties", name), path, known, f"`{metric}` has no `{path}`", say)


def _check_path(place: tuple[str | int, ...], path: str, known: Fields, missing: str, say: Say) -> None:
    part, _, name = path.partition(".")
    if part not in ("metadata", "data") or not is_field_name(name):
        say(place, f"`{path}` is no field", _FORM)
    elif known is not None and path not in known | _ALWAYS and not path.startswith(_ENRICHED):
        near = difflib.get_close_matches(path, known, n=1)
        say(place, missing, f"did you mean `{near[0]}`?" if near else _FORM)


def _check_service(spec: ServiceSpec, say: Say) -> None:
    if not timedelta(seconds=1) <= duration(spec.timeout) <= timedelta(minutes=5):
        say(("timeout",), "must be at least 1s and at most 5m")
    if spec.url is not None:
        _check_url(spec.url, say)


def _check_url(url: str, say: Say) -> None:
    fault = partial(say, ("url",))
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        fault("is not a URL")
        return
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0 or not _printable(url):
        fault("must be a URL that starts with http:// or https://")
    elif parts.username is not None or parts.password is not None:
        fault("holds a user or a password", "a URL is shown in logs: use the destination's own settings")
    elif parts.fragment:
        fault("has a fragment, which is never sent", "take what follows the # out")


def _printable(url: str) -> bool:
    return all(" " < sign < "\x7f" for sign in url)


def _check_mixpanel(spec: MixpanelSpec, say: Say) -> None:
    if spec.token is None and spec.service_account is None:
        say((), "needs `token` or `service_account`", "the token is in the project's settings")
    if spec.group_key in _MIXPANEL_OWN or spec.group_key.startswith("$"):
        say(("group_key",), f"`{spec.group_key}` is a property of Mixpanel's own", "such as `company_id`")
    if not 64 * 1024 <= size(spec.bytes) <= 10 * 1024 * 1024:
        say(("bytes",), "must be at least 64KB and at most 10MB")
    if not 1024 <= size(spec.event_bytes) <= 1024 * 1024:
        say(("event_bytes",), "must be at least 1KB and at most 1MB")


def _check_hubspot(spec: HubSpotSpec, declared: Mapping[str, Fields], say: Say) -> None:
    if spec.events is not None:
        check_field(("events", "email"), spec.events.email, spec, declared, say)
        if spec.events.match is None and spec.events.email is None:
            say(("events",), "needs `match` or `email`", "an event belongs to a company or to a contact")
    for metric, mapping in (spec.metrics or {}).items():
        for name in mapping.properties or {}:
            if not _HUBSPOT_NAME.fullmatch(name):
                place = ("metrics", metric, "properties", name)
                say(place, f"`{name}` cannot name a property of HubSpot's", "a to z, 0 to 9 and _, and a letter first")


def _check_webhook(spec: WebhookSpec, say: Say) -> None:
    for index, secret in enumerate(spec.secrets):
        try:
            signing_key(secret)
        except ValueError as error:
            say(("secrets", index), str(error), "`openssl rand -base64 32` makes one: put whsec_ before it")
    for name, value in spec.headers.items():
        if not _HEADER.fullmatch(name) or name.lower() in _OWN_HEADERS or name.lower().startswith("webhook-"):
            say(("headers", name), "is no header that may be set here", "the rest are the sender's own")
        elif not _VALUE.fullmatch(value):
            say(("headers", name), "has a value that cannot stand in a request", "visible ASCII signs and spaces")
    host = _host(spec.url)
    inside = host == "localhost" or host.endswith(".localhost") or (is_address(host) and not is_public(host))
    if inside and not spec.allow_private:
        say(("url",), "leads to this machine or its network", "`allow_private: true` allows that")


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""
