"""
What the tests of destinations share: no proxy stands between a sender and its twin.
"""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Let senders, of which most ask the environment for a proxy, speak to 127.0.0.1 directly.
    """
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
