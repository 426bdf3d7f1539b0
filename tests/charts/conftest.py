"""
One browser and one server for the tests of charts: each takes seconds to start.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest
from playwright.sync_api import Browser

from app.server import Running
from charts.browser import Open, chromium, feed, visiting, write_pipeline
from charts.host import Host
from crash.process import Process


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """
    Run a browser for one module: while it runs, its thread has an event loop, and other tests want one of their own.
    """
    with chromium() as running:
        yield running


@pytest.fixture(scope="session")
def host() -> Iterator[Host]:
    """
    Serve pages of another origin than the server's: a product that embeds charts.
    """
    with Host() as served:
        yield served


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory, host: Host) -> Iterator[Running]:
    """
    Run a server with two tenants' events, that lets pages of `host` embed its charts.
    """
    folder = write_pipeline(tmp_path_factory.mktemp("charts"), [host.origin])
    with Process(folder) as process:
        running = Running(folder, process)
        with closing(running.client):
            feed(running, "acme")
            feed(running, "globex", factor=3)
            yield running


@pytest.fixture
def visit(browser: Browser) -> Iterator[Open]:
    """
    Return what opens a page; one that says of anything that it went wrong fails the test, unless that is expected.
    """
    with visiting(browser) as opening:
        yield opening
