"""The development CA: a root, a certificate for any key of the key office's list, and revocation lists, in files of the data directory.

For trials only. Three kinds of keys: ec (P-256), rsa (2048), sm2. The private keys of cards lie in files, as no real card's ever would.
"""

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
    pkcs12,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from idp.ekey import signatures, sm2

KINDS = ("ec", "rsa", "sm2")
ROOT_DAYS, CARD_DAYS, LIST_DAYS = 3650, 730, 30
MAX_NAME_CHARACTERS = 64  # RFC 5280 A.1, ub-common-name
PRIVATE_FILE = 0o600
PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | sm2.PrivateKey
_SKEW = timedelta(hours=1)
_USAGES = ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement")
_ROOT_USAGES = ("key_cert_sign", "crl_sign")
_NEVER = ("encipher_only", "decipher_only")


def new_key(kind: str) -> PrivateKey:
    """A fresh key of one of KINDS."""
    if kind == "sm2":
        return sm2.PrivateKey.generate()
    return rsa.generate_private_key(65537, signatures.MIN_RSA_BITS) if kind == "rsa" else ec.generate_private_key(ec.SECP256R1())


def key_pem(key: PrivateKey) -> bytes:
    """PKCS#8 in PEM, not encrypted."""
    if isinstance(key, sm2.PrivateKey):
        return key.pem()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def read_key(pem: bytes, kind: str) -> PrivateKey:
    """What `key_pem` wrote."""
    if kind == "sm2":
        return sm2.PrivateKey.from_pem(pem)
    key = load_pem_private_key(pem, None)
    if not isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
        raise TypeError("no key of the development CA")
    return key


@dataclass(frozen=True)
class Holder:
    """Whom a certificate is for: the key's serial, the enterprise's code or USCC, a user name."""

    serial: str
    organisation: str
    name: str


@dataclass(frozen=True)
class Card:
    """A card's private key and its certificate."""

    holder: Holder
    key: PrivateKey
    certificate: x509.Certificate

    def pem(self) -> bytes:
        """The key, then the certificate."""
        return key_pem(self.key) + self.certificate.public_bytes(Encoding.PEM)

    def p12(self, password: str) -> bytes:
        """PKCS#12; TypeError for SM2, which that library cannot put there."""
        if isinstance(self.key, sm2.PrivateKey):
            raise TypeError("an SM2 key only goes into PEM")
        encryption = BestAvailableEncryption(password.encode())
        return pkcs12.serialize_key_and_certificates(self.holder.serial.encode(), self.key, self.certificate, None, encryption)


