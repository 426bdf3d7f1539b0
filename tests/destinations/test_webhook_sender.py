"""
The sender of webhooks against their receiver, which verifies signatures.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from contracts.destination import DestinationContract
from destinations.metric_events import SECONDS, TIME, an_event, batch_of, verdicts
from metriclake.destinations import EVENT, Destination, Verdict
from metriclake.destinations.webhook import WebhookDestination
from metriclake.pipeline.destination_specs import WebhookSpec
from metriclake.testing import Clock, Drop, Slow, Status, Twin, WebhookTwin

SECRET = "whsec_" + base64.b64encode(b"hunter2-" * 5).decode()
OTHER = "whsec_" + base64.b64encode(b"another-" * 5).decode()


def sender(twin: WebhookTwin, **settings: Any) -> WebhookDestination:
    """
    Make a destination that sends to the twin at the twin's time, with settings of the pipeline file.
    """
    given = {"url": twin.url + "/hooks?k=v", "secrets": list(twin.secrets), "allow_private": True, **settings}
    return WebhookDestination("hook", msgspec.convert(given, WebhookSpec), now=twin.clock)


def made(twin: WebhookTwin, **settings: Any) -> closing[WebhookDestination]:
    """
    Make the same, and close it in the end.
    """
    return closing(sender(twin, **settings))


class TestWebhookDestination(DestinationContract):
    """
    A webhook keeps what every destination promises.
    """

    def twin(self) -> Twin:
        """
        Return a receiver with a secret.
        """
        return WebhookTwin([SECRET])

    def destination(self, twin: Twin | None) -> Destination:
        """
        Make a destination that sends to it, a few at once.
        """
        assert isinstance(twin, WebhookTwin)
        return sender(twin, batch=5)


@pytest.fixture
def twin() -> Iterator[WebhookTwin]:
    """
    Receive with one secret, at a time that stands still.
    """
    with WebhookTwin([SECRET], clock=Clock(SECONDS)) as running:
        yield running


def test_a_webhook(twin: WebhookTwin) -> None:
    """
    One event is one request: its type, its time, its data; the id of the header stands in the data too.
    """
    with made(twin) as hook:
        batch = batch_of(hook, an_event(3))
        assert verdicts(hook, batch) == [("delivered", "")]

    (payload,) = twin.records
    assert payload == {
        "type": "scans",
        "timestamp": TIME,
        "data": {
            "id": batch.records[0].id,
            "tenant_id": "acme",
            "metric_name": "scans",
            "properties": {"tenant_id": "acme", "event_id": "e3", "severity": "high", "count": 3, "seconds": 1.5},
        },
    }
    (seen,) = twin.requests
    assert (seen.path, seen.query, seen.headers["webhook-id"]) == ("/hooks", {"k": "v"}, batch.records[0].id)
    assert seen.headers["webhook-timestamp"] == str(SECONDS)
    assert seen.headers["host"] == twin.url.removeprefix("http://")
    assert seen.headers["content-type"] == "application/json"


def test_a_batch_is_an_array(twin: WebhookTwin) -> None:
    """
    With more than one at once the body is an array, also of one; the same batch has the same id, another one another.
    """
    with made(twin, batch=10) as hook:
        batches = (batch_of(hook, an_event(1), an_event(2)), batch_of(hook, an_event(1)))
        for batch in (batches[0], batches[0], batches[1]):
            assert {fate for fate, _ in verdicts(hook, batch)} == {"delivered"}

    assert [[payload["data"]["properties"]["count"] for payload in body] for body in twin.records] == [[1, 2], [1]]
    assert twin.counts.repeated == 1


def test_each_secret_signs(twin: WebhookTwin) -> None:
    """
    While a secret is being replaced, both sign: a receiver with either takes it.
    """
    with made(twin, secrets=[OTHER, SECRET]) as hook:
        assert verdicts(hook, batch_of(hook, an_event())) == [("delivered", "")]
    signatures = twin.requests[0].headers["webhook-signature"].split()

    assert len(signatures) == 2
    with made(twin, secrets=[OTHER]) as hook:
        receipt = hook.deliver(batch_of(hook, an_event()))
    assert (receipt.blocked, receipt.fates[0].reason) == (True, "401")


def test_the_signature_is_that_of_the_specification(twin: WebhookTwin) -> None:
    """
    The signature is the base64 of the HMAC-SHA256 of id, time and body, made here once more by its definition.
    """
    with made(twin) as hook:
        batch = batch_of(hook, an_event())
        hook.deliver(batch)
    content = f"{batch.records[0].id}.{SECONDS}.".encode() + batch.records[0].body
    digest = hmac.new(b"hunter2-" * 5, content, hashlib.sha256).digest()

    assert twin.requests[0].headers["webhook-signature"] == f"v1,{base64.b64encode(digest).decode()}"


@pytest.mark.parametrize(
    ("failure", "verdict", "blocked", "pause"),
    [
        (Status(400), Verdict.REJECTED, False, None),
        (Status(409), Verdict.REJECTED, False, None),
        (Status(413), Verdict.REJECTED, False, None),
        (Status(422, {"Retry-After": "5"}), Verdict.REJECTED, False, 5),
        (Status(410), Verdict.RETRY, True, None),
        (Status(302, {"Location": "http://169.254.169.254/"}, b"x"), Verdict.RETRY, True, None),
        (Status(425), Verdict.RETRY, False, None),
        (Status(429), Verdict.RETRY, False, 1),
        (Status(429, {"Retry-After": ""}), Verdict.RETRY, True, None),
        (Status(503, {"Retry-After": "Sun, 01 Mar 2026 12:00:30 GMT"}), Verdict.RETRY, False, 30),
        (Status(500), Verdict.RETRY, False, None),
        (Drop(), Verdict.UNKNOWN, False, None),
        (Drop(stored=True), Verdict.UNKNOWN, False, None),
    ],
)
def test_failures_of_one(
    twin: WebhookTwin, failure: Status | Drop, verdict: Verdict, *, blocked: bool, pause: float | None
) -> None:
    """
    What a receiver refuses alone is rejected with its status; what may pass is tried again; gone is a blocked one.
    """
    twin.fail(failure, times=1)
    with made(twin) as hook:
        receipt = hook.deliver(batch_of(hook, an_event()))

    assert (receipt.fates[0].verdict, receipt.blocked, receipt.pause) == (verdict, blocked, pause)
    assert len(twin.requests) == 1


def test_gone_is_said_clearly(twin: WebhookTwin) -> None:
    """
    A receiver that is gone for good is named, with what to do; its path, which may be a secret, is not.
    """
    twin.fail(410)
    with made(twin, url=twin.url + "/secret-path") as hook:
        detail = hook.deliver(batch_of(hook, an_event())).fates[0].detail

    assert "wants no more webhooks" in detail
    assert twin.url in detail
    assert "secret-path" not in detail


def test_a_refused_batch_is_to_be_split(twin: WebhookTwin) -> None:
    """
    Of several it may be any: they are refused together.
    """
    twin.fail(400, times=1)
    with made(twin, batch=10) as hook:
        assert verdicts(hook, batch_of(hook, an_event(1), an_event(2))) == [("refused", "400")] * 2


def test_half_an_answer_is_one(twin: WebhookTwin) -> None:
    """
    The status says that it was taken, whether or not the rest of the answer comes.
    """
    twin.fail(Status(200, body=b"x" * 5_000_000, stored=True), times=1)
    with made(twin) as hook:
        assert verdicts(hook, batch_of(hook, an_event())) == [("delivered", "")]
        assert verdicts(hook, batch_of(hook, an_event(2))) == [("delivered", "")]


def test_a_slow_receiver(twin: WebhookTwin) -> None:
    """
    After its time nobody knows; the id of a second try is the first one's.
    """
    twin.fail(Slow(0.4), times=1)
    with made(twin, timeout="100ms") as hook:
        batch = batch_of(hook, an_event())
        assert verdicts(hook, batch) == [("unknown", "no-answer")]
        assert verdicts(hook, batch) == [("delivered", "")]

    assert (twin.counts.taken, twin.counts.repeated) == (1, 1)


def hook_at(url: str, resolve: Callable[[str, int], Sequence[str]]) -> WebhookDestination:
    """
    Make a destination whose host has the addresses that `resolve` gives.
    """
    return WebhookDestination("hook", WebhookSpec(url=url, secrets=[SECRET]), resolve=resolve)


@pytest.mark.parametrize(
    "addresses", [["127.0.0.1"], ["169.254.169.254"], ["10.0.0.5"], ["::1"], ["93.184.215.14", "192.168.0.1"]]
)
def test_no_private_address_is_sent_to(twin: WebhookTwin, addresses: list[str]) -> None:
    """
    A name that leads inside, also by one of its addresses, is not sent to, and that is said without blaming a record.
    """
    port = twin.url.rpartition(":")[2]
    with closing(hook_at(f"http://hooks.example:{port}/", lambda _host, _port: addresses)) as hook:
        receipt = hook.deliver(batch_of(hook, an_event()))

    assert (receipt.blocked, receipt.fates[0].reason) == (True, "private-address")
    assert twin.requests == ()


def test_the_address_that_was_judged_is_connected_to(twin: WebhookTwin) -> None:
    """
    A host is resolved once for a request, its name goes into the Host header, and an address that refuses is passed.
    """
    port = twin.url.rpartition(":")[2]
    asked: list[tuple[str, int]] = []

    def resolve(host: str, port: int) -> Sequence[str]:
        asked.append((host, port))
        return ["127.0.0.2", "127.0.0.1"]

    spec = WebhookSpec(url=f"http://hooks.example:{port}/", secrets=[SECRET], allow_private=True)
    with closing(WebhookDestination("hook", spec, now=twin.clock, resolve=resolve)) as hook:
        assert verdicts(hook, batch_of(hook, an_event())) == [("delivered", "")]

    assert asked == [("hooks.example", int(port))]
    assert twin.requests[0].headers["host"] == f"hooks.example:{port}"


def test_a_name_without_an_address_blocks() -> None:
    """
    A name that does not resolve costs no record a try.
    """

    def resolve(_host: str, _port: int) -> Sequence[str]:
        raise OSError

    with closing(hook_at("https://hooks.example/", resolve)) as hook:
        receipt = hook.deliver(batch_of(hook, an_event()))

    assert (receipt.blocked, receipt.fates[0].reason) == (True, "no-address")


def test_no_proxy_is_asked(twin: WebhookTwin, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A proxy would resolve the name again, and go where it likes.
    """
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY")
    monkeypatch.delenv("no_proxy")

    with made(twin) as hook:
        assert verdicts(hook, batch_of(hook, an_event())) == [("delivered", "")]


