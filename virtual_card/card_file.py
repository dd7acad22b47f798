"""What a card remembers without power: one JSON file a card, written whole, and flushed before the card goes on."""

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path

TRIES = 3


@dataclass
class Secret:
    """A PIN or PUK, as the eight bytes that travel, in hexadecimal; `left` tries of `limit`."""

    value: str
    left: int = TRIES
    limit: int = TRIES


@dataclass
class Slot:
    """A private key (PKCS#8, PEM) and the certificate over it (DER, hexadecimal), "" where there is none; `compressed` as the card hands it out."""

    key: str = ""
    certificate: str = ""
    compressed: bool = False


@dataclass
class Management:
    """The symmetric key (hexadecimal) of whoever may write keys and objects, and its algorithm; blank cards have the one that everybody knows."""

    key: str = "010203040506070801020304050607080102030405060708"
    algorithm: int = 0x03


@dataclass
class Memory:
    """Everything on the card. Slots are named by their key reference: 9A sign-in, 9C signature, 9D key management, 9E without PIN.

    `objects`: what else was put there, both tag and value in hexadecimal.
    """

    pin: Secret
    puk: Secret
    guid: str
    slots: dict[str, Slot] = field(default_factory=dict)
    management: Management = field(default_factory=Management)
    objects: dict[str, str] = field(default_factory=dict)


def padded(digits: str) -> str:
    """A PIN as it travels: eight bytes, filled with FF (SP 800-73-4 part 2, §2.4.3)."""
    return digits.encode().ljust(8, b"\xff").hex()


class CardFile:
    """A card's memory in a file."""

    def __init__(self, path: Path) -> None:
        """Read the memory in `path`."""
        self.path = path
        self.memory = self._read()

    def _read(self) -> Memory:
        raw = json.loads(self.path.read_text())
        slots = {name: Slot(**slot) for name, slot in raw["slots"].items()}
        return Memory(Secret(**raw["pin"]), Secret(**raw["puk"]), raw["guid"], slots, Management(**raw["management"]), raw["objects"])

    def save(self) -> None:
        """Write the memory; when this returns, losing power loses nothing."""
        write(self.path, self.memory)


def write(path: Path, memory: Memory) -> None:
    """Put `memory` into `path` in one step."""
    fresh = path.with_suffix(".new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(asdict(memory), file)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