class DevelopmentCa:
    """The CA in a folder: `<kind>.key.pem`, `roots.pem` (all kinds), `issued.json`, `<kind>.crl`."""

    def __init__(self, folder: Path) -> None:
        """Nothing is made before `ensure`."""
        self._folder = folder

    @property
    def roots_file(self) -> Path:
        """What IDP_EKEY_ROOTS_FILE should name."""
        return self._folder / "roots.pem"

    def ensure(self, now: datetime) -> bool:
        """Make the roots unless they are there; whether they were made."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self.roots_file.exists():
            return False
        roots = []
        for kind in KINDS:
            key = new_key(kind)
            roots.append(_root(kind, key, now).public_bytes(Encoding.PEM))
            write_private(self._folder / f"{kind}.key.pem", key_pem(key))
        self.roots_file.write_bytes(b"".join(roots))
        return True

    def roots(self) -> tuple[x509.Certificate, ...]:
        """The certificates of all kinds; OSError if there are none yet."""
        return tuple(x509.load_pem_x509_certificates(self.roots_file.read_bytes()))

    def issue(self, holders: Iterable[Holder], kind: str, now: datetime) -> list[Card]:
        """For each a fresh key with a certificate; they are remembered, so that they can be revoked."""
        root, signer, state = self._root(kind), self._key(kind), self._state()
        cards = [_card(holder, new_key(kind), root, signer, now) for holder in holders]
        for card in cards:
            number = card.certificate.serial_number
            state["issued"].append({"serial": card.holder.serial, "kind": kind, "number": number, "revoked": None})
        self._keep(state)
        return cards

    def revoke(self, serial: str, now: datetime) -> int:
        """Revoke every certificate of this key; how many there were that counted. The next list says so."""
        state = self._state()
        due = [each for each in state["issued"] if each["serial"] == serial and each["revoked"] is None]
        for each in due:
            each["revoked"] = now.isoformat()
        self._keep(state)
        return len(due)

    def lists(self, now: datetime) -> dict[str, bytes]:
        """A fresh list of each kind (DER), numbered next; also written beside the roots as `<kind>.crl`."""
        state = self._state()
        state["number"] += 1
        found = {kind: self._list(kind, state, now) for kind in KINDS}
        for kind, der in found.items():
            (self._folder / f"{kind}.crl").write_bytes(der)
        self._keep(state)
        return found

    def _list(self, kind: str, state: dict[str, Any], now: datetime) -> bytes:
        builder = x509.CertificateRevocationListBuilder().issuer_name(self._root(kind).subject)
        builder = builder.last_update(now).next_update(now + timedelta(days=LIST_DAYS)).add_extension(x509.CRLNumber(state["number"]), critical=False)
        for each in state["issued"]:
            if each["kind"] == kind and each["revoked"] is not None:
                entry = x509.RevokedCertificateBuilder().serial_number(each["number"])
                builder = builder.add_revoked_certificate(entry.revocation_date(datetime.fromisoformat(each["revoked"])).build())
        key = self._key(kind)
        if isinstance(key, sm2.PrivateKey):
            return sm2.resigned_list(builder.sign(_stand_in(), hashes.SHA256()).public_bytes(Encoding.DER), key)
        return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)

    def _root(self, kind: str) -> x509.Certificate:
        return self.roots()[KINDS.index(kind)]

    def _key(self, kind: str) -> PrivateKey:
        return read_key((self._folder / f"{kind}.key.pem").read_bytes(), kind)

    def _state(self) -> dict[str, Any]:
        file = self._folder / "issued.json"
        found: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {"number": 0, "issued": []}
        return found

    def _keep(self, state: dict[str, Any]) -> None:
        write_private(self._folder / "issued.json", json.dumps(state).encode())


def write_private(file: Path, content: bytes) -> None:
    """A file (0600) that is whole or not there."""
    draft = file.with_name(f".{file.name}.draft")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, PRIVATE_FILE), "wb") as out:
        out.write(content)
    draft.replace(file)


# --- certificates ---------------------------------------------------------------------------------------------------------------------------


def _usage(*wanted: str) -> x509.KeyUsage:
    return x509.KeyUsage(**{name: name in wanted for name in (*_USAGES, *_ROOT_USAGES, *_NEVER)})


def _stand_in() -> ec.EllipticCurvePrivateKey:
    """Signs, for the builder's sake, what is then signed with SM2."""
    return ec.generate_private_key(ec.SECP256R1())


def _subject(holder: Holder) -> x509.Name:
    parts = (
        (NameOID.COUNTRY_NAME, "CN"),
        (NameOID.ORGANIZATION_IDENTIFIER, holder.organisation),
        (NameOID.SERIAL_NUMBER, holder.serial),
        (NameOID.COMMON_NAME, holder.name),
    )
    return x509.Name([x509.NameAttribute(oid, value) for oid, value in parts])


def _builder(subject: x509.Name, issuer: x509.Name, now: datetime, days: int) -> x509.CertificateBuilder:
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).serial_number(x509.random_serial_number())
    return builder.not_valid_before(now - _SKEW).not_valid_after(now + timedelta(days=days))


def _signed(builder: x509.CertificateBuilder, key: PrivateKey, signer: PrivateKey) -> x509.Certificate:
    """The certificate for `key` by `signer`; both of one kind."""
    if not isinstance(key, sm2.PrivateKey) and not isinstance(signer, sm2.PrivateKey):
        return builder.public_key(key.public_key()).sign(signer, hashes.SHA256())
    if not isinstance(key, sm2.PrivateKey) or not isinstance(signer, sm2.PrivateKey):
        raise TypeError("keys of two kinds")
    stand_in = _stand_in()
    drawn = builder.public_key(stand_in.public_key()).sign(stand_in, hashes.SHA256())
    return x509.load_der_x509_certificate(sm2.resigned_certificate(drawn.public_bytes(Encoding.DER), key.point, signer))


def _card(holder: Holder, key: PrivateKey, root: x509.Certificate, signer: PrivateKey, now: datetime) -> Card:
    builder = _builder(_subject(holder), root.subject, now, CARD_DAYS)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(_usage("digital_signature"), critical=True)
    builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
    return Card(holder, key, _signed(builder, key, signer))


def _root(kind: str, key: PrivateKey, now: datetime) -> x509.Certificate:
    said = f"Development e-key CA ({kind}), not for production"
    name = x509.Name([x509.NameAttribute(NameOID.COUNTRY_NAME, "CN"), x509.NameAttribute(NameOID.COMMON_NAME, said)])
    builder = _builder(name, name, now, ROOT_DAYS).add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    return _signed(builder.add_extension(_usage(*_ROOT_USAGES), critical=True), key, key)
