"""A "no" of the token side, as a value: what the client hears, what the audit learns, and what ends with it."""

from dataclasses import dataclass, replace
from datetime import datetime

from idp.audit import provider as audit
from idp.limits import Rule, take

# Counted by (client named, network), so that nobody can keep a real client out from elsewhere; a right proof always passes.
FAILURES = Rule("client_authentication", 30, 60)
# Who has proven nothing can name any client: all of a network's failures together, so that new names are no way around the rule above.
FAILURES_OF_NETWORK = Rule("client_authentication_network", 120, 60)


@dataclass(frozen=True)
class Refused:
    """`error` and `status` go to the client; `reason` (a stable code) only to the audit; `ends_grant` ends in the same commit.

    `retry_after` (seconds): too many of them, come back later. `expected`: part of every flow, neither counted nor written down.
    """

    error: str
    reason: str
    status: int = 400
    client_id: str | None = None
    ends_grant: int | None = None
    retry_after: int | None = None
    expected: bool = False


def counted(no: Refused, key: str, claimed: str | None, now: datetime, network: str | None = None) -> Refused:
    """Inside the transaction: the audit learns of a refusal that cost the caller nothing, but cannot be flooded with it; 429 then.

    `network`: where the caller has proven nothing, the key of its network.
    """
    # the network first: past it no further counter is made
    for rule, under in ((FAILURES_OF_NETWORK, network), (FAILURES, key)):
        taken = take(rule, under, now) if under is not None else None
        if taken is not None and not taken.allowed:
            return replace(no, status=429, retry_after=max(1, int((taken.retry_at - now).total_seconds())))
    audit.client_refused(now, client_id=claimed, reason=no.reason)
    return no
