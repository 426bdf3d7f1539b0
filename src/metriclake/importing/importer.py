"""
Make a pipeline file of a template, and the list of what could not be carried over.

Pure: the text, the parameters and the check of a pipeline file are arguments. What `check` refuses is not written.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from metriclake._errors import Fault, InvalidTemplate
from metriclake.importing.carrying import Carrier, Metric, unwritable
from metriclake.importing.declarations import declared_rules, resources_of
from metriclake.importing.firehose import DELIVERY_STREAM, Stream, stream_of
from metriclake.importing.intrinsics import Resolver
from metriclake.importing.limits import Budget
from metriclake.importing.mapping import InputPath, InputTemplate, Path, ShortForm, Source
from metriclake.importing.naming import named
from metriclake.importing.node import Number
from metriclake.importing.reading import is_serverless, read
from metriclake.importing.template import NotCarried, template_of
from metriclake.importing.timestream import TABLE, Retention, retention_of
from metriclake.importing.variables import Variables
from metriclake.importing.writing import Commented, written

Check = Callable[[str], Sequence[Fault]]
"""Returns what is wrong with a pipeline file's text, as `metriclake check` says it."""

_STAND_IN = ShortForm({"tenant_id": Path("$.detail.tenant_id")}, {"event_time": Path("$.time")})
"""A mapping for the check of a metric that has none yet."""


@dataclass(frozen=True, slots=True)
class Imported:
    """
    A pipeline file, as text and as data; its metrics, those without a mapping, and what could not be carried over.
    """

    text: str
    pipeline: dict[str, Any]
    metrics: tuple[str, ...]
    unfinished: tuple[str, ...]
    not_carried: tuple[NotCarried, ...]


@dataclass(frozen=True, slots=True)
class Wishes:
    """
    What the caller wants: values of parameters by name, and whether metrics without a mapping are left out.
    """

    parameters: Mapping[str, str]
    skip_unfinished: bool = False


@dataclass(frozen=True, slots=True)
class _Settings:
    """
    What a template says beside its rules.
    """

    stream: Stream | None = None
    retention: Retention | None = None


def import_template(text: str, name: str, wishes: Wishes, check: Check) -> Imported:
    """
    Return what becomes of a template's text; `name` is its file's, for messages.

    Raises:
        InvalidTemplate: The text is no template, or a parameter was given that nothing in it asks for.

    """
    root = read(text, name)
    if not isinstance(root.value, dict):
        raise InvalidTemplate((Fault(name, "is no template: it has no sections"),))
    notes: list[NotCarried] = []
    budget = Budget(name)
    given = wishes.parameters
    variables = Variables(root, given, budget.take, active=is_serverless(root))
    template = template_of(root, name, variables, notes.append)
    resolver = Resolver(template, given, variables, budget)
    carrier = Carrier(resolver, notes.append)
    metrics = [metric for rule in declared_rules(resolver, notes.append) for metric in carrier.carry(rule)]
    kept = [metric for metric in named(metrics, notes.append) if _is_kept(metric, wishes, check, notes.append)]
    settings = _Settings(
        _stream(resolver, kept, check, notes.append),
        retention_of(resources_of(TABLE, resolver), resolver, notes.append),
    )
    _check_given(given, {*template.parameters, *resolver.asked, *variables.asked}, name)
    document, comments = _document(settings, kept, name)
    order = {id(note): position for position, note in enumerate(notes)}
    return Imported(
        written(document, comments) if document else "",
        _plain(document),
        tuple(metric.name for metric in kept),
        tuple(metric.name for metric in kept if metric.mapped is None),
        tuple(sorted(notes, key=lambda note: (note.line, order[id(note)]))),
    )


def _is_kept(metric: Metric, wishes: Wishes, check: Check, note: Callable[[NotCarried], None]) -> bool:
    """
    Tell whether a metric is written; say why not, or what is left to write by hand.
    """
    why = unwritable(metric)
    if not why:
        tried = metric if metric.mapped is not None else replace(metric, mapped=_STAND_IN)
        why = _faults(check, *_document(_Settings(), [tried], ""))
    if why:
        note(NotCarried(metric.resource, metric.line, f"metric {metric.name}", why))
        return False
    for left in metric.left:
        note(left)
    return metric.mapped is not None or not wishes.skip_unfinished


def _faults(check: Check, document: dict[str, Any], comments: Commented) -> str:
    return "; ".join(fault.what for fault in check(written(document, comments)))


