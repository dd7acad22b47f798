"""Lost and damaged keys: reports on the account's page and in public, receipts, what holds after them (R68)."""

import random
import re
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import select

from idp import app as wiring
from idp.accounts import channels
from idp.accounts import notices as account_notices
from idp.accounts.models import Account, AccountKey
from idp.audit.models import AuditEvent
from idp.db import session, transaction
from idp.ekey import binding, notices, withdrawal
from idp.ekey.leaf import Identity
from idp.ekey.refusal import Refused
from idp.entitlements import rules, systems
from idp.entitlements.rules import Right
from idp.key_register import reports
from idp.key_register.models import EKey, EKeyReport
from idp.outbox.models import OutboxItem
from idp.second_person import rules as second_person
from idp.second_person.models import SecondPersonRequest
from idp.sessions import lifecycle
from idp.sessions.models import Session
from idp.settings import Settings
from idp.worker import deliver, run_once
from tests import people
from tests.command_line import idp
from tests.fakes import START, FakeClock, LetterBox
from tests.officers.staff import officer
from tests.people import NAME
from tests.person import Person

SERIAL, PASSWORD, TODAY = "EK76DA6FAE991C57", "Strong1Passw0rd", date(2026, 3, 2)
BY = ("--operator", "zhang", "--reason", "stolen")
MOBILE = "+8613800138000"
FOLLOW = withdrawal.Follow(lambda _id, _now: None, lambda _row, _now: None)


@pytest.fixture
def owner(app: Flask) -> int:
    """An account with one live key and a proven mobile number."""
    with app.app_context(), transaction():
        systems.load()
        row = people.account(people.enterprise(), [NAME], user_class=3)
        people.former(row, PASSWORD)
        people.key(row, ["export"], SERIAL)
        row.contacts_given_at, row.mobile, row.mobile_proven_at = START, MOBILE, START
        session.flush()
        return row.id


def say(app: Flask, word: str, serial: str = SERIAL, days: int = 15) -> EKeyReport:
    with app.app_context(), transaction():
        return withdrawal.report(serial, word, "officer", days, FOLLOW, START, TODAY)


def rights(app: Flask, account_id: int, today: date = TODAY) -> list[Right]:
    with app.app_context():
        return rules.rights(account_id, today)


def read_code(app: Flask, box: LetterBox) -> str:
    adapters = app.extensions["idp"].adapters
    deliver(app, wiring.handlers(adapters, app.extensions["idp"].settings, app.extensions["idp"].secret))
    return str(re.findall(r"\d{6}", [text for _, text in box.texts if "验证码" in text][-1])[0])


def live_sessions(app: Flask) -> list[Session]:
    with app.app_context():
        return list(session.scalars(select(Session).where(Session.ended_at.is_(None))))


def said(app: Flask) -> list[EKeyReport]:
    with app.app_context():
        return list(session.scalars(select(EKeyReport).order_by(EKeyReport.at, EKeyReport.number)))


def type_code(person: Person, app: Flask, box: LetterBox, channel: str = "mobile") -> None:
    """Send one and type it."""
    assert person.at.endswith("/code"), person.at
    person.submit(channel=channel, action="send")
    person.submit(code=read_code(app, box))


# --- rights and proofs ----------------------------------------------------------------------------------------------------------------------


@pytest.mark.store
@pytest.mark.requirement("R68")
@pytest.mark.parametrize("word", ["lost", "withdrawn", "replaced"])
def test_a_dead_key_gives_no_right_at_once_and_no_list_brings_it_back(app: Flask, owner: int, word: str) -> None:
    assert rights(app, owner) == [Right("export", None)]
    say(app, word)
    assert rights(app, owner) == [Right("export", f"key_{word}")]
    with app.app_context(), transaction():
        session.get_one(EKey, SERIAL).status = "active"
        assert not withdrawal.lift(SERIAL, START)
        assert binding.dead(session.get_one(EKey, SERIAL), TODAY) == f"key_{word}"
    assert rights(app, owner) == [Right("export", f"key_{word}")]


