"""A pcscd of our own: no root, no systemd, its own socket and its own reader with two slots.

pcscd takes its socket as systemd gives it: `LISTEN_FDS=1`, file descriptor 3, `LISTEN_PID` its own number. Clients follow `PCSCLITE_CSOCK_NAME`.
"""

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

DRIVER = Path("/usr/lib/pcsc/drivers/serial/libifdvpcd.so")
READER = 'FRIENDLYNAME "Virtual PCD"\nDEVICENAME /dev/null:0x{port:04X}\nLIBPATH {driver}\nCHANNELID 0x{port:04X}\n'
SLOTS = 2
LOWEST_PORT, PORTS_END = 21100, 32700  # below the range that systems give to outgoing connections
GRACE_SECONDS = 5


class Missing(Exception):
    """Something this machine does not have; the text says what to install."""


def program() -> str:
    """Where pcscd stands; Missing if it or the virtual reader's driver is not installed."""
    found = shutil.which("pcscd", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if not found or not DRIVER.exists():
        raise Missing("The virtual card needs the Debian packages pcscd and vsmartcard-vpcd.")
    return found


def _free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_ports() -> int:
    """The first of as many free ports in a row as the reader has slots."""
    return next(port for port in range(LOWEST_PORT, PORTS_END, SLOTS) if all(_free(port + slot) for slot in range(SLOTS)))


def _environment(folder: Path) -> dict[str, str]:
    # an empty folder of drivers: readers that are really plugged in stay with the system's own daemon
    none = folder / "no-usb-drivers"
    none.mkdir(exist_ok=True)
    return {**os.environ, "LISTEN_FDS": "1", "PCSCLITE_HP_DROPDIR": str(none)}


@contextmanager
def running(folder: Path, socket_path: Path) -> Iterator[int]:
    """A daemon that listens at `socket_path` and keeps its files in `folder`; yields the port of the first slot."""
    readers = folder / "readers"
    readers.mkdir(exist_ok=True)
    port = free_ports()
    (readers / "virtual").write_text(READER.format(port=port, driver=DRIVER))
    with socket.socket(socket.AF_UNIX) as listening, (folder / "pcscd.log").open("wb") as log:
        listening.bind(str(socket_path))
        listening.listen()
        script = f'LISTEN_PID=$$ exec "$0" --foreground --config "$1" 3<&{listening.fileno()}'
        command = ["/bin/sh", "-c", script, program(), str(readers)]
        process = subprocess.Popen(command, pass_fds=(listening.fileno(),), env=_environment(folder), stdout=log, stderr=log)  # noqa: S603  # fixed command
    try:
        yield port
    finally:
        process.terminate()
        try:
            process.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
