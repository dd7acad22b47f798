"""Accounts that become one, and come apart again: each client that knows them is told, in its own terms (RFC 8417, pushed by RFC 8935).

What is said is written down in the commit that does it, for afterwards nothing may be left to read it from. A word said twice has the same `jti`.
"""

import json
from collections.abc import Callable, Collection, Iterator
from datetime import datetime
from typing import Any, cast

from sqlalchemy import Table, select, union
from sqlalchemy.dialects import postgresql, sqlite

from idp import opaque_tokens
from idp.accounts.models import Account
from idp.adapters import Fetched, Outbound
from idp.audit import provider as audit
from idp.db import session, transaction
from idp.oidc import pushing, subjects
from idp.oidc.client_models import KnownSubject
from idp.oidc.clients import Client, ClientCache
from idp.oidc.keys import KeyRing
from idp.oidc.models import Consent, Grant
from idp.oidc.pushing import Word
from idp.oidc.registration import Registration
from idp.outbox.queue import Handler, enqueue

ACCOUNT_EVENT = "oidc_account_event"  # the kind of an outbox item
EVENT = "urn:licence:event:"
JOINED, PARTED, TAKEN_BACK = f"{EVENT}account-joined", f"{EVENT}account-parted", f"{EVENT}account-taken-back"
# RFC 8417 §2.3, RFC 8935 §2.1
TYPE, MEDIA_TYPE = "secevent+jwt", "application/secevent+jwt"
MAX_REASON_CHARACTERS = 64
# where it is written that a client knows an account
_PLACES = (KnownSubject, Grant, Consent)


# --- inside the transaction that does it ----------------------------------------------------------------------------------------------------


def remember(account_id: int, client_id: str) -> None:
    """Keep that this client is told, or was, what it calls this account."""
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    known = insert(cast("Table", KnownSubject.__table__)).values(account_id=account_id, client_id=client_id)
    session.execute(known.on_conflict_do_nothing())


def joined(old_id: int, new_id: int, now: datetime) -> None:
    """The old account is from now on the new one: `old_sub` is `new_sub`."""
    for client, old in _knowing(old_id):
        new = subjects.ensure(new_id, _own(new_id), client.registration)
        # so that the way back, and the next join, reach it too
        remember(old_id, client.client_id)
        remember(new_id, client.client_id)
        _tell(client, JOINED, {"old_sub": old, "new_sub": new}, now)


def parted(old_id: int, new_id: int, now: datetime) -> None:
    """A join of these two does not hold any more: `old_sub` is a person of its own again."""
    for client, old in _knowing(old_id):
        new = subjects.known(new_id, _own(new_id), client.registration)
        if new:
            _tell(client, PARTED, {"old_sub": old, "new_sub": new}, now)


def taken_back(account_ids: Collection[int], now: datetime) -> None:
    """The accounts are no more: nobody will come as these `sub`s again. Most of many are known to no client."""
    session.flush()
    known = union(*(select(place.account_id).where(place.account_id.in_(account_ids)) for place in _PLACES))
    for account_id in sorted(session.scalars(known)):
        for client, sub in _knowing(account_id):
            _tell(client, TAKEN_BACK, {"sub": sub}, now)


def _own(account_id: int) -> str:
    return session.execute(select(Account.sub).where(Account.id == account_id)).scalar_one()


def _knowing(account_id: int) -> Iterator[tuple[Client, str]]:
    """The clients that know the account and want to hear of it, with what each calls it."""
    session.flush()
    known = union(*(select(place.client_id).where(place.account_id == account_id) for place in _PLACES))
    clients = ClientCache()
    for client_id in sorted(session.scalars(known)):
        client = clients.find(client_id)
        sub = _called(account_id, client.registration) if client is not None else ""
        if client is not None and sub:
            yield client, sub


def _called(account_id: int, registration: Registration) -> str:
    return subjects.known(account_id, _own(account_id), registration) if registration.security_events_uri is not None else ""


def _tell(client: Client, event: str, about: dict[str, str], now: datetime) -> None:
    facts = {"client_id": client.client_id, "event": event, "about": about, "jti": opaque_tokens.make(), "iat": int(now.timestamp())}
    enqueue(ACCOUNT_EVENT, facts, now, lane=client.client_id)


# --- on the way -----------------------------------------------------------------------------------------------------------------------------


def claims(issuer: str, client_id: str, facts: dict[str, Any]) -> dict[str, Any]:
    """The claims of a security event token (RFC 8417 §2.2); no `exp` and no `sub`, so that it is never taken for an ID token (§4.1, §4.5)."""
    return {"iss": issuer, "aud": client_id, "iat": facts["iat"], "jti": facts["jti"], "events": {facts["event"]: facts["about"]}}


def deliver(outbound: Outbound, issuer: str, keys: KeyRing, clock: Callable[[], datetime]) -> Handler:
    """The handler: sign now and push; 202 is done, an error of RFC 8935 §2.4 is given up; OSError = try again."""

    def say(client: Client, facts: dict[str, Any]) -> Word | None:
        uri = client.registration.security_events_uri
        return Word(uri, TYPE, claims(issuer, client.client_id, facts)) if uri is not None else None

    def hand(way: Outbound, word: Word, token: str) -> bool:
        answer = way.push(word.uri, MEDIA_TYPE, token.encode())
        reason = _refusal(answer)
        if reason is not None:
            [event] = word.claims["events"]
            with transaction():
                audit.account_event_refused(clock(), client_id=word.claims["aud"], event=event, reason=reason)
        return answer.status == 202 or reason is not None

    return pushing.handler(outbound, keys, say, hand)


def _refusal(answer: Fetched) -> str | None:
    """Why the client will never take it; None where it did not say so."""
    if answer.status != 400:
        return None
    try:
        said = json.loads(answer.body)
    except (ValueError, RecursionError):
        return None
    reason = said.get("err") if isinstance(said, dict) else None
    # a stranger's word: only what can be kept and read
    return reason if isinstance(reason, str) and len(reason) <= MAX_REASON_CHARACTERS and reason.isascii() and reason.isprintable() else None
