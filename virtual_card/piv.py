"""The PIV applet: takes a command, gives data and status word (SP 800-73-4 part 2, §3)."""

from collections.abc import Callable
from dataclasses import dataclass, field

from virtual_card import administration, keys, pins
from virtual_card.apdu import OK, Command, Refused, read_command, read_tlv, tlv
from virtual_card.card_file import CardFile, Secret, Slot
from virtual_card.objects import CERTIFICATES, PIV_AID, SHORTEST_AID, application, read_object, write_object

LARGEST_COMMAND = 4096  # bytes in one chain
WITHOUT_PIN, PIN_ALWAYS = "9E", "9C"
PIN, PUK = 0x80, 0x81
FIRMWARE, SERIAL = bytes([5, 2, 7]), bytes.fromhex("00C0FFEE")  # what yubico-piv-tool asks beside the standard
NOT_FOUND, SECURITY, NO_REFERENCE, WRONG_P1P2 = 0x6A82, 0x6982, 0x6A88, 0x6A86
WRONG_DATA, NO_INSTRUCTION, NO_CLASS, WRONG_LENGTH = 0x6A80, 0x6D00, 0x6E00, 0x6700


@dataclass
class Powered:
    """What the card knows until it loses power."""

    selected: bool = False
    pin_proven: bool = False
    pin_fresh: bool = False  # proven by the very command before
    witness: bytes = b""  # that the administrator must show next
    administrator: bool = False
    chain: bytes = b""
    chain_of: tuple[int, int, int] | None = None
    waiting: bytes = b""  # for GET RESPONSE


@dataclass
class Card:
    """A card in its file. `answer` is one exchange; `power_off` forgets what no memory keeps."""

    file: CardFile
    state: Powered = field(default_factory=Powered)

    def power_off(self) -> None:
        """Lose power, or be reset."""
        self.state = Powered()

    def answer(self, raw: bytes) -> bytes:
        """The response APDU for the command APDU `raw`."""
        try:
            return self._exchange(read_command(raw))
        except Refused as refused:
            return refused.status.to_bytes(2, "big")

    def _exchange(self, command: Command) -> bytes:
        if command.cla & ~0x10:
            raise Refused(NO_CLASS)
        if command.ins == 0xC0:
            return self._portion(command)
        self.state.waiting = b""
        if command.chained:
            self._keep(command)
            return OK.to_bytes(2, "big")
        whole = command.after(self._chain(command))
        self.state.waiting = self._run(whole)
        return self._portion(command)

    def _chain(self, command: Command) -> bytes:
        """The data of the chain that `command` ends, if it belongs to it."""
        earlier = self.state.chain if self.state.chain_of == (command.ins, command.p1, command.p2) else b""
        self.state.chain, self.state.chain_of = b"", None
        return earlier

    def _keep(self, command: Command) -> None:
        earlier = self._chain(command)
        if len(earlier) + len(command.data) > LARGEST_COMMAND:
            raise Refused(WRONG_LENGTH)
        self.state.chain, self.state.chain_of = earlier + command.data, (command.ins, command.p1, command.p2)

    def _portion(self, command: Command) -> bytes:
        """As much of what waits as the reader takes, and 61xx if there is more (ISO/IEC 7816-4 §5.3.4)."""
        taken = command.expected or 256
        data, self.state.waiting = self.state.waiting[:taken], self.state.waiting[taken:]
        left = len(self.state.waiting)
        return data + (0x6100 | (left if left < 256 else 0) if left else OK).to_bytes(2, "big")

    def _run(self, command: Command) -> bytes:
        run = INSTRUCTIONS.get(command.ins)
        if run is None:
            raise Refused(NO_INSTRUCTION)
        if not self.state.selected and command.ins != 0xA4:
            raise Refused(NO_INSTRUCTION)
        fresh, self.state.pin_fresh = self.state.pin_fresh, False
        return run(self, command, fresh)


def _select(card: Card, command: Command, _fresh: bool) -> bytes:
    # another applet's name leaves this one selected (part 2, §3.1.1)
    if command.p1 != 0x04 or not SHORTEST_AID <= len(command.data) <= len(PIV_AID) or not PIV_AID.startswith(command.data):
        raise Refused(NOT_FOUND)
    if not card.state.selected:
        card.state = Powered(selected=True)
    return application()


def _get_data(card: Card, command: Command, _fresh: bool) -> bytes:
    if (command.p1, command.p2) != (0x3F, 0xFF):
        raise Refused(WRONG_P1P2)
    tag = read_tlv(command.data).get(0x5C)
    found = read_object(card.file.memory, int.from_bytes(tag, "big")) if tag else None
    if found is None:
        raise Refused(NOT_FOUND)
    return found


def _verify(card: Card, command: Command, _fresh: bool) -> bytes:
    pin = card.file.memory.pin
    if command.p2 != PIN:
        raise Refused(NO_REFERENCE)
    if command.p1 == 0xFF and not command.data:
        card.state.pin_proven = False
        return b""
    if command.p1 != 0:
        raise Refused(WRONG_P1P2)
    if not command.data:
        return _ask_tries(card, pin)
    card.state.pin_proven = False
    if len(command.data) != pins.LENGTH:
        raise Refused(WRONG_DATA)
    pins.prove(pin, command.data, card.file.save)
    card.state.pin_proven = card.state.pin_fresh = True
    return b""