@pytest.mark.requirement("R68")
def test_withdrawing_by_command_takes_the_licences_too(app: Flask, owner: int) -> None:
    assert idp(app, "ekey", "withdraw", SERIAL, *BY).code == 0
    assert rights(app, owner) == [Right("export", None)], "another officer confirms first"
    with app.app_context(), transaction():
        (number,) = session.scalars(select(SecondPersonRequest.id))
        assert second_person.confirm(number, officer("wang", "key_office").id, wiring.ACTS, START) is None
    assert rights(app, owner) == [Right("export", "key_withdrawn")]


@pytest.mark.store
@pytest.mark.requirement("R68")
def test_a_damaged_key_proves_nothing_and_its_rights_stay_for_some_days(app: Flask, owner: int) -> None:
    say(app, "damaged")
    with app.app_context():
        assert binding.dead(session.get_one(EKey, SERIAL), TODAY) == "key_damaged"
        assert rules.asks_code(owner, TODAY)
        assert not rules.asks_code(owner, TODAY + timedelta(days=16))
    assert rights(app, owner, TODAY + timedelta(days=15)) == [Right("export", None)]
    assert rights(app, owner, TODAY + timedelta(days=16)) == [Right("export", "key_damaged")]
    with app.app_context(), transaction():
        assert withdrawal.lift(SERIAL, START)
        assert not withdrawal.lift(SERIAL, START)
    assert rights(app, owner, TODAY + timedelta(days=16)) == [Right("export", None)]


@pytest.mark.requirement("R68")
@pytest.mark.parametrize("when", ["before", "after"])
def test_without_a_proven_contact_a_damaged_keys_rights_are_closed(app: Flask, owner: int, when: str) -> None:
    """A contact that is proven only afterwards opens nothing: the password alone may have proven it."""
    with app.app_context(), transaction():
        session.get_one(Account, owner).mobile_proven_at = None if when == "before" else START
    say(app, "damaged")
    with app.app_context(), transaction():
        session.get_one(Account, owner).mobile_proven_at = START if when == "before" else None
    assert rights(app, owner) == [Right("export", "key_damaged_closed")]
    with app.app_context():
        assert not rules.asks_code(owner, TODAY)


def test_the_last_word_is_the_stronger_one_and_one_counts(app: Flask, owner: int) -> None:
    first = say(app, "damaged")
    assert say(app, "damaged").number == first.number
    lost = say(app, "lost")
    assert lost.number != first.number
    assert say(app, "damaged").number == say(app, "withdrawn").number == lost.number
    assert [row.number for row in said(app) if row.ended_at is None] == [lost.number]


