"""Platform passwords at rest: argon2id, at most so many at once in a process (each takes its whole memory)."""

import os
from functools import lru_cache
from threading import Semaphore

from passlib.hash import argon2

LANES = 1


class Hasher:
    """argon2id with fixed cost behind a semaphore. Never call it inside a transaction: it takes 20 ms and more."""

    def __init__(self, memory_kib: int, passes: int, concurrency: int) -> None:
        """`concurrency` 0 = number of cores."""
        self._scheme = argon2.using(type="ID", memory_cost=memory_kib, time_cost=passes, parallelism=LANES)
        self._gate = Semaphore(concurrency or os.cpu_count() or 1)
        self._dummy = self.hash("the password of nobody")

    def hash(self, password: str) -> str:
        """The hash to store."""
        with self._gate:
            return str(self._scheme.hash(password.encode("utf-8", "surrogatepass")))

    def verify(self, password: str, stored: str | None) -> bool:
        """Whether it fits; None stands for nobody's hash and costs the same (F: no probing by time)."""
        with self._gate:
            fits = bool(self._scheme.verify(password.encode("utf-8", "surrogatepass"), stored or self._dummy))
        return fits and stored is not None

    def outdated(self, stored: str) -> bool:
        """Whether it was made with less cost than is now set."""
        return bool(self._scheme.needs_update(stored))


@lru_cache(maxsize=4)
def hasher(memory_kib: int, passes: int, concurrency: int) -> Hasher:
    """The one Hasher of this process for these costs."""
    return Hasher(memory_kib, passes, concurrency)
