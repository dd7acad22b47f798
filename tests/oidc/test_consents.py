"""Consent is remembered, asked again for more, listed, and withdrawn."""

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from werkzeug.test import TestResponse

from idp.audit.models import AuditEvent
from idp.db import session, transaction
from idp.oidc import authorization, consents
from idp.oidc.models import Consent, Grant
from idp.outbox.models import OutboxItem
from tests.fakes import FakeClock
from tests.oidc.conftest import Somebody
from tests.oidc.test_consent import page
from tests.races.test_codes import THREADS, at_once
from tests.relying_party import ISSUER, RelyingParty, answer_of, body_of

EVERYTHING = "openid profile email phone licence:export"


@pytest.fixture
def stranger(platform: Flask, clock: FakeClock) -> RelyingParty:
    return RelyingParty(
        platform,
        clock,
        "stranger",
        first_party=False,
        scope=EVERYTHING,
        backchannel_logout_uri="https://rp.example/bye",
        initiate_login_uri="https://rp.example/start?x=1",
        client_name="物流公司",
    )


def agree(rp: RelyingParty, browser: FlaskClient, **changes: str | None) -> str:
    path, _, fields = page(browser, rp.authorize(browser, **changes).location)
    return answer_of(browser.post(path, data={**fields, "action": "allow"}, base_url=ISSUER))["code"]


def asks(rp: RelyingParty, browser: FlaskClient, **changes: str | None) -> bool:
    """Whether a request leads to the consent page."""
    silent = answer_of(rp.authorize(browser, prompt="none", **changes))
    loud = "code" not in answer_of(rp.authorize(browser, **changes))
    assert loud == (silent.get("error") == "consent_required")
    return loud


def withdraw(browser: FlaskClient, client_id: str = "stranger", **headers: str) -> TestResponse:
    text = browser.get("/account/consents", base_url=ISSUER).get_data(as_text=True)
    token = text.split('name="csrf_token" value="')[1].split('"')[0]
    return browser.post(f"/account/consents/{client_id}/withdraw", data={"csrf_token": token}, headers=headers, base_url=ISSUER)


@pytest.mark.requirement("R81")
@pytest.mark.spec("OIDC Core", "3.1.2.4")
def test_a_yes_is_remembered_for_as_much_and_no_more(stranger: RelyingParty, beijing: Somebody) -> None:
    browser = stranger.browser(beijing.id)
    agree(stranger, browser, scope="openid email")
    assert not asks(stranger, browser, scope="openid email")
    assert not asks(stranger, browser, scope="openid")
    assert asks(stranger, browser, scope="openid email phone")
    agree(stranger, browser, scope="openid phone")
    # what was allowed in two parts is allowed together
    assert not asks(stranger, browser, scope="openid email phone")
    # on another machine too
    assert not asks(stranger, stranger.browser(beijing.id), scope="openid email")


def test_single_claims_are_asked_about_and_remembered(stranger: RelyingParty, beijing: Somebody) -> None:
    browser = stranger.browser(beijing.id)
    agree(stranger, browser, scope="openid")
    wish = '{"userinfo":{"phone_number":null}}'
    _, text, _ = page(browser, stranger.authorize(browser, scope="openid", claims=wish).location)
    assert "手机号码" in text
    agree(stranger, browser, scope="openid", claims=wish)
    assert not asks(stranger, browser, scope="openid", claims=wish)
    assert asks(stranger, browser, scope="openid phone")


def test_consent_belongs_to_one_person_and_one_client(
    stranger: RelyingParty, platform: Flask, clock: FakeClock, beijing: Somebody, shanghai: Somebody
) -> None:
    agree(stranger, stranger.browser(beijing.id), scope="openid")
    assert asks(stranger, stranger.browser(shanghai.id), scope="openid")
    other = RelyingParty(platform, clock, "other", first_party=False)
    assert asks(other, stranger.browser(beijing.id), scope="openid")


def test_prompt_consent_asks_again(stranger: RelyingParty, beijing: Somebody) -> None:
    browser = stranger.browser(beijing.id)
    agree(stranger, browser, scope="openid")
    assert "code" not in answer_of(stranger.authorize(browser, scope="openid", prompt="consent"))
    assert agree(stranger, browser, scope="openid", prompt="consent")


def test_a_no_is_not_remembered_as_a_yes(stranger: RelyingParty, beijing: Somebody) -> None:
    browser = stranger.browser(beijing.id)
    path, _, fields = page(browser, stranger.authorize(browser, scope="openid").location)
    browser.post(path, data={**fields, "action": "deny"}, base_url=ISSUER)
    assert asks(stranger, browser, scope="openid")


