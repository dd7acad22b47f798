"""The demo as `make demo` starts it, on free ports; and what a person's eyes read off a captcha."""

import os
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from playwright.sync_api import Page

from idp import opaque_tokens
from idp.captcha.rules import PURPOSE

ROOT = Path(__file__).parent.parent.parent
SYSTEMS = 8
LOWEST_PORT, PORTS_END = 18_000, 32_700  # below the range that systems give to outgoing connections
PATIENCE_SECONDS = 120
SEATED = ("setsid", "--ctty")  # makes standard input the terminal
SECRET_NAMES = ("IDP_", "AUTHLIB_")


def free_ports() -> int:
    """The first of ten ports in a row that nobody listens on."""
    own = LOWEST_PORT + os.getpid() * 20 % (PORTS_END - LOWEST_PORT)
    for first in chain(range(own, PORTS_END, SYSTEMS + 2), range(LOWEST_PORT, own, SYSTEMS + 2)):
        if all(_free(port) for port in range(first, first + SYSTEMS + 2)):
            return first
    raise AssertionError("no free ports")


def _free(port: int) -> bool:
    with closing(socket.socket()) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


@dataclass(frozen=True)
class Demo:
    """One demo: its folder and its first port (the platform's; the business systems and the e-key driver follow)."""

    state: Path
    port: int

    @property
    def issuer(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def system(self, number: int) -> str:
        """Address of the business system number 1 to 8."""
        return f"http://127.0.0.1:{self.port + number}"

    def command(self) -> list[str]:
        return [sys.executable, "-m", "demo", "--state", str(self.state), "--systems-port", str(self.port + 1)]

    def environment(self) -> dict[str, str]:
        clean = {name: value for name, value in os.environ.items() if not name.startswith(SECRET_NAMES)}
        clean.pop("DISPLAY", None)  # the PIN is asked on the terminal
        return {**clean, "IDP_ISSUER": self.issuer, "IDP_AGENT_PORT": str(self.port + SYSTEMS + 1)}

    def idp(self, *words: str | Path) -> None:
        """Run `idp WORDS…` on the demo's data; rows that are left out are no fault."""
        command = [Path(sys.executable).with_name("idp"), *words]
        ended = subprocess.run(command, cwd=ROOT, env={**self.environment(), "IDP_DATA_DIR": str(self.state / "platform")}, check=False)
        assert ended.returncode in (0, 3), words

    def said(self) -> str:
        """What it has printed since it was started, messages that the worker would have sent among it."""
        return self.state.with_suffix(".log").read_text("utf-8")

    def card(self, *words: str) -> None:
        """Put a card into the reader or pull it, as a person does at another terminal."""
        subprocess.run([sys.executable, "-m", "demo", "--state", str(self.state), "card", *words], cwd=ROOT, check=True)

    def restore(self, prepared: Path) -> None:
        """Start over from a copy of the prepared state."""
        shutil.rmtree(self.state, ignore_errors=True)
        shutil.copytree(prepared, self.state)

    @contextmanager
    def running(self, terminal: int = subprocess.DEVNULL) -> Iterator["Started"]:
        """Start, at this terminal if one is given, wait for the table of addresses, end as Ctrl-C ends it."""
        started = time.monotonic()
        out = self.state.with_suffix(".log")
        with out.open("w+") as log:
            process = subprocess.Popen(
                [*SEATED, *self.command()] if terminal >= 0 else self.command(),
                env=self.environment(),
                cwd=ROOT,
                stdin=terminal,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
            try:
                _wait_for_table(process, out)
                yield Started(process, out, time.monotonic() - started)
            finally:
                process.send_signal(signal.SIGINT)
                process.wait(20)

    def read_captcha(self, challenge_id: str) -> str:
        """What the picture shows, unsealed with the platform's own secret."""
        with closing(sqlite3.connect(self.state / "platform" / "idp.db")) as database:
            row = database.execute("SELECT sealed_answer FROM captcha_challenges WHERE id = ?", (challenge_id,)).fetchone()
        return opaque_tokens.unseal((self.state / "platform" / "secret.key").read_text().strip(), PURPOSE, row[0])

    def pass_captcha(self, page: Page) -> None:
        """Without scripts the picture is read; else the browser works while the form is filled in."""
        page.wait_for_load_state("load")  # by then a script has put the picture away
        if page.locator("[name=captcha]").is_visible():
            page.fill("[name=captcha]", self.read_captcha(page.locator("[name=captcha_id]").input_value()))

    def read_code(self, recipient: str, number: int = 1) -> str:
        """The newest code that the worker printed instead of sending, once so many have come; it comes within seconds."""
        end = time.monotonic() + 20
        while len(said := re.findall(rf"to {re.escape(recipient)}:.*?(?<!\d)(\d{{6}})(?!\d)", self.said())) < number:
            assert time.monotonic() < end, "no code was printed"
            time.sleep(0.1)
        return str(said[-1])


@dataclass(frozen=True)
class Started:
    """A demo that answers: its process, its output, how long it took."""

    process: subprocess.Popen[bytes]
    log: Path
    seconds: float


class Prepared(NamedTuple):
    """A demo that was started once, a copy of what it prepared, and how long that took."""

    demo: Demo
    copy: Path
    seconds: float


def _wait_for_table(process: subprocess.Popen[bytes], out: Path) -> None:
    end = time.monotonic() + PATIENCE_SECONDS
    while "Ctrl-C" not in (said := out.read_text("utf-8")):
        assert process.poll() is None, said
        assert time.monotonic() < end, said
        time.sleep(0.05)