@pytest.mark.requirement("R68")
@pytest.mark.parametrize("seed", range(8))
def test_lost_never_gives_a_right_in_any_order(app: Flask, owner: int, seed: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    file = tmp_path_factory.mktemp("list") / "keys.csv"
    file.write_text(
        f"serial,enterprise_code,holder,licences,issued,expires,status\n{SERIAL},{people.CODE},,export,2017-01-01,2037-01-01,active\n",
        encoding="utf-8",
    )
    card = Identity(NAME, SERIAL, people.CODE, "i" * 64, "s" * 64, "f" * 64, START + timedelta(days=365), "h" * 64)

    def bind() -> None:
        with app.app_context(), transaction():
            binding.bind_first_use(card, owner, START, TODAY)

    def lift() -> None:
        with app.app_context(), transaction():
            withdrawal.lift(SERIAL, START)

    steps = [lambda: say(app, "damaged"), lambda: idp(app, "ekey", "import", file, *BY), bind, lift, lambda: say(app, "replaced"), bind]
    random.Random(seed).shuffle(steps)  # noqa: S311  # an order, no secret
    cut = seed % len(steps)
    for step in steps[:cut]:
        step()
    say(app, "lost")
    for step in steps[cut:]:
        step()
        assert [right.open for right in rights(app, owner)] == [False]
        with app.app_context():
            assert isinstance(binding.find(card, TODAY, owner), Refused)


# --- renewal and number ---------------------------------------------------------------------------------------------------------------------


def identity(serial: str, letter: str, days: int) -> Identity:
    return Identity(NAME, serial, people.CODE, "i" * 64, letter * 64, "f" * 64, START + timedelta(days=days), "h" * 64)


@pytest.mark.store
@pytest.mark.requirement("R68")
def test_a_renewed_key_replaces_the_one_before(app: Flask, owner: int) -> None:
    old, new = identity(SERIAL, "s", 100), identity("EKFFFFFFFFFFFFFF", "t", 900)
    with app.app_context(), transaction():
        assert binding.bind_first_use(old, owner, START, TODAY) == binding.Bound(SERIAL, owner)
        people.key(session.get_one(Account, owner), ["export"], "EKFFFFFFFFFFFFFF")
    with app.app_context(), transaction():
        assert binding.bind_first_use(new, owner, START, TODAY) == binding.Bound("EKFFFFFFFFFFFFFF", owner)
    with app.app_context():
        assert binding.find(old, TODAY) == Refused(7, "key_replaced")
        assert binding.find(new, TODAY, owner) == binding.Bound("EKFFFFFFFFFFFFFF", owner)
    assert rights(app, owner) == [Right("export", None)]


def test_a_second_key_of_the_same_age_replaces_nothing(app: Flask, owner: int) -> None:
    with app.app_context(), transaction():
        binding.bind_first_use(identity(SERIAL, "s", 100), owner, START, TODAY)
        people.key(session.get_one(Account, owner), ["export"], "EKFFFFFFFFFFFFFF")
        binding.bind_first_use(identity("EKFFFFFFFFFFFFFF", "t", 100), owner, START, TODAY)
    assert said(app) == []


@pytest.mark.requirement("D15")
@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"issued": TODAY + timedelta(days=1)}, "key_not_yet_valid"),
        ({"expires": TODAY - timedelta(days=1)}, "key_expired"),
        ({"status": "revoked"}, "key_revoked"),
    ],
)
def test_rights_and_proofs_ask_the_same_whether_a_listed_key_counts(app: Flask, owner: int, change: dict[str, object], reason: str) -> None:
    with app.app_context(), transaction():
        key = session.get_one(EKey, SERIAL)
        for name, value in change.items():
            setattr(key, name, value)
        session.flush()
        assert binding.dead(key, TODAY) == reason
    assert rights(app, owner) == [Right("export", reason)]
    person = Person(app)
    person.type_password(NAME, PASSWORD)
    assert "locked." not in person.open("/hall/licences/export").text


@pytest.mark.requirement("R68")
def test_a_receipt_says_the_day_of_beijing_with_its_year_and_a_lost_key_has_no_days_left(app: Flask, owner: int, clock: FakeClock) -> None:
    person = Person(app)
    person.type_password(NAME, PASSWORD)
    assert "剩余" in person.open("/account/keys").text
    # the new year has begun in Beijing
    moment = datetime(2026, 12, 31, 20, 30, tzinfo=UTC)
    with app.app_context(), transaction():
        number = withdrawal.report(SERIAL, "lost", "officer", 0, FOLLOW, moment, TODAY, keep=session.scalars(select(Session.id)).one()).number
    assert "2027年1月1日 04:30" in person.open(f"/account/keys/receipts/{number}").text
    page = person.open("/account/keys").text
    assert (SERIAL in page, "剩余" in page) == (True, False)


@pytest.mark.requirement("R68")
@pytest.mark.parametrize("how", ["replaced", "withdrawn"])
def test_a_key_that_is_replaced_or_withdrawn_leaves_its_sessions_at_once_and_its_person_is_told(
    app: Flask, owner: int, how: str, letter_box: LetterBox
) -> None:
    with app.app_context(), transaction():
        binding.bind_first_use(identity(SERIAL, "s", 100), owner, START, TODAY)
        people.key(session.get_one(Account, owner), ["export"], "EKFFFFFFFFFFFFFF")
        used = lifecycle.UsedKey(SERIAL, pin=True)
        lifecycle.start(owner, 1, {"password": START, "ekey": START}, START, 3600, used)
    if how == "replaced":
        with app.app_context(), transaction():
            binding.bind_first_use(identity("EKFFFFFFFFFFFFFF", "t", 900), owner, START, TODAY)
    else:
        with app.app_context(), transaction():
            withdrawal.withdraw(SERIAL, START, app.extensions["idp"].hooks.key_lost)
    (row,) = live_sessions(app)
    assert (row.password_at, row.ekey_at, row.ekey_serial) == (START, None, None)
    with app.app_context():
        lost = session.scalars(select(AuditEvent).where(AuditEvent.event == "ekey.lost")).all()
    assert [event.detail["serial"] for event in lost] == [SERIAL]
    parts = app.extensions["idp"]
    deliver(app, wiring.handlers(parts.adapters, parts.settings, parts.secret))
    ((to, text),) = letter_box.texts
    assert (to, SERIAL in text, {"replaced": "已更换", "withdrawn": "已吊销"}[how] in text) == (MOBILE, True, True)


