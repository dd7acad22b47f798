"""The table of what waits to leave."""

from datetime import datetime
from typing import Any

from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from idp.db import Base


class OutboxItem(Base):
    """One thing to deliver. `due_at` is when it may be claimed next; a claimed item is due again only after its lease.

    `lane`: the receiver that items share, so that a dead one holds up only its own; None = the item stands alone.
    """

    __tablename__ = "outbox_items"

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(64))
    lane: Mapped[str | None] = mapped_column(String(128))
    payload: Mapped[dict[str, Any]]
    created_at: Mapped[datetime]
    due_at: Mapped[datetime] = mapped_column(index=True)
    tries: Mapped[int] = mapped_column(default=0)
