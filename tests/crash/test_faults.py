"""
A full disk, a lake that is not there or read-only, a clock put back: callers hear it, nothing is lost, and it passes.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from crash.disk import build, compiler
from crash.process import Process
from crash.test_crash_points import PIPELINE, TENANTS, Sender, check_everything
from metriclake.tokens import mint_tenant
from patience import until

pytestmark = pytest.mark.crash

_NEEDS_COMPILER = pytest.mark.skipif(compiler() is None, reason="the faults need Linux and a C compiler (cc)")
_DISKS = [pytest.param(False, marks=_NEEDS_COMPILER), *([True] if "METRICLAKE_TORTURE_KILLS" in os.environ else [])]
"""A process that is told that its disk is full or read-only, and with `make torture` also a disk that is."""

_SIZE = 192 * 1024 * 1024
_LEFT_BYTES = 3 * 1024 * 1024
"""More than the parts take that the engine has merged and keeps for some minutes, in files of whole blocks."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """
    Return a folder with a pipeline file, and with a data directory.
    """
    (tmp_path / "metriclake.yaml").write_text(f"disk: {{reserve: 0KB}}\n{PIPELINE}", encoding="utf-8")
    (tmp_path / "data").mkdir()
    return tmp_path


def post(process: Process, client: httpx.Client, sender: Sender, number: int) -> httpx.Response:
    """
    Send a request by its number; what is not answered with 200 is to be sent again.
    """
    sender.next = max(sender.next, number + 1)
    sender.tries[number] += 1
    headers = {"Authorization": f"Bearer {process.keys.ingest}", "Content-Type": "application/x-ndjson"}
    answer = client.post("/v1/events", content=sender.body(number), headers=headers)
    sender.unanswered = [other for other in sender.unanswered if other != number]
    if answer.status_code == 200:
        sender.answered += 1
    else:
        sender.unanswered.append(number)
    return answer


@contextmanager
def _mounted(*arguments: str, at: Path) -> Iterator[None]:
    """
    Mount something at a folder of the test.
    """
    mount = shutil.which("mount")
    command = [str(mount), *arguments, str(at)]
    if mount is None or os.geteuid() != 0 or subprocess.run(command, check=False, capture_output=True).returncode:  # noqa: S603 - a file system in the test's own folder
        pytest.skip("a real full or read-only disk needs the right to mount a file system")
    try:
        yield
    finally:
        subprocess.run([str(shutil.which("umount")), str(at)], check=True)  # noqa: S603 - what was mounted above


class _Disk:
    """
    The data directory's disk, to be filled and freed: a mounted one really, or a process's by way of its system calls.
    """

    def __init__(self, folder: Path, *, real: bool) -> None:
        self._mark = folder / "full"
        self._filler = folder / "data" / "filler" if real else None
        self.environ: dict[str, str] = {}
        if not real:
            library = str(build("faults", folder))
            self.environ = {"LD_PRELOAD": library, "FAULTS": str(folder), "FAULTS_ROOT": str(folder / "data")}

    def fill(self) -> None:
        if self._filler is None:
            self._mark.touch()
            return
        with self._filler.open("ab", buffering=0) as file:
            for size in (1024 * 1024, 4096):
                try:
                    while True:
                        file.write(bytes(size))
                except OSError:
                    continue

    def free(self) -> None:
        (self._filler or self._mark).unlink()


@pytest.mark.parametrize("real", _DISKS, ids=lambda real: "mounted" if real else "told")
def test_a_full_disk_is_said_and_passes(folder: Path, real: bool) -> None:  # noqa: FBT001 - pytest gives it by name
    """
    While nothing can be written the doors answer 503 and say why; with room again everything goes on by itself.
    """
    sender = Sender(seed=4)
    with ExitStack() as stack:
        if real:
            stack.enter_context(_mounted("-t", "tmpfs", "-o", f"size={_SIZE}", "none", at=folder / "data"))
        disk = _Disk(folder, real=real)
        process = stack.enter_context(Process(folder, environ=disk.environ))
        client = process.client()
        assert client is not None
        stack.enter_context(closing(client))
        for number in range(10):
            assert post(process, client, sender, number).status_code == 200
        disk.fill()
        refused: list[httpx.Response] = []
        deadline = time.monotonic() + 30
        while len(refused) < 5 and time.monotonic() < deadline:
            if real:
                disk.fill()
            answer = post(process, client, sender, sender.next)
            refused += [answer] if answer.status_code != 200 else []
            time.sleep(0.1)

        assert Counter(answer.status_code for answer in refused) == {503: 5}
        assert "nothing was accepted" in refused[0].json()["detail"]
        assert "Retry-After" in refused[0].headers
        assert client.get("/healthz").status_code == 200
        disk.free()
        time.sleep(1)
        for number in list(sender.unanswered):
            assert post(process, client, sender, number).status_code == 200
        status = process.settled(client)
        assert status["balanced"]
        assert process.stop() == 0
        check_everything(folder, sender)


def test_a_lake_that_is_not_there_holds_up_the_stream_and_no_caller(folder: Path) -> None:
    """
    With a file in the lake's place events are still accepted, the fault is told, and the lake's return ends it.
    """
    sender, lake, away = Sender(seed=5), folder / "data" / "lake", folder / "data" / "away"
    with Process(folder) as process:
        client = process.client()
        assert client is not None
        with closing(client):
            assert post(process, client, sender, 0).status_code == 200
            process.settled(client)
            lake.rename(away)
            lake.touch()
            for number in range(1, 6):
                assert post(process, client, sender, number).status_code == 200
            failures = _failures(process, client)
            lake.unlink()
            away.rename(lake)
            status = process.settled(client)
        assert process.stop() == 0

    assert any("lake object" in failure and "tries again" in failure for failure in failures)
    assert status["balanced"]
    check_everything(folder, sender)


class _Lake:
    """
    The lake's folder, to be made read-only and writable again: a mounted one really, or as a process is told.
    """

    def __init__(self, folder: Path, *, real: bool) -> None:
        self._folder = folder / "data" / "lake"
        self._mark = folder / "readonly"
        self._real = real
        self.environ: dict[str, str] = {}
        if not real:
            self.environ = {
                "LD_PRELOAD": str(build("faults", folder)),
                "FAULTS": str(folder),
                "FAULTS_ROOT": str(folder / "data"),
            }

    def freeze(self) -> None:
        if self._real:
            self._remount("ro")
        else:
            self._mark.touch()

    def thaw(self) -> None:
        if self._real:
            self._remount("rw")
        else:
            self._mark.unlink()

    def _remount(self, mode: str) -> None:
        """
        Patient: a mount is busy for as long as one of its files is open for writing.
        """
        command = [str(shutil.which("mount")), "-o", f"remount,{mode},bind", str(self._folder)]
        for _ in range(200):
            if not subprocess.run(command, check=False, capture_output=True).returncode:  # noqa: S603 - the mount above
                return
            time.sleep(0.02)
        message = f"{self._folder} cannot be remounted {mode}"
        raise TimeoutError(message)


@pytest.mark.parametrize("real", _DISKS, ids=lambda real: "mounted" if real else "told")
def test_a_read_only_lake_holds_up_no_caller_until_the_quota(folder: Path, real: bool) -> None:  # noqa: FBT001 - pytest gives it by name
    """
    Read-only under load: events are taken up to the quota and kept through a kill, the fault and its remedy are told.

    Writable again, everything flows by itself, also through the doors that were shut.
    """
    sender, lake_folder = Sender(seed=7), folder / "data" / "lake"
    lake_folder.mkdir()
    with ExitStack() as stack:
        if real:
            stack.enter_context(_mounted("--bind", str(lake_folder), at=lake_folder))
        lake = _Lake(folder, real=real)
        with Process(folder, environ=lake.environ) as process:
            told = _frozen_under_load(folder, lake, process, sender)
            process.kill()
        with Process(folder, environ=lake.environ) as process:
            client = process.client()
            assert client is not None
            with closing(client):
                again = _failures(process, client)
                lake.thaw()
                status = process.settled(client)
                opened = _opened(process, client, sender)
                after = _metrics(client)
            assert process.stop() == 0
        check_everything(folder, sender)

    remedy = f"see that {lake_folder} is there, may be written and has room; what is accepted waits in the journal"
    for failure in (*told, *again):
        assert failure.startswith("the stream waits and tries again: the lake object ")
        assert "Read-only file system" in failure
        assert failure.endswith(remedy)
    assert len(told) == len(again) == 1
    assert status["balanced"]
    assert status["failures"] == []
    assert opened
    assert (after["metriclake_stages_failing"], after["metriclake_books_balanced"]) == (0, 1)


def _frozen_under_load(folder: Path, lake: _Lake, process: Process, sender: Sender) -> list[str]:
    """
    Take the lake's rights away in the middle of load, and send until the quota; returns the failures that are told.
    """
    client = process.client()
    assert client is not None
    with closing(client):
        sending = threading.Thread(target=sender.send, args=(client, process.keys.ingest, threading.Event(), 100_000))
        sending.start()
        time.sleep(0.3)
        lake.freeze()
        before = sender.answered
        failures = _failures(process, client)
        ready, seen = client.get("/readyz"), _metrics(client)
        during = sender.answered
        _set_quota(folder, int(seen["metriclake_data_bytes"]) + _LEFT_BYTES)
        sending.join(60)
        refused = post(process, client, sender, sender.next)

    assert during > before
    assert (ready.status_code, ready.json()["failures"]) == (200, failures)
    assert seen["metriclake_stages_failing"] == 1
    assert seen["metriclake_journal_backlog_bytes"] > 0
    assert refused.status_code == 429
    assert "raise `disk.quota`" in refused.json()["detail"]
    assert int(refused.headers["Retry-After"]) >= 1
    return failures


def _set_quota(folder: Path, quota: int) -> None:
    """
    Put a quota into the pipeline file, which the server reads again by itself.
    """
    text = f"disk: {{reserve: 0KB, quota: {quota // 1024}KB}}\n{PIPELINE}"
    (folder / "metriclake.yaml").write_text(text, encoding="utf-8")


def _opened(process: Process, client: httpx.Client, sender: Sender) -> bool:
    """
    Send what was not answered until all of it is: the disk is looked at every few seconds.
    """
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if all(post(process, client, sender, number).status_code == 200 for number in list(sender.unanswered)):
            return True
        time.sleep(0.2)
    return False


def _metrics(client: httpx.Client) -> dict[str, float]:
    """
    Return what `/metrics` says without labels.
    """
    lines = [line for line in client.get("/metrics").text.splitlines() if not line.startswith("#") and "{" not in line]
    return {name: float(value) for name, _, value in (line.partition(" ") for line in lines)}


def _failures(process: Process, client: httpx.Client) -> list[str]:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        failures: list[str] = process.status(client)["failures"]
        if failures:
            return failures
        time.sleep(0.1)
    return []


@_NEEDS_COMPILER
def test_a_clock_that_is_put_back_holds_nothing_up(folder: Path) -> None:
    """
    An hour back in the middle of load: batches close as before, all is counted once, and no answer claims the future.
    """
    sender, stop = Sender(seed=6), threading.Event()
    clock = folder / "clock"
    clock.write_text("0")
    environ = {"LD_PRELOAD": str(build("faults", folder)), "FAULTS": str(folder)}
    with Process(folder, environ=environ) as process:
        client = process.client()
        assert client is not None
        with closing(client):
            sending = threading.Thread(target=sender.send, args=(client, process.keys.ingest, stop, 100_000))
            sending.start()
            until(lambda: _asked(process, client)[1] > 0)
            before = _asked(process, client)
            clock.write_text("-3600")
            time.sleep(0.3)
            began = time.monotonic()
            during = [_asked(process, client) for _ in range(20)]
            stop.set()
            sending.join()
            process.settled(client)
            took = time.monotonic() - began
            after = _asked(process, client)
        assert process.stop() == 0

    back = datetime.now(UTC) - timedelta(hours=1)
    assert before[0] <= datetime.now(UTC)
    assert all(fresh <= back for fresh, _ in [*during, after])
    assert after[0] > back - timedelta(minutes=1)
    assert [total for _, total in during] == sorted(total for _, total in during)
    assert took < 20
    check_everything(folder, sender)


def _asked(process: Process, client: httpx.Client) -> tuple[datetime, int]:
    """
    Return how fresh the answers are, and how many events there are of all tenants.
    """
    total, fresh = 0, datetime.max.replace(tzinfo=UTC)
    for tenant in TENANTS:
        token = mint_tenant(process.keys.signing, tenant, now=datetime.now(UTC))
        question: dict[str, Any] = {"metric": "jobs", "range": {"last": "3d"}}
        answer = client.post("/v1/query", json=question, headers={"Authorization": f"Bearer {token}"}).json()
        if "rows" in answer:
            total += answer["rows"][0][0]
            fresh = min(fresh, datetime.fromisoformat(answer["meta"]["fresh_as_of"]))
    return fresh, total
