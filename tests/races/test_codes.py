"""Many at once: one code, one sign-out, one assertion."""

import threading
from collections.abc import Callable
from functools import partial

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from idp.db import session
from idp.oidc.models import Grant
from tests.fakes import FakeClock
from tests.oidc.conftest import Somebody
from tests.oidc.test_client_authentication import KEY, assertion, by
from tests.relying_party import RelyingParty, body_of

THREADS = 8


def at_once(one: Callable[[int], None]) -> None:
    """Run `one` in THREADS threads that start together."""
    gate = threading.Barrier(THREADS)

    def run(number: int) -> None:
        gate.wait()
        one(number)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _redeem(rp: RelyingParty, code: str, answers: list[TestResponse], _number: int) -> None:
    answers.append(rp.redeem(code))


@pytest.mark.store
@pytest.mark.spec("RFC 6749", "4.1.2")
def test_of_eight_redemptions_of_one_code_one_wins(rp: RelyingParty, platform: Flask, beijing: Somebody) -> None:
    browser = rp.browser(beijing.id)
    for _ in range(3):
        code = rp.code(browser)
        answers: list[TestResponse] = []
        at_once(partial(_redeem, rp, code, answers))
        assert sorted(answer.status_code for answer in answers) == [200] + [400] * (THREADS - 1)
        assert {body_of(answer)["error"] for answer in answers if answer.status_code != 200} == {"invalid_grant"}
        # the losers were replays: what the winner got is dead
        winner = next(answer for answer in answers if answer.status_code == 200)
        assert rp.userinfo(body_of(winner)["access_token"]).status_code == 401
    with platform.app_context():
        assert {grant.end_reason for grant in session.query(Grant)} == {"code_replayed"}


@pytest.mark.store
def test_of_eight_uses_of_one_assertion_one_wins(platform: Flask, clock: FakeClock, beijing: Somebody) -> None:
    jwk = {**KEY.as_dict(private=False), "kid": "k1"}
    keyed = RelyingParty(platform, clock, "keyed", None, token_endpoint_auth_method="private_key_jwt", jwks={"keys": [jwk]})
    browser, shown = keyed.browser(beijing.id), by(assertion(clock))
    codes = [keyed.code(browser) for _ in range(THREADS)]
    statuses: list[int] = []
    at_once(lambda number: statuses.append(keyed.redeem(codes[number], {}, **shown).status_code))
    assert sorted(statuses) == [200] + [401] * (THREADS - 1)


@pytest.mark.store
def test_codes_for_many_at_once_all_arrive(rp: RelyingParty, beijing: Somebody) -> None:
    browsers = [rp.browser(beijing.id) for _ in range(THREADS)]
    statuses: list[int] = []
    at_once(lambda number: statuses.append(rp.redeem(rp.code(browsers[number])).status_code))
    assert statuses == [200] * THREADS
