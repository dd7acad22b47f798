"""What the agent reads off a certificate: whose it is, until when, and how its key signs. It proves nothing; the server does."""

import datetime as dt
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from idp.ekey.agent import sm2
from idp.ekey.agent.cards import CardFault, Code
from idp.ekey.protocol import Algorithm

CURVES = {"secp256r1": Algorithm.ES256, "secp384r1": Algorithm.ES384}


@dataclass(frozen=True)
class Shown:
    """The common name, the end of validity, and the algorithm of the key."""

    username: str
    not_after: dt.datetime
    algorithm: Algorithm


def read(der: bytes) -> Shown:
    """What `der` says; CardFault(not_piv) for what is no certificate of a kind that the agent can sign with."""
    try:
        certificate = x509.load_der_x509_certificate(der)
        names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        algorithm = _sm2(certificate) or _algorithm(certificate.public_key())
    except Exception as error:  # the library has many ways to dislike a certificate
        raise CardFault(Code.NOT_PIV) from error
    if not names or algorithm is None:
        raise CardFault(Code.NOT_PIV)
    return Shown(str(names[-1].value), certificate.not_valid_after_utc, algorithm)


def _sm2(certificate: x509.Certificate) -> Algorithm | None:
    return Algorithm.SM2 if sm2.POSSIBLE and sm2.point_of(certificate) else None


def _algorithm(key: object) -> Algorithm | None:
    if isinstance(key, rsa.RSAPublicKey) and key.key_size == 2048:
        return Algorithm.RS256
    return CURVES.get(key.curve.name) if isinstance(key, ec.EllipticCurvePublicKey) else None
