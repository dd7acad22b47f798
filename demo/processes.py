"""Child processes that never outlive the demo, and the wait until they answer."""

import ctypes
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from urllib.parse import urlsplit

PATIENCE_SECONDS = 30
GRACE_SECONDS = 5
PR_SET_PDEATHSIG = 1  # <linux/prctl.h>
LIBC = ctypes.CDLL(None)


class Failed(Exception):
    """Something could not be prepared or started; the text is for the person at the terminal."""


@dataclass(frozen=True)
class Child:
    """What to start."""

    name: str
    arguments: Sequence[str]
    environment: Mapping[str, str]
    terminal: bool = False  # asks the person at the terminal, so Ctrl-C reaches it too


@dataclass(frozen=True)
class Running:
    """A started child."""

    name: str
    process: subprocess.Popen[bytes]

    def must_be_running(self) -> None:
        """Failed if the child has ended by itself."""
        if self.process.poll() is not None:
            raise Failed(f"{self.name}: ended with exit code {self.process.returncode}; the reason stands above")


def _die_with_parent() -> None:
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


@contextmanager
def running(child: Child) -> Iterator[Running]:
    """Start `child` in a process group of its own (Ctrl-C is ours to pass on) and end the whole group afterwards; in ours if it has the terminal."""
    process = subprocess.Popen(  # noqa: S603  # fixed commands
        child.arguments,
        env=dict(child.environment),
        stdin=None if child.terminal else subprocess.DEVNULL,
        stdout=subprocess.DEVNULL if child.terminal else None,
        start_new_session=not child.terminal,
        preexec_fn=_die_with_parent,  # no threads run yet
    )
    try:
        yield Running(child.name, process)
    finally:
        _end(process, os.getpgid(0) if child.terminal else process.pid)


def _end(process: subprocess.Popen[bytes], group: int) -> None:
    """SIGTERM, then after a grace SIGKILL for whatever of its own group is left."""
    if process.poll() is None:
        process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(GRACE_SECONDS)
    with suppress(ProcessLookupError):
        if group == process.pid:
            os.killpg(group, signal.SIGKILL)
        else:
            process.kill()
    process.wait()


def wait_until_up(child: Running, url: str, host: str, done: threading.Event) -> None:
    """Until `url` answers below 500 (with this Host header); Failed if the child ends or 30 seconds pass."""
    end = time.monotonic() + PATIENCE_SECONDS
    while not done.is_set():
        child.must_be_running()
        status = _status(url, host)
        if status and status < 500:
            return
        if time.monotonic() > end:
            raise Failed(f"{child.name}: {url} does not answer ({status or 'no connection'})")
        done.wait(0.05)


def _status(url: str, host: str) -> int | None:
    parts = urlsplit(url)
    connection = HTTPConnection(parts.hostname or "", parts.port, timeout=5)
    try:
        connection.request("GET", parts.path, headers={"Host": host})
        return connection.getresponse().status
    except (OSError, HTTPException):
        return None
    finally:
        connection.close()
