import re
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from werkzeug.test import TestResponse

from idp import app as wiring
from idp.accounts import roles
from idp.accounts.models import Account, AccountKey, AccountName, AccountRole, InitialPassword
from idp.audit.models import AuditEvent
from idp.db import session, transaction
from idp.entitlements import rules, systems
from idp.errors import Refusal
from idp.key_register import activation, reports
from idp.key_register.models import EKey, EKeyLicence
from idp.second_person import rules as second_person
from tests import people
from tests.command_line import OPERATED, Said, idp
from tests.conftest import SECRET
from tests.fakes import START
from tests.officers.staff import let_in, officer, token_of

SERIAL, PAGE = "EK76DA6FAE991C57", "/officers/keys/EK76DA6FAE991C57"


@pytest.fixture
def staff(app: Flask) -> dict[str, FlaskClient]:
    with app.app_context(), transaction():
        session.add(EKey(serial=SERIAL, enterprise_id=people.enterprise().id, holder="某人"))
        made = {"li": officer("li", "key_office"), "wang": officer("wang", "key_office"), "desk": officer("desk", "service_desk")}
        made["mech"] = officer("mech", "mech_office")
    return {name: let_in(app, account, "totp") for name, account in made.items()}


def post(client: FlaskClient, **fields: str) -> TestResponse:
    page = client.get(PAGE).get_data(as_text=True)
    seen = page.split('name="seen" value="', 1)[1].split('"', 1)[0]
    reasons = {"enrol_reason": "已核对证件", "letter_reason": "信封破损"}
    return client.post(PAGE, data={"csrf_token": token_of(page), "seen": seen, **reasons, **fields})


def print_letter(client: FlaskClient, where: str) -> TestResponse:
    return client.post(where, data={"csrf_token": token_of(client.get(where).text)})


@pytest.mark.requirement("R88")
def test_a_key_is_found_enrolled_and_its_letter_served_once(app: Flask, staff: dict[str, FlaskClient]) -> None:
    li, wang = staff["li"], staff["wang"]
    for sought in (SERIAL.lower(), people.CODE, "广东示例进出口有限公司"):
        assert PAGE in li.get("/officers/keys", query_string={"q": sought}).get_data(as_text=True)
    answer = post(li, action="enrol", username="newuser")
    assert answer.status_code == 303
    assert wang.get(answer.location).status_code == 410
    assert [ask(answer.location).status_code for ask in (li.get, li.head, li.get, li.post)] == [200, 200, 200, 403], "none of these spends it"
    with app.app_context():
        assert session.scalars(select(InitialPassword.password_hash)).one() is None
    letter = print_letter(li, answer.location)
    assert f'href="{PAGE}"' in letter.text
    password = "".join(re.findall(r"<span>([^<]+)</span>", letter.get_data(as_text=True)))
    assert (len(password), letter.headers["Cache-Control"]) == (12, "no-store")
    assert li.get(answer.location).status_code == 410
    with app.app_context():
        row = session.scalars(select(InitialPassword)).one()
        assert row.password_hash is not None
        assert row.password_hash.startswith("$argon2id$")
        assert session.scalars(select(Account.user_class).where(Account.enterprise_id.is_not(None))).all() == [4]
    assert post(li, action="letter").status_code == 303
    with app.app_context():
        assert session.scalars(select(InitialPassword.password_hash)).one() is None


@pytest.mark.requirement("R90")
def test_a_withdrawal_waits_for_another_officer(app: Flask, staff: dict[str, FlaskClient]) -> None:
    assert post(staff["li"], action="withdraw").status_code == 422
    where = post(staff["li"], action="withdraw", reason="盗用").location

    def confirm(name: str) -> int:
        token = token_of(staff[name].get(where).get_data(as_text=True))
        return staff[name].post(where, data={"csrf_token": token, "action": "confirm"}).status_code

    assert confirm("li") == 422
    with app.app_context():
        assert reports.live(SERIAL) is None
    assert confirm("wang") == 303
    with app.app_context():
        report = reports.live(SERIAL)
        assert report is not None
        assert (report.word, report.how) == ("withdrawn", "officer")


