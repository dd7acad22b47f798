"""The legacy entry (R2, R54, R64, D2, D19): its page, what opens it, what it counts."""

import html
import re
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import delete, func, select, update

from idp.accounts import argon2id
from idp.accounts.models import Account, FormerPassword, PasswordFailures
from idp.audit.models import AuditEvent
from idp.captcha.models import CaptchaChallenge
from idp.db import session, transaction
from idp.enterprises.models import Enterprise
from idp.entitlements.models import Entitlement
from idp.key_register.models import EKey
from idp.legacy import entry as entry_rules
from idp.legacy import entry_attempt, incident
from idp.legacy.models import LegacyCutover, LegacyEntryEnd, LegacyRow
from idp.sessions.models import Session
from idp.settings import Settings
from tests import people
from tests.fakes import START, FakeClock
from tests.legacy.dumps import CODE, OTHER_CODE, OTHER_KEY, row, take, write
from tests.legacy.old_users import IMPORT_OLD, NAME, OLD, START_URL, again, furnish, log_in, merge, old_user, set_used
from tests.legacy.test_cutover import cut_over
from tests.person import Person
from tests.races.test_signin import meanwhile

GENERIC = "如您已在统一平台设置新密码，原密码已失效，请通过统一平台登录"
CLOSED = "原登录口已关闭，请通过统一平台登录"
FIRST_DAY = date(2026, 3, 2)


@pytest.fixture
def entry(office: Flask, tmp_path: Path) -> Flask:
    furnish(office, tmp_path)
    return office


def passed(person: Person) -> bool:
    return person.at.endswith("/entered") and person.page.status_code == 200


def refused(person: Person) -> bool:
    return person.page.status_code == 422 and GENERIC in person.text


def closed(person: Person) -> bool:
    return person.page.status_code == 403 and CLOSED in person.text and 'href="/login"' in person.text


def reasons() -> list[str]:
    session.rollback()
    found = session.scalars(select(AuditEvent).where(AuditEvent.event == "legacy.entry.refused").order_by(AuditEvent.id))
    return [event.detail["reason"] for event in found]


# --- ten log-ins ------------------------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.store
@pytest.mark.requirement("R2")
@pytest.mark.requirement("R64")
@pytest.mark.requirement("D2")
def test_ten_log_ins_pass_each_says_what_is_left_and_the_eleventh_leads_on(entry: Flask) -> None:
    for left in range(9, -1, -1):
        person = log_in(entry)
        assert passed(person), person.text
        assert f"您还可通过原登录口登录 {left} 次" in person.text
        assert f"原登录口剩余可登录次数：{left} 次，用完后自动关闭，请尽早通过商务部业务系统统一平台登录" in person.text
        assert ("这是您最后一次" in person.text) is (left == 0)
    assert all(closed(log_in(entry)) for _ in range(2))
    assert old_user().entry_logins == 10
    assert reasons() == ["used_up"] * 2
    # D2: each legacy account has its own
    with transaction():
        cut_over("import")
    assert "您还可通过原登录口登录 9 次" in log_in(entry, password=IMPORT_OLD, system="import").text


@pytest.mark.requirement("R54")
@pytest.mark.requirement("R64")
def test_its_session_opens_that_system_alone(entry: Flask) -> None:
    person = log_in(entry)
    assert f'href="{START_URL}"' in person.text
    assert "进入应用" in person.text
    row = session.scalars(select(Session)).one()
    assert (row.only_system, row.entry_remaining, row.account_id) == ("export", 9, old_user().account_id)
    assert row.totp_at is row.ekey_at is None
    for path in ("/hall", "/account"):
        assert "/signin/" in person.client.get(path).location
    # another system's page shows nothing of it
    assert person.client.get("/legacy/import/entered").location == "/legacy/import"
    assert Person(entry).client.get("/legacy/export/entered").location == "/legacy/export"


