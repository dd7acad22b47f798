"""PIV cards (SP 800-73-4): how to read the certificate of slot 9A, ask for PIN tries, and sign. Knows APDUs, not readers."""

import zlib
from collections.abc import Callable

from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from idp.ekey.agent import sm2
from idp.ekey.agent.cards import CardFault, Code
from idp.ekey.protocol import Algorithm

Transmit = Callable[[bytes], bytes]  # command APDU → response APDU with its two bytes of status

AID = bytes.fromhex("A000000308000010000100")
CERTIFICATE_9A = bytes.fromhex("5C035FC105")
KEY_9A, PIN = 0x9A, 0x80
LARGEST_OBJECT = 32 * 1024  # bytes, also unpacked
PORTION = 255  # bytes of data in one short APDU
# name → algorithm identifier (SP 800-78-4, table 6-2) and the length of a block or of one of r and s, in bytes
# SM2 has none: the number is ours, and only the virtual card's
KEYS = {Algorithm.RS256: (0x07, 256), Algorithm.ES256: (0x11, 32), Algorithm.ES384: (0x14, 48), Algorithm.SM2: (0xF2, 32)}
DIGEST_INFO_SHA256 = bytes.fromhex("3031300D060960864801650304020105000420")  # RFC 8017 §9.2, note 1
OK, BLOCKED, NOT_FOUND = 0x9000, 0x6983, (0x6A82, 0x6A88)


def tlv(tag: int, value: bytes) -> bytes:
    """One BER-TLV object with a one-byte tag."""
    size = len(value)
    length = bytes([size]) if size < 0x80 else bytes([0x81, size]) if size < 0x100 else b"\x82" + size.to_bytes(2, "big")
    return bytes([tag]) + length + value


def find(raw: bytes, wanted: int) -> bytes | None:
    """The value of the first object with tag `wanted` among objects with one-byte tags; None if there is none or the card talks nonsense."""
    at = 0
    while at + 2 <= len(raw):
        octets = raw[at + 1] & 0x7F if raw[at + 1] >= 0x80 else 0
        start = at + 2 + octets
        size = int.from_bytes(raw[at + 2 : start], "big") if octets else raw[at + 1]
        if raw[at] == wanted:
            return raw[start : start + size] if start + size <= len(raw) else None
        at = start + size
    return None


def unpacked(data: bytes) -> bytes | None:
    """What gzip packed, if it is complete and not larger than a certificate may be."""
    machine = zlib.decompressobj(wbits=31)
    try:
        plain = machine.decompress(data, LARGEST_OBJECT)
    except zlib.error:
        return None
    return plain if machine.eof else None


def rsa_block(digest: bytes, size: int) -> bytes:
    """EMSA-PKCS1-v1_5 (RFC 8017 §9.2) of a SHA-256 digest: the card does the bare RSA."""
    info = DIGEST_INFO_SHA256 + digest
    return b"\x00\x01" + b"\xff" * (size - len(info) - 3) + b"\x00" + info


class PivCard:
    """A PIV card behind `transmit`. CardFault(not_piv) when the card is none."""

    def __init__(self, transmit: Transmit) -> None:
        """Select the PIV applet."""
        self._transmit = transmit
        _, status = self.send(0xA4, 0x04, 0x00, AID)
        if status != OK:
            raise CardFault(Code.NOT_PIV)

    def certificate(self) -> bytes:
        """The certificate of slot 9A, DER."""
        data, status = self.send(0xCB, 0x3F, 0xFF, CERTIFICATE_9A)
        content = find(data, 0x53) or b""
        certificate, info = find(content, 0x70), find(content, 0x71)
        if status != OK or not certificate:
            raise CardFault(Code.NOT_PIV)
        plain = unpacked(certificate) if info and info[0] & 1 else certificate
        if plain is None:
            raise CardFault(Code.NOT_PIV)
        return plain

    def pin_tries(self) -> int:
        """Tries left; the card is asked without a PIN, which costs none."""
        self._log_out()  # a card that somebody else left open would say "proven"
        _, status = self.send(0x20, 0x00, PIN)
        if status == BLOCKED:
            return 0
        if status & 0xFFF0 != 0x63C0:
            raise CardFault(Code.NOT_PIV)
        return status & 0x0F

    def sign(self, pin: str, algorithm: Algorithm, message: bytes) -> bytes:
        """Verify the PIN, sign, and close the card again whatever happens."""
        try:
            self._verify(pin)
            return self._signature(algorithm, message)
        finally:
            self._log_out()

    def _verify(self, pin: str) -> None:
        _, status = self.send(0x20, 0x00, PIN, pin.encode("ascii").ljust(8, b"\xff"))
        if status == BLOCKED or status == 0x63C0:
            raise CardFault(Code.PIN_BLOCKED, 0)
        if status & 0xFFF0 == 0x63C0:
            raise CardFault(Code.PIN_WRONG, status & 0x0F)
        if status != OK:
            raise CardFault(Code.PCSC)

    def _signature(self, algorithm: Algorithm, message: bytes) -> bytes:
        identifier, size = KEYS[algorithm]
        digest = sm2.digest(self.certificate(), message) if algorithm is Algorithm.SM2 else algorithm.hash(message)
        block = rsa_block(digest, size) if algorithm is Algorithm.RS256 else digest
        template = tlv(0x7C, tlv(0x82, b"") + tlv(0x81, block))
        data, status = self.send(0x87, identifier, KEY_9A, template)
        signature = find(find(data, 0x7C) or b"", 0x82)
        if status != OK or not signature:
            raise CardFault(Code.NOT_PIV if status in NOT_FOUND else Code.PCSC)
        return signature if algorithm is Algorithm.RS256 else _flat(signature, size)

    def _log_out(self) -> None:
        """The card forgets that the PIN was right (SP 800-73-4 part 2, §3.2.1). Where a card does not know this, closing it resets it."""
        self.send(0x20, 0xFF, PIN)

    def send(self, ins: int, p1: int, p2: int, data: bytes = b"") -> tuple[bytes, int]:
        """Data and status of one command: long ones go chained, long answers are fetched (ISO/IEC 7816-4 §5.3)."""
        while len(data) > PORTION:
            answer = self._transmit(bytes([0x10, ins, p1, p2, PORTION]) + data[:PORTION])
            if answer[-2:] != b"\x90\x00":
                return b"", int.from_bytes(answer[-2:], "big")
            data = data[PORTION:]
        body = bytes([len(data)]) + data if data else b""
        wants_data = b"\x00" if ins != 0x20 else b""
        return self._fetched(self._transmit(bytes([0x00, ins, p1, p2]) + body + wants_data))

    def _fetched(self, answer: bytes) -> tuple[bytes, int]:
        data = answer[:-2]
        while answer[-2:-1] == b"\x61" and len(data) <= LARGEST_OBJECT:
            answer = self._transmit(bytes([0x00, 0xC0, 0x00, 0x00, answer[-1]]))
            data += answer[:-2]
        return data, int.from_bytes(answer[-2:], "big")


def _flat(signature: bytes, size: int) -> bytes:
    """r‖s of the DER signature that PIV cards give."""
    try:
        r, s = decode_dss_signature(signature)
        return r.to_bytes(size, "big") + s.to_bytes(size, "big")
    except (ValueError, OverflowError) as error:
        raise CardFault(Code.PCSC) from error
