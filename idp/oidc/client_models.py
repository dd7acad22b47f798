"""The tables around registration: initial access tokens, origins of browsers' calls, and what a person is called per sector."""

from datetime import datetime

from sqlalchemy import ForeignKey, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from idp.db import Base


class InitialAccessToken(Base):
    """Permission to register `uses_left` more clients (RFC 7591 §3), as a digest. `policy`: default | certification (see dynamic_registration.py)."""

    __tablename__ = "oidc_initial_access_tokens"

    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    policy: Mapped[str] = mapped_column(String(16))
    uses_left: Mapped[int]
    made_at: Mapped[datetime]
    expires_at: Mapped[datetime] = mapped_column(index=True)


class ClientOrigin(Base):
    """An origin (scheme://host[:port]) of a client's redirect URIs: browsers there may read what cors.BY_ORIGIN answers."""

    __tablename__ = "oidc_client_origins"

    origin: Mapped[str] = mapped_column(String(300), primary_key=True)
    client_id: Mapped[str] = mapped_column(ForeignKey("oidc_clients.client_id", ondelete="CASCADE"), primary_key=True, index=True)


class ClientLogo(Base):
    """The picture at a client's `logo_uri`, made anew by us; `png` and `version` (of its bytes) are empty until it was fetched.

    `asked_at`: when the address was called last, whichever it was, so that a client that changes itself cannot make us call without pause.
    """

    __tablename__ = "oidc_client_logos"

    client_id: Mapped[str] = mapped_column(ForeignKey("oidc_clients.client_id", ondelete="CASCADE"), primary_key=True)
    uri: Mapped[str] = mapped_column(String(2000))
    asked_at: Mapped[datetime | None]
    version: Mapped[str] = mapped_column(String(32), default="")
    png: Mapped[bytes | None] = mapped_column(LargeBinary)


class KnownSubject(Base):
    """That a client which wants to hear of joined accounts has been told a person's `sub` once; grants and sessions are long gone by then."""

    __tablename__ = "oidc_known_subjects"

    account_id: Mapped[int] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"), primary_key=True)
    client_id: Mapped[str] = mapped_column(ForeignKey("oidc_clients.client_id", ondelete="CASCADE"), primary_key=True, index=True)


class PairwiseSubject(Base):
    """What one account is called at the clients of one sector (OIDC Core §8.1): random, made at the first authorization, never reused."""

    __tablename__ = "oidc_pairwise_subjects"

    account_id: Mapped[int] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"), primary_key=True)
    sector: Mapped[str] = mapped_column(String(255), primary_key=True)
    sub: Mapped[str] = mapped_column(String(64), unique=True)
