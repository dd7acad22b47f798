"""The data objects of a PIV card that GET DATA reads and PUT DATA writes (SP 800-73-4 part 1, appendix A)."""

import gzip
import zlib

from virtual_card.apdu import Refused, read_tlv, tlv
from virtual_card.card_file import Memory, Slot

PIV_AID = bytes.fromhex("A000000308000010000100")
SHORTEST_AID = 5  # the registered application provider (ISO/IEC 7816-5); SELECT may give less than the whole name
DISCOVERY = 0x7E
CHUID = 0x5FC102
CCC = 0x5FC107
CERTIFICATES = {0x5FC105: "9A", 0x5FC10A: "9C", 0x5FC10B: "9D", 0x5FC101: "9E"}
GZIP = 1
LARGEST_CERTIFICATE = 8192  # bytes, also unpacked
WRONG_DATA, NOT_FOUND = 0x6A80, 0x6A82


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


def _put_there(memory: Memory, tag: int) -> bytes | None:
    """What somebody wrote, if anything."""
    value = memory.objects.get(f"{tag:06X}")
    return tlv(0x53, bytes.fromhex(value)) if value else None


def read_object(memory: Memory, tag: int) -> bytes | None:
    """The object under `tag`, None when the card has none."""
    if tag == DISCOVERY:
        return _discovery()
    if tag in CERTIFICATES:
        slot = memory.slots.get(CERTIFICATES[tag])
        return _certificate(slot) if slot and slot.certificate else None
    made = {CHUID: _holder, CCC: _capabilities}.get(tag)
    return _put_there(memory, tag) or (made(memory) if made else None)


def write_object(memory: Memory, tag: int, content: bytes) -> None:
    """Keep `content` (without its tag 53) under `tag`; nothing means that the object goes. Refused(6A80) for what is no certificate in its place."""
    if tag >> 16 != 0x5F:
        raise Refused(NOT_FOUND)
    if tag in CERTIFICATES:
        _write_certificate(memory.slots.setdefault(CERTIFICATES[tag], Slot()), content)
    else:
        memory.objects[f"{tag:06X}"] = content.hex()


def _write_certificate(slot: Slot, content: bytes) -> None:
    parts = read_tlv(content)
    if content and not parts.get(0x70):
        raise Refused(WRONG_DATA)
    slot.compressed = bool(parts.get(0x71, b"\0")[:1] == bytes([GZIP]))
    der = parts.get(0x70, b"")
    slot.certificate = (_unpacked(der) if slot.compressed else der).hex()


def _unpacked(packed: bytes) -> bytes:
    machine = zlib.decompressobj(wbits=31)
    try:
        plain = machine.decompress(packed, LARGEST_CERTIFICATE)
    except zlib.error as error:
        raise Refused(WRONG_DATA) from error
    if not machine.eof:
        raise Refused(WRONG_DATA)
    return plain