def test_a_mapping_gives_type_and_properties(twin: WebhookTwin) -> None:
    """
    A mapping says what leaves: other fields of the event do not.
    """
    mapping = {"scans": {"name": "scan.finished", "properties": {"n": "data.count"}}}
    with made(twin, metrics=mapping) as hook:
        assert list(hook.records(an_event(metric="other"))) == []
        hook.deliver(batch_of(hook, an_event(7)))

    assert [(each["type"], each["data"]["properties"]) for each in twin.records] == [("scan.finished", {"n": 7})]


@pytest.mark.parametrize(("said", "again"), [({}, True), ({"unknown": "retry"}, True), ({"unknown": "dead"}, False)])
def test_what_may_have_been_taken(twin: WebhookTwin, said: dict[str, str], *, again: bool) -> None:
    """
    A receiver is expected to know an id again, unless the file says otherwise.
    """
    with made(twin, **said) as hook:
        assert hook.capabilities[EVENT].retry_unknown is again


def test_headers_go_along(twin: WebhookTwin) -> None:
    """
    A receiver behind a gateway may want a header of its own; those of the signature stay what they are.
    """
    with made(twin, headers={"Authorization": "Bearer x", "User-Agent": "shop"}) as hook:
        assert verdicts(hook, batch_of(hook, an_event())) == [("delivered", "")]
        assert "Bearer" not in repr(hook)

    headers = twin.requests[0].headers
    assert (headers["authorization"], headers["user-agent"]) == ("Bearer x", "shop")


