"""`idp-ekey-agent personalise`: a private key and its certificate onto the card in a reader, into the slot for signing in.

Nothing else on the card changes: its PIN, PUK and management key stay as they are. No secret comes by the command line, where every user of the
computer could read it. Keys are imported as YubiKeys take them (docs.yubico.com, "PIV: Import asymmetric"); the standard has no command for it.
"""

import argparse
import getpass
import secrets
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import ECB
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key, pkcs12

from idp.ekey.agent import certificates
from idp.ekey.agent.cards import CardFault, ReaderState, the_reader_with_a_card
from idp.ekey.agent.piv import CERTIFICATE_9A, KEY_9A, KEYS, OK, PivCard, find, tlv
from idp.ekey.protocol import Algorithm

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
BLANK = bytes.fromhex("010203040506070801020304050607080102030405060708")  # what cards leave the factory with
TRIPLE_DES = 0x03
# length of a management key → the algorithms that it may be of (SP 800-78-4, table 6-2)
ALGORITHMS = {16: (0x08,), 24: (TRIPLE_DES, 0x0A), 32: (0x0C,)}
OTHERS_MAY_READ = 0o077
MANAGEMENT_KEY, WITNESS, CHALLENGE, RESPONSE = 0x9B, 0x80, 0x81, 0x82
AUTHENTICATE, IMPORT, PUT_DATA = 0x87, 0xFE, 0xDB


class Unsuited(Exception):
    """What was given cannot go onto a card; the text is for whoever typed the command."""


class PivReaders(Protocol):
    """The readers of this computer, as far as they have PIV cards; `cards.Readers` says more."""

    def states(self) -> list[ReaderState]:
        """All readers as they are now."""

    def open(self, reader: str) -> AbstractContextManager[PivCard]:
        """The card in `reader`."""


