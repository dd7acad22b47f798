"""The third road of the e-key: the browser itself shows the certificate, to the proxy of a host of its own (mutual TLS).

That host sees none of our cookies, so a sign-in is told by a challenge that only its browser was given. What is judged there counts for nobody yet:
it goes back under a second secret, which is worth something once, to the browser whose sign-in it is. Somebody who sends their own link to the
holder of a key has nothing of it (that browser is not theirs), and a certificate of somebody else's is shown with its name before it counts.
Each function inside a transaction.
"""

from collections.abc import Collection
from dataclasses import asdict
from datetime import date, datetime, timedelta

from sqlalchemy import delete, select, update

from idp import opaque_tokens
from idp.db import session, spend_once
from idp.ekey import step
from idp.ekey.leaf import Identity
from idp.ekey.models import CertificateVisit
from idp.ekey.refusal import Refused
from idp.errors import Refusal
from idp.signin import flow, steps
from idp.signin.models import SignInTransaction

# the browser follows the redirect at once; then a person reads whose certificate it is
BACK, READ = timedelta(seconds=60), timedelta(seconds=300)


def begin(row: SignInTransaction, now: datetime, life_seconds: int) -> str | None:
    """The challenge with which this sign-in goes to the other host; None if it needs none any more, or had too many."""
    if not step.may_ask(row, now):
        return None
    challenge = opaque_tokens.make()
    expires = min(now + timedelta(seconds=life_seconds), row.expires_at)
    session.add(CertificateVisit(transaction_id=row.id, challenge_digest=opaque_tokens.digest(challenge), expires_at=expires))
    return challenge


def arrive(transaction_id: str, challenge: str, now: datetime) -> CertificateVisit | None:
    """Step 0, at the other host: use the challenge up; to be committed before anything is judged."""
    this = CertificateVisit.challenge_digest == opaque_tokens.digest(challenge)
    unspent = (CertificateVisit.arrived_at.is_(None), CertificateVisit.expires_at > now)
    if not spend_once(update(CertificateVisit).where(this, *unspent).values(arrived_at=now)):
        return None
    visit = session.scalars(select(CertificateVisit).where(this).execution_options(populate_existing=True)).one()
    return visit if visit.transaction_id == transaction_id else None


def judged(visit_id: int, found: Identity | Refused, now: datetime) -> str:
    """Keep what was found; the secret by which the browser takes it up at the sign-in's own host."""
    visit = session.get_one(CertificateVisit, visit_id)
    if isinstance(found, Refused):
        step.note(session.get_one(SignInTransaction, visit.transaction_id), found, now)
    visit.found = {"refused": found.kept()} if isinstance(found, Refused) else asdict(found) | {"not_after": found.not_after.isoformat()}
    handover = opaque_tokens.make()
    visit.handover_digest, visit.expires_at = opaque_tokens.digest(handover), now + BACK
    return handover


def take(handover: str, browsers: Collection[str], now: datetime) -> SignInTransaction | None:
    """Use the secret up, whoever brings it; the sign-in, if it is one of this browser's that still needs the key."""
    mine = CertificateVisit.handover_digest == opaque_tokens.digest(handover)
    unspent = (CertificateVisit.taken_at.is_(None), CertificateVisit.expires_at > now)
    if not spend_once(update(CertificateVisit).where(mine, *unspent).values(taken_at=now, expires_at=now + READ)):
        return None
    visit = session.scalars(select(CertificateVisit).where(mine).execution_options(populate_existing=True)).one()
    row, own = flow.find(visit.transaction_id, browsers)
    if row is None or not own or not flow.hold(row, steps.ekey_needed, now):
        return None
    flow.record(row, ekey_visit=visit.id)
    return row


def shown(row: SignInTransaction, now: datetime) -> tuple[Identity | Refused, datetime] | None:
    """What this sign-in's browser has shown there and taken up, and when; None if there is nothing, or it is too old to say yes to."""
    visit = session.get(CertificateVisit, row.facts.get("ekey_visit") or 0)
    if visit is None or visit.transaction_id != row.id or visit.taken_at is None or visit.arrived_at is None or now >= visit.expires_at:
        return None
    if "refused" in visit.found:
        return Refused.again(visit.found["refused"]), visit.arrived_at
    return Identity(**visit.found | {"not_after": datetime.fromisoformat(visit.found["not_after"])}), visit.arrived_at


def settle(row: SignInTransaction, now: datetime, today: date) -> Refusal | None:
    """The person has said yes to the certificate that was shown; once. None = the key counts, without a PIN."""
    if not step.held(row, now):
        return None
    found = shown(row, now)
    flow.record(row, ekey_visit=None)
    if found is None:
        return Refusal("ekey_again")
    return step.settle(row, found[0], now, today, step.Proof(found[1], pin=False))


def sweep(now: datetime) -> None:
    """Forget what is over (a job of the worker)."""
    session.execute(delete(CertificateVisit).where(CertificateVisit.expires_at < now))
