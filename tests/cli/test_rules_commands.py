"""
The commands about rules by the real program, with a server that runs and without one.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from app.server import Commands, write_pipeline
from app.test_main_job import METRIC, upload
from crash.process import Process

PATTERN = '{"source": ["findings"], "detail": {"severity": [{"prefix": "cri"}]}}'


@pytest.mark.parametrize(
    ("severity", "said"),
    [
        ("critical", "it matches\n"),
        ("low", 'it does not match: detail.severity is "low", and the pattern wants [{"prefix": "cri"}]\n'),
    ],
)
def test_pattern_is_tested(tmp_path: Path, severity: str, said: str) -> None:
    """
    `rules test` takes texts and files, and says which key fails.
    """
    commands = Commands(tmp_path)
    made = json.dumps({"source": "findings", "detail": {"severity": severity}})
    (tmp_path / "event.json").write_text(made, encoding="utf-8")

    assert commands.run("rules", "test", "--pattern", PATTERN, "--event", "event.json") == said
    assert commands.run("rules", "test", "--pattern", PATTERN, "--event", "-", stdin=made.encode()) == said
    assert commands.json("rules", "test", "--pattern", PATTERN, "--event", made)["matches"] == (severity == "critical")


@pytest.mark.parametrize(
    ("pattern", "event", "said"),
    [
        ('{"source": []}', "{}", "Empty arrays are not allowed"),
        ("{}", "nowhere.json", "nowhere.json cannot be read"),
        (PATTERN, "{", "the event is not JSON"),
    ],
)
def test_what_cannot_be_tested_is_said(tmp_path: Path, pattern: str, event: str, said: str) -> None:
    """
    A pattern that is refused and an event that is none end the command with 1 and their words.
    """
    assert said in Commands(tmp_path).run("rules", "test", "--pattern", pattern, "--event", event, code=1)


@pytest.mark.engine
def test_event_is_explained_by_the_file_or_the_server(tmp_path: Path) -> None:
    """
    Without a server the pipeline file explains, with one the rules in force do; both say the same, and nothing is kept.
    """
    write_pipeline(tmp_path)
    commands = Commands(tmp_path)
    made = json.dumps(upload("acme", "1"))
    other = json.dumps({"source": "else", "detail-type": "x", "bus": "nowhere", "detail": {}})
    asked = ("rules", "explain", made, "--data", "data")
    alone = commands.json(*asked)
    assert not (tmp_path / "data").exists()
    with Process(tmp_path) as process:
        told = commands.json(*asked)
        printed = commands.run(*asked)
        elsewhere = commands.run("rules", "explain", other, "--data", "data")
        client = process.client()
        assert client is not None
        books = process.status(client)["domain_events"]
        client.close()
        assert process.stop() == 0

    assert alone == told
    assert [one["rule"] for one in told["rules"] if one["matches"]] == [METRIC]
    assert f"{METRIC}: matches, and makes" in printed
    assert elsewhere.startswith("no rule listens on the bus nowhere; rules listen on ")
    assert set(books.values()) == {0}
