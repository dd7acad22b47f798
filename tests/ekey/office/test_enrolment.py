import re
from pathlib import Path

import pytest
from flask import Flask, g
from sqlalchemy import select

from idp.accounts.models import Account, InitialPassword
from idp.audit.models import AuditEvent
from idp.db import session, transaction
from idp.key_register import activation
from idp.key_register.models import EKey
from tests import people
from tests.command_line import Said, idp
from tests.conftest import SECRET
from tests.fakes import FakeClock
from tests.person import Person

SERIAL, NAME = "EK76DA6FAE991C57", f"{people.CODE}-newuser"
BY = ("--operator", "zhang", "--reason", "new key")


@pytest.fixture
def listed(context: Flask) -> Flask:
    """A key of the list that belongs to nobody."""
    with transaction():
        firm = people.enterprise()
        session.add(EKey(serial=SERIAL, enterprise_id=firm.id, holder="某人"))
    return context


def enrol(app: Flask, *more: object) -> Said:
    answer = idp(app, "ekey", "enrol", SERIAL, "--name", "newuser", *BY, *more)
    session.rollback()
    session.expunge_all()
    return answer


def printed(file: Path) -> str:
    """The password as a person copies it from the letter."""
    return " ".join(re.findall(r"<span>([^<]+)</span>", file.read_text("utf-8")))


def _fresh_request() -> None:
    """The test's own application context is also its requests': what one of them kept there is not the next one's."""
    for name in list(g):
        g.pop(name)


def signin(app: Flask, password: str) -> Person:
    _fresh_request()
    person = Person(app)
    person.open("/login")
    action, fields = person.prepare(username=NAME, password=password)
    person.page = person.client.post(action, data=fields, follow_redirects=True)
    return person


@pytest.mark.requirement("R88")
@pytest.mark.requirement("R44")
@pytest.mark.store
def test_the_letter_opens_a_new_account_and_leads_to_the_forced_change(listed: Flask, tmp_path: Path) -> None:
    file = tmp_path / "letter.html"
    assert enrol(listed, "--letter", file).code == 0
    text, password = file.read_text("utf-8"), printed(file)
    assert file.stat().st_mode & 0o777 == 0o600
    assert all(part in text for part in (NAME, "广东示例进出口有限公司", "<style>"))
    assert not any(part in text for part in ("src=", "href="))
    assert re.fullmatch(r"[2-9a-hjkmnp-z]{4}( [2-9a-hjkmnp-z]{4}){2}", password)
    account = session.scalars(select(Account)).one()
    assert (account.user_class, account.password_hash, account.canonical_name) == (4, None, NAME)
    assert password.replace(" ", "") not in str([vars(row) for row in session.scalars(select(InitialPassword))])
    assert {event.operator for event in session.scalars(select(AuditEvent))} == {"zhang"}
    assert signin(listed, "wrong").at.endswith("/password")
    person = signin(listed, password.upper().replace(" ", "-"))
    assert person.at.endswith("/change")


def changed(person: Person) -> None:
    _fresh_request()
    person.open(person.at)
    action, fields = person.prepare(new_password=people.NEW, confirm_password=people.NEW)
    person.page = person.client.post(action, data=fields, follow_redirects=True)
    session.rollback()
    session.expunge_all()


@pytest.mark.requirement("R88")
def test_it_is_used_up_by_the_change(listed: Flask, tmp_path: Path) -> None:
    enrol(listed, "--letter", tmp_path / "a")
    changed(signin(listed, printed(tmp_path / "a")))
    assert session.scalars(select(InitialPassword)).all() == []
    assert signin(listed, printed(tmp_path / "a")).at.endswith("/password")
    assert not signin(listed, people.NEW).at.endswith("/password")
    said = idp(listed, "ekey", "enrol", SERIAL, "--letter", tmp_path / "b", *BY)
    assert (said.code, (tmp_path / "b").exists()) == (1, False)


@pytest.mark.requirement("R88")
def test_the_initial_password_is_no_new_password(listed: Flask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with transaction():
        session.get_one(EKey, SERIAL).activation_digest = activation.digest(SECRET, SERIAL, "Activate2026now")
    enrol(listed)
    person = signin(listed, "Activate2026now")
    action, fields = person.prepare(new_password="Activate2026now", confirm_password="Activate2026now")
    person.page = person.client.post(action, data=fields, follow_redirects=True)
    assert person.page.status_code == 422


@pytest.mark.requirement("R88")
def test_it_ends_after_ninety_days_and_its_owner_is_told(listed: Flask, tmp_path: Path, clock: FakeClock) -> None:
    enrol(listed, "--letter", tmp_path / "a")
    clock.advance(days=90, seconds=-1)
    assert signin(listed, printed(tmp_path / "a")).at.endswith("/change")
    clock.advance(seconds=1)
    person = signin(listed, printed(tmp_path / "a"))
    assert person.at.endswith("/password")
    assert "初始密码已过有效期" in person.text


@pytest.mark.requirement("R88")
def test_a_new_letter_kills_the_old_even_where_it_was_typed_already(listed: Flask, tmp_path: Path) -> None:
    enrol(listed, "--letter", tmp_path / "a")
    early = signin(listed, printed(tmp_path / "a"))
    assert idp(listed, "ekey", "enrol", SERIAL, "--letter", tmp_path / "b", *BY).code == 0
    assert signin(listed, printed(tmp_path / "a")).at.endswith("/password")
    assert early.open(early.at).status_code == 410
    assert session.scalars(select(Account.password_hash)).one() is None
    assert signin(listed, printed(tmp_path / "b")).at.endswith("/change")


@pytest.mark.requirement("R88")
def test_the_lists_activation_code_opens_it_instead(listed: Flask, tmp_path: Path) -> None:
    assert "no activation code" in enrol(listed).err
    assert session.scalars(select(Account)).all() == []
    with transaction():
        key = session.get_one(EKey, SERIAL)
        key.activation_digest, key.user_name = activation.digest(SECRET, SERIAL, "Code-123"), NAME
    assert idp(listed, "ekey", "enrol", SERIAL, *BY).code == 0
    assert signin(listed, "code-123").at.endswith("/password")
    assert signin(listed, "Code-123").at.endswith("/change")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("--name", "0100123456785-x"), "another enterprise"),
        (("--name", "a b"), "no user name may"),
        (("--name", "ghost", "--existing"), "no one account"),
        (("--reason", " "), "--reason"),
        (("--operator", "\x1b"), "--operator"),
    ],
)
def test_what_is_refused_writes_nothing(listed: Flask, tmp_path: Path, given: tuple[str, ...], said: str) -> None:
    answer = enrol(listed, "--letter", tmp_path / "a", *given)
    assert answer.code == 1
    assert said in answer.err
    assert session.scalars(select(Account)).all() == []
    assert not (tmp_path / "a").exists()


@pytest.mark.requirement("R68")
def test_names_keys_and_their_number(listed: Flask, tmp_path: Path) -> None:
    with transaction():
        owner = people.account(session.get_one(EKey, SERIAL).enterprise, [NAME])
        people.former(owner, people.OLD)
        for number in range(3):
            people.key(owner, [], f"EK{number}")
    assert "all the live keys" in enrol(listed, "--existing").err
    with transaction():
        session.get_one(EKey, "EK0").status = "revoked"
    assert "taken" in enrol(listed, "--letter", tmp_path / "a").err
    assert enrol(listed, "--existing").code == 0
    assert session.scalars(select(InitialPassword)).all() == []
    assert "belongs to an account already" in enrol(listed, "--existing").err
    assert f"account: {NAME}" in idp(listed, "ekey", "show", SERIAL).out
