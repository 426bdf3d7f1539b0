"""
What the admin routes say about themselves in the OpenAPI document.
"""

from __future__ import annotations

from typing import Any

import msgspec

from metriclake.admin.backfill import BackfillTerms
from metriclake.admin.deadletters import LettersTerms
from metriclake.admin.lake import RetryTerms
from metriclake.admin.login import LoginTerms
from metriclake.admin.recount import RecountTerms
from metriclake.admin.replays import ReplayTerms
from metriclake.admin.rules import PreviewTerms
from metriclake.admin.viewing import ViewTerms
from metriclake.openapi import Answer, Content, Example, Operation, Parameter


class Took(msgspec.Struct):
    """
    What questions took: how many there were by how they ended, and what their statements read.
    """

    questions: int
    answered: int
    cached: int
    shared: int
    over_limit: int
    too_large: int
    invalid: int
    failed: int
    exports: int
    statements: int
    rows_read: int
    bytes_read: int
    engine_ms: float
    cpu_ms: float


class TenantTook(Took):
    """
    What one tenant's questions took.
    """

    tenant: str


class Usage(msgspec.Struct):
    """
    What every tenant's questions took since a moment.
    """

    since: str
    tenants: list[TenantTook]
    total: Took


class Holds(msgspec.Struct):
    """
    What the store holds of one tenant: its metrics by name, how many rows, the first and the last time among them.

    `name` is the directory's, and `cost` what its questions took since the start.
    """

    tenant: str
    metrics: list[str]
    rows: int
    first_time: str
    last_time: str
    name: str | None
    cost: Took


class Tenants(msgspec.Struct):
    """
    A slice of the tenants, by name; `next` is empty at the end, `matching` how many there are of all slices.
    """

    tenants: list[Holds]
    next: str
    matching: int


class Noted(msgspec.Struct):
    """
    A line of the audit trail: what was done, when, of which tenant, by whom, and what was asked for.
    """

    number: int
    at: str
    action: str
    tenant: str | None
    by: str
    client: str
    request_id: str
    facts: dict[str, Any]


class AuditLines(msgspec.Struct):
    """
    A slice of the audit trail; `next` is 0 at the end.
    """

    lines: list[Noted]
    next: int


_PAGE = {200: Answer("The page", "text/html", {"type": "string"})}
_ASSET = {200: Answer("The file", "*/*", {"type": "string"})}
_SLICE = {200: Answer("A slice of the answer, with `next` where to go on", schema={"type": "object"})}
_LAKE = (
    Operation(
        "/v1/admin/lake/check",
        "get",
        "admin",
        "Hold a part of the lake against its manifests",
        key="adminKey",
        answers=_SLICE,
        problems=(400, 401),
    ),
    Operation(
        "/v1/admin/errors",
        "get",
        "admin",
        "Count refused records by reason, tenant and metric",
        key="adminKey",
        answers=_SLICE,
        problems=(400, 401),
    ),
    Operation(
        "/v1/admin/errors/records",
        "get",
        "admin",
        "Return refused records, raw ones among it",
        key="adminKey",
        answers=_SLICE,
        problems=(400, 401),
    ),
    Operation(
        "/v1/admin/errors/retry",
        "post",
        "admin",
        "Send refused records through the journal again",
        key="adminKey",
        takes=(Content("application/json", RetryTerms, (Example("count what would be sent", {"dry_run": True}),)),),
        answers=_SLICE,
        problems=(400, 401, 408, 413, 429, 503),
    ),
)

_RECOUNT = Operation(
    "/v1/admin/recount",
    "post",
    "admin",
    "Count the books anew from the lake and the store, up to one moment",
    key="adminKey",
    takes=(Content("application/json", RecountTerms, (Example("begin", {}),)),),
    answers=_SLICE,
    problems=(400, 401, 413),
)


