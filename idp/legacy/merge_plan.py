"""The plan of the merge: old users in, accounts out. A pure function; nothing here reads or writes the database.

One account per enterprise and e-key (R6); a row without key is an account of its own; a group that has an account joins it (D19).
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date

from idp.accounts import directory
from idp.legacy import naming
from idp.legacy.name_claims import Claims

BEYOND_REACH = "name_beyond_reach"


@dataclass(frozen=True)
class OldUser:
    """One legacy row and what is known around it. `account_id` once merged; `key_account_id` whose key it is already; `position` the table's order.

    `key_fault` as key_register.live_keys.fault_by_list says of the key alone · `by_approval` whether the system's right comes from an approval.
    """

    id: int
    system: str
    position: int
    by_approval: bool
    username: str
    enterprise_id: int
    prefix: str
    enterprise_active: bool
    key_serial: str
    key_fault: str | None
    key_account_id: int | None
    mobile: str | None
    email: str | None
    enabled: bool
    last_login: date | None
    former_password_id: int | None
    account_id: int | None


@dataclass(frozen=True)
class Note:
    """Something an operator should know before saying yes: a stable code, and names or codes it is about (never a contact)."""

    code: str
    about: tuple[str, ...] = ()


@dataclass(frozen=True)
class PlannedAccount:
    """One account: which rows it has and which of them join now, and what follows from all of them.

    `account_id` None = to be made · `names` (name, system, local name) of the joining rows, the survivor's first · `approved` and `blocked` systems.
    """

    account_id: int | None
    enterprise_id: int
    prefix: str
    key_serial: str
    rows: tuple[OldUser, ...]
    joining: tuple[OldUser, ...]
    canonical: str
    names: tuple[tuple[str, str, str], ...]
    user_class: int
    enabled: bool
    approved: tuple[str, ...]
    blocked: tuple[str, ...]
    mobile: str | None
    email: str | None
    notes: tuple[Note, ...] = ()

    @property
    def merged(self) -> bool:
        """Whether more than one old user became this account."""
        return len(self.rows) > 1


@dataclass(frozen=True)
class Plan:
    """All accounts, and the notes that concern more than one of them."""

    accounts: list[PlannedAccount]
    notes: list[Note] = field(default_factory=list)


def plan(users: Iterable[OldUser]) -> Plan:
    """The accounts that these old users are, or become, and what concerns more than one of these accounts."""
    found, claims = accounts(users), Claims()
    claim(claims, found)
    return Plan(found, [*name_notes(claims), *apart(found)])


def accounts(users: Iterable[OldUser]) -> list[PlannedAccount]:
    """The accounts alone; in the order of enterprise, key and row."""
    groups: dict[tuple[int, str, int], list[OldUser]] = defaultdict(list)
    for user in users:
        # D19: a row without key is its own account
        groups[(user.enterprise_id, user.key_serial, 0 if user.key_serial else user.id)].append(user)
    return [_account(sorted(rows, key=lambda user: user.id)) for rows in _by_account([groups[key] for key in sorted(groups)])]


def _by_account(groups: list[list[OldUser]]) -> list[list[OldUser]]:
    """Groups that are one account by now, because it has several keys (R87): what follows from its rows follows from all of them."""
    together: dict[int, list[OldUser]] = {}
    apart: list[list[OldUser]] = []
    for rows in groups:
        known = _account_id(rows)
        if known is not None and known in together:
            together[known] += rows
            continue
        apart.append(rows)
        if known is not None:
            together[known] = rows
    return apart


def _account_id(rows: Iterable[OldUser]) -> int | None:
    return next((known for user in rows for known in (user.account_id, user.key_account_id) if known is not None), None)


def survivor(rows: Iterable[OldUser]) -> OldUser:
    """Whose name the account bears (R62): the dual_use row if enabled, else the latest last log-in, else the table's order; disabled rows last."""
    return min(rows, key=_rank)


