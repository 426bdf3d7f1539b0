"""
What the tests of twins share: no proxy stands between a client and this machine.
"""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Let the SDKs, which read the environment, speak to 127.0.0.1 directly.
    """
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