@pytest.mark.requirement("R90")
def test_a_withdrawal_at_the_command_line_waits_for_an_officer(app: Flask, staff: dict[str, FlaskClient]) -> None:
    by = ("--operator", "wang", "--reason", "stolen card")
    assert "not in the key office's list" in idp(app, "ekey", "withdraw", SERIAL, "EKNONE", *by).err
    assert f"{SERIAL}: request 1 waits for an officer" in idp(app, "ekey", "withdraw", SERIAL, *by).out, "all or none"
    assert "waits for confirmation already" in idp(app, "ekey", "withdraw", SERIAL, *by).err

    def confirm(name: str) -> int:
        token = token_of(staff[name].get("/officers/requests/1").text)
        return staff[name].post("/officers/requests/1", data={"csrf_token": token, "action": "confirm"}).status_code

    assert confirm("wang") == 422, "the same person"
    with app.app_context():
        assert reports.live(SERIAL) is None
    assert confirm("li") == 303
    with app.app_context():
        assert [each.word for each in [reports.live(SERIAL)] if each] == ["withdrawn"]
    assert "lost, withdrawn or replaced before" in idp(app, "ekey", "withdraw", SERIAL, *by).err


def test_the_list_is_imported_by_somebody_for_a_reason(app: Flask, tmp_path: Path) -> None:
    file = tmp_path / "keys.csv"
    file.write_text("serial,enterprise_code,holder,licences,issued,expires,status\n")
    assert idp(app, "ekey", "import", file).code == 2
    assert idp(app, "ekey", "import", file, "--operator", "li", "--reason", "the week's list").code == 0


@pytest.mark.requirement("R68")
def test_lost_on_papers_at_once_and_old_pages_do_nothing(app: Flask, staff: dict[str, FlaskClient]) -> None:
    page = staff["li"].get(PAGE).get_data(as_text=True)
    assert post(staff["wang"], action="enrol", username="x").status_code == 303
    old = {
        "csrf_token": token_of(page),
        "enrol_reason": "x",
        "seen": page.split('name="seen" value="', 1)[1].split('"', 1)[0],
        "action": "lost",
        "reason": "登报声明",
    }
    assert staff["li"].post(PAGE, data=old).status_code == 422
    with app.app_context():
        assert reports.live(SERIAL) is None
    assert post(staff["li"], action="lost", reason="登报声明").status_code == 303
    with app.app_context():
        assert [(each.word, each.how) for each in [reports.live(SERIAL)] if each] == [("lost", "officer")]


@pytest.mark.requirement("R68")
def test_a_damage_is_lifted_by_an_officer_and_nothing_else_is(app: Flask, staff: dict[str, FlaskClient]) -> None:
    with app.app_context(), transaction():
        reports.say(SERIAL, "damaged", "public", None, START)
    assert post(staff["li"], action="lift", reason="读卡器的问题").status_code == 303
    with app.app_context():
        assert reports.live(SERIAL) is None
    assert post(staff["li"], action="lift", reason="读卡器的问题").status_code == 422
    assert post(staff["li"], action="lost", reason="登报声明").status_code == 303
    assert 'name="seen"' not in staff["li"].get(PAGE).text, "for ever"


@pytest.mark.requirement("R88")
def test_an_activation_code_goes_on_until_a_letter_is_asked_for(app: Flask, staff: dict[str, FlaskClient]) -> None:
    def opened_by() -> tuple[bool, bool]:
        with app.app_context():
            row = session.scalars(select(InitialPassword)).one()
            return row.activation_digest is not None, row.password_hash is not None

    assert post(staff["li"], action="enrol_with_code", username="newuser").status_code == 422
    with app.app_context(), transaction():
        assert session.scalars(select(InitialPassword)).all() == []
        session.get_one(EKey, SERIAL).activation_digest = activation.digest(SECRET, SERIAL, "Code-123")
    assert post(staff["li"], action="enrol_with_code", username="newuser").location == PAGE
    assert opened_by() == (True, False)
    assert "首次登录使用激活码" in staff["li"].get(PAGE).text
    print_letter(staff["li"], post(staff["li"], action="letter").location)
    assert opened_by() == (False, True)
    assert post(staff["li"], action="code").status_code == 303
    assert opened_by() == (True, False)


