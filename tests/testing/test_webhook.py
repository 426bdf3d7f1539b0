"""
The webhook twin, by the published sample of a signature and by requests that are signed here.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import hmac
import json
from collections.abc import Iterator

import httpx
import pytest

from metriclake.testing import Clock, Drop, Refuse, WebhookTwin
from testing.plain_http import speaking

SAMPLE_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
SAMPLE_AT = 1_614_265_330
SAMPLE = {
    "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
    "webhook-timestamp": str(SAMPLE_AT),
    "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
}
SAMPLE_BODY = b'{"test": 2432232314}'
BODY = json.dumps({"type": "metrics.stored", "data": {"events": 3}}).encode()


@pytest.fixture
def twin() -> Iterator[WebhookTwin]:
    """
    Verify with the sample's secret, at the sample's time.
    """
    with WebhookTwin([SAMPLE_SECRET], clock=Clock(SAMPLE_AT)) as twin:
        yield twin


@pytest.fixture
def http(twin: WebhookTwin) -> Iterator[httpx.Client]:
    """
    Speak to the twin.
    """
    with speaking(twin.url) as client:
        yield client


def signed(twin: WebhookTwin, own: str = "msg_1", secret: str = "", body: bytes = BODY) -> dict[str, str]:
    """
    Return the headers of a request, signed as the specification says.
    """
    at = str(int(twin.clock()))
    key = base64.b64decode((secret or twin.secret).removeprefix("whsec_"))
    signature = hmac.new(key, b".".join([own.encode(), at.encode(), body]), hashlib.sha256).digest()
    return {
        "webhook-id": own,
        "webhook-timestamp": at,
        "webhook-signature": f"v1,{base64.b64encode(signature).decode()}",
    }


@pytest.mark.rule("webhook-signature", "webhook-headers", "webhook-post", "webhook-success")
def test_the_published_sample(twin: WebhookTwin, http: httpx.Client) -> None:
    """
    The sample that the libraries of Standard Webhooks are tested with is taken, and a byte more is not.
    """
    good = http.post("/", content=SAMPLE_BODY, headers=SAMPLE)
    bad = http.post("/", content=SAMPLE_BODY + b" ", headers=SAMPLE)

    assert (good.is_success, bad.status_code) == (True, 401)
    assert (twin.records, twin.debugger[0].rule) == (({"test": 2432232314},), "webhook-signature")


@pytest.mark.rule("webhook-known")
def test_an_id_is_known_for_five_minutes(twin: WebhookTwin, http: httpx.Client) -> None:
    """
    A delivery that comes again is answered as the first, and is there once; after five minutes it is a new one.
    """
    twin.fail(Drop(stored=True), times=1)
    with pytest.raises(httpx.RemoteProtocolError):
        http.post("/hook", content=BODY, headers=signed(twin))
    twin.clock.move(299)
    again = http.post("/hook", content=BODY, headers=signed(twin))
    early = (twin.counts.taken, twin.counts.repeated)
    twin.clock.move(1)
    http.post("/hook", content=BODY, headers=signed(twin))

    assert (again.is_success, early) == (True, (1, 1))
    assert [taken.kind for taken in twin.taken] == ["metrics.stored"] * 2


@pytest.mark.rule("webhook-several")
def test_several_signatures(http: httpx.Client, twin: WebhookTwin) -> None:
    """
    One of several signatures is enough, and other versions are passed over.
    """
    given = SAMPLE["webhook-signature"]
    lists = [f"v1,bm9wZQ== {given}", f"{given} v1a,bm9wZQ==", given.replace("v1,", "v1a,"), "v1,é", ""]
    answers = [
        http.post("/", content=SAMPLE_BODY, headers=httpx.Headers({**SAMPLE, "webhook-signature": each}, "latin-1"))
        for each in lists
    ]

    assert [answer.status_code for answer in answers] == [204, 204, 401, 401, 401]
    assert (twin.counts.taken, twin.counts.repeated) == (1, 1)


@pytest.mark.rule("webhook-several")
def test_a_secret_that_is_changed() -> None:
    """
    While a secret is changed the receiver takes what is signed with either.
    """
    old = WebhookTwin().secret
    with WebhookTwin([SAMPLE_SECRET, old]) as twin, speaking(twin.url) as http:
        statuses = [
            http.post("/", content=BODY, headers=signed(twin, f"msg_{number}", secret)).status_code
            for number, secret in enumerate([SAMPLE_SECRET, old, WebhookTwin().secret])
        ]

        assert statuses == [204, 204, 401]


@pytest.mark.rule("webhook-headers", "webhook-refused", "webhook-full-stop")
@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"webhook-id": ""}, "webhook-headers"),
        ({"webhook-id": "msg.1"}, "webhook-full-stop"),
        ({"webhook-timestamp": ""}, "webhook-headers"),
        ({"webhook-timestamp": "2021-02-25T15:02:10Z"}, "webhook-headers"),
        ({"webhook-timestamp": f"{SAMPLE_AT}.5"}, "webhook-headers"),
    ],
)
def test_headers_that_are_wrong(twin: WebhookTwin, http: httpx.Client, change: dict[str, str], rule: str) -> None:
    """
    What is missing or of another form is refused before the signature is looked at.
    """
    answer = http.post("/", content=SAMPLE_BODY, headers={**SAMPLE, **change})

    assert (answer.status_code, [rejected.rule for rejected in twin.debugger]) == (400, [rule])


@pytest.mark.rule("webhook-headers")
def test_headers_that_are_missing(twin: WebhookTwin, http: httpx.Client) -> None:
    """
    Without any of the headers nothing is taken.
    """
    for missing in SAMPLE:
        headers = {name: value for name, value in SAMPLE.items() if name != missing}
        assert http.post("/", content=SAMPLE_BODY, headers=headers).status_code == 400

    assert twin.counts.rejected == 3


@pytest.mark.rule("webhook-tolerance", "webhook-five-minutes")
@pytest.mark.parametrize(("off", "status"), [(0, 204), (-300, 204), (300, 204), (-301, 400), (301, 400)])
def test_how_far_a_timestamp_may_be_off(off: int, status: int) -> None:
    """
    Five minutes before or after are near enough.
    """
    with WebhookTwin([SAMPLE_SECRET], clock=Clock(SAMPLE_AT + off)) as twin, speaking(twin.url) as http:
        assert http.post("/", content=SAMPLE_BODY, headers=SAMPLE).status_code == status
        assert twin.counts.taken == int(status == 204)


@pytest.mark.rule("webhook-secret")
@pytest.mark.parametrize(
    "wrong",
    ["", "secret", "whsec_", "whsec_nonsense!", "whsec_" + base64.b64encode(bytes(23)).decode(),
     "whsec_" + base64.b64encode(bytes(65)).decode(), SAMPLE_SECRET.removeprefix("whsec_")],
)  # fmt: skip
def test_what_is_no_secret(wrong: str) -> None:
    """
    A secret of another form is refused at once.
    """
    with pytest.raises(ValueError, match="whsec_"):
        WebhookTwin([wrong])


@pytest.mark.rule("webhook-secret", "webhook-any-path")
def test_a_secret_that_is_made_up() -> None:
    """
    Without a secret one is made up, of the right form; any path is the receiver's, and any other method is not.
    """
    with WebhookTwin() as twin, speaking(twin.url) as http:
        statuses = [http.post("/a/b?c=d", content=b"no JSON", headers=signed(twin, body=b"no JSON")).status_code]
        statuses.append(http.get("/").status_code)

        assert (statuses, twin.records) == ([204, 405], (b"no JSON",))
        assert twin.secret.startswith("whsec_")
        assert twin.secret != WebhookTwin().secret


@pytest.mark.rule("webhook-as-sent")
def test_compression_is_refused(twin: WebhookTwin, http: httpx.Client) -> None:
    """
    A sender that compresses learns it here.
    """
    headers = {**SAMPLE, "Content-Encoding": "gzip"}

    assert http.post("/", content=gzip.compress(SAMPLE_BODY), headers=headers).status_code == 415
    assert twin.taken == ()


def test_failures_on_order(twin: WebhookTwin, http: httpx.Client) -> None:
    """
    The receiver fails as other twins do: it is gone, it asks to wait, it refuses a payload.
    """
    twin.fail(410, times=1)
    twin.fail(503, times=1)
    answers = [http.post("/", content=BODY, headers=signed(twin)) for _ in range(2)]
    twin.fail(Refuse(lambda payload: payload["type"] == "metrics.stored", "blocked"))
    answers.append(http.post("/", content=BODY, headers=signed(twin)))

    assert [answer.status_code for answer in answers] == [410, 503, 400]
    assert (answers[1].headers["Retry-After"], twin.debugger[0].reason, twin.taken) == ("1", "blocked", ())
