"""
Decide what each metric is called: by its metric events' own name, else after its rule; valid, and no name twice.

A metric of the pipeline file has one rule. Rules of one bus that make the same metric in the same way become one, with
their patterns below `$or`. Others that claim a name that is taken get another, and that is said.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import replace

from metriclake.event import is_metric_name
from metriclake.importing.carrying import Metric
from metriclake.importing.mapping import InputTemplate, with_name
from metriclake.importing.template import NotCarried

_INVALID = re.compile(r"[^A-Za-z0-9_.:-]")
_MOST = 128
_SUFFIX = 6
_OR = "$or"


def named(metrics: Iterable[Metric], note: Callable[[NotCarried], None]) -> list[Metric]:
    """
    Return metrics with names of their own, in their order.
    """
    together = _together(metrics)
    taken: set[str] = set()
    kept = {id(metric): _unused(metric.name, taken) for metric in together if metric.is_named}
    found = []
    for metric in together:
        name = kept.get(id(metric)) or _unused(metric.name, taken)
        if metric.is_named and name != metric.name:
            metric = _renamed(metric, name, note)  # noqa: PLW2901 - the same metric under its final name
        found.append(replace(metric, name=name))
    return found


def _together(metrics: Iterable[Metric]) -> list[Metric]:
    """
    Put rules together that make the same metric in the same way.
    """
    found: list[Metric] = []
    for metric in metrics:
        index = next((at for at, other in enumerate(found) if _is_same(metric, other)), None)
        if index is None:
            found.append(metric)
            continue
        first = found[index]
        patterns = [first.pattern] if set(first.pattern) != {_OR} else first.pattern[_OR]
        about = (*first.about, *metric.about)
        found[index] = replace(first, pattern={_OR: [*patterns, metric.pattern]}, about=about)
    return found


def _is_same(metric: Metric, other: Metric) -> bool:
    named_alike = metric.is_named and other.is_named and metric.name == other.name
    return named_alike and (metric.bus, metric.mapped) == (other.bus, other.mapped)


def _renamed(metric: Metric, name: str, note: Callable[[NotCarried], None]) -> Metric:
    """
    Return a metric whose own name cannot be kept, its template under the new one.
    """
    why = (
        "another rule makes it, and a metric has one rule" if is_metric_name(metric.name) else "it cannot name a metric"
    )
    note(NotCarried(metric.resource, metric.line, "metric_name", f"{why}: this one is named {name}"))
    if not isinstance(metric.mapped, InputTemplate):
        return metric
    template = with_name(metric.mapped.template, name)
    return metric if template is None else replace(metric, mapped=InputTemplate(metric.mapped.paths, template))


def _unused(wanted: str, taken: set[str]) -> str:
    """
    Return a valid name that is not taken, as near to the wanted one as can be, and take it.
    """
    valid = _INVALID.sub("_", wanted)[:_MOST]
    if not is_metric_name(valid):
        valid = f"_{valid}"[:_MOST]
    name, number = valid, 1
    while name in taken:
        number += 1
        name = f"{valid[: _MOST - _SUFFIX]}_{number}"
    taken.add(name)
    return name