_LETTERS_BODY = (Content("application/json", LettersTerms, (Example("of one reason", {"reason": "400"}),)),)
_LETTERS = (
    Operation(
        "/v1/admin/deadletters",
        "get",
        "admin",
        "Count dead letters by destination, reason, tenant, metric and state",
        key="adminKey",
        answers={200: Answer("The counts, and the destinations that do not take all", schema={"type": "object"})},
        problems=(400, 401),
    ),
    Operation(
        "/v1/admin/deadletters/records",
        "get",
        "admin",
        "Return dead letters, each with its attempts and its metric event",
        key="adminKey",
        answers=_SLICE,
        problems=(400, 401),
    ),
    *(
        Operation(
            f"/v1/admin/deadletters/{what}",
            "post",
            "admin",
            words,
            key="adminKey",
            takes=_LETTERS_BODY,
            answers=_SLICE,
            problems=(400, 401, 413, 503),
        )
        for what, words in (("redrive", "Have dead letters tried again"), ("drop", "Give dead letters up"))
    ),
)

_REPLAYS = (
    Operation(
        "/v1/admin/replays",
        "get",
        "admin",
        "Return all replays, and how far each is",
        key="adminKey",
        answers={200: Answer("The replays, and the destinations that do not take all", schema={"type": "object"})},
        problems=(401,),
    ),
    Operation(
        "/v1/admin/replays",
        "post",
        "admin",
        "Have announced objects delivered to a destination again, say how much that would be, or end it",
        key="adminKey",
        takes=(
            Content(
                "application/json",
                ReplayTerms,
                (Example("how much it would be", {"destination": "segment", "from": "2026-01-30", "dry_run": True}),),
            ),
        ),
        answers={200: Answer("The replay's number, and how much it is", schema={"type": "object"})},
        problems=(400, 401, 413, 503),
    ),
)

_EVENT = {"source": "shop", "detail-type": "order-paid", "detail": {"tenant_id": "acme"}}
_RULES = (
    Operation(
        "/v1/admin/rules/explain",
        "post",
        "admin",
        "Tell what becomes of a domain event at every rule of its bus, without accepting it",
        key="adminKey",
        takes=(Content("application/json", {"type": "object"}, (Example("a domain event", _EVENT),)),),
        answers={200: Answer("Each rule: whether it matches, why not, what it makes", schema={"type": "object"})},
        problems=(400, 401, 413),
    ),
    Operation(
        "/v1/admin/preview",
        "post",
        "admin",
        "Run an edited file's rule over archived events, beside the rule in force",
        key="adminKey",
        takes=(
            Content(
                "application/json",
                PreviewTerms,
                (Example("since a day", {"metric": "jobs", "pipeline": "metrics: {}", "from": "2026-01-30"}),),
            ),
        ),
        answers=_SLICE,
        problems=(400, 401, 413),
    ),
    Operation(
        "/v1/admin/backfill",
        "post",
        "admin",
        "Run a metric's rule in force over archived events, into the lake and the store",
        key="adminKey",
        takes=(
            Content(
                "application/json",
                BackfillTerms,
                (Example("count what would be made", {"metric": "jobs", "from": "2026-01-30", "dry_run": True}),),
            ),
        ),
        answers=_SLICE,
        problems=(400, 401, 413),
    ),
)
_TENANTS = (
    Operation(
        "/v1/admin/tenants",
        "get",
        "admin",
        "List what the store holds of each tenant",
        key="adminKey",
        parameters=(
            Parameter("after", "The tenant after which to go on: `next` of the slice before"),
            Parameter("limit", "How many tenants at most, from 1 to 1000"),
            Parameter("search", "Only tenants whose id has this text, in upper or lower case"),
        ),
        answers={200: Answer("A slice of the answer, with `next` where to go on", schema=Tenants)},
        problems=(400, 401, 503),
    ),
    Operation(
        "/v1/admin/tenants/{tenant}/export",
        "get",
        "admin",
        "Return a tenant's rows as a file, with the parameters of `/v1/export`",
        key="adminKey",
        answers={
            200: Answer(
                "The rows as a file, in chunks; whole only where the last chunk has come",
                "*/*",
                {"type": "string"},
                {"Content-Disposition": "The file's name", "X-Rows": "How many rows there are"},
            )
        },
        problems=(400, 401, 422, 503),
    ),
)

_FLEET = Operation(
    "/v1/admin/fleet",
    "post",
    "admin",
    "Answer a question over all tenants: together, the largest, those that moved most, how many have events",
    key="adminKey",
    takes=(
        Content(
            "application/json",
            {"type": "object"},
            (Example("the largest tenants", {"metric": "findings_opened", "show": "top", "range": {"last": "30d"}}),),
        ),
    ),
    answers={200: Answer("The answer: `columns`, `rows`, `meta`", schema={"type": "object"})},
    problems=(400, 401, 413, 422, 503),
)

