"""How many waiting requests (sign-ins, authorizations, sign-outs) may be left with us before anybody has proven anything.

Each is kept for up to hours, so without a bound a stranger fills the disk. Generous: behind one address may sit the whole office of an enterprise,
and a device that has signed in before has a budget of its own, so that nobody else in the office can use it up.
"""

from collections.abc import Collection
from datetime import datetime

from idp.accounts import lockout
from idp.errors import RequestBroken
from idp.limits import Rule, take
from idp.signin import flow
from idp.signin.models import SignInTransaction

RULES = (Rule("stored_requests_minute", 600, 60), Rule("stored_requests_hour", 6000, 3600))
DEVICE_RULES = (Rule("stored_requests_device_minute", 60, 60), Rule("stored_requests_device_hour", 600, 3600))


def claim(network: str, now: datetime, device: str = "", browsers: Collection[str] = ()) -> SignInTransaction | None:
    """First thing in a transaction that stores one; `device` is the digest of the device cookie, `browsers` the browser's secrets.

    None = there is room. A sign-in = there is none, but this one of the browser's own, held, may be written over (`flow.begin`).
    RequestBroken (429) if neither: then nothing at all is written, no count either.
    """
    key, rules = (device, DEVICE_RULES) if lockout.knows(device) else (network, RULES)
    full = next((taken for taken in (take(rule, key, now) for rule in rules) if not taken.allowed), None)
    if full is None:
        return None
    mine = flow.oldest_waiting(browsers, now)
    if mine is None:
        raise RequestBroken("http_429", 429, max(1, int((full.retry_at - now).total_seconds())))
    return mine
