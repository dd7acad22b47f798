"""Readers over PC/SC (winscard; pcsc-lite elsewhere) by pyscard's plain functions: its classes keep threads and caches that outlive a card.

Every operation has a context of its own. A card is held in a transaction, which is always ended: one left open would block every program.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from smartcard import scard

from idp.ekey.agent.cards import CardFault, Code, ReaderState
from idp.ekey.agent.piv import PivCard

CHANGE_MILLISECONDS = 1000
GONE_MILLISECONDS = 1500  # a reader needs a moment to notice that its card is out
PLUG_AND_PLAY = "\\\\?PnP?\\Notification"  # the reader that stands for readers coming and going
GONE = {
    scard.SCARD_W_REMOVED_CARD,
    scard.SCARD_E_NO_SMARTCARD,
    scard.SCARD_E_READER_UNAVAILABLE,
    scard.SCARD_E_UNKNOWN_READER,
    scard.SCARD_W_UNPOWERED_CARD,
}
NO_READERS = {scard.SCARD_E_NO_READERS_AVAILABLE, scard.SCARD_E_READER_UNAVAILABLE}
PROTOCOLS = scard.SCARD_PROTOCOL_T0 | scard.SCARD_PROTOCOL_T1


class _Failed(Exception):
    """A function of PC/SC returned `code`."""

    def __init__(self, code: int) -> None:
        super().__init__(f"0x{code & 0xFFFFFFFF:08X}")
        self.code = code


def _must(result: Any) -> Any:
    """What a function gave besides its code: nothing, one value or several; _Failed unless it succeeded."""
    code, *values = result if isinstance(result, (list, tuple)) else (result,)
    if code != scard.SCARD_S_SUCCESS:
        raise _Failed(code)
    return values[0] if len(values) == 1 else values


@contextmanager
def _context() -> Iterator[Any]:
    context = _must(scard.SCardEstablishContext(scard.SCARD_SCOPE_USER))
    try:
        yield context
    finally:
        scard.SCardReleaseContext(context)


def _names(context: Any) -> list[str]:
    try:
        return list(_must(scard.SCardListReaders(context, [])))
    except _Failed as failed:
        if failed.code in NO_READERS:
            return []
        raise


def _look(context: Any, names: list[str]) -> list[tuple[str, int]]:
    """Name and state of each reader, now."""
    if not names:
        return []
    seen = _must(scard.SCardGetStatusChange(context, 0, [(name, scard.SCARD_STATE_UNAWARE) for name in names]))
    return [(name, state) for name, state, _ in seen]


def _states(seen: list[tuple[str, int]]) -> list[ReaderState]:
    return [ReaderState(name, bool(state & scard.SCARD_STATE_PRESENT)) for name, state in seen]


class PcscReaders:
    """The readers that PC/SC knows."""

    def states(self) -> list[ReaderState]:
        """All readers as they are now."""
        try:
            with _context() as context:
                return _states(_look(context, _names(context)))
        except _Failed as failed:
            raise CardFault(Code.PCSC) from failed

    def changes(self) -> Iterator[list[ReaderState]]:
        """The readers, and again at every change; waits without burning, also while there is no PC/SC service."""
        while True:
            try:
                with _context() as context:
                    while True:
                        seen = _look(context, _names(context))
                        yield _states(seen)
                        self._wait(context, seen)
            except _Failed:
                yield []
                threading.Event().wait(CHANGE_MILLISECONDS / 1000)

    def _wait(self, context: Any, seen: list[tuple[str, int]]) -> None:
        known = [(name, state & ~scard.SCARD_STATE_CHANGED) for name, state in seen] + [(PLUG_AND_PLAY, scard.SCARD_STATE_UNAWARE)]
        result = scard.SCardGetStatusChange(context, CHANGE_MILLISECONDS, known)
        if result[0] not in (scard.SCARD_S_SUCCESS, scard.SCARD_E_TIMEOUT):
            raise _Failed(result[0])

    @contextmanager
    def open(self, reader: str) -> Iterator[PivCard]:
        """The PIV card in `reader`, in a transaction. Reset afterwards, so that no program finds it open."""
        try:
            with _context() as context, _connected(context, reader) as (handle, protocol):
                yield PivCard(lambda command: _transmit(handle, protocol, command))
        except _Failed as failed:
            raise CardFault(_code(failed, reader)) from failed


@contextmanager
def _connected(context: Any, reader: str) -> Iterator[tuple[Any, int]]:
    handle, protocol = _must(scard.SCardConnect(context, reader, scard.SCARD_SHARE_SHARED, PROTOCOLS))
    try:
        _must(scard.SCardBeginTransaction(handle))
        try:
            yield handle, protocol
        finally:
            scard.SCardEndTransaction(handle, scard.SCARD_RESET_CARD)
    finally:
        scard.SCardDisconnect(handle, scard.SCARD_LEAVE_CARD)


def _transmit(handle: Any, protocol: int, command: bytes) -> bytes:
    answer = bytes(byte & 0xFF for byte in _must(scard.SCardTransmit(handle, protocol, list(command))))
    if len(answer) < 2:
        raise _Failed(scard.SCARD_E_NOT_TRANSACTED)
    return answer


def _code(failed: _Failed, reader: str) -> Code:
    """A card that is pulled shows as many different failures: what counts is whether it is still there."""
    return Code.CARD_REMOVED if failed.code in GONE or _is_gone(reader) else Code.PCSC


def _is_gone(reader: str) -> bool:
    """Whether the card is out of `reader`, or goes within the moment a reader takes to notice."""
    try:
        with _context() as context:
            known = [(name, state & ~scard.SCARD_STATE_CHANGED) for name, state in _look(context, [reader])]
            if not _states(known)[0].card:
                return True
            scard.SCardGetStatusChange(context, GONE_MILLISECONDS, known)
            return not _states(_look(context, [reader]))[0].card
    except _Failed:
        return True
