"""Devices that ask for a person (RFC 8628): the request, finding it by what the person types, and the person's word."""

import secrets
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal, cast

from sqlalchemy import Table, delete, select, update
from sqlalchemy.dialects import postgresql, sqlite

from idp import opaque_tokens
from idp.audit import provider as audit
from idp.db import session, spend_once
from idp.limits import Rule, take
from idp.oidc import authorization, authorization_request, checks, consents, revocation
from idp.oidc.authorization_request import AuthorizationRequest
from idp.oidc.clients import Client
from idp.oidc.device_models import DeviceAuthorization
from idp.oidc.models import Grant
from idp.oidc.refusal import Refused

# RFC 8628 §6.1: no vowels, so that no words come of it, and nothing that looks like something else
ALPHABET = "BCDFGHJKLMNPQRSTVWXZ"
CODE_CHARACTERS = 8
MAX_TYPED_CHARACTERS = 40
LIFE_SECONDS = 600
INTERVAL_SECONDS = 5
# requests are free to make; a row each
STARTS = Rule("device_starts", 60, 60)
# RFC 8628 §5.1: each look at a code is charged first, right ones too
BY_ACCOUNT = Rule("device_codes_account", 20, 600)
BY_NETWORK = Rule("device_codes_network", 200, 600)
PURPOSE = "device-user-code"
ASKED = ("client_id", "scope", "resource")


@dataclass(frozen=True)
class Start:
    """A device's request that may be kept. `page`: where the person goes; `counter`: whom too many requests are counted against."""

    client_id: str
    parameters: dict[str, str]
    page: str
    secret: str
    counter: str

    def commit(self, now: datetime) -> dict[str, Any] | Refused:
        """Keep it; both codes leave the house here and nowhere else."""
        taken = take(STARTS, self.counter, now)
        if not taken.allowed:
            wait = max(1, int((taken.retry_at - now).total_seconds()))
            return Refused("slow_down", "device_starts", 429, client_id=self.client_id, retry_after=wait)
        device_code, user_code = opaque_tokens.make(), _new_user_code()
        # of two alike codes that are under way the second is drawn again
        while not self._keep(device_code, user_code, now):
            user_code = _new_user_code()
        return {
            "device_code": device_code,
            "user_code": shown(user_code),
            "verification_uri": self.page,
            "verification_uri_complete": f"{self.page}?user_code={shown(user_code)}",
            "expires_in": LIFE_SECONDS,
            "interval": INTERVAL_SECONDS,
        }

    def _keep(self, device_code: str, user_code: str, now: datetime) -> bool:
        insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
        values = {
            "device_code_digest": opaque_tokens.digest(device_code),
            "user_code_digest": opaque_tokens.keyed_digest(self.secret, PURPOSE, user_code),
            "client_id": self.client_id,
            "parameters": self.parameters,
            "interval_seconds": INTERVAL_SECONDS,
            "created_at": now,
            "expires_at": now + timedelta(seconds=LIFE_SECONDS),
        }
        return spend_once(insert(cast("Table", DeviceAuthorization.__table__)).values(**values).on_conflict_do_nothing())


def _new_user_code() -> str:
    return "".join(secrets.choice(ALPHABET) for _ in range(CODE_CHARACTERS))


def shown(user_code: str) -> str:
    """The code as people read it: XXXX-XXXX."""
    return f"{user_code[:4]}-{user_code[4:]}"


def typed(text: str) -> str:
    """What a person typed, as a code: in any case, with any blanks and dashes, also in full-width letters; "" if it cannot be one."""
    plain = unicodedata.normalize("NFKC", text[:MAX_TYPED_CHARACTERS]).upper()
    code = "".join(sign for sign in plain if sign in ALPHABET)
    return code if len(code) == CODE_CHARACTERS else ""


