"""The tables of accounts."""

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, String, UniqueConstraint, false
from sqlalchemy.orm import Mapped, mapped_column, relationship

from idp.db import Base
from idp.enterprises.models import Enterprise
from idp.key_register.models import EKey


class Account(Base):
    """One person's account (D10). `sub` is random and never reused (D11); `epoch` grows with whatever must end every grant.

    `user_class` 1–4 as in R17 and R56, 0 for an officer, who belongs to no enterprise and none of the four (R90) ·
    `status` active | disabled | linked (it is part of another one now, R87) ·
    `password_hash` the platform password (argon2id), None until it is set ·
    `contacts_given_at` when the person confirmed contacts, `contacts_put_off_at` when they first put that off (R57).
    """

    __tablename__ = "accounts"

    id: Mapped[int] = mapped_column(primary_key=True)
    sub: Mapped[str] = mapped_column(String(64), unique=True)
    enterprise_id: Mapped[int | None] = mapped_column(ForeignKey("enterprises.id"), index=True)
    user_class: Mapped[int]
    status: Mapped[str] = mapped_column(String(16), default="active")
    display_name: Mapped[str] = mapped_column(String(100), default="")
    epoch: Mapped[int] = mapped_column(default=1)
    password_hash: Mapped[str | None] = mapped_column(String(200))
    password_changed_at: Mapped[datetime | None]
    change_reason: Mapped[str | None] = mapped_column(String(32))
    mobile: Mapped[str | None] = mapped_column(String(20))
    mobile_proven_at: Mapped[datetime | None]
    email: Mapped[str | None] = mapped_column(String(254))
    email_proven_at: Mapped[datetime | None]
    contacts_given_at: Mapped[datetime | None]
    contacts_put_off_at: Mapped[datetime | None]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]

    enterprise: Mapped[Enterprise | None] = relationship()
    names: Mapped[list["AccountName"]] = relationship(cascade="all, delete-orphan", order_by="AccountName.id")
    keys: Mapped[list["AccountKey"]] = relationship(cascade="all, delete-orphan", order_by="AccountKey.serial")

    @property
    def canonical_name(self) -> str:
        """The name that pages show and the key page fills in."""
        return next((name.name for name in self.names if name.canonical), "")

    @property
    def closed(self) -> str | None:
        """Why it may not be signed in (D15): account_disabled | enterprise_cancelled; None = it may. An officer has no enterprise that could end."""
        if self.status != "active":
            return "account_disabled"
        return "enterprise_cancelled" if self.enterprise is not None and self.enterprise.status != "active" else None