@pytest.mark.requirement("R68")
def test_a_new_key_ends_the_days_of_a_damaged_one(app: Flask, owner: int) -> None:
    say(app, "damaged")
    with app.app_context(), transaction():
        people.key(session.get_one(Account, owner), ["export", "import"], "EKFFFFFFFFFFFFFF")
        binding.bind_first_use(identity("EKFFFFFFFFFFFFFF", "t", 900), owner, START, TODAY)
    with app.app_context():
        assert binding.dead(session.get_one(EKey, SERIAL), TODAY) == "key_replaced"
        assert not rules.asks_code(owner, TODAY)


@pytest.mark.store
@pytest.mark.requirement("R68")
def test_the_list_is_taken_in_any_order_and_a_fourth_live_key_is_told(app: Flask, owner: int, tmp_path: Path) -> None:
    file, head = tmp_path / "keys.csv", "serial,enterprise_code,holder,licences,issued,expires,status\n"
    rows = [f"EK{letter},{people.CODE},,export,2017-01-01,2037-01-01,active\n" for letter in "ABC"]
    file.write_text(head + "".join(rows))
    told = idp(app, "ekey", "import", file, *BY)
    assert (told.code, told.out) == (0, "3 added · 0 changed · 0 unchanged · 0 rejected\n")
    assert f"keys.csv:4: enterprise_code: warning: {people.CODE} has 4 live keys now; at most 3 of them can be used" in told.err
    file.write_text(head + rows[0].replace("active", "revoked") + "".join(rows[1:]))
    for content in (head + "".join(rows[1:]) + rows[0].replace("active", "revoked"), file.read_text()):
        file.write_text(content)
        told = idp(app, "ekey", "import", file, *BY)
        assert (told.code, told.err) == (0, "")


@pytest.mark.requirement("R68")
def test_a_fourth_live_key_is_not_bound(app: Flask, owner: int) -> None:
    with app.app_context(), transaction():
        firm = session.get_one(Account, owner).enterprise
        assert firm is not None
        for number, letter in enumerate("abc"):
            other = people.account(firm, [f"{people.CODE}-{letter}"])
            people.key(other, ["export"], f"EK000000000000{number}0")
            binding.bind(identity(f"EK000000000000{number}0", letter, 100), f"EK000000000000{number}0", other.id, START)
        refused = binding.bind_first_use(identity(SERIAL, "s", 100), owner, START, TODAY)
        assert refused == Refused(7, "too_many_keys")
    say(app, "lost", "EK00000000000010")
    with app.app_context(), transaction():
        assert binding.bind_first_use(identity(SERIAL, "s", 100), owner, START, TODAY) == binding.Bound(SERIAL, owner)


# --- the pages ------------------------------------------------------------------------------------------------------------------------------


@pytest.mark.store
@pytest.mark.requirement("R68")
def test_lost_in_public_with_name_password_and_code(app: Flask, owner: int, letter_box: LetterBox) -> None:
    person = Person(app)
    person.open("/keys/report")
    assert person.at.endswith("/password")
    person.submit(username=NAME, password=PASSWORD)
    type_code(person, app, letter_box)
    assert person.at.endswith("/report")
    person.submit(serial=SERIAL, word="lost")
    (row,) = said(app)
    assert (row.word, row.how, row.account_id, row.number in person.text) == ("lost", "public", owner, True)
    assert rights(app, owner) == [Right("export", "key_lost")]
    assert live_sessions(app) == [], "a report signs nobody in"
    person.open(person.at.replace("/report", ""))
    assert row.number in person.text, "coming back shows the receipt"
    person.open("/hall")
    assert person.at.endswith("/password")
    adapters = app.extensions["idp"]
    deliver(app, wiring.handlers(adapters.adapters, adapters.settings, adapters.secret))
    assert any(row.number in text and to == MOBILE for to, text in letter_box.texts)
    assert person.type_password(NAME, PASSWORD).status_code == 200
    assert person.at == "/hall", "a lost key asks for no code"
    person.open(f"/account/keys/receipts/{row.number}")
    assert person.page.status_code == 200
    assert SERIAL in person.text