def test_what_has_no_right_today_is_agreed_to_by_name(stranger: RelyingParty, platform: Flask, shanghai: Somebody, clock: FakeClock) -> None:
    hall = RelyingParty(platform, clock, "hall", first_party=False, scope="openid licence:export licence:import")
    browser = hall.browser(shanghai.id)
    with platform.app_context(), transaction():
        from idp.accounts.models import Account
        from tests import people

        people.key(session.get_one(Account, shanghai.id), ["export"])
    _, text, _ = page(browser, hall.authorize(browser, resource=ISSUER).location)
    assert "出口许可证" in text
    assert "进口许可证" in text


@pytest.mark.requirement("R81")
def test_the_page_lists_what_was_allowed_and_takes_it_back(stranger: RelyingParty, platform: Flask, beijing: Somebody) -> None:
    browser = stranger.browser(beijing.id)
    tokens = body_of(stranger.redeem(agree(stranger, browser)))
    text = browser.get("/account/consents", base_url=ISSUER).get_data(as_text=True)
    for shown in ("物流公司", "电子邮箱", "出口许可证", "https://rp.example/start?x=1&amp;iss=http%3A%2F%2F127.0.0.1%3A8000"):
        assert shown in text
    assert stranger.userinfo(tokens["access_token"]).status_code == 200
    assert withdraw(browser).location == "/account/consents"
    # from that commit
    assert stranger.userinfo(tokens["access_token"]).status_code == 401
    assert asks(stranger, browser)
    assert "物流公司" not in browser.get("/account/consents", base_url=ISSUER).get_data(as_text=True)
    with platform.app_context():
        assert session.scalars(select(Grant.end_reason)).all() == ["consent_withdrawn"]
        events = session.scalars(select(AuditEvent.event).where(AuditEvent.event.like("oidc.consent.%")).order_by(AuditEvent.id)).all()
        assert events == ["oidc.consent.given", "oidc.consent.withdrawn"]
        # the client is told
        facts = session.scalars(select(OutboxItem.payload)).one()
        assert (facts["client_id"], facts["account_id"]) == ("stranger", beijing.id)


def test_only_the_person_takes_it_back(stranger: RelyingParty, beijing: Somebody, shanghai: Somebody) -> None:
    mine, other = stranger.browser(beijing.id), stranger.browser(shanghai.id)
    agree(stranger, mine, scope="openid")
    agree(stranger, other, scope="openid")
    # no token, a foreign page, nobody, another client
    assert mine.post("/account/consents/stranger/withdraw", base_url=ISSUER).status_code == 403
    assert withdraw(mine, Origin="https://evil.example").status_code == 403
    for odd in ("nobody", "%00", "x" * 300, "%ff"):
        assert withdraw(mine, odd).status_code == 404
    assert withdraw(other).status_code == 303
    assert not asks(stranger, mine, scope="openid")
    assert asks(stranger, other, scope="openid")


@pytest.mark.store
def test_many_consents_at_once_lose_nothing(stranger: RelyingParty, platform: Flask, beijing: Somebody, clock: FakeClock) -> None:
    wanted = [f"s{number}" for number in range(THREADS)]

    def say_yes(number: int) -> None:
        with platform.app_context(), transaction():
            consents.remember(beijing.id, "stranger", ["openid", wanted[number]], [f"c{number}"], clock.now())

    at_once(say_yes)
    with platform.app_context():
        row = session.scalars(select(Consent)).one()
        assert set(row.scopes) == {"openid", *wanted}
        assert len(row.claims) == THREADS


@pytest.mark.store
def test_a_withdrawal_between_decision_and_code_leaves_no_code(
    stranger: RelyingParty, platform: Flask, beijing: Somebody, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    import threading

    browser, real = stranger.browser(beijing.id), authorization.decide
    agree(stranger, browser, scope="openid")

    def take_back() -> None:
        with platform.app_context(), transaction():
            assert consents.withdraw(beijing.id, "stranger", clock.now())

    def late(*given: object) -> authorization.Decision:
        decision = real(*given)  # type: ignore[arg-type]  # handed through
        thread = threading.Thread(target=take_back)
        thread.start()
        thread.join()
        return decision

    monkeypatch.setattr(authorization, "decide", late)
    assert answer_of(stranger.authorize(browser, scope="openid", prompt="none"))["error"] == "consent_required"