@pytest.mark.requirement("R64")
def test_nothing_is_counted_before_the_cutover_of_the_enterprise(entry: Flask) -> None:
    for change in ({"reverted_at": START}, {"reverted_at": None, "at": START + timedelta(days=1)}, {"at": START, "region": "99"}):
        with transaction():
            session.execute(update(LegacyCutover).values(**change))
        person = log_in(entry)
        assert passed(person)
        assert "不计入次数" in person.text
    assert old_user().entry_logins == 0
    assert {found.entry_remaining for found in session.scalars(select(Session))} == {None}


@pytest.mark.store
@pytest.mark.requirement("R64")
def test_nothing_is_counted_during_an_incident_not_even_for_who_has_none_left(entry: Flask) -> None:
    set_used(10)
    assert closed(log_in(entry))
    with transaction():
        incident.declare("wang", "the sign-in page is down", START)
    assert passed(log_in(entry))
    with transaction():
        incident.end(START)
    assert closed(log_in(entry))
    assert old_user().entry_logins == 10


# --- its end ----------------------------------------------------------------------------------------------------------------------------------


@pytest.mark.requirement("R64")
def test_after_the_last_day_everybody_is_told_at_once(entry: Flask, clock: FakeClock) -> None:
    runtime = entry.extensions["idp"]
    entry.extensions["idp"] = runtime.__class__(
        runtime.settings.model_copy(update={"legacy_end": FIRST_DAY}), runtime.adapters, runtime.secret, runtime.hooks
    )
    clock.at = START.replace(hour=15, minute=59)  # the last minute of that day in Beijing
    assert passed(log_in(entry))
    person = Person(entry)
    person.open("/legacy/export")
    clock.advance(minutes=1)
    again(person, password="wrong")
    assert closed(person), "typed before, sent after"
    person.open("/legacy/export")
    assert closed(person)
    assert person.form().action == ""
    # officers moved it for one system
    with transaction():
        session.add(LegacyEntryEnd(system="export", last_day=FIRST_DAY + timedelta(days=1), since=START))
    assert passed(log_in(entry))
    assert Person(entry).open("/legacy/import").status_code == 403
    assert old_user().entry_logins == 2


@pytest.mark.requirement("R64")
def test_a_last_day_of_ones_own_comes_before_the_systems(entry: Flask, tmp_path: Path) -> None:
    take(entry, write(tmp_path, row("other", "Other2018pass", OTHER_CODE, "")))
    with transaction():
        session.add(LegacyEntryEnd(system="export", last_day=FIRST_DAY - timedelta(days=1), since=START))
        session.execute(update(LegacyRow).where(LegacyRow.username == NAME).values(entry_until=FIRST_DAY))
    assert passed(log_in(entry))
    with transaction():
        session.execute(update(LegacyEntryEnd).values(last_day=FIRST_DAY))
        session.execute(update(LegacyRow).where(LegacyRow.username == NAME).values(entry_until=FIRST_DAY - timedelta(days=1)))
    # only after the right password
    assert refused(log_in(entry, password="wrong"))
    assert closed(log_in(entry))
    assert reasons() == ["password", "ended"]


# --- what opens it ----------------------------------------------------------------------------------------------------------------------------


def answer(person: Person) -> tuple[int, str]:
    """What a stranger sees, without what is new in each answer."""
    text = re.sub(r'(csrf_token" value|captcha_id" value|data-work|form_id" value|/captcha/)[^>]*', "", person.text)
    return person.page.status_code, re.sub(r'name="(username|enterprise_code)" value="[^"]*"', "", text)


