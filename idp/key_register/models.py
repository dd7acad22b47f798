"""The key office's list, and the platform's own word on its keys."""

from datetime import date, datetime

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column, relationship

from idp.db import Base
from idp.enterprises.models import Enterprise


class EKey(Base):
    """One e-key (电子钥匙) as the key office lists it. `status` is the office's word: active | expired | revoked; dates count too (D15).

    For new keys (R88): the `user_name` that comes with it, "" = none; `activation_digest` of the code that does (see activation.py).
    """

    __tablename__ = "ekeys"

    serial: Mapped[str] = mapped_column(String(40), primary_key=True)
    enterprise_id: Mapped[int] = mapped_column(ForeignKey("enterprises.id"), index=True)
    holder: Mapped[str] = mapped_column(String(100), default="")
    issued: Mapped[date | None]
    expires: Mapped[date | None]
    status: Mapped[str] = mapped_column(String(16), default="active")
    user_name: Mapped[str] = mapped_column(String(160), default="", server_default="")
    activation_digest: Mapped[str | None] = mapped_column(String(64))

    enterprise: Mapped[Enterprise] = relationship()
    licences: Mapped[list["EKeyLicence"]] = relationship(cascade="all, delete-orphan", lazy="selectin", order_by="EKeyLicence.system")


class EKeyLicence(Base):
    """One system that a key was opened for (R33, R66)."""

    __tablename__ = "ekey_licences"

    serial: Mapped[str] = mapped_column(ForeignKey("ekeys.serial", ondelete="CASCADE"), primary_key=True)
    system: Mapped[str] = mapped_column(String(40), primary_key=True)


class EKeyReport(Base):
    """The platform's own word on a key, beside the office's (R68); the newest that has not ended counts.

    `number`: of the receipt · `word`: damaged | lost | withdrawn | replaced, of which all but the first are for ever · `how`: account | public |
    officer | command | renewal · `account_id`: whose key it was, None if nobody's · `rights_until`: last day (Beijing) on which a damaged key's
    rights stay open on password and code, None if they do not · `ended_at`: since when another word counts, or none.
    """

    __tablename__ = "ekey_reports"

    number: Mapped[str] = mapped_column(String(20), primary_key=True)
    serial: Mapped[str] = mapped_column(ForeignKey(EKey.serial), index=True)
    word: Mapped[str] = mapped_column(String(16))
    how: Mapped[str] = mapped_column(String(16))
    account_id: Mapped[int | None] = mapped_column(index=True)
    at: Mapped[datetime]
    rights_until: Mapped[date | None]
    ended_at: Mapped[datetime | None]


class EKeyWarning(Base):
    """That the end of a key (`expires`) was announced `days` before; once each (R68)."""

    __tablename__ = "ekey_warnings"

    serial: Mapped[str] = mapped_column(ForeignKey(EKey.serial), primary_key=True)
    expires: Mapped[date] = mapped_column(primary_key=True)
    days: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime]
