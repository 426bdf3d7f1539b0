"""
What the tenant token of a request allows; the same on every route.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Final

from starlette.requests import Request

from metriclake._errors import NotAllowed
from metriclake.store import Metric
from metriclake.tokens import TenantClaims, verify_tenant

EMBEDDER: Final = "x-embedding-origin"
"""
Our own page names in it the origin of the page that frames it.

Browsers let no page of another origin send it here without a preflight, which does not allow it.
"""


def claims_of(request: Request, signing_key: str, *, dashboards: bool = False) -> TenantClaims:
    """
    Return the claims of a request's token.

    A token that is bound to dashboards is refused unless the route says that it goes by them. Raises InvalidToken, and
    NotAllowed for another page's token.
    """
    claims = verify_tenant(request.headers.get("authorization"), signing_key, now=datetime.now(UTC))
    if claims.origin is not None and _origin_of(request) != claims.origin:
        raise NotAllowed("the tenant token is bound to another origin than this page's")
    if claims.dashboards is not None and not dashboards:
        raise NotAllowed("the tenant token is bound to dashboards: it allows what they ask, and nothing else")
    return claims


def _origin_of(request: Request) -> str | None:
    """
    Return the origin of the page that asks: the one that frames ours, where ours asks.
    """
    origin = request.headers.get("origin")
    ours = origin is None or origin.partition("://")[2] == request.headers.get("host")
    return request.headers.get(EMBEDDER, origin) if ours else origin


def check_metrics(allowed: frozenset[str] | None, names: Iterable[str]) -> None:
    """
    Check that a token allows metrics; None allows all. Raises NotAllowed.
    """
    if allowed is not None and not allowed.issuperset(names):
        raise NotAllowed("the tenant token does not allow this metric")


def allowed_of(allowed: frozenset[str] | None, metrics: Mapping[str, Metric]) -> Mapping[str, Metric]:
    """
    Return the metrics that a token allows.
    """
    if allowed is None:
        return metrics
    return {name: metric for name, metric in metrics.items() if name in allowed}