@pytest.mark.store
@pytest.mark.requirement("R64")
@pytest.mark.requirement("D15")
@pytest.mark.requirement("D19")
def test_whatever_is_wrong_the_answer_is_one(entry: Flask, tmp_path: Path) -> None:
    rows = [row("off", "Off2018pass", status="0"), row("on", "On2018pass"), row("nobody", "Nobody2018pass", key="")]
    assert take(entry, write(tmp_path, *rows[:2])).code == 0
    merge(entry)
    assert take(entry, write(tmp_path, *rows)).code == 0  # the last one waits for a merge
    tries = {
        "another system's password": (NAME, IMPORT_OLD, ""),
        "a wrong password": (NAME, "wrong", ""),
        "a name that nobody has": ("nobody-at-all", OLD, ""),
        "a disabled row's password": ("off", "Off2018pass", ""),
        "a row that is not merged": ("nobody", "Nobody2018pass", ""),
        "the name of the platform": (f"{CODE}-{NAME}", OLD, ""),
        "another enterprise": (NAME, OLD, OTHER_CODE),
        "no enterprise": (NAME, OLD, "0000000000000"),
        "no code at all": (NAME, OLD, "x\0'"),
        "beyond the ceiling": (NAME, OLD + "x" * 128, ""),
        "NUL": (f"{NAME}\0", OLD, ""),
        "NUL in the password": (NAME, f"{OLD}\0", ""),
    }
    answers = {}
    for what, (name, password, code) in tries.items():
        answers[what] = answer(log_in(entry, name, password, code=code))
        _forgive()
    assert {found[0] for found in answers.values()} == {422}
    assert len(set(answers.values())) == 1, sorted(answers)
    assert passed(log_in(entry, "on", "On2018pass"))
    assert old_user().entry_logins == 0


def _forgive() -> None:
    with transaction():
        session.execute(delete(PasswordFailures))


@pytest.mark.requirement("R54")
@pytest.mark.requirement("R12")
def test_once_a_new_password_is_set_neither_the_old_one_nor_the_new_one_passes(entry: Flask) -> None:
    person = Person(entry)
    person.sign_in(f"{CODE}-{NAME}", IMPORT_OLD, people.NEW)
    assert person.at == "/hall"
    assert all(refused(log_in(entry, password=each)) for each in (OLD, people.NEW))
    session.rollback()
    assert session.scalar(select(func.count()).select_from(FormerPassword)) == 0


