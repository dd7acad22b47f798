"""The tables of the migration."""

from datetime import date, datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from idp.accounts.models import FormerPassword
from idp.db import Base


class LegacyRun(Base):
    """One import or merge: what it read and what it did."""

    __tablename__ = "legacy_runs"

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(16))
    system: Mapped[str | None] = mapped_column(String(40))
    file: Mapped[str | None] = mapped_column(String(255))
    as_of: Mapped[date | None]
    started_at: Mapped[datetime]
    counts: Mapped[dict[str, Any]] = mapped_column(default=dict)


class LegacyRow(Base):
    """One user of one old system (D19). Identity: system, enterprise, key, name without regard to case; mech_electrical: the name alone.

    `key_serial` is "" for a row without key. `former_password_id` is None where the dump had no password or it has died.
    """

    __tablename__ = "legacy_rows"
    __table_args__ = (
        UniqueConstraint("system", "enterprise_id", "key_serial", "username_key"),
        Index("ix_legacy_rows_group", "enterprise_id", "key_serial"),
        Index("ix_legacy_rows_username", "system", "username_key"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    system: Mapped[str] = mapped_column(ForeignKey("business_systems.code"))
    username: Mapped[str] = mapped_column(String(128))
    username_key: Mapped[str] = mapped_column(String(128))
    enterprise_id: Mapped[int] = mapped_column(ForeignKey("enterprises.id"))
    key_serial: Mapped[str] = mapped_column(String(40), default="")
    contact: Mapped[str] = mapped_column(String(100), default="")
    mobile: Mapped[str | None] = mapped_column(String(40))
    email: Mapped[str | None] = mapped_column(String(254))
    enabled: Mapped[bool]
    last_login: Mapped[date | None]
    as_of: Mapped[date]
    former_password_id: Mapped[int | None] = mapped_column(ForeignKey("former_passwords.id", ondelete="SET NULL"), index=True)
    account_id: Mapped[int | None] = mapped_column(ForeignKey("accounts.id", ondelete="SET NULL"), index=True)
    run_id: Mapped[int] = mapped_column(ForeignKey("legacy_runs.id"))

    former_password: Mapped[FormerPassword | None] = relationship()
