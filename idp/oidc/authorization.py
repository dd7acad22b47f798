"""The decision on a checked authorization request, and the code that follows from it.

1 who is signed in  2 recently enough  3 the one who was meant  4 strongly enough  5 with a right to it  6 with consent
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sqlalchemy import bindparam, insert, select

from idp import opaque_tokens
from idp.audit import provider as audit
from idp.db import session as db_session
from idp.entitlements import rules as entitlements
from idp.oidc import account_events, acr, claims, clients, consents, pushed_requests, scopes, subjects
from idp.oidc.checks import Fault, Subject
from idp.oidc.models import AuthorizationCode, Grant
from idp.sessions import lifecycle
from idp.sessions.models import Session

FACTORS = ("password", "totp", "ekey")


@dataclass(frozen=True)
class Person:
    """Who is signed in, as plain values: account, what the asking client calls it, its epoch, the session with the times of its factors.

    `only_system`, `entry_remaining`: see Session.
    """

    account_id: int
    sub: str
    epoch: int
    session_id: int
    factors: dict[str, datetime]
    session_end: datetime
    touch_due: bool
    only_system: str | None = None
    entry_remaining: int | None = None


@dataclass(frozen=True)
class SignIn:
    """The person has to sign in (again) first."""


@dataclass(frozen=True)
class StepUp:
    """Who is signed in has to show another factor as well; `has` are those that count already."""

    has: tuple[str, ...]


@dataclass(frozen=True)
class NoRight:
    """Licences were asked for and the account holds none of them; `reasons` as entitlements.rules.why_closed says."""

    reasons: tuple[str, ...]


@dataclass(frozen=True)
class AskConsent:
    """The person has to agree first."""


@dataclass(frozen=True)
class ClientGone:
    """The client has just been switched off or deleted."""


@dataclass(frozen=True)
class Answered:
    """The pushed request has had its one answer, by another sign-in that started with it."""


@dataclass(frozen=True)
class Allowed:
    """A code may be issued for these scopes at this resource, with this level reached; `claims` see models.Grant."""

    granted: tuple[str, ...]
    target: scopes.Target
    reached: acr.Reached
    claims: dict[str, list[str]]

    @property
    def named(self) -> set[str]:
        """The claims asked for one by one."""
        return {name for names in self.claims.values() for name in names}


Decision = SignIn | StepUp | NoRight | AskConsent | Allowed | Fault


@dataclass(frozen=True)
class Situation:
    """What one decision rests on beside request and client.

    `meant_sub` is the subject of a verified id_token_hint; `since` see AuthorizationRequest.factors_since; `first` is False once the request
    was stored, so that `prompt=login` asks exactly once; `consented`: the person has said yes to this very request; `agreed`: what they
    allowed this client before; `ekey`: e-keys are accepted here.
    """

    person: Person | None
    since: datetime | None
    first: bool
    meant_sub: str | None
    consented: bool
    today: date
    agreed: consents.Agreed = consents.NOTHING
    ekey: bool = False


def decide(subject: Subject, at: Situation) -> Decision:
    """What happens now; a Fault goes to the client."""
    request, own, target = subject.request, subject.known.registration, subject.target()
    if isinstance(target, str):
        return Fault(target, "scope")
    # 1, 2
    if at.person is None or (at.first and request.prompt & {"login", "select_account"}):
        return Fault("login_required", "signin") if request.silent else SignIn()
    fresh = _fresh(at.person, at.since)
    reached, reachable = acr.granted(fresh, levels(subject)), acr.granted(_with_sign_in(at.person, at.ekey), levels(subject))
    if reachable is not None and "password" not in fresh:
        return Fault("login_required", "max_age") if request.silent else SignIn()
    # 3: OIDC Core §3.1.2.1, §5.5.1: never the code of whoever else happens to be signed in
    if _means_another(subject, at.person, at.meant_sub):
        return Fault("login_required", "other_person")
    # 4
    if reached is None:
        return _unmet(subject, at.person, reachable, fresh)
    # 5, R34
    left = _entitled(target, at)
    if scopes.lost_every_licence(target.scopes, left):
        return Fault("access_denied", "licence") if request.silent else _no_right(target, at.person, at.today)
    allowed = Allowed(left, target, reached, claims.asked(subject.claims, own.scopes))
    # 6
    if not at.consented and ("consent" in request.prompt or not agreed(subject, allowed, at.agreed)):
        return Fault("consent_required", "consent") if request.silent else AskConsent()
    return allowed


def _fresh(person: Person, since: datetime | None) -> dict[str, datetime]:
    """The factors that count: one that is too old is as good as none (protocol.md, max_age)."""
    return {name: at for name, at in person.factors.items() if since is None or at >= since}


def _with_sign_in(person: Person, ekey: bool) -> dict[str, datetime]:
    """The factors of the session and those that a sign-in could bring."""
    later = person.session_end
    return {**person.factors, "password": later, "totp": later, **({"ekey": later} if ekey else {})}


def _unmet(subject: Subject, person: Person, reachable: acr.Reached | None, fresh: Collection[str]) -> Fault | StepUp | SignIn:
    """protocol.md, acr: what the sign-in can still bring is not unmet."""
    if reachable is None:
        return Fault("unmet_authentication_requirements", "acr")
    if subject.request.silent:
        return Fault("login_required", "acr")
    # R54: nothing is added to a session of the legacy entry; an ordinary one takes its place
    return StepUp(tuple(fresh)) if person.only_system is None else SignIn()


def _means_another(subject: Subject, person: Person, hinted: str | None) -> bool:
    meant = [*([(hinted,)] if hinted is not None else []), *subject.claims.subjects]
    # whom the client has no name for yet is nobody it could mean
    return bool(meant) and not (person.sub and all(person.sub in names for names in meant))


def agreed(subject: Subject, allowed: Allowed, before: consents.Agreed) -> bool:
    """Whether nothing has to be asked: one of the ministry's own, or no more than was allowed before.

    A right that the person lacks today may come back: what is asked for counts, not what the rights leave of it.
    """
    return subject.known.registration.first_party or before.covers(allowed.target.scopes, allowed.named)


def levels(subject: Subject) -> acr.Asked:
    """Only an essential `acr` claim and the client's `require_acr` are demands; the claim speaks for this request and goes before the wishes.

    A claim names what it takes (OIDC Core §5.5.1.1); `require_acr` is the least that the client takes.
    """
    request, own, claim = subject.request, subject.known.registration, subject.claims.acr
    demands = (*((claim.values,) if claim.essential and claim.values else ()), *((acr.at_least(own.require_acr),) if own.require_acr else ()))
    return acr.Asked(demands, claim.values or request.acr_values or own.default_acr_values)


def _no_right(target: scopes.Target, person: Person, today: date) -> NoRight:
    return NoRight(tuple(entitlements.why_closed(person.account_id, scopes.systems_of(target.scopes), today, person.only_system)))


def _entitled(target: scopes.Target, at: Situation) -> tuple[str, ...]:
    if at.person is None or not scopes.systems_of(target.scopes):
        return target.scopes
    return scopes.entitled(target.scopes, entitlements.open_systems(at.person.account_id, at.today, at.person.only_system))


def person_of(account_id: int, sub: str, row: Session, now: datetime) -> Person:
    """The plain values of a live session."""
    times = {name: getattr(row, f"{name}_at") for name in FACTORS}
    if row.ekey_pin:
        times["pin"] = row.ekey_at
    factors = {name: at for name, at in times.items() if at is not None}
    entry = (row.only_system, row.entry_remaining)
    return Person(account_id, sub, row.epoch, row.id, factors, row.absolute_end, lifecycle.touch_due(row, now), *entry)


_LIVE = select(Session.id).where(Session.id == bindparam("session_id"), Session.ended_at.is_(None)).with_for_update()
_ADD_GRANT = insert(Grant.__table__).returning(Grant.__table__.c.id)  # type: ignore[arg-type]  # SQLAlchemy types __table__ as FromClause
_ADD_CODE = insert(AuthorizationCode.__table__)  # type: ignore[arg-type]  # as above


Issued = str | SignIn | AskConsent | ClientGone | Answered


def issue(subject: Subject, person: Person, allowed: Allowed, now: datetime, code_seconds: int, consented: bool = False) -> Issued:
    """Inside a transaction: a grant and its code; returns the code, or what is missing if session, client or consent has just ended.

    All rows are held until the commit, so that whoever ends one at the same moment either comes first or ends this grant too.
    `consented`: the person has just said yes, which is remembered.
    """
    missing, client, request = hold(subject, person), subject.known, subject.request
    if missing is not None:
        return missing
    # R54: what is allowed by the legacy entry is allowed for this once
    if consented and person.only_system is None:
        consents.remember(person.account_id, client.client_id, allowed.target.scopes, allowed.named, now)
    elif not consented and not agreed(subject, allowed, consents.agreed(person.account_id, client.client_id, hold=True)):
        return AskConsent()
    # last, because a pushed request that is spent must have been answered
    if subject.pushed is not None and not pushed_requests.spend(subject.pushed, client.client_id, now):
        return Answered()
    if person.touch_due and not request.silent:
        lifecycle.touch(person.session_id, now)
    code, grant_id = opaque_tokens.make(), add_grant(subject, person, allowed, now)
    row = {
        "digest": opaque_tokens.digest(code),
        "grant_id": grant_id,
        "client_id": client.client_id,
        "redirect_uri": request.redirect_uri,
        "code_challenge": request.get("code_challenge") or None,
        "nonce": request.get("nonce") or None,
        "dpop_jkt": request.get("dpop_jkt") or None,
        "expires_at": now + timedelta(seconds=code_seconds),
    }
    db_session.connection().execute(_ADD_CODE, row)
    scope = " ".join(allowed.granted)
    audit.authorized(now, account_id=person.account_id, session_id=person.session_id, client_id=client.client_id, scope=scope)
    return code


def hold(subject: Subject, person: Person) -> SignIn | ClientGone | None:
    """Inside a transaction, before anything else is held: session and client live and stay so until the commit; or what has just ended."""
    if db_session.connection().execute(_LIVE, {"session_id": person.session_id}).one_or_none() is None:
        return SignIn()
    return None if clients.hold(subject.known.client_id) else ClientGone()


def add_grant(subject: Subject, person: Person, allowed: Allowed, now: datetime) -> int:
    """The grant, bound to the session, of a person and a client that are held; returns its id."""
    client = subject.known
    values = {
        "account_id": person.account_id,
        "client_id": client.client_id,
        "session_id": person.session_id,
        "sid": lifecycle.sid_for(person.session_id, client.client_id) if client.registration.backchannel_logout_uri else None,
        "sub": subjects.ensure(person.account_id, person.sub, client.registration),
        "requested_scope": subject.request.get("scope"),
        "asked_scope": " ".join(allowed.target.scopes),
        "scope": " ".join(allowed.granted),
        "resource": allowed.target.resource,
        "acr": allowed.reached.level.acr,
        "amr": acr.amr(allowed.reached.level, person.factors),
        "auth_time": allowed.reached.auth_time,
        "claims": allowed.claims,
        "only_system": person.only_system,
        "entry_remaining": person.entry_remaining,
        "epoch": person.epoch,
        "created_at": now,
        "expires_at": person.session_end,
    }
    grant_id: int = db_session.connection().execute(_ADD_GRANT, values).scalar_one()
    if client.registration.security_events_uri is not None:
        account_events.remember(person.account_id, client.client_id)
    return grant_id
