"""What is decided about the rights of two accounts that become one (R87): copied, and noted, so that it can be taken back."""

from datetime import datetime
from typing import Any

from sqlalchemy import select

from idp.adapters import BEIJING
from idp.db import session
from idp.entitlements import rules
from idp.entitlements.models import Entitlement

States = dict[str, set[str]]


def together(mine: States, other: States, had: set[str], gave: set[str]) -> States:
    """State → systems of both accounts as one; `had` and `gave` are the systems to which each had a right, open or waiting.

    An approval comes over. A block stays where neither had a right (D15: all old users of that system were disabled). A hold comes over with the
    right that it holds, and falls where the other account's right was open and this one had none (R62).
    """
    blocked = (mine["blocked"] | other["blocked"]) - had - gave
    brought = {system for system in other["held"] if system in gave or system not in had}
    freed = gave - had - other["held"]
    return {"approved": mine["approved"] | other["approved"], "blocked": blocked, "held": (mine["held"] - freed) | brought}


def bring(mine_id: int, other_id: int, now: datetime) -> dict[str, Any]:
    """Give this account what both have; what was gained and lost by that. The other's stays as it is."""
    today = now.astimezone(BEIJING).date()
    had, gave = ({right.system for right in rules.rights(account_id, today)} for account_id in (mine_id, other_id))
    before = _states(mine_id)
    after = together(before, _states(other_id), had, gave)
    gained = [[system, state] for state in after for system in sorted(after[state] - before[state])]
    lost = [[system, state] for state in after for system in sorted(before[state] - after[state])]
    since = {f"{system}:{state}": _remove(mine_id, system, state) for system, state in lost}
    for system, state in gained:
        session.add(Entitlement(account_id=mine_id, system=system, state=state, since=now))
    session.flush()
    return {"gained": gained, "lost": [[system, state, since[f"{system}:{state}"]] for system, state in lost]}


def take_back(mine_id: int, rights: dict[str, Any]) -> None:
    """As it was before; what was decided meanwhile stays where it says something else."""
    for system, state in rights["gained"]:
        _remove(mine_id, system, state)
    for system, state, since in rights["lost"]:
        if session.get(Entitlement, (mine_id, system, state)) is None:
            session.add(Entitlement(account_id=mine_id, system=system, state=state, since=datetime.fromisoformat(since)))
    session.flush()


def _states(account_id: int) -> States:
    found: States = {"approved": set(), "blocked": set(), "held": set()}
    for row in session.scalars(select(Entitlement).where(Entitlement.account_id == account_id)):
        found.setdefault(row.state, set()).add(row.system)
    return found


def _remove(account_id: int, system: str, state: str) -> str:
    """Its `since`, "" if it was not there."""
    row = session.get(Entitlement, (account_id, system, state))
    if row is None:
        return ""
    session.delete(row)
    session.flush()
    return row.since.isoformat()