class Written:
    """A key and its certificate as APDUs carry them."""

    def __init__(self, key: PrivateKey, certificate: x509.Certificate) -> None:
        """Unsuited unless they belong together and the agent could sign with them."""
        self.certificate = certificate.public_bytes(Encoding.DER)
        try:
            algorithm = certificates.read(self.certificate).algorithm
        except CardFault as fault:
            raise Unsuited("the certificate is none that this program could sign with") from fault
        if algorithm is Algorithm.SM2 or certificate.public_key() != key.public_key():
            raise Unsuited("the certificate is over another key")
        self.algorithm, size = KEYS[algorithm]
        self.parts = _rsa_parts(key, size // 2) if isinstance(key, rsa.RSAPrivateKey) else [(0x06, _number(key).to_bytes(size, "big"))]


def _number(key: ec.EllipticCurvePrivateKey) -> int:
    return key.private_numbers().private_value


def _rsa_parts(key: rsa.RSAPrivateKey, size: int) -> list[tuple[int, bytes]]:
    numbers = key.private_numbers()
    values = (numbers.p, numbers.q, numbers.dmp1, numbers.dmq1, numbers.iqmp)
    return [(tag, value.to_bytes(size, "big")) for tag, value in enumerate(values, 1)]


def cipher(management_key: bytes, algorithm: int) -> Cipher[ECB]:
    """How the management key turns one block into another."""
    # one block of random bytes: what ECB gives away of longer texts does not arise
    return Cipher(TripleDES(management_key) if algorithm == TRIPLE_DES else AES(management_key), ECB())  # noqa: S305  # the standard's own


# --- what is written ------------------------------------------------------------------------------------------------------------------------


def read(raw: bytes, password: str | None) -> Written:
    """The key and certificate in PEM or PKCS#12; Unsuited with the reason."""
    try:
        key, certificate = _from_pem(raw, password) if raw.lstrip().startswith(b"-----BEGIN") else _from_p12(raw, password)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise Unsuited(f"no private key with a certificate could be read: {error}") from error
    if not isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
        raise Unsuited("the key is of a kind that cards here do not take: RSA with 2048 bits, P-256 or P-384")
    return Written(key, certificate)


def _from_pem(raw: bytes, password: str | None) -> tuple[object, x509.Certificate]:
    return load_pem_private_key(raw, password.encode() if password else None), x509.load_pem_x509_certificate(raw)


def _from_p12(raw: bytes, password: str | None) -> tuple[object, x509.Certificate]:
    key, certificate, _ = pkcs12.load_key_and_certificates(raw, (password or "").encode())
    if certificate is None:
        raise ValueError("no certificate in the file")
    return key, certificate


def secret_from(file: Path) -> str:
    """The first line of a file that nobody else may read; Unsuited otherwise."""
    if file.stat().st_mode & OTHERS_MAY_READ:
        raise Unsuited(f"{file}: others may read it; chmod 600 first")
    return (file.read_text().splitlines() or [""])[0].strip()


def management_key_from(file: Path | None) -> bytes:
    """The management key in hexadecimal from `file`; the factory's without one."""
    if file is None:
        return BLANK
    try:
        key = bytes.fromhex(secret_from(file))
    except ValueError:
        key = b""
    if len(key) not in ALGORITHMS:
        raise Unsuited(f"{file}: the first line is no management key: 32, 48 or 64 hexadecimal digits")
    return key


# --- onto the card --------------------------------------------------------------------------------------------------------------------------


def write(card: PivCard, management_key: bytes, written: Written) -> None:
    """The key, then the certificate, into slot 9A; Unsuited when the card refuses, CardFault when it breaks off."""
    _prove(card, management_key)
    _, status = card.send(IMPORT, written.algorithm, KEY_9A, b"".join(tlv(tag, value) for tag, value in written.parts))
    if status != OK:
        raise Unsuited(f"the card does not take a key of this kind ({status:04X})")
    content = tlv(0x70, written.certificate) + tlv(0x71, b"\0") + tlv(0xFE, b"")
    _, status = card.send(PUT_DATA, 0x3F, 0xFF, CERTIFICATE_9A + tlv(0x53, content))
    if status != OK or card.certificate() != written.certificate:
        raise Unsuited(f"the card has the key but does not take the certificate ({status:04X})")


def _prove(card: PivCard, management_key: bytes) -> None:
    """Both sides show that they have the management key (SP 800-73-4 part 2, appendix A.1)."""
    for algorithm in ALGORITHMS[len(management_key)]:
        data, status = card.send(AUTHENTICATE, algorithm, MANAGEMENT_KEY, tlv(0x7C, tlv(WITNESS, b"")))
        if status == OK:
            return _answer(card, cipher(management_key, algorithm), algorithm, find(find(data, 0x7C) or b"", WITNESS) or b"")
    raise Unsuited("the card has a management key of another kind")


def _answer(card: PivCard, mode: Cipher[ECB], algorithm: int, witness: bytes) -> None:
    challenge = secrets.token_bytes(len(witness))
    shown = tlv(WITNESS, mode.decryptor().update(witness)) + tlv(CHALLENGE, challenge)
    data, status = card.send(AUTHENTICATE, algorithm, MANAGEMENT_KEY, tlv(0x7C, shown))
    if not witness or status != OK or find(find(data, 0x7C) or b"", RESPONSE) != mode.encryptor().update(challenge):
        raise Unsuited("the card has another management key")


# --- the command ----------------------------------------------------------------------------------------------------------------------------


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser("idp-ekey-agent personalise", description="Write a private key and its certificate onto the card in a reader.")
    parser.add_argument("file", help=".p12 or .pem with the key and its certificate; - reads standard input")
    parser.add_argument("--reader", help="part of the reader's name; default: the one with a card")
    parser.add_argument("--management-key-file", type=Path, help="first line: the card's management key, hexadecimal (0600); default: the factory's")
    parser.add_argument("--password-file", type=Path, help="first line: the file's password (0600); asked on the terminal where there is none")
    return parser.parse_args(arguments)


def _password(options: argparse.Namespace, raw: bytes) -> str | None:
    if options.password_file is not None:
        return secret_from(options.password_file)
    locked = b"ENCRYPTED" in raw or not raw.lstrip().startswith(b"-----BEGIN")
    return getpass.getpass(f"{options.file}: ") if locked and options.file != "-" else None


def _reader(readers: PivReaders, part: str | None) -> str:
    states = readers.states()
    return the_reader_with_a_card([state for state in states if part is None or part in state.name])


def main(arguments: Sequence[str], readers: PivReaders) -> int:
    """Run the command; 0, or 1 with the reason on standard error."""
    options = _options(arguments)
    try:
        raw = sys.stdin.buffer.read() if options.file == "-" else Path(options.file).read_bytes()
        written, management_key = read(raw, _password(options, raw)), management_key_from(options.management_key_file)
        reader = _reader(readers, options.reader)
        with readers.open(reader) as card:
            write(card, management_key, written)
    except (Unsuited, OSError) as error:
        return _refused(str(error))
    except CardFault as fault:
        return _refused(FAULTS.get(fault.code.value, fault.code.value))
    sys.stdout.write(f"{reader}: {certificates.read(written.certificate).username}\n")
    return 0


def _refused(reason: str) -> int:
    sys.stderr.write(f"idp-ekey-agent personalise: {reason}\n")
    return 1


FAULTS = {
    "no_reader": "no reader is plugged in, or none has such a name",
    "no_card": "no card is in the reader",
    "several_cards": "several readers have a card; name one with --reader",
    "not_piv": "the card is no PIV card",
    "card_removed": "the card was pulled out; try again with the same file",
    "pcsc": "the system's service for readers (PC/SC, pcscd) does not answer, or the card broke off",
}
