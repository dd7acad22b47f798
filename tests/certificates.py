"""Certificates for tests: a CA, and what it issues to clients, as the trusted proxy would hand them on."""

import base64
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from joserfc.jwk import ECKey, RSAKey

from tests.fakes import START

CLIENT = ExtendedKeyUsageOID.CLIENT_AUTH
SERVER = ExtendedKeyUsageOID.SERVER_AUTH
DAY = timedelta(days=1)
Private = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


def name_of(common_name: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, "CN"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "商务部, 外贸司"),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )


class Certified:
    """A key and its certificate."""

    def __init__(self, key: Private, certificate: x509.Certificate) -> None:
        self.key, self.certificate = key, certificate

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(Encoding.DER)

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)

    @property
    def key_pem(self) -> bytes:
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    @property
    def rfc9440(self) -> str:
        return f":{base64.b64encode(self.der).decode()}:"

    @property
    def escaped(self) -> str:
        """As nginx's $ssl_client_escaped_cert."""
        return quote(self.pem.decode(), safe="")

    def jwk(self) -> dict[str, Any]:
        """Its public key with the certificate in x5c."""
        kind = RSAKey if isinstance(self.key, rsa.RSAPrivateKey) else ECKey
        return {**kind.import_key(self.key_pem).as_dict(private=False), "kid": "c1", "x5c": [base64.b64encode(self.der).decode()]}


def make(
    subject: x509.Name,
    issuer: Certified | None = None,
    *,
    names: Sequence[x509.GeneralName] = (),
    usage: Sequence[x509.ObjectIdentifier] = (),
    ca: bool | None = None,
    path: int | None = None,
    start: datetime = START - DAY,
    end: datetime = START + 30 * DAY,
    more: Sequence[tuple[x509.ExtensionType, bool]] = (),
    key: Private | None = None,
) -> Certified:
    """A certificate by `issuer`; by itself without one."""
    key = key if key is not None else ec.generate_private_key(ec.SECP256R1())
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer.certificate.subject if issuer else subject)
    builder = builder.public_key(key.public_key()).serial_number(x509.random_serial_number()).not_valid_before(start).not_valid_after(end)
    extensions: list[tuple[x509.ExtensionType, bool]] = list(more)
    if names:
        extensions.append((x509.SubjectAlternativeName(names), False))
    if usage:
        extensions.append((x509.ExtendedKeyUsage(usage), False))
    if ca is not None:
        extensions.append((x509.BasicConstraints(ca=ca, path_length=path), True))
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    return Certified(key, builder.sign(issuer.key if issuer else key, SHA256()))


def authority(common_name: str = "CA", **more: Any) -> Certified:
    """A CA as `openssl req -x509` makes one: without key usage."""
    return make(name_of(common_name), ca=True, **more)


def around_now() -> dict[str, Any]:
    """Times for certificates that real servers judge."""
    now = datetime.now(UTC)
    return {"start": now - DAY, "end": now + DAY}
