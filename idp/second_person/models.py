"""The table of requests that a second officer decides."""

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, String, text
from sqlalchemy.orm import Mapped, mapped_column

from idp.accounts.models import Account
from idp.db import Base

_OPEN = text("state = 'open'")


class SecondPersonRequest(Base):
    """One request, of the officer `filed_by` or of the `operator` of a command.

    `kind` names its Act · `subject` what it is about (a serial, a name) · `details` what the act is called with; no secret in it · `state` open |
    confirmed | failed (confirmed, but it could not be done; `answer` is the code) | refused (`answer` is the reason) | expired.
    """

    __tablename__ = "second_person_requests"
    __table_args__ = (
        Index("ix_second_person_requests_state", "state", "expires_at"),
        # one thing is asked for once at a time
        Index("uq_second_person_requests_open", "kind", "subject", unique=True, sqlite_where=_OPEN, postgresql_where=_OPEN),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(40))
    subject: Mapped[str] = mapped_column(String(160))
    details: Mapped[dict[str, Any]] = mapped_column(default=dict)
    reason: Mapped[str] = mapped_column(String(500))
    filed_by: Mapped[int | None] = mapped_column(ForeignKey(Account.id))
    operator: Mapped[str] = mapped_column(String(64), default="")
    filed_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    state: Mapped[str] = mapped_column(String(12), default="open")
    decided_by: Mapped[int | None] = mapped_column(ForeignKey(Account.id))
    decided_at: Mapped[datetime | None]
    answer: Mapped[str] = mapped_column(String(500), default="")
