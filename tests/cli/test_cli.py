"""
The command line: help and version everywhere, exit codes, and no secret where it does not belong.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

import metriclake
from app.server import Commands, write_pipeline
from metriclake.cli import main

KEYS = {
    "METRICLAKE_INGEST_KEY": "ingest-0123456789-0123456789-0123456789",
    "METRICLAKE_ADMIN_KEY": "admin-0123456789-0123456789-0123456789",
    "METRICLAKE_SIGNING_KEY": "signing-0123456789-0123456789-0123456789",
    "METRICLAKE_GITHUB_SECRET": "github",
}


def walk(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """
    Yield every command as what must be typed for it.
    """
    yield path
    if isinstance(command, click.Group):
        for name, below in command.commands.items():
            yield from walk(below, (*path, name))


COMMANDS = [pytest.param(path, id=" ".join(path) or "metriclake") for path in walk(main)]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """
    Work in an empty folder, without keys in the environment.
    """
    for name in KEYS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments: str, code: int = 0) -> Result:
    """
    Run a command in this process; it must end with `code`.
    """
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == code, result.output
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result


@pytest.mark.parametrize("path", COMMANDS)
@pytest.mark.parametrize("option", ["-h", "--help"])
def test_every_command_has_help(path: tuple[str, ...], option: str) -> None:
    """
    Each command says what it does and what each of its options means.
    """
    said = run(*path, option).stdout

    assert "Usage:" in said
    command: click.Command = main
    for name in path:
        assert isinstance(command, click.Group)
        command = command.commands[name]
    assert command.help
    assert [option.name for option in command.params if isinstance(option, click.Option) and not option.help] == []


@pytest.mark.parametrize("path", COMMANDS)
def test_every_command_has_the_version(path: tuple[str, ...]) -> None:
    """
    `--version` is there on every command.
    """
    assert metriclake.__version__ in run(*path, "--version").stdout


@pytest.mark.parametrize("path", COMMANDS)
def test_an_unknown_option_is_wrong_usage(path: tuple[str, ...]) -> None:
    """
    What is typed wrong ends with 2.
    """
    run(*path, "--nonsense", code=2)


@pytest.mark.parametrize(
    "arguments",
    [
        ("nonsense",),
        ("token", "tenant"),
        ("token", "tenant", "acme", "--ttl", "soon"),
        ("put", "--door", "window"),
        ("up", "--port", "70000"),
        ("query", "--tenant", "acme"),
        ("query", "--metric", "m"),
        ("query", "--tenant", "acme", "--metric", "m", "--queries", "-"),
        ("query", "--tenant", "acme", "--queries", "-", "--csv"),
        ("query", "--tenant", "acme", "--metric", "m", "--filter", "a>x"),
        ("query", "--tenant", "acme", "--metric", "m", "--limit", "few"),
    ],
    ids=" ".join,
)
def test_wrong_usage_ends_with_two(folder: Path, arguments: tuple[str, ...]) -> None:
    """
    A missing argument or a value that an option cannot have ends with 2, and nothing is made.
    """
    assert run(*arguments, code=2).stderr
    assert list(folder.iterdir()) == []


def test_init_writes_a_pipeline_that_passes_its_check(folder: Path) -> None:
    """
    What `init` writes has no faults, in a folder that need not be there.
    """
    run("init", "new/place")

    assert {path.name for path in (folder / "new" / "place").iterdir()} == {"metriclake.yaml", "tenants.yaml"}
    assert "no faults" in run("check", "new/place/metriclake.yaml").stdout


@pytest.mark.parametrize("name", ["metriclake.yaml", "tenants.yaml"])
def test_init_overwrites_nothing(folder: Path, name: str) -> None:
    """
    Where one of its files is there already, `init` writes none.
    """
    (folder / name).write_text("mine", encoding="utf-8")

    assert name in run("init", code=1).stderr
    assert {path.name: path.read_text(encoding="utf-8") for path in folder.iterdir()} == {name: "mine"}


def test_check_names_every_fault_with_its_place(folder: Path) -> None:
    """
    An unknown key, a wrong value and a pattern that does not compile are all named, with file, line, column and hint.
    """
    (folder / "metriclake.yaml").write_text(
        "strem: {}\nstore:\n  hot: soon\nmetrics:\n  m:\n    pattern: {source: findings}\n"
        "    metadata: {tenant_id: $.detail.t}\n    data: {event_time: $.time}\n",
        encoding="utf-8",
    )

    said = run("check", code=1).stderr

    assert "metriclake.yaml:1:1: unknown key `strem` (did you mean `stream`?)" in said
    assert "metriclake.yaml:3:3: must be a duration" in said
    assert "fault(s)" in said


def test_check_names_a_pattern_that_does_not_compile(folder: Path) -> None:
    """
    A pattern's own faults come with their place too.
    """
    (folder / "metriclake.yaml").write_text(
        "metrics:\n  m:\n    pattern: {source: findings}\n"
        "    metadata: {tenant_id: $.detail.t}\n    data: {event_time: $.time}\n",
        encoding="utf-8",
    )

    assert "metriclake.yaml:3:5" in run("check", code=1).stderr


def test_check_prints_json(folder: Path) -> None:
    """
    `--json` has the faults as data, and the facts where there are none.
    """
    write_pipeline(folder)
    assert json.loads(run("check", "--json").stdout).items() >= {"ok": True}.items()

    (folder / "metriclake.yaml").write_text("strem: {}\n", encoding="utf-8")
    found = json.loads(run("check", "--json", code=1).stdout)

    assert not found["ok"]
    (fault,) = found["faults"]
    assert fault["place"].endswith("metriclake.yaml:1:1")
    assert fault["hint"] == "did you mean `stream`?"


def test_check_warns_of_traps(folder: Path) -> None:
    """
    What compiles and may not do what it seems to is a warning with its place; only `--strict` makes it a failure.
    """
    write_pipeline(folder)
    clean = run("check", "--strict", "--json").stdout
    file = folder / "metriclake.yaml"
    text = file.read_text(encoding="utf-8").replace("[{anything-but: test}]", "[{anything-but: a}, {anything-but: b}]")
    file.write_text(text, encoding="utf-8")
    warned = run("check")
    strict = json.loads(run("check", "--strict", "--json", code=1).stdout)

    assert json.loads(clean)["warnings"] == []
    assert "metriclake.yaml:7:78: warning: several `anything-but` in one list are alternatives" in warned.stderr
    assert '(write one: {"anything-but": ["a", "b"]}) [anything-but-or]' in warned.stderr
    assert warned.stdout == "metriclake.yaml: 2 metrics, no faults, 1 warning(s)\n"
    assert json.loads(run("check", "--json").stdout)["ok"]
    assert not strict["ok"]
    (warning,) = strict["warnings"]
    assert (warning["metric"], warning["trap"]) == ("findings_upload_completed", "anything-but-or")
    assert warning["place"].endswith("metriclake.yaml:7:78")
    assert warning["warning"].startswith("several `anything-but`")
    assert warning["hint"] == 'write one: {"anything-but": ["a", "b"]}'
    assert "1 warning(s)" in run("check", "--strict", code=1).stdout


@pytest.mark.parametrize("command", ["check", "up"])
def test_a_pipeline_file_that_is_not_there_is_said(folder: Path, command: str) -> None:
    """
    Without a pipeline file the error says how to get one, and no data directory is made.
    """
    assert "metriclake init" in run(command, code=1).stderr
    assert list(folder.iterdir()) == []


def test_keys_are_for_their_owner_alone(folder: Path) -> None:
    """
    Key files have mode 0600 in a folder of 0700, whatever the umask says, and stay the same.
    """
    before = os.umask(0)
    try:
        first = [run("token", name, "--data", "data").stdout.splitlines()[-1] for name in ("ingest", "admin", "github")]
        run("token", "tenant", "acme", "--data", "data")
    finally:
        os.umask(before)
    again = [run("token", name, "--data", "data").stdout.splitlines()[-1] for name in ("ingest", "admin", "github")]

    keys = folder / "data" / "keys"
    assert stat.S_IMODE(keys.stat().st_mode) == 0o700
    assert {path.name: stat.S_IMODE(path.stat().st_mode) for path in keys.iterdir()} == {
        f"{name}.key": 0o600 for name in ("ingest", "admin", "github", "signing")
    }
    assert first == again
    assert len(set(first)) == 3


def test_a_named_ingest_key_is_made_once(folder: Path) -> None:
    """
    `token ingest --name` makes a key of its own for its owner alone, prints it again, and refuses what is no name.
    """
    first, again = (run("token", "ingest", "--name", "importer", "--data", "data").stdout for _ in range(2))

    assert first == again != run("token", "ingest", "--data", "data").stdout
    assert stat.S_IMODE((folder / "data" / "keys" / "ingest-importer.key").stat().st_mode) == 0o600
    assert "name" in run("token", "ingest", "--name", "../x", "--data", "data", code=1).stderr


def test_a_token_lives_at_most_a_day(folder: Path) -> None:
    """
    A lifetime beyond 24 hours, or none, is refused.
    """
    assert folder.is_dir()
    run("token", "tenant", "acme", "--ttl", "24h")
    assert "24 h" in run("token", "tenant", "acme", "--ttl", "25h", code=1).stderr
    assert "24 h" in run("token", "tenant", "acme", "--ttl", "0s", code=1).stderr


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1"])  # noqa: S104 - refused, that is what is shown
def test_a_host_that_others_reach_needs_the_keys_given(
    folder: Path, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    """
    On any host but loopback `up` does not start with keys that it has made up itself, and names the missing ones.
    """
    write_pipeline(folder)
    for name, key in KEYS.items():
        assert name in run("up", "--host", host, "--port", "0", code=1).stderr
        monkeypatch.setenv(name, key)

    assert not (folder / "metriclake-data").exists()


def test_a_key_that_is_too_short_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A key from the environment that could be guessed is refused, without repeating it.
    """
    monkeypatch.setenv("METRICLAKE_INGEST_KEY", "hunter2")

    said = run("token", "ingest", "--data", str(folder / "data"), code=1).stderr

    assert "32" in said
    assert "hunter2" not in said


