"""
What the admin routes say about themselves in the OpenAPI document.
"""

from __future__ import annotations

from metriclake.openapi import Answer, Operation

_PAGE = {200: Answer("The page", "text/html", {"type": "string"})}
_ASSET = {200: Answer("The file", "*/*", {"type": "string"})}


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
            answers={200: Answer("What `metriclake status --json` prints", schema={"type": "object"})},
            problems=(401, 503),
        ),
        Operation("/admin", "get", "pages", "Return the internal page, a shell without data", answers=_PAGE),
        Operation(
            "/admin/{file}", "get", "pages", "Return a file of the internal page", answers=_ASSET, problems=(404,)
        ),
    )
