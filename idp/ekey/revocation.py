"""Step 3: is one of the path's certificates revoked? OCSP or a list must say that it is not; silence refuses (fail closed)."""

from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise
from typing import Protocol

from cryptography import x509

from idp.ekey import crl, ocsp
from idp.ekey.crl import GOOD, REVOKED
from idp.ekey.refusal import Refused


class Source(Protocol):
    """Where words on revocation come from; asked only for certificates of a proven path. What it gives is judged here, not trusted."""

    def lists(self, issuer: x509.Certificate) -> Sequence[bytes]:
        """Revocation lists (DER) of this CA."""
        ...

    def answer(self, certificate: x509.Certificate, issuer: x509.Certificate, now: datetime) -> bytes | None:
        """An OCSP answer (DER) on this certificate; None where nobody is to be asked or nobody answers."""
        ...


def fault(path: Sequence[x509.Certificate], source: Source, now: datetime) -> Refused | None:
    """Why the path does not count: the card's certificate first, then the CAs; the root is not asked about."""
    for depth, (certificate, issuer) in enumerate(pairwise(path)):
        word = says(certificate, issuer, source, now)
        if word != GOOD:
            return Refused(3, "issuer_revoked" if word == REVOKED and depth else word, f"at {depth}")
    return None


def says(certificate: x509.Certificate, issuer: x509.Certificate, source: Source, now: datetime) -> str:
    """One word: good, revoked (whoever says so), ocsp_unknown, else why no list counts."""
    listed = crl.says(source.lists(issuer), certificate, issuer, now)
    if listed == REVOKED:
        return REVOKED
    answer = source.answer(certificate, issuer, now)
    word = ocsp.says(answer, certificate, issuer, now) if answer is not None else None
    return word.status if word is not None else listed
