"""Sessions of accounts that may not be signed in any more end for good, so that they do not revive when an enterprise does (a job)."""

from datetime import datetime

from sqlalchemy import or_, select

from idp.accounts.models import Account
from idp.db import session
from idp.enterprises.models import Enterprise
from idp.sessions import lifecycle
from idp.sessions.lifecycle import OnEnd
from idp.sessions.models import Session

MOST = 500


def end_closed(now: datetime, on_end: OnEnd) -> int:
    """End the live sessions of disabled accounts, of cancelled enterprises, and from before an account's last new epoch, MOST at a time.

    Returns how many.
    """
    # outer: an officer has no enterprise, so none that could be cancelled
    closed = or_(Account.status != "active", Enterprise.status != "active", Account.epoch != Session.epoch)
    live = select(Session).join(Account, Account.id == Session.account_id).outerjoin(Enterprise).where(Session.ended_at.is_(None), closed)
    return sum(lifecycle.end(row, "account_closed", now, on_end) for row in session.scalars(live.limit(MOST)).all())
