"""`idp legacy entry …` (R64, R90)."""

from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import delete, select

from idp.accounts import directory, roles
from idp.accounts.models import Account, AccountRole
from idp.app import ACTS
from idp.audit.models import AuditEvent
from idp.db import session, transaction
from idp.errors import Refusal
from idp.legacy.models import LegacyEntryEnd, LegacyRow
from idp.second_person import rules as second_person
from idp.second_person.models import SecondPersonRequest
from tests.command_line import OPERATED, Said, idp
from tests.fakes import START, FakeClock
from tests.legacy.dumps import OTHER_CODE, OTHER_KEY, row, take, write
from tests.legacy.old_users import NAME, furnish, log_in, merge, old_user, set_used

BEIJING = ("--username", NAME)


@pytest.fixture
def entry(office: Flask, tmp_path: Path) -> Flask:
    furnish(office, tmp_path)
    return office


def entry_(app: Flask, command: str, *words: object, system: str = "export") -> Said:
    operated = () if command == "show" else OPERATED
    return idp(app, "legacy", "entry", command, "--system", system, *words, *operated)


def events() -> list[tuple[str, str]]:
    session.rollback()
    found = session.scalars(select(AuditEvent).where(AuditEvent.event.in_([f"legacy.entry.{word}" for word in ("extended", "closed", "reset")])))
    return [(event.event.rpartition(".")[2], event.operator) for event in found]


def officer(name: str, role: str, region: str = "") -> Account:
    account = Account(sub=name, user_class=roles.OFFICER_CLASS, created_at=START, updated_at=START)
    directory.add_name(account, name, canonical=True)
    session.add(account)
    session.flush()
    roles.give(account, role, region, "wang", START)
    return account


def test_how_it_stands_is_shown(entry: Flask) -> None:
    set_used(3)
    assert entry_(entry, "show", *BEIJING).out == "export: beijing · e-key EK0001 · account 1 · open · 7 left · 3 of 10 used · last day –\n"
    assert entry_(entry, "show", *BEIJING, system="import").out.count("not counted now") == 1
    assert entry_(entry, "show").out.splitlines() == [
        "export: open · last day – · 10 log-ins for each old user",
        "1 old users logged in 3 times since it counts · 0 have none left · cut over 2026-03-02",
    ]
    assert events() == []


@pytest.mark.requirement("R64")
def test_further_log_ins_for_one_and_for_all(entry: Flask, tmp_path: Path) -> None:
    take(entry, write(tmp_path, row("other", key=OTHER_KEY)))
    merge(entry)
    set_used(10)
    assert log_in(entry).page.status_code == 403
    assert "2 left · 10 of 12 used" in entry_(entry, "extend", *BEIJING, "--logins", 2).out
    assert "登录 1 次" in log_in(entry).text
    assert entry_(entry, "extend", "--logins", 5).code == 0
    assert (old_user().entry_extra, old_user(name="other").entry_extra, old_user("import").entry_extra) == (7, 5, 0)
    assert events() == [("extended", "tester")] * 2


@pytest.mark.store
@pytest.mark.requirement("R64")
def test_closed_and_extended_for_a_whole_system(entry: Flask, clock: FakeClock) -> None:
    assert "last day" in entry_(entry, "extend", "--until", "2026-06-30").err  # there is none to move
    assert "over · last day 2026-03-01" in entry_(entry, "close").out
    assert log_in_page(entry) == 403
    assert "later than" in entry_(entry, "extend", "--until", "2026-02-28").err
    assert entry_(entry, "extend", *BEIJING, "--until", "2026-03-03").code == 0
    assert log_in(entry).at.endswith("/entered")
    assert entry_(entry, "extend", "--until", "2026-03-05").code == 0
    # whatever was granted to single ones
    assert entry_(entry, "close", "--from", "2026-03-03").code == 0
    clock.advance(days=1)
    assert log_in_page(entry) == 403
    assert old_user().entry_until is None
    assert "ends before" in entry_(entry, "close", "--from", "2026-03-10").err
    session.rollback()
    assert str(session.get_one(LegacyEntryEnd, "export", populate_existing=True).last_day) == "2026-03-02"
    assert [word for word, _ in events()] == ["closed", "extended", "extended", "closed"]


def log_in_page(app: Flask) -> int:
    return app.test_client().get("/legacy/export").status_code


