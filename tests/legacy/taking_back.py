"""Taking a merge back as an operator and an officer do it together."""

from flask import Flask
from sqlalchemy import delete, select

from idp.accounts import directory, roles
from idp.accounts.models import Account, AccountName, FormerPassword
from idp.app import ACTS
from idp.db import session, transaction
from idp.enterprises.models import Enterprise
from idp.errors import Refusal
from idp.legacy.models import LegacyBatch, LegacyRow, LegacyRowChange, LegacyRun
from idp.second_person import rules as second_person
from idp.second_person.models import SecondPersonRequest
from tests.command_line import OPERATED, Said, idp
from tests.fakes import START

# what a merge and its undoing leave behind on purpose: who did what when; and the numbers by which an import is told from the merge's own work
TRACES = ("audit_events", "legacy_runs", "legacy_batches", "second_person_requests", "accounts_of_officers")


def officer(name: str = "li", role: str = "security_officer", region: str = "") -> int:
    """The account of an officer."""
    with transaction():
        account = Account(sub=name, user_class=roles.OFFICER_CLASS, created_at=START, updated_at=START)
        directory.add_name(account, name, canonical=True)
        session.add(account)
        session.flush()
        roles.give(account, role, region, "wang", START)
        return account.id


def ask(app: Flask, what: str) -> Said:
    return idp(app, "legacy", "merge", "--undo", what, *OPERATED)


def confirm(by: int) -> Refusal | None:
    """Let this officer confirm what waits."""
    session.rollback()
    number = session.scalars(select(SecondPersonRequest.id).where(SecondPersonRequest.state == "open")).one()
    with transaction():
        return second_person.confirm(number, by, ACTS, START)


def take_back(app: Flask, by: int, what: str) -> Said:
    """File, confirm, do; what the last said."""
    assert "waits for an officer" in ask(app, what).out
    assert confirm(by) is None
    return ask(app, what)


def newest_run() -> str:
    session.rollback()
    return f"run:{max(session.scalars(select(LegacyRun.id).where(LegacyRun.kind == 'merge')))}"


def batches() -> list[int]:
    session.rollback()
    return list(session.scalars(select(LegacyBatch.id).order_by(LegacyBatch.id)))


def forget() -> None:
    """No old users, and no accounts of theirs."""
    with transaction():
        for table in (LegacyRowChange, LegacyRow, FormerPassword, LegacyBatch, LegacyRun):
            session.execute(delete(table))
        session.execute(delete(Account).where(Account.enterprise_id.is_not(None)))


def meaning() -> dict[str, object]:
    """Accounts and old users told by names and codes, not by numbers: equal for two databases in which people find the same."""
    session.rollback()
    firms = dict(session.execute(select(Enterprise.id, Enterprise.code)).all())
    found: dict[str, object] = {}
    for account in session.scalars(select(Account).where(Account.enterprise_id.is_not(None)), execution_options={"populate_existing": True}):
        rows = session.scalars(select(LegacyRow).where(LegacyRow.account_id == account.id)).all()
        hashes = select(FormerPassword.system, FormerPassword.enabled, FormerPassword.replaced).where(FormerPassword.account_id == account.id)
        own = session.scalars(select(AccountName).where(AccountName.account_id == account.id)).all()
        key = f"{firms[account.enterprise_id or 0]} {sorted((row.system, row.username_key, row.key_serial) for row in rows)}"
        found[key] = (
            (account.status, account.user_class, account.mobile, account.email),
            sorted((name.name, name.canonical, name.system or "", name.local_name or "") for name in own),
            sorted(link.serial for link in account.keys),
            sorted(tuple(each) for each in session.execute(hashes)),
            _side("entitlements", account.id),
            _side("imported_contacts", account.id),
        )
    return found


def _side(table: str, account_id: int) -> list[tuple[object, ...]]:
    columns = [column for column in Account.metadata.tables[table].columns if column.name not in ("account_id", "since")]
    where = Account.metadata.tables[table].c.account_id == account_id
    return sorted(tuple(row) for row in session.execute(select(*columns).where(where)))
