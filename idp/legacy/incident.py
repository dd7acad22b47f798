"""A time in which the platform is known not to work: log-ins at the legacy entries are not counted then (R64)."""

from datetime import datetime

from sqlalchemy import select

from idp.audit import migration as audit
from idp.db import session
from idp.errors import BadInput
from idp.legacy.models import Incident


def open_one() -> Incident | None:
    """The incident that is under way."""
    return session.scalar(select(Incident).where(Incident.ended_at.is_(None)).order_by(Incident.id))


def declared() -> bool:
    """Whether one is under way."""
    return open_one() is not None


def declare(operator: str, reason: str, now: datetime) -> Incident:
    """Begin one; BadInput while another is under way."""
    if declared():
        raise BadInput("an incident is declared already; end it first")
    row = Incident(declared_at=now, declared_by=operator, reason=reason)
    session.add(row)
    session.flush()
    audit.incident_declared(now, incident_id=row.id)
    return row


def end(now: datetime) -> Incident:
    """End the one under way; BadInput where there is none."""
    row = open_one()
    if row is None:
        raise BadInput("no incident is declared")
    row.ended_at = now
    audit.incident_ended(now, incident_id=row.id)
    return row
