"""What enterprises are told before the cut-over (R92): what each of their old users types from then on, and where.

On paper stand names alone, never a contact; the message goes once to each contact that an enabled row has. Only rows whose cut-over is ordered
are told of: without a date there is nothing to tell.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from babel.dates import format_date
from sqlalchemy import func, select
from sqlalchemy.dialects import postgresql, sqlite

from idp import opaque_tokens
from idp.accounts import directory
from idp.accounts.models import Account
from idp.adapters import BEIJING, Adapters
from idp.audit import migration as audit
from idp.db import session, spend_once
from idp.delimited import chunks
from idp.enterprises.models import Enterprise
from idp.entitlements.models import BusinessSystem
from idp.legacy import figures, merge_plan, naming, old_users
from idp.legacy.merge_plan import OldUser, PlannedAccount
from idp.legacy.models import LegacyCutover, LegacyLetter, LegacyRow
from idp.messages import words
from idp.outbox.queue import enqueue

LETTER = "legacy_letter"
ENTERPRISES_AT_ONCE = 200


@dataclass(frozen=True)
class Line:
    """One old user: system, the name there, what is typed from then on ("" = no name reaches it), and from when on."""

    system: str
    username: str
    name: str
    at: datetime


@dataclass(frozen=True)
class Group:
    """The old users that are one account. `password`: which one opens it the first time: any | own | control | new | none."""

    key_serial: str
    password: str
    lines: tuple[Line, ...]


@dataclass(frozen=True)
class Contact:
    """Whom to tell (`kind` mobile | email), of which lines; `digest` names the contact where it must not stand itself."""

    kind: str
    value: str
    digest: str
    lines: tuple[Line, ...]


@dataclass(frozen=True)
class Letter:
    """The letter of one enterprise."""

    enterprise_id: int
    enterprise: str
    prefix: str
    groups: tuple[Group, ...]

    @property
    def lines(self) -> list[Line]:
        """All of them."""
        return [line for group in self.groups for line in group.lines]


class Calendar:
    """The cut-overs that are ordered, read once: since cutover.since() says only what has come."""

    def __init__(self) -> None:
        """As they stand."""
        self._all = list(session.scalars(select(LegacyCutover).where(LegacyCutover.reverted_at.is_(None)).order_by(LegacyCutover.at)))
        self._firms = {row.enterprise_id for row in self._all}

    def at(self, enterprise: Enterprise, system: str) -> datetime | None:
        """When it is this enterprise's turn; None = not ordered."""
        fitting = (row.at for row in self._all if row.system == system and self._fits(row, enterprise))
        return next(fitting, None)

    def _fits(self, row: LegacyCutover, enterprise: Enterprise) -> bool:
        return row.enterprise_id == enterprise.id if row.enterprise_id else enterprise.region.startswith(row.region)


@dataclass(frozen=True)
class Writer:
    """What all letters of a run are made from."""

    today: date
    secret: str
    calendar: Calendar
    systems: frozenset[str]
    crowded: frozenset[str]

    def letters(self, enterprise_ids: Sequence[int]) -> list[tuple[Letter, list[Contact]]]:
        """The letters of some enterprises, and whom to tell; who has nothing to be told gets none."""
        firms = {
            firm.id: firm for firm in session.scalars(select(Enterprise).where(Enterprise.id.in_(enterprise_ids), Enterprise.status == "active"))
        }
        ordered = [firms[each] for each in enterprise_ids if each in firms]
        accounts = merge_plan.plan(old_users.read(self.today, list(firms))).accounts
        came = {account.account_id for account in accounts if account.account_id is not None}
        own = set(session.scalars(select(Account.id).where(Account.id.in_(came), Account.password_hash.is_not(None))))
        written = [self._letter(firm, [account for account in accounts if account.enterprise_id == firm.id], own) for firm in ordered]
        return [(letter, contacts) for letter, contacts in written if letter.groups]

    def _letter(self, firm: Enterprise, accounts: Sequence[PlannedAccount], own: Collection[int]) -> tuple[Letter, list[Contact]]:
        groups, told = [], []
        for account in accounts:
            pairs = [(user, line) for user in account.rows if (line := self._line(user, firm))]
            if pairs:
                groups.append(Group(account.key_serial, _password(account, own), tuple(line for _user, line in pairs)))
                told += pairs
        return Letter(firm.id, firm.name, firm.prefix, tuple(groups)), self._contacts(told)

    def _line(self, user: OldUser, firm: Enterprise) -> Line | None:
        at = self.calendar.at(firm, user.system) if user.enabled and user.system in self.systems else None
        if at is None:
            return None
        names = naming.names(user.system, user.prefix, user.username)
        name = next((name for name in names if directory.name_key(name) not in self.crowded), "")
        return Line(user.system, user.username, name, at)

    def _contacts(self, told: Sequence[tuple[OldUser, Line]]) -> list[Contact]:
        found: dict[tuple[str, str], list[Line]] = {}
        for user, line in told:
            for kind, value in (("mobile", user.mobile), ("email", user.email)):
                if value:
                    found.setdefault((kind, value.casefold()), []).append(line)
        return [Contact(kind, value, contact_digest(self.secret, kind, value), tuple(lines)) for (kind, value), lines in found.items()]


