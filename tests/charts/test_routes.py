from __future__ import annotations

import asyncio
import re
from importlib.resources import files

import httpx
import pytest
from starlette.applications import Starlette

from metriclake.charts import routes

STATIC = {
    file.name: file.read_text("utf-8")
    for file in files("metriclake.charts").joinpath("static").iterdir()
    if file.is_file()
}
ASSETS = sorted(set(STATIC) - {"page.html"})
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
)


def call(
    path: str, headers: dict[str, str] | None = None, method: str = "GET", origins: tuple[str, ...] = ()
) -> httpx.Response:
    """
    Return the answer of a server that has the charts' routes and nothing else; pages of `origins` may embed them.
    """

    async def send() -> httpx.Response:
        transport = httpx.ASGITransport(Starlette(routes=routes(lambda: {"default", "sales"}, lambda: origins)))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return await client.request(method, path, headers=headers)

    return asyncio.run(send())


def test_the_page_is_a_shell_under_a_strict_policy() -> None:
    """
    The page comes with the exact policy, is never sniffed or referred to, and is the same for everyone.
    """
    answer = call("/d/default", headers={"Authorization": "Bearer a.b.c"})

    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert answer.headers["Content-Security-Policy"] == POLICY
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert answer.text == STATIC["page.html"]
    assert "a.b.c" not in answer.text


def test_the_page_needs_nothing_that_the_policy_forbids() -> None:
    """
    The page has no inline script, style or handler.
    """
    page = STATIC["page.html"]

    assert re.findall(r"<script(?![^>]* src=)", page) == []
    assert re.findall(r"<style|\sstyle=|\son[a-z]+=", page) == []


@pytest.mark.parametrize("name", ASSETS)
def test_each_asset_is_served_as_what_it_is(name: str) -> None:
    """
    Scripts and styles come with their type, unsniffed and revalidated, and whole.
    """
    answer = call(f"/assets/{name}")

    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("text/css" if name.endswith(".css") else "text/javascript")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Cache-Control"] == "no-cache"
    assert answer.text == STATIC[name]


@pytest.mark.parametrize("path", ["/d/default", "/assets/page.js"])
@pytest.mark.parametrize("encoding", ["gzip", "identity"])
def test_what_the_browser_has_is_not_sent_again(path: str, encoding: str) -> None:
    """
    A known ETag is answered with 304 and no body, another one with the file.
    """
    headers = {"Accept-Encoding": encoding}
    tag = call(path, headers=headers).headers["ETag"]

    known = call(path, headers=headers | {"If-None-Match": f'"other", W/{tag}'})
    unknown = call(path, headers=headers | {"If-None-Match": '"other"'})

    assert (known.status_code, known.content) == (304, b"")
    assert known.headers["ETag"] == tag
    assert unknown.status_code == 200


def test_the_compressed_file_has_a_tag_of_its_own() -> None:
    """
    A browser that takes gzip gets it, under another ETag than the plain file's.
    """
    plain = call("/assets/page.css", headers={"Accept-Encoding": "identity"})
    zipped = call("/assets/page.css", headers={"Accept-Encoding": "gzip, br"})

    assert "Content-Encoding" not in plain.headers
    assert zipped.headers["Content-Encoding"] == "gzip"
    assert int(zipped.headers["Content-Length"]) < int(plain.headers["Content-Length"])
    assert zipped.content == plain.content
    assert zipped.headers["ETag"] != plain.headers["ETag"]
    assert zipped.headers["Vary"] == "Accept-Encoding"


@pytest.mark.parametrize(
    "path",
    [
        "/assets/../routes.py",
        "/assets/..%2froutes.py",
        "/assets/%2e%2e%2froutes.py",
        "/assets/%2fetc%2fpasswd",
        "/assets/page.html",
        "/assets/routes.py",
        "/assets/",
        "/assets/.",
    ],
)
def test_nothing_beside_the_assets_can_be_read(path: str) -> None:
    """
    Neither a path that climbs nor the name of another file is served.
    """
    assert call(path).status_code == 404


def test_an_unknown_dashboard_is_a_problem_document() -> None:
    """
    Any name but `default` is refused as RFC 9457 says, without repeating the name.
    """
    answer = call("/d/<script>")

    assert answer.status_code == 404
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json().keys() == {"type", "title", "status", "detail"}
    assert answer.json()["status"] == 404
    assert "script" not in answer.text


def test_only_reading_is_allowed() -> None:
    """
    Writing to the page is refused.
    """
    assert call("/d/default", method="POST").status_code == 405


def test_pages_that_the_file_names_may_frame_the_page() -> None:
    """
    The policy names the origins of the pipeline file beside our own, in the one directive that is meant for them.
    """
    answer = call("/d/sales", origins=("https://app.example.com", "https://*.example.org"))

    assert answer.headers["Content-Security-Policy"] == f"{POLICY} https://app.example.com https://*.example.org"


def test_the_components_may_be_loaded_from_anywhere() -> None:
    """
    They are no secret, and hold no data: a page of any origin may run them; the page itself is not shared so.
    """
    assert call("/assets/metriclake.js").headers["Access-Control-Allow-Origin"] == "*"
    assert call("/assets/metriclake.js").headers["Cross-Origin-Resource-Policy"] == "cross-origin"
    assert "Access-Control-Allow-Origin" not in call("/d/default").headers


def test_every_asset_that_is_named_exists_and_every_one_that_exists_is_named() -> None:
    """
    The page and the modules name exactly the files that there are.
    """
    named = set(re.findall(r'(?:src|href)="\.\./assets/([^"]+)"', STATIC["page.html"]))
    imported = {
        name
        for file in ASSETS
        if file.endswith(".js")
        for name in re.findall(r'(?:from|import) ?\(?"\./([^"]+)"', STATIC[file])
    }

    assert named == set(ASSETS)
    assert imported == {"metriclake.js"}


@pytest.mark.parametrize("name", sorted(STATIC))
def test_nothing_is_loaded_from_elsewhere(name: str) -> None:
    """
    No file names an absolute address, but for the SVG namespace, which is a name and never fetched.
    """
    addresses = re.findall(r"(?:https?:)?//[a-z0-9-]+\.[^\s\"')]+", STATIC[name], re.IGNORECASE)

    assert set(addresses) <= {"http://www.w3.org/2000/svg"}


@pytest.mark.parametrize("name", [name for name in ASSETS if name.endswith(".js")])
def test_no_script_parses_text_as_markup(name: str) -> None:
    """
    What users provide is only ever written as text: nothing that reads markup or code from a string is used.
    """
    forbidden = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write\b|DOMParser|\beval\(|new Function|\"style\""

    assert re.findall(forbidden, STATIC[name]) == []
