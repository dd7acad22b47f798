"""What CAs said of revocation, kept in the database.

Lists: only the configured addresses are ever called, by the worker; nothing in a certificate leads anywhere. OCSP: a certificate of a proven path
may name a responder; it is asked if the operator allows that very address, and its answer is kept until its end.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from cryptography import x509
from sqlalchemy import delete, select

from idp.adapters import Outbound, Unreachable
from idp.audit import catalogue as audit
from idp.db import session, transaction
from idp.ekey import crl, ocsp
from idp.ekey.chain import Trust
from idp.ekey.crl import RevocationList
from idp.ekey.models import CachedCrl, CachedOcsp, CrlAddress
from idp.outbox import queue
from idp.outbox.queue import Handler

CRL = "ekey_crl"
MAX_CRL_BYTES = 8 * 1024 * 1024
# an outgoing list that could not be had is asked for again by the outbox; what stays wrong waits for the next turn
STAYS = frozenset({"url", "scheme", "address", "size"})


class NotAnsweredError(OSError):
    """The server has no list at present; the outbox tries again."""


# --- lists ----------------------------------------------------------------------------------------------------------------------------------


def ask(urls: Sequence[str], every_seconds: int, now: datetime) -> None:
    """Have the lists fetched that are due (a job of the worker)."""
    asked = {row.url: row for row in session.scalars(select(CrlAddress))}
    # RFC 6761 §6.4: nobody lives there; such lists are put here by a command
    for url in (url for url in urls if not (urlsplit(url).hostname or "").endswith(".invalid")):
        row = asked.get(url)
        if row is None:
            session.add(row := CrlAddress(url=url, asked_at=now))
        elif row.asked_at + timedelta(seconds=every_seconds) > now:
            continue
        row.asked_at = now
        queue.forget(CRL, url)
        queue.enqueue(CRL, {"url": url}, now, lane=url)


def fetch(outbound: Outbound, trust: Trust, urls: Sequence[str], clock: Callable[[], datetime]) -> Handler:
    """The handler of the outbox: fetch, judge, keep; OSError = try again."""

    def handle(facts: dict[str, Any]) -> None:
        url = facts["url"]
        # no longer configured
        if url not in urls:
            return
        found = _fetched(outbound, url)
        judged = found if isinstance(found, str) else crl.read(found, trust.authorities, clock())
        with transaction():
            keep(url, judged, clock())

    return handle


def _fetched(outbound: Outbound, url: str) -> bytes | str:
    try:
        answer = outbound.get(url, most=MAX_CRL_BYTES)
    except Unreachable as error:
        if error.reason in STAYS:
            return error.reason
        raise
    # redirects are not followed
    if answer.status != 200:
        raise NotAnsweredError(f"the server of a revocation list answered {answer.status}")
    return answer.body


def keep(url: str, judged: RevocationList | str, now: datetime) -> str | None:
    """Let a list take the place of its predecessor (inside a transaction); else the reason, which the audit knows."""
    if isinstance(judged, str):
        audit.ekey_crl_refused(now, reason=judged)
        return judged
    row = session.get(CachedCrl, (url, judged.issuer), with_for_update=True)
    if row is not None and crl.rolls_back(judged, row.number, row.this_update):
        audit.ekey_crl_refused(now, reason="rolled_back")
        return "rolled_back"
    if row is None:
        session.add(row := CachedCrl(url=url, issuer=judged.issuer))
    row.number, row.this_update, row.next_update, row.der = judged.number, judged.this_update, judged.next_update, judged.der
    row.fetched_at = now
    return None


# --- what verification asks -----------------------------------------------------------------------------------------------------------------


@dataclass
class Stored:
    """The Source of verification in production. Nothing is written while it is asked: `keep` writes what was learnt, in the caller's transaction.

    `urls` and `responders` are the configured addresses: what another configuration left behind does not count.
    """

    outbound: Outbound
    urls: Sequence[str]
    responders: Sequence[str]
    _learnt: list[CachedOcsp] = field(default_factory=list)

    def lists(self, issuer: x509.Certificate) -> Sequence[bytes]:
        """The newest list of this CA from each configured address."""
        held = select(CachedCrl.der).where(CachedCrl.issuer == crl.authority_id(issuer), CachedCrl.url.in_(self.urls))
        return list(session.scalars(held))

    def answer(self, certificate: x509.Certificate, issuer: x509.Certificate, now: datetime) -> bytes | None:
        """The kept answer while it lasts, else a fresh one from the responder that the certificate names, if it is allowed."""
        address = ocsp.responder(certificate, self.responders)
        if address is None:
            return None
        key = (crl.authority_id(issuer), f"{certificate.serial_number:040x}")
        row = session.get(CachedOcsp, key)
        if row is not None and now < row.until:
            return row.der
        return self._fresh(key, address, certificate, issuer, now)

    def _fresh(self, key: tuple[str, str], address: str, certificate: x509.Certificate, issuer: x509.Certificate, now: datetime) -> bytes | None:
        # no connection is held while another's server is waited for
        session.rollback()
        try:
            answer = self.outbound.get(ocsp.question(address, certificate, issuer), most=ocsp.MAX_BYTES)
        except Unreachable:
            return None
        word = ocsp.says(answer.body, certificate, issuer, now) if answer.status == 200 else None
        if word is None:
            return None
        self._learnt.append(CachedOcsp(issuer=key[0], serial_number=key[1], this_update=word.this_update, until=word.until, der=answer.body))
        return answer.body

    def keep(self) -> None:
        """Write the answers that were fetched (inside a transaction); an older one never replaces a newer one."""
        for row in self._learnt:
            known = session.get(CachedOcsp, (row.issuer, row.serial_number), with_for_update=True)
            if known is None or known.this_update < row.this_update:
                session.merge(row)
        self._learnt.clear()


def sweep(now: datetime) -> None:
    """Forget answers that are over (a job of the worker). Lists stay, for their numbers."""
    session.execute(delete(CachedOcsp).where(CachedOcsp.until < now))
