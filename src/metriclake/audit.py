"""
The noun of the audit trail: what somebody did who had the admin key.

A line has no key and no payload; it is durable before what it tells of is done.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Action(StrEnum):
    """
    What is noted: who comes and goes, who looks at a tenant's data as a whole, and what changes what is delivered.
    """

    LOGIN = "login"
    LOGOUT = "logout"
    VIEW_AS = "view-as"
    EXPORT = "export"
    REDRIVE = "redrive"
    DROP = "drop"
    RETRY = "retry"
    REPLAY = "replay"
    REPLAY_STOP = "replay-stop"
    BACKFILL = "backfill"


@dataclass(frozen=True, slots=True)
class AuditLine:
    """
    One line: when (microseconds since 1970), what, of which tenant (empty where it is of none in particular).

    `by` says how the admin was known: `key`, or `session` and the beginning of its name; `client` is the address that
    asked, `request_id` the request's id, `facts` what was asked for. The journal gives the `number`.
    """

    at: int
    action: str
    tenant: str
    by: str
    client: str
    request_id: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    number: int = 0