def _ask_tries(card: Card, pin: Secret) -> bytes:
    if card.state.pin_proven:
        return b""
    raise Refused(pins.tries_left(pin))


def _two_values(command: Command) -> tuple[bytes, bytes]:
    if command.p1 != 0 or len(command.data) != 2 * pins.LENGTH:
        raise Refused(WRONG_DATA)
    old, new = command.data[: pins.LENGTH], command.data[pins.LENGTH :]
    if not pins.well_formed(new):
        raise Refused(WRONG_DATA)
    return old, new


def _change(card: Card, command: Command, _fresh: bool) -> bytes:
    """CHANGE REFERENCE DATA: PIN by PIN, PUK by PUK."""
    secrets = {PIN: card.file.memory.pin, PUK: card.file.memory.puk}
    if command.p2 not in secrets:
        raise Refused(NO_REFERENCE)
    old, new = _two_values(command)
    pins.prove(secrets[command.p2], old, card.file.save)
    pins.replace(secrets[command.p2], new)
    card.file.save()
    return b""


def _reset_retry(card: Card, command: Command, _fresh: bool) -> bytes:
    """RESET RETRY COUNTER: a new PIN by the PUK."""
    if command.p2 != PIN:
        raise Refused(NO_REFERENCE)
    puk, new = _two_values(command)
    card.state.pin_proven = False
    pins.prove(card.file.memory.puk, puk, card.file.save)
    pins.replace(card.file.memory.pin, new)
    card.file.save()
    return b""


def _general_authenticate(card: Card, command: Command, fresh: bool) -> bytes:
    """Sign: the dynamic authentication template with a challenge comes back with a response. Under 9B: the administrator's proof."""
    parts = read_tlv(read_tlv(command.data).get(0x7C, b""))
    if command.p2 == administration.REFERENCE:
        return _prove_administrator(card, command.p1, parts)
    reference = f"{command.p2:02X}"
    slot = card.file.memory.slots.get(reference)
    if slot is None or not slot.key:
        raise Refused(NO_REFERENCE)
    allowed = reference == WITHOUT_PIN or (fresh if reference == PIN_ALWAYS else card.state.pin_proven)
    if not allowed:
        raise Refused(SECURITY)
    if 0x81 not in parts or parts.get(0x82) != b"":
        raise Refused(WRONG_DATA)
    return tlv(0x7C, tlv(0x82, keys.use(slot.key, command.p1, parts[0x81])))


def _prove_administrator(card: Card, algorithm: int, parts: dict[int, bytes]) -> bytes:
    waited_for, card.state.witness, card.state.administrator = card.state.witness, b"", False
    answer, card.state.witness = administration.answer(card.file.memory.management, algorithm, parts, waited_for)
    card.state.administrator = not card.state.witness
    return answer


def _must_be_administrator(card: Card) -> None:
    if not card.state.administrator:
        raise Refused(SECURITY)


def _put_data(card: Card, command: Command, _fresh: bool) -> bytes:
    _must_be_administrator(card)
    parts = read_tlv(command.data)
    if (command.p1, command.p2) != (0x3F, 0xFF) or set(parts) != {0x5C, 0x53}:
        raise Refused(WRONG_DATA)
    write_object(card.file.memory, int.from_bytes(parts[0x5C], "big"), parts[0x53])
    card.file.save()
    return b""


def _keep_key(card: Card, reference: int, key: keys.PrivateKey) -> None:
    slot = card.file.memory.slots.setdefault(f"{reference:02X}", Slot())
    slot.key = keys.pem(key)
    card.file.save()


def _slot_to_fill(card: Card, reference: int) -> None:
    _must_be_administrator(card)
    if f"{reference:02X}" not in CERTIFICATES.values():
        raise Refused(WRONG_P1P2)


def _generate(card: Card, command: Command, _fresh: bool) -> bytes:
    """GENERATE ASYMMETRIC KEY PAIR: the private key has never been anywhere else."""
    _slot_to_fill(card, command.p2)
    algorithm = read_tlv(read_tlv(command.data).get(0xAC, b"")).get(0x80, b"")
    key = keys.generated(int.from_bytes(algorithm, "big"))
    _keep_key(card, command.p2, key)
    return keys.public_template(key)


def _import_key(card: Card, command: Command, _fresh: bool) -> bytes:
    _slot_to_fill(card, command.p2)
    _keep_key(card, command.p2, keys.brought(command.p1, read_tlv(command.data)))
    return b""


def _version(_card: Card, _command: Command, _fresh: bool) -> bytes:
    return FIRMWARE


def _serial(_card: Card, _command: Command, _fresh: bool) -> bytes:
    return SERIAL


INSTRUCTIONS: dict[int, Callable[[Card, Command, bool], bytes]] = {
    0xA4: _select,
    0xCB: _get_data,
    0x20: _verify,
    0x24: _change,
    0x2C: _reset_retry,
    0x87: _general_authenticate,
    0xDB: _put_data,
    0x47: _generate,
    0xFE: _import_key,
    0xFD: _version,
    0xF8: _serial,
}
