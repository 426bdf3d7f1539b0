"""
The query API answers for the tenant of the token and for nobody else, and says what it refuses.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from starlette.applications import Starlette
from starlette.exceptions import HTTPException

from metriclake._errors import MetriclakeError
from metriclake.pipeline.dashboard_specs import DashboardSpec, TileSpec
from metriclake.problems import on_error, on_http_error
from metriclake.query import AnswerCache, Dashboards, Declared, Desk, Query
from metriclake.tokens import TenantClaims, mint_tenant
from store.shelf import Shelf, event

pytestmark = pytest.mark.engine

KEY = "a-signing-key-of-the-tests-0123456789"
FRESH = datetime(2026, 7, 1, tzinfo=UTC)
JUNE = {"from": "2026-06-01T00:00:00Z", "to": "2026-07-01T00:00:00Z"}
COUNT = {"metric": "uploads", "range": JUNE}
LAST = {"metric": "uploads", "range": {"last": "3650d"}}
TILE = TileSpec(metric="uploads", kind="bar", interval="none", group_by=["kind"])
BOARDS = {
    "uploads": DashboardSpec(title="Uploads", ranges=["3650d"], filters=["kind"], tiles=[TILE]),
    "secrets": DashboardSpec(ranges=["3650d"], tiles=[TileSpec(metric="secrets", kind="value")]),
}

Ask = Callable[..., httpx.Response]


@pytest.fixture(scope="module")
def app(shelf: Shelf) -> Starlette:
    """
    Build the query API over a store with two tenants of the same metric, and one's own metric.
    """
    day = datetime(2026, 6, 10, 12, tzinfo=UTC)
    own = [
        event("acme", f"{index}", time=day + timedelta(days=index % 3), dimensions={"kind": "ab"[index % 2]}, size=2.5)
        for index in range(6)
    ]
    shelf.load(
        *own,
        event("acme", "bare", time=day),
        event("globex", "1", time=day, dimensions={"secret": "x"}, size=1000.0),
        event("globex", "2", metric="secrets", time=day, salary=99.0),
    )
    units = {("uploads", "size"): "bytes"}
    names = {"acme": {"name": "Acme Inc.", "environment": "eu"}}
    dashboards = Dashboards(shelf.reader, KEY, lambda: units, lambda tenant: names.get(tenant, {}), lambda: BOARDS)
    query = Query(
        Desk(shelf.reader, lambda _tenant: FRESH, cache=AnswerCache(lambda: 0)),
        KEY,
        lambda: Declared(1, lambda: units),
        lambda tenant: names.get(tenant, {}),
        dashboards.permit,
    )
    handlers: Any = {MetriclakeError: on_error, HTTPException: on_http_error}
    return Starlette(routes=[*query.routes(), *dashboards.routes()], exception_handlers=handlers)


@pytest.fixture
def ask(app: Starlette) -> Ask:
    """
    Return what sends a request: of tenant acme unless told otherwise.
    """

    def send(question: Any = None, token: str | None = None, path: str = "/v1/query", **rest: Any) -> httpx.Response:
        async def work() -> httpx.Response:
            headers = {"Authorization": f"Bearer {minted() if token is None else token}", **rest.pop("headers", {})}
            transport = httpx.ASGITransport(app)
            async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
                if path == "/v1/query" and "content" not in rest:
                    rest["json"] = question
                return await client.request("POST" if path == "/v1/query" else "GET", path, headers=headers, **rest)

        return asyncio.run(work())

    return send


def minted(tenant: str = "acme", **claims: Any) -> str:
    """
    Return a tenant's token as the commands mint it.
    """
    return mint_tenant(KEY, tenant, now=datetime.now(UTC), **claims)


def signed(claims: dict[str, Any], key: str = KEY, algorithm: str = "HS256") -> str:
    """
    Return a token as a backend may make one.
    """
    return jwt.encode(claims, key, algorithm=algorithm)


def ends(seconds: float) -> int:
    """
    Return an `exp` so many seconds from now.
    """
    return int(time.time() + seconds)


def confused(claims: dict[str, Any]) -> str:
    """
    Return a token that says RS256 and is signed by HMAC with a public key, as in the confusion attack.
    """
    public = rsa.generate_private_key(65537, 2048).public_key().public_bytes(Encoding.PEM, PublicFormat.PKCS1)
    parts = [json.dumps({"alg": "RS256", "typ": "JWT"}).encode(), json.dumps(claims).encode()]
    text = b".".join(base64.urlsafe_b64encode(part).rstrip(b"=") for part in parts)
    signature = base64.urlsafe_b64encode(hmac.new(public, text, hashlib.sha256).digest()).rstrip(b"=")
    return (text + b"." + signature).decode()


def says(answer: httpx.Response, status: int) -> str:
    """
    Return the detail of a problem document, after a look at its shape.
    """
    problem = answer.json()
    assert (answer.status_code, problem["status"]) == (status, status)
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.headers["Cache-Control"] == "no-store"
    assert {"type", "title", "detail"} <= problem.keys()
    detail: str = problem["detail"]
    return detail


ACME = {"tenant_id": "acme"}
TOKENS: dict[str, Callable[[], str]] = {
    "empty": lambda: "",
    "garbage": lambda: "a.b.c",
    "another-key": lambda: signed({**ACME, "exp": ends(60)}, "b" * 40),
    "expired": lambda: signed({**ACME, "exp": ends(-1)}),
    "too-long-lived": lambda: signed({**ACME, "exp": ends(25 * 3600)}),
    "without-exp": lambda: signed(ACME),
    "exp-text": lambda: signed({**ACME, "exp": "tomorrow"}),
    "exp-huge": lambda: signed({**ACME, "exp": 1e300}),
    "exp-infinite": lambda: signed({**ACME, "exp": float("inf")}),
    "exp-nan": lambda: signed({**ACME, "exp": float("nan")}),
    "not-yet": lambda: signed({**ACME, "exp": ends(60), "nbf": ends(3600)}),
    "nbf-huge": lambda: signed({**ACME, "exp": ends(60), "nbf": 1e300}),
    "alg-none": lambda: signed({**ACME, "exp": ends(60)}, "", "none"),
    "hs512": lambda: signed({**ACME, "exp": ends(60)}, KEY * 2, "HS512"),
    "hs512-same-key": lambda: signed({**ACME, "exp": ends(60)}, KEY, "HS384"),
    "rs256-confusion": lambda: confused({**ACME, "exp": ends(60)}),
    "no-tenant": lambda: signed({"exp": ends(60)}),
    "empty-tenant": lambda: signed({"tenant_id": "", "exp": ends(60)}),
    "number-tenant": lambda: signed({"tenant_id": 7, "exp": ends(60)}),
    "list-of-tenants": lambda: signed({"tenant_id": ["acme"], "exp": ends(60)}),
    "quote-in-tenant": lambda: signed({"tenant_id": "x' OR '1'='1", "exp": ends(60)}),
    "metrics-text": lambda: signed({**ACME, "metrics": "uploads", "exp": ends(60)}),
    "origin-number": lambda: signed({**ACME, "origin": 1, "exp": ends(60)}),
    "cut": lambda: minted()[:-4],
    "not-ascii": lambda: minted() + "x",
}


@pytest.mark.filterwarnings("ignore:The HMAC key is:jwt.warnings.InsecureKeyLengthWarning")
@pytest.mark.parametrize("path", ["/v1/query", "/v1/catalog"])
@pytest.mark.parametrize("name", TOKENS)
def test_every_doubt_about_a_token_is_a_401(ask: Ask, name: str, path: str) -> None:
    """
    A token that is missing, forged, expired, too long-lived or of another algorithm opens nothing.
    """
    answer = ask(COUNT, TOKENS[name](), path)

    assert says(answer, 401)
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer ", "Basic YTpi", "bearer"])
def test_a_token_comes_as_a_bearer(ask: Ask, header: str | None) -> None:
    """
    Without a bearer token there is no default tenant; a token in the URL or a cookie is none.
    """
    headers = {} if header is None else {"Authorization": header}

    assert says(ask(COUNT, "", headers={"Authorization": "", **headers}), 401)
    assert says(ask(COUNT, "", params={"token": minted()}, headers={"Cookie": f"token={minted()}"}), 401)


def test_a_question_is_answered(ask: Ask) -> None:
    """
    The answer has columns with types and units, rows in their order, and what it is an answer to.
    """
    question = {**COUNT, "measure": "size", "aggregate": "sum", "interval": "day", "group_by": ["kind"]}

    answer = ask(question)

    assert answer.status_code == 200
    body = answer.json()
    assert body["columns"] == [
        {"name": "time", "type": "time", "unit": None},
        {"name": "kind", "type": "string", "unit": None},
        {"name": "value", "type": "double", "unit": "bytes"},
    ]
    assert body["rows"] == [
        ["2026-06-10T00:00:00Z", None, None],
        *([f"2026-06-1{day}T00:00:00Z", kind, 2.5] for day in range(3) for kind in "ab"),
    ]
    meta = body["meta"]
    assert (meta["from"], meta["to"], meta["interval"]) == ("2026-06-01T00:00:00Z", "2026-07-01T00:00:00Z", "day")
    assert (meta["fresh_as_of"], meta["cached"]) == ("2026-07-01T00:00:00Z", False)
    assert meta["elapsed_ms"] > 0
    assert answer.headers["Cache-Control"] == "no-store"


def test_a_comparison_says_with_what(ask: Ask) -> None:
    """
    The previous value stands beside the value, and the answer says which period it is of.
    """
    asked = {"from": "2026-06-11T00:00:00Z", "to": "2026-06-12T00:00:00Z"}

    body = ask({**COUNT, "range": asked, "interval": "day", "compare": "previous_period"}).json()

    assert [column["name"] for column in body["columns"]] == ["time", "value", "previous"]
    assert body["rows"] == [["2026-06-11T00:00:00Z", 2, 3]]
    assert body["meta"]["previous"] == {"from": "2026-06-10T00:00:00Z", "to": "2026-06-11T00:00:00Z"}
    assert "previous" not in ask(COUNT).json()["meta"]


def test_a_limit_leaves_the_rest_together(ask: Ask) -> None:
    """
    The largest group keeps its name, and the counts add up to those of all.
    """
    body = ask({**COUNT, "group_by": ["kind"], "limit": 1}).json()

    assert body["rows"] == [["a", 3], ["other", 4]]


def test_each_tenant_sees_its_own(ask: Ask) -> None:
    """
    The same question by two tenants has two answers, and by a third one that has nothing none.
    """
    assert ask(COUNT).json()["rows"] == [[7]]
    assert ask(COUNT, minted("globex")).json()["rows"] == [[1]]
    assert "there is no metric" in json.dumps(ask(COUNT, minted("nobody")).json())


@pytest.mark.parametrize(
    "parts",
    [
        {"metric": "secrets"},
        {"group_by": ["secret"]},
        {"filters": [{"dimension": "secret", "equals": "x"}]},
        {"metric": "secrets", "measure": "salary", "aggregate": "sum"},
    ],
)
def test_names_of_another_tenant_do_not_exist(ask: Ask, parts: dict[str, Any]) -> None:
    """
    A metric or dimension that only another tenant has is refused in the words for one that nobody has.
    """
    answer = ask({**COUNT, **parts})

    says(answer, 400)
    assert all(fault["error"].startswith("there is no") for fault in answer.json()["errors"])
    assert not any(word in answer.text for word in ("did you mean", "salary"))


def test_case_tells_tenants_apart(ask: Ask) -> None:
    """
    Tenant ids are case-sensitive.
    """
    assert ask(path="/v1/catalog", token=minted("ACME")).json()["metrics"] == []


def test_the_catalogue_names_the_tenants_own(ask: Ask) -> None:
    """
    The catalogue has the tenant's metrics, fields, units and times, and what the directory says of it.
    """
    body = ask(path="/v1/catalog").json()

    assert body["tenant"] == {"id": "acme", "name": "Acme Inc.", "environment": "eu"}
    assert body["metrics"] == [
        {
            "name": "uploads",
            "first_time": "2026-06-10T12:00:00Z",
            "last_time": "2026-06-12T12:00:00Z",
            "dimensions": [{"name": "kind"}],
            "measures": [{"name": "size", "type": "double", "types": ["double"], "unit": "bytes"}],
        }
    ]


def test_a_token_may_allow_some_metrics_only(ask: Ask) -> None:
    """
    What the token's list does not name is refused with 403, and left out of the catalogue.
    """
    some, none = minted("globex", metrics=("uploads",)), minted("globex", metrics=())

    assert ask(COUNT, some).json()["rows"] == [[1]]
    assert says(ask({**COUNT, "metric": "secrets"}, some), 403)
    assert says(ask({**COUNT, "metric": "unheard"}, some), 403)
    assert says(ask(COUNT, none), 403)
    assert [metric["name"] for metric in ask(path="/v1/catalog", token=some).json()["metrics"]] == ["uploads"]
    assert ask(path="/v1/catalog", token=none).json()["metrics"] == []


def test_a_token_may_be_bound_to_an_origin(ask: Ask) -> None:
    """
    A token of one origin is refused to pages of another, and to what names no origin at all.
    """
    token = minted(origin="https://app.example.com")

    assert ask(COUNT, token, headers={"Origin": "https://app.example.com"}).status_code == 200
    assert says(ask(COUNT, token, headers={"Origin": "https://evil.example.com"}), 403)
    assert says(ask(COUNT, token, headers={"Origin": "null"}), 403)
    assert says(ask(COUNT, token), 403)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"X-Embedding-Origin": "https://app.example.com"}, 200),
        ({"X-Embedding-Origin": "https://app.example.com", "Origin": "http://localhost"}, 200),
        ({"X-Embedding-Origin": "http://localhost", "Origin": "http://localhost"}, 403),
        ({"X-Embedding-Origin": "https://evil.example.com", "Origin": "http://localhost"}, 403),
        ({"X-Embedding-Origin": "https://app.example.com", "Origin": "https://evil.example.com"}, 403),
        ({"Origin": "http://localhost"}, 403),
    ],
)
def test_our_own_page_names_the_page_that_frames_it(ask: Ask, headers: dict[str, str], status: int) -> None:
    """
    What comes from our own page counts as the page's that frames it; another page's word for it counts for nothing.
    """
    token = minted(origin="https://app.example.com")

    assert ask(COUNT, token, headers=headers).status_code == status


def test_a_token_of_dashboards_asks_what_they_ask(ask: Ask) -> None:
    """
    A token that is bound to a dashboard may ask its tiles' questions, filtered as its reader may, and nothing else.
    """
    token = signed({**ACME, "exp": ends(60), "dashboards": ["uploads", "gone"]})
    tile = {**LAST, "group_by": ["kind"], "limit": 8}

    assert ask(tile, token).json()["rows"] == [["a", 3], ["b", 3], [None, 1]]
    assert ask({**tile, "filters": [{"dimension": "kind", "in": ["a"]}]}, token).json()["rows"] == [["a", 3]]
    assert says(ask(LAST, token), 403)
    assert says(ask({**tile, "measure": "size"}, token), 403)
    assert says(ask({"metric": "secrets", "range": {"last": "3650d"}}, token), 403)
    assert says(ask(path="/v1/catalog", token=token), 403)
    both = ask({"queries": {"tile": tile, "more": LAST}}, token).json()["queries"]
    assert (len(both["tile"]["rows"]), both["more"]["status"]) == (3, 403)


def test_a_token_of_dashboards_sees_no_other(ask: Ask) -> None:
    """
    It is told of its own dashboards only, also where the other one is not there.
    """
    token = signed({**ACME, "exp": ends(60), "dashboards": ["uploads"]})

    assert ask(path="/v1/dashboards/uploads", token=token).json()["title"] == "Uploads"
    assert says(ask(path="/v1/dashboards/secrets", token=token), 403)
    assert says(ask(path="/v1/dashboards/none", token=token), 403)
    assert says(ask(path="/v1/dashboards/default", token=token), 403)


@pytest.mark.usefixtures("app")
def test_a_token_of_the_dashboard_of_everybody_is_shown_the_tenants_own_metrics(shelf: Shelf) -> None:
    """
    What the dashboard of everybody shows is made of the tenant's metrics, as far as the token allows them.
    """
    dashboards = Dashboards(shelf.reader, KEY, dict, lambda _tenant: {}, lambda: BOARDS)

    def shown(tenant: str, names: set[str], metrics: frozenset[str] | None = None) -> set[str]:
        found = asyncio.run(dashboards.shown(TenantClaims(tenant, FRESH, metrics, frozenset(names))))
        return set(found or ())

    assert shown("acme", {"default"}) == {"uploads"}
    assert shown("globex", {"default"}) == {"uploads", "secrets"}
    assert shown("globex", {"default"}, frozenset({"uploads"})) == {"uploads"}
    assert shown("acme", {"default", "secrets"}) == {"uploads", "secrets"}
    assert asyncio.run(dashboards.shown(TenantClaims("acme", FRESH))) is None


def test_a_dashboard_is_described_for_the_tenant(ask: Ask) -> None:
    """
    The tenant, what its reader may choose, and the tiles with their questions; those of others' metrics stay empty.
    """
    body = ask(path="/v1/dashboards/uploads").json()

    assert body["tenant"] == {"id": "acme", "name": "Acme Inc.", "environment": "eu"}
    assert body["filters"] == [{"dimension": "kind", "title": "Kind", "metrics": ["uploads"]}]
    assert (body["range"], body["intervals"], body["refresh"]) == ("3650d", {"3650d": "month"}, 15.0)
    (tile,) = body["tiles"]
    assert tile["question"] == {"metric": "uploads", "group_by": ["kind"], "limit": 8}
    assert says(ask(path="/v1/dashboards/none"), 404)


def test_a_dashboard_keeps_to_the_tokens_metrics(ask: Ask) -> None:
    """
    Tiles of metrics that the token does not allow are left out; those that are made of the catalogue, too.
    """
    token = minted("globex", metrics=("uploads",))
    names = {
        name: {tile["question"]["metric"] for tile in ask(path=f"/v1/dashboards/{name}", token=token).json()["tiles"]}
        for name in ("uploads", "secrets", "default")
    }

    assert names == {"uploads": {"uploads"}, "secrets": set(), "default": {"uploads"}}


def test_everybody_has_a_dashboard(ask: Ask) -> None:
    """
    Where the file has no dashboard `default`, it is made of what the tenant has; its questions can be asked.
    """
    body = ask(path="/v1/dashboards/default", token=minted("globex")).json()
    tiles = body["tiles"]

    assert {tile["question"]["metric"] for tile in tiles} == {"uploads", "secrets"}
    assert {tile["kind"] for tile in tiles} == {"value", "bar", "stacked_bar"} - {"stacked_bar"}
    bound = signed({"tenant_id": "globex", "exp": ends(60), "dashboards": ["default"]})
    for tile in tiles:
        asked = {**tile["question"], "range": {"last": body["range"]}, "interval": body["intervals"][body["range"]]}
        assert ask(asked, bound).status_code == 200, tile


def test_faults_come_all_at_once_with_place_and_hint(ask: Ask) -> None:
    """
    A wrong question gets every fault of its shape.
    """
    answer = ask({"metric": "uploads", "range": {"last": "1x"}, "interval": "dai"})

    says(answer, 400)
    found = {fault["place"]: fault["hint"] for fault in answer.json()["errors"]}
    assert found == {"range.last": "such as 30d", "interval": "did you mean `day`?"}


@pytest.mark.parametrize(
    "question",
    [
        {**COUNT, "measure": None, "aggregate": "sum"},
        {**COUNT, "measure": "", "aggregate": "max"},
        {**COUNT, "metric": None},
        {**COUNT, "range": {"from": "0001-01-01T00:00:00+14:00", "to": "0001-01-02T00:00:00Z"}},
        {**COUNT, "range": {"from": "9999-12-30T00:00:00Z", "to": "9999-12-31T23:59:59Z"}, "interval": "day"},
        {**COUNT, "range": {"last": "3660d"}, "interval": "minute", "fill": "zero"},
        {**COUNT, "filters": [{"dimension": "kind", "equals": "\0"}], "timezone": "\0"},
        {**COUNT, "metric": "x" * 1000},
        {**COUNT, "group_by": ["\U0001f600"]},
        [],
        "count",
        7,
    ],
    ids=[
        "measure-null", "measure-empty", "metric-null", "year-1", "year-9999", "too-many-rows", "nul", "long-metric",
        "unknown-group", "list", "text", "number",
    ],
)  # fmt: skip
def test_a_wrong_question_is_a_400_and_never_the_servers_fault(ask: Ask, question: Any) -> None:
    """
    Whatever is asked that cannot be answered is the asker's fault, with words.
    """
    assert says(ask(question), 400)


@pytest.mark.parametrize(
    "value", ["'", '"', "\\", "\\'", "\0", "a') OR 1=1 --", "{p0:String}", "%s", "\n", "\U0001f600", "x" * 10_000]
)
def test_a_filters_value_is_a_value(ask: Ask, value: str) -> None:
    """
    No text in a filter is read as anything but text.
    """
    for operator, operand, count in (("in", [value], 0), ("not_in", [value], 7), ("prefix", value, 0)):
        answer = ask({**COUNT, "filters": [{"dimension": "kind", operator: operand}]})
        assert (answer.status_code, answer.json()["rows"]) == (200, [[count]])


@pytest.mark.parametrize(
    "bound", [0, -0.0, 5e-324, -5e-324, 1.7976931348623157e308, -1e308, 2**63 - 1, -(2**63), 2**63, 2**64, 10**300]
)
def test_a_bound_may_be_any_number(ask: Ask, bound: float) -> None:
    """
    However large or small a number is, it is compared with, of a measure and of a dimension.
    """
    for name, there in (("size", 6), ("kind", 0)):
        below, above = (
            ask({**COUNT, "filters": [{"dimension": name, sign: bound}]}).json()["rows"][0][0] for sign in ("lt", "gte")
        )
        assert below + above == there
        assert (above > 0) == (bound <= 2.5 and there > 0)


@pytest.mark.parametrize("number", ["1e308", "5e-324", "0", "123456789012345678901234567890", ".1"])
def test_a_formula_may_have_any_number(ask: Ask, number: str) -> None:
    """
    What goes beyond all doubles, or is divided by nothing, is null and no error.
    """
    for aggregate in ("sum", "avg", "p99", "last"):
        for formula in (f"size * {number} * {number}", f"size / {number}", f"{number} / (size - size)"):
            answer = ask({**COUNT, "measure": formula, "aggregate": aggregate})
            assert answer.status_code == 200
            assert answer.json()["rows"][0][0] is None or isinstance(answer.json()["rows"][0][0], int | float)
    assert ask({**COUNT, "measure": f"{number} / (size - size)"}).json()["rows"] == [[None]]


def test_an_absent_dimension_can_be_filtered_by_empty_text(ask: Ask) -> None:
    """
    What is shown as null is found by empty text.
    """
    assert ask({**COUNT, "filters": [{"dimension": "kind", "equals": ""}]}).json()["rows"] == [[1]]


@pytest.mark.parametrize("zone", ["Australia/Lord_Howe", "America/Havana", "America/Sao_Paulo", "Asia/Kathmandu"])
@pytest.mark.parametrize("interval", ["minute", "5m", "hour", "day", "week", "month", "quarter", "year"])
def test_filling_loses_no_event(shelf: Shelf, ask: Ask, interval: str, zone: str) -> None:
    """
    The counts of all intervals, filled or not, add up to the events of the range, also where clocks are switched.
    """
    switches = [datetime(2025, 4, 5, 15, tzinfo=UTC), datetime(2025, 11, 2, 5, tzinfo=UTC)]
    if "clocks" not in shelf.reader("clocks").metrics():
        shelf.load(
            *(
                event("clocks", f"{index}-{minutes}", metric="clocks", time=switch + timedelta(minutes=minutes))
                for index, switch in enumerate(switches)
                for minutes in range(-180, 180, 7)
            )
        )
    for switch in switches:
        asked = {"from": (switch - timedelta(hours=4)).isoformat(), "to": (switch + timedelta(hours=4)).isoformat()}
        question = {"metric": "clocks", "range": asked, "interval": interval, "timezone": zone}
        plain = ask(question, minted("clocks")).json()["rows"]
        filled = ask({**question, "fill": "zero"}, minted("clocks")).json()["rows"]

        assert [row for row in filled if row[-1]] == plain
        assert sum(row[-1] for row in filled) == 52


@pytest.mark.parametrize("body", [b"", b"{", b"not json", b'{"metric": NaN}', b"\xff\xfe", b'{"a": 1} x'])
def test_a_body_that_is_no_json_is_a_400(ask: Ask, body: bytes) -> None:
    """
    A body that cannot be read is said to be so.
    """
    assert "not JSON" in says(ask(content=body), 400)


def test_a_body_that_is_too_large_is_a_413(ask: Ask) -> None:
    """
    A question has a bound in bytes, told before it is read.
    """
    body = json.dumps({**COUNT, "filters": [{"dimension": "kind", "in": ["x" * 300_000]}]}).encode()

    assert "at most" in says(ask(content=body), 413)


def test_a_body_nested_without_end_is_a_400(ask: Ask) -> None:
    """
    Nesting beyond any question is refused, and the server lives.
    """
    assert says(ask(content=b"[" * 100_000), 400)
    assert ask(COUNT).status_code == 200


def test_a_wrong_method_or_path_is_a_problem_document(ask: Ask, app: Starlette) -> None:
    """
    Errors of the routing have the same shape as all others.
    """
    assert says(ask(path="/v1/nothing"), 404)
    assert app is not None
