"""Business systems and what is decided about an account's right to them."""

from datetime import datetime

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from idp.db import Base


class BusinessSystem(Base):
    """One licence system (业务系统). `right_from` ekey | approval; `sensitive`: a merged account proves itself once before it opens (R62)."""

    __tablename__ = "business_systems"

    code: Mapped[str] = mapped_column(String(40), primary_key=True)
    position: Mapped[int]
    name: Mapped[str] = mapped_column(String(100))
    name_en: Mapped[str] = mapped_column(String(100))
    short_name: Mapped[str] = mapped_column(String(20))
    short_name_en: Mapped[str] = mapped_column(String(40))
    icon: Mapped[str] = mapped_column(String(40))
    right_from: Mapped[str] = mapped_column(String(10))
    sensitive: Mapped[bool] = mapped_column(default=False)
    start_url: Mapped[str] = mapped_column(String(500), default="")


class Entitlement(Base):
    """What is decided about one account and one system, beside the licences of its key.

    `state`: approved (by the mech-electrical office, or stock) · blocked (all old rows of that system were disabled, D15) ·
    held (waits for one proof, R62). A row is absent where only the key decides.
    """

    __tablename__ = "entitlements"

    account_id: Mapped[int] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"), primary_key=True)
    system: Mapped[str] = mapped_column(ForeignKey("business_systems.code"), primary_key=True)
    state: Mapped[str] = mapped_column(String(16), primary_key=True)
    since: Mapped[datetime]
