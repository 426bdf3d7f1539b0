"""
Dashboards as the pipeline file has them: their questions are checked with it, and follow its changes.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from metriclake._errors import InvalidPipeline
from metriclake.app import configure
from metriclake.query.question import AGGREGATES

PIPELINE = """
metrics:
  findings:
    pattern: {source: [findings]}
    metadata: {tenant_id: $.detail.tenant_id, severity: $.detail.severity}
    data: {event_time: $.detail.at, cost: $.detail.cost}
dashboards:
  security:
    filters: [FILTER]
    tiles:
      - {metric: METRIC, group_by: [severity]}
      - {metric: findings, measure: cost, aggregate: AGGREGATE}
"""


def written(folder: Path, **parts: str) -> Path:
    """
    Write a pipeline file whose dashboard has these parts.
    """
    text = PIPELINE
    for name, usual in (("FILTER", "severity"), ("METRIC", "findings"), ("AGGREGATE", "sum")):
        text = text.replace(name, parts.get(name.lower(), usual))
    path = folder / "metriclake.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_dashboard_without_faults(tmp_path: Path) -> None:
    """
    What can be asked is configured.
    """
    loaded = configure(written(tmp_path), {}).loaded

    assert [tile.metric for tile in loaded.pipeline.dashboards["security"].tiles] == ["findings", "findings"]


def test_faults_of_its_questions_stand_beside_all_others(tmp_path: Path) -> None:
    """
    Each fault of a tile's question has the line of the key that is wrong, and the nearest name.
    """
    path = written(tmp_path, filter="severty", metric="finding", aggregate="mean")
    with pytest.raises(InvalidPipeline) as refused:
        configure(path, {})

    assert [str(fault).removeprefix(str(path)) for fault in refused.value.faults] == [
        ":11:10: there is no metric `finding` (did you mean `findings`?)",
        f":12:43: must be one of: {', '.join(AGGREGATES)}",
    ]


def test_a_filter_that_no_tile_has(tmp_path: Path) -> None:
    """
    A dimension by which nothing could be filtered is a fault.
    """
    with pytest.raises(InvalidPipeline, match="did you mean `severity`"):
        configure(written(tmp_path, filter="severty"), {})
