"""
What all senders over HTTP share: words without values, answers within bounds of time and size.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metriclake.destinations import Record
from metriclake.destinations.http import MOST_ANSWER_BYTES, Answer, Http, Lost, host_of, scrubbed, seconds_of
from metriclake.testing import SegmentTwin, Status

VALUES = st.text(alphabet="ab … \n1", min_size=3, max_size=6)


def a_record(value: object) -> Record:
    """
    Return a record whose body has a value.
    """
    return Record("1", "acme", "m", 0, msgspec.json.encode({"properties": {"x": [value]}}))


@given(st.lists(VALUES, max_size=4), st.lists(st.one_of(VALUES, st.just(" and "), st.just("x" * 300)), max_size=12))
def test_words_have_no_values(values: list[str], parts: list[str]) -> None:
    """
    Whatever a service says of records, none of their values of three characters or more is left in it.
    """
    said = scrubbed("".join(parts), [a_record(value) for value in values])

    assert len(said) <= 200
    assert all(" ".join(value.split()) not in said for value in values if len(" ".join(value.split())) >= 3)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, ""),
        ("12345 is no name", "… is no name"),
        ("line one\nline\x00two", "line one line two"),
        ("y" * 300, "y" * 199 + "…"),
        ("12345" * 399 + "12345"[:4] + "1" * 100, "…" * 199 + "…"),
    ],
)
def test_words(text: str | None, said: str) -> None:
    """
    They are one line, and of a bounded length.
    """
    assert scrubbed(text, [a_record(12345), Record("2", "a", "m", 0, b"\xff")]) == said


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("5", 5), (" 2.5 ", 2.5), ("", None), ("-1", None), ("1e9", None), ("٣", None), (".", None), ("9" * 30, None)],
)
def test_seconds(text: str, seconds: float | None) -> None:
    """
    A number of seconds is digits, and a point at most.
    """
    assert seconds_of(text) == seconds


def test_hosts_without_what_is_not_to_be_shown() -> None:
    """
    Of a URL only scheme, host and port are shown.
    """
    assert host_of("https://u:p@example.com/secret?x=y") == "https://example.com"
    assert host_of("http://[::1]:8080/x") == "http://[::1]:8080"


def test_an_answer_without_end_is_left() -> None:
    """
    Beyond a bound nothing is read; the status is known.
    """
    with SegmentTwin() as twin, closing(Http(twin.url, {}, 30)) as http:
        twin.fail(Status(200, body=b"x" * (MOST_ANSWER_BYTES + 1)), times=1)
        answer = http.post("/v1/batch", b"{}")

    assert isinstance(answer, Answer)
    assert (answer.status, answer.whole, len(answer.body) <= MOST_ANSWER_BYTES) == (200, False, True)


@pytest.fixture
def dripping() -> Iterator[str]:
    """
    Listen, and answer with a byte at a time, for ever.
    """
    listener = socket.create_server(("127.0.0.1", 0))
    over = threading.Event()

    def drip() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(65_536)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
            while not over.wait(0.02):
                try:
                    connection.sendall(b"x")
                except OSError:
                    return

    thread = threading.Thread(target=drip)
    thread.start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    over.set()
    thread.join()
    listener.close()


def test_an_answer_that_drips_is_left(dripping: str) -> None:
    """
    The time is for the whole answer, and not for each byte of it.
    """
    begun = time.monotonic()
    with closing(Http(dripping, {}, 0.2)) as http:
        answer = http.post("/", b"")

    assert isinstance(answer, Answer)
    assert not answer.whole
    assert time.monotonic() - begun < 5


def test_what_is_not_reached_was_not_sent() -> None:
    """
    A refused connection, and a certificate that is none, are before the request.
    """
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with closing(Http(f"http://127.0.0.1:{port}", {}, 5)) as http:
        refused = http.post("/", b"")
    with SegmentTwin() as twin, closing(Http(twin.url.replace("http:", "https:"), {}, 5)) as http:
        no_certificate = http.post("/", b"")

    assert [isinstance(lost, Lost) and lost.sent for lost in (refused, no_certificate)] == [False, False]
