"""
Serves the dashboard's page and its assets, compressed and revalidated, under a policy that runs nothing else.
"""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import dataclass
from http import HTTPStatus
from importlib.resources import files
from typing import TYPE_CHECKING, Final

from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request

DASHBOARDS: Final = frozenset({"default"})

POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
)

_TYPES: Final = {".html": "text/html; charset=utf-8", ".css": "text/css", ".js": "text/javascript"}
_SAFE: Final = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}
# Revalidated at each load: the modules import each other by plain name, so two releases must never mix in a cache.
_CACHED: Final = {"Cache-Control": "no-cache", "Vary": "Accept-Encoding"}


@dataclass(frozen=True, slots=True)
class _Asset:
    """
    A static file as it is served, plain and compressed.
    """

    media_type: str
    plain: bytes
    zipped: bytes
    digest: str


def routes() -> list[BaseRoute]:
    """
    Return the routes of the dashboard page and of its assets.
    """
    assets = _load()
    page = assets.pop("page.html")

    async def dashboard(request: Request) -> Response:
        name = request.path_params["dashboard"]
        if name not in DASHBOARDS:
            return _not_found("There is no dashboard of this name. The one of every tenant is called 'default'.")

        return _answer(request, page, {"Content-Security-Policy": POLICY})

    async def asset(request: Request) -> Response:
        found = assets.get(request.path_params["file"])
        if found is None:
            return _not_found("There is no asset of this name.")

        return _answer(request, found, {})

    return [Route("/d/{dashboard}", dashboard), Route("/assets/{file}", asset)]


def _load() -> dict[str, _Asset]:
    """
    Read every static file once: what is served is this literal list, and no path of a request is ever opened.
    """
    folder = files("metriclake.charts").joinpath("static")

    return {
        file.name: _asset(file.name, file.read_bytes())
        for file in folder.iterdir()
        if file.is_file() and _suffix(file.name) in _TYPES
    }


def _asset(name: str, body: bytes) -> _Asset:
    """
    Prepare a file for serving.
    """
    digest = hashlib.sha256(body).hexdigest()[:24]

    return _Asset(_TYPES[_suffix(name)], body, gzip.compress(body, 9, mtime=0), digest)


def _suffix(name: str) -> str:
    """
    Return a file name's last part with its dot.
    """
    return name[name.rfind(".") :]


def _answer(request: Request, asset: _Asset, headers: Mapping[str, str]) -> Response:
    """
    Send a file, or nothing where the browser has the same one.
    """
    zipped = "gzip" in request.headers.get("Accept-Encoding", "")
    tag = f'"{asset.digest}{"-gzip" if zipped else ""}"'
    headers = {**_SAFE, **_CACHED, "ETag": tag, **headers}

    if _has(request.headers.get("If-None-Match", ""), tag):
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    if zipped:
        return Response(asset.zipped, headers={**headers, "Content-Encoding": "gzip"}, media_type=asset.media_type)

    return Response(asset.plain, headers=headers, media_type=asset.media_type)


def _has(if_none_match: str, tag: str) -> bool:
    """
    Tell whether the header names the tag; weak tags compare equal, as RFC 9110 asks.
    """
    return any(given.strip().removeprefix("W/") in {tag, "*"} for given in if_none_match.split(","))


def _not_found(detail: str) -> JSONResponse:
    """
    Answer with an RFC 9457 problem document.
    """
    problem = {"type": "about:blank", "title": "Not Found", "status": 404, "detail": detail}

    return JSONResponse(problem, HTTPStatus.NOT_FOUND, _SAFE, "application/problem+json")
