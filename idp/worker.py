"""One loop beside the server: `python -m idp.worker` runs the jobs of app.JOBS once a minute until SIGTERM.

Each job is one short transaction; a job that fails is logged and comes again. Several workers at once do no harm.
"""

import logging
import signal
import threading
from collections.abc import Callable, Sequence
from datetime import datetime

from flask import Flask

from idp.app import JOBS, create_app
from idp.db import session, transaction
from idp.web import runtime

EVERY_SECONDS = 60
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


def main() -> None:
    """Run until SIGTERM or SIGINT; the job under way is finished first."""
    done = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: done.set())
    app = create_app()
    while not done.is_set():
        run_once(app, JOBS)
        done.wait(EVERY_SECONDS)


if __name__ == "__main__":
    main()