class AccountName(Base):
    """One spelling under which the account is reached. `name_key` is the D9 comparison form; several accounts may claim one.

    `system` + `local_name`: the old system this name comes from and the user name there (None for names made on the platform).
    `chosen_at`: its person chose it (D9).
    """

    __tablename__ = "account_names"
    __table_args__ = (
        UniqueConstraint("account_id", "name_key", "system"),
        Index("ix_account_names_name_key", "name_key"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(String(160))
    name_key: Mapped[str] = mapped_column(String(160))
    canonical: Mapped[bool] = mapped_column(default=False)
    system: Mapped[str | None] = mapped_column(String(40))
    local_name: Mapped[str | None] = mapped_column(String(128))
    chosen_at: Mapped[datetime | None]


class AccountKey(Base):
    """An e-key (by the key office's serial) that belongs to the account; one key, one account."""

    __tablename__ = "account_keys"

    serial: Mapped[str] = mapped_column(ForeignKey(EKey.serial), primary_key=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"), index=True)


class FormerPassword(Base):
    """A password hash of an old system, sealed with a key outside the database (R62).

    `account_id` is None until the merge; `enabled` is False for a disabled row (D15: opens nothing). All rows of an account die in the commit
    of its first own password; the row is the only place where an old hash stands. `replaced` by a later dump: it opens nothing any more.
    """

    __tablename__ = "former_passwords"

    id: Mapped[int] = mapped_column(primary_key=True)
    account_id: Mapped[int | None] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"), index=True)
    system: Mapped[str] = mapped_column(String(40))
    scheme: Mapped[str] = mapped_column(String(32))
    encoding: Mapped[str] = mapped_column(String(16), default="utf-8")
    sealed_hash: Mapped[str] = mapped_column(String(600))
    enabled: Mapped[bool] = mapped_column(default=True)
    replaced: Mapped[bool] = mapped_column(default=False, server_default=false())


class InitialPassword(Base):
    """What opens a new account until it has a password of its own (R88): a letter's (`password_hash`, argon2id) or an activation code's digest.

    `serial`: the key it came with. `expires_at` is None while the letter is announced and not fetched yet; `letter_digest`: of its one-time
    address, for the officer `letter_for`, until `letter_until`.
    """

    __tablename__ = "initial_passwords"

    account_id: Mapped[int] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"), primary_key=True)
    serial: Mapped[str] = mapped_column(ForeignKey(EKey.serial))
    password_hash: Mapped[str | None] = mapped_column(String(200))
    activation_digest: Mapped[str | None] = mapped_column(String(64))
    expires_at: Mapped[datetime | None]
    letter_digest: Mapped[str | None] = mapped_column(String(64), index=True)
    letter_for: Mapped[int | None]
    letter_until: Mapped[datetime | None]


class ImportedContact(Base):
    """A contact (`kind` mobile | email) that an old system had for a row of this account, unproven (R59, R63); `enabled` as the row is."""

    __tablename__ = "imported_contacts"

    account_id: Mapped[int] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"), primary_key=True)
    kind: Mapped[str] = mapped_column(String(8), primary_key=True)
    value: Mapped[str] = mapped_column(String(254), primary_key=True)
    system: Mapped[str] = mapped_column(String(40), primary_key=True)
    enabled: Mapped[bool] = mapped_column(default=True)


class PasswordHistory(Base):
    """Former *platform* passwords (argon2id), newest last; legacy ones never stand here (R56)."""

    __tablename__ = "password_history"

    id: Mapped[int] = mapped_column(primary_key=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"), index=True)
    password_hash: Mapped[str] = mapped_column(String(200))
    replaced_at: Mapped[datetime]


class PasswordFailures(Base):
    """Wrong passwords in a row, and the lock they led to. `scope` says for whom (see lockout.py)."""

    __tablename__ = "password_failures"

    subject: Mapped[str] = mapped_column(String(80), primary_key=True)
    scope: Mapped[str] = mapped_column(String(80), primary_key=True)
    failures: Mapped[int] = mapped_column(default=0)
    locks: Mapped[int] = mapped_column(default=0)
    locked_until: Mapped[datetime | None]
    last_at: Mapped[datetime]


class KnownDevice(Base):
    """A browser that has completed a sign-in to this account before (`device_digest` of its long-lived cookie)."""

    __tablename__ = "known_devices"

    account_id: Mapped[int] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"), primary_key=True)
    device_digest: Mapped[str] = mapped_column(String(64), primary_key=True, index=True)
    seen_at: Mapped[datetime]


class AccountRole(Base):
    """A role of an officer (R90), for enterprises whose region begins with `region`: with "" all. `granted_by`: the operator at the command line."""

    __tablename__ = "account_roles"

    account_id: Mapped[int] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"), primary_key=True)
    role: Mapped[str] = mapped_column(String(24), primary_key=True)
    region: Mapped[str] = mapped_column(String(12), primary_key=True, default="")
    since: Mapped[datetime]
    granted_by: Mapped[str] = mapped_column(String(64))


class AccountLink(Base):
    """That the account `linked_id` became part of `account_id` (R87), for good after `undo_until`.

    `moved`: what went over, so that it can go back: names, keys, entitlements, imported contacts. `how` its owner proved it: password | ekey.
    """

    __tablename__ = "account_links"

    id: Mapped[int] = mapped_column(primary_key=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"), index=True)
    linked_id: Mapped[int] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"), index=True)
    how: Mapped[str] = mapped_column(String(16))
    moved: Mapped[dict[str, Any]] = mapped_column(default=dict)
    at: Mapped[datetime]
    undo_until: Mapped[datetime]
    undone_at: Mapped[datetime | None]
