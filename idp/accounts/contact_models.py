"""The table of changes of contacts that are under way."""

from datetime import datetime
from typing import Literal

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from idp.accounts.models import Account
from idp.db import Base


class ContactChange(Base):
    """Another contact for an account (R57): the old one counts until this one does.

    `proven_at`: a code to `value` was right · `second_at`: so was one to the account's other contact · `due_at`: without a second proof it counts
    from then on, unless somebody stops it · `outcome` once over: applied | stopped | replaced.
    """

    __tablename__ = "contact_changes"

    id: Mapped[int] = mapped_column(primary_key=True)
    account_id: Mapped[int] = mapped_column(ForeignKey(Account.id, ondelete="CASCADE"), index=True)
    kind: Mapped[Literal["mobile", "email"]] = mapped_column(String(8))
    value: Mapped[str] = mapped_column(String(254))
    begun_at: Mapped[datetime]
    proven_at: Mapped[datetime | None]
    second_at: Mapped[datetime | None]
    due_at: Mapped[datetime | None] = mapped_column(index=True)
    ended_at: Mapped[datetime | None]
    outcome: Mapped[str | None] = mapped_column(String(16))
