"""
The process around the application: hosts, and what a log may not say.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from metriclake._config import environment
from metriclake._errors import MetriclakeError
from metriclake.serve import check_host, mask, masked

NOTHING_GIVEN = replace(environment(), ingest_key=None, admin_key=None, signing_key=None, github_secret=None)


@pytest.mark.parametrize(
    "line",
    [
        "key ml_ingest_abcdefgh12345678 refused",
        "token eyJhbGciOiJIUzI1NiJ9.eyJ0ZW5hbnRfaWQiOiJhIn0.c2lnbmF0dXJl ended",
        '{"header": "Authorization: Bearer abcdef"}',
        f"signature sha256={'0f' * 32}",
        "the secret is swordfish-of-the-environment",
    ],
)
def test_secrets_are_masked(line: str) -> None:
    """
    Keys, tokens, bearer headers, signatures and given secrets do not stay in a line, the rest of it does.
    """
    mask("swordfish-of-the-environment", None, "")
    found = masked(line)

    assert "***" in found
    assert not [part for part in ("abcdef", "eyJ", "0f0f", "swordfish") if part in found]
    assert found[:3] == line[:3]


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.org"])  # noqa: S104 - to be refused
def test_host_that_others_reach_needs_given_keys(host: str) -> None:
    """
    Where others can reach the server, every key must be given; the error names those that are not.
    """
    with pytest.raises(MetriclakeError, match="set METRICLAKE_INGEST_KEY, METRICLAKE_ADMIN_KEY"):
        check_host(host, NOTHING_GIVEN)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
def test_loopback_needs_none(host: str) -> None:
    """
    On loopback the keys may be made.
    """
    check_host(host, NOTHING_GIVEN)
