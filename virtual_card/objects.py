"""The data objects of a PIV card that GET DATA reads (SP 800-73-4 part 1, appendix A)."""

import gzip

from virtual_card.apdu import tlv
from virtual_card.card_file import Memory, Slot

PIV_AID = bytes.fromhex("A000000308000010000100")
SHORTEST_AID = 5  # the registered application provider (ISO/IEC 7816-5); SELECT may give less than the whole name
DISCOVERY = 0x7E
CHUID = 0x5FC102
CCC = 0x5FC107
CERTIFICATES = {0x5FC105: "9A", 0x5FC10A: "9C", 0x5FC10B: "9D", 0x5FC101: "9E"}
GZIP = 1


def application() -> bytes:
    """The answer to SELECT: application property template (part 2, §3.1.1)."""
    return tlv(0x61, tlv(0x4F, PIV_AID[5:]), tlv(0x79, tlv(0x4F, PIV_AID[:5])))


def _certificate(slot: Slot) -> bytes:
    der = bytes.fromhex(slot.certificate)
    content = gzip.compress(der, mtime=0) if slot.compressed else der
    return tlv(0x53, tlv(0x70, content), tlv(0x71, bytes([GZIP if slot.compressed else 0])), tlv(0xFE))


def _holder(memory: Memory) -> bytes:
    """CHUID: no agency, the card's GUID, an expiry far away."""
    fascn = bytes.fromhex("D4E739DA739CED39CE739D836858210842108421C84210C3EB")
    return tlv(0x53, tlv(0x30, fascn), tlv(0x34, bytes.fromhex(memory.guid)), tlv(0x35, b"20991231"), tlv(0x3E), tlv(0xFE))


def _capabilities(memory: Memory) -> bytes:
    identifier = bytes.fromhex("A000000116FF02") + bytes.fromhex(memory.guid)[:14]
    empty = (0xF6, 0xF7, 0xFA, 0xFB, 0xFC, 0xFD, 0xFE)
    numbers = tlv(0xF1, b"\x21"), tlv(0xF2, b"\x21"), tlv(0xF3), tlv(0xF4, b"\x00"), tlv(0xF5, b"\x10")
    return tlv(0x53, tlv(0xF0, identifier), *numbers, *(tlv(tag) for tag in empty))


def _discovery() -> bytes:
    """The PIV PIN alone opens the card (part 1, §3.3.2)."""
    return tlv(DISCOVERY, tlv(0x4F, PIV_AID), tlv(0x5F2F, b"\x40\x00"))


def read_object(memory: Memory, tag: int) -> bytes | None:
    """The object under `tag`, None when the card has none."""
    if tag == DISCOVERY:
        return _discovery()
    if tag == CHUID:
        return _holder(memory)
    if tag == CCC:
        return _capabilities(memory)
    slot = memory.slots.get(CERTIFICATES.get(tag, ""))
    return _certificate(slot) if slot else None
