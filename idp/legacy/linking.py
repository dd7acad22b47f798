"""Linking one's other account of the same enterprise, and undoing it (R87). Inside a transaction that the view opens.

What moves is names, keys and old users; rights and imported contacts are copied, so that they still stand at the linked account as they were.
`hooks` are the running app's.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from sqlalchemy import delete, exists, or_, select, update

from idp.accounts import channels, notices, roles
from idp.accounts.models import Account, AccountKey, AccountLink, AccountName, FormerPassword, ImportedContact
from idp.adapters import BEIJING
from idp.audit import catalogue as audit
from idp.db import session, spend_once
from idp.errors import Refusal
from idp.legacy import linked_rights
from idp.legacy.models import LegacyRow, LegacyRun
from idp.sessions import lifecycle
from idp.sessions.models import Session
from idp.web import Hooks

UNDO = timedelta(days=30)
LINKED = "linked"
_PLAIN = {"synchronize_session": False}


@dataclass(frozen=True)
class Pair:
    """Both accounts, held: `mine` stays, `other` becomes part of it."""

    mine: Account
    other: Account


def links(account_id: int) -> Sequence[AccountLink]:
    """The accounts that are part of this one, the newest first."""
    mine = (AccountLink.account_id == account_id, AccountLink.undone_at.is_(None))
    return session.scalars(select(AccountLink).where(*mine).order_by(AccountLink.id.desc())).all()


def hold(mine_id: int, other_id: int) -> Pair | None:
    """The accounts by number, then their old users: as the merge does, and so that of two links at once one waits for the other.

    None if one of them is no more.
    """
    both = (mine_id, other_id)
    rows = select(Account).where(Account.id.in_(both)).order_by(Account.id).with_for_update()
    found = {row.id: row for row in session.scalars(rows.execution_options(populate_existing=True))}
    session.execute(select(LegacyRow.id).where(LegacyRow.account_id.in_(both)).order_by(LegacyRow.id).with_for_update())
    return Pair(found[mine_id], found[other_id]) if len(found) == len(both) else None


def stranger(mine: Account, other: Account) -> bool:
    """Whether the other is none that could ever be linked; then its password opens nothing here (one answer for every reason)."""
    same = mine.enterprise_id is not None and mine.enterprise_id == other.enterprise_id
    return mine.id == other.id or not same or other.status == LINKED or bool(roles.held(other.id))


def fault(other: Account, now: datetime) -> Refusal | None:
    """What keeps an account whose password was right from being linked now; None = nothing."""
    if other.closed is not None:
        return Refusal("link_closed", "username")
    # R59: without a contact of its own, proven at a sign-in with its own password, nobody would be told
    if other.password_hash is None or other.change_reason is not None or not channels.proven(other):
        return Refusal("link_first", "username")
    open_links = (AccountLink.account_id == other.id, AccountLink.undone_at.is_(None), AccountLink.undo_until > now)
    return Refusal("link_has_links", "username") if session.scalar(select(exists().where(*open_links))) else None


def link(pair: Pair, how: Literal["password", "ekey"], hooks: Hooks, now: datetime) -> AccountLink:
    """Make the other account part of this one, in one commit; both are held and were judged."""
    mine, other = pair.mine, pair.other
    name = other.canonical_name
    hooks.accounts_joined(other.id, mine.id, now)
    moved = {
        "status": other.status,
        "name": name,
        "rights": linked_rights.bring(mine.id, other.id, now),
        "contacts": _copy_contacts(pair),
        "names": _move_names(pair),
        "keys": _ids(update(AccountKey).where(AccountKey.account_id == other.id).values(account_id=mine.id).returning(AccountKey.serial)),
        "rows": _ids(update(LegacyRow).where(LegacyRow.account_id == other.id).values(account_id=mine.id).returning(LegacyRow.id)),
    }
    row = AccountLink(account_id=mine.id, linked_id=other.id, how=how, moved=moved, at=now, undo_until=now + UNDO, undone_at=None)
    session.add(row)
    other.status, other.epoch, other.updated_at, mine.updated_at = LINKED, other.epoch + 1, now, now
    # R12: no old password ever opens it again, whatever becomes of the link
    session.execute(delete(FormerPassword).where(FormerPassword.account_id == other.id).execution_options(**_PLAIN))
    lifecycle.end_all(other.id, LINKED, now, hooks.session_ended)
    session.flush()
    audit.account_linked(now, account_id=mine.id, linked_id=other.id, link=row.id, how=how)
    until = f"{row.undo_until.astimezone(BEIJING).date()}"
    _tell("account_linked", pair, now, other=name, into=mine.canonical_name, until=until)
    session.expire_all()
    return row


def may_undo(row: AccountLink, now: datetime) -> bool:
    """Within 30 days."""
    return row.undone_at is None and now < row.undo_until


def unlink(mine_id: int, link_id: int, hooks: Hooks, now: datetime) -> bool:
    """Undo a link of this account, once: all goes back as it was. False if it is none, or for good."""
    found = session.get(AccountLink, link_id)
    if found is None or found.account_id != mine_id:
        return False
    pair = hold(mine_id, found.linked_id)
    if pair is None:
        return False
    this = (AccountLink.id == link_id, AccountLink.undone_at.is_(None), AccountLink.undo_until > now)
    if not spend_once(update(AccountLink).where(*this).values(undone_at=now)):
        return False
    _part(pair, found, hooks, now)
    return True


def _part(pair: Pair, row: AccountLink, hooks: Hooks, now: datetime) -> None:
    mine, other, moved = pair.mine, pair.other, row.moved
    hooks.accounts_parted(other.id, mine.id, now)
    linked_rights.take_back(mine.id, moved["rights"])
    _drop_contacts(mine.id, moved["contacts"])
    _return_names(pair, moved["names"])
    _return_keys(pair, moved["keys"], hooks, now)
    _return_rows(pair, row)
    # somebody may have closed it meanwhile
    other.status = moved["status"] if other.status == LINKED else other.status
    other.epoch, other.updated_at, mine.updated_at = other.epoch + 1, now, now
    audit.account_unlinked(now, account_id=mine.id, linked_id=other.id, link=row.id)
    session.flush()
    session.expire_all()
    _tell("account_unlinked", pair, now, other=moved["name"], into=mine.canonical_name)


def _tell(message: str, pair: Pair, now: datetime, **values: str) -> None:
    """Both accounts' contacts, in the same words; a contact of both once."""
    known = {(way.channel, way.recipient.casefold()) for way in channels.proven(pair.mine)}
    notices.announce(message, pair.mine, now, **values)
    if {(way.channel, way.recipient.casefold()) for way in channels.proven(pair.other)} != known:
        notices.announce(message, pair.other, now, **values)


