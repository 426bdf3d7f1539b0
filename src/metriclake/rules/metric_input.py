"""
Decide what metric event a rule's input makes: one that is written as EventBridge does, not in the short form.

`input_path` leads to an object that is a metric event already; `input_paths` and `input_template` make one. Its
`metric_name` may be left out, and may not be another's: a metric of the pipeline file is made by its own rule alone.

A value in the template's quotes that would end them is refused, also where valid JSON would be left: what an event
holds must not be able to write `tenant_id`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Protocol, final

import msgspec

from metriclake._errors import Fault, InvalidTransform, TransformFailed
from metriclake.event import is_field_name, json_kind
from metriclake.rules.inputs import compile_path, compile_template, value_at
from metriclake.rules.template import INGESTION_TIME, Quoting, Template, Variables
from metriclake.rules.transform import Transform

_DECODER = msgspec.json.Decoder()
_PARTS = {"metadata": "tenant_id", "data": "event_time"}
_IDENTITY = (("metadata", "event_id"), ("data", "event_time"))


class InputSource(Protocol):
    """
    A metric's input as the pipeline file gives it: a path, or paths by name with a template.
    """

    @property
    def input_path(self) -> str | None:
        """
        The path to a metric event inside the event.
        """

    @property
    def input_paths(self) -> Mapping[str, str]:
        """
        The paths that the template may name.
        """

    @property
    def input_template(self) -> str | None:
        """
        The template of a metric event.
        """


_Record = Callable[[Any, int], Any]


@final
class MetricInput(Transform):
    """
    A compiled input of a metric.
    """

    __slots__ = ("_metric", "_record", "measures")

    def __init__(self, metric: str, record: _Record, measures: tuple[str, ...]) -> None:
        self._metric = metric
        self._record = record
        self.measures = measures

    @classmethod
    def read(cls, metric: str, bus: str, source: InputSource, declared: Collection[str]) -> MetricInput:
        """
        Compile the input of a metric; `declared` are the measures whose type or unit the pipeline file says.

        Raises:
            InvalidTransform: The input is refused, by EventBridge or because it cannot make this metric.

        """
        if source.input_path is not None:
            find = compile_path(source.input_path)
            return cls(metric, lambda event, _arrived_at: value_at(find, event), tuple(declared))
        template = compile_template(source.input_paths, source.input_template, metric)
        faults = tuple(_faults(template, metric, declared))
        if faults:
            raise InvalidTransform(faults)
        fields = template.shape["data"]
        measures = fields if isinstance(fields, dict) else declared
        names = tuple(name for name in measures if name != "event_time")
        return cls(metric, _rendered(template, Variables(metric, rule_arn(metric, bus))), names)

    def apply(self, event: Mapping[str, Any], arrived_at: int = 0) -> tuple[Any, Any]:
        """
        Return (metadata, data) of the metric event that an event makes.
        """
        record = self._record(event, arrived_at)
        if not isinstance(record, dict):
            raise TransformFailed(f"the input must make an object, and has made: {json_kind(record)}")
        if record.get("metric_name") not in (None, "", self._metric):
            raise TransformFailed("the input's `metric_name` is not this metric's: leave it out, or make it the same")
        return record.get("metadata"), record.get("data")


def rule_arn(metric: str, bus: str) -> str:
    """
    Return the name of a metric's rule in AWS's spelling; this is no account's, and no region's.
    """
    return f"arn:aws:events:us-east-1:000000000000:rule/{metric if bus == 'default' else f'{bus}/{metric}'}"


def _rendered(template: Template, variables: Variables) -> _Record:
    """
    Return what renders the template and reads it as a metric event.
    """
    timed = any(one.name == INGESTION_TIME for one in template.placeholders)

    def record(event: Any, arrived_at: int) -> Any:
        known = variables
        if timed:
            known = Variables(variables.rule_name, variables.rule_arn, _iso8601(arrived_at))
        text = template.render(event, known, guarded=True)
        try:
            made = _DECODER.decode(text)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise TransformFailed(f"the template makes no JSON of this event: {error}") from error
        for part in _PARTS:
            made[part] = _without_missing(made[part])
        return made

    return record


def _without_missing(part: Any) -> Any:
    """
    Leave out the fields whose values are missing in the event: a template has written empty text for them.
    """
    if not isinstance(part, dict):
        return part
    return {name: value for name, value in part.items() if value is not None and value != ""}


def _iso8601(microseconds: int) -> str:
    return datetime.fromtimestamp(microseconds // 1_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _faults(template: Template, metric: str, declared: Collection[str]) -> Iterator[Fault]:
    """
    Yield what keeps a template from making this metric of any event.
    """
    shape = template.shape
    if not isinstance(shape, dict):
        hint = 'begin it with {, as in {"metadata": {"tenant_id": <t>}, "data": {"event_time": <time>}}'
        yield Fault("input_template", "a metric's template makes a JSON object", hint)
        return
    name = shape.get("metric_name", metric)
    if name != metric and not (isinstance(name, str) and template.placeholders_in(name)):
        hint = "leave `metric_name` out, or make it the same"
        yield Fault("input_template", f"the template names another metric than `{metric}`", hint)
    for part, required in _PARTS.items():
        yield from _part_faults(template, part, required)
    fields = shape.get("data")
    if isinstance(fields, dict):
        for measure in declared:
            if measure not in fields:
                yield Fault(f"data.{measure}", f"the template makes no `{measure}`", "add it below its `data`")


def _part_faults(template: Template, part: str, required: str) -> Iterator[Fault]:
    fields = template.shape.get(part)
    if isinstance(fields, str) and any(one.quoting is Quoting.VALUE for one in template.placeholders_in(fields)):
        return
    if not isinstance(fields, dict):
        hint = f'add "{part}": {{"{required}": <…>}}'
        yield Fault("input_template", f"the template makes no object `{part}`", hint)
        return
    if required not in fields:
        yield Fault("input_template", f"the template's `{part}` has no `{required}`", f'add "{required}": <…>')
    for name, value in fields.items():
        if not is_field_name(name) or (part == "metadata" and name.startswith("tenant_") and name != "tenant_id"):
            yield Fault("input_template", f"`{name}` cannot name a field of `{part}`", _NAMES)
        inside = template.placeholders_in(value) if isinstance(value, str) else ()
        if (part, name) in _IDENTITY and any(one.name == INGESTION_TIME for one in inside):
            what = f"`{part}.{name}` is the arrival's time: an event that is sent again would count again"
            yield Fault("input_template", what, "take what the event brings, such as $.time or $.id")


_NAMES = "1 to 60 of letters, digits and _ . : -; names with tenant_ belong to the enrich step"
