"""
A webhook, as Standard Webhooks 1.0.0 has it: a signed POST with an id by which its receiver knows a repeat.

It goes to an address that was looked at: a URL in a file must not be a way into the network that this runs in. No
redirect is followed and no proxy is asked, for the same reason.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from uuid import UUID, uuid5

import httpx
import msgspec

from metriclake.destinations.destination import (
    DELIVERED,
    EVENT,
    Batch,
    Capabilities,
    Erasure,
    Fate,
    Receipt,
    Record,
    Repeats,
    Verdict,
)
from metriclake.destinations.http import (
    USER_AGENT,
    Answer,
    Lost,
    blocked,
    exchanged,
    host_of,
    unsuccessful,
    verifying,
)
from metriclake.destinations.mapping import Mapper
from metriclake.event import MetricEvent
from metriclake.pipeline.destination_checks import signing_key
from metriclake.pipeline.destination_specs import WebhookSpec
from metriclake.pipeline.spec import duration
from metriclake.public_address import Resolve, is_public, resolved

MOST_BYTES = 1024 * 1024
_BATCHES = UUID("0d7f6c2e-55d1-5e0e-8a37-0c2c8f2b7a11")


class WebhookDestination:
    """
    One URL that webhooks are sent to.
    """

    def __init__(
        self,
        name: str,
        spec: WebhookSpec,
        *,
        now: Callable[[], float] = time.time,
        resolve: Resolve = resolved,
    ) -> None:
        """
        `now` is the time in seconds since 1970, which is signed; `resolve` gives the addresses of a host.
        """
        self.name = name
        self._url = httpx.URL(spec.url)
        self._host = host_of(spec.url)
        self.account = f"webhook {self._host}"
        self._spec = spec
        self._keys = tuple(signing_key(secret) for secret in spec.secrets)
        self._mapper = Mapper.of(name, spec)
        self._now = now
        self._resolve = resolve
        self._seconds = duration(spec.timeout).total_seconds()
        self._client = httpx.Client(
            timeout=self._seconds, verify=verifying(spec.url), follow_redirects=False, trust_env=False
        )

    def __repr__(self) -> str:
        """
        Return nothing that may be a secret, as a part of the URL may be.
        """
        return f"WebhookDestination({self.name!r}, {self._host})"

    @property
    def capabilities(self) -> Mapping[str, Capabilities]:
        """
        Return what the file says of requests; whether a receiver knows a repeat, nobody knows here.
        """
        return {
            EVENT: Capabilities(
                records=self._spec.batch,
                bytes=MOST_BYTES,
                record_bytes=MOST_BYTES,
                repeats=Repeats.DOUBLED,
                retry_unknown=self._spec.unknown == "retry",
                concurrency=self._spec.concurrency,
            )
        }

    @property
    def erasure(self) -> Erasure:
        """
        Return that a webhook cannot take back what it sent.
        """
        return Erasure(possible=False, how=f"ask whoever receives the webhooks at {self._host} to delete the tenant")

    def records(self, event: MetricEvent) -> Iterator[Record]:
        """
        Return the event's payload: its type, its time, and what it says.
        """
        mapped = self._mapper.mapped(event)
        if mapped is None:
            return
        own = self._mapper.id_of(mapped, EVENT)
        payload = {
            "type": mapped.name,
            "timestamp": mapped.event_time,
            "data": {
                "id": own,
                "tenant_id": mapped.tenant,
                "metric_name": mapped.metric,
                "properties": mapped.properties,
            },
        }
        yield Record(own, mapped.tenant, mapped.metric, mapped.time, msgspec.json.encode(payload))

    def deliver(self, batch: Batch) -> Receipt:
        """
        Sign a batch and send it to an address that may be sent to.
        """
        try:
            addresses = self._resolve(self._url.host, self._url.port or (443 if self._url.scheme == "https" else 80))
        except OSError:
            return blocked(batch, "no-address", f"{self._host} has no address: the name does not resolve")
        if not self._spec.allow_private and not all(is_public(address) for address in addresses):
            detail = f"{self._host} has an address that is private or this machine's; `allow_private: true` allows that"
            return blocked(batch, "private-address", detail)
        body = batch.records[0].body
        if self._spec.batch > 1:
            body = b"[" + b",".join(record.body for record in batch.records) + b"]"
        answer = self._send(addresses, body, self._headers(batch, body))
        return answer.receipt(batch, self._host) if isinstance(answer, Lost) else self._receipt(batch, answer)

    def close(self) -> None:
        """
        Close the connections.
        """
        self._client.close()

    def _send(self, addresses: Sequence[str], body: bytes, headers: Mapping[str, str]) -> Answer | Lost:
        """
        Send to the first address that answers: the name is for the Host header and the certificate only.
        """
        answer: Answer | Lost = Lost(sent=False, why="no address")
        for address in addresses:
            request = self._client.build_request(
                "POST",
                self._url.copy_with(host=address),
                content=body,
                headers={**headers, "Host": self._url.netloc.decode()},
                extensions={"sni_hostname": self._url.host},
            )
            answer = exchanged(self._client, request, self._seconds)
            if isinstance(answer, Answer) or answer.sent:
                return answer
        return answer

    def _headers(self, batch: Batch, body: bytes) -> dict[str, str]:
        own, at = _id(batch), str(int(self._now()))
        content = f"{own}.{at}.".encode() + body
        signatures = (base64.b64encode(hmac.digest(key, content, hashlib.sha256)).decode() for key in self._keys)
        return {
            "User-Agent": USER_AGENT,
            **self._spec.headers,
            "Content-Type": "application/json",
            "webhook-id": own,
            "webhook-timestamp": at,
            "webhook-signature": " ".join(f"v1,{signature}" for signature in signatures),
        }

    def _receipt(self, batch: Batch, answer: Answer) -> Receipt:
        if answer.ok:
            return Receipt.all(batch, DELIVERED)
        if answer.status == 410:
            detail = (
                f"{self._host} answered 410: its receiver wants no more webhooks; take it out, or set another `url`"
            )
            return blocked(batch, "410", detail)
        receipt = unsuccessful(batch, answer, self._host, self._now)
        if len(batch.records) == 1 and receipt.fates[0].verdict is Verdict.REFUSED:
            refused = receipt.fates[0]
            return Receipt([Fate(Verdict.REJECTED, refused.reason, refused.detail)], receipt.pause)
        return receipt


def _id(batch: Batch) -> str:
    """
    Return a record's id, or one of all of them: the same batch has the same.
    """
    if len(batch.records) == 1:
        return batch.records[0].id
    return str(uuid5(_BATCHES, " ".join(record.id for record in batch.records)))