@pytest.mark.requirement("R64")
def test_closed_for_one_user_stays_so_when_the_system_is_extended(entry: Flask) -> None:
    assert "closed: its last day is over" in entry_(entry, "close", *BEIJING).out
    assert log_in(entry).page.status_code == 403
    assert "ends before" in entry_(entry, "close", *BEIJING, "--from", "2027-01-01").err
    with transaction():
        session.add(LegacyEntryEnd(system="export", last_day=START.date(), since=START))
    assert entry_(entry, "extend", "--until", "2026-12-31").code == 0
    assert log_in(entry).page.status_code == 403
    assert entry_(entry, "extend", *BEIJING, "--until", "2026-12-31").code == 0
    assert log_in(entry).at.endswith("/entered")


@pytest.mark.store
@pytest.mark.requirement("R64")
@pytest.mark.requirement("R90")
def test_a_count_begins_anew_once_another_officer_has_confirmed_it(entry: Flask) -> None:
    set_used(10)
    filed = entry_(entry, "reset", *BEIJING)
    assert (filed.code, filed.out) == (0, "request 1 waits for an officer\n")
    assert "waits for confirmation already" in entry_(entry, "reset", *BEIJING).err
    assert (old_user().entry_logins, log_in(entry).page.status_code) == (10, 403)
    with transaction():
        stranger, desk, own = officer("zhao", "key_office"), officer("li", "service_desk"), officer("tester", "service_desk")
        elsewhere = officer("qian", "service_desk", "99")
        by_name = {"stranger": stranger.id, "elsewhere": elsewhere.id, "own": own.id}
    refused = {}
    for name, account_id in by_name.items():
        with transaction():
            refused[name] = second_person.confirm(1, account_id, ACTS, START)
    assert refused == {"stranger": Refusal("request_role"), "elsewhere": Refusal("request_role"), "own": Refusal("request_own")}
    with transaction():
        assert second_person.confirm(1, desk.id, ACTS, START) is None
    assert old_user().entry_logins == 0
    assert "登录 9 次" in log_in(entry).text
    assert [word for word, _ in events()] == ["reset"]


def test_the_request_is_shown_in_words_and_a_user_that_is_gone_is_said(entry: Flask) -> None:
    entry_(entry, "reset", *BEIJING)
    session.rollback()
    request = session.get_one(SecondPersonRequest, 1)
    assert request.subject == "export: 0441987654321 beijing"
    assert {name for name, value in request.details.items() if isinstance(value, str)} == {"enterprise", "system", "old_name"}
    with transaction():
        desk = officer("li", "security_officer").id
        session.execute(delete(LegacyRow))
    with transaction():
        assert second_person.confirm(1, desk, ACTS, START) == Refusal("legacy_row_gone")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("extend", *BEIJING), "give --until"),
        (("extend", "--username", "nobody", "--logins", "1"), "no such old user"),
        (("extend", *BEIJING, "--logins", "101"), "101"),
        (("close", *BEIJING, "--from", "2026-03-01"), "has passed"),
        (("close", *BEIJING, "--from", "0001-01-01"), "has passed"),
        (("close", *BEIJING, "--enterprise", OTHER_CODE), "no such old user"),
        (("close", *BEIJING, "--enterprise", "x\0"), "no enterprise"),
        (("close", "--enterprise", OTHER_CODE), "belongs to --username"),
        (("reset", "--username", "\x1b[31m"), "no such old user"),
    ],
)
def test_what_cannot_be_done_is_said_and_nothing_is_written(entry: Flask, words: tuple[str, ...], said: str) -> None:
    command, *rest = words
    found = entry_(entry, command, *rest)
    assert found.code != 0
    assert said in found.err
    assert events() == []


def test_who_shares_a_name_is_named_by_the_enterprise(entry: Flask, tmp_path: Path) -> None:
    take(entry, write(tmp_path, row(code=OTHER_CODE, key="")))
    assert "several enterprises" in entry_(entry, "show", *BEIJING).err
    assert "no account" in entry_(entry, "show", *BEIJING, "--enterprise", OTHER_CODE).out
    assert "no business system" in entry_(entry, "show", system="none").err


@pytest.mark.requirement("R90")
def test_who_changes_something_is_named(entry: Flask) -> None:
    for command, words in (("extend", ["--logins", "1"]), ("close", []), ("reset", list(BEIJING))):
        assert "--operator" in idp(entry, "legacy", "entry", command, "--system", "export", *words, "--reason", "trial").err
    assert session.scalars(select(AccountRole)).all() == []
    assert events() == []
