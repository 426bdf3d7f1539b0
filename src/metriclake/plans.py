"""
Compile what a pipeline file says to the stream: when the file is read, and again from the text that is kept of it.

`python -m metriclake.plans` is the process that composes batches beside a server.
"""

from __future__ import annotations

import gc
import hashlib
import os
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import yaml

from metriclake._errors import Fault, InvalidPattern, InvalidPipeline, InvalidTransform
from metriclake.pipeline import LoadedPipeline, MetricSpec, parse
from metriclake.pipeline.spec import duration
from metriclake.prefix import layout
from metriclake.rules import MetricInput, Pattern, Rule, RuleSet, Transform
from metriclake.stream import SUFFIXES, Plan, serve

COMPOSER = (sys.executable, "-m", "metriclake.plans")
"""The command of the process that composes batches."""

_OFTEN = 50_000
_NICE = 5
"""Where there are too few cores, the doors and the questions go before the composing process."""


def kept_text(loaded: LoadedPipeline) -> str:
    """
    Return what the stream needs of a pipeline file, as such a file, with its `${NAME}` filled.

    It is kept with the batches that are sealed by it. No URL and no destination is in it, so that no secret is.
    """
    whole = msgspec.to_builtins(loaded.pipeline)
    kept = {
        "tenants": {name: whole["tenants"][name] for name in ("unknown", "unavailable")},
        "stream": whole["stream"],
        "store": {name: value for name, value in whole["store"].items() if name != "url"},
        "metrics": whole["metrics"],
    }
    return yaml.safe_dump(kept, allow_unicode=True, sort_keys=False)


def kept_rule(text: str, metric: str) -> Any:
    """
    Return what `kept_text` has kept of a metric's rule, None where it has none; what it leaves open is not in it.
    """
    spec = parse(text, Path("metriclake.yaml"), _Unset()).pipeline.metrics.get(metric)
    return None if spec is None else {key: value for key, value in msgspec.to_builtins(spec).items() if value}


def plan_of_text(text: str, version: int) -> Plan:
    """
    Compile what `kept_text` has kept of a version.
    """
    return replace(plan(parse(text, Path("metriclake.yaml"), _Unset()), []), version=version)


def plan_of_edited(text: str) -> Plan:
    """
    Compile what `kept_text` has made of an edited file; raises InvalidPipeline with its faults.
    """
    faults: list[Fault] = []
    made = plan(parse(text, Path("metriclake.yaml"), _Unset()), faults)
    if faults:
        raise InvalidPipeline(tuple(faults))
    return made


def faults_of(text: str, path: Path) -> tuple[Fault, ...]:
    """
    Return what is wrong with a pipeline file's text that stands, or will stand, at `path`; no `${NAME}` is filled.
    """
    faults: list[Fault] = []
    try:
        plan(parse(text, path, {}), faults)
    except InvalidPipeline as error:
        return error.faults
    return tuple(faults)


def plan(loaded: LoadedPipeline, faults: list[Fault]) -> Plan:
    """
    Compile a pipeline file's rules; what is wrong with them is added to the faults.
    """
    pipeline = loaded.pipeline
    rules = [_rule(loaded, name, faults) for name in pipeline.metrics]
    return Plan(
        version=loaded.version,
        rules=RuleSet(rule for rule in rules if rule is not None),
        tiers=pipeline.store.tiers(),
        future=_micros(duration(pipeline.stream.future)),
        suffix=SUFFIXES[pipeline.stream.compression],
        types={
            name: {measure: spec.type for measure, spec in metric.data.items() if spec.type is not None}
            for name, metric in pipeline.metrics.items()
        },
        accept_unknown=pipeline.tenants.unknown == "accept",
        layout=layout(pipeline.stream.prefix, pipeline.stream.error_prefix),
        wait=pipeline.tenants.unavailable == "wait",
        fingerprints={name: _fingerprint(name, metric) for name, metric in pipeline.metrics.items()},
    )


def _fingerprint(name: str, metric: MetricSpec) -> str:
    """
    Return what stands for a metric's rule: 64 bits of the SHA-256 of what the file says of it, its description aside.
    """
    said = msgspec.json.encode((name, msgspec.structs.replace(metric, description=None)), order="sorted")
    return hashlib.sha256(said).hexdigest()[:16]


def _rule(loaded: LoadedPipeline, name: str, faults: list[Fault]) -> Rule | None:
    metric = loaded.pipeline.metrics[name]
    found = len(faults)
    pattern: Pattern | None = None
    transform: Transform | None = None
    try:
        pattern = Pattern.compile(metric.pattern)
    except InvalidPattern as error:
        what, _, hint = str(error).partition("\n")
        faults.append(Fault(loaded.place("metrics", name, "pattern"), what, hint))
    try:
        if metric.as_eventbridge:
            transform = MetricInput.read(name, metric.bus, metric, metric.data)
        else:
            transform = Transform.compile(metric.metadata, metric.data)
    except InvalidTransform as error:
        faults += (
            Fault(loaded.place("metrics", name, *fault.place.split(".", 1)), fault.what, fault.hint)
            for fault in error.faults
        )
    if len(faults) > found or pattern is None or transform is None:
        return None
    return Rule(name, metric.bus, pattern, transform)


def _micros(length: timedelta) -> int:
    return length // timedelta(microseconds=1)


class _Unset(dict[str, str]):
    """
    The environment of a kept pipeline file, whose variables were filled before it was kept: there are none.
    """

    def __contains__(self, _name: object) -> bool:
        return True


def main() -> None:
    """
    Compose for the server at the other end of the socket whose number is given.
    """
    os.nice(_NICE)
    gc.collect()
    gc.freeze()
    gc.set_threshold(_OFTEN, 20, 20)
    serve(int(sys.argv[1]), plan_of_text)


if __name__ == "__main__":
    main()
