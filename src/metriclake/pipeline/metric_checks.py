"""
What has the right types in a metric's part of the pipeline file, and still cannot be.

Patterns, paths and templates are compiled by the `rules` stage, which reports its own faults.
"""

from __future__ import annotations

import difflib
from typing import cast

from metriclake._config import MAX_ROLLUP_DIMENSIONS, MAX_ROLLUPS
from metriclake.event import is_field_name, is_metric_name
from metriclake.pipeline.destination_checks import Fields
from metriclake.pipeline.document import Document, Place
from metriclake.pipeline.model import RESERVED_PREFIX, FieldSpec, MetricSpec


def check_metric(name: str, metric: MetricSpec, document: Document) -> None:
    """
    Report what cannot be of one metric: its name, its fields or its input, and its rollups.
    """
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


def declared_fields(metric: MetricSpec) -> Fields:
    """
    Return the fields that a metric's events may have, None where its input decides that.
    """
    if metric.as_eventbridge:
        return None
    parts = (("metadata", metric.metadata), ("data", metric.data))
    return frozenset(f"{part}.{name}" for part, fields in parts for name in fields)


def _check_rollup(place: Place, metric: MetricSpec, document: Document) -> None:
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


def _check_rolled(place: Place, name: str, before: tuple[str, ...], metric: MetricSpec, document: Document) -> None:
    """
    Check a dimension of a rollup: one of the metric's, or an attribute of the tenant.
    """
    if name in before:
        document.fault(place, f"`{name}` stands here a second time", "leave one of the two out")
    elif name in ("tenant_id", "event_id"):
        document.fault(place, f"`{name}` is no dimension that can be asked about", "leave it out")
    elif not is_field_name(name):
        document.fault(place, "cannot name a dimension", "1 to 60 of letters, digits and _ . : -")
    elif not (name in metric.metadata or name.startswith(RESERVED_PREFIX) or metric.as_eventbridge):
        near = difflib.get_close_matches(name, metric.metadata, n=1)
        hint = f"did you mean `{near[0]}`?" if near else "name one that stands below `metadata`"
        document.fault(place, f"there is no dimension `{name}`", hint)


def _check_input(place: Place, name: str, metric: MetricSpec, document: Document) -> None:
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


def _check_field(place: Place, key: str, spec: FieldSpec, document: Document) -> None:
    if spec.path is not None and spec.value is None and not spec.path.startswith("$"):
        document.fault(place, "a path starts with `$.`", "for a constant write {value: …}")
    if not is_field_name(key):
        document.fault(place, f"`{key}` cannot name a dimension or measure", "1 to 60 of letters, digits and _ . : -")
    if place[-2] == "metadata":
        if key.startswith(RESERVED_PREFIX) and key != "tenant_id":
            document.fault(place, f"`{key}`: names with {RESERVED_PREFIX} belong to the enrich step", "choose another")
        if spec.type is not None or spec.unit is not None:
            document.fault(place, "a dimension has no `type` or `unit`: it is text", "measures stand below `data`")
    elif key == "event_time" and spec.type is not None:
        document.fault(place, "`event_time` has no `type`: RFC 3339 text or a number since 1970 is read as time")
