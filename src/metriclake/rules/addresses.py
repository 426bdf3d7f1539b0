"""
Decide which texts spell an IP address, and which addresses lie in a block.

EventBridge compares the bits that an address begins with, of whatever family. So an IPv4 address of a pattern is also
every IPv6 address that begins with its bits, and a block of one family holds addresses of the other.
"""

from __future__ import annotations

import re
from socket import AF_INET6, inet_pton
from typing import NamedTuple

_IPV4 = re.compile(r"[0-9]+\.[0-9]+\.[0-9]+\.[0-9]+", re.ASCII)
_IPV6 = re.compile(r"[0-9a-fA-F:]*:[0-9a-fA-F:]*", re.ASCII)
_MAPPED = bytes(10) + b"\xff\xff"
_MOST_COLONS = 8
_BITS = re.compile(r"[+-]?[0-9]{1,10}", re.ASCII)
_MOST_BITS = 2**31
_LONGEST = 256
"""No address is longer than this, whatever zeros stand before its numbers."""


class Block(NamedTuple):
    """
    A block of addresses: how many bits they begin with, and these bits as a number.
    """

    size: int
    begin: int

    def holds(self, address: bytes) -> bool:
        """
        Tell whether an address, 4 or 16 bytes, begins with the bits of this block.
        """
        rest = 8 * len(address) - self.size
        return rest >= 0 and int.from_bytes(address) >> rest == self.begin


def address_of(text: str) -> bytes | None:
    """
    Return the 4 or 16 bytes of the address that a text spells, leading zeros allowed; None for any other text.

    An IPv6 address that maps an IPv4 one is that IPv4 address, as it is for EventBridge.
    """
    if len(text) > _LONGEST:
        return None
    if _IPV4.fullmatch(text) is not None:
        octets = [int(octet) for octet in text.split(".")]
        return bytes(octets) if max(octets) < 256 else None
    if _IPV6.fullmatch(text) is None or text.count(":") > _MOST_COLONS:
        return None
    try:
        six = inet_pton(AF_INET6, ":".join(group.lstrip("0") or group[:1] for group in text.split(":")))
    except OSError:
        return None
    return six.removeprefix(_MAPPED)


def block_of(text: str) -> Block:
    """
    Return the block that a text spells, as `10.0.0.0/24`; what its address has beyond the mask does not count.

    Raises:
        ValueError: The text spells none; EventBridge's reason.

    """
    # Java's `split` drops empty parts at the end, and EventBridge splits so.
    parts = text.rstrip("/").split("/")
    if len(parts) != 2:
        raise ValueError("Malformed CIDR, one '/' required")
    if _BITS.fullmatch(parts[1]) is None or not -_MOST_BITS <= int(parts[1]) < _MOST_BITS:
        raise ValueError("Malformed CIDR, mask bits must be an integer")
    bits = int(parts[1])
    if bits < 0:
        raise ValueError("Malformed CIDR, mask bits must not be negative")
    address = address_of(parts[0])
    if address is None:
        spelled = _IPV4.fullmatch(parts[0]) or _IPV6.fullmatch(parts[0])
        raise ValueError(f"{'Invalid' if spelled else 'Nonstandard'} IP address: {parts[0]}")
    if bits >= 8 * len(address):
        raise ValueError(f"IPv{4 if len(address) == 4 else 6} mask bits must be < {8 * len(address)}")
    return Block(bits, int.from_bytes(address) >> 8 * len(address) - bits)
