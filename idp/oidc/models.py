"""The tables of the OpenID Provider. Codes, secrets and jti values stand here only as digests, private keys only sealed."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, ForeignKey, Index, String, false
from sqlalchemy.orm import Mapped, mapped_column

from idp import opaque_tokens
from idp.db import Base


class ClientRecord(Base):
    """One registered client. `registration` holds its metadata under the names of RFC 7591 and ours (see registration.py).

    `secrets`: `{"digest", "expires_at"}` each, so that an old secret can live on for an overlap. `version` grows with every
    change and is the key of the caches. One row, so that a cache entry is filled from one snapshot. Registered over HTTP: `unknown` are the
    members that mean nothing to us, `access_digest` is of its registration access token (RFC 7592). `generation` is random, another one after
    each switching off, and stands in the access tokens: what was given before, also to a client that had this id before, stays dead.
    """

    __tablename__ = "oidc_clients"

    client_id: Mapped[str] = mapped_column(String(128), primary_key=True)
    version: Mapped[int] = mapped_column(default=1)
    registration: Mapped[dict[str, Any]]
    secrets: Mapped[list[dict[str, Any]]] = mapped_column(JSON, default=list)
    unknown: Mapped[dict[str, Any]] = mapped_column(default=dict)
    access_digest: Mapped[str | None] = mapped_column(String(64))
    generation: Mapped[str] = mapped_column(String(64), default=opaque_tokens.make, server_default="")
    disabled_at: Mapped[datetime | None]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]


class AuthorizationRequestRecord(Base):
    """A checked authorization request that waits for its person: at the sign-in, the consent page, or after a POST.

    `browser_digest` binds it; "" = came by a cross-site POST, which brings no cookie, and is bound by the first GET. `factors_since`: the
    oldest factor time that max_age and prompt=login allow, judged once, when the request came in. `pushed`: the digest of the request_uri it
    came by, which is spent with the first answer. `signed`: it came in a request object. `answered_at`: when its client first got a code or an
    error for it.
    """

    __tablename__ = "oidc_authorization_requests"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    browser_digest: Mapped[str] = mapped_column(String(64), index=True)
    pushed: Mapped[str | None] = mapped_column(String(64))
    signed: Mapped[bool] = mapped_column(default=False, server_default=false())
    client_id: Mapped[str] = mapped_column(ForeignKey("oidc_clients.client_id", ondelete="CASCADE"))
    parameters: Mapped[dict[str, Any]]
    factors_since: Mapped[datetime | None]
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime] = mapped_column(index=True)
    answered_at: Mapped[datetime | None]


class PushedRequest(Base):
    """An authorization request that its client pushed (RFC 9126), under the digest of its request_uri.

    Until `expires_at` a browser may start with it. The row stays until `kept_until`: once started, as long as such a sign-in can last;
    `spent_at` makes one answer of all that started with it win. `signed`: it came in a request object.
    """

    __tablename__ = "oidc_pushed_requests"

    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    client_id: Mapped[str] = mapped_column(ForeignKey("oidc_clients.client_id", ondelete="CASCADE"), index=True)
    parameters: Mapped[dict[str, Any]]
    signed: Mapped[bool] = mapped_column(default=False, server_default=false())
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    kept_until: Mapped[datetime] = mapped_column(index=True)
    spent_at: Mapped[datetime | None]


class LogoutRequestRecord(Base):
    """What a sign-out request has proven that came by POST and waits for its own GET, which brings the cookies."""

    __tablename__ = "oidc_logout_requests"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    parameters: Mapped[dict[str, Any]]
    expires_at: Mapped[datetime] = mapped_column(index=True)


class Grant(Base):
    """One authorization. Code and tokens carry its id; `ended_at` with `end_reason` once it is over.

    `sub` is what this client calls the person. `requested_scope` is the request's own word, `asked_scope` what of it this client may have and
    the person consented to, `scope` what the rights left of that. `epoch` is the account's at the time. `claims`: the names asked for one by
    one, under `id_token` and `userinfo`. `cnf`: what its tokens were bound to last (RFC 7800), {} = nothing.
    `only_system`, `entry_remaining`: as the session has them that it rests on.
    """

    __tablename__ = "oidc_grants"
    __table_args__ = (Index("ix_oidc_grants_session", "session_id", "ended_at"), Index("ix_oidc_grants_account", "account_id", "ended_at"))

    id: Mapped[int] = mapped_column(primary_key=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"))
    client_id: Mapped[str] = mapped_column(ForeignKey("oidc_clients.client_id", ondelete="CASCADE"))
    session_id: Mapped[int | None]
    sid: Mapped[str | None] = mapped_column(String(64))
    sub: Mapped[str] = mapped_column(String(64))
    requested_scope: Mapped[str] = mapped_column(String(1000))
    asked_scope: Mapped[str] = mapped_column(String(1000))
    scope: Mapped[str] = mapped_column(String(1000))
    resource: Mapped[str] = mapped_column(String(200))
    acr: Mapped[str] = mapped_column(String(64))
    amr: Mapped[list[str]]
    auth_time: Mapped[datetime]
    claims: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    cnf: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict, server_default="{}")
    only_system: Mapped[str | None] = mapped_column(String(40))
    entry_remaining: Mapped[int | None]
    epoch: Mapped[int]
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime] = mapped_column(index=True)
    ended_at: Mapped[datetime | None]
    end_reason: Mapped[str | None] = mapped_column(String(32))


class Consent(Base):
    """What one person has allowed one client so far: scopes, and claims asked for one by one; `at` is the last time they said yes."""

    __tablename__ = "oidc_consents"

    account_id: Mapped[int] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"), primary_key=True)
    client_id: Mapped[str] = mapped_column(ForeignKey("oidc_clients.client_id", ondelete="CASCADE"), primary_key=True)
    scopes: Mapped[list[str]]
    claims: Mapped[list[str]]
    at: Mapped[datetime]


class AuthorizationCode(Base):
    """One code, as a digest. The row lives as long as its grant, so that a replay is recognised late as well."""

    __tablename__ = "oidc_codes"

    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    grant_id: Mapped[int] = mapped_column(ForeignKey("oidc_grants.id", ondelete="CASCADE"), index=True)
    client_id: Mapped[str] = mapped_column(String(128))
    redirect_uri: Mapped[str] = mapped_column(String(2000))
    code_challenge: Mapped[str | None] = mapped_column(String(43))
    nonce: Mapped[str | None] = mapped_column(String(512))
    dpop_jkt: Mapped[str | None] = mapped_column(String(43))
    expires_at: Mapped[datetime]
    spent_at: Mapped[datetime | None]


class SigningKey(Base):
    """One signing key. `state`: next (published, does not sign) → current (signs) → retired (verifies a while) · withdrawn (gone at once)."""

    __tablename__ = "oidc_signing_keys"

    kid: Mapped[str] = mapped_column(String(64), primary_key=True)
    alg: Mapped[str] = mapped_column(String(16))
    state: Mapped[str] = mapped_column(String(16))
    public_jwk: Mapped[dict[str, Any]]
    sealed_private: Mapped[str] = mapped_column(String(4000))
    published_at: Mapped[datetime]
    current_at: Mapped[datetime | None]
    retired_at: Mapped[datetime | None]
    withdrawn_at: Mapped[datetime | None]


class KeySetVersion(Base):
    """One row (id 1): grows with every change of the signing keys and is the key of their cache."""

    __tablename__ = "oidc_key_set"

    id: Mapped[int] = mapped_column(primary_key=True)
    version: Mapped[int]


class UsedJti(Base):
    """A `jti` that has been spent; kept until what carried it could no longer be accepted. `client_id`: its owner, see jti.py."""

    __tablename__ = "oidc_used_jti"

    client_id: Mapped[str] = mapped_column(String(128), primary_key=True)
    jti_digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    expires_at: Mapped[datetime] = mapped_column(index=True)
