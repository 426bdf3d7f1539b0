"""
The power is cut: every write and every name that was not fsynced is lost, and nothing that was accepted is.

The real server runs beneath a recorder of its system calls, chDB's threads included. At several bytes of the record the
disk is rebuilt as a cut would leave it, and the real server starts on that.
"""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from random import Random

import httpx
import pytest

from crash.disk import Cut, Disk, build, compiler, packed
from crash.process import Process
from crash.test_crash_points import PIPELINE, Sender, check_everything
from patience import until

pytestmark = [
    pytest.mark.crash,
    pytest.mark.skipif(compiler() is None, reason="the recorder needs Linux and a C compiler (cc)"),
]

_CUTS = int(os.environ.get("METRICLAKE_TORTURE_CUTS", "3"))


@dataclass
class Witness(Sender):
    """
    A sender that notes how long the record was when each answer came: what was answered must outlive a later cut.
    """

    answered_at: dict[int, int] = field(default_factory=dict)

    def witness(self, client: httpx.Client, key: str, log: Path, stop: threading.Event) -> None:
        """
        Send until the server dies or `stop` is set.
        """
        headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/x-ndjson"}
        while not stop.is_set():
            number = self.next
            self.next += 1
            try:
                client.post("/v1/events", content=self.body(number), headers=headers).raise_for_status()
            except httpx.HTTPError:
                return
            self.answered_at[number] = log.stat().st_size

    def has_answers(self, least: int) -> bool:
        """
        Tell whether so many requests were answered.
        """
        return len(self.answered_at) >= least

    def as_of(self, cut: int) -> Sender:
        """
        Return the sender that must make good for a power cut: it sends again what was not answered by then.
        """
        answered = [number for number, at in self.answered_at.items() if at <= cut]
        missing = sorted(set(range(self.next)) - set(answered))
        tries = Counter(range(self.next))
        tries.update(missing)
        return Sender(self.seed, len(answered), self.next, missing, tries + Counter(dict.fromkeys(missing, 1)))


def _without_uvloop(folder: Path) -> Path:
    """
    Return a folder that hides uvloop: it watches its sockets by io_uring, and the recorder cannot see what goes there.
    """
    hidden = folder / "hidden"
    hidden.mkdir()
    (hidden / "uvloop.py").write_text("raise ImportError\n", encoding="utf-8")
    return hidden


@pytest.mark.parametrize("cut", [Cut.STRICT, Cut.ORDERED])
def test_an_fsync_that_ends_late_takes_no_name_back(tmp_path: Path, cut: Cut) -> None:
    """
    Of two threads' overlapping fsyncs the disk holds what the later one has made durable, whichever ends first.
    """
    root, log, left = tmp_path / "root", tmp_path / "record", tmp_path / "left"
    one, two = str(root / "one"), str(root / "two")
    steps = [
        ("O", 3, 0, str(root)), ("O", 4, 1, one), ("F", 4, 1, ""), ("F", 3, 2, ""),
        ("O", 5, 1, two), ("F", 5, 3, ""), ("F", 3, 4, ""), ("f", 5, 3, ""), ("f", 3, 4, ""), ("f", 3, 2, ""),
        ("f", 4, 1, ""),
    ]  # fmt: skip
    log.write_bytes(b"".join(packed(*step) for step in steps))
    disk = Disk(root)
    disk.play(log, log.stat().st_size)
    disk.write_out(left, cut, Random(1))  # noqa: S311 - which pages survive

    assert sorted(path.name for path in left.iterdir()) == ["one", "two"]


def test_a_power_cut_takes_nothing_that_was_accepted(tmp_path: Path) -> None:
    """
    Cut at moments of a start, of load, and of a start after a kill, the disk's remains lose nothing and double nothing.
    """
    first, log = tmp_path / "first", tmp_path / "record"
    (first / "data").mkdir(parents=True)
    (first / "metriclake.yaml").write_text(PIPELINE, encoding="utf-8")
    environ = {
        "LD_PRELOAD": str(build("recorder", tmp_path)),
        "PYTHONPATH": f"{_without_uvloop(tmp_path)}{os.pathsep}{os.environ.get('PYTHONPATH', '')}",
        "RECORD_ROOT": str(first / "data"),
        "RECORD_LOG": str(log),
    }
    witness, random = Witness(seed=3), Random(5)  # noqa: S311 - moments to cut at
    halt, begun = tmp_path / "record.stop", 0
    for seconds, least in ((1.5, 15), (1.0, 25)):
        with Process(first, environ=environ) as process:
            client = process.client()
            assert client is not None
            begun = begun or log.stat().st_size
            stop = threading.Event()
            sending = threading.Thread(target=witness.witness, args=(client, process.keys.ingest, log, stop))
            sending.start()
            time.sleep(seconds)
            until(partial(witness.has_answers, least))
            halt.touch()
            process.wait_dead()
            halt.unlink()
            stop.set()
            sending.join()
            client.close()

    whole = Disk(first / "data")
    whole.play(log, log.stat().st_size)
    assert whole.unfaithful == []
    assert whole.difference(first / "data") == []

    for number in range(_CUTS):
        cut = random.randrange(begun // 2, log.stat().st_size)
        _check_cut(tmp_path / f"cut-{number}", witness, log, cut, list(Cut)[number % len(Cut)])


def _check_cut(folder: Path, witness: Witness, log: Path, cut: int, kind: Cut) -> None:
    folder.mkdir()
    (folder / "metriclake.yaml").write_text(PIPELINE, encoding="utf-8")
    disk = Disk(folder.parent / "first" / "data")
    disk.play(log, cut)
    disk.write_out(folder / "data", kind, Random(cut))  # noqa: S311 - which pages survive
    try:
        check_everything(folder, witness.as_of(cut))
    except BaseException as error:
        error.add_note(f"{kind} cut at byte {cut} of {log.stat().st_size}: {(folder / 'log').read_text()[-2000:]}")
        raise
    shutil.rmtree(folder)
