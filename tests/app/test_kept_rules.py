"""
A batch that was sealed by an earlier pipeline file is finished by that file's rules, whatever the environment says now.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from metriclake._errors import InvalidPipeline
from metriclake.app import configure
from metriclake.plans import plan_of_text

PIPELINE = """
tenants: {unknown: "${UNKNOWN}"}
stream: {future: 1h}
store: {hot: 1d, retention: "${RETENTION}", metrics: {jobs: {retention: 7d}}, tenants: {acme: {hot: 2d}}}
lake: file:///${SECRET}
metrics:
  jobs:
    bus: "${BUS}"
    pattern: {source: ["${SOURCE}", "täglich 😀", "2026-01-01", "1e3"], detail: {n: [{numeric: [">", 1.5e+8]}]}}
    metadata: {tenant_id: $.detail.tenant_id, kind: {value: "${KIND}"}}
    data: {event_time: $.time, seconds: {path: $.detail.seconds, type: integer}}
  templated:
    bus: "${BUS}"
    pattern: {source: ["${SOURCE}", "täglich 😀", "2026-01-01", "1e3"]}
    input_paths: {tenant: $.detail.tenant_id, n: $.detail.n}
    input_template: |
      {"metadata": {"tenant_id": <tenant>, "kind": "${KIND} of <tenant>"},
       "data": {"event_time": "2026-01-01", "n": <n>}}
    data: {n: {unit: s}}
  inside:
    bus: "${BUS}"
    pattern: {source: ["${SOURCE}", "täglich 😀", "2026-01-01", "1e3"]}
    input_path: $.detail.metric
"""
ENVIRON = {"UNKNOWN": "accept", "RETENTION": "30d", "BUS": "b", "SOURCE": "s: #1", "KIND": "k\x7f", "SECRET": "hush"}


def test_kept_rules_are_the_rules_that_were_in_force(tmp_path: Path) -> None:
    """
    What is kept with a sealed batch compiles without the environment to the same rules in their order; no URL is in it.
    """
    path = tmp_path / "metriclake.yaml"
    path.write_text(PIPELINE, encoding="utf-8")
    configured = configure(path, ENVIRON)

    again = plan_of_text(configured.text, configured.plan.version)

    assert "hush" not in configured.text
    assert (again.tiers, again.future, again.types) == (
        configured.plan.tiers,
        configured.plan.future,
        configured.plan.types,
    )
    for source in ("s: #1", "täglich 😀", "2026-01-01", "1e3", "other"):
        event = {
            "bus": "b", "source": source, "detail-type": "t",
            "detail": {"tenant_id": "acme", "n": 2e8, "seconds": 1, "metric": {"metadata": {"tenant_id": "acme"}}},
        }  # fmt: skip
        found = [
            [rule.transform.apply(event) for rule in plan.rules.matching(event)] for plan in (again, configured.plan)
        ]
        assert found[0] == found[1]
        assert len(found[0]) == (0 if source == "other" else 3)


@pytest.mark.parametrize("name", sorted(ENVIRON))
def test_every_variable_is_needed(tmp_path: Path, name: str) -> None:
    """
    The test above is about variables: each of its file's is refused where it is not set.
    """
    path = tmp_path / "metriclake.yaml"
    path.write_text(PIPELINE, encoding="utf-8")
    with pytest.raises(InvalidPipeline, match=name):
        configure(path, {key: value for key, value in ENVIRON.items() if key != name})