_PROVENANCE = Operation(
    "/v1/admin/provenance",
    "post",
    "admin",
    "Tell where a point of a tenant's chart comes from: lake objects, rules, a few events",
    key="adminKey",
    takes=(
        Content(
            "application/json",
            {"type": "object"},
            (
                Example(
                    "of a whole range",
                    {"tenant": "acme", "question": {"metric": "findings_opened", "range": {"last": "30d"}}},
                ),
            ),
        ),
    ),
    answers={200: Answer("`value`, `objects`, `rules`", schema={"type": "object"})},
    problems=(400, 401, 413, 422, 503),
)

_SESSION = (
    Operation(
        "/v1/admin/session",
        "get",
        "admin",
        "Tell how whoever asks is known: by the key, or by which session",
        key="adminKey",
        answers={200: Answer("`by`, as the audit trail says it", schema={"type": "object"})},
        problems=(401,),
    ),
    Operation(
        "/v1/admin/session",
        "post",
        "admin",
        "Begin a session of the internal page, by the admin key; it is a cookie of that page alone",
        takes=(Content("application/json", LoginTerms, (Example("log in", {"key": "the admin key"}, 401),)),),
        answers={204: Answer("The session has begun", ())},
        problems=(400, 401, 413, 429, 503),
    ),
    Operation(
        "/v1/admin/session",
        "delete",
        "admin",
        "End the session of the internal page",
        key="adminKey",
        answers={204: Answer("The session is forgotten", ())},
        problems=(401,),
    ),
)

_VIEWING = (
    Operation(
        "/v1/admin/catalog",
        "get",
        "admin",
        "List the metrics of all tenants, and the measures that came as several types",
        key="adminKey",
        answers={200: Answer("The metrics, by name", schema={"type": "object"})},
        problems=(401, 503),
    ),
    Operation(
        "/v1/admin/view-as",
        "post",
        "admin",
        "Return a token of a tenant for 15 minutes, to see what it sees; a line in the audit trail says so",
        key="adminKey",
        takes=(Content("application/json", ViewTerms, (Example("as a tenant", {"tenant": "acme"}),)),),
        answers={200: Answer("`tenant`, `token`", schema={"type": "object"})},
        problems=(400, 401, 413, 503),
    ),
)


_AUDIT = Operation(
    "/v1/admin/audit",
    "get",
    "admin",
    "List what was done with the admin key, the newest first",
    key="adminKey",
    parameters=(
        Parameter("before", "The line before which to go on: `next` of the slice before"),
        Parameter("limit", "How many lines at most, 50 where it is not given"),
        Parameter("tenant", "Only lines of this tenant"),
    ),
    answers={200: Answer("A slice of the lines, with `next` where to go on, 0 at the end", schema=AuditLines)},
    problems=(400, 401, 503),
)


def described() -> tuple[Operation, ...]:
    """
    Return what there is to say of each route.
    """
    return (
        Operation(
            "/v1/admin/status",
            "get",
            "admin",
            "Tell where every event is: the books, and how far each stage is behind",
            key="adminKey",
            parameters=(
                Parameter("most", "How many accounts at most: those that do not balance, or not at rest, come first"),
                Parameter("search", "Only accounts whose tenant or metric has this text, in upper or lower case"),
            ),
            answers={200: Answer("What `metriclake status --json` prints", schema={"type": "object"})},
            problems=(400, 401, 503),
        ),
        Operation(
            "/v1/admin/usage",
            "get",
            "admin",
            "Tell what each tenant's questions took since the start, the one that took most first",
            key="adminKey",
            answers={200: Answer("The tenants' accounts", schema=Usage)},
            problems=(401,),
        ),
        *_SESSION,
        *_VIEWING,
        _AUDIT,
        _FLEET,
        _PROVENANCE,
        _RECOUNT,
        *_LAKE,
        *_LETTERS,
        *_REPLAYS,
        *_RULES,
        *_TENANTS,
        Operation("/admin", "get", "pages", "Return the internal page, a shell without data", answers=_PAGE),
        Operation(
            "/admin/{file}", "get", "pages", "Return a file of the internal page", answers=_ASSET, problems=(404,)
        ),
    )
