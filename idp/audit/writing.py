"""How an event is written: in the caller's transaction, with where it comes from."""

from datetime import datetime
from typing import Any

from idp.audit.models import AuditEvent
from idp.audit.origin import current
from idp.db import session


def write(event: str, now: datetime, *, detail: dict[str, Any] | None = None, **ids: Any) -> None:
    """Add the row of an event; for the catalogues alone."""
    origin = current.get()
    told = {**(detail or {}), **({"why": origin.why} if origin.why else {})}
    where = {"request_id": origin.request_id, "network": origin.network, "device": origin.device, "operator": origin.operator}
    row = AuditEvent(at=now, event=event, detail=told, **where, **ids)
    session.add(row)
