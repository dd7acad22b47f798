"""Many at once: sign-ins that started with one pushed request, and one request object pushed again and again."""

from collections.abc import Callable

import pytest
from flask import Flask

from idp.db import session
from idp.oidc.models import Grant, PushedRequest
from tests.fakes import FakeClock
from tests.fapi import KeyedParty
from tests.oidc.conftest import Somebody
from tests.oidc.test_pushed import pushed
from tests.oidc.test_request_objects import at_par, request_object
from tests.races.test_codes import THREADS, at_once
from tests.relying_party import ISSUER, RelyingParty, answer_of


def _answers(rp: RelyingParty, somebody: Somebody, ending: Callable[[int], str]) -> list[str]:
    """What eight browsers that started with one pushed request bring back at once ("" = a code); `ending`: where each of them goes."""
    uri, browsers, errors = pushed(rp), [rp.browser() for _ in range(THREADS)], list[str]()
    asked = {"client_id": rp.client_id, "request_uri": uri}
    waiting = [browser.post("/oauth2/authorize", data=asked, base_url=ISSUER).location for browser in browsers]
    for browser in browsers:
        rp.sign_in(browser, somebody.id)
    at_once(lambda number: errors.append(answer_of(browsers[number].get(waiting[number] + ending(number), base_url=ISSUER)).get("error", "")))
    return sorted(errors)


@pytest.mark.store
@pytest.mark.spec("RFC 9126", "7.3")
def test_of_eight_sign_ins_one_answers_a_pushed_request(rp: RelyingParty, platform: Flask, beijing: Somebody) -> None:
    for made in range(1, 4):
        assert _answers(rp, beijing, lambda _number: "") == [""] + ["invalid_request_uri"] * (THREADS - 1)
        with platform.app_context():
            assert session.query(Grant).count() == made


@pytest.mark.store
def test_a_code_or_a_no_never_both(rp: RelyingParty, platform: Flask, beijing: Somebody) -> None:
    codes = 0
    for _ in range(3):
        first, *others = _answers(rp, beijing, lambda number: "/cancelled" if number % 2 else "")
        assert first in ("", "access_denied")
        assert set(others) == {"invalid_request_uri"}
        codes += first == ""
    with platform.app_context():
        assert session.query(Grant).count() == codes


@pytest.mark.store
@pytest.mark.spec("RFC 9101", "10.2")
def test_of_eight_pushes_of_one_request_object_one_is_kept(platform: Flask, clock: FakeClock) -> None:
    keyed = KeyedParty(platform, clock)
    token, statuses = request_object(keyed, jti="once"), list[int]()
    at_once(lambda _number: statuses.append(at_par(keyed, token).status_code))
    assert sorted(statuses) == [201] + [400] * (THREADS - 1)
    with platform.app_context():
        assert session.query(PushedRequest).count() == 1
