"""The tables of the migration."""

from datetime import date, datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, String, UniqueConstraint, text, true
from sqlalchemy.orm import Mapped, mapped_column, relationship

from idp.accounts.models import FormerPassword
from idp.db import Base

_UNMERGED = text("unmerged")
_OWN_END = text("entry_until IS NOT NULL")


class LegacyRun(Base):
    """One import or merge (`kind`): what it read and what it did.

    `finished_at` None while a merge is under way, or was interrupted. `undone_at`: all of it was.
    """

    __tablename__ = "legacy_runs"

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(16))
    system: Mapped[str | None] = mapped_column(String(40))
    file: Mapped[str | None] = mapped_column(String(255))
    as_of: Mapped[date | None]
    started_at: Mapped[datetime]
    counts: Mapped[dict[str, Any]] = mapped_column(default=dict)
    finished_at: Mapped[datetime | None]
    undone_at: Mapped[datetime | None]


class LegacyBatch(Base):
    """What one transaction of a merge did; the smallest thing that can be taken back.

    `undo_ordered_at`: since when two persons want it taken back (R90); spent when that is done. `undone_at`: nothing of it stands any more.
    """

    __tablename__ = "legacy_batches"

    id: Mapped[int] = mapped_column(primary_key=True)
    run_id: Mapped[int] = mapped_column(ForeignKey("legacy_runs.id"), index=True)
    at: Mapped[datetime]
    counts: Mapped[dict[str, Any]] = mapped_column(default=dict)
    undo_ordered_at: Mapped[datetime | None]
    undone_at: Mapped[datetime | None]


class LegacyAccountChange(Base):
    """An account that a batch made (`made`) or changed, and how it was before (`before`, as merge_changes.py writes it); gone once taken back."""

    __tablename__ = "legacy_account_changes"

    batch_id: Mapped[int] = mapped_column(ForeignKey("legacy_batches.id", ondelete="CASCADE"), primary_key=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"), primary_key=True, index=True)
    made: Mapped[bool]
    before: Mapped[dict[str, Any]] = mapped_column(default=dict)


class LegacyRow(Base):
    """One user of one old system (D19). Identity: system, enterprise, key, name without regard to case; mech_electrical: the name alone.

    `key_serial` is "" for a row without key. `former_password_id` is None where the dump had no password or it has died. `added_in`: the import that
    brought it, `run_id` the last that changed it. `unmerged`: an import has changed it since the last merge; `batch_id` the batch in which it joined.
    `entry_logins` of the legacy entry (R64) so far, since it counts; `entry_extra` beyond what everybody has; `entry_until` its own last day.
    """

    __tablename__ = "legacy_rows"
    __table_args__ = (
        UniqueConstraint("system", "enterprise_id", "key_serial", "username_key"),
        Index("ix_legacy_rows_group", "enterprise_id", "key_serial"),
        Index("ix_legacy_rows_username", "system", "username_key"),
        # what the next merge has to look at: few rows, once the first has been made
        Index("ix_legacy_rows_unmerged", "enterprise_id", sqlite_where=_UNMERGED, postgresql_where=_UNMERGED),
        # who has a last day of their own: nobody, or few
        Index("ix_legacy_rows_entry_until", "system", "entry_until", sqlite_where=_OWN_END, postgresql_where=_OWN_END),
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
    added_in: Mapped[int | None] = mapped_column(ForeignKey("legacy_runs.id"), index=True)
    unmerged: Mapped[bool] = mapped_column(default=True, server_default=true())
    batch_id: Mapped[int | None] = mapped_column(ForeignKey("legacy_batches.id", ondelete="SET NULL"), index=True)
    entry_logins: Mapped[int] = mapped_column(default=0, server_default="0")
    entry_extra: Mapped[int] = mapped_column(default=0, server_default="0")
    entry_until: Mapped[date | None]

    former_password: Mapped[FormerPassword | None] = relationship()


class LegacyRowChange(Base):
    """A row as it was (`before`: column → value, dates as text) before an import changed it.

    `former_password_id`: the old hash that was replaced, kept so that the import can be taken back; it dies with the others (R62).
    """

    __tablename__ = "legacy_row_changes"

    run_id: Mapped[int] = mapped_column(ForeignKey("legacy_runs.id"), primary_key=True)
    row_id: Mapped[int] = mapped_column(ForeignKey("legacy_rows.id", ondelete="CASCADE"), primary_key=True, index=True)
    before: Mapped[dict[str, Any]] = mapped_column(default=dict)
    former_password_id: Mapped[int | None] = mapped_column(ForeignKey("former_passwords.id", ondelete="SET NULL"), index=True)


class LegacyCutover(Base):
    """From when the platform takes the place of a system's own log-in (R92): for all, for a `region` (its beginning), or for one enterprise.

    Of those that fit an enterprise the earliest that was not taken back (`reverted_at`) counts.
    """

    __tablename__ = "legacy_cutovers"

    id: Mapped[int] = mapped_column(primary_key=True)
    system: Mapped[str] = mapped_column(ForeignKey("business_systems.code"), index=True)
    region: Mapped[str] = mapped_column(String(12), default="")
    enterprise_id: Mapped[int | None] = mapped_column(ForeignKey("enterprises.id"), index=True)
    at: Mapped[datetime]
    made_at: Mapped[datetime]
    made_by: Mapped[str] = mapped_column(String(64))
    reverted_at: Mapped[datetime | None]


class LegacyEntryEnd(Base):
    """The last day (Beijing) of a system's legacy entry, where officers moved it: later, or earlier (R64). None here: the setting's."""

    __tablename__ = "legacy_entry_ends"

    system: Mapped[str] = mapped_column(ForeignKey("business_systems.code"), primary_key=True)
    last_day: Mapped[date]
    since: Mapped[datetime]


class Incident(Base):
    """A time in which the platform is known not to work, so that log-ins at the legacy entry are not counted (R64)."""

    __tablename__ = "incidents"

    id: Mapped[int] = mapped_column(primary_key=True)
    declared_at: Mapped[datetime]
    declared_by: Mapped[str] = mapped_column(String(64))
    reason: Mapped[str] = mapped_column(String(200))
    ended_at: Mapped[datetime | None]


class LegacyLetter(Base):
    """That a contact (by its keyed digest) of an enterprise was told of the coming change of the log-in (R92); once each."""

    __tablename__ = "legacy_letters"

    enterprise_id: Mapped[int] = mapped_column(ForeignKey("enterprises.id"), primary_key=True)
    contact_digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    at: Mapped[datetime]