@pytest.mark.store
@pytest.mark.requirement("R68")
def test_another_listed_key_takes_the_place_of_one(app: Flask, staff: dict[str, FlaskClient]) -> None:
    with app.app_context(), transaction():
        known = session.get_one(EKey, SERIAL)
        account = people.account(known.enterprise, [people.NAME])
        account.keys.append(AccountKey(serial=SERIAL))
        known.licences = [EKeyLicence(system="export")]
        session.add(EKey(serial="EKNEW", enterprise_id=known.enterprise_id, licences=[EKeyLicence(system="export")]))
        session.add(EKey(serial="EKDEAD", enterprise_id=known.enterprise_id, status="revoked"))
        session.add(EKey(serial="EKFAR", enterprise_id=people.enterprise("0100123456785").id))
        people.key(people.account(known.enterprise, ["0441987654321-other"]), [], "EKTAKEN")
        systems.load()
        account_id = account.id
    for serial in ("", "EKFAR", "EKDEAD", "EKTAKEN", "EKNONE", SERIAL):
        assert post(staff["li"], action="replace", replacement=serial, replace_reason="换新").status_code == 422, serial
    assert post(staff["li"], action="replace", replacement="EKNEW", replace_reason="").status_code == 422
    with app.app_context():
        assert reports.live(SERIAL) is None
    assert post(staff["li"], action="replace", replacement="eknew ", replace_reason="换新").status_code == 303
    with app.app_context():
        assert [(each.word, each.how) for each in [reports.live(SERIAL)] if each] == [("replaced", "officer")]
        assert session.get_one(AccountKey, "EKNEW").account_id == account_id
        assert rules.open_systems(account_id, START.date()) == {"export"}
    assert 'name="seen"' not in staff["li"].get(PAGE).text, "for ever"
    assert "was replaced before" in idp(app, "ekey", "replace", SERIAL, "EKNEW", "--operator", "zhang", "--reason", "new card").err


@pytest.mark.requirement("R68")
def test_the_command_replaces_a_lost_key_but_makes_no_fourth_one(app: Flask, staff: dict[str, FlaskClient]) -> None:
    by = ("--operator", "zhang", "--reason", "new card")
    with app.app_context(), transaction():
        account = people.account(session.get_one(EKey, SERIAL).enterprise, [people.NAME])
        account.keys.append(AccountKey(serial=SERIAL))
        reports.say(SERIAL, "lost", "public", None, START)
        session.add(EKey(serial="EKNEW", enterprise_id=account.enterprise_id or 0))
        for number in range(3):
            people.key(account, [], f"EK{number}")
    assert "all the live keys" in idp(app, "ekey", "replace", SERIAL, "EKNEW", *by).err
    with app.app_context(), transaction():
        session.get_one(EKey, "EK0").status = "revoked"
    assert idp(app, "ekey", "replace", SERIAL, "EKNEW", *by).out == f"{SERIAL}: replaced by EKNEW\n"
    with app.app_context():
        assert [each.word for each in [reports.live(SERIAL)] if each] == ["lost"]
        assert session.get(AccountKey, "EKNEW") is not None


@pytest.mark.requirement("R90")
@pytest.mark.parametrize("existing", [{}, {"existing": "1"}])
def test_every_act_needs_a_reason_and_its_events_keep_it(app: Flask, staff: dict[str, FlaskClient], existing: dict[str, str]) -> None:
    li = staff["li"]
    with app.app_context(), transaction():
        people.account(session.get_one(EKey, SERIAL).enterprise, [f"{people.CODE}-old"])
    name = "old" if existing else "newuser"
    refused = post(li, action="enrol", username=name, enrol_reason=" ", **existing)
    assert (refused.status_code, 'href="#enrol_reason"' in refused.text) == (422, True)
    assert ("checked" in refused.text) is bool(existing)
    assert post(li, action="enrol", username=name, enrol_reason="新办 7 号", **existing).status_code == 303
    assert post(li, action="letter", letter_reason="").status_code == 422
    with app.app_context(), transaction():
        reports.say(SERIAL, "damaged", "public", None, START)
    assert post(li, action="lift", reason="").status_code == 422
    assert post(li, action="lift", reason="已修好").status_code == 303
    assert post(li, action="lost", reason="登报声明").status_code == 303
    with app.app_context():
        events = session.scalars(select(AuditEvent).where(AuditEvent.event.in_(["ekey.enrolled", "ekey.acted", "ekey.reported", "ekey.repaired"])))
        said = [(event.event, event.detail.get("why")) for event in events if event.detail["serial"] == SERIAL]
    whys = ["新办 7 号", "已修好", "已修好", "登报声明", "登报声明"]
    assert said == list(zip(["ekey.enrolled", "ekey.repaired", "ekey.acted", "ekey.reported", "ekey.acted"], whys, strict=True))
    page = li.get(PAGE).text
    assert "发放机构办理 · 挂失 · 登报声明" in page
    assert "不可以 · 已挂失" in page
    assert "ekey." not in page.split("<main", 1)[1].replace("/ekey.", "")


