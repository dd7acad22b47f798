import re

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from werkzeug.test import TestResponse

from idp.accounts.models import Account, InitialPassword
from idp.db import session, transaction
from idp.key_register import reports
from idp.key_register.models import EKey
from tests import people
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
    return client.post(PAGE, data={"csrf_token": token_of(page), "seen": seen, **fields})


@pytest.mark.requirement("R88")
def test_a_key_is_found_enrolled_and_its_letter_served_once(app: Flask, staff: dict[str, FlaskClient]) -> None:
    li, wang = staff["li"], staff["wang"]
    for sought in (SERIAL.lower(), people.CODE, "广东示例进出口有限公司"):
        assert PAGE in li.get("/officers/keys", query_string={"q": sought}).get_data(as_text=True)
    answer = post(li, action="enrol", username="newuser")
    assert answer.status_code == 303
    assert wang.get(answer.location).status_code == 410
    letter = li.get(answer.location)
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


@pytest.mark.requirement("R68")
def test_lost_on_papers_at_once_and_old_pages_do_nothing(app: Flask, staff: dict[str, FlaskClient]) -> None:
    page = staff["li"].get(PAGE).get_data(as_text=True)
    assert post(staff["wang"], action="enrol", username="x").status_code == 303
    old = {"csrf_token": token_of(page), "seen": page.split('name="seen" value="', 1)[1].split('"', 1)[0], "action": "lost", "reason": "登报声明"}
    assert staff["li"].post(PAGE, data=old).status_code == 422
    with app.app_context():
        assert reports.live(SERIAL) is None
    assert post(staff["li"], action="lost", reason="登报声明").status_code == 303
    with app.app_context():
        assert [(each.word, each.how) for each in [reports.live(SERIAL)] if each] == [("lost", "officer")]


@pytest.mark.requirement("R90")
def test_other_roles_find_nothing(app: Flask, staff: dict[str, FlaskClient]) -> None:
    for name in ("desk", "mech"):
        assert [staff[name].get(path).status_code for path in ("/officers/keys", PAGE, "/officers/keys/letters/x")] == [404] * 3
    assert app.test_client().get(PAGE).status_code == 303
