"""The table of one-time codes."""

from datetime import datetime

from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from idp.db import Base


class OneTimeCode(Base):
    """The newest code of one purpose and subject; sending another writes over it, so that an older one is good for nothing.

    `recipient` and `digest` (over code, purpose, subject and recipient) are keyed by the master secret: six digits, and mobile numbers, are few
    enough to try them all.
    """

    __tablename__ = "one_time_codes"

    purpose: Mapped[str] = mapped_column(String(32), primary_key=True)
    subject: Mapped[str] = mapped_column(String(80), primary_key=True)
    channel: Mapped[str] = mapped_column(String(8))
    recipient: Mapped[str] = mapped_column(String(64))
    digest: Mapped[str] = mapped_column(String(64))
    sent_at: Mapped[datetime]
    expires_at: Mapped[datetime] = mapped_column(index=True)
    tries: Mapped[int] = mapped_column(default=0)
    spent_at: Mapped[datetime | None]