def _ids(statement: Any) -> list[Any]:
    return sorted(session.scalars(statement.execution_options(**_PLAIN)))


# --- names ----------------------------------------------------------------------------------------------------------------------------------


def _move_names(pair: Pair) -> dict[str, Any]:
    """All become aliases; one that this account has as well is put away, for one of each is enough."""
    known = {(name.name_key, name.system) for name in pair.mine.names}
    standing = [_written(name) for name in pair.other.names]
    dropped = [each for each in standing if (each["name_key"], each["system"]) in known]
    moved = [each for each in standing if each not in dropped]
    session.execute(delete(AccountName).where(AccountName.id.in_(_of(dropped))), execution_options=_PLAIN)
    values = {"account_id": pair.mine.id, "canonical": False, "chosen_at": None}
    session.execute(update(AccountName).where(AccountName.id.in_(_of(moved))).values(**values), execution_options=_PLAIN)
    return {"moved": moved, "dropped": dropped}


def _of(names: Collection[dict[str, Any]]) -> list[int]:
    return [each["id"] for each in names]


def _written(name: AccountName) -> dict[str, Any]:
    kept = {field: getattr(name, field) for field in ("id", "name", "name_key", "canonical", "system", "local_name")}
    return {**kept, "chosen_at": name.chosen_at.isoformat() if name.chosen_at is not None else None}


def _return_names(pair: Pair, names: dict[str, Any]) -> None:
    for each in names["moved"]:
        this = (AccountName.id == each["id"], AccountName.account_id == pair.mine.id)
        values = {"account_id": pair.other.id, "canonical": each["canonical"], "chosen_at": _moment(each["chosen_at"])}
        session.execute(update(AccountName).where(*this).values(**values), execution_options=_PLAIN)
    for each in names["dropped"]:
        fields = {field: value for field, value in each.items() if field not in ("id", "chosen_at")}
        session.add(AccountName(account_id=pair.other.id, chosen_at=_moment(each["chosen_at"]), **fields))


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text is not None else None


# --- keys, old users, contacts --------------------------------------------------------------------------------------------------------------


def _return_keys(pair: Pair, serials: list[str], hooks: Hooks, now: datetime) -> None:
    """A session of this account that rests on such a key falls back to its password."""
    mine = (AccountKey.serial.in_(serials), AccountKey.account_id == pair.mine.id)
    session.execute(update(AccountKey).where(*mine).values(account_id=pair.other.id), execution_options=_PLAIN)
    resting = (Session.account_id == pair.mine.id, Session.ekey_serial.in_(serials), Session.ended_at.is_(None))
    for row in session.scalars(select(Session).where(*resting).with_for_update()).all():
        audit.ekey_lost(now, account_id=row.account_id, session_id=row.id, serial=row.ekey_serial or "")
        lifecycle.lose_key(row)
        hooks.key_lost(row.id, now)


def _return_rows(pair: Pair, row: AccountLink) -> None:
    """The old users that came, and those that a later merge added by their keys; what a later import changed in them is merged anew."""
    came = or_(LegacyRow.id.in_(row.moved["rows"]), LegacyRow.key_serial.in_(row.moved["keys"]))
    mine = (LegacyRow.account_id == pair.mine.id, came)
    later = LegacyRow.run_id.in_(select(LegacyRun.id).where(LegacyRun.started_at > row.at))
    either = LegacyRow.account_id.in_((pair.mine.id, pair.other.id))
    session.execute(update(LegacyRow).where(*mine).values(account_id=pair.other.id), execution_options=_PLAIN)
    session.execute(update(LegacyRow).where(either, later).values(unmerged=True), execution_options=_PLAIN)


def _copy_contacts(pair: Pair) -> list[list[Any]]:
    """[kind, value, system, whether this account had it, disabled] of each that is new here, or enabled now."""
    known = {(row.kind, row.value, row.system): row for row in _contacts(pair.mine.id)}
    copied: list[list[Any]] = []
    for row in _contacts(pair.other.id):
        had = known.get((row.kind, row.value, row.system))
        if had is None:
            session.add(ImportedContact(account_id=pair.mine.id, kind=row.kind, value=row.value, system=row.system, enabled=row.enabled))
        elif row.enabled and not had.enabled:
            had.enabled = True
        else:
            continue
        copied.append([row.kind, row.value, row.system, had is not None])
    return copied


def _contacts(account_id: int) -> Sequence[ImportedContact]:
    return session.scalars(select(ImportedContact).where(ImportedContact.account_id == account_id)).all()


def _drop_contacts(account_id: int, copied: list[list[Any]]) -> None:
    for kind, value, system, had in copied:
        row = session.get(ImportedContact, (account_id, kind, value, system))
        if row is not None and had:
            row.enabled = False
        elif row is not None:
            session.delete(row)
