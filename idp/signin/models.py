"""The table of sign-in transactions."""

from datetime import datetime
from typing import Any

from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from idp.db import Base


class SignInTransaction(Base):
    """One sign-in under way, bound to one browser. `facts` is all that `needed(tx, now)` of a step may read.

    `return_to` and `cancel_to` are local paths that the server made, never parameters; cancel_to is "" where there is nobody to say no to.
    `client_name`, `policy_uri`, `tos_uri` and `logo` (a local path) are what the pages show of who called; "" where there is none. `client_host`:
    where the sign-in leads, shown beside a name that the client gave itself.
    `form_action` are the origins where the redirects after a form may end (CSP). `completed_at` is set once; then it only redirects.
    """

    __tablename__ = "signin_transactions"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    browser_digest: Mapped[str] = mapped_column(String(64), index=True)
    return_to: Mapped[str] = mapped_column(String(500))
    cancel_to: Mapped[str] = mapped_column(String(500), default="")
    form_action: Mapped[list[str]] = mapped_column(default=list)
    client_name: Mapped[str] = mapped_column(String(200), default="")
    policy_uri: Mapped[str] = mapped_column(String(2000), default="", server_default="")
    tos_uri: Mapped[str] = mapped_column(String(2000), default="", server_default="")
    logo: Mapped[str] = mapped_column(String(300), default="", server_default="")
    client_host: Mapped[str] = mapped_column(String(300), default="", server_default="")
    login_hint: Mapped[str] = mapped_column(String(200), default="")
    account_id: Mapped[int | None]
    facts: Mapped[dict[str, Any]] = mapped_column(default=dict)
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime] = mapped_column(index=True)
    completed_at: Mapped[datetime | None]