def test_a_role_that_cannot_run_alone_is_said(folder: Path) -> None:
    """
    On the embedded engines all roles run in one process, and asking for one of them says so.
    """
    write_pipeline(folder)

    assert "one process" in run("up", "--role", "gateway", code=1).stderr


def test_status_of_nothing_is_an_error(folder: Path) -> None:
    """
    A directory that is not there is not made by asking about it.
    """
    assert "data directory" in run("status", "--data", "missing", code=1).stderr
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("file", ["missing.ndjson", "broken.gz", "broken.zst"])
def test_put_says_what_is_wrong_with_a_file(folder: Path, file: str) -> None:
    """
    A file that is not there or torn is named, and nothing is sent.
    """
    write_pipeline(folder)
    if file != "missing.ndjson":
        (folder / file).write_bytes(b"not compressed")

    assert file in run("put", file, code=1).stderr


@pytest.mark.engine
def test_no_log_line_of_a_run_has_a_secret(folder: Path) -> None:
    """
    With keys given by the environment, nothing that a server logs or that commands say on stderr has one of them.
    """
    write_pipeline(folder)
    commands = Commands(folder)
    server = commands.start("up", "--port", "0", "--data", "data", environ=KEYS)
    try:
        assert server.stderr is not None
        first = server.stderr.readline()
        assert b"serving" in first
        commands.run("status", "--data", "data", environ=KEYS)
        body = b'{"source": "x", "detail-type": "y", "detail": {"password": "hunter2"}}\nnonsense'
        commands.run("put", "-", "--data", "data", code=1, stdin=body, environ=KEYS)
        wrong = {**KEYS, "METRICLAKE_ADMIN_KEY": "b" * 40, "METRICLAKE_INGEST_KEY": "c" * 40}
        said = commands.run("status", "--data", "data", code=1, environ=wrong)
    finally:
        server.terminate()
        printed, logged = server.communicate(timeout=60)

    text = (printed + first + logged).decode() + said
    assert server.returncode == 0
    assert not [secret for secret in (*KEYS.values(), "b" * 40, "hunter2") if secret != "github" and secret in text]
    assert list((folder / "data").rglob("*.key")) == []