def contact_digest(secret: str, kind: str, value: str) -> str:
    """What stands for a contact; keyed, for there are few enough numbers to try them all."""
    return opaque_tokens.keyed_digest(secret, "legacy-letter", f"{kind}:{value}")


def _password(account: PlannedAccount, own: Collection[int]) -> str:
    if account.account_id in own:
        return "new"
    having = {user.system for user in account.rows if user.enabled and user.former_password_id is not None}
    if having == {naming.CONTROL_NAMES}:
        return "control"
    return "none" if not having else "own" if len(having) == 1 else "any"


def writer(today: date, secret: str, systems: Collection[str] = ()) -> Writer:
    """For these systems, or all."""
    chosen = frozenset(systems) or frozenset(session.scalars(select(BusinessSystem.code)))
    return Writer(today, secret, Calendar(), chosen, frozenset(figures.crowded_names() | _crowded_before_the_merge()))


def _crowded_before_the_merge() -> set[str]:
    """Names without code that more enterprises have than a sign-in looks at."""
    bare = select(LegacyRow.username_key).where(LegacyRow.system == naming.CONTROL_NAMES).group_by(LegacyRow.username_key)
    return set(session.scalars(bare.having(func.count(LegacyRow.enterprise_id.distinct()) > directory.MAX_CANDIDATES)))


def batches(systems: Collection[str]) -> Iterator[list[int]]:
    """The enterprises that have enabled users of these systems, some at a time, in the order of their codes."""
    mine = select(LegacyRow.enterprise_id).where(LegacyRow.enabled, LegacyRow.system.in_(systems))
    statement = select(Enterprise.id).where(Enterprise.id.in_(mine)).order_by(func.coalesce(Enterprise.code, Enterprise.uscc))
    return chunks(session.scalars(statement).all(), ENTERPRISES_AT_ONCE)


def announce(letter: Letter, contacts: Sequence[Contact], now: datetime) -> int:
    """Tell each contact, unless it was told before (inside a transaction); how many will be."""
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    count = 0
    for contact in contacts:
        first = insert(LegacyLetter).values(enterprise_id=letter.enterprise_id, contact_digest=contact.digest, at=now).on_conflict_do_nothing()
        if spend_once(first):
            enqueue(LETTER, {"enterprise_id": letter.enterprise_id, "contact": contact.digest}, now)
            count += 1
    if count:
        audit.letter_sent(now, enterprise_id=letter.enterprise_id, contacts=count)
    return count


def deliver(adapters: Adapters, address: str, telephone: str, secret: str) -> Callable[[dict[str, Any]], None]:
    """The handler: look the enterprise and its contact up again and write to it; OSError = try again."""

    def handle(payload: dict[str, Any]) -> None:
        today = adapters.clock.now().astimezone(BEIJING).date()
        found = writer(today, secret).letters([payload["enterprise_id"]])
        contact = next((each for _letter, contacts in found for each in contacts if each.digest == payload["contact"]), None)
        names = dict(session.execute(select(BusinessSystem.code, BusinessSystem.short_name)).all())
        session.rollback()
        if contact is None:  # the cut-over was taken back meanwhile, or a later dump has another contact
            return
        text = words.text(LETTER, **_values(found[0][0], contact, names), address=address, phone=telephone)
        if contact.kind == "mobile":
            adapters.sms.send(contact.value, text)
        else:
            adapters.mail.send(contact.value, words.subject(LETTER), text)

    return handle


def _values(letter: Letter, contact: Contact, system_names: dict[str, str]) -> dict[str, str]:
    first = min(line.at for line in contact.lines).astimezone(BEIJING).date()
    return {
        "enterprise": letter.enterprise,
        "day": format_date(first, "long", locale="zh"),
        "systems": "、".join(dict.fromkeys(system_names[line.system] for line in contact.lines)),
        "names": "、".join(dict.fromkeys(line.name or letter.prefix for line in contact.lines)),
    }
