"""A stored authorization request is answered once, and for a minute again; and a sign-in in one tab leaves the other tabs' requests alone."""

import pytest
from flask import Flask
from flask.testing import FlaskClient

from idp.accounts.argon2id import hasher
from idp.db import session, transaction
from idp.signin.models import SignInTransaction
from tests.fakes import START, FakeClock
from tests.oidc.conftest import Somebody, account
from tests.people import NAME, NEW
from tests.person import Person
from tests.relying_party import ISSUER, RelyingParty, answer_of


def back_of(platform: Flask, location: str) -> str:
    with platform.app_context():
        return session.get_one(SignInTransaction, location.split("/")[2].split("?")[0]).return_to


@pytest.fixture
def signed_in(rp: RelyingParty, platform: Flask, beijing: Somebody) -> tuple[FlaskClient, str]:
    """A browser whose person has just signed in for a request that asks for it, and the address where they come back."""
    browser = rp.browser()
    back = back_of(platform, rp.authorize(browser, prompt="login", max_age="0").location)
    rp.sign_in(browser, beijing.id)
    return browser, back


@pytest.mark.store
@pytest.mark.requirement("R84")
def test_a_request_that_brought_a_code_brings_another_for_a_minute_only(signed_in: tuple[FlaskClient, str], clock: FakeClock) -> None:
    browser, back = signed_in
    # before the first answer a person may take their time
    clock.advance(minutes=20)
    assert "code" in answer_of(browser.get(back, base_url=ISSUER))
    clock.advance(seconds=59)
    assert "code" in answer_of(browser.get(back, base_url=ISSUER))
    # the minute does not begin anew
    clock.advance(seconds=1)
    late = browser.get(back, base_url=ISSUER)
    assert late.status_code == 400
    assert "登录请求已过期" in late.get_data(as_text=True)


def test_a_request_that_was_cancelled_brings_no_code_later(signed_in: tuple[FlaskClient, str], clock: FakeClock) -> None:
    browser, back = signed_in
    assert answer_of(browser.get(f"{back}/cancelled", base_url=ISSUER))["error"] == "access_denied"
    clock.advance(seconds=60)
    assert browser.get(back, base_url=ISSUER).status_code == 400


def test_a_no_on_the_consent_page_stands(platform: Flask, clock: FakeClock, beijing: Somebody) -> None:
    stranger = RelyingParty(platform, clock, "stranger", first_party=False)
    browser = stranger.browser(beijing.id)
    back = stranger.authorize(browser).location
    page = browser.get(back, base_url=ISSUER, follow_redirects=True)
    token = page.get_data(as_text=True).split('name="csrf_token" value="')[1].split('"')[0]
    said = browser.post(page.request.path, data={"csrf_token": token, "action": "deny"}, base_url=ISSUER)
    assert answer_of(said)["error"] == "access_denied"
    clock.advance(seconds=60)
    assert browser.get(page.request.path, base_url=ISSUER).status_code == 400


@pytest.mark.requirement("R84")
def test_two_tabs_two_clients_one_after_the_other_both_arrive(rp: RelyingParty, platform: Flask, clock: FakeClock, beijing: Somebody) -> None:
    with platform.app_context(), transaction():
        row = account(beijing)
        row.password_hash, row.email_proven_at = hasher(19456, 2, 0).hash(NEW), START
    other = RelyingParty(platform, clock, "other", redirect_uris=["https://other.example/cb"])
    person, forms = Person(platform), []
    for party in (rp, other):
        person.page = person.client.get(party.authorize(person.client).location, follow_redirects=True)
        forms.append((party, *person.prepare(username=NAME, password=NEW)))
    for party, action, fields in forms:
        answer = person.client.post(action, data=fields, base_url=ISSUER)
        assert party.redeem(answer_of(person.client.get(answer.location, base_url=ISSUER))["code"]).status_code == 200
