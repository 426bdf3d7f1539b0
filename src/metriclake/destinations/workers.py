"""
Threads that send requests. None of them keeps the process from ending: a host that never answers does not either.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable


class Workers:
    """
    At most so many threads, started when there is work for them.
    """

    def __init__(self, name: str, most: int) -> None:
        """
        Begin without a thread.
        """
        self._name = name
        self._most = most
        self._tasks: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._started = 0
        self._free = threading.Semaphore(0)

    def do(self, task: Callable[[], None]) -> None:
        """
        Have a task done, which does not raise.
        """
        if not self._free.acquire(blocking=False) and self._started < self._most:
            self._started += 1
            threading.Thread(target=self._work, name=f"{self._name}-{self._started}", daemon=True).start()
        self._tasks.put(task)

    def close(self) -> None:
        """
        Let the threads end when they have done what they are at; does not wait for them.
        """
        for _ in range(self._started):
            self._tasks.put(None)

    def _work(self) -> None:
        while True:
            task = self._tasks.get()
            if task is None:
                return
            task()
            self._free.release()
