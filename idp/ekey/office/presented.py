"""A certificate that somebody brings to the key office: judged, filed for another officer, bound once that one has confirmed it (R90, R68)."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date, datetime
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from idp.accounts.models import AccountKey
from idp.adapters import BEIJING
from idp.audit import catalogue as audit
from idp.db import session
from idp.ekey import binding, chain, verification
from idp.ekey.leaf import Identity
from idp.ekey.refusal import Refused
from idp.ekey.revocation import Source
from idp.ekey.verification import Rules
from idp.errors import Refusal
from idp.key_register.live_keys import dead
from idp.key_register.models import EKey
from idp.second_person import rules as second_person
from idp.second_person.rules import Acts, Filer

KIND = "ekey.bind"
MAX_FILE_BYTES = 16 * 1024
MAX_SHOWN_CHARACTERS = 300


@dataclass(frozen=True)
class Presented:
    """Whom a certificate names that passed steps 1–4 and 6, and what of it the second officer compares."""

    identity: Identity
    shown: Mapping[str, str]


def judge(content: bytes, rules: Rules, source: Source, now: datetime) -> Presented | Refused | Refusal:
    """The certificate of a file, outside any transaction: a Refusal for a file that is none, Refused (for the audit) for one that does not count."""
    der = _certificate(content)
    if isinstance(der, Refusal):
        return der
    found = verification.prove_without_signature(der, rules, source, now)
    return found if isinstance(found, Refused) else Presented(found, _shown(found, der))


def _certificate(content: bytes) -> bytes | Refusal:
    """The one certificate in PEM or DER, as DER."""
    if not content or len(content) > MAX_FILE_BYTES:
        code = "certificate_large" if content else "certificate_missing"
        return Refusal(code, "certificate", {"kib": MAX_FILE_BYTES // 1024} if content else {})
    if b"PRIVATE KEY" in content:
        return Refusal("certificate_private", "certificate")
    if b"-----BEGIN" not in content:
        return content
    try:
        (found,) = x509.load_pem_x509_certificates(content)
        return found.public_bytes(Encoding.DER)
    except chain.BROKEN:
        return Refusal("certificate_file", "certificate")


def _shown(identity: Identity, der: bytes) -> dict[str, str]:
    certificate = x509.load_der_x509_certificate(der)
    return {
        "name": identity.name,
        "organisation": identity.organisation or "–",
        "owner": certificate.subject.rfc4514_string()[:MAX_SHOWN_CHARACTERS],
        "issuer": certificate.issuer.rfc4514_string()[:MAX_SHOWN_CHARACTERS],
        "until": f"{identity.not_after.astimezone(BEIJING):%Y-%m-%d}",
        "fingerprint": identity.fingerprint,
    }


@dataclass(frozen=True)
class Request:
    """Who asks, and why; `acts`: the table of what a second person confirms."""

    by: Filer
    reason: str
    acts: Acts


def file(serial: str, judged: Presented | Refused | Refusal, asked: Request, now: datetime, today: date) -> int | Refusal:
    """Ask another officer to bind it to this key, which is held (inside a transaction); the request's number."""
    if isinstance(judged, Refusal):
        return judged
    if isinstance(judged, Refused):
        audit.ekey_refused(now, account_id=None, step=judged.step, reason=judged.reason, detail=judged.detail)
        code = "certificate_file" if judged.reason == "malformed" else "certificate_refused"
        return Refusal(code, "certificate", {} if judged.reason == "malformed" else {"step": judged.step, "reason": judged.reason})
    fault = _why_not(serial, judged.identity, today)
    if fault is not None:
        return fault
    identity = asdict(judged.identity) | {"not_after": judged.identity.not_after.isoformat()}
    return second_person.file(KIND, serial, {"serial": serial, **judged.shown, "identity": identity}, asked.reason, asked.by, asked.acts, now)


def _why_not(serial: str, identity: Identity, today: date) -> Refusal | None:
    """Why this certificate cannot be this key: what it carries must not contradict the list."""
    key = session.get(EKey, serial)
    if key is None:
        return Refusal("key_not_listed")
    checks = (
        ("key_dead", dead(key, today) not in (None, "key_not_yet_valid")),
        ("key_no_account", session.get(AccountKey, serial) is None),
        ("certificate_bound", binding.known(identity)),
        ("certificate_other_key", identity.serial not in ("", serial)),
        ("certificate_other_enterprise", identity.organisation not in ("", key.enterprise.code, key.enterprise.uscc)),
    )
    return next((Refusal(code, "certificate" if code.startswith("certificate") else "") for code, wrong in checks if wrong), None)


def bind_confirmed(details: Mapping[str, Any], now: datetime) -> Refusal | None:
    """What ACTS in app.py runs once a second officer confirmed (inside a transaction); judged again, for days have passed."""
    serial, today = details["serial"], now.astimezone(BEIJING).date()
    key = session.get(EKey, serial, populate_existing=True, with_for_update=True)
    identity = Identity(**{**details["identity"], "not_after": datetime.fromisoformat(details["identity"]["not_after"])})
    fault = _why_not(serial, identity, today)
    if fault is not None or key is None:
        return fault
    if identity.not_after <= now:
        return Refusal("certificate_over")
    if binding.full(key, today):
        return Refusal("too_many_keys")
    account_id = session.get_one(AccountKey, serial).account_id
    binding.renew(identity, serial, account_id, now)
    binding.bind(identity, serial, account_id, now)
    return None
