"""
The names that the nouns may have, and the books' row of a record.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metriclake.event import DomainEvent, DropReason, account_of, is_field_name, is_metric_name, is_tenant_id, json_kind

MINIMAL = {"source": "s", "detail-type": "t", "detail": {"b": 1.0}}


@pytest.mark.parametrize(
    "text",
    ["a", "Acme", "acme-1", "a.b.c", "42", "_", "me@acme.example", "a:b|c+d=e~f", "x" * 128, "acme."],
)
def test_tenant_id(text: str) -> None:
    """
    Letters, digits and a few signs make a tenant id of up to 128 characters; case is kept.
    """
    assert is_tenant_id(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "..",
        ".a",
        "-a",
        "a..b",
        "a/b",
        "a\\b",
        "a b",
        "a'b",
        'a"b',
        "a`b",
        "a\n",
        "a\0",
        "ä",
        "\u0661",
        "x" * 129,
        "(none)",
    ],
)
def test_no_tenant_id(text: str) -> None:
    """
    Quotes, slashes, spaces, `..`, other alphabets and the books' own `(none)` do not.
    """
    assert not is_tenant_id(text)


@given(st.text(max_size=10))
def test_tenant_id_is_harmless_in_a_path_and_a_literal(text: str) -> None:
    """
    Whatever is a tenant id holds nothing that a path or a quoted text could take for its own.
    """
    if is_tenant_id(text):
        assert re.search(r"[/\\'\"`\s\0;]|\.\.", text) is None
        assert not text.startswith((".", "-"))


@pytest.mark.parametrize(
    ("text", "metric", "field"),
    [
        ("a", True, True),
        ("_a", True, True),
        ("a.b-c:d_1", True, True),
        ("$a", False, True),
        ("a$b", False, True),
        ("1a", False, False),
        ("", False, False),
        ("a b", False, False),
        ("a\n", False, False),
        ("ä", False, False),
        ("x" * 60, True, True),
        ("x" * 61, True, False),
        ("x" * 128, True, False),
        ("x" * 129, False, False),
        ("time", True, False),
        ("measure_name", True, False),
        ("measure_value", True, False),
        ("Time", True, True),
    ],
)
def test_metric_and_field_names(text: str, metric: bool, field: bool) -> None:  # noqa: FBT001 - pytest gives them by name
    """
    A metric's name has up to 128 characters, a field's up to 60 and is none of Timestream's own.
    """
    assert (metric, field) == (is_metric_name(text), is_field_name(text))


@pytest.mark.parametrize(
    ("metric", "metadata", "account"),
    [
        ("m", {"tenant_id": "acme"}, ("acme", "m")),
        ("m", {"tenant_id": 42}, ("42", "m")),
        ("m", {"tenant_id": True}, ("(none)", "m")),
        ("m", {"tenant_id": 4.2}, ("(none)", "m")),
        ("m", {"tenant_id": "a/b"}, ("(none)", "m")),
        ("m", {}, ("(none)", "m")),
        ("m", None, ("(none)", "m")),
        ("m", ["tenant_id"], ("(none)", "m")),
        ("a b", {"tenant_id": "acme"}, ("acme", "(none)")),
        (None, {"tenant_id": "acme"}, ("acme", "(none)")),
        (7, None, ("(none)", "(none)")),
    ],
)
def test_row_of_a_record(metric: Any, metadata: Any, account: tuple[str, str]) -> None:
    """
    A record stands under its tenant and metric as far as they can be names, else under `(none)`.
    """
    assert account_of(metric, metadata) == account


@pytest.mark.parametrize(
    ("value", "kind"),
    [(None, "null"), (True, "boolean"), (1, "number"), (1.5, "number"), ("x", "string"), ({}, "object"), ([], "array")],
)
def test_kind_of_a_value(value: Any, kind: str) -> None:
    """
    Messages name a value's type as JSON does.
    """
    assert json_kind(value) == kind


def test_domain_event_leaves_absent_what_was_not_sent() -> None:
    """
    An event keeps its detail as it came, gets the default bus, and no id or time that it does not have.
    """
    event = msgspec.json.decode(b'{"source":"s","detail-type":"t","detail":{"b": 1.0}}', type=DomainEvent)

    assert (event.id, event.time, event.bus) == (msgspec.UNSET, msgspec.UNSET, "default")
    assert bytes(event.detail) == b'{"b": 1.0}'
    assert msgspec.json.decode(msgspec.json.encode(event)) == MINIMAL


def test_reasons_can_be_folders() -> None:
    """
    Every drop reason is a plain path part.
    """
    assert all(re.fullmatch(r"[a-z]+(-[a-z]+)*", reason) for reason in DropReason)
