"""The table of requests that a second officer decides."""

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from idp.accounts.models import Account
from idp.db import Base


class SecondPersonRequest(Base):
    """One request. `kind` names its Act · `subject` what it is about (a serial, a name) · `details` what the act is called with; no secret in it.

    `state` open | confirmed | failed (confirmed, but it could not be done; `answer` is the code) | refused (`answer` is the reason) | expired.
    """

    __tablename__ = "second_person_requests"
    __table_args__ = (Index("ix_second_person_requests_state", "state", "expires_at"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(40))
    subject: Mapped[str] = mapped_column(String(160))
    details: Mapped[dict[str, Any]] = mapped_column(default=dict)
    reason: Mapped[str] = mapped_column(String(500))
    filed_by: Mapped[int] = mapped_column(ForeignKey(Account.id))
    filed_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    state: Mapped[str] = mapped_column(String(12), default="open")
    decided_by: Mapped[int | None] = mapped_column(ForeignKey(Account.id))
    decided_at: Mapped[datetime | None]
    answer: Mapped[str] = mapped_column(String(500), default="")
