"""The key office's list."""

from datetime import date

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column, relationship

from idp.db import Base
from idp.enterprises.models import Enterprise


class EKey(Base):
    """One e-key (电子钥匙) as the key office lists it. `status` is the office's word: active | expired | revoked; dates count too (D15)."""

    __tablename__ = "ekeys"

    serial: Mapped[str] = mapped_column(String(40), primary_key=True)
    enterprise_id: Mapped[int] = mapped_column(ForeignKey("enterprises.id"), index=True)
    holder: Mapped[str] = mapped_column(String(100), default="")
    issued: Mapped[date | None]
    expires: Mapped[date | None]
    status: Mapped[str] = mapped_column(String(16), default="active")

    enterprise: Mapped[Enterprise] = relationship()
    licences: Mapped[list["EKeyLicence"]] = relationship(cascade="all, delete-orphan", lazy="selectin", order_by="EKeyLicence.system")


class EKeyLicence(Base):
    """One system that a key was opened for (R33, R66)."""

    __tablename__ = "ekey_licences"

    serial: Mapped[str] = mapped_column(ForeignKey("ekeys.serial", ondelete="CASCADE"), primary_key=True)
    system: Mapped[str] = mapped_column(String(40), primary_key=True)
