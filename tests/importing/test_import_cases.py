"""
Whole templates, each with the pipeline file that becomes of it, and with what could not be carried over.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml

from metriclake._errors import Fault
from metriclake.app import configure
from metriclake.importing import Imported, Wishes, import_template
from metriclake.plans import faults_of

FOLDERS = sorted((Path(__file__).parents[1] / "cases" / "cloudformation").iterdir())
TEMPLATES = ("template.yaml", "template.json", "serverless.yml")
LEFT = {"the key `tenant_id` is missing", "the key `event_time` is missing"}


def check(text: str) -> Sequence[Fault]:
    """
    Check a pipeline file's text as `metriclake check` does.
    """
    return faults_of(text, Path("metriclake.yaml"))


def imported(folder: Path, wishes: Wishes | None = None) -> Imported:
    """
    Import the template of a case.
    """
    template = next(path for name in TEMPLATES if (path := folder / name).exists())
    return import_template(template.read_text("utf-8"), template.name, wishes or Wishes({}), check)


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_pipeline_file(folder: Path) -> None:
    """
    A template becomes this pipeline file, to the letter.
    """
    assert imported(folder).text == (folder / "metriclake.yaml").read_text("utf-8")


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_what_is_not_carried_over(folder: Path) -> None:
    """
    What could not be carried over is listed in the template's order, each with its line, its resource and its reason.
    """
    notes = [f"{note.line}: {note.resource}: {note.what}: {note.reason}" for note in imported(folder).not_carried]

    assert notes == (folder / "not_carried.txt").read_text("utf-8").splitlines()


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_check_accepts_it_or_names_what_is_left(folder: Path) -> None:
    """
    What is written has no fault but the mappings that are to be written by hand; without those metrics it has none.
    """
    found = imported(folder)

    assert {fault.what for fault in check(found.text)} == (LEFT if found.unfinished else set())
    assert check(imported(folder, Wishes({}, skip_unfinished=True)).text or "") == ()


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_data_are_the_files(folder: Path) -> None:
    """
    The pipeline as data is what the file says, and can be written as JSON.
    """
    found = imported(folder)

    assert yaml.safe_load(found.text) == found.pipeline
    assert json.loads(json.dumps(found.pipeline)) == found.pipeline
    assert tuple(found.pipeline.get("metrics", {})) == found.metrics


def test_unfinished_metrics_can_be_left_out() -> None:
    """
    Metrics without a mapping are left out on demand, and stay in the list of what was not carried over.
    """
    folder = next(folder for folder in FOLDERS if folder.name == "unfinished")

    found = imported(folder, Wishes({}, skip_unfinished=True))

    assert found.metrics == ("BesideAFinishedOne",)
    assert found.not_carried == imported(folder).not_carried
    assert found.unfinished == ()


def test_parameters_decide() -> None:
    """
    Parameters from the command line fill what the template leaves open, and decide its conditions.
    """
    folder = next(folder for folder in FOLDERS if folder.name == "intrinsics")
    given = {
        "Stage": "prod",
        "Team": "theirs",
        "AWS::AccountId": "123456789012",
        "Account": "210987654321",
        "bus-prod": "b",
    }

    metrics = imported(folder, Wishes(given)).pipeline["metrics"]

    assert list(metrics) == ["OfProd", "PerhapsOurs", "OfAnAccount", "OfAStore", "OfAnotherStack"]
    assert metrics["OfAnAccount"]["pattern"] == {"account": ["123456789012"]}
    assert metrics["OfAStore"]["pattern"] == {"account": ["210987654321"]}
    assert metrics["OfAnotherStack"]["bus"] == "b"


def test_a_template_of_cdk_makes_the_articles_metric_event(tmp_path: Path) -> None:
    """
    What is kept as a template makes the metric event of EventBridge's: the rule matches, and its input is rendered.
    """
    folder = next(folder for folder in FOLDERS if folder.name == "article-json")
    (tmp_path / "metriclake.yaml").write_text(imported(folder).text, encoding="utf-8")
    detail = {"size": 301, "tenant_id": "acme", "event_id": "e-1", "created_at": "2026-01-31T12:00:00Z", "new": 3}
    event = {"source": "findings", "detail-type": "findings-uploaded", "bus": "findings-service-bus", "detail": detail}

    rules = configure(tmp_path / "metriclake.yaml", {}).plan.rules
    (rule,) = rules.matching(event)

    assert rule.name == "findings_upload_completed"
    assert rule.transform.apply(event) == (
        {"tenant_id": "acme", "event_id": "e-1", "kind": "upload"},
        {"event_time": "2026-01-31T12:00:00Z", "new_findings_count": 3},
    )
    assert list(rules.matching({**event, "detail": {**detail, "size": 300}})) == []


def test_the_documented_example() -> None:
    """
    The template in docs/import.md becomes the pipeline file in docs/import.md.
    """
    page = (Path(__file__).parents[2] / "docs" / "import.md").read_text("utf-8")
    template, expected = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)

    found = import_template(template, "template.yaml", Wishes({"Stage": "prod"}), check)

    assert found.text == expected
    assert [f"template.yaml:{note.line}: {note.resource}: {note.what}" for note in found.not_carried] == re.findall(
        r"^(template\.yaml:\d+: \w+: \w+)", page, re.MULTILINE
    )
