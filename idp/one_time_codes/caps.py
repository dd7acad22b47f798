"""How many codes may leave: for each account, network and recipient, and in all (threats G). Inside a transaction.

Counters are looked at before any is counted, so that what one of them refuses uses up no other; and they are counted in one order, because on
PostgreSQL each stays locked until the commit.
"""

from dataclasses import dataclass
from datetime import datetime

from idp import web
from idp.audit import origin
from idp.limits import Rule, Taken, peek, take

HOUR, DAY = 3600, 24 * 3600
PER_ACCOUNT = Rule("codes.account.day", 40, DAY)
# each recipient, whatever the purpose; whose contact it is proven to be has a budget of their own, which no stranger's sign-in uses up
PER_RECIPIENT = (Rule("codes.recipient.hour", 5, HOUR), Rule("codes.recipient.day", 10, DAY))
# and what reaches a recipient under all those budgets together: one number may stand in the accounts of many enterprises
REACHING = (Rule("codes.reaching.hour", 20, HOUR), Rule("codes.reaching.day", 60, DAY))

Counter = tuple[Rule, str]


@dataclass(frozen=True)
class Asked:
    """A code that is asked for; `budget`: what is counted for the recipient, `addressee` in short or with an owner. `leaves`: there is a message."""

    channel: str
    addressee: str
    budget: str
    account_id: int | None
    leaves: bool


@dataclass(frozen=True)
class Full:
    """Not before `until`; `reason` is for the audit."""

    until: datetime
    reason: str


def claim(asked: Asked, now: datetime, *, hush: bool) -> Full | None:
    """Count it, or say what is full. `hush`: whether a message leaves must not show, so what only messages use up is left to `reaches`."""
    settings, network = web.runtime().settings, origin.current.get().network
    mine: list[Counter] = [] if asked.account_id is None else [(PER_ACCOUNT, str(asked.account_id))]
    if network:
        mine.append((Rule("codes.network.hour", settings.codes_per_ip_hour, HOUR), network))
    in_all = (Rule("codes.all.hour", settings.codes_per_hour, HOUR), asked.channel)
    recipient = [(rule, asked.budget) for rule in PER_RECIPIENT]
    reaching = [] if hush or not asked.leaves else _reaching(asked)
    # strangers' numbers and made-up names cost nothing, so they do not use up what is there for all
    counted = [*mine, *([in_all] if asked.leaves else []), *recipient, *reaching]
    for rule, key in [*mine, in_all, *recipient, *reaching]:
        found = peek(rule, key, now)
        if not found.allowed:
            return _full(rule, found)
    return _take(counted, now)


def reaches(asked: Asked, now: datetime) -> bool:
    """After a hushed claim: count the message for its recipient; False = it had all it may have, and is spared this one without a word."""
    return _take(_reaching(asked), now) is None


def _reaching(asked: Asked) -> list[Counter]:
    return [(rule, asked.addressee) for rule in REACHING]


def _take(counters: list[Counter], now: datetime) -> Full | None:
    for rule, key in counters:
        taken = take(rule, key, now)
        if not taken.allowed:
            return _full(rule, taken)
    return None


def _full(rule: Rule, found: Taken) -> Full:
    return Full(found.retry_at, "too_many_in_all" if rule.name == "codes.all.hour" else "too_many")