def _rank(user: OldUser) -> tuple[bool, bool, int, int, str]:
    name = directory.name_key(user.username)
    return naming.rank(user.system, user.position, name, enabled=user.enabled, last_login=user.last_login)


def _account(rows: list[OldUser]) -> PlannedAccount:
    first = survivor(rows)
    joining = [user for user in rows if user.account_id is None]
    classes = {naming.user_class(user.system) for user in rows}
    account_id = _account_id(rows)
    enabled = {user.system for user in rows if user.enabled}
    return PlannedAccount(
        account_id=account_id,
        enterprise_id=first.enterprise_id,
        prefix=first.prefix,
        key_serial=first.key_serial,
        rows=tuple(rows),
        joining=tuple(joining),
        canonical=_names(first)[0],
        names=tuple((name, user.system, user.username) for user in sorted(joining, key=lambda user: user is not first) for name in _names(user)),
        # R62: any class-1 row makes the account class 1
        user_class=1 if 1 in classes else naming.user_class(first.system),
        enabled=bool(enabled),
        approved=tuple(sorted({user.system for user in rows if user.enabled and user.by_approval})),
        # D15: a system all of whose rows are disabled gives no right
        blocked=tuple(sorted({user.system for user in rows} - enabled)),
        mobile=_agreed(first.mobile, [user.mobile for user in rows if user.enabled]),
        email=_agreed(first.email, [user.email for user in rows if user.enabled]),
        notes=tuple(_notes(rows, joining, first, account_id)),
    )


def _names(user: OldUser) -> list[str]:
    return naming.names(user.system, user.prefix, user.username)


def _agreed(own: str | None, all_of_them: list[str | None]) -> str | None:
    """The survivor's contact, unless the enabled rows name different ones: then the person chooses (R63)."""
    return own if own in all_of_them and not _unlike(all_of_them) else None


def _unlike(values: list[str | None]) -> bool:
    return len({value.casefold() for value in values if value}) > 1


def _notes(rows: list[OldUser], joining: list[OldUser], first: OldUser, account_id: int | None) -> list[Note]:
    enabled, systems = [user for user in rows if user.enabled], {user.system for user in rows}
    found = (
        ("joins_account", bool(joining) and account_id is not None, ()),
        ("merged", len(rows) > 1, ()),
        ("dual_use_linked", naming.CONTROL_NAMES in systems and len(systems) > 1, ()),
        ("unlike_mobile", _unlike([user.mobile for user in enabled]), ()),
        ("unlike_email", _unlike([user.email for user in enabled]), ()),
        ("some_disabled", 0 < len(enabled) < len(rows), tuple(f"{user.system}:{user.username}" for user in rows if not user.enabled)),
        ("all_disabled", not enabled, ()),
        ("no_password", bool(enabled) and not any(user.former_password_id is not None for user in enabled), ()),
        ("enterprise_cancelled", not first.enterprise_active, (first.prefix,)),
        (first.key_fault or "", first.key_fault is not None, (first.key_serial,)),
    )
    return [Note(code, about) for code, holds, about in found if holds]


def claim(claims: Claims, planned: Iterable[PlannedAccount]) -> None:
    """Let these accounts claim their names."""
    for account in planned:
        claims.add(account.key_serial or account.prefix, [name for user in account.rows for name in _names(user)])


def name_notes(claims: Claims) -> list[Note]:
    """What is to be known about names that several claim."""
    return [*(Note(BEYOND_REACH, about) for about in claims.crowded()), *(Note("name_claimed_twice", about) for about in claims.twice())]


def apart(planned: Iterable[PlannedAccount]) -> list[Note]:
    """Enterprises with several keys: these stay several accounts (R62)."""
    keys: dict[str, list[str]] = defaultdict(list)
    for account in planned:
        if account.key_serial:
            keys[account.prefix].append(account.key_serial)
    return [Note("keys_stay_apart", (prefix, *serials)) for prefix, serials in sorted(keys.items()) if len(serials) > 1]