def _stream(
    resolver: Resolver, metrics: Sequence[Metric], check: Check, note: Callable[[NotCarried], None]
) -> Stream | None:
    """
    Return the settings of the delivery stream that takes the metrics; the file has one, other streams are reported.
    """
    names = resources_of(DELIVERY_STREAM, resolver)
    found = [stream for name in names if (stream := stream_of(name, resolver, note)) is not None]
    wanted = [metric.stream for metric in metrics if metric.stream is not None]
    chosen = next((stream for name in wanted for stream in found if stream.resource == name), next(iter(found), None))
    for stream in found:
        if chosen is not None and stream.settings != chosen.settings:
            why = f"a pipeline file has one `stream`: it has the settings of {chosen.resource}"
            note(NotCarried(stream.resource, stream.line, DELIVERY_STREAM, why))
    if chosen is not None and (why := _faults(check, *_document(_Settings(chosen), [], ""))):
        note(NotCarried(chosen.resource, chosen.line, DELIVERY_STREAM, why))
        return None
    return chosen


def _check_given(given: Mapping[str, str], asked: set[str], name: str) -> None:
    hint = f"it asks for {', '.join(sorted(asked)) or 'nothing'}"
    faults = [
        Fault(name, f"--parameter {key}: nothing in the template asks for it", hint)
        for key in given
        if key not in asked and not key.startswith("AWS::")
    ]
    if faults:
        raise InvalidTemplate(tuple(faults))


def _document(settings: _Settings, metrics: Sequence[Metric], name: str) -> tuple[dict[str, Any], Commented]:
    """
    Return the pipeline file's sections, and their comments.
    """
    document: dict[str, Any] = {}
    comments = Commented()
    comments.above[()] = (
        f"Imported from {name.rpartition('/')[2]} by `metriclake import cloudformation`.",
        "`metriclake check` says what is left to do.",
    )
    stream, retention = settings.stream, settings.retention
    if stream is not None:
        document["stream"] = _stream_keys(stream)
        comments.above["stream",] = _stream_comment(stream)
        comments.behind.update({("stream", key): note for key, note in stream.notes.items()})
    if retention is not None:
        document["store"] = retention.keys
        comments.above["store",] = (f"The retention of {retention.resource} (line {retention.line}).",)
    if metrics:
        document["metrics"] = {metric.name: _metric_keys(metric) for metric in metrics}
    for metric in metrics:
        first = next(iter(document["metrics"][metric.name]))
        comments.above["metrics", metric.name, first] = metric.about
    return document, comments


def _stream_keys(stream: Stream) -> dict[str, Any]:
    keys = {
        "buffer": {"seconds": stream.seconds, "megabytes": stream.megabytes},
        "compression": stream.compression,
        "prefix": stream.prefix,
        "error_prefix": stream.error_prefix,
    }
    return {key: value for key, value in keys.items() if value is not None}


def _stream_comment(stream: Stream) -> tuple[str, ...]:
    said = [f"The delivery stream {stream.resource} (line {stream.line})."]
    if stream.enriched:
        functions = " and ".join(stream.enriched)
        said.append(
            f"Its records are worked on by the function {functions}. Here, the enrich step asks `tenants` for the"
            " attributes of each record's tenant: name their source."
        )
    return tuple(said)


def _metric_keys(metric: Metric) -> dict[str, Any]:
    keys: dict[str, Any] = {"description": metric.description, "bus": metric.bus, "pattern": metric.pattern}
    mapped = metric.mapped
    if isinstance(mapped, InputPath):
        keys["input_path"] = mapped.path
    elif isinstance(mapped, InputTemplate):
        keys |= {"input_paths": dict(mapped.paths) or None, "input_template": mapped.template}
    elif isinstance(mapped, ShortForm):
        keys |= {"metadata": _fields(mapped.metadata), "data": _fields(mapped.data)}
    else:
        keys |= {"metadata": {}, "data": {}}
    return {key: value for key, value in keys.items() if value is not None}


def _fields(sources: Mapping[str, Source]) -> dict[str, Any]:
    return {name: source.path if isinstance(source, Path) else {"value": source} for name, source in sources.items()}


def _plain(value: Any) -> Any:
    """
    Return data as JSON has it.
    """
    if isinstance(value, Number):
        return value.value
    if isinstance(value, dict):
        return {key: _plain(below) for key, below in value.items()}
    return [_plain(element) for element in value] if isinstance(value, list) else value
