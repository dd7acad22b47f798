"""Command APDUs of ISO/IEC 7816-4 (short and extended) and BER-TLV objects, as a card reads and writes them."""

from dataclasses import dataclass, replace

CHAINED = 0x10  # in CLA: more of this command follows (ISO/IEC 7816-4 §5.1.1)
OK = 0x9000


class Refused(Exception):
    """The card answers with this status word and no data."""

    def __init__(self, status: int) -> None:
        """`status` is SW1 SW2."""
        super().__init__(f"{status:04X}")
        self.status = status


@dataclass(frozen=True)
class Command:
    """One command; `expected` is how many bytes the reader takes (Le), 0 for none."""

    cla: int
    ins: int
    p1: int
    p2: int
    data: bytes = b""
    expected: int = 0
    extended: bool = False

    @property
    def chained(self) -> bool:
        """More of this command follows."""
        return bool(self.cla & CHAINED)

    def after(self, earlier: bytes) -> "Command":
        """The whole command, given the data of the chained ones before it."""
        return replace(self, data=earlier + self.data)


def _read_extended(header: tuple[int, int, int, int], body: bytes) -> Command:
    if len(body) == 3:
        return Command(*header, expected=int.from_bytes(body[1:], "big") or 0x10000, extended=True)
    length = int.from_bytes(body[1:3], "big")
    data, rest = body[3 : 3 + length], body[3 + length :]
    if length == 0 or len(data) != length or len(rest) not in (0, 2):
        raise Refused(0x6700)
    return Command(*header, data=data, expected=(int.from_bytes(rest, "big") or 0x10000) if rest else 0, extended=True)


def read_command(raw: bytes) -> Command:
    """The command in `raw`; Refused(6700) when the lengths disagree (ISO/IEC 7816-4 §5.2)."""
    if len(raw) < 4:
        raise Refused(0x6700)
    header, body = (raw[0], raw[1], raw[2], raw[3]), raw[4:]
    if not body:
        return Command(*header)
    if len(body) == 1:
        return Command(*header, expected=body[0] or 256)
    if body[0] == 0 and len(body) >= 3:
        return _read_extended(header, body)
    data, rest = body[1 : 1 + body[0]], body[1 + body[0] :]
    if body[0] == 0 or len(data) != body[0] or len(rest) > 1:
        raise Refused(0x6700)
    return Command(*header, data=data, expected=(rest[0] or 256) if rest else 0)


def tlv(tag: int, *values: bytes) -> bytes:
    """One BER-TLV object of `values` put together."""
    value = b"".join(values)
    size = len(value)
    length = bytes([size]) if size < 0x80 else bytes([0x81, size]) if size < 0x100 else b"\x82" + size.to_bytes(2, "big")
    return tag.to_bytes((tag.bit_length() + 7) // 8 or 1, "big") + length + value


def _length(raw: bytes, at: int) -> tuple[int, int]:
    first = raw[at]
    if first < 0x80:
        return first, at + 1
    octets = first & 0x7F
    if octets not in (1, 2):
        raise Refused(0x6A80)
    return int.from_bytes(raw[at + 1 : at + 1 + octets], "big"), at + 1 + octets


def read_tlv(raw: bytes) -> dict[int, bytes]:
    """Tag → value of objects with one-byte tags that follow each other; Refused(6A80) when they do not fill `raw`."""
    found: dict[int, bytes] = {}
    at = 0
    while at < len(raw):
        tag = raw[at]
        if at + 1 >= len(raw):
            raise Refused(0x6A80)
        size, start = _length(raw, at + 1)
        at = start + size
        if at > len(raw):
            raise Refused(0x6A80)
        found[tag] = raw[start:at]
    return found
