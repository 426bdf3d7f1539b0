"""
Find what a metric's input does not do as it seems to: values that are never there, and text that ends its quotes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from metriclake.rules.envelope import PATH_KEYS, TEXTS, unknown_key
from metriclake.rules.inputs import compile_template
from metriclake.rules.jsonpath import Every, Step, parse_path
from metriclake.rules.metric_input import InputSource
from metriclake.rules.pattern_traps import Leaf, Way, ways
from metriclake.rules.template import INGESTION_TIME, RESERVED, Placeholder, Quoting, Template
from metriclake.rules.transform import FieldSource
from metriclake.rules.trap import Trap

_OBJECTS: dict[tuple[Step, ...], str] = {
    (): "the whole event",
    ("detail",): "an object",
    ("resources",): "an array",
    ("cloudevent",): "an object",
}
_WHOLE = frozenset({"aws.events.event", "aws.events.event.json"})
_IDENTITY = (("metadata", "event_id"), ("data", "event_time"))
_Keys = tuple[str | int, ...]


class Metric(InputSource, Protocol):
    """
    A metric as the pipeline file writes it.
    """

    @property
    def bus(self) -> str:
        """
        The bus that its rule listens to.
        """

    @property
    def pattern(self) -> Mapping[str, Any]:
        """
        Its rule's event pattern.
        """

    @property
    def metadata(self) -> Mapping[str, FieldSource]:
        """
        The dimensions of the short form.
        """

    @property
    def data(self) -> Mapping[str, FieldSource]:
        """
        The measures of the short form.
        """


def input_traps(name: str, metric: Metric) -> Iterator[Trap]:
    """
    Yield the traps of the input of a metric that compiles.
    """
    absent = _always_absent(ways(metric.pattern))
    if metric.input_template is not None:
        template = compile_template(metric.input_paths, metric.input_template, name)
        whole = _whole_parts(template)
        for variable, path in metric.input_paths.items():
            yield from _path_traps(path, ("input_paths", variable), {} if variable in whole else absent)
        yield from _template_traps(template, metric.input_paths)
    elif metric.input_path is not None:
        yield from _path_traps(metric.input_path, ("input_path",), {})
    else:
        for part, fields in (("metadata", metric.metadata), ("data", metric.data)):
            for field, source in fields.items():
                yield from _field_traps((part, field), source, absent)
        yield from _both(set(metric.metadata), set(metric.data), ("data",))


def _always_absent(found: list[Way]) -> dict[str, Leaf]:
    """
    Return the paths at which no matching event has a single value but null, by a leaf that says so.

    An object may be there: to a pattern that is as good as nothing.
    """
    first, *others = found
    return {path: leaf for path, leaf in first.items() if all(_is_absent(way.get(path)) for way in (first, *others))}


def _is_absent(leaf: Leaf | None) -> bool:
    return leaf is not None and all(value is None or value == {"exists": False} for value in leaf.values)


def _whole_parts(template: Template) -> set[str]:
    """
    Return the variables that stand for all of `metadata` or `data`, and so for an object.
    """
    values = (template.shape[part] for part in ("metadata", "data"))
    return {one.name for value in values if isinstance(value, str) for one in template.placeholders_in(value)}


def _field_traps(field: tuple[str, str], source: FieldSource, absent: Mapping[str, Leaf]) -> Iterator[Trap]:
    """
    Yield the traps of one field of the short form.
    """
    if source.path is None:
        if field in _IDENTITY:
            yield _constant(field, field)
        return
    yield from _path_traps(source.path, field, absent)
    steps = parse_path(source.path, ".".join(field))
    if steps in _OBJECTS:
        what = f"`{source.path}` is {_OBJECTS[steps]}, and a field takes a single value: every event is refused"
        yield Trap("takes-an-object", field, what, "name a key below it")


def _constant(field: tuple[str, str], keys: _Keys) -> Trap:
    part, name = field
    if name == "event_time":
        what = "`event_time` is the same for every event: all of them lie at one moment"
        return Trap("constant-time", keys, what, "take it from the event, such as $.time")
    what = f"`{part}.{name}` is the same for every event: those of a tenant at the same moment are taken for one"
    return Trap("constant-identity", keys, what, "take it from the event, or leave it out: the event's own id is taken")


def _path_traps(path: str, keys: _Keys, absent: Mapping[str, Leaf]) -> Iterator[Trap]:
    """
    Yield why a path never leads to a value.
    """
    steps = parse_path(path, ".".join(map(str, keys)), wildcards=True)
    top = steps[0] if steps else "detail"
    if not isinstance(top, str):
        return
    if top not in PATH_KEYS:
        what = f"no event has a top-level key `{top}`: the value is always missing"
        yield Trap("never-there", keys, what, unknown_key(top, PATH_KEYS))
    elif len(steps) > 1 and (top in TEXTS or top == "bus"):
        what = f"`{top}` holds a text, and nothing lies below it: the value is always missing"
        yield Trap("never-there", keys, what, f"take `$.{top}`, or what lies below `$.detail`")
    elif (leaf := absent.get(_dotted(steps))) is not None:
        what = f"the pattern lets only events through that have no value at `{leaf.path}`: the field is never filled"
        yield Trap("never-there", keys, what, "leave one of the two out")


def _dotted(steps: tuple[Step, ...]) -> str:
    return ".".join(step for step in steps if isinstance(step, str)) if Every.EVERY not in steps else ""


def _template_traps(template: Template, paths: Mapping[str, str]) -> Iterator[Trap]:
    used = {one.name for one in template.placeholders}
    for name in paths:
        if name not in used:
            what = f"the template never names <{name}>"
            yield Trap("unused-variable", ("input_paths", name), what, "name it, or leave it out")
    for one in template.placeholders:
        if one.quoting is Quoting.QUOTED:
            yield from _quoted(one, template, paths)
    yield from _shape_traps(template, paths)


def _quoted(one: Placeholder, template: Template, paths: Mapping[str, str]) -> Iterator[Trap]:
    """
    Yield the trap of a placeholder in quotes whose value may end them.
    """
    place = f"<{one.name}> in quotes ({template.place(one.at)} of the template)"
    if one.name in _WHOLE:
        yield Trap("quoted", ("input_template",), f"{place} is an object: every event fails", "leave the quotes out")
    elif one.name not in RESERVED and paths[one.name] != "$.time":
        what = (
            f"{place} is not escaped: an event whose value has a quote or a backslash, or is an object, fails and goes"
            " to Error/transform-failed"
        )
        alone = template.text[one.at - 1 : one.at + len(one.name) + 3] == f'"<{one.name}>"'
        instead = f"write <{one.name}> without quotes" if alone else "be sure of the value, or give it a field alone"
        yield Trap("quoted", ("input_template",), what, instead)


def _shape_traps(template: Template, paths: Mapping[str, str]) -> Iterator[Trap]:
    """
    Yield what the JSON of a template has too much, and which of its fields are not what they seem.
    """
    keys = ("input_template",)
    for name in template.shape:
        if name not in {"metric_name", "metadata", "data"}:
            what = f"the template's `{name}` is not read: a metric event has `metric_name`, `metadata` and `data`"
            yield Trap("not-read", keys, what, "put it below `metadata` or `data`")
    parts = {part: fields for part in ("metadata", "data") if isinstance(fields := template.shape[part], dict)}
    for part, fields in parts.items():
        for name, value in fields.items():
            yield from _made_field((part, name), value, template, paths)
    yield from _both(set(parts.get("metadata", ())), set(parts.get("data", ())), keys)


def _made_field(field: tuple[str, str], value: Any, template: Template, paths: Mapping[str, str]) -> Iterator[Trap]:
    """
    Yield the traps of one field that a template makes.
    """
    keys = ("input_template",)
    inside = template.placeholders_in(value) if isinstance(value, str) else ()
    if not inside and field in _IDENTITY:
        yield _constant(field, keys)
    if isinstance(value, dict | list):
        what = f"the template's `{'.'.join(field)}` is no single value: every event is refused"
        yield Trap("takes-an-object", keys, what, "give each value a field of its own")
    for one in inside:
        if one.name == INGESTION_TIME:
            what = f"`{'.'.join(field)}` is the arrival's time: an event that is sent again counts as a conflict"
            yield Trap("arrival-in-payload", keys, what, "take what the event brings, such as $.time")
        elif one.quoting is Quoting.VALUE and (kind := _kind(one.name, paths)):
            what = f"<{one.name}> is {kind}, and `{'.'.join(field)}` takes a single value: every event is refused"
            yield Trap("takes-an-object", keys, what, "name a key below it, or an index")


def _kind(variable: str, paths: Mapping[str, str]) -> str:
    """
    Return what a variable always is, if that is no single value.
    """
    if variable not in paths:
        return "an object" if variable in _WHOLE else ""
    steps = parse_path(paths[variable], variable, wildcards=True)
    return "a list" if Every.EVERY in steps else _OBJECTS.get(steps, "")


def _both(metadata: set[str], data: set[str], keys: _Keys) -> Iterator[Trap]:
    """
    Yield the fields that are a dimension and a measure.
    """
    for name in sorted(metadata & data):
        where = keys if keys == ("input_template",) else (*keys, name)
        what = f"`{name}` is a dimension and a measure: every event that has both is refused"
        yield Trap("dimension-and-measure", where, what, "rename one of them")
