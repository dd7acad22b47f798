"""The process that holds daemon and cards; in a network of its own, because vpcd listens to everybody (0.0.0.0).

Takes a line a command on standard input: `insert SLOT FILE`, `remove SLOT`, `pull SLOT INSTRUCTION` (hexadecimal: the card goes when the reader
sends this). Answers a line each: `ok` or the fault. Ends with its input, that is, with whoever started it.
"""

import fcntl
import os
import socket
import struct
import sys
import time
from collections.abc import Callable
from pathlib import Path

from virtual_card import daemon
from virtual_card.card_file import CardFile
from virtual_card.piv import Card
from virtual_card.vpcd import PATIENCE_SECONDS, Inserted

SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1  # <linux/sockios.h>, <linux/if.h>
EMPTY_SECONDS = 0.8
OWN_NETWORK = "VIRTUAL_CARD_OWN_NETWORK"  # set by whoever made a network for this process


def _raise_loopback() -> None:
    """A new network has its loopback down."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as handle:
        request = struct.pack("16sh22x", b"lo", 0)
        _, flags = struct.unpack("16sh22x", fcntl.ioctl(handle, SIOCGIFFLAGS, request))
        fcntl.ioctl(handle, SIOCSIFFLAGS, struct.pack("16sh22x", b"lo", flags | IFF_UP))


class Slots:
    """What is in which slot."""

    def __init__(self, port: int) -> None:
        """Empty slots; the first one is at `port`."""
        self._port = port
        self._cards: dict[int, Inserted] = {}
        self._gone_at: dict[int, float] = {}

    def run(self, line: str) -> str:
        """Carry one command out; gives the answer."""
        verb, slot, what = f"{line} ".split(" ", 2)
        run: dict[str, Callable[[int, str], str]] = {"insert": self._insert, "remove": self._remove, "pull": self._pull}
        return run[verb](int(slot), what.strip())

    def _insert(self, slot: int, path: str) -> str:
        self._remove(slot)
        # pcscd looks every 0.4 s: a card that comes between two looks counts as the one that went, and is never announced
        time.sleep(max(0.0, self._gone_at.get(slot, 0.0) + EMPTY_SECONDS - time.monotonic()))
        self._cards[slot] = Inserted(Card(CardFile(Path(path))), self._port + slot)
        return "ok" if self._cards[slot].seen.wait(PATIENCE_SECONDS) else "the reader does not look at the card"

    def _remove(self, slot: int, _what: str = "") -> str:
        if slot in self._cards:
            card = self._cards.pop(slot)
            card.pull()
            self._gone_at[slot] = card.gone_at
        return "ok"

    def _pull(self, slot: int, instruction: str) -> str:
        self._cards[slot].pull_at = int(instruction, 16)
        return "ok"


def main() -> None:
    """Arguments: a folder for files, the path of the daemon's socket."""
    folder, path = (Path(argument) for argument in sys.argv[1:])
    if os.environ.get(OWN_NETWORK):
        _raise_loopback()
    with daemon.running(folder, path) as port:
        slots = Slots(port)
        print("ready", flush=True)  # noqa: T201  # the protocol of this process
        for line in sys.stdin:
            print(slots.run(line.rstrip("\n")), flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
