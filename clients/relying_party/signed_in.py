"""What this process remembers of its visitors. The cookie holds a random handle only; the process's end signs everybody out.

Two stores with a cap each: who is signed in, and (authlib's cache) the state, nonce and PKCE verifier of sign-ins under way, which anybody
can begin: a flood of those must push out nobody who is signed in.
"""

import secrets
import threading
import time
from collections import OrderedDict
from typing import Any

MOST_SIGNED_IN = 10_000
MOST_UNDER_WAY = 10_000
# only the platform can add to these
MOST_EVENTS = 100_000


class Memory:
    """Values with an end, at most `most` of them (the oldest goes first)."""

    def __init__(self, most: int) -> None:
        """Empty."""
        self._most = most
        self._entries: OrderedDict[str, tuple[float, Any]] = OrderedDict()
        self._lock = threading.Lock()

    def set(self, key: str, value: Any, seconds: float) -> None:
        """Keep `value` for `seconds`."""
        with self._lock:
            self._put(key, value, seconds)

    def _put(self, key: str, value: Any, seconds: float) -> None:
        self._entries[key] = (time.monotonic() + seconds, value)
        self._entries.move_to_end(key)
        while len(self._entries) > self._most:
            self._entries.popitem(last=False)

    def get(self, key: str) -> Any:
        """The value, None if unknown or over."""
        with self._lock:
            end, value = self._entries.get(key, (0.0, None))
            return value if time.monotonic() < end else None

    def first(self, key: str, seconds: float) -> bool:
        """Keep `key` for `seconds`; False if it is there already."""
        with self._lock:
            if time.monotonic() < self._entries.get(key, (0.0, None))[0]:
                return False
            self._put(key, True, seconds)
            return True

    def delete_people(self, sid: str | None, sub: str | None) -> int:
        """Forget everybody of this session at the platform, or, where no session is named, of this subject; returns how many."""
        with self._lock:
            found = [key for key, (_end, value) in self._entries.items() if _is(value, sid, sub)]
            for key in found:
                del self._entries[key]
        return len(found)

    def rename_people(self, old: str, new: str) -> int:
        """Whoever is here as the subject `old` is here as `new` from now on; returns how many."""
        with self._lock:
            found = [value for _end, value in self._entries.values() if _is(value, None, old)]
            for value in found:
                value["claims"]["sub"] = value["told"]["sub"] = new
        return len(found)

    def delete(self, key: str) -> None:
        """Forget it."""
        with self._lock:
            self._entries.pop(key, None)

    def keep(self, value: Any, seconds: float) -> str:
        """Keep `value` under a fresh handle (256 bits)."""
        handle = secrets.token_urlsafe(32)
        self.set(handle, value, seconds)
        return handle


def _is(value: Any, sid: str | None, sub: str | None) -> bool:
    if not isinstance(value, dict) or "claims" not in value:
        return False
    claims = value["claims"]
    return bool(claims.get("sid") == sid) if sid is not None else bool(claims.get("sub") == sub)
