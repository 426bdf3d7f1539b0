"""
Decide what a Firehose delivery stream becomes as the pipeline file's `stream`.

What Firehose does by default is written out, where the pipeline file's default is another: a lake that was laid out by
Firehose goes on in the same layout.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from metriclake.importing.intrinsics import Resolver
from metriclake.importing.node import Node, Number, Reference, Unresolved, parts_of
from metriclake.importing.template import NotCarried, Template
from metriclake.prefix import layout

DELIVERY_STREAM = "AWS::KinesisFirehose::DeliveryStream"

_SECONDS = 300
_MEGABYTES = 5
_AT_ONCE = 5
"""Seconds that Firehose takes about when its interval is 0."""

_COMPRESSIONS = {"UNCOMPRESSED": "none", "GZIP": "gzip", "ZIP": "zip", "SNAPPY": "snappy"}
_DESTINATIONS = ("ExtendedS3DestinationConfiguration", "S3DestinationConfiguration")
_PREFIXES = {"prefix": "Prefix", "error_prefix": "ErrorOutputPrefix"}
_PARTITIONED = re.compile(r"[^/]*!\{partitionKeyFrom(?:Query|Lambda):[^}]*\}[^/]*/?")

_REASONS = {
    "KinesisStreamSourceConfiguration": "events come in by metriclake's doors, not from a Kinesis stream",
    "MSKSourceConfiguration": "events come in by metriclake's doors, not from Kafka",
    "DatabaseSourceConfiguration": "events come in by metriclake's doors, not from a database",
    "DeliveryStreamEncryptionConfigurationInput": "metriclake does not encrypt what waits: use an encrypted disk",
}
_S3_REASONS = {
    "BucketARN": "the lake is a folder: name it with `lake`, or leave it in the data directory",
    "EncryptionConfiguration": "metriclake does not encrypt the lake: use an encrypted disk",
    "S3BackupConfiguration": "the lake's Archive/ keeps every domain event anyway",
    "DataFormatConversionConfiguration": "lake objects are NDJSON, not Parquet or ORC",
    "DynamicPartitioningConfiguration": "there is no dynamic partitioning: tenants are apart in the store",
    "FileExtension": "an object's extension follows from its compression",
}
_PROCESSORS = {
    "MetadataExtraction": "there is no dynamic partitioning: tenants are apart in the store",
    "RecordDeAggregation": "one record is one event",
    "Decompression": "the doors read gzip and zstd bodies by themselves",
    "CloudWatchLogProcessing": "events come in by metriclake's doors, not from CloudWatch Logs",
}
_TENANTS = (
    "its code cannot be seen; metriclake's enrich step adds tenants' attributes: name their source with `tenants`"
)


@dataclass(frozen=True, slots=True)
class Stream:
    """
    A delivery stream's settings, as the keys of the pipeline file's `stream`.

    `notes` says of a key what its comment has to say; `enriched` names the functions that work on its records.
    """

    resource: str
    line: int
    seconds: Number
    megabytes: Number
    compression: str | None
    prefix: str | None
    error_prefix: str | None
    notes: dict[str, str]
    enriched: tuple[str, ...]

    @property
    def settings(self) -> tuple[str, ...]:
        """
        Return what two delivery streams have to have in common to be the same here.
        """
        texts = (self.compression, self.prefix, self.error_prefix)
        return (self.seconds.text, self.megabytes.text, *(text or "" for text in texts))


def stream_of(resource: str, resolver: Resolver, note: Callable[[NotCarried], None]) -> Stream | None:
    """
    Return what a delivery stream becomes; None where it does not deliver to S3.
    """
    return _Reader(resource, resolver, note).stream()


class _Reader:
    """
    One delivery stream while it is read.
    """

    def __init__(self, resource: str, resolver: Resolver, note: Callable[[NotCarried], None]) -> None:
        self._resource = resource
        self._resolver = resolver
        self._report = note
        self._whole = resolver.resolve(resolver.template.properties(resource))
        self._notes: dict[str, str] = {}
        self._enriched: list[str] = []

    def stream(self) -> Stream | None:
        self._list(self._whole, _REASONS)
        for key, node in self._whole.items():
            if key.endswith("DestinationConfiguration") and key not in _DESTINATIONS:
                self._note(node.line, key, "metriclake loads a time-series store of its own from its lake")
        s3 = next((found for key in _DESTINATIONS if (found := self._whole.get(key)) is not None), None)
        if s3 is None:
            if not any(key.endswith("DestinationConfiguration") for key, _ in self._whole.items()):
                self._note(self._whole.line, DELIVERY_STREAM, "it has no S3 destination")
            return None
        self._list(s3, _S3_REASONS)
        self._zone(s3)
        processing = s3.get("ProcessingConfiguration")
        if processing is not None and not _off(processing):
            for processor in _elements(processing.get("Processors")):
                self._processor(processor)
        seconds, megabytes = self._buffer(s3.get("BufferingHints") or Node(None, s3.line))
        prefix, error_prefix = self._prefixes(s3)
        compression = self._compression(s3.get("CompressionFormat"))
        line = self._resolver.template.resources[self._resource].line
        return Stream(
            self._resource, line, seconds, megabytes, compression, prefix, error_prefix, self._notes,
            tuple(self._enriched),
        )  # fmt: skip

    def _note(self, line: int, what: str, reason: str) -> None:
        self._report(NotCarried(self._resource, line, what, reason))

    def _list(self, node: Node, reasons: dict[str, str]) -> None:
        """
        Report the keys that have no counterpart.
        """
        for key, below in node.items():
            if key in reasons and not _off(below):
                self._note(below.line, key, reasons[key])

    def _zone(self, s3: Node) -> None:
        zone = s3.get("CustomTimeZone")
        if zone is not None and zone.value not in ("UTC", "Etc/UTC"):
            self._note(zone.line, "CustomTimeZone", "the times in prefixes are UTC")

    def _processor(self, node: Node) -> None:
        named = node.get("Type")
        type_ = named.value if named is not None and isinstance(named.value, str) else ""
        if type_ == "Lambda":
            name = self._function(node)
            self._enriched.append(name)
            self._note(node.line, f"Processor Lambda {name}", _TENANTS)
        elif type_ != "AppendDelimiterToRecord":
            self._note(node.line, f"Processor {type_}", _PROCESSORS.get(type_, "it is not one that is known here"))

    def _function(self, processor: Node) -> str:
        """
        Return the name of a processor's function, as far as it is known.
        """
        for parameter in _elements(processor.get("Parameters")):
            name, value = parameter.get("ParameterName"), parameter.get("ParameterValue")
            if name is not None and name.value == "LambdaArn" and value is not None:
                return function_name(value, self._resolver.template)
        return "(unnamed)"

    def _buffer(self, hints: Node) -> tuple[Number, Number]:
        seconds = self._number(hints, "IntervalInSeconds", _SECONDS, 900)
        if seconds.value == 0:
            seconds = Number(str(_AT_ONCE))
            self._notes["buffer"] = f"0 seconds in the template: Firehose delivers after about {_AT_ONCE} then"
        return seconds, self._number(hints, "SizeInMBs", _MEGABYTES, 128)

    def _number(self, hints: Node, key: str, default: int, most: int) -> Number:
        node = hints.get(key)
        kept = Number(str(default))
        if node is None:
            said = self._notes.get("buffer", "")
            unit = "megabytes are" if most == 128 else "seconds are"
            self._notes["buffer"] = f"{said}{', ' if said else ''}{default} {unit} Firehose's own default"
            return kept
        try:
            text = self._resolver.text(node)
        except Unresolved as unresolved:
            self._note(unresolved.line, f"BufferingHints.{key}", f"{unresolved.reason}; {default} was written")
            return kept
        if not text.isdecimal() or len(text) > 4 or not (key != "IntervalInSeconds") <= int(text) <= most:
            self._note(
                node.line, f"BufferingHints.{key}", f"is not a number of Firehose's range; {default} was written"
            )
            return kept
        return Number(str(int(text)))

    def _compression(self, node: Node | None) -> str | None:
        if node is None:
            self._notes["compression"] = "Firehose's own default"
            return "none"
        try:
            text = self._resolver.text(node)
        except Unresolved as unresolved:
            self._note(unresolved.line, "CompressionFormat", unresolved.reason)
            return None
        if text.upper() not in _COMPRESSIONS:
            self._note(
                node.line, "CompressionFormat", "metriclake writes zstd, gzip, snappy, zip or none; zstd was left"
            )
        return _COMPRESSIONS.get(text.upper())

    def _prefixes(self, s3: Node) -> tuple[str | None, str | None]:
        """
        Return both prefixes, each None where it cannot be had: then the pipeline file's own default holds.
        """
        kept = {key: self._prefix(s3, name) for key, name in _PREFIXES.items()}
        while True:
            if kept["prefix"] is None and kept["error_prefix"] == "":
                kept["error_prefix"] = None
            faults = _prefix_faults(kept)
            if not faults:
                return kept["prefix"], kept["error_prefix"]
            key = next((key for key in faults if kept[key] is not None), None)
            key = key or next(key for key in kept if kept[key] is not None)
            node = s3.get(_PREFIXES[key]) or s3
            self._note(node.line, _PREFIXES[key], f"{next(iter(faults.values()))}; the default was left")
            kept[key] = None

    def _prefix(self, s3: Node, key: str) -> str | None:
        node = s3.get(key)
        if node is None:
            return ""
        try:
            text = self._resolver.text(node)
        except Unresolved as unresolved:
            self._note(unresolved.line, key, unresolved.reason)
            return None
        kept = _PARTITIONED.sub("", text)
        if kept != text:
            self._note(node.line, key, "there is no dynamic partitioning: folders of partition keys were taken out")
        return kept


def function_name(node: Node, template: Template) -> str:
    """
    Return what a function is called, from its ARN or a reference to it: for people.
    """
    for part in parts_of(node):
        if isinstance(part, Reference):
            return template.label(part.resource)
        if isinstance(part, str) and ":function:" in part:
            name = part.partition(":function:")[2].partition(":")[0]
            if name:
                return name
    return "(not known)"


def _elements(node: Node | None) -> list[Node]:
    return [] if node is None else list(node.elements())


def _off(node: Node) -> bool:
    enabled = node.get("Enabled")
    return enabled is not None and enabled.value in (False, "false")


def _prefix_faults(kept: Mapping[str, str | None]) -> dict[str, str]:
    """
    Return what is wrong with two prefixes, by key; one that is None has its default.
    """
    faults: dict[str, str] = {}

    def keep(key: str, what: str, _hint: str) -> None:
        faults.setdefault(key, what)

    layout(**{key: text for key, text in kept.items() if text is not None}, report=keep)
    return faults
