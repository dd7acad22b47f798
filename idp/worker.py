"""The process beside the server: `python -m idp.worker` delivers the outbox and runs the jobs of app.JOBS until SIGTERM.

Each job is one short transaction, or several where there is much to do; a job or delivery that fails is logged and comes again. Several workers at
once do no harm.
Each kind of outbox item has threads of its own, and a thread that is free takes the next lane: no kind waits for another, no lane for a batch.
"""

import logging
import signal
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from datetime import datetime
from typing import Self

from flask import Flask

from idp.app import JOBS, create_app, handlers
from idp.db import session, transaction
from idp.oidc import backchannel, logos
from idp.outbox import queue
from idp.outbox.queue import Claimed, Handler
from idp.web import Runtime, runtime

SWEEP_SECONDS = 60.0
OUTBOX_SECONDS = 1.0
# How often at most a job that leaves something over comes again at once.
BATCHES = 50
# Deliveries at once; each needs a database connection for a moment only.
THREADS = 8
# An outgoing call takes 5 s at most (outbound.WHOLE_SECONDS) and a lane that failed rests 30 s. So 32 receivers of logout tokens that hang hold up
# nobody, and each further 32 of them hold up the others for 5 s in 30.
THREADS_OF = {backchannel.LOGOUT_TOKEN: 32, logos.LOGO: 2}
log = logging.getLogger(__name__)

Job = Callable[[datetime], object]


def run_once(app: Flask, jobs: Sequence[Job]) -> int:
    """Run each job in a transaction of its own, and again while it says that there is more; how many failed."""
    failed = 0
    for job in jobs:
        with app.app_context():
            try:
                for _ in range(BATCHES):
                    with transaction():
                        more = job(runtime().adapters.clock.now())
                    if more is not True:
                        break
            except Exception:
                log.exception("job %s.%s failed", job.__module__, job.__qualname__)
                failed += 1
            finally:
                session.remove()
    return failed


class Deliveries:
    """What one process has under way of some kinds: an item a thread, and of a lane one at a time."""

    def __init__(self, app: Flask, handlers_: Mapping[str, Handler], threads: int = THREADS) -> None:
        """Nothing yet; only kinds that have a handler here are ever claimed."""
        self._app, self._handlers, self._threads = app, handlers_, threads
        self._pool = ThreadPoolExecutor(threads)
        self._under_way: dict[Future[None], Claimed] = {}

    def start(self) -> int:
        """Claim as much of what is due as there are free threads, each delivered outside any transaction; how many items. Waits for none."""
        self.wait(0)
        free = self._threads - len(self._under_way)
        if not free:
            return 0
        with self._app.app_context():
            now = runtime().adapters.clock.now()
            with transaction():
                claimed = queue.claim(now, free, self._handlers, self._under_way.values())
            session.remove()
        for item in claimed:
            self._under_way[self._pool.submit(_deliver, self._app, item, self._handlers, now)] = item
        return len(claimed)

    def wait(self, seconds: float) -> bool:
        """Wait until one of them is done, at most so long; whether any is under way still."""
        done, _ = wait(self._under_way, seconds, FIRST_COMPLETED)
        for future in done:
            item, error = self._under_way.pop(future), future.exception()
            if error is not None:
                log.error("outbox item %s (%s) could not be settled", item.id, item.kind, exc_info=error)
        return bool(self._under_way)

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """What is under way is finished first."""
        self._pool.shutdown()
        self.wait(0)


def deliver(app: Flask, handlers_: Mapping[str, Handler]) -> int:
    """Deliver what is due now, as far as there are threads, and wait for it; how many items were claimed."""
    with Deliveries(app, handlers_) as deliveries:
        return deliveries.start()


def _deliver(app: Flask, item: Claimed, handlers_: Mapping[str, Handler], now: datetime) -> None:
    with app.app_context():
        try:
            left = _left_the_house(item, handlers_)
            with transaction():
                queue.delivered(item) if left else queue.failed(item, now)
        finally:
            session.remove()


def _left_the_house(item: Claimed, handlers_: Mapping[str, Handler]) -> bool:
    queue.delivering.set(item.key)
    try:
        handlers_[item.kind](item.payload)
    except Exception:
        log.exception("outbox item %s (%s) failed", item.id, item.kind)
        return False
    return True


def _keep_delivering(app: Flask, kind: str, handler: Handler, done: threading.Event) -> None:
    with Deliveries(app, {kind: handler}, THREADS_OF.get(kind, THREADS)) as deliveries:
        while not done.is_set():
            try:
                found = deliveries.start()
            except Exception:
                log.exception("delivering failed")
                found = 0
            if not found and not deliveries.wait(OUTBOX_SECONDS):
                done.wait(OUTBOX_SECONDS)


def main() -> None:
    """Run until SIGTERM or SIGINT; what is under way is finished first."""
    done = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: done.set())
    app = create_app()
    held: Runtime = app.extensions["idp"]
    due = handlers(held.adapters, held.settings, held.secret)
    loops = [threading.Thread(target=_keep_delivering, args=(app, kind, handler, done)) for kind, handler in due.items()]
    for loop in loops:
        loop.start()
    while not done.is_set():
        run_once(app, JOBS)
        done.wait(SWEEP_SECONDS)
    for loop in loops:
        loop.join()


if __name__ == "__main__":
    main()
