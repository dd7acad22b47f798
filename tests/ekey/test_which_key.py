"""A first use that the certificate alone does not settle: after TOTP the person says which of their keys it is."""

import re
from datetime import timedelta

import pyotp
import pytest
from sqlalchemy import select

from idp.accounts import totp
from idp.accounts.models import Account
from idp.db import session, transaction
from idp.ekey.models import EKeyBinding
from tests import people
from tests.conftest import SECRET
from tests.ekey.bad_pki import Card, holder
from tests.ekey.test_step import PASSWORD, SERIAL, Holder, World
from tests.ekey.test_step import pki as pki
from tests.ekey.test_step import settings as settings
from tests.ekey.test_step import signing_keys as signing_keys
from tests.ekey.test_step import world as world
from tests.people import NAME

OTHER = "EKFFFFFFFFFFFFFF"


def device_of(world: World, age: timedelta = totp.SETTLES) -> pyotp.TOTP:
    now = world.clock.now() - age
    with world.app.app_context(), transaction():
        device = pyotp.TOTP(totp.begin(world.account_id, "browser", SECRET, now) or "")
        assert isinstance(totp.confirm(world.account_id, "browser", device.at(now), SECRET, now), list)
    world.clock.advance(seconds=60)
    return device


def secret_on(page: str) -> str:
    """The secret of an authenticator app, as the page writes it."""
    found = re.search(r"\b(?:[A-Z2-7]{4} ){7}[A-Z2-7]{4}\b", page)
    assert found
    return found[0].replace(" ", "")


def second_key(world: World) -> None:
    with world.app.app_context(), transaction():
        people.key(session.get_one(Account, world.account_id), ["export"], OTHER)


def bound(world: World) -> list[str]:
    with world.app.app_context():
        return list(session.scalars(select(EKeyBinding.serial)))


def unnamed(world: World) -> Card:
    """A card whose certificate carries no serial of the key."""
    return world.pki.card(subject=holder(serial=""))


def arrive(world: World, card: Card) -> Holder:
    person = Holder(world.app)
    person.open("/loginCorp.html")
    person.type_name()
    person.use(card)
    return person


@pytest.mark.store
@pytest.mark.requirement("R20")
def test_the_person_chooses_after_totp(world: World) -> None:
    second_key(world)
    device = device_of(world)
    person = arrive(world, unnamed(world))
    assert person.at.endswith("/totp"), "nothing is chosen by password and card alone"
    assert bound(world) == []
    person.submit(code=device.at(world.clock.now()))
    assert person.at.endswith("/ekey")
    assert (SERIAL[-4:] in person.text, OTHER[-4:] in person.text) == (True, True)
    assert person.submit(action="choose").status_code == 422
    assert person.submit(action="choose", choice="EK0000000000000A").status_code == 422
    person.submit(action="choose", choice=OTHER)
    assert person.at == "/hall"
    assert bound(world) == [OTHER]
    (row,) = world.sessions()
    assert (row.ekey_serial, row.totp_at is not None) == (OTHER, True)


def test_without_an_app_it_is_for_an_officer(world: World) -> None:
    second_key(world)
    person = arrive(world, unnamed(world))
    assert (person.page.status_code, world.refusals(), bound(world)) == (422, ["not_bound"], [])


def test_who_stole_the_password_binds_no_card_with_an_app_of_their_own(world: World) -> None:
    thief = Holder(world.app)
    thief.open("/loginCorp.html")
    thief.type_name(ekey=False)
    thief.open("/account/totp/setup")
    device = pyotp.TOTP(secret_on(thief.text))
    thief.submit(code=device.at(world.clock.now()))
    world.clock.advance(minutes=2)
    thief = arrive(world, unnamed(world))
    assert (thief.page.status_code, world.refusals(), bound(world)) == (422, ["not_bound"], []), "it is for an officer"


@pytest.mark.requirement("R20")
def test_an_app_younger_than_a_week_chooses_no_key(world: World) -> None:
    second_key(world)
    device_of(world, totp.SETTLES - timedelta(minutes=2))
    assert arrive(world, unnamed(world)).page.status_code == 422
    world.clock.advance(minutes=2)
    assert arrive(world, unnamed(world)).at.endswith("/totp")


def test_an_app_that_was_renewed_on_the_way_chooses_no_key(world: World) -> None:
    second_key(world)
    device_of(world)
    person = arrive(world, unnamed(world))
    with world.app.app_context(), transaction():
        totp.switch_off(world.account_id, world.clock.now())
    device = device_of(world, timedelta())
    person.submit(code=device.at(world.clock.now()))
    assert OTHER[-4:] not in person.text
    person.submit(action="choose", choice=OTHER)
    assert bound(world) == []


def test_choosing_does_not_go_before_totp(world: World) -> None:
    second_key(world)
    device_of(world)
    person = arrive(world, unnamed(world))
    csrf = person.form().fields["csrf_token"]
    step = person.at.replace("/totp", "/ekey")
    person.client.post(step, data={"csrf_token": csrf, "action": "choose", "choice": OTHER})
    assert (bound(world), world.sessions()) == ([], [])


def test_one_key_that_remains_is_confirmed(world: World) -> None:
    device = device_of(world)
    person = arrive(world, unnamed(world))
    person.submit(code=device.at(world.clock.now()))
    assert person.form().fields["choice"] == SERIAL
    person.submit(action="choose")
    assert (person.at, bound(world)) == ("/hall", [SERIAL])


def test_the_choice_may_be_left(world: World) -> None:
    second_key(world)
    device = device_of(world)
    person = arrive(world, unnamed(world))
    person.submit(code=device.at(world.clock.now()))
    person.submit(action="skip")
    assert (person.at, bound(world)) == ("/hall", [])
    assert world.sessions()[0].ekey_at is None


def test_a_key_that_is_proven_spares_the_code(world: World) -> None:
    device_of(world)
    person = arrive(world, world.card)
    assert person.at == "/hall"
    (row,) = world.sessions()
    assert (row.totp_at, row.ekey_serial) == (None, SERIAL)


def test_skipping_the_key_does_not_skip_the_code(world: World) -> None:
    device = device_of(world)
    person = Holder(world.app)
    person.open("/loginCorp.html")
    person.submit(username=NAME, password=PASSWORD, ekey="use")
    person.submit(action="skip")
    assert person.at.endswith("/totp")
    person.submit(action="ekey")
    assert person.at.endswith("/ekey")
    person.submit(action="skip")
    person.submit(code=device.at(world.clock.now()))
    assert person.at == "/hall"
