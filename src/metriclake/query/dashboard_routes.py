"""
The dashboards of the pipeline file for one tenant, and what a token that is bound to some of them may ask.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from metriclake._errors import NotAllowed
from metriclake.pipeline.dashboard_specs import DEFAULT, DashboardSpec
from metriclake.problems import as_json, problem
from metriclake.query.claims import allowed_of, claims_of
from metriclake.query.dashboards import Permission, described, metrics_of
from metriclake.query.derived import derived
from metriclake.query.made_dashboards import MadeDashboards
from metriclake.query.plan import Units
from metriclake.query.question import Question
from metriclake.store import TenantReader
from metriclake.tokens import TenantClaims

Configured = Mapping[str, DashboardSpec]


class Dashboards:
    """
    The dashboards of one server.
    """

    def __init__(
        self,
        reader: Callable[[str], TenantReader],
        signing_key: str,
        units: Callable[[], Units],
        describe: Callable[[str], Mapping[str, str]],
        configured: Callable[[], Configured],
        version: Callable[[str], int | None] = lambda _tenant: None,
    ) -> None:
        """
        Take what the API needs of its neighbours.

        `configured` returns the dashboards of the pipeline file, the same mapping until that changes; `version` that of
        what the store holds of a tenant, None while it is unknown.
        """
        self._reader = reader
        self._signing_key = signing_key
        self._units = units
        self._describe = describe
        self._configured = configured
        self._made = MadeDashboards(reader, units, version)
        self._permissions: tuple[Configured, dict[str, Permission]] = ({}, {})

    def routes(self) -> list[BaseRoute]:
        """
        Return the routes.
        """
        return [Route("/v1/dashboards/{dashboard}", self.dashboard, methods=["GET"])]

    async def dashboard(self, request: Request) -> Response:
        """
        Describe a dashboard to the page that shows it.
        """
        claims = claims_of(request, self._signing_key, dashboards=True)
        name = request.path_params["dashboard"]
        if claims.dashboards is not None and name not in claims.dashboards:
            raise NotAllowed("the tenant token does not allow this dashboard")
        if name != DEFAULT and name not in self._configured():
            return problem(404, "Not Found", "there is no dashboard of this name in the pipeline file")
        return as_json(await run_in_threadpool(self._described, claims, name))

    def permit(self, claims: TenantClaims) -> Callable[[Question], bool]:
        """
        Return what tells whether a token's dashboards ask a question; those of a token that names none ask nothing.
        """
        permissions = [self._permission(claims, name) for name in sorted(claims.dashboards or ())]
        now = datetime.now(UTC)
        return lambda question: any(permission.allows(question, now) for permission in permissions)

    async def shown(self, claims: TenantClaims) -> frozenset[str] | None:
        """
        Return the metrics that a token's dashboards show, None for a token that is bound to none.

        It is asked at every change of a tenant's data: the store is not.
        """
        if claims.dashboards is None:
            return None
        configured = self._configured()
        boards = [configured[name] for name in claims.dashboards if name in configured]
        if DEFAULT in claims.dashboards and DEFAULT not in configured:
            boards.append(await run_in_threadpool(self._of_known, claims))
        return frozenset().union(*map(metrics_of, boards))

    def _of_known(self, claims: TenantClaims) -> DashboardSpec:
        """
        Return the dashboard of everybody, made of what is remembered of the tenant's metrics.
        """
        known = self._reader(claims.tenant_id).known()
        return derived(allowed_of(claims.metrics, known), self._units(), datetime.now(UTC))

    def _described(self, claims: TenantClaims, name: str) -> dict[str, object]:
        attributes = self._describe(claims.tenant_id)
        tenant = {
            "id": claims.tenant_id,
            "name": attributes.get("name"),
            "environment": attributes.get("environment"),
        }
        metrics = self._reader(claims.tenant_id).known()
        return {"name": name, "tenant": tenant, **described(self._spec(claims, name), metrics, claims.metrics)}

    def _spec(self, claims: TenantClaims, name: str) -> DashboardSpec:
        """
        Return a dashboard; the one of everybody is made of the tenant's metrics where the file has none of its name.
        """
        configured = self._configured()
        if name in configured:
            return configured[name]
        return self._made.of(claims).spec if name == DEFAULT else DashboardSpec()

    def _permission(self, claims: TenantClaims, name: str) -> Permission:
        configured = self._configured()
        if name not in configured:
            return self._made.of(claims).permission if name == DEFAULT else Permission(DashboardSpec())
        kept, permissions = self._permissions
        if kept is not configured:
            permissions = {}
            self._permissions = (configured, permissions)
        if name not in permissions:
            permissions[name] = Permission(configured[name])
        return permissions[name]
