"""A reader with two slots that others find over PC/SC: start it, put cards in, pull them out."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import IO

from virtual_card import daemon
from virtual_card.inside import OWN_NETWORK

SELECT, GET_DATA, VERIFY, SIGN = "A4", "CB", "20", "87"
ROOT = Path(__file__).parent.parent


class Broken(Exception):
    """The reader's process ended or could not do what was asked."""


@cache
def _own_network() -> tuple[str, ...]:
    """The prefix that runs a command in a network of its own; nothing where the system does not allow that."""
    command = ("unshare", "--user", "--map-root-user", "--net")
    if not shutil.which(command[0]):
        return ()
    allowed = subprocess.run([*command, "true"], check=False, capture_output=True).returncode == 0  # noqa: S603  # fixed command
    return command if allowed else ()


class Reader:
    """Slots 0 and 1. `socket` is where its clients go: the value of PCSCLITE_CSOCK_NAME."""

    def __init__(self, process: subprocess.Popen[str], socket: Path) -> None:
        """Speak to this process of virtual_card.inside."""
        self.socket = socket
        self._process = process

    @property
    def environment(self) -> dict[str, str]:
        """What a client process needs to find this reader."""
        return {**os.environ, "PCSCLITE_CSOCK_NAME": str(self.socket)}

    def insert(self, card: Path, slot: int = 0) -> None:
        """Put the card of this file in; returns once the reader has noticed."""
        self._tell(f"insert {slot} {card}")

    def remove(self, slot: int = 0) -> None:
        """Pull the card out."""
        self._tell(f"remove {slot}")

    def pull_at(self, moment: str, slot: int = 0) -> None:
        """Pull the card when the reader sends it instruction byte, such as VERIFY."""
        self._tell(f"pull {slot} {moment}")

    def _tell(self, line: str) -> None:
        commands, answers = _pipes(self._process)
        commands.write(f"{line}\n")
        commands.flush()
        answer = answers.readline().strip()
        if answer != "ok":
            raise Broken(f"{line}: {answer or 'the virtual reader has ended'}")


def _pipes(process: subprocess.Popen[str]) -> tuple[IO[str], IO[str]]:
    if process.stdin is None or process.stdout is None:
        raise Broken("started without pipes")
    return process.stdin, process.stdout


@contextmanager
def virtual_reader() -> Iterator[Reader]:
    """An empty reader that ends with the block, or with this process. Missing if the machine lacks pcscd or the driver."""
    daemon.program()
    folder = Path(tempfile.mkdtemp(prefix="card-"))  # short: a socket's path has at most 107 bytes
    socket = folder / "pcscd.comm"
    network = _own_network()
    command = [*network, sys.executable, "-m", "virtual_card.inside", str(folder), str(socket)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), OWN_NETWORK: "yes" if network else ""}
    pipe = subprocess.PIPE
    process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=environment, start_new_session=True)  # noqa: S603  # fixed command
    try:
        if _pipes(process)[1].readline() != "ready\n":
            raise Broken("the virtual reader did not start")
        yield Reader(process, socket)
    finally:
        for pipe_end in _pipes(process):
            pipe_end.close()
        process.wait(2 * daemon.GRACE_SECONDS)
        shutil.rmtree(folder)
