"""The process beside the server: `python -m idp.worker` delivers the outbox and runs the jobs of app.JOBS until SIGTERM.

Each job is one short transaction; a job or delivery that fails is logged and comes again. Several workers at once do no harm.
"""

import logging
import signal
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

from flask import Flask

from idp.app import JOBS, create_app, handlers
from idp.db import session, transaction
from idp.outbox import queue
from idp.outbox.queue import Claimed, Handler
from idp.web import Runtime, runtime

SWEEP_SECONDS = 60.0
OUTBOX_SECONDS = 1.0
DELIVERIES = 8  # at once; each needs a database connection for a moment
log = logging.getLogger(__name__)

Job = Callable[[datetime], object]


def run_once(app: Flask, jobs: Sequence[Job]) -> int:
    """Run each job in a transaction of its own; how many failed."""
    failed = 0
    for job in jobs:
        with app.app_context():
            try:
                with transaction():
                    job(runtime().adapters.clock.now())
            except Exception:
                log.exception("job %s.%s failed", job.__module__, job.__qualname__)
                failed += 1
            finally:
                session.remove()
    return failed


def deliver(app: Flask, handlers_: Mapping[str, Handler], laned: bool | None = None) -> int:
    """Deliver what is due, each outside any transaction, several at once; how many items were claimed. `laned`: see queue.claim."""
    with app.app_context():
        now = runtime().adapters.clock.now()
        with transaction():
            claimed = queue.claim(now, laned=laned)
        session.remove()
    if claimed:
        with ThreadPoolExecutor(DELIVERIES) as pool:
            list(pool.map(lambda item: _deliver(app, item, handlers_, now), claimed))
    return len(claimed)


def _deliver(app: Flask, item: Claimed, handlers_: Mapping[str, Handler], now: datetime) -> None:
    with app.app_context():
        try:
            left = _left_the_house(item, handlers_)
            with transaction():
                queue.delivered(item) if left else queue.failed(item, now)
        finally:
            session.remove()


def _left_the_house(item: Claimed, handlers_: Mapping[str, Handler]) -> bool:
    try:
        handlers_[item.kind](item.payload)
    except Exception:
        log.exception("outbox item %s (%s) failed", item.id, item.kind)
        return False
    return True


def _keep_delivering(app: Flask, handlers_: Mapping[str, Handler], laned: bool, done: threading.Event) -> None:
    while not done.is_set():
        try:
            found = deliver(app, handlers_, laned)
        except Exception:
            log.exception("delivering failed")
            found = 0
        if not found:
            done.wait(OUTBOX_SECONDS)


def main() -> None:
    """Run until SIGTERM or SIGINT; what is under way is finished first. Messages to people never wait for other people's servers."""
    done = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: done.set())
    app = create_app()
    held: Runtime = app.extensions["idp"]
    due = handlers(held.adapters, held.settings, held.secret)
    loops = [threading.Thread(target=_keep_delivering, args=(app, due, laned, done)) for laned in (False, True)]
    for loop in loops:
        loop.start()
    while not done.is_set():
        run_once(app, JOBS)
        done.wait(SWEEP_SECONDS)
    for loop in loops:
        loop.join()


if __name__ == "__main__":
    main()
