"""The table of audit events."""

from datetime import datetime
from typing import Any

from sqlalchemy import Index, String
from sqlalchemy.orm import Mapped, mapped_column

from idp.db import Base


class AuditEvent(Base):
    """One event. Ids only: no name, number, address or secret ever stands here.

    `network` is a keyed digest of the caller's address, so that events can be tied together without naming the address;
    `device`: what the browser calls itself, in two words (sessions/device.py).
    """

    __tablename__ = "audit_events"
    __table_args__ = (
        Index("ix_audit_events_at", "at"),
        Index("ix_audit_events_account", "account_id", "at"),
        Index("ix_audit_events_request", "request_id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime]
    event: Mapped[str] = mapped_column(String(64))
    request_id: Mapped[str] = mapped_column(String(32), default="")
    network: Mapped[str] = mapped_column(String(64), default="")
    device: Mapped[str] = mapped_column(String(40), default="", server_default="")
    operator: Mapped[str] = mapped_column(String(64), default="")
    account_id: Mapped[int | None]
    enterprise_id: Mapped[int | None]
    session_id: Mapped[int | None]
    client_id: Mapped[str | None] = mapped_column(String(128))
    detail: Mapped[dict[str, Any]] = mapped_column(default=dict)
