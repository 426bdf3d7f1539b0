"""
The OpenAPI document: every route and nothing else, valid, and its examples work.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator
from starlette.applications import Starlette
from starlette.routing import Route

from app.server import Running
from crash.process import Process
from metriclake._config import DataDirectory, environment
from metriclake.app import Server, configure
from metriclake.tokens import sign_github

pytestmark = pytest.mark.engine

PIPELINE = """
stream: {buffer: {seconds: 0.2, megabytes: 5}}
store: {retention: 20000d}
metrics:
  findings_opened:
    bus: findings-service-bus
    pattern: {detail-type: [finding-opened]}
    metadata: {tenant_id: $.detail.tenant_id, severity: $.detail.severity}
    data: {event_time: $.detail.created_at}
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """
    Run a server whose rule fits the examples.
    """
    folder = tmp_path_factory.mktemp("server")
    (folder / "metriclake.yaml").write_text(PIPELINE, encoding="utf-8")
    with Process(folder) as process:
        running = Running(folder, process)
        with closing(running.client):
            yield running


@pytest.fixture(scope="module")
def document(server: Running) -> dict[str, Any]:
    """
    Return what the server says about itself.
    """
    answer = server.client.get("/openapi.json").raise_for_status()
    found: dict[str, Any] = answer.json()
    return found


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """
    Yield the path, the method and the description of each operation.
    """
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


def routes_of(app: Starlette) -> set[tuple[str, str]]:
    """
    Return the paths and methods of an application.
    """
    routes = [route for route in app.routes if isinstance(route, Route)]
    assert len(routes) == len(app.routes)
    return {(route.path, method.lower()) for route in routes for method in route.methods or () if method != "HEAD"}


def test_every_route_is_described_and_nothing_else(document: dict[str, Any], tmp_path: Path) -> None:
    """
    What the application answers is what the document says.
    """
    (tmp_path / "metriclake.yaml").write_text(PIPELINE, encoding="utf-8")
    opened = Server(configure(tmp_path / "metriclake.yaml", {}), DataDirectory(tmp_path / "data"), environment())
    try:
        routes = routes_of(opened.app())
    finally:
        opened.start()
        opened.stop()

    assert {(path, method) for path, method, _ in operations(document)} == routes


def test_document_is_valid(document: dict[str, Any]) -> None:
    """
    The document is OpenAPI 3.1, each operation has a name of its own, and no reference leads nowhere.
    """
    OpenAPIV31SpecValidator(document).validate()
    names = [operation["operationId"] for _, _, operation in operations(document)]

    assert len(names) == len(set(names))
    for reference in set(json.dumps(document).split('"$ref":"')[1:]):
        assert reference.split('"')[0].startswith("#/components/")


def credentials(server: Running, operation: dict[str, Any], body: bytes) -> dict[str, str]:
    """
    Return the headers that an operation asks for.
    """
    (scheme,) = operation["security"][0] if operation["security"] else (None,)
    if scheme == "githubSignature":
        return {"X-Hub-Signature-256": sign_github(body, server.keys.github)}
    keys = {
        "ingestKey": server.keys.ingest,
        "adminKey": server.keys.admin,
        "tenantToken": server.token("acme", timedelta(minutes=1)),
    }
    return {"Authorization": f"Bearer {keys[scheme]}"} if scheme else {}


def sent(server: Running, path: str, operation: dict[str, Any], media: str, value: Any) -> httpx.Response:
    """
    Post an example of a document.
    """
    body = value.encode() if isinstance(value, str) else msgspec.json.encode(value)
    needed = {item["name"]: item["example"] for item in operation.get("parameters", ()) if item.get("required")}
    headers = {"Content-Type": media, **needed, **credentials(server, operation, body)}
    return server.client.post(path, content=body, headers=headers)


def test_every_example_works(server: Running, document: dict[str, Any]) -> None:
    """
    Each example of a request is answered with the status that stands with it; doors come first, to have something.
    """
    answered = dict[str, tuple[int, int]]()
    for tag in ("doors", "query"):
        for path, method, operation in operations(document):
            contents = operation.get("requestBody", {}).get("content", {}) if tag in operation["tags"] else {}
            for media, content in contents.items():
                assert method == "post"
                assert content["examples"], f"{path} has no example of {media}"
                for name, example in content["examples"].items():
                    answer = sent(server, path, operation, media, example["value"])
                    answered[f"{path} {media} {name}"] = (answer.status_code, example["x-status"])
                    assert str(answer.status_code) in operation["responses"]
        server.settled()

    assert len(answered) >= 12
    assert {name: statuses for name, statuses in answered.items() if statuses[0] != statuses[1]} == {}


def test_binary_headers_work(server: Running, document: dict[str, Any]) -> None:
    """
    The headers that are described for the binary mode make a CloudEvent of their examples.
    """
    described = document["paths"]["/v1/events"]["post"]["parameters"]
    headers = {item["name"]: item["example"] for item in described if item["name"].startswith("ce-")}
    answer = server.client.post("/v1/events", headers={**headers, "Authorization": f"Bearer {server.keys.ingest}"})

    assert (answer.status_code, answer.json()["accepted"]) == (200, 1)


def test_what_is_got_is_described(server: Running, document: dict[str, Any]) -> None:
    """
    Each route that is read answers with a status and a media type that it names.
    """
    places = {
        "{tenant}": "acme",
        "{dashboard}": "default",
        "/assets/{file}": "/assets/page.js",
        "/admin/{file}": "/admin/admin.js",
    }
    for path, method, operation in operations(document):
        if method != "get":
            continue
        place = path
        for name, value in places.items():
            place = place.replace(name, value)
        with server.client.stream("GET", place, headers=credentials(server, operation, b"")) as answer:
            medias = operation["responses"]["200"]["content"]
            assert answer.status_code == 200, place
            assert {"*/*", answer.headers["Content-Type"].partition(";")[0]} & medias.keys()


@pytest.mark.parametrize("status", [401, 404, 405])
def test_errors_are_alike_everywhere(server: Running, document: dict[str, Any], status: int) -> None:
    """
    Wherever it is asked, an error is the problem document that is described, with the request's id.
    """
    known = set(document["components"]["schemas"]["Problem"]["properties"])
    for path, method, operation in operations(document):
        if status == 401 and operation["security"]:
            assert "401" in operation["responses"]
            answer = server.client.request(method, path, headers={"X-Request-Id": "r-1"})
        elif status != 401:
            wrong = "patch" if status == 405 else method
            answer = server.client.request(
                wrong, path if status == 405 else f"{path}/no/such", headers={"X-Request-Id": "r-1"}
            )
        else:
            continue
        assert (answer.status_code, answer.headers["Content-Type"]) == (status, "application/problem+json"), path
        assert answer.json()["status"] == status
        assert answer.json()["instance"] == "urn:request:r-1"
        assert set(answer.json()) <= known
        assert answer.headers["X-Request-Id"] == "r-1"
