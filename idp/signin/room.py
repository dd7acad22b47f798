"""How many waiting requests (sign-ins, authorizations, sign-outs) one network may leave with us before anybody has proven anything.

Each is kept for up to hours, so without a bound a stranger fills the disk. Generous: behind one address may sit the whole office of an enterprise.
"""

from datetime import datetime

from idp.errors import RequestBroken
from idp.limits import Rule, take

RULES = (Rule("stored_requests_minute", 120, 60), Rule("stored_requests_hour", 1200, 3600))


def claim(network: str, now: datetime) -> None:
    """First thing in a transaction that stores one. RequestBroken (429) if there is no room: then nothing at all is written, no count either."""
    for rule in RULES:
        taken = take(rule, network, now)
        if not taken.allowed:
            raise RequestBroken("http_429", 429, max(1, int((taken.retry_at - now).total_seconds())))
