"""
GitHub's deliveries as domain events.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from gateway.doorstep import KEYS, Doorstep
from metriclake._errors import InvalidBody
from metriclake.gateway.github import envelope, newest
from metriclake.journal import SqliteJournal
from metriclake.tokens import sign_github

PAYLOAD = {
    "action": "opened",
    "issue": {"number": 7, "created_at": "2026-01-31T10:00:00Z", "updated_at": "2026-01-31T12:00:00+01:00"},
    "repository": {"full_name": "acme/shop", "pushed_at": 1_800_000_000, "updated_at": "2026-06-01T00:00:00Z"},
}
BODY = json.dumps(PAYLOAD).encode()
HEADERS = {"X-GitHub-Event": "issues", "X-GitHub-Delivery": "d-1", "Content-Type": "application/json"}
PATH = "/v1/webhooks/github"


@pytest.fixture
def door(journal: SqliteJournal) -> Doorstep:
    """
    Stand before a gateway on a fresh journal.
    """
    return Doorstep(journal)


def signed(body: bytes, secret: str = KEYS.github) -> dict[str, str]:
    """
    Return the headers of a delivery.
    """
    return {**HEADERS, "X-Hub-Signature-256": sign_github(body, secret)}


def test_delivery_becomes_a_domain_event(door: Doorstep) -> None:
    """
    A signed delivery is accepted without a key: its id, event and action, payload, and the time of its subject.
    """
    answer = door.post(PATH, BODY, signed(BODY), key=None)

    assert (answer.status_code, answer.json()) == (200, {"accepted": 1, "rejected": []})
    assert door.kept() == [
        {
            "id": "d-1",
            "source": "github",
            "detail-type": "issues.opened",
            "bus": "github",
            "time": "2026-01-31T11:00:00Z",
            "detail": PAYLOAD,
        }
    ]


@pytest.mark.parametrize(
    "signature",
    [None, "", "sha256=", sign_github(BODY, "another secret"), sign_github(BODY + b" ", KEYS.github), "sha1=x"],
)
def test_signature_that_does_not_fit_is_refused(door: Doorstep, signature: str | None) -> None:
    """
    A missing or wrong signature is 401, also for one who has the ingest key.
    """
    headers = HEADERS if signature is None else {**HEADERS, "X-Hub-Signature-256": signature}
    answer = door.post(PATH, BODY, headers)

    assert (answer.status_code, answer.headers["Content-Type"]) == (401, "application/problem+json")
    assert door.kept() == []


def test_pretty_payload_is_one_line(door: Doorstep) -> None:
    """
    A payload with line breaks is kept on one line.
    """
    body = json.dumps(PAYLOAD, indent=2).encode()
    door.post(PATH, body, signed(body))

    assert [record["detail"] for record in door.kept()] == [PAYLOAD]


def test_same_delivery_again_is_the_same_event(door: Doorstep) -> None:
    """
    A redelivery has the same id and the same time, whenever it comes.
    """
    door.post(PATH, BODY, signed(BODY))
    door.post(PATH, BODY, signed(BODY))

    first, second = door.kept()
    assert first == second


@pytest.mark.parametrize("header", ["X-GitHub-Event", "X-GitHub-Delivery"])
def test_delivery_without_its_headers_is_refused(door: Doorstep, header: str) -> None:
    """
    Without GitHub's own headers a signed body is refused.
    """
    headers = {name: value for name, value in signed(BODY).items() if name != header}
    answer = door.post(PATH, BODY, headers)

    assert (400, "X-GitHub-Event" in answer.json()["detail"]) == (answer.status_code, True)


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        (b"payload=%7B%7D", "application/x-www-form-urlencoded", 415),
        (b"not json", "application/json", 400),
        (b"[1]", "application/json", 400),
        (b'{"a":"\xff"}', "application/json", 400),
    ],
)
def test_payload_that_is_no_object_is_refused(door: Doorstep, body: bytes, content_type: str, status: int) -> None:
    """
    Forms, broken JSON and anything but an object are refused with the reason.
    """
    answer = door.post(PATH, body, {**signed(body), "Content-Type": content_type})

    assert status == answer.status_code
    assert door.kept() == []


@pytest.mark.parametrize(
    ("payload", "kind"),
    [({"action": "closed"}, "push.closed"), ({}, "push"), ({"action": ""}, "push"), ({"action": 7}, "push")],
)
def test_action_belongs_to_the_type(payload: dict[str, Any], kind: str) -> None:
    """
    An event with an action is `<event>.<action>`, one without is its event alone.
    """
    assert json.loads(envelope("push", "d", json.dumps(payload).encode()))["detail-type"] == kind


@pytest.mark.parametrize(
    ("payload", "moment"),
    [
        ({}, None),
        ({"issue": {"created_at": "2026-01-02T00:00:00Z", "closed_at": "2026-01-03T00:00:00Z"}}, 3),
        ({"a": {"updated_at": "2026-01-02T00:00:00Z"}, "b": {"updated_at": "2026-01-04T00:00:00Z"}}, 4),
        ({"created_at": "2026-01-05T00:00:00Z"}, 5),
        ({"sender": {"created_at": "2026-01-05T00:00:00Z"}}, None),
        ({"repository": {"pushed_at": 1767657600}}, 6),
        ({"issue": {"created_at": "2026-01-02T00:00:00Z"}, "repository": {"pushed_at": 1767657600}}, 2),
        ({"issue": {"created_at": "2026-01-02T00:00:00"}}, None),
        ({"issue": {"created_at": "soon", "closed_at": None, "merged_at": True, "updated_at": -1}}, None),
        ({"issue": {"updated_at": "0001-01-01T00:00:00+23:59"}}, None),
        ({"issue": {"updated_at": "9999-12-31T23:59:59-23:59"}}, None),
    ],
)
def test_time_is_the_newest_of_the_subject(payload: dict[str, Any], moment: int | None) -> None:
    """
    The time is the newest of what the payload is about, else of its repository; what is no time is passed over.
    """
    expected = None if moment is None else datetime(2026, 1, moment, tzinfo=UTC)

    assert newest(payload) == expected


def test_bottomless_payload_is_refused() -> None:
    """
    A payload that nests deeper than anyone reads is refused like any other that cannot be read.
    """
    with pytest.raises(InvalidBody):
        envelope("push", "d", b'{"a":' * 100_000)
