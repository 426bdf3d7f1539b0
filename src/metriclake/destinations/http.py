"""
Requests to a destination, and what their answers mean where all services agree: one place for it.

A request that was not sent costs no record a try. One that was sent and not answered may have been taken. Redirects are
not followed: the headers hold a key that is for that one host.
"""

from __future__ import annotations

import contextlib
import ssl
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
import msgspec

from metriclake._version import __version__
from metriclake.destinations.destination import Batch, Fate, Receipt, Record, Verdict

USER_AGENT = f"metriclake/{__version__}"
MOST_ANSWER_BYTES = 4 * 1024 * 1024
"""More than any service answers to a batch; what is beyond it is not read."""

MOST_PAUSE_SECONDS = 3600.0
"""However long a service wants to be left alone, it is asked again after this."""

_MOST_DETAIL = 200
_MOST_READ = 2000
_LEAST_HIDDEN = 3
_NOT_SENT = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
    httpx.UnsupportedProtocol,
)
_LIMITED = 429
_LATER = frozenset({408, 425, _LIMITED})
_NEVER = frozenset({501, 505})


@dataclass(frozen=True, slots=True)
class Answer:
    """
    What came back; `whole` is false where the answer broke off after its status.
    """

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    whole: bool = True

    @property
    def ok(self) -> bool:
        """
        Tell whether the status is a success.
        """
        return 200 <= self.status < 300

    def json(self) -> Any:
        """
        Return the body, decoded; None where it is no JSON.
        """
        try:
            return msgspec.json.decode(self.body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None


@dataclass(frozen=True, slots=True)
class Lost:
    """
    A request without an answer: it was not sent at all, or nobody knows what became of it.
    """

    sent: bool
    why: str

    def receipt(self, batch: Batch, host: str) -> Receipt:
        """
        Return what that means for the records.
        """
        if self.sent:
            detail = f"{host} did not answer ({self.why}): the request may have been taken"
            return Receipt.all(batch, Fate(Verdict.UNKNOWN, "no-answer", detail))
        return blocked(batch, "no-connection", f"{host} cannot be reached ({self.why})")


class Http:
    """
    One host, with connections that are kept, and a limit of time for each request and its answer.
    """

    def __init__(self, url: str, headers: Mapping[str, str], seconds: float, *, keep: bool = True) -> None:
        """
        `headers` go with each request. Without `keep` each has a connection of its own.

        One that is kept may be closed by the host in the moment in which it is used again: where that must not leave
        a request in doubt, none is kept.
        """
        self._url = url.rstrip("/")
        self._seconds = seconds
        self.host = host_of(url)
        self._client = httpx.Client(
            headers={"User-Agent": USER_AGENT, "Accept-Encoding": "identity", **headers},
            timeout=seconds,
            verify=verifying(url),
            limits=httpx.Limits(max_keepalive_connections=None if keep else 0),
            follow_redirects=False,
        )

    def __repr__(self) -> str:
        """
        Return nothing that may be a secret.
        """
        return f"Http({self.host})"

    def post(self, path: str, content: bytes, headers: Mapping[str, str] | None = None) -> Answer | Lost:
        """
        Send one request; `path` begins with a slash.
        """
        request = self._client.build_request("POST", self._url + path, content=content, headers=headers)
        return exchanged(self._client, request, self._seconds)

    def close(self) -> None:
        """
        Close the connections.
        """
        self._client.close()


def exchanged(client: httpx.Client, request: httpx.Request, seconds: float) -> Answer | Lost:
    """
    Send a request, and read its answer for at most so many seconds and bytes.
    """
    until = time.monotonic() + seconds
    try:
        response = client.send(request, stream=True)
    except _NOT_SENT as error:
        return Lost(sent=False, why=_why(error))
    except (httpx.HTTPError, httpx.StreamError) as error:
        return Lost(sent=True, why=_why(error))
    chunks: list[bytes] = []
    whole = False
    with contextlib.closing(response), contextlib.suppress(httpx.HTTPError, httpx.StreamError):
        whole = _read(response, chunks, until)
    return Answer(response.status_code, dict(response.headers), b"".join(chunks), whole)


def _read(response: httpx.Response, chunks: list[bytes], until: float) -> bool:
    size = 0
    for chunk in response.iter_raw():
        size += len(chunk)
        if size > MOST_ANSWER_BYTES or time.monotonic() > until:
            return False
        chunks.append(chunk)
    return True


def _why(error: Exception) -> str:
    """
    Return the kind of an error: its words may hold an URL with a password.
    """
    return type(error).__name__


def verifying(url: str) -> ssl.SSLContext:
    """
    Return how certificates are verified, by those that the environment names, or else httpx's own.

    For a URL without TLS there are none, and reading them takes longer than most requests.
    """
    return httpx.create_ssl_context() if url.startswith("https:") else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def host_of(url: str) -> str:
    """
    Return a URL's scheme, host and port: what may be shown of it.
    """
    parsed = httpx.URL(url)
    port = f":{parsed.port}" if parsed.port else ""
    host = f"[{parsed.host}]" if ":" in parsed.host else parsed.host
    return f"{parsed.scheme}://{host}{port}"


def blocked(batch: Batch, reason: str, detail: str, pause: float | None = None) -> Receipt:
    """
    Say that nothing is taken, through no fault of a record.
    """
    return Receipt.all(batch, Fate(Verdict.RETRY, reason, detail), pause=pause, blocked=True)


def unsuccessful(
    batch: Batch, answer: Answer, host: str, now: Callable[[], float], *, said: str = "", later: Iterable[int] = ()
) -> Receipt:
    """
    Return what an answer other than a success means; `said` are the service's words, `later` its own statuses to retry.

    REFUSED is for what is wrong with the request itself: with a batch of more than one, it may be any of its records. A
    429 is no record's fault: where it names no pause, one request at a time asks whether it is over.
    """
    status = answer.status
    reason, detail = str(status), f"{host} answered {status}" + (f": {said}" if said else "")
    pause = pause_of(answer.headers, now())
    if status in (401, 403):
        return blocked(batch, reason, f"{detail}: the key was refused, or may not do this", pause)
    if status == 404:
        return blocked(batch, reason, f"{detail}: nothing is there; look at `url`, `region` and the account", pause)
    if status < 400:
        return blocked(batch, reason, f"{detail}: it is elsewhere, and redirects are not followed; set `url`", pause)
    if status in _NEVER:
        return blocked(batch, reason, f"{detail}: the host does not do this; look at `url`", pause)
    if status in _LATER or status >= 500 or status in later:
        waits = status == _LIMITED and pause is None
        return Receipt.all(batch, Fate(Verdict.RETRY, reason, detail), pause=pause, blocked=waits)
    return Receipt.all(batch, Fate(Verdict.REFUSED, reason, detail), pause=pause)


def pause_of(headers: Mapping[str, str], now: float) -> float | None:
    """
    Return for how many seconds a service wants to be left alone: `Retry-After`, as a number or a date.
    """
    text = headers.get("retry-after", "").strip()
    if not text:
        return None
    seconds = seconds_of(text)
    if seconds is None:
        try:
            date = parsedate_to_datetime(text)
        except ValueError:
            return None
        seconds = (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() - now
    return min(max(seconds, 0.0), MOST_PAUSE_SECONDS)


def seconds_of(text: str) -> float | None:
    """
    Return a header's number of seconds, if it is one.
    """
    whole, _, part = text.strip().partition(".")
    digits = whole + part
    if not (digits.isascii() and digits.isdecimal() and len(digits) < 20):
        return None
    return float(text)


def scrubbed(text: object, records: Sequence[Record]) -> str:
    """
    Return a service's words without the values of the records that they are about, at most 200 characters of them.
    """
    words = _on_one_line(str(text or ""))
    said, cut = words[:_MOST_READ], len(words) > _MOST_READ
    if said:
        hidden = sorted({value for record in records for value in _texts(record.body)}, key=len, reverse=True)
        while any(value in said for value in hidden):
            for value in hidden:
                said = said.replace(value, "…")
    if cut and len(said) <= _MOST_DETAIL:
        said = said[: said.rfind("…") + 1]
    return said if len(said) <= _MOST_DETAIL else said[: _MOST_DETAIL - 1] + "…"


def _on_one_line(text: str) -> str:
    return " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())


def _texts(body: bytes) -> set[str]:
    """
    Return the values in a record's body that must not be shown.
    """
    try:
        left: list[Any] = [msgspec.json.decode(body)]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return set()
    found: set[str] = set()
    while left:
        value = left.pop()
        if isinstance(value, dict):
            left.extend(value.values())
        elif isinstance(value, list):
            left.extend(value)
        elif value is not None and not isinstance(value, bool):
            found.add(_on_one_line(str(value)))
    return {text for text in found if len(text) >= _LEAST_HIDDEN}
