"""
What the pipeline file says of destinations: what all have in common, and the settings of each kind.

A destination's kind is its `type`, or its name where it has none.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from metriclake.spec import Duration, Spec


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
    dimensions and measures go along under their own names.
    """

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=255)] | None = None
    properties: dict[str, str] | None = None


class DestinationSpec(Spec, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """
    What every destination's part may say.

    `start` is where a new one begins: at the `beginning` of the lake, `now`, or with what was laked since a time
    (RFC 3339). `metrics` names those that go there, each with its mapping; without it all of them do.
    """

    type: str | None = None
    start: str = "now"
    retry: RetrySpec = RetrySpec()
    metrics: dict[str, MappingSpec] | None = None


KINDS: dict[str, type[DestinationSpec]] = {}
"""The settings of each kind of destination."""
