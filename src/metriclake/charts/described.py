"""
What the pages say about themselves in the OpenAPI document.
"""

from __future__ import annotations

from metriclake.openapi import Answer, Operation

_PAGE = {200: Answer("The page", "text/html", {"type": "string"})}
_ASSET = {200: Answer("The file", "*/*", {"type": "string"})}


def described() -> tuple[Operation, ...]:
    """
    Return what there is to say of each route.
    """
    page = "Return a dashboard's page, a shell without data: the token stays in the URL's fragment"
    return (
        Operation("/d/{dashboard}", "get", "pages", page, answers=_PAGE, problems=(404,)),
        Operation("/assets/{file}", "get", "pages", "Return a file of the page", answers=_ASSET, problems=(404,)),
    )
