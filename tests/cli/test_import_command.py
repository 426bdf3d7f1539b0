"""
`metriclake import cloudformation`: what it prints and writes, its exit codes, and the article's rule as it runs.
"""

from __future__ import annotations

import gzip
import json
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner, Result

from app.server import Running
from crash.process import Process
from metriclake.cli import main
from metriclake.importing import MOST_BYTES

CASES = Path(__file__).parents[1] / "cases" / "cloudformation"
ARTICLE = CASES / "article" / "template.yaml"
NOTHING = "Resources: {Nightly: {Type: AWS::Scheduler::Schedule}}\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """
    Work in an empty folder.
    """
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments: str, code: int = 0, stdin: str | None = None) -> Result:
    """
    Run the command in this process; it must end with `code`.
    """
    result = CliRunner().invoke(main, ("import", "cloudformation", *arguments), input=stdin)
    assert result.exit_code == code, result.output
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result


def test_file_goes_to_standard_output_and_the_report_to_standard_error(folder: Path) -> None:
    """
    What is printed is the pipeline file and nothing else; what was not carried over is said beside it, with its place.
    """
    assert folder.is_dir()
    result = run(str(ARTICLE))

    assert result.stdout == (CASES / "article" / "metriclake.yaml").read_text("utf-8")
    assert f"{ARTICLE}:55: AnalyticsStream: BucketARN: " in result.stderr
    assert result.stderr.splitlines()[-1] == "1 metric; 2 not carried over"


def test_file_is_written_once(folder: Path) -> None:
    """
    `--out` writes a file that `check` accepts, and writes over one only with `--force`.
    """
    said = run(str(ARTICLE), "--out", "metriclake.yaml")
    assert said.stdout == "wrote metriclake.yaml\n"
    assert CliRunner().invoke(main, ["check"]).exit_code == 0

    (folder / "metriclake.yaml").write_text("mine", encoding="utf-8")
    assert "--force" in run(str(ARTICLE), "--out", "metriclake.yaml", code=1).stderr
    assert (folder / "metriclake.yaml").read_text("utf-8") == "mine"

    assert "cannot be written" in run(str(ARTICLE), "--out", "missing/metriclake.yaml", code=1).stderr

    run(str(ARTICLE), "--out", "metriclake.yaml", "--force")
    assert "findings_upload_completed" in (folder / "metriclake.yaml").read_text("utf-8")


def test_what_is_left_to_write_is_named_by_check(folder: Path) -> None:
    """
    A metric without a mapping is said, and `check` names what is missing; --skip-unfinished leaves it out.
    """
    template = str(CASES / "sam" / "template.yaml")
    said = run(template, "--out", "metriclake.yaml").stderr
    checked = CliRunner().invoke(main, ["check"])

    assert "3 metrics, 2 of them without a mapping: `metriclake check` names what is missing" in said
    assert checked.exit_code == 1
    assert checked.stderr.count("the key `tenant_id` is missing") == 2

    assert "1 metric; " in run(template, "--skip-unfinished", "--out", str(folder / "other.yaml")).stderr
    assert CliRunner().invoke(main, ["check", "other.yaml"]).exit_code == 0


def test_json_has_the_pipeline_and_what_was_not_carried(folder: Path) -> None:
    """
    `--json` prints both as data, also beside a file that is written.
    """
    found = json.loads(run(str(CASES / "sam" / "template.yaml"), "--json", "--out", "x.yaml").stdout)

    assert (folder / "x.yaml").exists()
    assert found["pipeline"]["metrics"]["CountOrdersShipped"] == {
        "bus": "orders",
        "pattern": {"detail-type": ["OrderShipped"]},
        "metadata": {"tenant_id": "$.detail.tenant"},
        "data": {"event_time": "$.time", "orders": {"value": 1}},
    }
    assert found["unfinished"] == ["order-created", "CountOrdersLegacy"]
    assert found["not_carried"][2] == {
        "resource": "CountOrders.Disabled",
        "line": 36,
        "what": "State",
        "reason": "the rule is disabled",
    }


def test_nothing_carried_is_a_failure(folder: Path) -> None:
    """
    Where nothing was carried the exit code is 1, the reasons are said, and no file is written.
    """
    (folder / "t.yaml").write_text(NOTHING, encoding="utf-8")

    result = run("t.yaml", "--out", "metriclake.yaml", code=1)
    assert (result.stdout, "it runs on a schedule" in result.stderr) == ("", True)
    assert not (folder / "metriclake.yaml").exists()

    (folder / "other.yaml").write_text("services: {}", encoding="utf-8")
    assert "has no rules of EventBridge" in run("other.yaml", code=1).stderr

    found = json.loads(run("t.yaml", "--json", code=1).stdout)
    assert (found["pipeline"], len(found["not_carried"])) == ({}, 1)


def test_template_comes_from_standard_input(folder: Path) -> None:
    """
    `-` reads standard input.
    """
    assert folder.is_dir()
    result = run("-", stdin=ARTICLE.read_text("utf-8"))

    assert "findings_upload_completed" in result.stdout
    assert "standard input:55: AnalyticsStream" in result.stderr


def test_parameters_are_given_by_name(folder: Path) -> None:
    """
    --parameter fills a parameter; one that the template does not ask for is refused with those that it does.
    """
    assert folder.is_dir()
    assert "seconds: 7," in run(str(ARTICLE), "--parameter", "BufferSeconds=7").stdout
    assert "bus: findings-service-bus" in run(str(ARTICLE), "--parameter", "AWS::Region=eu-west-1").stdout

    said = run(str(ARTICLE), "--parameter", "Stgae=x=y", code=1).stderr
    assert "--parameter Stgae: nothing in the template asks for it (it asks for " in said
    assert "Stage" in said
    assert "NAME=VALUE" in run(str(ARTICLE), "--parameter", "Stage", code=2).stderr


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "cannot be read: No such file"),
        (b"\xff\xfe", "is not UTF-8 text"),
        (b"a: [", "not YAML"),
        (b"x", "is no template"),
        (b"a: " + b"x" * MOST_BYTES, "larger than 1,048,576 bytes"),
    ],
    ids=["missing", "not-text", "not-yaml", "no-template", "too-large"],
)
def test_template_that_cannot_be_read_is_said(folder: Path, content: bytes | None, said: str) -> None:
    """
    A file that is no template is named with what is wrong with it.
    """
    if content is not None:
        (folder / "t.yaml").write_bytes(content)

    stderr = run("t.yaml", code=1).stderr

    assert "t.yaml" in stderr
    assert said in stderr


def test_a_terminal_is_not_told_what_to_do(folder: Path) -> None:
    """
    What a template holds is printed without what a terminal would obey.
    """
    (folder / "t.json").write_text('{"Resources": {"\\u001b[2J": {"Type": "AWS::Pipes::Pipe"}}}', encoding="utf-8")

    assert "\x1b" not in run("t.json", code=1).stderr


@pytest.mark.engine
def test_the_articles_rule_runs(tmp_path: Path) -> None:
    """
    The article's rule, written as CloudFormation, is imported and served, and an event becomes its metric event.
    """
    run(str(ARTICLE), "--parameter", "BufferSeconds=1", "--out", str(tmp_path / "metriclake.yaml"))
    now = datetime.now(UTC).replace(microsecond=0)
    detail = {"tenant_id": "acme", "event_id": "e-1", "created_at": now.isoformat(), "new_findings_count": 3}
    event = {"id": "d-1", "source": "findings", "detail-type": "findings-uploaded", "bus": "findings-service-bus"}

    with Process(tmp_path) as process:
        running = Running(tmp_path, process)
        with closing(running.client):
            sent = [
                {**event, "detail": {**detail, "existing_findings_count": 12}},
                {**event, "id": "d-2", "detail-type": "findings-listed", "detail": detail},
                {**event, "id": "d-3", "bus": "other", "detail": detail},
            ]
            running.post("/v1/events", msgspec.json.encode(sent)).raise_for_status()
            account = running.account("acme", "findings_upload_completed")
            asked = {"metric": "findings_upload_completed", "range": {"last": "1d"}}
            rows = running.ask("acme", measure="existing_findings_count", **asked)
        assert process.stop() == 0

    assert (account["received"], account["store"]["stored"]) == (1, 1)
    assert rows == [[12]]
    assert laked(tmp_path / "data" / "lake" / now.strftime("Data/%Y/%m/%d")) == [
        {
            "metric_name": "findings_upload_completed",
            "metadata": {"tenant_id": "acme", "event_id": "e-1"},
            "data": {
                "event_time": now.strftime("%Y-%m-%dT%H:%M:%S.000000Z"),
                "new_findings_count": 3.0,
                "existing_findings_count": 12.0,
            },
        }
    ]


def laked(folder: Path) -> list[Any]:
    """
    Return the metric events in the objects below a folder of the lake, which are in the template's compression.
    """
    objects = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    assert {path.suffix for path in objects} == {".gz"}
    return [json.loads(line) for path in objects for line in gzip.decompress(path.read_bytes()).splitlines()]
