"""
Which tenants' attributes were sent already: said again only when they changed.

Every event says what is known of its tenant. Of an object's the loop lets the newest through; this remembers what was
delivered last, in memory: after a start each tenant's attributes are sent once more, which changes nothing there.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from threading import Lock

MOST_TENANTS = 100_000


class Sent:
    """
    What was delivered last of each slot, as a digest; the slots that were used last. Any thread may ask.
    """

    def __init__(self, most: int = MOST_TENANTS) -> None:
        """
        Remember at most so many slots: some 200 bytes each.
        """
        self._most = most
        self._digests: OrderedDict[str, bytes] = OrderedDict()
        self._lock = Lock()

    def has(self, slot: str, state: bytes) -> bool:
        """
        Tell whether this was the last that was delivered of a slot.
        """
        with self._lock:
            known = self._digests.get(slot)
            if known is not None:
                self._digests.move_to_end(slot)
        return known == _digest(state)

    def keep(self, slot: str, state: bytes) -> None:
        """
        Remember what was delivered.
        """
        with self._lock:
            self._digests[slot] = _digest(state)
            self._digests.move_to_end(slot)
            if len(self._digests) > self._most:
                self._digests.popitem(last=False)

    def forget(self, slot: str) -> None:
        """
        Know nothing of a slot, where it is not certain what is there.
        """
        with self._lock:
            self._digests.pop(slot, None)


def _digest(state: bytes) -> bytes:
    return hashlib.blake2b(state, digest_size=16).digest()
