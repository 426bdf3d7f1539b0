"""
Serves the dashboard's page and its assets, under a policy that runs nothing else.
"""

from __future__ import annotations

from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from metriclake.assets import POLICY, SAFE, read_assets, send_asset
from metriclake.problems import problem

DASHBOARDS: Final = frozenset({"default"})


def routes() -> list[BaseRoute]:
    """
    Return the routes of the dashboard page and of its assets.
    """
    assets = read_assets("metriclake.charts")
    page = assets.pop("page.html")

    async def dashboard(request: Request) -> Response:
        name = request.path_params["dashboard"]
        if name not in DASHBOARDS:
            return _not_found("There is no dashboard of this name. The one of every tenant is called 'default'.")

        return send_asset(request, page, {"Content-Security-Policy": POLICY})

    async def asset(request: Request) -> Response:
        found = assets.get(request.path_params["file"])
        if found is None:
            return _not_found("There is no asset of this name.")

        return send_asset(request, found, {})

    return [Route("/d/{dashboard}", dashboard), Route("/assets/{file}", asset)]


def _not_found(detail: str) -> Response:
    return problem(404, "Not Found", detail, headers=SAFE)