@pytest.mark.requirement("R12")
def test_an_old_password_that_dies_while_it_is_looked_at_opens_nothing(entry: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    owner = Person(entry)
    owner.type_password(f"{CODE}-{NAME}", OLD)
    meanwhile(monkeypatch, entry_attempt, "prove", lambda: owner.submit(new_password=people.NEW, confirm_password=people.NEW))
    assert refused(log_in(entry))
    assert old_user().entry_logins == 0


@pytest.mark.requirement("D17")
def test_a_password_that_a_later_dump_replaced_opens_nothing(entry: Flask, tmp_path: Path) -> None:
    assert take(entry, write(tmp_path, row(password="Later2018pass")), "export", "2018-08-30").code == 0
    assert refused(log_in(entry))
    merge(entry)
    assert passed(log_in(entry, password="Later2018pass"))


@pytest.mark.requirement("R12")
def test_no_other_hash_opens_it_wherever_one_may_still_stand(entry: Flask) -> None:
    spoilt: list[tuple[type[FormerPassword | Account], dict[str, object], dict[str, object]]] = [
        (FormerPassword, {"replaced": True}, {"replaced": False}),
        (FormerPassword, {"enabled": False}, {"enabled": True}),
        (FormerPassword, {"system": "import"}, {"system": "export"}),
        (FormerPassword, {"account_id": None}, {"account_id": old_user().account_id}),
        (Account, {"password_hash": "x"}, {"password_hash": None}),
    ]
    for model, fault, mended in spoilt:
        for values in (fault, mended):
            with transaction():
                session.execute(update(model).values(**values))
            person = log_in(entry)
            assert (refused(person), passed(person)) == (values is fault, values is mended), values
        _forgive()


@pytest.mark.store
@pytest.mark.requirement("R64")
def test_the_count_never_goes_beyond_what_is_allowed(entry: Flask) -> None:
    number = old_user().id
    with transaction():
        assert [entry_rules.charge(number, 3) for _ in range(5)] == [2, 1, 0, None, None]
        assert entry_rules.charge(number + 1000, 3) is None
    assert old_user().entry_logins == 3


@pytest.mark.requirement("D15")
@pytest.mark.parametrize(("model", "word"), [(Account, "该账号已停用"), (Enterprise, "该企业已注销")])
def test_a_closed_account_is_told_after_the_right_password_alone(entry: Flask, model: type[Account | Enterprise], word: str) -> None:
    with transaction():
        session.execute(update(model).values(status="disabled" if model is Account else "cancelled"))
    assert refused(log_in(entry, password="wrong"))
    person = log_in(entry)
    assert (person.page.status_code, word in person.text) == (403, True)
    assert session.scalars(select(Session)).all() == []
    assert old_user().entry_logins == 0


@pytest.mark.requirement("R66")
def test_what_the_key_has_lost_is_closed_here_too_and_counts_nothing(entry: Flask) -> None:
    with transaction():
        session.execute(update(EKey).values(status="revoked"))
    person = log_in(entry)
    assert (person.page.status_code, "不计入" in person.text) == (403, True)
    assert old_user().entry_logins == 0
    assert reasons() == ["key_revoked"]


@pytest.mark.requirement("R62")
def test_a_right_that_waits_for_a_proof_waits_not_here(entry: Flask) -> None:
    account_id = old_user().account_id
    with transaction():
        session.add(Entitlement(account_id=account_id, system="export", state="held", since=START))
    assert passed(log_in(entry))


# --- names ------------------------------------------------------------------------------------------------------------------------------------


@pytest.mark.requirement("D19")
def test_a_name_that_enterprises_share_needs_the_code_and_one_never_opens_the_others(entry: Flask, tmp_path: Path) -> None:
    assert take(entry, write(tmp_path, row(NAME, "Second2018pass", OTHER_CODE, ""))).code == 0
    second = old_user_of(OTHER_CODE)
    with transaction():
        session.execute(update(EKey).where(EKey.serial == OTHER_KEY).values(enterprise_id=second.enterprise_id))
        session.execute(update(LegacyRow).where(LegacyRow.id == second.id).values(key_serial=OTHER_KEY))
    merge(entry)
    for password in (OLD, "Second2018pass"):
        assert answer(log_in(entry, NAME, password)) == answer(log_in(entry, "nobody-at-all", password))
        _forgive()
    assert refused(log_in(entry, NAME, OLD, code=OTHER_CODE))
    for code, password in ((CODE, OLD), (OTHER_CODE, "Second2018pass")):
        assert passed(log_in(entry, NAME, password, code=code))
        session.rollback()
        newest = session.scalars(select(Session).order_by(Session.id.desc())).first()
        assert newest is not None
        assert newest.account_id == old_user_of(code).account_id


def old_user_of(code: str) -> LegacyRow:
    session.rollback()
    owner = select(Enterprise.id).where(Enterprise.code == code).scalar_subquery()
    return session.scalars(select(LegacyRow).where(LegacyRow.enterprise_id == owner, LegacyRow.system == "export")).one()


@pytest.mark.requirement("D19")
def test_two_users_of_one_enterprise_whose_password_is_the_same_cannot_be_told_apart(entry: Flask, tmp_path: Path) -> None:
    assert take(entry, write(tmp_path, row(), row(key=OTHER_KEY))).code == 0
    merge(entry)
    person = log_in(entry, code=CODE)
    assert (person.page.status_code, "无法区分" in person.text) == (403, True)
    assert reasons() == ["ambiguous"]


@pytest.mark.requirement("D9")
@pytest.mark.parametrize(
    ("name", "code"),
    [(" ｂｅｉｊｉｎｇ　", ""), ("BeiJing", CODE), (NAME, "０４４１９８７６５４３２１"), (NAME, f" {CODE} ")],
)
def test_names_are_compared_as_at_the_sign_in(entry: Flask, name: str, code: str) -> None:
    assert passed(log_in(entry, name, code=code))


def test_where_names_are_unique_no_code_is_asked_for(entry: Flask) -> None:
    shown = {system: "enterprise_code" in Person(entry).open(f"/legacy/{system}").text for system in ("export", "dual_use", "mech_electrical")}
    assert shown == {"export": True, "dual_use": True, "mech_electrical": False}


# --- tries ------------------------------------------------------------------------------------------------------------------------------------


@pytest.mark.requirement("R61")
@pytest.mark.parametrize("name", [NAME, "nobody-at-all"])
def test_tries_are_locked_alike_whoever_is_meant_and_the_sign_in_counts_with_them(entry: Flask, name: str) -> None:
    said = [answer(log_in(entry, name, "wrong"))[1] for _ in range(6)]
    assert [("请于" in text) for text in said] == [False] * 4 + [True] * 2
    assert "请于" in log_in(entry, name, OLD).text
    person = Person(entry)
    person.type_password(f"{CODE}-{name}", OLD)
    assert ("请于" in person.text) is (name == NAME)
    assert old_user().entry_logins == 0


@pytest.mark.requirement("R61")
def test_every_try_costs_one_hash_of_ours(entry: Flask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert take(entry, write(tmp_path, row("shared"), row("shared", code=OTHER_CODE, key=""))).code == 0
    real, hashed = argon2id.Hasher.verify, []

    def verify(self: argon2id.Hasher, typed: str, stored: str | None) -> bool:
        hashed.append(typed)
        return real(self, typed, stored)

    monkeypatch.setattr(argon2id.Hasher, "verify", verify)
    costs = {}
    for name in (NAME, "nobody-at-all", "shared"):
        hashed.clear()
        log_in(entry, name, "wrong")
        costs[name] = len(hashed)
    assert set(costs.values()) == {1}


@pytest.mark.requirement("R60")
def test_the_captcha_is_the_browsers_own_single_use_and_comes_before_the_password(entry: Flask) -> None:
    person, other = Person(entry), Person(entry)
    person.open("/legacy/export")
    other.open("/legacy/export")
    _, stolen = other.prepare(username=NAME, password=OLD)
    action, fields = person.prepare(username=NAME, password=OLD)
    for wrong in (
        fields | {"captcha": "00000"},
        fields,
        fields | {name: stolen[name] for name in ("captcha_id", "captcha")},
        {**fields, "captcha_id": ""},
    ):
        found = person.client.post(action, data=wrong)
        assert (found.status_code, "不正确或已过期" in found.text, GENERIC in found.text) == (422, True, False)
    assert old_user().entry_logins == 0
    # of another system's page neither
    person.open("/legacy/import")
    _, elsewhere = person.prepare(username=NAME, password=OLD)
    assert person.client.post("/legacy/export", data=elsewhere).status_code == 422


@pytest.mark.requirement("D16")
def test_after_failures_asks_from_the_third_on(entry: Flask) -> None:
    runtime = entry.extensions["idp"]
    changed = runtime.settings.model_copy(update={"captcha": "after_failures"})
    entry.extensions["idp"] = runtime.__class__(changed, runtime.adapters, runtime.secret, runtime.hooks)
    person = Person(entry)
    person.open("/legacy/export")
    asked = ["captcha_id" in person.text]
    for _ in range(3):
        again(person, password="wrong")
        asked.append("captcha_id" in person.text)
    assert asked == [False, False, True, True]
    session.rollback()
    assert session.scalar(select(func.count()).select_from(CaptchaChallenge)) == 2
    again(person)
    assert passed(person)


@pytest.mark.requirement("R84")
def test_a_double_submit_is_counted_once_and_a_reload_not_at_all(entry: Flask, clock: FakeClock) -> None:
    person = Person(entry)
    person.open("/legacy/export")
    action, fields = person.prepare(username=NAME, password=OLD)
    locations = [person.client.post(action, data=fields).location for _ in range(2)]
    assert locations == ["/legacy/export/entered"] * 2
    for _ in range(2):
        assert "登录 9 次" in person.open("/legacy/export/entered").text
    assert old_user().entry_logins == 1
    clock.advance(minutes=2)
    assert person.client.post(action, data=fields).status_code == 422


@pytest.mark.store
@pytest.mark.requirement("R84")
def test_a_double_submit_without_captcha_costs_one_log_in_and_opens_twice_even_the_last_time(
    entry: Flask, clock: FakeClock, settings: Settings
) -> None:
    entry.extensions["idp"] = replace(entry.extensions["idp"], settings=settings.model_copy(update={"captcha": "after_failures"}))
    set_used(9)
    person, twin = Person(entry), Person(entry)
    person.open("/legacy/export")
    action, fields = person.prepare(username=NAME, password=OLD)
    for cookie in (person.client._cookies or {}).values():
        twin.client.set_cookie(cookie.key, cookie.value, domain="127.0.0.1")
    answers = [each.client.post(action, data=fields) for each in (person, twin)]
    assert [answer.location for answer in answers] == ["/legacy/export/entered"] * 2
    assert old_user().entry_logins == 10
    for each in (person, twin):
        assert "登录 0 次" in each.open("/legacy/export/entered").text
    # another form, and the same one later, are other log-ins
    assert closed(log_in(entry))
    clock.advance(minutes=2)
    assert person.client.post(action, data=fields).status_code == 403


def test_whatever_session_stood_in_the_browser_is_over(entry: Flask) -> None:
    person = log_in(entry)
    person.open("/legacy/export")
    again(person)
    assert passed(person)
    ends = [(found.end_reason, found.entry_remaining) for found in session.scalars(select(Session).order_by(Session.id))]
    assert ends == [("legacy_entry", 9), (None, 8)]


def test_a_whole_session_is_over_too(entry: Flask, tmp_path: Path) -> None:
    assert take(entry, write(tmp_path, row("other", "Other2018pass", key=OTHER_KEY))).code == 0
    merge(entry)
    person = Person(entry)
    person.sign_in(f"{CODE}-other", "Other2018pass", people.NEW)
    assert person.at == "/hall"
    person.open("/legacy/export")
    again(person)
    assert passed(person)
    assert "/signin/" in person.client.get("/hall").location


@pytest.mark.parametrize("path", ["/legacy/none", "/legacy/EXPORT", "/legacy/%00", f"/legacy/{'x' * 500}", "/legacy/none/entered"])
def test_there_are_entries_of_business_systems_only(entry: Flask, path: str) -> None:
    assert Person(entry).open(path).status_code == 404


def test_the_form_says_what_is_missing_and_keeps_what_was_typed(entry: Flask) -> None:
    assert "请填写用户名" in log_in(entry, "", OLD).text
    person = log_in(entry, NAME, "", code=CODE)
    assert "请填写密码" in person.text
    fields = person.form().fields
    assert (fields["username"], fields["enterprise_code"], fields["password"]) == (NAME, CODE, "")
    assert person.open("/legacy/export?ui_locales=en").status_code == 200
    assert "former system" in html.unescape(person.text)


def test_nobody_else_can_send_the_form(entry: Flask) -> None:
    person = Person(entry)
    person.open("/legacy/export")
    action, fields = person.prepare(username=NAME, password=OLD)
    assert person.client.post(action, data={**fields, "csrf_token": ""}).status_code == 403
    assert person.client.post(action, data=fields, headers={"Origin": "https://evil.test"}).status_code == 403
    assert old_user().entry_logins == 0


@pytest.mark.requirement("R85")
def test_each_log_in_is_audited(entry: Flask, settings: Settings) -> None:
    log_in(entry)
    session.rollback()
    event = session.scalars(select(AuditEvent).where(AuditEvent.event == "legacy.entry.passed")).one()
    assert (event.account_id, event.detail) == (old_user().account_id, {"row": old_user().id, "system": "export", "remaining": 9, "by": "page"})
