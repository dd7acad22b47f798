"""Name and password that fit several accounts: the e-key says which is meant; where it cannot, the person does (D9)."""

import pytest
from sqlalchemy import select

from idp.accounts.models import Account, AccountKey, FormerPassword
from idp.db import session, transaction
from idp.ekey.models import EKeyBinding
from tests import people
from tests.ekey.bad_pki import Card, holder
from tests.ekey.test_certificate_road import at_the_step, header, leave, shown
from tests.ekey.test_certificate_road import settings as settings  # with both roads
from tests.ekey.test_step import EKEY, PASSWORD, SERIAL, Holder, World, claims_at, token
from tests.ekey.test_step import pki as pki
from tests.ekey.test_step import signing_keys as signing_keys
from tests.ekey.test_step import world as world
from tests.people import NAME

OTHER, STRANGE = "EK0000000000AAAA", "EK0000000000BBBB"
pytestmark = pytest.mark.requirement("D9")


@pytest.fixture
def rival(world: World) -> int:
    """A second account with the same name and the same password, which has a key of its own."""
    with world.app.app_context(), transaction():
        row = people.account(people.enterprise("0441987654322"), [NAME], user_class=3)
        people.former(row, PASSWORD)
        people.key(row, ["export"], OTHER)
        row.email_proven_at = world.clock.now()
        session.flush()
        return row.id


def card(world: World, serial: str) -> Card:
    return world.pki.card(subject=holder(serial=serial, organisation="0441987654322" if serial == OTHER else "0441987654321"))


def signed_in(world: World) -> list[int]:
    return [row.account_id for row in world.sessions()]


@pytest.mark.store
@pytest.mark.parametrize("serial", [SERIAL, OTHER])
def test_the_key_says_which_account_and_only_that_one_is_touched(world: World, rival: int, serial: str) -> None:
    wanted, other = (world.account_id, rival) if serial == SERIAL else (rival, world.account_id)
    person = at_the_step(world)
    person.use(card(world, serial))
    assert person.at == "/hall"
    assert signed_in(world) == [wanted]
    with world.app.app_context():
        assert session.scalars(select(FormerPassword.account_id)).all() == [other]
        assert session.scalars(select(EKeyBinding.serial)).all() == [serial]


def test_without_the_key_the_person_says_it(world: World, rival: int) -> None:
    person = Holder(world.app)
    person.open("/loginCorp.html")
    person.type_name(ekey=False)
    assert person.at.endswith("/choose")


def test_skipping_the_key_leads_to_the_question(world: World, rival: int) -> None:
    person = at_the_step(world)
    person.submit(action="skip")
    assert person.at.endswith("/choose")
    person.submit(choice=str(rival))
    assert person.at == "/hall"
    assert (signed_in(world), world.sessions()[0].ekey_at) == ([rival], None)


def test_a_key_of_neither_proves_nothing_and_the_person_says_it(world: World, rival: int) -> None:
    with world.app.app_context(), transaction():
        people.key(people.account(people.enterprise("0441987654323"), ["third"], user_class=3), ["export"], STRANGE)
    person = at_the_step(world)
    person.use(card(world, STRANGE))
    assert person.at.endswith("/choose")
    person.submit(choice=str(rival))
    assert person.at.endswith("/ekey")
    person.use(card(world, STRANGE))
    assert person.page.status_code == 422
    person.use(card(world, OTHER))
    assert signed_in(world) == [rival]
    assert world.sessions()[0].ekey_serial == OTHER


def test_a_faulty_key_chooses_nobody(world: World, rival: int) -> None:
    person = at_the_step(world)
    person.use(world.card, signed="another-nonce")
    assert person.at.endswith("/ekey")
    assert person.page.status_code == 422
    person.open(person.at.replace("/ekey", "/choose"))
    assert person.at.endswith("/ekey")
    assert signed_in(world) == []
    person.use(world.card)
    assert signed_in(world) == [world.account_id]


def test_an_account_that_was_closed_or_changed_meanwhile_is_not_chosen(world: World, rival: int) -> None:
    person = at_the_step(world)
    with world.app.app_context(), transaction():
        session.get_one(Account, rival).epoch += 1
    person.use(card(world, OTHER))
    assert person.at.endswith("/choose")
    assert person.submit(choice=str(rival)).status_code == 422
    assert signed_in(world) == []


def test_the_browsers_certificate_says_it_too(world: World, rival: int) -> None:
    person = at_the_step(world)
    back = shown(world, leave(person), header(card(world, OTHER)))
    person.page = person.client.get(back.location.removeprefix("http://127.0.0.1:8000"), follow_redirects=True)
    assert "证书属于用户名" in person.text
    assert "正在登录的用户名" not in person.text
    person.submit()
    assert signed_in(world) == [rival]


def test_a_key_that_moved_meanwhile_does_not_open_its_former_account(world: World, rival: int) -> None:
    person = at_the_step(world)
    with world.app.app_context(), transaction():
        session.get_one(AccountKey, OTHER).account_id = world.account_id
    person.use(card(world, OTHER))
    assert rival not in signed_in(world)


@pytest.mark.requirement("R69")
def test_a_client_that_demands_the_key_gets_the_account_whose_key_it_is(world: World, rival: int) -> None:
    rp, person = world.client(require_acr=EKEY), Holder(world.app)
    person.wants(rp)
    person.submit_only(username=NAME, password=PASSWORD)
    assert person.at.endswith("/ekey")
    assert person.submit(action="skip").status_code == 422  # and nobody is asked which account: the key says it
    nonce = person.challenge()
    assert claims_at(rp, person.submit_only(nonce=nonce, token=token(card(world, OTHER), nonce)))["acr"] == EKEY
    assert signed_in(world) == [rival]
