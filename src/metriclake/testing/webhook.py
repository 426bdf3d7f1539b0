"""
A receiver of webhooks as Standard Webhooks 1.0.0 describes them: it verifies signatures, and knows ids again.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets as random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, ClassVar

import msgspec

from metriclake.testing.clock import Clock
from metriclake.testing.loopback import Answer
from metriclake.testing.record import Arrival, Keep, Refusal, Rule
from metriclake.testing.twin import Asked, Twin, Verdict, as_json

_SPEC = "Standard Webhooks 1.0.0"

POST = Rule("webhook-post", "the payload is the body of a POST", f"{_SPEC}: Webhook headers")
ANY_PATH = Rule("webhook-any-path", "to any path; another method is answered with 405")
SUCCESS = Rule("webhook-success", "what is taken is answered with a status of 200 to 299", f"{_SPEC}: Delivery success")
HEADERS = Rule(
    "webhook-headers",
    "webhook-id, webhook-timestamp in whole seconds, and webhook-signature go with it",
    f"{_SPEC}: Webhook headers",
)
SIGNATURE = Rule(
    "webhook-signature",
    "v1, and the base64 of the HMAC-SHA256 of id, timestamp and body, with full stops between them",
    f"{_SPEC}: Signature scheme",
)
SEVERAL = Rule(
    "webhook-several",
    "several signatures stand with spaces between them, and one that fits is enough; other versions are passed over",
    f"{_SPEC}: Webhook headers",
)
SECRET = Rule("webhook-secret", "a secret is whsec_ and the base64 of 24 to 64 bytes", f"{_SPEC}: Signature scheme")
FULL_STOP = Rule("webhook-full-stop", "an id has no full stop", f"{_SPEC}: Signature scheme")
TOLERANCE = Rule("webhook-tolerance", "the timestamp is near the receiver's own time", f"{_SPEC}: Verifying signatures")
FIVE_MINUTES = Rule("webhook-five-minutes", "near are five minutes, before or after")
REFUSED = Rule("webhook-refused", "400 where a header is missing or wrong, 401 where no signature fits")
KNOWN = Rule(
    "webhook-known", "an id that was seen in the last five minutes is not taken again", f"{_SPEC}: Verifying signatures"
)
AS_SENT = Rule("webhook-as-sent", "a compressed body is refused with 415: which bytes are signed is said nowhere")

_PREFIX = "whsec_"
_LEAST_BYTES = 24
_MOST_BYTES = 64


@dataclass(frozen=True, slots=True)
class WebhookLimits:
    """
    How far a timestamp may be off, and for how long an id is known.
    """

    tolerance_seconds: float = 300
    look_back_seconds: float = 300


class WebhookTwin(Twin):
    """
    Any receiver of webhooks, at any path below `url`.

    A record of `taken` is the payload, decoded where it is JSON; its kind is the payload's `type`.
    """

    RULES: ClassVar = (
        POST, ANY_PATH, SUCCESS, HEADERS, SIGNATURE, SEVERAL, SECRET, FULL_STOP, TOLERANCE, FIVE_MINUTES, REFUSED,
        KNOWN, AS_SENT,
    )  # fmt: skip
    compressions: ClassVar = frozenset()

    def __init__(
        self,
        secrets: Sequence[str] = (),
        *,
        limits: WebhookLimits | None = None,
        clock: Clock | None = None,
        keep: Keep | None = None,
    ) -> None:
        """
        Verify with these secrets, or with one that is made up; ValueError for what is no secret.
        """
        self.limits = limits or WebhookLimits()
        super().__init__(clock, keep, self.limits.look_back_seconds)
        self.secrets = tuple(secrets) or (_PREFIX + base64.b64encode(random.token_bytes(32)).decode(),)
        self._keys = tuple(_key(secret) for secret in self.secrets)

    @property
    def secret(self) -> str:
        """
        Return what a sender signs with.
        """
        return self.secrets[0]

    def failing(self, status: int) -> Answer:
        """
        Return an answer with `error`; a 429 and a 503 say to come back after a second.
        """
        known = status in HTTPStatus._value2member_map_
        headers = {"Retry-After": "1"} if status in (429, 503) else {}
        return as_json(status, {"error": HTTPStatus(status).phrase if known else "Unknown"}, headers)

    def judge(self, asked: Asked, now: float) -> Verdict:
        """
        Return what a receiver does with a request.
        """
        if asked.method != "POST":
            return Verdict(self.failing(405))
        payload = _payload(asked.body)
        for status, rule, reason in self._faults(asked, now):
            return Verdict(self.failing(status), rejected=[Refusal(payload, reason, rule.name)])
        refusal = asked.refused(payload)
        if refusal is not None:
            return Verdict(self.failing(400), rejected=[refusal])
        kind = payload.get("type") if isinstance(payload, dict) else None
        return Verdict(Answer(204), [Arrival(str(kind or ""), payload, asked.headers["webhook-id"])])

    def _faults(self, asked: Asked, now: float) -> Iterator[tuple[int, Rule, str]]:
        own, at = asked.headers.get("webhook-id", ""), asked.headers.get("webhook-timestamp", "")
        if not own or "webhook-signature" not in asked.headers:
            yield 400, HEADERS, "webhook-id or webhook-signature is missing"
        if not (at.isascii() and at.isdecimal()):
            yield 400, HEADERS, "webhook-timestamp is no number of seconds"
        elif abs(now - int(at)) > self.limits.tolerance_seconds:
            yield 400, TOLERANCE, f"webhook-timestamp is off by {now - int(at):.0f} s"
        if "." in own:
            yield 400, FULL_STOP, "webhook-id has a full stop"
        if not self._signed(f"{own}.{at}.".encode() + asked.body, asked.headers.get("webhook-signature", "")):
            yield 401, SIGNATURE, "no signature fits"

    def _signed(self, content: bytes, signatures: str) -> bool:
        right = [base64.b64encode(hmac.digest(key, content, hashlib.sha256)) for key in self._keys]
        given = [value for version, _, value in (each.partition(",") for each in signatures.split()) if version == "v1"]
        return any(hmac.compare_digest(each.encode(), value) for each in given for value in right)


def _key(secret: str) -> bytes:
    try:
        key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except binascii.Error:
        key = b""
    if not secret.startswith(_PREFIX) or not _LEAST_BYTES <= len(key) <= _MOST_BYTES:
        raise ValueError("a secret is `whsec_` and the base64 of 24 to 64 bytes")
    return key


def _payload(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return body
