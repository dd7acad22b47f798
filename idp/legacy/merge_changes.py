"""What the plan asks of one account, against how that account stands (R6–R12, R62, D15, D17, D19). Pure: nothing here knows the database."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from idp.accounts import directory
from idp.legacy.merge_plan import OldUser, PlannedAccount

OFFICE_CLASS = 4  # made by the key office (R88): what it says about an account counts more than old rows
State = tuple[str, str]  # system, state
Contact = tuple[str, str, str]  # kind, value, system


@dataclass(frozen=True)
class Standing:
    """An account as it stands: its own columns; names as (compared form, system); since when each state holds; contacts and whether they are enabled.

    `contacts_theirs`: its person has said or set something about contacts.
    """

    status: str
    user_class: int
    epoch: int
    own_password: bool
    contacts_theirs: bool
    mobile: str | None
    email: str | None
    updated_at: datetime | None = None
    canonical: bool = False
    names: Collection[tuple[str, str | None]] = ()
    states: Mapping[State, datetime] = field(default_factory=dict)
    contacts: Mapping[Contact, bool] = field(default_factory=dict)


@dataclass(frozen=True)
class NewName:
    """A name that the account gets."""

    name: str
    name_key: str
    canonical: bool
    system: str
    local_name: str


@dataclass(frozen=True)
class Changes:
    """What is to be done about one account. `columns`: new values of its own; `contacts`: new ones, and those that are enabled or disabled now."""

    what: Literal["made", "joined", "updated"]
    columns: dict[str, Any]
    names: tuple[NewName, ...]
    key: str | None
    states: tuple[State, ...]
    lifted: tuple[State, ...]
    contacts: dict[Contact, bool]
    dropped: tuple[Contact, ...]


def changes(planned: PlannedAccount, standing: Standing | None, to_be_proven: Collection[str]) -> Changes | None:
    """What the plan asks; None = the account is as planned. `standing` None: it is to be made. `to_be_proven`: systems whose right waits (R62)."""
    now = standing or _blank(planned)
    joining = bool(planned.joining)
    states, lifted = _states(planned, now, to_be_proven)
    contacts, dropped = _contacts(planned, now)
    columns = _columns(planned, now, {system for system, state in now.states if state == "blocked"})
    blocks = lifted or any(state == "blocked" for _system, state in states)
    if standing is None:
        columns = {**columns, "status": now.status, "user_class": now.user_class}
    if not (joining or blocks or contacts or dropped or columns):
        return None
    what: Literal["made", "joined", "updated"] = "made" if standing is None else "joined" if joining else "updated"
    return Changes(what, columns, tuple(_names(planned, now)), _key(planned), states, lifted, contacts, dropped)


def before(found: Changes, standing: Standing | None) -> dict[str, Any]:
    """What a journal keeps, so that these changes can be taken back: what was added, and what stood there instead (None = nothing)."""
    if standing is None:
        # all of it goes with the account; these tell whether somebody else has acted upon it since
        return {"status": found.columns["status"], "key": found.key}
    return {
        "columns": {column: [getattr(standing, column), value] for column, value in found.columns.items()},
        "names": [[name.name_key, name.system] for name in found.names],
        "key": found.key,
        "states": [list(state) for state in found.states],
        "lifted": [[*state, standing.states[state].isoformat()] for state in found.lifted],
        "contacts": [[*contact, standing.contacts.get(contact)] for contact in (*found.contacts, *found.dropped)],
    }


def _blank(planned: PlannedAccount) -> Standing:
    """An account that is to be made, before the old users join it."""
    status = "active" if planned.enabled else "disabled"
    return Standing(status, planned.user_class, 1, own_password=False, contacts_theirs=False, mobile=None, email=None)


# --- names and the key ----------------------------------------------------------------------------------------------------------------------


def _names(planned: PlannedAccount, now: Standing) -> Iterator[NewName]:
    known, named = set(now.names), now.canonical
    for name, system, local_name in planned.names:
        key = directory.name_key(name)
        if (key, system) not in known:
            canonical = not named and name == planned.canonical
            named = named or canonical
            known.add((key, system))
            yield NewName(directory.normalise(name), key, canonical, system, local_name)


def _key(planned: PlannedAccount) -> str | None:
    """The key that comes with the joining rows, unless somebody has it already."""
    owned = any(user.key_account_id is not None for user in planned.rows if user.key_serial == planned.key_serial)
    return planned.key_serial or None if planned.joining and not owned else None


# --- rights ---------------------------------------------------------------------------------------------------------------------------------


def _states(planned: PlannedAccount, now: Standing, to_be_proven: Collection[str]) -> tuple[tuple[State, ...], tuple[State, ...]]:
    """States to add, and to lift: blocks as all rows now have them; what joining rows bring approved; what waits for a proof in a merged account."""
    had = {system for system, state in now.states if state == "blocked"}
    lifted = had & {user.system for user in planned.rows} - set(planned.blocked)
    wanted = {(system, "blocked") for system in set(planned.blocked) - had} | {(system, "approved") for system in lifted & set(planned.approved)}
    wanted |= {(user.system, "approved") for user in planned.joining if user.enabled and user.by_approval}
    if planned.joining and planned.merged:
        # R62: what one password must not open
        wanted |= {(system, "held") for system in to_be_proven}
    return tuple(sorted(wanted - now.states.keys())), tuple(sorted((system, "blocked") for system in lifted))


def _columns(planned: PlannedAccount, now: Standing, blocked_before: set[str]) -> dict[str, Any]:
    found: dict[str, Any] = _status(planned, now, blocked_before)
    if not now.own_password and now.user_class not in (OFFICE_CLASS, planned.user_class):
        found["user_class"] = planned.user_class
    # R57, R63: the survivor's contacts are offered, unproven, until the person has said anything
    if not now.contacts_theirs and now.user_class != OFFICE_CLASS:
        found |= {kind: value for kind, value in (("mobile", planned.mobile), ("email", planned.email)) if value != getattr(now, kind)}
    return found


def _status(planned: PlannedAccount, now: Standing, blocked_before: set[str]) -> dict[str, Any]:
    """D15: all rows disabled = account disabled. Lifted again only where it was the rows that did it, and only for accounts made of rows."""
    merged_before = {user.system for user in planned.rows if user.account_id is not None}
    if now.status == "active" and not planned.enabled and merged_before:
        return {"status": "disabled", "epoch": now.epoch + 1}
    if now.status == "disabled" and planned.enabled and merged_before and merged_before <= blocked_before:
        return {"status": "active"}
    return {}


# --- contacts -------------------------------------------------------------------------------------------------------------------------------


def _contacts(planned: PlannedAccount, now: Standing) -> tuple[dict[Contact, bool], tuple[Contact, ...]]:
    """Imported contacts to put and to drop, so that they are as the rows have them; with an own password only joining rows add theirs (D17)."""
    wanted = _imported(planned.joining if now.own_password else planned.rows)
    dropped = () if now.own_password else tuple(contact for contact in now.contacts if contact not in wanted)
    return {contact: enabled for contact, enabled in wanted.items() if now.contacts.get(contact) != enabled}, dropped


def _imported(users: Collection[OldUser]) -> dict[Contact, bool]:
    """Contact → whether an enabled row has it."""
    found: dict[Contact, bool] = {}
    for user in users:
        for kind, value in (("mobile", user.mobile), ("email", user.email)):
            if value:
                found[(kind, value, user.system)] = user.enabled or found.get((kind, value, user.system), False)
    return found
