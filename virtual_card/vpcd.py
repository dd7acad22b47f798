"""A card in a slot of vpcd, the virtual reader: every message is a 2-byte length and either a command APDU or one byte of control.

Source: vsmartcard, virtualsmartcard/src/vpcd/vpcd.h.
"""

import socket
import struct
import threading
import time
from contextlib import suppress

from virtual_card.piv import Card

GIVE_ATR = 4
ATR = bytes.fromhex("3B80800101")  # T=0 and T=1, no historical bytes, checksum
PATIENCE_SECONDS = 10.0


class Inserted:
    """A card that answers the reader at `port` of this machine until it is pulled."""

    def __init__(self, card: Card, port: int) -> None:
        """Put `card` in."""
        self.card = card
        self.seen = threading.Event()  # the reader has asked for the ATR
        self.pull_at: int | None = None
        self.gone_at = 0.0  # by the monotonic clock
        self._connection = _connected(port)
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def pull(self) -> None:
        """Take the card out; it loses power."""
        with suppress(OSError):  # the reader went first
            self._connection.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._connection.close()

    def _serve(self) -> None:
        with suppress(OSError):
            while message := self._receive():
                if not self._react(message):
                    break
        self.card.power_off()
        with suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)
        self.gone_at = time.monotonic()

    def _react(self, message: bytes) -> bool:
        """Answer; False when this is where somebody pulls the card."""
        if len(message) == 1:
            self._control(message[0])
            return True
        if self.pull_at == message[1]:
            return False
        self._send(self.card.answer(message))
        return True

    def _control(self, code: int) -> None:
        if code == GIVE_ATR:
            self._send(ATR)
            self.seen.set()
        else:  # off, on, reset: each time the card begins anew
            self.card.power_off()

    def _send(self, answer: bytes) -> None:
        self._connection.sendall(struct.pack(">H", len(answer)) + answer)

    def _receive(self) -> bytes:
        size = self._exactly(2)
        return self._exactly(int.from_bytes(size, "big")) if size else b""

    def _exactly(self, count: int) -> bytes:
        """`count` bytes; nothing when the reader is gone."""
        parts = bytearray()
        while len(parts) < count:
            part = self._connection.recv(count - len(parts))
            # without it the reader's second small packet waits 40 ms for our acknowledgement (Nagle)
            self._connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
            if not part:
                return b""
            parts += part
        return bytes(parts)


def _connected(port: int) -> socket.socket:
    """A connection to vpcd, which may just be starting."""
    end = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            connection = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_SECONDS)
        except ConnectionRefusedError:
            if time.monotonic() > end:
                raise
            time.sleep(0.02)
        else:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.settimeout(None)
            return connection
