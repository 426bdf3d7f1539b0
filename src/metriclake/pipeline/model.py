"""
The pipeline file's model: a tree of frozen structs, whose defaults are the documented ones.

Dashboards and destinations have models of their own beside this one.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

import msgspec

from metriclake._config import MAX_EVENT_BYTES, MAX_ROLLUPS, ROLLUP_FROM
from metriclake.pipeline.dashboard_specs import DashboardSpec, EmbeddingSpec
from metriclake.pipeline.destination_specs import DestinationSpec
from metriclake.pipeline.spec import Duration, Size, Spec, duration
from metriclake.prefix import DATA_PREFIX, ERROR_PREFIX
from metriclake.tiers import Stay, Tiers

RESERVED_PREFIX = "tenant_"
"""What the names of tenants' attributes begin with, which the enrich step adds."""


class HttpTenantsSpec(Spec, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """
    Tenants over HTTP: `url` holds `{tenant_id}`, `batch` holds `{tenant_ids}` and answers for several at once.
    """

    shorthand: ClassVar[str] = "url"

    url: str
    batch: str | None = None
    headers: dict[str, str] = {}

    def __repr__(self) -> str:
        """
        Return nothing that may be a secret.
        """
        return "HttpTenantsSpec(…)"


class SqlTenantsSpec(Spec, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """
    Tenants in a database: SQLAlchemy's `url`, and a `statement` with the expanding parameter `:tenant_ids`.
    """

    url: str
    statement: str

    def __repr__(self) -> str:
        """
        Return nothing that may be a secret.
        """
        return "SqlTenantsSpec(…)"


class TenantsSpec(Spec, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """
    The external system that the enrich step asks for a tenant's attributes: at most one of the first four.

    `unknown` decides on tenants that it does not know; `unavailable` on records that come while it cannot answer. The
    rest is how long an answer is fresh, how long a look-up may take and how many answers are kept.
    """

    file: str | None = None
    http: HttpTenantsSpec | None = None
    sql: SqlTenantsSpec | None = None
    python: str | None = None
    unknown: Literal["accept", "refuse"] = "accept"
    unavailable: Literal["pass", "wait"] = "pass"
    ttl: Duration = "5m"
    unknown_ttl: Duration = "30s"
    timeout: Duration = "5s"
    cache_size: Annotated[int, msgspec.Meta(ge=1, le=10_000_000)] = 100_000

    @property
    def sources(self) -> tuple[str, ...]:
        """
        Return the keys of the sources that are given.
        """
        return tuple(key for key in ("file", "http", "sql", "python") if getattr(self, key) is not None)


class BufferSpec(Spec, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """
    When a batch closes: at `seconds` after its first entry or at `megabytes` (of 1,048,576 bytes), the earlier.
    """

    seconds: Annotated[float, msgspec.Meta(gt=0, le=900)] = 60.0
    megabytes: Annotated[float, msgspec.Meta(gt=0, le=128)] = 5.0


class StreamSpec(Spec, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """
    The delivery stream: its buffer, its objects' compression and prefixes, and how far ahead an event's time may lie.
    """

    buffer: BufferSpec = BufferSpec()
    compression: Literal["none", "gzip", "zstd", "snappy", "zip"] = "zstd"
    prefix: str = DATA_PREFIX
    error_prefix: str | None = ERROR_PREFIX
    future: Duration = "15m"


class StaySpec(Spec, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """
    How long rows of one metric or one tenant stay on the hot volume, and when they leave, where that is its own.
    """

    hot: Duration | None = None
    retention: Duration | None = None

    def stay(self) -> Stay:
        """
        Return the lengths.
        """
        hot, retention = (None if text is None else duration(text) for text in (self.hot, self.retention))
        return Stay(hot, retention)


class StoreSpec(Spec, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """
    The time-series store: its engine, how long rows stay on the hot volume, and when they leave.

    `metrics` and `tenants` have lengths of their own: a tenant's win over a metric's, a metric's over those of all.
    Rollups of a metric are kept for the tenants that have `rollup_from` events of it, unless `rollups` is false.
    """

    url: str | None = None
    hot: Duration = "14d"
    retention: Duration = "365d"
    metrics: dict[str, StaySpec] = {}
    tenants: dict[str, StaySpec] = {}
    rollups: bool = True
    rollup_from: Annotated[int, msgspec.Meta(ge=0, le=10**12)] = ROLLUP_FROM

    def tiers(self) -> Tiers:
        """
        Return how long rows stay.
        """
        return Tiers(
            duration(self.hot),
            duration(self.retention),
            {name: spec.stay() for name, spec in self.metrics.items()},
            {name: spec.stay() for name, spec in self.tenants.items()},
        )


class FieldSpec(Spec, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """
    Where a dimension or a measure comes from: a JSON path into the domain event, or a constant value.

    `type` is enforced at validate: a measure that does not fit goes to `Error/type-mismatch`.
    """

    shorthand: ClassVar[str] = "path"

    path: str | None = None
    value: str | int | float | bool | None = None
    type: Literal["double", "integer", "string", "boolean"] | None = None
    unit: Annotated[str, msgspec.Meta(max_length=32)] | None = None


class MetricSpec(Spec, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """
    One metric: the rule (bus, pattern, input) that makes its metric events of domain events.

    The input is the short form, `metadata` and `data`; or EventBridge's, `input_path`, or `input_paths` with
    `input_template`. With EventBridge's `data` says no more than the types and units of measures. `rollup` names the
    dimensions of a rollup, or of several in a list of lists; or says that there are none, or the usual ones.
    """

    unless: ClassVar[dict[str, tuple[str, ...]]] = dict.fromkeys(
        ("metadata", "data"), ("input_path", "input_paths", "input_template")
    )

    bus: Annotated[str, msgspec.Meta(min_length=1, max_length=256)] = "default"
    pattern: dict[str, Any]
    metadata: dict[str, FieldSpec] = {}
    data: dict[str, FieldSpec] = {}
    input_path: str | None = None
    input_paths: dict[str, str] = {}
    input_template: str | None = None
    rollup: bool | list[str | list[str]] = True
    description: str | None = None

    @property
    def rollups(self) -> tuple[tuple[str, ...], ...]:
        """
        Return the dimensions of each of the metric's rollups.

        Where the file does not name them: one without dimensions, and one for each of the first that are declared.
        """
        if isinstance(self.rollup, bool):
            own = [name for name in self.metadata if name != "event_id" and not name.startswith(RESERVED_PREFIX)]
            return ((), *((name,) for name in own[: MAX_ROLLUPS - 1])) if self.rollup else ()
        nested = [tuple(one) for one in self.rollup if isinstance(one, list)]
        return tuple(nested) or (tuple(one for one in self.rollup if isinstance(one, str)),)

    @property
    def as_eventbridge(self) -> bool:
        """
        Tell whether the input is written as EventBridge does.
        """
        return self.input_path is not None or self.input_template is not None or bool(self.input_paths)


class DiskSpec(Spec, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """
    How far the data directory may fill the disk: at most `quota`, leaving `reserve` free. Beyond, callers hear 429.
    """

    quota: Size | None = None
    reserve: Size = "64MB"


class LimitSpec(Spec, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """
    What one ingest key may bring: events and bytes (of bodies, decompressed) a second, each with its burst.

    A burst that is left out is ten seconds' worth; of bytes at least 1,048,576, so that any single event passes.
    """

    events_per_second: Annotated[int, msgspec.Meta(ge=1, le=10**9)] | None = None
    events_burst: Annotated[int, msgspec.Meta(ge=1, le=10**12)] | None = None
    bytes_per_second: Annotated[int, msgspec.Meta(ge=1, le=10**12)] | None = None
    bytes_burst: Annotated[int, msgspec.Meta(ge=1, le=10**15)] | None = None

    def rates(self) -> dict[str, tuple[int, int]]:
        """
        Return (a second, burst) of `events` and of `bytes`, where they are limited.
        """
        found: dict[str, tuple[int, int]] = {}
        if self.events_per_second is not None:
            found["events"] = (self.events_per_second, self.events_burst or 10 * self.events_per_second)
        if self.bytes_per_second is not None:
            burst = self.bytes_burst or max(10 * self.bytes_per_second, MAX_EVENT_BYTES)
            found["bytes"] = (self.bytes_per_second, burst)
        return found


class GatewaySpec(Spec, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """
    The doors: limits of ingest keys, by the key's name (one not named here has none), and how connections are kept.

    `connections` may be open at once; `patience` is for a head, and for each 10,000 bytes of a body or an answer;
    `keep_alive` for the next request.
    """

    limits: dict[str, LimitSpec] = {}
    connections: Annotated[int, msgspec.Meta(ge=1, le=50_000)] = 1000
    patience: Duration = "20s"
    keep_alive: Duration = "75s"


class TenantQuestionsSpec(Spec, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """
    What one tenant's questions may take, where that is something else than what every tenant's may.
    """

    concurrent: Annotated[int, msgspec.Meta(ge=1, le=64)] | None = None
    waiting: Annotated[int, msgspec.Meta(ge=1, le=10_000)] | None = None
    patience: Duration | None = None
    time: Duration | None = None
    memory: Size | None = None
    rows_read: Annotated[int, msgspec.Meta(ge=1, le=10**12)] | None = None


class QuestionsSpec(Spec, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """
    What every tenant's questions may take: so many at once, so many that wait, each for so long.

    And each of them so much time, memory and rows of the store. How many at once is the machine's where it is not said.
    """

    concurrent: Annotated[int, msgspec.Meta(ge=1, le=64)] | None = None
    waiting: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 32
    patience: Duration = "10s"
    time: Duration = "10s"
    memory: Size = "1GB"
    rows_read: Annotated[int, msgspec.Meta(ge=1, le=10**12)] = 200_000_000


class QuerySpec(Spec, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """
    Questions: how much memory the answers may take that are kept, and what tenants' questions may take.
    """

    cache: Size = "64MB"
    limits: QuestionsSpec = QuestionsSpec()
    tenants: dict[str, TenantQuestionsSpec] = {}

    def limits_of(self, tenant: str) -> QuestionsSpec:
        """
        Return what a tenant's questions may take.
        """
        own = self.tenants.get(tenant)
        if own is None:
            return self.limits
        given = {key: value for key, value in msgspec.structs.asdict(own).items() if value is not None}
        return msgspec.structs.replace(self.limits, **given)


class Pipeline(Spec, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """
    The whole pipeline file. `lake`, `journal` and `store.url` lie under the data directory where they are left out.
    """

    tenants: TenantsSpec = TenantsSpec()
    stream: StreamSpec = StreamSpec()
    lake: str | None = None
    journal: str | None = None
    store: StoreSpec = StoreSpec()
    disk: DiskSpec = DiskSpec()
    gateway: GatewaySpec = GatewaySpec()
    query: QuerySpec = QuerySpec()
    metrics: dict[str, MetricSpec] = {}
    destinations: dict[str, DestinationSpec] = {}
    dashboards: dict[str, DashboardSpec] = {}
    embedding: EmbeddingSpec = EmbeddingSpec()