@pytest.mark.requirement("R68")
@pytest.mark.requirement("R61")
def test_a_wrong_password_and_an_unknown_name_are_answered_as_at_the_sign_in(app: Flask, owner: int) -> None:
    answers = []
    for path, name in (("/keys/report", NAME), ("/keys/report", "nobody-at-all"), ("/loginCorp.html", NAME)):
        person = Person(app)
        person.open(path)
        person.submit(username=name, password="Wrong-1-password")
        summary = person.text.split('id="error-summary"')[1].split("</ul>")[0]
        answers.append((person.page.status_code, summary))
    assert len(set(answers)) == 1
    assert said(app) == []


def test_no_step_of_a_report_can_be_left_out(app: Flask, owner: int, letter_box: LetterBox) -> None:
    person = Person(app)
    person.open("/keys/report")
    person.submit(username=NAME, password=PASSWORD)
    base = person.at.removesuffix("/code")
    token = person.form().fields["csrf_token"]
    person.client.post(f"{base}/report", data={"csrf_token": token, "serial": SERIAL, "word": "lost"})
    assert said(app) == []
    person.submit(channel="mobile", action="send")
    right = read_code(app, letter_box)
    for wrong in ("", "000000" if right != "000000" else "111111"):
        assert person.submit(code=wrong).status_code == 422
    person.client.post(f"{base}/report", data={"csrf_token": token, "serial": SERIAL, "word": "lost"})
    assert said(app) == []
    person.submit(code=right)
    for serial, word in ((SERIAL, "withdrawn"), ("EK0000000000000A", "lost"), ("", "")):
        assert person.submit(serial=serial, word=word).status_code == 422
    assert said(app) == []


@pytest.mark.requirement("R68")
def test_a_contact_that_was_only_given_is_enough_for_lost_but_not_for_damaged(app: Flask, owner: int, letter_box: LetterBox) -> None:
    with app.app_context(), transaction():
        session.get_one(Account, owner).mobile_proven_at = None
    person = Person(app)
    person.open("/keys/report")
    person.submit(username=NAME, password=PASSWORD)
    type_code(person, app, letter_box)
    assert 'value="damaged"' not in person.text
    assert person.submit(serial=SERIAL, word="damaged").status_code == 422
    person.submit(serial=SERIAL, word="lost")
    assert [row.word for row in said(app)] == ["lost"]


def test_without_any_contact_the_public_page_sends_to_the_telephone(app: Flask, owner: int) -> None:
    with app.app_context(), transaction():
        session.get_one(Account, owner).mobile = None
    person = Person(app)
    person.open("/keys/report")
    person.submit(username=NAME, password=PASSWORD)
    assert person.at.endswith("/code")
    assert "不能在此办理" in person.text


@pytest.mark.requirement("R68")
def test_anothers_session_spares_nobody_the_code(app: Flask, owner: int) -> None:
    """Who is signed in as themselves begins a report and types another person's name and password."""
    mine = "EKAAAAAAAAAAAAAA"
    with app.app_context(), transaction():
        victim = session.get_one(Account, owner)
        victim.mobile = victim.mobile_proven_at = None
        me = people.account(people.firm(victim), [f"{people.CODE}-other"], user_class=3)
        people.former(me, "Another2Passw0rd")
        people.key(me, ["export"], mine)
        me.mobile_proven_at = START
    person = Person(app)
    person.type_password(f"{people.CODE}-other", "Another2Passw0rd")
    assert person.at == "/hall"
    person.open("/account/keys")
    begun = {"csrf_token": person.text.split('name="csrf_token" value="', 1)[1].split('"', 1)[0], "serial": mine, "word": "lost"}
    person.page = person.client.post("/account/keys/report", data=begun, follow_redirects=True)
    person.submit(username=NAME, password=PASSWORD)
    assert person.at.endswith("/code")
    person.client.post(person.at.replace("/code", "/report"), data=begun | {"serial": SERIAL})
    assert said(app) == []


