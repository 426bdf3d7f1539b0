"""
Do something every so often in a thread of its own, whatever becomes of one time.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

_LOG = logging.getLogger(__name__)


class Repeat:
    """
    A thread that acts every few seconds until it is stopped; an act that fails is logged, and the next one comes.
    """

    def __init__(self, name: str, seconds: float, act: Callable[[], object]) -> None:
        """
        Call `act`, without arguments, every `seconds`, the first time after as many.
        """
        self._seconds = seconds
        self._act = act
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """
        Start the thread.
        """
        self._thread.start()

    def stop(self) -> None:
        """
        End the thread.
        """
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(self._seconds):
            try:
                self._act()
            except Exception as error:  # noqa: BLE001 - whatever it is, the next time may go well
                _LOG.error("tried in vain, trying again", extra={"what": self._thread.name, "error": str(error)})
