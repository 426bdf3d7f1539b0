"""
The pipeline file's model, and its reading: typed, with every fault at once and its place in the file.

The model is a tree of frozen structs; its defaults are the documented ones. What this version does not do yet is
refused here and not ignored. Event patterns and paths are compiled by the `rules` stage, which reports its own faults
with the places that `LoadedPipeline.place` knows.
"""

from __future__ import annotations

import difflib
import functools
import hashlib
import re
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, ClassVar, Literal, Union, cast

import msgspec
import yaml

from metriclake._config import MAX_EVENT_BYTES, MAX_ROLLUP_DIMENSIONS, MAX_ROLLUPS, ROLLUP_FROM
from metriclake._errors import Fault, InvalidPipeline
from metriclake.dashboard_specs import DashboardSpec, EmbeddingSpec
from metriclake.dashboard_specs import check as check_dashboards
from metriclake.destination_checks import Fields, check_destination
from metriclake.destination_specs import KINDS, DestinationSpec
from metriclake.event import is_field_name, is_metric_name, is_tenant_id
from metriclake.prefix import DATA_PREFIX, ERROR_PREFIX, layout
from metriclake.spec import Duration, Size, Spec, duration, size
from metriclake.tiers import Stay, Tiers
from metriclake.tokens import is_key_name

Place = tuple[str | int, ...]
"""Where a value stands in the file, as the keys that lead to it."""

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_MAX_DEPTH = 64
_RESERVED_PREFIX = "tenant_"
_SHORTEST, _LONGEST = timedelta(hours=1), timedelta(days=20_000)
_LEAST_MEMORY = 16 * 2**20


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
            own = [name for name in self.metadata if name != "event_id" and not name.startswith(_RESERVED_PREFIX)]
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


@dataclass(frozen=True, slots=True)
class LoadedPipeline:
    """
    A pipeline without faults in its shape, with its version and the place of each of its values.

    `version` is a fingerprint of what the file says, the same on every machine: 52 bits of its SHA-256.
    """

    pipeline: Pipeline
    version: int
    path: Path
    marks: Mapping[Place, str] = field(repr=False, default_factory=dict)

    def place(self, *keys: str | int) -> str:
        """
        Return `file:line:column` of the value at `keys`, or of the nearest part of it that the file has.
        """
        while keys and keys not in self.marks:
            keys = keys[:-1]
        return self.marks.get(keys, str(self.path))

    def resolve(self, path: str) -> Path:
        """
        Return `path` as it was meant: relative to the pipeline file.
        """
        return (self.path.parent / path).resolve()


def json_schema() -> dict[str, Any]:
    """
    Return the JSON Schema of the pipeline file, for editors: what this version reads, and nothing of later ones.
    """
    (schema, *_), parts = msgspec.json.schema_components([Pipeline, *KINDS.values()], ref_template="#/$defs/{name}")
    parts["Pipeline"]["properties"]["destinations"] = _destinations_schema()
    del parts["DestinationSpec"]
    kinds: dict[str, type[Spec]] = {kind.__name__: kind for kind in _kinds(Spec)}
    for name, part in parts.items():
        _without_later(part, kinds[name].later)
    parts["MetricSpec"]["anyOf"] = [
        {"required": ["metadata", "data"]},
        {"required": ["input_path"]},
        {"required": ["input_template"]},
    ]
    parts["FieldSpec"] = {"anyOf": [{"type": "string", "pattern": r"^\$"}, parts["FieldSpec"]]}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "metriclake.yaml",
        **schema,
        "$defs": parts,
    }


def _destinations_schema() -> dict[str, Any]:
    """
    Return the schema of a mapping whose values are of the kind that their `type` says, or else their name.
    """
    kinds = [
        {"required": ["type"], "properties": {"type": {"const": kind}}, "$ref": f"#/$defs/{spec.__name__}"}
        for kind, spec in KINDS.items()
    ]
    named = {
        kind: {"if": {"required": ["type"]}, "then": {"anyOf": kinds}, "else": {"$ref": f"#/$defs/{spec.__name__}"}}
        for kind, spec in KINDS.items()
    }
    return {"type": "object", "properties": named, "additionalProperties": {"anyOf": kinds}, "default": {}}