@pytest.mark.requirement("R68")
@pytest.mark.requirement("R75")
def test_damaged_on_the_accounts_page_then_each_sign_in_asks_for_a_code(app: Flask, owner: int, letter_box: LetterBox, clock: FakeClock) -> None:
    elsewhere, person = Person(app), Person(app)
    for each in (elsewhere, person):
        each.type_password(NAME, PASSWORD)
        assert each.at == "/hall"
    person.open("/account/keys")
    assert SERIAL in person.text
    fields = {"csrf_token": person.form().fields["csrf_token"], "serial": SERIAL, "word": "damaged"}
    person.page = person.client.post("/account/keys/report", data=fields, follow_redirects=True)
    assert person.at.endswith("/password"), "the password again"
    person.submit(password=PASSWORD)
    type_code(person, app, letter_box)
    person.submit()
    (row,) = said(app)
    assert (row.word, row.how, row.rights_until) == ("damaged", "account", TODAY + timedelta(days=15))
    assert len(live_sessions(app)) == 1, "the others ended"
    person.open("/account/keys")
    assert (person.at, row.number in person.text) == ("/account/keys", True)
    elsewhere.open("/hall")
    assert elsewhere.at.endswith("/password")
    clock.advance(seconds=120)
    elsewhere.submit(username=NAME, password=PASSWORD)
    assert elsewhere.at.endswith("/code")
    elsewhere.open("/hall")
    assert elsewhere.at.endswith("/password"), "not to be skipped"
    elsewhere.submit(username=NAME, password=PASSWORD)
    type_code(elsewhere, app, letter_box)
    assert elsewhere.at == "/hall"


@pytest.mark.requirement("R68")
def test_a_sign_in_under_way_at_the_report_does_not_slip_through(app: Flask, owner: int, letter_box: LetterBox) -> None:
    with app.app_context(), transaction():
        session.get_one(Account, owner).contacts_given_at = session.get_one(Account, owner).mobile_proven_at = None
        session.get_one(Account, owner).email, session.get_one(Account, owner).email_proven_at = None, None
    person = Person(app)
    person.type_password(NAME, PASSWORD)
    assert person.at.endswith("/contacts")
    with app.app_context(), transaction():
        session.get_one(Account, owner).mobile_proven_at = START
    say(app, "damaged")
    person.submit(action="later")
    assert person.at.endswith("/code")
    assert live_sessions(app) == []


@pytest.mark.requirement("R68")
def test_the_session_that_reports_its_own_key_stays_without_it(app: Flask, owner: int) -> None:
    with app.app_context(), transaction():
        key = lifecycle.UsedKey(SERIAL, pin=True)
        row, _ = lifecycle.start(owner, 1, dict.fromkeys(("password", "ekey"), START), START, 3600, key)
        number = row.id
        withdrawal.report(SERIAL, "lost", "account", 15, FOLLOW, START, TODAY, keep=number)
    assert [(each.id, each.ekey_at, each.ekey_serial) for each in live_sessions(app)] == [(number, None, None)]


def test_receipts_are_for_their_owner(app: Flask, owner: int) -> None:
    number = say(app, "lost").number
    with app.app_context(), transaction():
        other = people.account(people.enterprise("0100123456785"), ["0100123456785-x"], user_class=3)
        people.former(other, PASSWORD)
        other.mobile, other.mobile_proven_at = "+8613900139000", START
    person = Person(app)
    person.type_password("0100123456785-x", PASSWORD)
    assert person.at == "/hall", person.text
    for path in (number, "x", "%00", "é"):
        assert person.open(f"/account/keys/receipts/{path}").status_code == 404
    person.open("/account/keys")
    found = re.search(r'name="csrf_token" value="([^"]+)"', person.text)
    fields = {"csrf_token": found[1] if found else "", "serial": SERIAL, "word": "lost"}
    assert person.client.post("/account/keys/report", data=fields).location == "/account/keys"


# --- warnings -------------------------------------------------------------------------------------------------------------------------------


@pytest.mark.store
@pytest.mark.requirement("R68")
def test_the_end_of_a_key_is_announced_three_times_once_each(app: Flask, owner: int, clock: FakeClock, letter_box: LetterBox) -> None:
    with app.app_context(), transaction():
        session.get_one(EKey, SERIAL).expires = TODAY + timedelta(days=100)
    told: list[date] = []
    for _ in range(102):
        assert run_once(app, [wiring.warn_of_ending_keys, wiring.warn_of_ending_keys]) == 0
        with app.app_context():
            items = session.scalars(select(OutboxItem).where(OutboxItem.kind == account_notices.NOTICE)).all()
            told += [clock.now().date()] * (len(items) - len(told))
        clock.advance(days=1)
    assert [(TODAY + timedelta(days=100) - day).days for day in told] == [60, 30, 7]


