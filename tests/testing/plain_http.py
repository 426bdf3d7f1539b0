"""
Plain HTTP to a twin. No certificates are read, since none is met: reading them takes longer than most tests.
"""

from __future__ import annotations

import ssl
from typing import Any

import httpx

_NO_CERTIFICATES = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def speaking(url: str, **options: Any) -> httpx.Client:
    """
    Return a client of one place.
    """
    return httpx.Client(base_url=url, verify=_NO_CERTIFICATES, **options)


def post(url: str, **options: Any) -> httpx.Response:
    """
    Send one request over a connection of its own.
    """
    return httpx.post(url, verify=_NO_CERTIFICATES, **options)