def _kinds(of: type[Spec]) -> Iterator[type[Spec]]:
    """
    Yield the parts of the model, and the parts that are made of them.
    """
    for kind in of.__subclasses__():
        yield kind
        yield from _kinds(kind)


def _without_later(part: dict[str, Any], later: dict[str, tuple[Any, ...] | None]) -> None:
    for key, values in later.items():
        if values is not None and "enum" in part["properties"].get(key, {}):
            part["properties"][key]["enum"] = [one for one in part["properties"][key]["enum"] if one not in values]


def load(path: Path, environ: Mapping[str, str]) -> LoadedPipeline:
    """
    Read the pipeline file at `path`; `environ` fills `${NAME}`.

    Raises InvalidPipeline with every fault of its text and its model.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        what = error.strerror if isinstance(error, OSError) else "is not UTF-8 text"
        raise InvalidPipeline(
            (Fault(str(path), f"cannot be read: {what}", "`metriclake init` writes a first one"),)
        ) from error
    return parse(text, path, environ)


def parse(text: str, path: Path, environ: Mapping[str, str]) -> LoadedPipeline:
    """
    Read a pipeline file's text; `path` is where it stands, for messages and relative paths.
    """
    document = _Document(path, environ)
    value = document.read(text)
    checked: Pipeline | None = _Checker(document).check(value, Pipeline, ()) if not document.faults else None
    if checked is not None and not document.faults:
        _check_meaning(checked, document)
    if document.faults or checked is None:
        raise InvalidPipeline(tuple(document.faults))
    fingerprint = hashlib.sha256(msgspec.json.encode(value, order="sorted")).digest()
    return LoadedPipeline(checked, int.from_bytes(fingerprint[:8], "big") >> 12, path, document.marks)


class _Document:
    """
    A YAML text as plain values, with the place of each and the faults found on the way.
    """

    def __init__(self, path: Path, environ: Mapping[str, str]) -> None:
        self.path = path
        self.environ = environ
        self.marks: dict[Place, str] = {}
        self.faults: list[Fault] = []

    def read(self, text: str) -> Any:
        try:
            node = yaml.compose(text, Loader=_Loader)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            self.faults.append(Fault(self._mark(mark), f"not YAML: {error.problem or error.context}"))
            return None
        except yaml.YAMLError:
            self.faults.append(Fault(str(self.path), "not YAML: it holds a character that YAML does not allow"))
            return None
        except RecursionError:
            self.faults.append(Fault(str(self.path), f"nested deeper than {_MAX_DEPTH} levels"))
            return None
        return {} if node is None else self._value(node, ())

    def fault(self, place: Place, what: str, hint: str = "") -> None:
        keys = place
        while keys and keys not in self.marks:
            keys = keys[:-1]
        self.faults.append(Fault(self.marks.get(keys, str(self.path)), what, hint))

    def _mark(self, mark: yaml.Mark | None) -> str:
        return str(self.path) if mark is None else f"{self.path}:{mark.line + 1}:{mark.column + 1}"

    def _value(self, node: yaml.Node, place: Place) -> Any:
        self.marks[place] = self._mark(node.start_mark)
        if len(place) > _MAX_DEPTH:
            self.faults.append(Fault(self.marks[place], f"nested deeper than {_MAX_DEPTH} levels"))
            return None
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, place)
        if isinstance(node, yaml.SequenceNode):
            return [self._value(item, (*place, index)) for index, item in enumerate(node.value)]
        return self._scalar(node, place)

    def _mapping(self, node: yaml.MappingNode, place: Place) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = key_node.value if isinstance(key_node, yaml.ScalarNode) else None
            mark = self._mark(key_node.start_mark)
            if key is None:
                self.faults.append(Fault(mark, "a key must be plain text"))
                continue
            if key in values:
                self.faults.append(Fault(mark, f"the key `{key}` stands here a second time", "keep one of the two"))
            values[key] = self._value(value_node, (*place, key))
            self.marks[(*place, key)] = mark
        return values

    def _scalar(self, node: yaml.Node, place: Place) -> Any:
        try:
            value = _Loader("").construct_object(node)
        except (yaml.YAMLError, ValueError):
            self.faults.append(Fault(self._mark(node.start_mark), f"not a value of its tag {node.tag}"))
            return None
        return _VARIABLE.sub(lambda match: self._variable(match[1], place), value) if isinstance(value, str) else value

    def _variable(self, name: str, place: Place) -> str:
        if name not in self.environ:
            self.faults.append(
                Fault(self.marks[place], f"the environment variable `{name}` is not set", f"set {name} and try again")
            )
        return self.environ.get(name, "")


class _Loader(yaml.SafeLoader):
    """
    YAML's safe types without dates: `2026-01-01` is text here, as it is in an event.
    """

    yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith(":timestamp")]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


@functools.cache
def _fields(kind: type[Spec]) -> list[tuple[msgspec.structs.FieldInfo, Any]]:
    """
    Return the fields of a part, each with its type; a file may have thousands of parts of one kind.
    """
    hints = typing.get_type_hints(kind, include_extras=True)
    return [(entry, hints[entry.name]) for entry in msgspec.structs.fields(kind)]


class _Checker:
    """
    Check plain values against the model, collecting every fault instead of stopping at the first.
    """

    def __init__(self, document: _Document) -> None:
        self.document = document

    def check(self, value: Any, kind: Any, place: Place) -> Any:
        if kind is DestinationSpec:
            return self._destination(value, place)
        if isinstance(kind, type) and issubclass(kind, Spec):
            return self._struct(value, kind, place)
        origin = typing.get_origin(kind)
        if origin in (Union, UnionType) and NoneType in typing.get_args(kind):
            rest = tuple(option for option in typing.get_args(kind) if option is not NoneType)
            return None if value is None else self.check(value, Union[rest], place)  # noqa: UP007 - of a tuple
        if origin is dict and typing.get_args(kind)[1] is not Any:
            return self._dict(value, typing.get_args(kind)[1], place)
        if origin is list and isinstance(typing.get_args(kind)[0], type) and issubclass(typing.get_args(kind)[0], Spec):
            return self._list(value, typing.get_args(kind)[0], place)
        return self._leaf(value, kind, place)

    def _struct(self, value: Any, kind: type[Spec], place: Place) -> Any:
        if kind.shorthand and isinstance(value, str):
            value = {kind.shorthand: value}
        if value is None and place:
            value = {}
        if not isinstance(value, dict):
            self.document.fault(place, f"must be a mapping, not {_kind(value)}")
            return None
        names = {entry.name: hint for entry, hint in _fields(kind)}
        self._unknown_keys(value, kind, list(names), place)
        self._missing_keys(value, kind, place)
        given = {key: self.check(item, names[key], (*place, key)) for key, item in value.items() if key in names}
        self._later_values(given, kind, place)
        return kind(**given) if not self.document.faults else None

    def _destination(self, value: Any, place: Place) -> Any:
        """
        Check a destination by the model of its kind: its `type`, or its name.
        """
        given = value.get("type") if isinstance(value, dict) else None
        kind = place[-1] if given is None else given
        if not isinstance(kind, str) or kind not in KINDS:
            where = (*place, "type") if given is not None else place
            near = difflib.get_close_matches(str(kind), KINDS, n=1)
            hint = f"did you mean `{near[0]}`?" if near else f"`type` is one of: {', '.join(KINDS)}"
            self.document.fault(where, "is no kind of destination", hint)
            return None
        return self._struct(value, KINDS[kind], place)

    def _unknown_keys(self, value: dict[str, Any], kind: type[Spec], names: list[str], place: Place) -> None:
        for key in value:
            if key in names:
                continue
            if key in kind.later:
                self.document.fault((*place, key), f"`{key}` is not in this version of metriclake yet")
                continue
            near = difflib.get_close_matches(key, names, n=1)
            hint = f"did you mean `{near[0]}`?" if near else f"known are: {', '.join(names)}"
            self.document.fault((*place, key), f"unknown key `{key}`", hint)

    def _missing_keys(self, value: dict[str, Any], kind: type[Spec], place: Place) -> None:
        for entry, _ in _fields(kind):
            others = kind.unless.get(entry.name, ())
            needed = entry.required or (others and not any(value.get(other) for other in others))
            if needed and entry.name not in value:
                self.document.fault(place, f"the key `{entry.name}` is missing", f"add `{entry.name}:` here")

    def _later_values(self, given: dict[str, Any], kind: type[Spec], place: Place) -> None:
        for key, values in kind.later.items():
            if values is not None and given.get(key) in values:
                self.document.fault((*place, key), f"`{key}: {given[key]}` is not in this version of metriclake yet")

    def _dict(self, value: Any, kind: Any, place: Place) -> Any:
        if value is None:
            return {}
        if not isinstance(value, dict):
            self.document.fault(place, f"must be a mapping, not {_kind(value)}")
            return None
        return {key: self.check(item, kind, (*place, key)) for key, item in value.items()}

    def _list(self, value: Any, kind: Any, place: Place) -> Any:
        if value is None:
            return []
        if not isinstance(value, list):
            self.document.fault(place, f"must be a list, not {_kind(value)}")
            return None
        return [self.check(item, kind, (*place, index)) for index, item in enumerate(value)]

    def _leaf(self, value: Any, kind: Any, place: Place) -> Any:
        try:
            return msgspec.convert(value, kind)
        except msgspec.ValidationError as error:
            self.document.fault(place, _plain(str(error), kind))
            return None


def _plain(message: str, kind: Any) -> str:
    """
    Put a validation message into the file's words: no value of the file is repeated.
    """
    options = typing.get_args(kind) if typing.get_origin(kind) is Literal else ()
    if options:
        return f"must be one of: {', '.join(str(option) for option in options)}"
    if kind is Duration:
        return "must be a duration: a whole number and one of ms, s, m, h, d, w, y, such as `14d`"
    if kind is Size:
        return "must be a size: a whole number and one of KB, MB, GB, TB, such as `50GB`"
    return message.replace("Expected `", "must be `").split(" - at")[0]


def _kind(value: Any) -> str:
    names = {str: "text", bool: "true or false", int: "a number", float: "a number", list: "a list"}
    return "empty" if value is None else names.get(type(value), "a mapping")


def _check_meaning(pipeline: Pipeline, document: _Document) -> None:
    """
    Report what has the right types and still cannot be: names, ranges, and engines of later versions.
    """
    _check_tenants(pipeline.tenants, document)
    for name, metric in pipeline.metrics.items():
        _check_metric(name, metric, document)
    for name, limit in pipeline.gateway.limits.items():
        _check_limit(name, limit, document)
    _check_query(pipeline.query, document)
    for key, value in (("patience", pipeline.gateway.patience), ("keep_alive", pipeline.gateway.keep_alive)):
        if not timedelta(seconds=1) <= duration(value) <= timedelta(hours=1):
            document.fault(("gateway", key), "must be at least 1s and at most 1h")
    declared = {name: _declared(metric) for name, metric in pipeline.metrics.items()}
    for name, destination in pipeline.destinations.items():
        say = functools.partial(_below, document, ("destinations", name))
        check_destination(name, destination, declared, say)
    check_dashboards(pipeline.dashboards, pipeline.embedding, document.fault)
    _check_store(pipeline.store.tiers(), document)
    if duration(pipeline.stream.future) > timedelta(days=1):
        document.fault(("stream", "future"), "must be at most 1d")
    stream = pipeline.stream
    layout(stream.prefix, stream.error_prefix, lambda key, *said: document.fault(("stream", key), *said))
    _check_urls(pipeline, document)


def _below(document: _Document, at: Place, place: Place, what: str, hint: str = "") -> None:
    document.fault((*at, *place), what, hint)


def _declared(metric: MetricSpec) -> Fields:
    """
    Return the fields that a metric's events may have, None where its input decides that.
    """
    if metric.as_eventbridge:
        return None
    parts = (("metadata", metric.metadata), ("data", metric.data))
    return frozenset(f"{part}.{name}" for part, fields in parts for name in fields)


def _check_tenants(tenants: TenantsSpec, document: _Document) -> None:
    for second in tenants.sources[1:]:
        what = f"`{second}` stands beside `{tenants.sources[0]}`: tenants have one source"
        document.fault(("tenants", second), what, "keep one of them")
    if not timedelta(milliseconds=10) <= duration(tenants.timeout) <= timedelta(minutes=1):
        document.fault(("tenants", "timeout"), "must be at least 10ms and at most 1m")


def _check_store(tiers: Tiers, document: _Document) -> None:
    _check_stay(("store",), Stay(tiers.hot, tiers.retention), document)
    parts = (
        ("metrics", tiers.metrics, is_metric_name, "1 to 128 of letters, digits and _ . : -"),
        ("tenants", tiers.tenants, is_tenant_id, "1 to 128 of letters, digits and . _ : @ | + = ~ -, without `..`"),
    )
    for part, stays, is_name, grammar in parts:
        for name, stay in stays.items():
            place: Place = ("store", part, name)
            if not is_name(name):
                document.fault(place, f"`{name}` cannot name a {part[:-1]}", grammar)
            if stay == Stay():
                document.fault(place, "says nothing", "name `hot`, `retention` or both")
            _check_stay(place, stay, document)


def _check_stay(place: Place, stay: Stay, document: _Document) -> None:
    if stay.hot is not None and not _SHORTEST <= stay.hot <= (stay.retention or _LONGEST):
        document.fault((*place, "hot"), "must be at least 1h and at most `retention`")
    if stay.retention is not None and stay.retention < _SHORTEST and stay.hot is None:
        document.fault((*place, "retention"), "must be at least 1h")
    if stay.retention is not None and stay.retention > _LONGEST:
        document.fault((*place, "retention"), "must be at most 20000d", "the engine's calendar ends in 2106")


def _check_urls(pipeline: Pipeline, document: _Document) -> None:
    places: tuple[tuple[Place, str | None, str], ...] = (
        (("lake",), pipeline.lake, "file://"),
        (("journal",), pipeline.journal, "sqlite://"),
        (("store", "url"), pipeline.store.url, "chdb://"),
    )
    for place, url, scheme in places:
        if url is None or (url.startswith(scheme) and len(url) > len(scheme)):
            continue
        if "://" in url and not url.startswith(scheme):
            document.fault(place, f"this version of metriclake reads only {scheme} here", f"such as {scheme}/path")
        else:
            document.fault(place, "must be a URL", f"such as {scheme}/path or {scheme}relative/path")


def _check_limit(name: str, limit: LimitSpec, document: _Document) -> None:
    place: Place = ("gateway", "limits", name)
    if not is_key_name(name):
        document.fault(place, f"`{name}` cannot name an ingest key", "1 to 64 of a-z, 0-9 and -, not starting with -")
    if limit == LimitSpec():
        document.fault(place, "limits nothing", "name events_per_second, bytes_per_second or both")
    for what, rate, burst in (
        ("events", limit.events_per_second, limit.events_burst),
        ("bytes", limit.bytes_per_second, limit.bytes_burst),
    ):
        if burst is not None and rate is None:
            document.fault((*place, f"{what}_burst"), f"needs `{what}_per_second`", "a burst alone limits nothing")


def _check_query(query: QuerySpec, document: _Document) -> None:
    parts: list[tuple[Place, QuestionsSpec | TenantQuestionsSpec]] = [(("query", "limits"), query.limits)]
    for tenant, limits in query.tenants.items():
        parts.append((("query", "tenants", tenant), limits))
        if not is_tenant_id(tenant):
            document.fault(("query", "tenants", tenant), "cannot be a tenant's id")
        if limits == TenantQuestionsSpec():
            document.fault(("query", "tenants", tenant), "limits nothing", "name concurrent, time, memory or another")
    for place, found in parts:
        for key, value in (("patience", found.patience), ("time", found.time)):
            if value is not None and not timedelta(milliseconds=100) <= duration(value) <= timedelta(minutes=10):
                document.fault((*place, key), "must be at least 100ms and at most 10m")
        if found.memory is not None and size(found.memory) < _LEAST_MEMORY:
            document.fault((*place, "memory"), "must be at least 16MB: any question needs some")


def _check_metric(name: str, metric: MetricSpec, document: _Document) -> None:
    place: Place = ("metrics", name)
    if not is_metric_name(name):
        document.fault(place, f"`{name}` cannot name a metric", "1 to 128 of letters, digits and _ . : -")
    _check_rollup((*place, "rollup"), metric, document)
    if metric.as_eventbridge:
        _check_input(place, name, metric, document)
        return
    for part, required in (("metadata", "tenant_id"), ("data", "event_time")):
        fields = cast("dict[str, FieldSpec]", getattr(metric, part))
        if required not in fields:
            document.fault((*place, part), f"the key `{required}` is missing", f"add `{required}: $.detail.…`")
        for key, spec in fields.items():
            if (spec.path is None) == (spec.value is None):
                what = "needs either `path` or `value`"
                document.fault((*place, part, key), what, "a path such as $.detail.size, or a constant")
            _check_field((*place, part, key), key, spec, document)


def _check_rollup(place: Place, metric: MetricSpec, document: _Document) -> None:
    given = metric.rollup
    if isinstance(given, bool):
        return
    if len({type(one) for one in given}) > 1:
        document.fault(place, "is a list of dimensions, or a list of such lists", "such as [severity, region]")
        return
    several = metric.rollups != (tuple(given),)
    if several and len(given) > MAX_ROLLUPS:
        document.fault(place, f"has more than {MAX_ROLLUPS} rollups", "each is built of every event")
    seen: list[set[str]] = []
    for index, dimensions in enumerate(metric.rollups):
        at = (*place, index) if several else place
        if set(dimensions) in seen:
            document.fault(at, "names the dimensions of another rollup again", "leave one of the two out")
        seen.append(set(dimensions))
        if len(dimensions) > MAX_ROLLUP_DIMENSIONS:
            document.fault(at, f"has more than {MAX_ROLLUP_DIMENSIONS} dimensions", "name those that are asked about")
        for position, name in enumerate(dimensions):
            _check_rolled((*at, position), name, dimensions[:position], metric, document)


def _check_rolled(place: Place, name: str, before: tuple[str, ...], metric: MetricSpec, document: _Document) -> None:
    """
    Check a dimension of a rollup: one of the metric's, or an attribute of the tenant.
    """
    if name in before:
        document.fault(place, f"`{name}` stands here a second time", "leave one of the two out")
    elif name in ("tenant_id", "event_id"):
        document.fault(place, f"`{name}` is no dimension that can be asked about", "leave it out")
    elif not is_field_name(name):
        document.fault(place, "cannot name a dimension", "1 to 60 of letters, digits and _ . : -")
    elif not (name in metric.metadata or name.startswith(_RESERVED_PREFIX) or metric.as_eventbridge):
        near = difflib.get_close_matches(name, metric.metadata, n=1)
        hint = f"did you mean `{near[0]}`?" if near else "name one that stands below `metadata`"
        document.fault(place, f"there is no dimension `{name}`", hint)


def _check_input(place: Place, name: str, metric: MetricSpec, document: _Document) -> None:
    if metric.input_path is not None and (metric.input_template is not None or metric.input_paths):
        words = f"Only one of Input, InputPath, or InputTransformer must be provided for target {name}."
        document.fault((*place, "input_path"), words, "keep `input_path`, or `input_paths` and `input_template`")
    elif metric.input_path is None and metric.input_template is None:
        hint = "add `input_template:`, in which <name> stands for the value at a path"
        document.fault((*place, "input_paths"), "`input_paths` needs `input_template`", hint)
    form = "`input_path`" if metric.input_template is None else "`input_template`"
    if metric.metadata:
        document.fault((*place, "metadata"), f"stands beside {form}, which makes it", "keep one of the two")
    for key, spec in metric.data.items():
        at = (*place, "data", key)
        if key == "event_time" or spec.path is not None or spec.value is not None:
            document.fault(at, f"stands beside {form}, which makes it", "only `type` and `unit` may be said here")
        _check_field(at, key, spec, document)


def _check_field(place: Place, key: str, spec: FieldSpec, document: _Document) -> None:
    if spec.path is not None and spec.value is None and not spec.path.startswith("$"):
        document.fault(place, "a path starts with `$.`", "for a constant write {value: …}")
    if not is_field_name(key):
        document.fault(place, f"`{key}` cannot name a dimension or measure", "1 to 60 of letters, digits and _ . : -")
    if place[-2] == "metadata":
        if key.startswith(_RESERVED_PREFIX) and key != "tenant_id":
            document.fault(place, f"`{key}`: names with {_RESERVED_PREFIX} belong to the enrich step", "choose another")
        if spec.type is not None or spec.unit is not None:
            document.fault(place, "a dimension has no `type` or `unit`: it is text", "measures stand below `data`")
    elif key == "event_time" and spec.type is not None:
        document.fault(place, "`event_time` has no `type`: RFC 3339 text or a number since 1970 is read as time")
