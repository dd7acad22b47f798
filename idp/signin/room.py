"""How many waiting requests (sign-ins, authorizations, sign-outs) one network may leave with us before anybody has proven anything.

Each is kept for hours, so without a bound a stranger fills the disk. Generous: behind one address may sit the whole office of an enterprise.
"""

from datetime import datetime

from idp import limits
from idp.errors import RequestBroken

RULES = (limits.Rule("stored_requests_minute", 120, 60), limits.Rule("stored_requests_hour", 1200, 3600))


def taken(network: str, now: datetime) -> int | None:
    """Inside the transaction that would store one: None if it may, otherwise the seconds until another may come."""
    for rule in RULES:
        found = limits.take(rule, network, now)
        if not found.allowed:
            return max(1, int((found.retry_at - now).total_seconds()))
    return None


def full(wait: int) -> RequestBroken:
    """The page that says so; raised after the commit."""
    return RequestBroken("http_429", 429, retry_after=wait)
