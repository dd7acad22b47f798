"""The tables of tokens that outlive their request: refresh tokens, and access tokens that were revoked. Digests and ids only."""

from datetime import datetime

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from idp.db import Base


class RefreshToken(Base):
    """One refresh token, as a digest. It lives and dies with its grant, so that a rotated one shown again is recognised late as well.

    `expires_at` is handed on at each rotation: the family has one end. `rotated_at`: a successor was handed out.
    """

    __tablename__ = "oidc_refresh_tokens"

    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    grant_id: Mapped[int] = mapped_column(ForeignKey("oidc_grants.id", ondelete="CASCADE"), index=True)
    client_id: Mapped[str] = mapped_column(String(128))
    issued_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    rotated_at: Mapped[datetime | None]


class RevokedToken(Base):
    """The `jti` of an access token that its client took back (RFC 7009); kept until the token's own end."""

    __tablename__ = "oidc_revoked_tokens"

    jti: Mapped[str] = mapped_column(String(64), primary_key=True)
    expires_at: Mapped[datetime] = mapped_column(index=True)
