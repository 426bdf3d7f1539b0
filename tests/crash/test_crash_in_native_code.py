"""
A crash in native code, where Python cannot catch it.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from crash.process import Process

pytestmark = pytest.mark.crash


def test_a_crashed_server_ends(tmp_path: Path) -> None:
    """
    It ends at once, so that whoever looks after it starts it again, and says in its log where each thread was.
    """
    (tmp_path / "metriclake.yaml").write_text("metrics: {}\n", encoding="utf-8")
    with Process(tmp_path) as process:
        client = process.client()
        assert client is not None
        client.close()
        os.kill(process.pid, signal.SIGSEGV)
        process.wait_dead()
    log = (tmp_path / "log").read_text(encoding="utf-8")
    assert "Segmentation fault" in log
    assert "_write_forever" in log
