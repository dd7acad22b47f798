"""The table of enrolment links."""

from datetime import datetime

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from idp.accounts.models import Account
from idp.db import Base


class OfficerEnrolment(Base):
    """A one-time link by which an officer sets password and second factor; kept as a digest. `spent_at`: used, or replaced by another link."""

    __tablename__ = "officer_enrolments"

    token_digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    account_id: Mapped[int] = mapped_column(ForeignKey(Account.id, ondelete="CASCADE"), index=True)
    made_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    spent_at: Mapped[datetime | None]
