"""A new card: its memory from a key, a certificate, a PIN and a PUK. With `sample_certificate` for cards that no authority has to know."""

import datetime as dt
import secrets
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from virtual_card import sm2
from virtual_card.card_file import Memory, Secret, Slot, padded, write
from virtual_card.keys import P_256, P_384, RSA_2048, PrivateKey, generated, pem

KINDS = {"rsa2048": RSA_2048, "p256": P_256, "p384": P_384}


def sample_certificate(key: PrivateKey, name: str, serial: str, now: dt.datetime) -> x509.Certificate:
    """A self-signed certificate of `name` (CN) for signing in, valid for a year from the day before `now`."""
    subject = x509.Name([x509.NameAttribute(NameOID.SERIAL_NUMBER, serial), x509.NameAttribute(NameOID.COMMON_NAME, name)])
    usage = x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
    builder = x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now - dt.timedelta(days=1)).not_valid_after(now + dt.timedelta(days=365))
    builder = builder.add_extension(usage, critical=True)
    builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
    return builder.sign(key, hashes.SHA256())


def slot(key: PrivateKey, certificate: x509.Certificate, *, compressed: bool = False) -> Slot:
    """What lies in one slot of a card."""
    return Slot(pem(key), certificate.public_bytes(serialization.Encoding.DER).hex(), compressed)


def read_slot(written: bytes) -> Slot:
    """What lies in a slot, from a PEM file with the key and its certificate; ValueError if one is missing."""
    certificate = x509.load_pem_x509_certificate(written)
    if sm2_key := sm2.key_in(written.decode()):
        return Slot(sm2_key, certificate.public_bytes(serialization.Encoding.DER).hex())
    key = serialization.load_pem_private_key(written, None)
    if not isinstance(key, PrivateKey):
        raise ValueError("a key that no card here holds")  # noqa: TRY004  # of the file, not of the caller
    return slot(key, certificate)


def make_card(path: Path, slots: dict[str, Slot], pin: str, puk: str) -> Path:
    """Write a card file with these slots ("9A" → …, none on a blank card); gives `path` back."""
    write(path, Memory(Secret(padded(pin)), Secret(padded(puk)), secrets.token_hex(16), slots))
    return path


def make_sample_card(path: Path, name: str, kind: str, *, pin: str, puk: str, compressed: bool = False) -> Path:
    """A card for `name` with a fresh key in slot 9A under a certificate that signs itself."""
    key = generated(KINDS[kind])
    certificate = sample_certificate(key, name, f"EK{secrets.token_hex(7).upper()}", dt.datetime.now(dt.UTC))
    return make_card(path, {"9A": slot(key, certificate, compressed=compressed)}, pin, puk)
