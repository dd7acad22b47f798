"""The tables of sessions."""

from datetime import datetime

from sqlalchemy import ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from idp.db import Base


class Session(Base):
    """One signed-in browser. The cookie's secret is kept only as a digest and is new at sign-in, step-up and sign-out.

    A time per factor: `password_at`, `totp_at`, `ekey_at`. `ekey_serial`: of the key behind
    `ekey_at`; `ekey_pin` whether that key asked for its PIN. `epoch` is the account's epoch at the start.
    `ended_at` with `end_reason` once over. `only_system`: it came by the legacy entry and opens that one system alone (R54), with
    `entry_remaining` such log-ins left (None: they are not counted). `device` (see device.py) and `network` (a keyed digest) of the last sign-in.
    """

    __tablename__ = "sessions"
    __table_args__ = (Index("ix_sessions_account", "account_id", "ended_at"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    account_id: Mapped[int]
    epoch: Mapped[int]
    secret_digest: Mapped[str] = mapped_column(String(64), unique=True)
    password_at: Mapped[datetime | None]
    totp_at: Mapped[datetime | None]
    ekey_at: Mapped[datetime | None]
    ekey_serial: Mapped[str | None] = mapped_column(String(40), index=True)
    ekey_pin: Mapped[bool | None]
    started_at: Mapped[datetime]
    used_at: Mapped[datetime]
    absolute_end: Mapped[datetime] = mapped_column(index=True)
    ended_at: Mapped[datetime | None]
    end_reason: Mapped[str | None] = mapped_column(String(32))
    only_system: Mapped[str | None] = mapped_column(String(40))
    device: Mapped[str] = mapped_column(String(40), default="", server_default="")
    network: Mapped[str] = mapped_column(String(64), default="", server_default="")
    entry_remaining: Mapped[int | None]


class SessionClient(Base):
    """The random `sid` of one session at one client (OIDC Back-Channel Logout §2.1)."""

    __tablename__ = "session_clients"

    session_id: Mapped[int] = mapped_column(ForeignKey("sessions.id", ondelete="CASCADE"), primary_key=True)
    client_id: Mapped[str] = mapped_column(String(128), primary_key=True)
    sid: Mapped[str] = mapped_column(String(64), unique=True)
