"""Refusals leave at full steps of time, so that time tells nothing of accounts (threats F). Nobody waits here: what would be waited is noted."""

import pytest
from flask import Flask

from idp import pacing
from idp.db import transaction
from tests import people
from tests.people import NAME, OLD
from tests.person import Person


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    found: list[float] = []
    monkeypatch.setattr(pacing, "sleep", found.append)
    return found


@pytest.fixture
def beijing(app: Flask) -> None:
    with app.app_context(), transaction():
        people.beijing()


@pytest.mark.parametrize(("seconds", "step", "rest"), [(0.03, 0.1, 0.07), (0.1, 0.1, 0.1), (0.25, 0.1, 0.05), (0.0, 0.1, 0.1), (5.0, 0.0, 0.0)])
def test_the_rest_of_a_step(seconds: float, step: float, rest: float) -> None:
    assert pacing.left(seconds, step) == pytest.approx(rest)


@pytest.mark.requirement("R61")
@pytest.mark.usefixtures("beijing")
def test_a_refused_password_waits_and_a_right_one_does_not(app: Flask, waits: list[float]) -> None:
    for name in (NAME, "nobody"):
        person = Person(app)
        person.type_password(name, "wrong")
    assert len(waits) == 2
    assert all(0 < wait <= 0.1 for wait in waits)
    person.submit(username=NAME, password=OLD)
    assert (person.at.endswith("/change"), len(waits)) == (True, 2)


@pytest.mark.requirement("R58")
@pytest.mark.usefixtures("beijing")
def test_a_recovery_waits_whoever_was_named(app: Flask, waits: list[float]) -> None:
    for name in (NAME, "nobody"):
        person = Person(app)
        person.open("/recover")
        person.submit(username=name, contact="13800138000")
        assert person.at.endswith("/recover-code")
    assert len(waits) == 2


@pytest.mark.requirement("R61")
def test_every_form_that_looks_at_a_password_or_a_contact_is_paced(app: Flask) -> None:
    paced = {"password_post": "signin", "submit": ("linking", "legacy_entry", "recovery"), "attempt": "legacy"}
    found = [endpoint for endpoint, view in app.view_functions.items() if _is_paced(view)]
    assert len(found) == 5, found
    assert {endpoint.rpartition(".")[2] for endpoint in found} == set(paced)


def _is_paced(view: object) -> bool:
    """Whether a decorator of `idp.pacing` is among those around the view."""
    while view is not None:
        code = getattr(view, "__code__", None)
        if code is not None and code.co_name == "paced":
            return True
        view = getattr(view, "__wrapped__", None)
    return False
