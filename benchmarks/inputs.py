"""
What it costs to make a metric event of a domain event: the short form, and the template of the same fields.

    python benchmarks/inputs.py
"""

from __future__ import annotations

import json
import timeit
from collections.abc import Callable
from typing import Any

from metriclake.pipeline import FieldSpec, MetricSpec
from metriclake.rules import Input, MetricInput, Transform

TIMES = 50_000
TRIES = 15
DETAIL = {
    "tenant_id": "acme", "event_id": "5f0e-77", "severity": "high", "created_at": "2026-01-31T11:00:00Z",
    "new_findings_count": 3, "existing_findings_count": 17, "scanner": {"name": "trivy", "rules": [1, 2, 3]},
    "repository": "acme/webshop", "branch": "main", "commit": "0a787ecb4015", "findings": ["CVE-1", "CVE-2"],
}  # fmt: skip
EVENT: dict[str, Any] = {
    "version": "0", "id": "e-1", "source": "findings", "detail-type": "findings-uploaded", "account": "111122223333",
    "time": "2026-01-31T11:00:00Z", "region": "eu-west-1", "resources": [], "detail": DETAIL,
}  # fmt: skip
METADATA = ("tenant_id", "event_id", "severity")
DATA = {"event_time": "created_at", "new": "new_findings_count", "existing": "existing_findings_count"}


def main() -> None:
    """
    Print the best time of each, in microseconds an event.
    """
    metadata = {name: FieldSpec(path=f"$.detail.{name}") for name in METADATA}
    data = {name: FieldSpec(path=f"$.detail.{key}") for name, key in DATA.items()}
    short = Transform.compile({**metadata, "env": FieldSpec(value="prod")}, data)
    parts: dict[str, dict[str, str]] = {
        "metadata": {name: f"<{name}>" for name in METADATA},
        "data": {name: f"<{key}>" for name, key in DATA.items()},
    }
    template = json.dumps(parts).replace('"<', "<").replace('>"', ">").replace("}, ", ', "env": "prod"}, ', 1)
    paths = {name: f"$.detail.{name}" for name in (*METADATA, *DATA.values())}
    spec = MetricSpec(pattern={}, input_paths=paths, input_template=template)
    metric = MetricInput.read("uploads", "default", spec, ())
    text = Input.compile(input_paths=paths, input_template=template)
    if short.apply(EVENT) != metric.apply(EVENT):
        raise SystemExit("the two forms differ")

    print(f"an event of {len(json.dumps(EVENT, separators=(',', ':')))} bytes, 7 fields")
    print(f"short form            {measured(lambda: short.apply(EVENT)):6.2f} us")
    print(f"template, as a metric {measured(lambda: metric.apply(EVENT)):6.2f} us")
    print(f"template, as text     {measured(lambda: text.render(EVENT)):6.2f} us")


def measured(work: Callable[[], Any]) -> float:
    """
    Return the best time of some work, in microseconds.
    """
    return min(timeit.repeat(work, number=TIMES, repeat=TRIES)) / TIMES * 1e6


if __name__ == "__main__":
    main()
