"""Insertions and removals, for pages that listen: one watcher, a queue each."""

import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from idp.ekey.agent.cards import Readers, ReaderState

MOST_LISTENERS = 8
Event = tuple[str, str]  # "inserted" or "removed", and the reader


def differences(before: list[ReaderState], after: list[ReaderState]) -> list[Event]:
    """What happened between two looks; a reader that goes takes its card along."""
    held, holds = ({state.name for state in states if state.card} for states in (before, after))
    return [("removed", name) for name in sorted(held - holds)] + [("inserted", name) for name in sorted(holds - held)]


class Events:
    """Tells everybody who listens."""

    def __init__(self, readers: Readers) -> None:
        """Nothing is watched before `watch`."""
        self._readers = readers
        self._lock = threading.Lock()
        self._listeners: list[queue.Queue[Event]] = []

    def watch(self, stop: threading.Event) -> None:
        """Watch until `stop` is set, which is looked at every second."""
        before: list[ReaderState] | None = None
        for after in self._readers.changes():
            if stop.is_set():
                return
            for event in differences(before, after) if before is not None else []:
                self._tell(event)
            before = after

    def _tell(self, event: Event) -> None:
        with self._lock:
            for listener in self._listeners:
                listener.put(event)

    @contextmanager
    def listening(self) -> Iterator["queue.Queue[Event] | None"]:
        """A queue of what happens from now on; None when too many listen already."""
        mine: queue.Queue[Event] = queue.Queue()
        with self._lock:
            crowded = len(self._listeners) >= MOST_LISTENERS
            if not crowded:
                self._listeners.append(mine)
        try:
            yield None if crowded else mine
        finally:
            with self._lock:
                self._listeners = [listener for listener in self._listeners if listener is not mine]
