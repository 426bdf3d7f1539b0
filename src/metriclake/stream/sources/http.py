"""
Tenants' attributes over HTTP: one request a tenant, or one for several where the system has a URL for it.

200 with a JSON object is an answer, 404 says that the tenant is not known; anything else is a failure. Redirects are
not followed: the headers may hold a secret that is for that one system.
"""

from __future__ import annotations

import itertools
import string
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from functools import partial
from urllib.parse import quote

import httpx
import msgspec

from metriclake._errors import MetriclakeError
from metriclake.stream.directory import Attributes
from metriclake.stream.sources.source import Looked, attributes_of

MAX_ANSWER_BYTES = 16 * 1024 * 1024
IDS_AT_ONCE = 100
"""Most tenants in one request of the batch URL: with the longest ids it stays below 16 KiB."""

_AT_ONCE = 8
_MOST_FAILURES = 5
"""Requests of one look-up that may fail before the rest is not tried."""

_LEAST_SECONDS = 0.05
_ONE = "{tenant_id}"
_SEVERAL = "{tenant_ids}"
Answers = Mapping[str, Attributes | None]
_Ask = Callable[[], Answers]
_HEADER_NAME = frozenset(string.ascii_letters + string.digits + "!#$%&'*+-.^_`|~")


class _Failed(Exception):  # noqa: N818 - a verdict on one request
    """
    A request that brought no answer; `down` where others would not either.
    """

    def __init__(self, message: str, *, down: bool) -> None:
        super().__init__(message)
        self.down = down


class HttpSource:
    """
    A URL that answers for a tenant, and perhaps one that answers for several.
    """

    kind = "http"

    def __init__(self, url: str, batch: str | None = None, headers: Mapping[str, str] | None = None) -> None:
        """
        `url` has `{tenant_id}` in it, `batch` has `{tenant_ids}`. Raises MetriclakeError where they cannot be used.
        """
        self._url = _checked(url, _ONE)
        self._batch = None if batch is None else _checked(batch, _SEVERAL)
        self._client = httpx.Client(headers=_headers(headers or {}), follow_redirects=False)

    def look_up(self, tenants: Sequence[str], seconds: float) -> Looked:
        """
        Ask for tenants, several at a time; what is not answered within `seconds` is missing.
        """
        until = time.monotonic() + seconds
        pool = ThreadPoolExecutor(max_workers=_AT_ONCE, thread_name_prefix="tenants-http")
        try:
            answers, failures = _gathered(pool, self._asks(tenants, until), until)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
        if len(answers) == len(tenants):
            return Looked(answers)
        if not failures:
            return Looked(answers, f"the tenants' directory answered for {len(answers)} of {len(tenants)} in time")
        worst = max(failures, key=lambda failed: failed.down)
        down = not answers and (worst.down or len(failures) >= _MOST_FAILURES)
        return Looked(answers, f"the tenants' directory {worst}", down=down)

    def close(self) -> None:
        """
        Close the connections.
        """
        self._client.close()

    def _asks(self, tenants: Sequence[str], until: float) -> Iterator[_Ask]:
        if self._batch is None:
            return (partial(self._ask_one, self._url, tenant, until) for tenant in tenants)
        groups = (tenants[start : start + IDS_AT_ONCE] for start in range(0, len(tenants), IDS_AT_ONCE))
        return (partial(self._ask_several, self._batch, group, until) for group in groups)

    def _ask_one(self, url: str, tenant: str, until: float) -> Answers:
        status, content = self._get(url.replace(_ONE, quote(tenant, safe="")), until)
        if status == httpx.codes.NOT_FOUND:
            return {tenant: None}
        return {tenant: _attributes(tenant, _object(status, content))}

    def _ask_several(self, url: str, tenants: Sequence[str], until: float) -> Answers:
        listed = ",".join(quote(tenant, safe="") for tenant in tenants)
        found = _object(*self._get(url.replace(_SEVERAL, listed), until))
        return {tenant: None if found.get(tenant) is None else _attributes(tenant, found[tenant]) for tenant in tenants}

    def _get(self, url: str, until: float) -> tuple[int, bytes]:
        left = max(_LEAST_SECONDS, until - time.monotonic())
        try:
            with self._client.stream("GET", url, timeout=left) as response:
                return response.status_code, b"".join(_bounded(response, until))
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise _Failed(f"does not answer ({type(error).__name__})", down=True) from None


def _gathered(
    pool: ThreadPoolExecutor, asks: Iterator[_Ask], until: float
) -> tuple[dict[str, Attributes | None], list[_Failed]]:
    """
    Run requests, a few at once, until all are done, or the time is over, or enough have failed.
    """
    answers: dict[str, Attributes | None] = {}
    failures: list[_Failed] = []
    running = {pool.submit(ask) for ask in itertools.islice(asks, _AT_ONCE)}
    while running:
        done, running = wait(running, return_when="FIRST_COMPLETED")
        for future in done:
            try:
                answers.update(future.result())
            except _Failed as failed:
                failures.append(failed)
        if _go_on(failures) and time.monotonic() < until:
            running |= {pool.submit(ask) for ask in itertools.islice(asks, _AT_ONCE - len(running))}
    return answers, failures


def _go_on(failures: Sequence[_Failed]) -> bool:
    return len(failures) < _MOST_FAILURES and not any(failed.down for failed in failures)


def _bounded(response: httpx.Response, until: float) -> Iterator[bytes]:
    size = 0
    for chunk in response.iter_bytes():
        size += len(chunk)
        if size > MAX_ANSWER_BYTES:
            raise _Failed(f"answered more than {MAX_ANSWER_BYTES} bytes", down=False)
        if time.monotonic() > until:
            raise _Failed("did not end its answer in time", down=True)
        yield chunk


def _object(status: int, content: bytes) -> dict[str, object]:
    if status != httpx.codes.OK:
        refused = status in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN)
        raise _Failed(f"answered {status}", down=refused)
    try:
        return msgspec.json.decode(content, type=dict[str, object])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise _Failed("answered something that is not a JSON object", down=False) from None


def _attributes(tenant: str, value: object) -> Attributes:
    """
    Return what can be attributes; other systems' objects hold more, such as an `id` and nested parts.
    """
    try:
        return attributes_of(value)[0]
    except ValueError as error:
        raise _Failed(f"answered {error} for `{tenant}`, which must be an object", down=False) from None


def _checked(url: str, part: str) -> str:
    try:
        parsed = httpx.URL(url.replace(part, "x"))
    except httpx.InvalidURL:
        raise MetriclakeError("is not a URL") from None
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise MetriclakeError("must be a URL that starts with http:// or https://")
    if part not in url.partition("://")[2].partition("/")[2] and part not in url.partition("?")[2]:
        raise MetriclakeError(f"must hold `{part}` in its path or query")
    if "{" in url.replace(part, "") or "}" in url.replace(part, ""):
        raise MetriclakeError(f"holds another placeholder than `{part}`")
    return url


def _headers(headers: Mapping[str, str]) -> dict[str, str]:
    for name, value in headers.items():
        if not name or not set(name) <= _HEADER_NAME:
            raise MetriclakeError("one of the headers has a name that cannot stand in a request")
        if not all(32 <= ord(sign) < 127 for sign in value):
            raise MetriclakeError(f"the header `{name}` has a value that cannot stand in a request")
    return {"Accept": "application/json", **headers}