@pytest.mark.parametrize("typed", [f"{people.CODE}-", f"{people.CODE} - ", "-", f"{people.CODE}--", f"{people.CODE}-."])
def test_no_account_is_made_without_a_name_of_its_own(app: Flask, staff: dict[str, FlaskClient], typed: str) -> None:
    assert f'value="{people.CODE}-"' not in staff["li"].get(PAGE).text
    answer = post(staff["li"], action="enrol", username=typed)
    assert (answer.status_code, "用户名含有不允许的字符" in answer.text) == (422, True)
    with app.app_context(), transaction():
        session.get_one(EKey, SERIAL).user_name = "newuser"
    assert 'value="newuser"' in staff["li"].get(PAGE).text
    assert post(staff["li"], action="enrol", username="newuser").status_code == 303
    with app.app_context():
        assert session.get_one(AccountKey, SERIAL).account_id is not None
        assert "newuser" in session.scalars(select(AccountName.name)).all(), "the list's own name as it stands"


@pytest.mark.requirement("R90")
def test_an_officer_of_a_region_sees_and_does_nothing_elsewhere(app: Flask, staff: dict[str, FlaskClient]) -> None:
    with app.app_context(), transaction():
        made = {name: officer(name) for name in ("bei", "yue", "shen")}
        for name, region in (("bei", "11"), ("yue", "44"), ("shen", "4403")):
            assert roles.give(made[name], "key_office", region, "tester", START) is None
    desk = {name: let_in(app, account, "totp") for name, account in made.items()}
    number = post(staff["li"], action="withdraw", reason="盗用").location
    for name, sees in (("bei", False), ("shen", False), ("yue", True)):
        client = desk[name]
        assert (PAGE in client.get("/officers/keys", query_string={"q": SERIAL}).text) is sees, name
        assert [client.get(path).status_code for path in (PAGE, number)] == [200 if sees else 404] * 2, name
        assert ("1 件待您复核" in client.get("/officers").text) is sees, name
        assert (number in client.get("/officers/requests").text) is sees, name
        if not sees:
            token = token_of(client.get("/officers").text)
            sent = {"csrf_token": token, "action": "lost", "reason": "x"}
            assert [client.post(path, data=sent).status_code for path in (PAGE, f"{PAGE}/certificate", number)] == [404] * 3
            with app.app_context(), transaction():
                assert second_person.confirm(1, made[name].id, wiring.ACTS, START) == Refusal("request_role")
    page = desk["yue"].get(number).text
    assert desk["yue"].post(number, data={"csrf_token": token_of(page), "action": "confirm"}).status_code == 303


@pytest.mark.requirement("R90")
def test_unknown_regions_are_refused_and_a_province_is_whole(app: Flask) -> None:
    def add(region: str) -> Said:
        return idp(app, "officer", "add", "li", "--role", "key_office", "--region", region, "--display-name", "李", *OPERATED)

    for unknown in ("990000", "4", "44000", "4400000", "44OOOO", "000000"):
        assert "is no region" in add(unknown).err, unknown
    assert add("440000").code == 0
    with app.app_context():
        assert session.scalars(select(AccountRole.region)).all() == ["44"]


@pytest.mark.requirement("R90")
def test_other_roles_find_nothing(app: Flask, staff: dict[str, FlaskClient]) -> None:
    for name in ("desk", "mech"):
        assert [staff[name].get(path).status_code for path in ("/officers/keys", PAGE, "/officers/keys/letters/x")] == [404] * 3
        token = token_of(staff[name].get("/officers").get_data(as_text=True))
        assert [staff[name].post(path, data={"csrf_token": token}).status_code for path in (PAGE, f"{PAGE}/certificate")] == [404] * 2
    assert app.test_client().get(PAGE).status_code == 303
