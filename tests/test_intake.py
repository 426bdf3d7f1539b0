"""
What bodies may take: time for each, memory for all.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import AsyncIterator

import httpx
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from metriclake._errors import MetriclakeError
from metriclake.intake import Intake
from metriclake.pace import LEAST_BYTES
from metriclake.problems import on_error

PATIENCE = 20.0
ROOM = 10 * LEAST_BYTES


async def _length(request: Request) -> JSONResponse:
    return JSONResponse(len(await request.body()))


class _Skipping(selectors.DefaultSelector):
    """
    Waits for nothing: the time until the next timer passes at once.
    """

    now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self.now += timeout or 0
        return super().select(0)


def _loop() -> asyncio.AbstractEventLoop:
    """
    Make an event loop whose seconds take no time.
    """
    selector = _Skipping()
    loop = asyncio.SelectorEventLoop(selector)
    loop.time = lambda: selector.now  # type: ignore[method-assign]  # the loop's clock
    return loop


def ask(*rounds: list[AsyncIterator[bytes]]) -> list[list[httpx.Response]]:
    """
    Return the answers to bodies that come in parts: those of a round all at once, round after round.
    """
    app = Starlette(
        routes=[Route("/", _length, methods=["POST"])],
        middleware=[Middleware(Intake, lambda: PATIENCE, ROOM)],
        exception_handlers={MetriclakeError: on_error},
    )

    async def send() -> list[list[httpx.Response]]:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return [await asyncio.gather(*(client.post("/", content=body) for body in bodies)) for bodies in rounds]

    with asyncio.Runner(loop_factory=_loop) as runner:
        return runner.run(send())


async def parts(size: int, count: int, pause: float) -> AsyncIterator[bytes]:
    """
    Yield `count` parts of a body, a pause after each.
    """
    for _ in range(count):
        yield bytes(size)
        await asyncio.sleep(pause)


@pytest.mark.parametrize(("size", "pause"), [(1, PATIENCE / 10), (LEAST_BYTES // 20, PATIENCE / 10), (0, 3 * PATIENCE)])
def test_a_body_that_drips_is_not_awaited(size: int, pause: float) -> None:
    """
    Less than enough within the patience is answered with 408, which says what to do and closes the connection.
    """
    ((answer,),) = ask([parts(size, 1000, pause)])

    assert answer.status_code == 408
    assert answer.headers["Connection"] == "close"
    assert answer.json()["detail"].endswith("nothing of it was accepted; send it again")


def test_a_body_that_comes_steadily_is_awaited() -> None:
    """
    A body may take as long as it needs while enough of it comes in each stretch.
    """
    ((answer,),) = ask([parts(LEAST_BYTES, 6, PATIENCE / 2)])

    assert (answer.status_code, answer.json()) == (200, 6 * LEAST_BYTES)


def test_bodies_have_room_together() -> None:
    """
    A body that finds no room beside the others is answered with 503, and the others are taken.
    """
    ((taken, refused),) = ask([parts(ROOM // 2, 1, PATIENCE / 2), parts(ROOM // 4, 3, PATIENCE / 10)])

    assert (taken.status_code, taken.json()) == (200, ROOM // 2)
    assert refused.status_code == 503
    assert (refused.headers["Retry-After"], refused.headers["Connection"]) == ("5", "close")
    assert refused.json()["detail"].endswith("nothing of this one was accepted; try again")


def test_room_is_given_back() -> None:
    """
    One after the other any number of bodies is taken, also after such as found no room or did not come.
    """
    answers = ask(
        [parts(ROOM, 2, 0)],
        [parts(ROOM, 1, 0)],
        [parts(ROOM // 20, 100, PATIENCE)],
        *([parts(ROOM, 1, 0)] for _ in range(3)),
    )

    assert [answer.status_code for (answer,) in answers] == [503, 200, 408, 200, 200, 200]
