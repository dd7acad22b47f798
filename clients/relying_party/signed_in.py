"""What this process remembers of its visitors. The cookie holds a random handle only; the process's end signs everybody out.

Also serves as authlib's cache, so that PKCE verifier and nonce stay on the server between the two redirects.
"""

import secrets
import threading
import time
from collections import OrderedDict
from typing import Any

MOST_ENTRIES = 10_000


class Memory:
    """Values with an end, at most MOST_ENTRIES of them (the oldest goes first)."""

    def __init__(self) -> None:
        """Empty."""
        self._entries: OrderedDict[str, tuple[float, Any]] = OrderedDict()
        self._lock = threading.Lock()

    def set(self, key: str, value: Any, seconds: float) -> None:
        """Keep `value` for `seconds`."""
        with self._lock:
            self._entries[key] = (time.monotonic() + seconds, value)
            self._entries.move_to_end(key)
            while len(self._entries) > MOST_ENTRIES:
                self._entries.popitem(last=False)

    def get(self, key: str) -> Any:
        """The value, None if unknown or over."""
        with self._lock:
            end, value = self._entries.get(key, (0.0, None))
            return value if time.monotonic() < end else None

    def delete(self, key: str) -> None:
        """Forget it."""
        with self._lock:
            self._entries.pop(key, None)

    def keep(self, value: Any, seconds: float) -> str:
        """Keep `value` under a fresh handle (256 bits)."""
        handle = secrets.token_urlsafe(32)
        self.set(handle, value, seconds)
        return handle
