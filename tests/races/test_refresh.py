"""Many at once: one refresh token, a refresh and what ends its grant."""

from functools import partial

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from idp.db import session, transaction
from idp.oidc import revocation
from idp.oidc.models import Grant
from idp.oidc.token_models import RefreshToken
from idp.sessions import lifecycle
from idp.sessions.models import Session
from tests.fakes import FakeClock
from tests.oidc.conftest import Somebody
from tests.races.test_codes import THREADS, at_once
from tests.relying_party import RelyingParty, body_of


def _refresh(client: RelyingParty, token: str, answers: list[TestResponse], _number: int) -> None:
    answers.append(client.refresh(token))


@pytest.mark.store
@pytest.mark.spec("RFC 9700", "4.14")
def test_of_eight_refreshes_of_one_rotating_token_one_gets_the_successor(public: RelyingParty, platform: Flask, beijing: Somebody) -> None:
    token = public.tokens(public.browser(beijing.id))["refresh_token"]
    for made in range(2, 5):
        answers: list[TestResponse] = []
        at_once(partial(_refresh, public, token, answers))
        assert [answer.status_code for answer in answers] == [200] * THREADS
        (token,) = (body["refresh_token"] for body in map(body_of, answers) if "refresh_token" in body)
        for answer in answers:
            assert public.userinfo(body_of(answer)["access_token"]).status_code == 200
        with platform.app_context():
            assert session.query(RefreshToken).count() == made
    assert public.refresh(token).status_code == 200


@pytest.mark.store
@pytest.mark.parametrize("kind", ["public", "refreshing"])
def test_whatever_is_first_nothing_lives_after_a_revocation(request: pytest.FixtureRequest, kind: str, beijing: Somebody) -> None:
    client: RelyingParty = request.getfixturevalue(kind)
    browser = client.browser(beijing.id)
    for _ in range(3):
        token = client.tokens(browser)["refresh_token"]
        answers: list[TestResponse] = []

        def one(number: int, token: str = token, answers: list[TestResponse] = answers) -> None:
            answers.append(client.revoke(token) if number == 3 else client.refresh(token))

        at_once(one)
        assert {answer.status_code for answer in answers} <= {200, 400}
        _nothing_lives(client, token, answers)


@pytest.mark.store
def test_whatever_is_first_nothing_lives_after_a_sign_out(refreshing: RelyingParty, platform: Flask, beijing: Somebody, clock: FakeClock) -> None:
    for _ in range(3):
        browser = refreshing.browser(beijing.id)
        token = refreshing.tokens(browser)["refresh_token"]
        clock.advance(minutes=2)  # so that activity is written, too
        code = refreshing.code(browser, prompt="none")
        answers: list[TestResponse] = []

        def one(number: int, token: str = token, code: str = code, answers: list[TestResponse] = answers) -> None:
            if number == 3:
                with platform.app_context(), transaction():
                    for row in session.query(Session).filter(Session.ended_at.is_(None)):
                        lifecycle.end(row, "signed_out", clock.now(), revocation.on_session_end)
            else:
                answers.append(refreshing.refresh(token, user_activity="true") if number else refreshing.redeem(code))

        at_once(one)
        assert {answer.status_code for answer in answers} <= {200, 400}
        _nothing_lives(refreshing, token, answers)
    with platform.app_context():
        assert session.query(Grant).filter(Grant.ended_at.is_(None)).count() == 0


def _nothing_lives(client: RelyingParty, token: str, answers: list[TestResponse]) -> None:
    bodies = [body for body in map(body_of, answers) if "access_token" in body]
    assert client.refresh(token).status_code == 400
    for body in bodies:
        assert client.userinfo(body["access_token"]).status_code == 401
        if "refresh_token" in body:
            assert client.refresh(body["refresh_token"]).status_code == 400
