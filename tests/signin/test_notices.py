import pytest
from flask import Flask

from idp.accounts.models import ImportedContact
from idp.app import handlers
from idp.db import session, transaction
from idp.entitlements import systems
from idp.worker import deliver
from tests import people
from tests.fakes import LetterBox
from tests.people import NAME, NEW, OLD
from tests.person import Person


@pytest.mark.requirement("R62")
def test_every_imported_contact_is_told_once_when_the_old_passwords_die(app: Flask, letter_box: LetterBox) -> None:
    with app.app_context(), transaction():
        systems.load()
        account = people.beijing()
        for kind, value, system in (("mobile", "13800000001", "export"), ("mobile", "13800000001", "import"), ("email", "old@example.cn", "import")):
            session.add(ImportedContact(account_id=account.id, kind=kind, value=value, system=system))
    runtime = app.extensions["idp"]
    due = handlers(runtime.adapters, runtime.settings, runtime.secret)
    person = Person(app)
    person.type_password(NAME, OLD)
    assert deliver(app, due) == 0
    person.submit(new_password=NEW, confirm_password=NEW)
    deliver(app, due)
    assert [to for to, _ in letter_box.texts] == ["13800000001"]
    assert [to for to, _, _ in letter_box.mails] == ["old@example.cn"]
    text = letter_box.texts[0][1]
    assert NAME in text
    assert "出口许可证、进口许可证" in text
    assert runtime.settings.service_telephone in text
    person = Person(app)
    person.type_password(NAME, NEW)
    assert deliver(app, due) == 0