def plan(form: Mapping[str, str], client: Client, issuer: str, secret: str, network: str) -> Start | Refused:
    """What a device asks for, judged like an authorization request."""
    asked = authorization_request.read({name: [form[name]] for name in ("scope", "resource") if form.get(name)} | {"client_id": [client.client_id]})
    failed = checks.first_failure(checks.Subject(asked, client, issuer), "device")
    if failed is not None:
        return Refused(failed[1].error, failed[1].detail, client_id=client.client_id)
    counter = opaque_tokens.digest(f"{client.client_id} {network}")
    return Start(client.client_id, dict(asked.values), f"{issuer}/device", secret, counter)


# --- the person -----------------------------------------------------------------------------------------------------------------------------


def may_look(account_id: int, network: str, now: datetime) -> bool:
    """Inside a transaction: whether this person, and this network, may try one more code."""
    # the account first: one person who guesses does not use up what everybody behind the same address has
    return take(BY_ACCOUNT, str(account_id), now).allowed and take(BY_NETWORK, network, now).allowed


def find(user_code: str, secret: str, now: datetime) -> DeviceAuthorization | None:
    """The request behind a code, if it still waits for its person."""
    mine = DeviceAuthorization.user_code_digest == opaque_tokens.keyed_digest(secret, PURPOSE, user_code)
    return session.scalar(select(DeviceAuthorization).where(mine, *_waits(now)))


def request_of(row: DeviceAuthorization) -> AuthorizationRequest:
    """What the device asked for."""
    return AuthorizationRequest(dict(row.parameters))


def _waits(now: datetime) -> tuple[Any, ...]:
    return (DeviceAuthorization.approved_at.is_(None), DeviceAuthorization.denied_at.is_(None), DeviceAuthorization.expires_at > now)


Said = Literal["said"] | authorization.SignIn | authorization.ClientGone | None


def approve(digest: str, subject: checks.Subject, person: authorization.Person, allowed: authorization.Allowed, now: datetime) -> Said:
    """Inside a transaction: yes, once; the grant is made. None: it waits no more. Otherwise what has just ended."""
    missing = authorization.hold(subject, person)
    if missing is not None:
        return missing
    mine = DeviceAuthorization.device_code_digest == digest
    if not spend_once(update(DeviceAuthorization).where(mine, *_waits(now)).values(approved_at=now)):
        return None
    client_id, scope = subject.known.client_id, " ".join(allowed.granted)
    # as everywhere, the ministry's own are not asked about and not listed
    if not subject.known.registration.first_party:
        consents.remember(person.account_id, client_id, allowed.target.scopes, allowed.named, now)
    grant_id = authorization.add_grant(subject, person, allowed, now)
    session.execute(update(DeviceAuthorization).where(mine).values(grant_id=grant_id), execution_options={"synchronize_session": False})
    audit.device_approved(now, account_id=person.account_id, session_id=person.session_id, client_id=client_id, scope=scope)
    return "said"


def deny(digest: str, client_id: str, account_id: int, now: datetime) -> bool:
    """Inside a transaction: no, once; False if it waits no more."""
    mine = DeviceAuthorization.device_code_digest == digest
    if not spend_once(update(DeviceAuthorization).where(mine, *_waits(now)).values(denied_at=now)):
        return False
    audit.device_denied(now, account_id=account_id, client_id=client_id)
    return True


def sweep(now: datetime) -> None:
    """Drop what is over without a grant, and end the grants that no device fetched (a job of the worker).

    The other rows go with their grant, so that a replay is recognised late as well.
    """
    # a redemption that began in time is over by then, too
    over = DeviceAuthorization.expires_at < now - timedelta(seconds=LIFE_SECONDS)
    session.execute(delete(DeviceAuthorization).where(over, DeviceAuthorization.grant_id.is_(None)))
    unfetched = select(Grant.id).join(DeviceAuthorization, DeviceAuthorization.grant_id == Grant.id)
    for grant_id in session.scalars(unfetched.where(over, DeviceAuthorization.spent_at.is_(None), Grant.ended_at.is_(None))).all():
        revocation.end_grant(grant_id, "device_gone", now)
