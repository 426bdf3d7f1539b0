"""
What HubSpot's twin answers. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any
from uuid import uuid4

from metriclake.testing.hubspot_events import iso
from metriclake.testing.hubspot_objects import Written
from metriclake.testing.loopback import Answer
from metriclake.testing.record import Refusal
from metriclake.testing.twin import Verdict, as_json

_CATEGORIES = {
    400: "VALIDATION_ERROR",
    401: "INVALID_AUTHENTICATION",
    403: "MISSING_SCOPES",
    404: "OBJECT_NOT_FOUND",
    409: "OBJECT_ALREADY_EXISTS",
}
_POLICIES = {
    "DAILY": "You have reached your daily limit.",
    "TEN_SECONDLY_ROLLING": "You have reached your ten_secondly_rolling limit.",
    "SECONDLY": "You have reached your secondly limit.",
    "MONTHLY": "You have reached your monthly limit.",
}


class Denied(Exception):  # noqa: N818 - a verdict, which never leaves this package
    """
    A whole request is refused, and with it the records that make it wrong.
    """

    def __init__(self, answer: Answer, rejected: Sequence[Refusal] = ()) -> None:
        """
        Hold the answer.
        """
        super().__init__()
        self.verdict = Verdict(answer, rejected=rejected)


def failing(status: int, headers: Mapping[str, str]) -> Answer:
    """
    Return an answer with `status`, `message`, `category` and `correlationId`; for a 429, that of the ten seconds.
    """
    if status == 429:
        return limited("TEN_SECONDLY_ROLLING", {**headers, "X-HubSpot-RateLimit-Remaining": "0"})
    known = status in HTTPStatus._value2member_map_
    return error(status, HTTPStatus(status).phrase if known else "Unknown", headers)


def error(
    status: int, message: str, headers: Mapping[str, str] | None = None, context: Mapping[str, Any] | None = None
) -> Answer:
    """
    Return an answer with words of its own.
    """
    body = {
        "status": "error",
        "message": message,
        "correlationId": str(uuid4()),
        **({"context": context} if context else {}),
        "category": _CATEGORIES.get(status, "FAILED"),
    }
    return as_json(status, body, headers)


def limited(policy: str, headers: Mapping[str, str]) -> Answer:
    """
    Return the answer to a request above a rate.
    """
    body = {
        "status": "error",
        "message": _POLICIES[policy],
        "errorType": "RATE_LIMIT",
        "correlationId": str(uuid4()),
        "policyName": policy,
    }
    return as_json(429, body, headers)


def complete(written: Written, now: float, headers: Mapping[str, str]) -> Verdict:
    """
    Return the verdict on a batch that is written, but for inputs that its answer names.
    """
    times = {"startedAt": iso(now), "completedAt": iso(now)}
    results = [
        {**result, "createdAt": iso(result["createdAt"]), "updatedAt": iso(result["updatedAt"])}
        for result in written.results
    ]
    body: dict[str, Any] = {"status": "COMPLETE", "results": results, **times}
    if written.wrong:
        errors = [
            {
                "status": "error",
                "category": "VALIDATION_ERROR",
                "message": refusal.reason,
                "context": {"objectWriteTraceId": [item["objectWriteTraceId"]]},
                "errors": [],
                "links": {},
            }
            for item, refusal in written.wrong
        ]
        body |= {"numErrors": len(errors), "errors": errors}
    return Verdict(
        as_json(207 if written.wrong else 200, body, headers),
        written.arrivals,
        [refusal for _, refusal in written.wrong],
        written.changes,
    )


def described(name: str, *, unique: bool) -> dict[str, Any]:
    """
    Return a property as the API describes it.
    """
    return {
        "name": name,
        "label": name,
        "type": "string",
        "fieldType": "text",
        "groupName": "companyinformation",
        "description": "",
        "options": [],
        "hasUniqueValue": unique,
    }
