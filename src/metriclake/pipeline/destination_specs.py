"""
What the pipeline file says of destinations: what all have in common, and the settings of each kind.

A destination's kind is its `type`, or its name where it has none.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from metriclake.pipeline.spec import Duration, Size, Spec

Text = Annotated[str, msgspec.Meta(min_length=1, max_length=4096)]


HubSpotName = Annotated[str, msgspec.Meta(pattern="^[a-z][a-z0-9_]{0,49}$")]


class RetrySpec(Spec, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """
    When a record that was not taken becomes a dead letter: after `tries` where others are taken, after `within` always.
    """

    tries: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 10
    within: Duration = "24h"


class MappingSpec(Spec, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """
    How a metric's events look at a destination: their name there, and which properties they have.

    `properties` names for each property the field it is of, `metadata.severity` or `data.count`; without it all
    dimensions and measures go along under their own names. `declared` is false for a metric that comes by the door for
    metric events, and which the file therefore does not have.
    """

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=255)] | None = None
    properties: dict[str, str] | None = None
    declared: bool = True


class DestinationSpec(Spec, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """
    What every destination's part may say.

    `start` is where a new one begins: at the `beginning` of the lake, `now`, or with what was laked since a time
    (RFC 3339). `metrics` names those that go there, each with its mapping; without it all of them do. `namespace` is
    what ids of records are made in.
    """

    type: str | None = None
    start: str = "now"
    retry: RetrySpec = RetrySpec()
    metrics: dict[str, MappingSpec] | None = None
    namespace: Text | None = None

    def __repr__(self) -> str:
        """
        Return nothing that may be a secret.
        """
        return f"{type(self).__name__}(…)"


class ServiceSpec(DestinationSpec, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """
    A destination over HTTP: how long a request may take, and its host where that is not the service's own.
    """

    timeout: Duration = "30s"
    url: Text | None = None


class SegmentSpec(ServiceSpec, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """
    Segment: a source's write key. `user` is the field that is a track's userId; `integrations` routes the calls on.
    """

    write_key: Text
    region: Literal["us", "eu"] = "us"
    user: str | None = None
    groups: bool = True
    integrations: dict[str, bool] = {}


class MixpanelAccountSpec(Spec, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """
    A service account of Mixpanel's, and the project that it sends to.
    """

    username: Text
    secret: Text
    project_id: Text

    def __repr__(self) -> str:
        """
        Return nothing that may be a secret.
        """
        return "MixpanelAccountSpec(…)"


class MixpanelSpec(ServiceSpec, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """
    Mixpanel: a project's token, or a service account, or both.

    `distinct_id` is the field that names the user; `group_key` the property that has the tenant. `profiles` sends
    tenants' attributes as group profiles, which needs the token. The last three are limits of a request.
    """

    token: Text | None = None
    service_account: MixpanelAccountSpec | None = None
    region: Literal["us", "eu", "in"] = "us"
    distinct_id: str | None = None
    group_key: Annotated[str, msgspec.Meta(min_length=1, max_length=255)] = "tenant_id"
    profiles: bool = True
    events: Annotated[int, msgspec.Meta(ge=1, le=2_000)] = 2_000
    bytes: Size = "10MB"
    event_bytes: Size = "1MB"


class HubSpotCompaniesSpec(Spec, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """
    Tenants as companies: `key` is the company's unique property that has the tenant's id.
    """

    key: HubSpotName = "tenant_id"


class HubSpotEventsSpec(Spec, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """
    Metric events as custom events of the account `hub_id`.

    `match` is the event's property that is matched with a company's, and gets the tenant's id; `email` is the field
    that names a contact.
    """

    hub_id: Annotated[int, msgspec.Meta(ge=1)]
    match: HubSpotName | None = None
    email: str | None = None


class HubSpotSpec(ServiceSpec, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """
    HubSpot: a private app's token. Companies unless only `events` is there; both where both are.

    `version` is that of the paths: a date, or v3. `unknown` is what becomes of events that may have been taken: a dead
    letter, or another try, after which they may be there twice.
    """

    token: Text
    version: Annotated[str, msgspec.Meta(pattern=r"^(v3|\d{4}-\d{2})$")] = "2026-03"
    companies: HubSpotCompaniesSpec | None = None
    events: HubSpotEventsSpec | None = None
    requests_per_ten_seconds: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 100
    unknown: Literal["dead", "retry"] = "dead"


class WebhookSpec(ServiceSpec, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """
    A receiver of webhooks. It is signed with every one of `secrets`, so that one can be replaced by another.

    `headers` go with each request. So do `batch` payloads: as a JSON array where it is more than 1. `unknown` is what
    becomes of those that may have been taken: another try, or a dead letter.
    """

    url: Text
    secrets: Annotated[list[str], msgspec.Meta(min_length=1, max_length=5)]
    headers: dict[str, str] = {}
    batch: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 1
    concurrency: Annotated[int, msgspec.Meta(ge=1, le=64)] = 4
    allow_private: bool = False
    unknown: Literal["dead", "retry"] = "retry"


class PythonSpec(DestinationSpec, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """
    A function of the user's, `module:function`, which gets at most `batch` metric events at once.

    `unknown` is what becomes of those whose call was cut short: another call, or a dead letter.
    """

    call: Text
    batch: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 500
    unknown: Literal["dead", "retry"] = "retry"


KINDS: dict[str, type[DestinationSpec]] = {
    "segment": SegmentSpec,
    "mixpanel": MixpanelSpec,
    "hubspot": HubSpotSpec,
    "webhook": WebhookSpec,
    "python": PythonSpec,
}
"""The settings of each kind of destination."""
