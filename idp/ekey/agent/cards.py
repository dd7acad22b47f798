"""What the agent needs of a card and of readers; PIV over PC/SC is one way to have it, other kinds of keys come behind the same Protocols."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from idp.ekey.protocol import Algorithm


class Code(StrEnum):
    """What can be wrong with readers, cards and PINs; the page has a text for each."""

    NO_READER = "no_reader"
    NO_CARD = "no_card"
    SEVERAL_CARDS = "several_cards"
    PIN_WRONG = "pin_wrong"
    PIN_BLOCKED = "pin_blocked"
    CANCELLED = "cancelled"
    CARD_REMOVED = "card_removed"
    NOT_PIV = "not_piv"
    PCSC = "pcsc"
    BUSY = "busy"


class CardFault(Exception):
    """A card operation ended with `code`; `tries` PIN tries are left where that is known."""

    def __init__(self, code: Code, tries: int | None = None) -> None:
        """See the class."""
        super().__init__(code.value)
        self.code, self.tries = code, tries


@dataclass(frozen=True)
class ReaderState:
    """A reader and whether a card is in it."""

    name: str
    card: bool


class Card(Protocol):
    """An open card, nobody else's until it is closed. Every method raises CardFault."""

    def certificate(self) -> bytes:
        """The certificate for signing in, DER."""

    def pin_tries(self) -> int:
        """How many wrong PINs the card still takes, 0 when it is blocked."""

    def sign(self, pin: str, algorithm: Algorithm, message: bytes) -> bytes:
        """`message` signed as tokens carry it; afterwards the card wants the PIN again."""


class Readers(Protocol):
    """The readers of this computer."""

    def states(self) -> list[ReaderState]:
        """All readers as they are now; CardFault(pcsc) if the system has no service for them."""

    def open(self, reader: str) -> AbstractContextManager[Card]:
        """The card in `reader`."""

    def changes(self) -> Iterator[list[ReaderState]]:
        """The readers now, and again after every insertion and removal; at least every second something, changed or not."""


def the_reader_with_a_card(readers: list[ReaderState]) -> str:
    """The one reader that has a card; CardFault when none or several have."""
    if not readers:
        raise CardFault(Code.NO_READER)
    ready = [reader.name for reader in readers if reader.card]
    if not ready:
        raise CardFault(Code.NO_CARD)
    if len(ready) > 1:
        raise CardFault(Code.SEVERAL_CARDS)
    return ready[0]
