"""
What a GitHub webhook delivery is as a domain event: `source: github`, `detail-type: <event>.<action>`, bus `github`.

GitHub sends no time with a delivery, and its arrival would be another one when GitHub delivers again. So the time is
read from the payload: the newest moment that the thing it speaks of carries. Where there is none, the event has no
time, and a rule must take `event_time` from elsewhere.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec

from metriclake._errors import InvalidBody
from metriclake.gateway.bodies import MAX_DEPTH, too_deep

_ABOUT_OTHERS = frozenset({"repository", "sender", "organization", "installation", "enterprise", "changes"})
_MOMENTS = (
    "updated_at", "created_at", "closed_at", "merged_at", "submitted_at", "completed_at", "started_at", "published_at",
    "dismissed_at", "fixed_at", "resolved_at", "timestamp", "pushed_at",
)  # fmt: skip


def envelope(event: str | None, delivery: str | None, body: bytes) -> bytes:
    """
    Return the domain event of a delivery, as one line of JSON. Raises InvalidBody.
    """
    if not event or not delivery:
        raise InvalidBody("the headers X-GitHub-Event and X-GitHub-Delivery are missing: is this GitHub?")
    if too_deep(body):
        raise InvalidBody(f"the payload is nested deeper than {MAX_DEPTH} levels")
    try:
        payload = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidBody(f"the payload is not JSON: {error}") from error
    if not isinstance(payload, dict):
        raise InvalidBody("the payload is not a JSON object")
    action = payload.get("action")
    head: dict[str, Any] = {
        "id": delivery,
        "source": "github",
        "detail-type": f"{event}.{action}" if isinstance(action, str) and action else event,
        "bus": "github",
    }
    moment = newest(payload)
    if moment is not None:
        head["time"] = moment.isoformat().replace("+00:00", "Z")
    raw = body.replace(b"\n", b" ").replace(b"\r", b" ")
    return msgspec.json.encode({**head, "detail": msgspec.Raw(raw)})


def newest(payload: dict[str, Any]) -> datetime | None:
    """
    Return the newest moment of what the payload is about, or else of its repository.
    """
    subjects = [value for key, value in payload.items() if key not in _ABOUT_OTHERS and isinstance(value, dict)]
    moments = [*_moments(payload), *(moment for subject in subjects for moment in _moments(subject))]
    if not moments:
        repository = payload.get("repository")
        moments = list(_moments(repository)) if isinstance(repository, dict) else []
    return max(moments, default=None)


def _moments(subject: dict[str, Any]) -> list[datetime]:
    found = (_moment(subject.get(name)) for name in _MOMENTS)
    return [moment for moment in found if moment is not None]


def _moment(value: Any) -> datetime | None:
    if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 10**11:
        return datetime.fromtimestamp(value, UTC)
    if not isinstance(value, str):
        return None
    try:
        moment = msgspec.convert(value, datetime)
        return moment.astimezone(UTC) if moment.tzinfo is not None else None
    except (msgspec.ValidationError, OverflowError):
        return None
