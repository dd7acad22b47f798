"""Back-channel logout (OIDC Back-Channel Logout): who is told of an end, and the logout token itself.

The outbox holds facts only, written in the commit of the end; each attempt signs a token of its own, in the client's terms.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select

from idp import opaque_tokens
from idp.accounts.models import Account
from idp.adapters import Outbound
from idp.db import session
from idp.oidc import pushing, subjects
from idp.oidc.clients import Client
from idp.oidc.keys import KeyRing
from idp.oidc.pushing import Word
from idp.outbox.queue import Handler, enqueue
from idp.sessions.models import SessionClient

LOGOUT_TOKEN = "oidc_logout_token"  # noqa: S105  # the kind of an outbox item
LIFE = timedelta(seconds=120)
TYPE = "logout+jwt"
EVENT = "http://schemas.openid.net/event/backchannel-logout"


def session_over(session_id: int, account_id: int, now: datetime) -> None:
    """Tell each client of an ended session that knows its `sid` (inside the transaction that ends it)."""
    known = select(SessionClient.client_id, SessionClient.sid).where(SessionClient.session_id == session_id)
    for client_id, sid in session.execute(known.order_by(SessionClient.client_id)):
        tell(client_id, sid, account_id, now)


def tell(client_id: str, sid: str, account_id: int, now: datetime) -> None:
    """Tell one client that its `sid` is over (inside the transaction that ends it)."""
    enqueue(LOGOUT_TOKEN, {"client_id": client_id, "sid": sid, "account_id": account_id}, now, lane=client_id)


def claims(issuer: str, client_id: str, sub: str, sid: str, now: datetime) -> dict[str, Any]:
    """The claims of a logout token (§2.4); no nonce, so that it is never taken for an ID token."""
    return {
        "iss": issuer,
        "sub": sub,
        "aud": client_id,
        "iat": int(now.timestamp()),
        "exp": int((now + LIFE).timestamp()),
        "jti": opaque_tokens.make(),
        "sid": sid,
        "events": {EVENT: {}},
    }


def deliver(outbound: Outbound, issuer: str, keys: KeyRing, clock: Callable[[], datetime]) -> Handler:
    """The handler: sign now, POST, and be content only with 200 or 204; OSError = try again."""

    def say(client: Client, facts: dict[str, Any]) -> Word | None:
        uri = client.registration.backchannel_logout_uri
        own = session.scalar(select(Account.sub).where(Account.id == facts["account_id"]))
        if uri is None or own is None:  # nobody is left to be told
            return None
        sub = subjects.known(facts["account_id"], own, client.registration)
        return Word(uri, TYPE, claims(issuer, client.client_id, sub, facts["sid"], clock()))

    def hand(way: Outbound, word: Word, token: str) -> bool:
        # §2.8: 200; some answer 204. Redirects are not followed.
        return way.post(word.uri, {"logout_token": token}).status in (200, 204)

    return pushing.handler(outbound, keys, say, hand)
