"""The tables of the second factor from an authenticator app."""

from datetime import datetime

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from idp.accounts.models import Account
from idp.db import Base


class AccountTotp(Base):
    """The shared secret of an account's authenticator app (RFC 6238), sealed with a key outside the database.

    `confirmed_at` is None while it is set up, in the session `session_id`, or outside of any (None) in the browser whose digest is sealed with
    the secret. `last_step`: the newest time step that was
    used up; none at or before it counts again.
    """

    __tablename__ = "account_totps"

    account_id: Mapped[int] = mapped_column(ForeignKey(Account.id, ondelete="CASCADE"), primary_key=True)
    sealed_secret: Mapped[str] = mapped_column(String(300))
    session_id: Mapped[int | None]
    begun_at: Mapped[datetime]
    confirmed_at: Mapped[datetime | None]
    last_step: Mapped[int] = mapped_column(default=0)


class RecoveryCode(Base):
    """One of the codes that stand in for a lost authenticator app, as keyed digest; used up by setting `spent_at` once."""

    __tablename__ = "account_recovery_codes"

    account_id: Mapped[int] = mapped_column(ForeignKey(Account.id, ondelete="CASCADE"), primary_key=True)
    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    spent_at: Mapped[datetime | None]
