"""
Which addresses are of the public network.
"""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metriclake.public_address import is_address, is_public, resolved

PUBLIC = ("93.184.215.14", "8.8.8.8", "2606:2800:21f:cb07:6820:80da:af6b:8b2c", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8")
UNSPECIFIED = "0.0.0.0"  # noqa: S104 - nothing binds to it here
PRIVATE = (
    UNSPECIFIED, "127.0.0.1", "127.8.9.10", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1",
    "100.100.100.200", "192.0.0.192", "198.18.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255", "::", "::1",
    "fe80::1", "fc00::1", "fd00:ec2::254", "ff02::1", "::ffff:127.0.0.1", "::ffff:a9fe:a9fe", "::127.0.0.1",
    "64:ff9b::10.0.0.1", "64:ff9b:1::8.8.8.8", "fec0::1",
    "2002:7f00:1::", "2002:a00:1::1", "fe80::1%eth0", "localhost", "", "127.1", "0x7f000001",
)  # fmt: skip
PRIVATE_NETWORKS = [ipaddress.IPv4Network(text) for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")]


@pytest.mark.parametrize("address", PUBLIC)
def test_public(address: str) -> None:
    """
    An address of the public network may be sent to.
    """
    assert is_public(address)


@pytest.mark.parametrize("address", PRIVATE)
def test_private(address: str) -> None:
    """
    An address of this machine, a private network or a cloud's metadata may not, nor what is no address.
    """
    assert not is_public(address)


@given(st.ip_addresses(v=4))
def test_an_address_inside_another_is_judged(address: ipaddress.IPv4Address) -> None:
    """
    However an IPv4 address is written into an IPv6 one, it is not public where it is not by itself.
    """
    forms = (f"::ffff:{address}", f"64:ff9b::{address}", f"::{address}")
    six = ipaddress.IPv6Address((0x2002 << 112) | (int(address) << 80))

    assert is_public(str(address)) or not any(is_public(form) for form in (*forms, str(six)))
    assert not is_public(str(address)) or not any(address in network for network in PRIVATE_NETWORKS)


def test_names_are_resolved() -> None:
    """
    A name has its addresses once each; an address is itself.
    """
    assert resolved("127.0.0.1", 80) == ["127.0.0.1"]
    assert set(resolved("localhost", 80)) <= {"127.0.0.1", "::1"}
    assert [is_address(host) for host in ("::1", "1.2.3.4", "localhost")] == [True, True, False]
