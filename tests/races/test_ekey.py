"""Many at once: the first use of a card, by one person and by two."""

from datetime import UTC, date, datetime

import pytest
from flask import Flask
from sqlalchemy import select

from idp.db import session, transaction
from idp.ekey import binding
from idp.ekey.binding import Ambiguous, Bound
from idp.ekey.leaf import Identity
from idp.ekey.models import EKeyBinding
from idp.ekey.refusal import Refused
from tests import people
from tests.fakes import START
from tests.races.test_codes import THREADS, at_once

SERIAL, TODAY = "EK76DA6FAE991C57", date(2026, 3, 2)


def card(letter: str) -> Identity:
    """One of several cards that all say they are the same key of the list."""
    return Identity(people.NAME, SERIAL, people.CODE, "i" * 64, letter * 64, "f" * 64, datetime(2027, 1, 1, tzinfo=UTC))


def first_uses(app: Flask, account_id: int, cards: str) -> list[Bound | Ambiguous | Refused]:
    """What came of it, one thread for each letter of `cards`."""
    found: list[Bound | Ambiguous | Refused] = []

    def one(number: int) -> None:
        with app.app_context(), transaction():
            found.append(binding.bind_first_use(card(cards[number]), account_id, START, TODAY))

    at_once(one)
    return found


@pytest.fixture
def account_id(app: Flask) -> int:
    with app.app_context(), transaction():
        owner = people.account(people.enterprise(), [people.NAME])
        people.key(owner, ["export"], SERIAL)
        session.flush()
        return owner.id


@pytest.mark.store
@pytest.mark.requirement("R20")
def test_a_card_that_is_used_many_times_at_once_is_bound_once(app: Flask, account_id: int) -> None:
    assert first_uses(app, account_id, "s" * THREADS) == [Bound(SERIAL, account_id)] * THREADS
    with app.app_context():
        assert len(session.scalars(select(EKeyBinding)).all()) == 1


@pytest.mark.store
def test_of_many_cards_that_say_they_are_one_key_one_is_bound(app: Flask, account_id: int) -> None:
    found = first_uses(app, account_id, "abcdefgh"[:THREADS])
    assert [each for each in found if isinstance(each, Bound)] == [Bound(SERIAL, account_id)]
    assert {each.reason for each in found if isinstance(each, Refused)} == {"not_bound"}
