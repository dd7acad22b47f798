"""From a nonce to a token: which card, whose, the PIN, the signature. And what may be told without a PIN."""

import threading
from dataclasses import dataclass

from idp.ekey.agent import APP_VERSION, VERSION, certificates
from idp.ekey.agent.cards import CardFault, Code, Readers, the_reader_with_a_card
from idp.ekey.agent.prompts import Prompt, Question, acceptable
from idp.ekey.protocol import Token, signed_bytes


@dataclass(frozen=True)
class _Key:
    reader: str
    certificate: bytes
    shown: certificates.Shown
    tries: int


class Authentication:
    """Card and person together; one authentication at a time."""

    def __init__(self, readers: Readers, prompt: Prompt) -> None:
        """The readers to look at and how to ask for the PIN."""
        self._readers, self._prompt = readers, prompt
        self._busy = threading.Lock()

    def status(self) -> dict[str, object]:
        """What the page shows before it asks for anything; `error` says why there is no name."""
        readers: list[str] = []
        told: dict[str, object] = {"card": False, "username": None, "pin_tries": None, "not_after": None, "error": None, "version": VERSION}
        try:
            states = self._readers.states()
            readers = [state.name for state in states]
            told["card"] = any(state.card for state in states)
            key = self._key(the_reader_with_a_card(states))
            told |= {"username": key.shown.username, "pin_tries": key.tries, "not_after": key.shown.not_after.isoformat()}
        except CardFault as fault:
            told["error"] = fault.code.value
        return told | {"readers": readers}

    def token(self, origin: str, nonce: str) -> Token:
        """A token for `origin`, after the person has given the PIN; CardFault otherwise."""
        if not self._busy.acquire(blocking=False):
            raise CardFault(Code.BUSY)
        try:
            key = self._key(the_reader_with_a_card(self._readers.states()))
            return self._signed(key, self._pin(key, origin), signed_bytes(key.shown.algorithm, origin, nonce))
        finally:
            self._busy.release()

    def _key(self, reader: str) -> _Key:
        with self._readers.open(reader) as card:
            certificate = card.certificate()
            tries = card.pin_tries()
        return _Key(reader, certificate, certificates.read(certificate), tries)

    def _pin(self, key: _Key, origin: str) -> str:
        question = Question(origin, key.shown.username, key.tries, lambda: self._is_out(key.reader))
        if key.tries == 0:
            raise CardFault(Code.PIN_BLOCKED, 0)
        if key.tries == 1 and not self._prompt.last_try(question):
            raise CardFault(Code.CARD_REMOVED if question.withdrawn() else Code.CANCELLED, key.tries)
        pin = self._prompt.pin(question)
        if pin is None:
            raise CardFault(Code.CARD_REMOVED if question.withdrawn() else Code.CANCELLED, key.tries)
        if not acceptable(pin):
            raise CardFault(Code.PIN_WRONG, key.tries)
        return pin

    def _is_out(self, reader: str) -> bool:
        try:
            return not any(state.card for state in self._readers.states() if state.name == reader)
        except CardFault:
            return True

    def _signed(self, key: _Key, pin: str, message: bytes) -> Token:
        with self._readers.open(key.reader) as card:
            # the card may have been changed while the person typed; the PIN was given for this one
            if card.certificate() != key.certificate:
                raise CardFault(Code.CARD_REMOVED)
            signature = card.sign(pin, key.shown.algorithm, message)
        return Token(key.certificate, key.shown.algorithm, signature, APP_VERSION)
