"""
Serve the static files of a stage: read once, compressed, revalidated, and never sniffed.

What is served is the literal list of files that were there at start: no path of a request is ever opened.
"""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
)
"""The Content-Security-Policy of our pages: their own files, and nothing else."""

_TYPES: Final = {".html": "text/html; charset=utf-8", ".css": "text/css", ".js": "text/javascript"}
SAFE: Final = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}
# Revalidated at each load: the modules import each other by plain name, so two releases must never mix in a cache.
_CACHED: Final = {"Cache-Control": "no-cache", "Vary": "Accept-Encoding"}


@dataclass(frozen=True, slots=True)
class Asset:
    """
    A static file as it is served, plain and compressed.
    """

    media_type: str
    plain: bytes
    zipped: bytes
    digest: str


def read_assets(package: str) -> dict[str, Asset]:
    """
    Return the files in a package's folder `static`, by name.
    """
    return {
        file.name: _asset(file.name, file.read_bytes())
        for file in files(package).joinpath("static").iterdir()
        if file.is_file() and _suffix(file.name) in _TYPES
    }


def send_asset(request: Request, asset: Asset, headers: Mapping[str, str]) -> Response:
    """
    Send a file, or nothing where the browser has the same one.
    """
    zipped = "gzip" in request.headers.get("Accept-Encoding", "")
    tag = f'"{asset.digest}{"-gzip" if zipped else ""}"'
    headers = {**SAFE, **_CACHED, "ETag": tag, **headers}

    if _has(request.headers.get("If-None-Match", ""), tag):
        return Response(status_code=304, headers=headers)
    if zipped:
        return Response(asset.zipped, headers={**headers, "Content-Encoding": "gzip"}, media_type=asset.media_type)

    return Response(asset.plain, headers=headers, media_type=asset.media_type)


def _asset(name: str, body: bytes) -> Asset:
    digest = hashlib.sha256(body).hexdigest()[:24]

    return Asset(_TYPES[_suffix(name)], body, gzip.compress(body, 9, mtime=0), digest)


def _suffix(name: str) -> str:
    return name[name.rfind(".") :]


def _has(if_none_match: str, tag: str) -> bool:
    """
    Tell whether the header names the tag; weak tags compare equal, as RFC 9110 asks.
    """
    return any(given.strip().removeprefix("W/") in {tag, "*"} for given in if_none_match.split(","))
