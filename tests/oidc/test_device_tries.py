"""The page for device codes (RFC 8628 §5.1, §5.4): who may try how many codes, what a link does, and a yes that comes too late."""

import re
from typing import Any

import pytest
from flask import Flask

from idp.db import session, transaction
from idp.oidc import client_lifecycle, devices
from idp.oidc.device_models import DeviceAuthorization
from idp.oidc.models import Grant
from idp.sessions.models import Session
from tests.fakes import FakeClock
from tests.oidc import test_device
from tests.oidc.conftest import Somebody
from tests.oidc.test_device import look, say, started
from tests.relying_party import ISSUER, RelyingParty

pytestmark = pytest.mark.spec("RFC 8628", "3")
settings, tv = test_device.settings, test_device.tv


@pytest.mark.spec("RFC 8628", "5.1")
def test_guesses_are_limited(tv: RelyingParty, clock: FakeClock, beijing: Somebody) -> None:
    codes, browser = started(tv), tv.browser(beijing.id)
    _, shown = look(browser, codes["user_code"])
    # right ones are counted too
    statuses = [look(browser, "BBBB-BBBB")[0].status_code for _ in range(20)]
    assert statuses == [400] * 19 + [429]
    page, fields = look(browser, codes["user_code"])
    assert (page.status_code, "seal" in fields) == (429, False)
    assert browser.post("/device", data={**shown, "action": "allow"}, base_url=ISSUER).status_code == 429
    clock.advance(seconds=600)
    assert look(browser, started(tv)["user_code"])[0].status_code == 200


@pytest.mark.spec("RFC 8628", "5.1")
def test_guesses_are_limited_by_network_too(platform: Flask, clock: FakeClock) -> None:
    with platform.app_context(), transaction():
        looks = [devices.may_look(number % 20, "192.0.2.0/24", clock.now()) for number in range(201)]
        assert looks == [True] * 200 + [False]
        assert devices.may_look(99, "198.51.100.0/24", clock.now())


@pytest.mark.store
@pytest.mark.spec("RFC 8628", "5.1")
def test_one_who_guesses_leaves_the_others_of_the_network_their_tries(
    tv: RelyingParty, platform: Flask, clock: FakeClock, shanghai: Somebody, beijing: Somebody
) -> None:
    guesser, codes = tv.browser(shanghai.id), started(tv)
    assert [look(guesser, "BBBB-BBBB")[0].status_code for _ in range(25)] == [400] * 20 + [429] * 5
    with platform.app_context(), transaction():
        # far beyond what the network may
        assert not any(devices.may_look(shanghai.id, "127.0.0.1", clock.now()) for _ in range(250))
        assert devices.may_look(beijing.id, "127.0.0.1", clock.now())
    assert look(tv.browser(beijing.id), codes["user_code"])[0].status_code == 200


@pytest.mark.spec("RFC 8628", "5.4")
def test_a_link_uses_up_nobodys_tries(tv: RelyingParty, platform: Flask, clock: FakeClock, beijing: Somebody) -> None:
    """A hostile page full of links or pictures can open it as often as it likes."""
    browser, codes = tv.browser(beijing.id), started(tv)
    for user_code in ["BBBB-BBBB"] * 25 + [codes["user_code"]] * 5:
        assert browser.get("/device", query_string={"user_code": user_code}, base_url=ISSUER).status_code == 200
    # nor does a form that another site sends
    for _ in range(25):
        assert browser.post("/device", data={"user_code": codes["user_code"]}, base_url=ISSUER).status_code == 403
    assert browser.post("/device", data={"user_code": codes["user_code"], "action": "allow"}, base_url=ISSUER).status_code == 403
    # a slip that can be no code is none either
    assert [look(browser, "BBBB")[0].status_code for _ in range(25)] == [400] * 25
    with platform.app_context(), transaction():
        assert all(devices.may_look(beijing.id, "127.0.0.1", clock.now()) for _ in range(19))
    assert look(browser, codes["user_code"])[0].status_code == 200


@pytest.mark.store
@pytest.mark.parametrize("end", ["client", "session"])
def test_a_yes_counts_only_while_client_and_session_live(
    tv: RelyingParty, platform: Flask, clock: FakeClock, beijing: Somebody, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    codes, browser, real = started(tv), tv.browser(beijing.id), devices.approve

    def late(*given: Any) -> object:
        """Between the look and the yes something ends."""
        if end == "client":
            client_lifecycle.disable("tv", clock.now())
        else:
            session.query(Session).update({"ended_at": clock.now(), "end_reason": "signed_out"})
        return real(*given)

    monkeypatch.setattr(devices, "approve", late)
    assert say(browser, codes, "allow").location != "/device/allowed"
    with platform.app_context():
        assert session.query(Grant).count() == 0
        assert session.query(DeviceAuthorization).one().approved_at is None


def test_what_a_person_sees_before_saying_anything(tv: RelyingParty, platform: Flask, beijing: Somebody, shanghai: Somebody) -> None:
    """A link looks nothing up and says nothing; an unknown code tells no more than a code that is over."""
    codes, browser = started(tv), tv.browser(beijing.id)
    link = browser.get("/device", query_string={"user_code": codes["user_code"]}, base_url=ISSUER).get_data(as_text=True)
    assert (codes["user_code"] in link, "窗口" in link, 'value="allow"' in link) == (True, False, False)
    assert say(tv.browser(shanghai.id), codes, "deny").location == "/device/denied"
    over, unknown = (look(browser, code)[0] for code in (codes["user_code"], "BBBB-BBBB"))
    assert (over.status_code, unknown.status_code) == (400, 400)
    texts = [each.get_data(as_text=True).replace(code, "") for each, code in ((over, codes["user_code"]), (unknown, "BBBB-BBBB"))]
    assert _without_token(texts[0]) == _without_token(texts[1])
    # a code of a client that may not use the grant any more
    codes = started(tv)
    with platform.app_context(), transaction():
        client_lifecycle.disable("tv", tv.clock.now())
    assert look(browser, codes["user_code"])[0].status_code == 400


def _without_token(text: str) -> str:
    return re.sub(r'name="csrf_token" value="[^"]*"', "", text)
