"""
What the tenant token of a request allows; the same on every route.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from starlette.requests import Request

from metriclake._errors import NotAllowed
from metriclake.store import Metric
from metriclake.tokens import TenantClaims, verify_tenant


def claims_of(request: Request, signing_key: str) -> TenantClaims:
    """
    Return the claims of a request's token. Raises InvalidToken, and NotAllowed for another page's.
    """
    claims = verify_tenant(request.headers.get("authorization"), signing_key, now=datetime.now(UTC))
    origin = request.headers.get("origin")
    if claims.origin is not None and origin is not None and origin != claims.origin:
        raise NotAllowed("the tenant token is bound to another origin than this page's")
    if claims.dashboards is not None:
        raise NotAllowed("tokens that are bound to dashboards are not in this version of metriclake yet")
    return claims


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