@pytest.mark.requirement("R68")
def test_a_lost_key_is_not_announced_and_the_hall_says_when_one_ends(app: Flask, owner: int) -> None:
    with app.app_context(), transaction():
        session.get_one(EKey, SERIAL).expires = TODAY + timedelta(days=20)
    person = Person(app)
    person.type_password(NAME, PASSWORD)
    assert "2026-03-22" in person.text
    say(app, "lost")
    with app.app_context(), transaction():
        before = len(session.scalars(select(OutboxItem)).all())
        notices.warn(START, TODAY)
        assert len(session.scalars(select(OutboxItem)).all()) == before


def test_a_report_is_in_the_audit(app: Flask, owner: int) -> None:
    row = say(app, "lost")
    say(app, "lost")
    with app.app_context():
        events = session.scalars(select(AuditEvent).where(AuditEvent.event == "ekey.reported")).all()
    assert [event.detail for event in events] == [{"serial": SERIAL, "word": "lost", "how": "officer", "number": row.number}]


@pytest.mark.requirement("R57")
def test_without_a_gateway_a_mobile_number_is_no_way_even_if_it_was_proven(app: Flask, owner: int, monkeypatch: pytest.MonkeyPatch) -> None:
    say(app, "damaged")
    monkeypatch.setattr(Settings, "code_channels", ("email",))
    with app.app_context(), transaction():
        account = session.get_one(Account, owner)
        assert account.mobile_proven_at is not None
        assert (channels.ways(account), channels.proven(account), channels.second_proof(account)) == ([], [], False)
        assert not rules.asks_code(owner, TODAY)
        account.email, account.email_proven_at = "user@example.cn", START
        assert [way.channel for way in channels.proven(account)] == ["email"]
        assert rules.asks_code(owner, TODAY)


@pytest.mark.requirement("R57")
@pytest.mark.parametrize("mail", [False, True])
def test_where_messages_leave_by_smtp_a_report_offers_mail_alone_or_says_whom_to_call(app: Flask, owner: int, *, mail: bool) -> None:
    parts = app.extensions["idp"]
    app.extensions["idp"] = replace(parts, settings=parts.settings.model_copy(update={"delivery": "smtp"}))
    with app.app_context(), transaction():
        session.get_one(Account, owner).email = "user@example.cn" if mail else None
    person = Person(app)
    person.open("/keys/report")
    person.submit(username=NAME, password=PASSWORD)
    assert person.at.endswith("/code")
    assert 'value="mobile"' not in person.text
    if mail:
        assert person.submit(channel="mobile", action="send").status_code == 422
        assert person.submit(channel="email", action="send").status_code == 200
    else:
        said_there = person.text.split("<main")[1]
        assert "目前只能发送邮件验证码" in said_there
        assert parts.settings.service_telephone in said_there


def test_a_code_is_called_by_its_channel(app: Flask, owner: int, letter_box: LetterBox) -> None:
    person = Person(app)
    person.open("/keys/report")
    person.submit(username=NAME, password=PASSWORD)
    person.submit(channel="mobile", action="send")
    assert person.submit(channel="mobile", action="send").status_code == 422
    assert "已发出的短信验证码仍然有效" in person.text
    right = read_code(app, letter_box)
    assert "短信验证码" in letter_box.texts[-1][1]
    person.submit(code="000000" if right != "000000" else "111111")
    assert "短信验证码不正确" in person.text
    alone = re.findall(r".{4}(?<!短信)(?<!邮件)验证码", person.text.split("<main")[1])
    assert alone == [], "alone it is the captcha's name"


def test_ways_are_the_given_contacts_the_proven_first(app: Flask, owner: int) -> None:
    with app.app_context(), transaction():
        account = session.get_one(Account, owner)
        account.mobile_proven_at, account.email, account.email_proven_at = None, "user@example.cn", START
        assert [(way.channel, way.proven) for way in channels.ways(account)] == [("email", True), ("mobile", False)]
        assert session.get(AccountKey, SERIAL) is not None
        assert reports.live(SERIAL) is None
