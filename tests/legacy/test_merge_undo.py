"""`idp legacy merge --undo`: two persons, batch by batch; what somebody has acted upon since stays whole."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import select

from idp.accounts import directory
from idp.accounts.models import Account, AccountKey, AccountLink, FormerPassword, InitialPassword
from idp.app import HOOKS
from idp.audit.models import AuditEvent
from idp.db import session, transaction
from idp.entitlements.models import Entitlement
from idp.errors import Refusal
from idp.legacy import merge, undo
from idp.legacy.models import LegacyAccountChange, LegacyBatch, LegacyRow, LegacyRun
from idp.sessions import lifecycle
from idp.sessions.models import Session
from tests.command_line import OPERATED, idp
from tests.fakes import START, FakeClock
from tests.legacy.dumps import CODE, KEY, OTHER_CODE, OTHER_KEY, registers, row, snapshot, take, write
from tests.legacy.taking_back import TRACES, ask, batches, confirm, meaning, newest_run, officer, take_back

pytestmark = pytest.mark.slow
APPLY = ("legacy", "merge", "--apply", "--unprobed", *OPERATED)


@pytest.fixture
def ready(office: Flask, tmp_path: Path) -> Flask:
    """An account of two old users on one key, one without key, and one of another enterprise."""
    registers(("export", "import", "dual_use"))
    take(office, write(tmp_path, row(), row(name="alone", key=""), row(name="far", code=OTHER_CODE, key="")))
    take(office, write(tmp_path, row("shanghai", "Import2018pass", mobile="13800000002")), "import")
    return office


@pytest.fixture
def li(ready: Flask) -> int:
    return officer()


@pytest.fixture
def merged(ready: Flask, li: int) -> Flask:
    assert idp(ready, *APPLY).code == 0
    return ready


def account(name: str = "beijing") -> Account:
    session.rollback()
    return session.scalars(select(Account).where(Account.id == _owner(name)), execution_options={"populate_existing": True}).one()


def _owner(name: str) -> int:
    return session.scalars(select(LegacyRow.account_id).where(LegacyRow.username == name).distinct()).one() or 0


def change(name: str, what: Callable[[Account], object]) -> None:
    with transaction():
        what(session.get_one(Account, _owner(name)))


# --- as it was ------------------------------------------------------------------------------------------------------------------------------


@pytest.mark.store
@pytest.mark.requirement("R62")
def test_a_merge_taken_back_leaves_everything_as_it_was(ready: Flask, li: int) -> None:
    before = snapshot(*TRACES)
    assert idp(ready, *APPLY).out == "3 made · 0 joined · 0 updated\n"
    assert snapshot(*TRACES) != before
    said = take_back(ready, li, newest_run())
    assert (said.code, said.out) == (0, "3 removed · 0 as before · 0 stay\n")
    assert snapshot(*TRACES) == before
    done = session.scalars(select(AuditEvent).where(AuditEvent.event == "legacy.merge.undone")).one()
    assert (done.operator, done.detail["removed"], done.detail["stayed"]) == ("tester", 3, 0)
    assert len(session.scalars(select(AuditEvent).where(AuditEvent.event == "legacy.unmerged")).all()) == 3
    assert session.scalars(select(LegacyRun.undone_at).where(LegacyRun.kind == "merge")).one() is not None


@pytest.mark.requirement("D11")
def test_merged_again_it_is_the_same_under_a_sub_that_nobody_had(merged: Flask, li: int) -> None:
    before, subs = meaning(), set(session.scalars(select(Account.sub)))
    take_back(merged, li, newest_run())
    assert idp(merged, *APPLY).out == "3 made · 0 joined · 0 updated\n"
    assert meaning() == before
    assert len(set(session.scalars(select(Account.sub))) & subs) == 1  # the officer's


@pytest.mark.store
def test_accounts_that_a_batch_joined_or_brought_up_to_date_are_as_before_it(merged: Flask, li: int, tmp_path: Path, clock: FakeClock) -> None:
    before = snapshot(*TRACES, "legacy_rows", "accounts", "former_passwords", "legacy_row_changes")
    state = meaning()
    later = write(tmp_path, row("third", "Third2018pass", mobile="13800000003"), row("alone", key="", status="0"))
    clock.advance(days=1)
    take(merged, later, as_of="2018-08-30")
    assert idp(merged, *APPLY).out == "0 made · 1 joined · 1 updated\n"
    assert account("alone").status == "disabled"
    said = take_back(merged, li, newest_run())
    assert (said.code, said.out) == (0, "0 removed · 2 as before · 0 stay\n")
    assert snapshot(*TRACES, "legacy_rows", "accounts", "former_passwords", "legacy_row_changes") == before
    assert idp(merged, "legacy", "import", "--undo", max(session.scalars(select(LegacyRow.run_id))), *OPERATED).code == 0
    assert meaning() == state
    # what was given before the undoing is over, whatever was as it had been
    assert account("alone").epoch == 3


# --- two persons ----------------------------------------------------------------------------------------------------------------------------


@pytest.mark.requirement("R90")
def test_nothing_is_taken_back_until_an_officer_for_all_regions_confirms_and_only_once(merged: Flask, li: int) -> None:
    before = snapshot(*TRACES)
    run = newest_run()
    assert ask(merged, run).out.startswith("request 1 waits for an officer")
    assert "the same waits for confirmation already" in ask(merged, run).err
    for name, role, region in (("zhao", "service_desk", ""), ("qian", "security_officer", "31")):
        assert confirm(officer(name, role, region)) == Refusal("request_role")
    assert snapshot(*TRACES)["legacy_rows"] == before["legacy_rows"]
    assert confirm(li) is None
    assert snapshot(*TRACES)["legacy_rows"] == before["legacy_rows"]
    assert ask(merged, run).out == "3 removed · 0 as before · 0 stay\n"
    said = ask(merged, run)
    assert (said.code, "it is taken back already" in said.err) == (1, True)


@pytest.mark.requirement("R90")
def test_what_stayed_wants_a_new_confirmation(merged: Flask, li: int) -> None:
    change("beijing", lambda found: setattr(found, "contacts_given_at", START))
    assert take_back(merged, li, newest_run()).out == "2 removed · 0 as before · 1 stay\n"
    change("beijing", lambda found: setattr(found, "contacts_given_at", None))
    assert ask(merged, newest_run()).out.startswith("request 2 waits")
    assert confirm(li) is None
    assert ask(merged, newest_run()).out == "1 removed · 0 as before · 0 stay\n"


@pytest.mark.parametrize("what", ["run:99", "batch:99", "run:1", "5000000000", "x", "batch:", "run:-1", "row:1", "batch:²"])
def test_what_is_no_merge_is_refused(merged: Flask, what: str) -> None:
    """Run 1 is an import."""
    before = snapshot()
    said = ask(merged, what)
    assert (said.code, "--undo" in said.err) == (1, True)
    assert snapshot() == before


# --- what stays -----------------------------------------------------------------------------------------------------------------------------


def _link(found: Account) -> None:
    mine = _owner("alone")
    session.add(AccountLink(account_id=mine, linked_id=found.id, how="password", moved={}, at=START, undo_until=START, undone_at=None))


def _initial(found: Account) -> None:
    session.add(InitialPassword(account_id=found.id, serial=KEY, password_hash="x", expires_at=START))


def _approve(found: Account) -> None:
    session.add(Entitlement(account_id=found.id, system="mech_electrical", state="approved", since=START + timedelta(days=1)))


@pytest.mark.requirement("R62")
@pytest.mark.parametrize(
    ("act", "why"),
    [
        (lambda found: setattr(found, "password_hash", "x"), "its person has set a password"),
        (_link, "it is linked"),
        (lambda found: setattr(found, "status", "disabled"), "has changed it since"),
        (lambda found: session.add(AccountKey(serial=OTHER_KEY, account_id=found.id)), "has changed it since"),
        (lambda found: session.query(AccountKey).filter_by(account_id=found.id).delete(), "has changed it since"),
        (lambda found: directory.add_name(found, "own name"), "has changed it since"),
        (_initial, "has changed it since"),
        (_approve, "has changed it since"),
    ],
)
def test_an_account_that_somebody_has_acted_upon_stays_whole_and_is_named(merged: Flask, li: int, act: Callable[[Account], object], why: str) -> None:
    change("beijing", act)
    before = [each for each in snapshot()["accounts"] if each[0] == _owner("beijing")]
    said = take_back(merged, li, newest_run())
    assert said.code == 3
    assert any(line.startswith(f"account {_owner('beijing')} {CODE}-") and why in line for line in said.lines), said.err
    assert [each for each in snapshot()["accounts"] if each[0] == _owner("beijing")] == before
    assert session.scalars(select(FormerPassword).where(FormerPassword.account_id == _owner("beijing"))).all()
    assert _owner("far") == 0


def test_batches_go_the_newest_first(merged: Flask, li: int, tmp_path: Path) -> None:
    take(merged, write(tmp_path, row("third")), as_of="2018-08-30")
    idp(merged, *APPLY)
    first, second = batches()
    said = take_back(merged, li, f"batch:{first}")
    assert (said.code, said.out) == (3, "2 removed · 0 as before · 1 stay\n")
    assert "take that one back first" in said.err
    assert take_back(merged, li, f"batch:{second}").out == "0 removed · 1 as before · 0 stay\n"
    assert take_back(merged, li, f"batch:{first}").out == "1 removed · 0 as before · 0 stay\n"
    assert session.scalars(select(LegacyAccountChange)).all() == []


def test_a_run_of_several_batches_goes_as_a_whole(ready: Flask, li: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merge, "ENTERPRISES_A_BATCH", 1)
    before = snapshot(*TRACES)
    idp(ready, *APPLY)
    assert len(batches()) == 2
    assert take_back(ready, li, newest_run()).out == "3 removed · 0 as before · 0 stay\n"
    assert snapshot(*TRACES) == before
    assert idp(ready, "legacy", "runs", newest_run().removeprefix("run:")).out.count("taken back") == 3


# --- who is told ----------------------------------------------------------------------------------------------------------------------------


@pytest.mark.requirement("R64")
@pytest.mark.spec("protocol.md", "what ends a grant")
def test_sessions_end_and_business_systems_are_told_while_the_accounts_still_stand(merged: Flask, li: int) -> None:
    told: list[tuple[int, bool]] = []
    ended: list[str | None] = []

    def taken_back(account_ids: object, now: datetime) -> None:
        assert isinstance(account_ids, list)
        told.extend((number, session.get(Account, number) is not None) for number in account_ids)

    hooks = replace(HOOKS, accounts_taken_back=taken_back, session_ended=lambda row, _now: ended.append(row.only_system))
    mine = _owner("beijing")
    with transaction():
        lifecycle.start(mine, 1, {"password": START}, START, 3600)
        lifecycle.start(mine, 1, {"password": START}, START, 3600, only_system="export")
    ask(merged, newest_run())
    assert confirm(li) is None
    [batch] = batches()
    with transaction():
        undone = undo.take_back(batch, hooks, START)
    assert (undone.removed, undone.stayed) == (3, [])
    assert (mine, True) in told
    assert len(told) == 3
    assert set(ended) == {None, "export"}
    assert session.scalars(select(Session).where(Session.account_id == mine, Session.ended_at.is_(None))).all() == []


def test_an_order_that_was_not_given_does_nothing(merged: Flask) -> None:
    before = snapshot()
    [batch] = batches()
    with transaction():
        assert undo.take_back(batch, HOOKS, START) == undo.Undone()
    assert snapshot() == before
    assert session.scalars(select(LegacyBatch.undo_ordered_at)).all() == [None]
