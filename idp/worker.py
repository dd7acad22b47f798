"""One loop beside the server: `python -m idp.worker` delivers the outbox and runs the jobs of app.JOBS until SIGTERM.

Each job is one short transaction; a job or delivery that fails is logged and comes again. Several workers at once do no harm.
"""

import logging
import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from flask import Flask

from idp.app import JOBS, create_app, handlers
from idp.db import session, transaction
from idp.outbox import queue
from idp.outbox.queue import Claimed, Handler
from idp.web import Runtime, runtime

SWEEP_SECONDS = 60.0
OUTBOX_SECONDS = 1.0
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


def deliver(app: Flask, handlers_: Mapping[str, Handler]) -> int:
    """Deliver what is due, each outside any transaction; how many items were claimed."""
    with app.app_context():
        now = runtime().adapters.clock.now()
        with transaction():
            claimed = queue.claim(now)
        for item in claimed:
            left = _left_the_house(item, handlers_)
            with transaction():
                queue.delivered(item) if left else queue.failed(item, now)
        session.remove()
    return len(claimed)


def _left_the_house(item: Claimed, handlers_: Mapping[str, Handler]) -> bool:
    try:
        handlers_[item.kind](item.payload)
    except Exception:
        log.exception("outbox item %s (%s) failed", item.id, item.kind)
        return False
    return True


def main() -> None:
    """Run until SIGTERM or SIGINT; the job under way is finished first."""
    done = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: done.set())
    app = create_app()
    held: Runtime = app.extensions["idp"]
    due = handlers(held.adapters, held.settings, held.secret)
    swept = 0.0
    while not done.is_set():
        if time.monotonic() - swept >= SWEEP_SECONDS:
            run_once(app, JOBS)
            swept = time.monotonic()
        if not deliver(app, due):
            done.wait(OUTBOX_SECONDS)


if __name__ == "__main__":
    main()
