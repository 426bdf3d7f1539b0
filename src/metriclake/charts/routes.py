"""
Serves the dashboards' page and the web components, under a policy that runs nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from metriclake.assets import POLICY, SAFE, read_assets, send_asset
from metriclake.problems import problem

_ANYWHERE: Final = {"Access-Control-Allow-Origin": "*", "Cross-Origin-Resource-Policy": "cross-origin"}
"""The components are no secret: the pages that embed them load them from here."""

_FRAMES: Final = "frame-ancestors 'self'"


def routes(names: Callable[[], Collection[str]], origins: Callable[[], Sequence[str]]) -> list[BaseRoute]:
    """
    Return the routes of the dashboards' page and of its assets.

    `names` returns which dashboards there are, `origins` the pages that may frame them; both of the file in force.
    """
    assets = read_assets("metriclake.charts")
    page = assets.pop("page.html")

    async def dashboard(request: Request) -> Response:
        if request.path_params["dashboard"] not in names():
            return _not_found("There is no dashboard of this name. The one of every tenant is called 'default'.")
        policy = POLICY.replace(_FRAMES, " ".join((_FRAMES, *origins())))
        return send_asset(request, page, {"Content-Security-Policy": policy})

    async def asset(request: Request) -> Response:
        found = assets.get(request.path_params["file"])
        if found is None:
            return _not_found("There is no asset of this name.")

        return send_asset(request, found, _ANYWHERE)

    return [Route("/d/{dashboard}", dashboard), Route("/assets/{file}", asset)]


def _not_found(detail: str) -> Response:
    return problem(404, "Not Found", detail, headers=SAFE)