def a_certificate(folder: Path, host: str) -> Path:
    """
    Make a certificate of a host that vouches for itself, with its key, as one file.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path = folder / f"{host}.pem"
    path.write_bytes(key.private_bytes(*form) + certificate.public_bytes(serialization.Encoding.PEM))
    return path


@contextmanager
def over_tls(certificate: Path, asked: list[str]) -> Iterator[int]:
    """
    Answer 204 to one request over TLS, and keep which name was asked for; yields the port.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    context.sni_callback = lambda _socket, name, _context: asked.append(str(name))
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with suppress(OSError):
            accepted, _ = listener.accept()
            with context.wrap_socket(accepted, server_side=True) as connection:
                received = b""
                while not received.endswith(b"}"):
                    received += connection.recv(65_536)
                connection.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")

    thread = threading.Thread(target=serve)
    thread.start()
    yield listener.getsockname()[1]
    thread.join()
    listener.close()


@pytest.mark.parametrize(
    ("host", "found"),
    [("hooks.example", (Verdict.DELIVERED, "", False)), ("other.example", (Verdict.RETRY, "no-connection", True))],
)
def test_the_certificate_is_the_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, host: str, found: tuple[Verdict, str, bool]
) -> None:
    """
    Though an address is connected to, TLS asks for the name, and a certificate of another is refused.
    """
    certificate = a_certificate(tmp_path, host)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    asked: list[str] = []
    with over_tls(certificate, asked) as port:
        spec = WebhookSpec(url=f"https://hooks.example:{port}/x", secrets=[SECRET], allow_private=True)
        with closing(WebhookDestination("hook", spec, resolve=lambda _host, _port: ["127.0.0.1"])) as hook:
            receipt = hook.deliver(batch_of(hook, an_event()))

    assert (receipt.fates[0].verdict, receipt.fates[0].reason, receipt.blocked) == found
    assert asked == ["hooks.example"]
