"""A sign-out at the same moment as a code: whoever is second sees the first."""

import threading
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from idp.db import session, transaction
from idp.oidc import authorization, tokens
from idp.oidc.checks import Subject
from idp.oidc.models import Grant
from idp.oidc.revocation import on_session_end
from idp.sessions import lifecycle
from idp.sessions.models import Session
from tests.fakes import FakeClock
from tests.oidc.conftest import Somebody
from tests.relying_party import RelyingParty, answer_of


def sign_out(app: Flask, clock: FakeClock) -> None:
    with app.app_context(), transaction():
        lifecycle.end(session.scalars(select(Session)).one(), "signed_out", clock.now(), on_session_end)


@pytest.mark.store
@pytest.mark.requirement("R76")
def test_a_sign_out_that_is_second_ends_the_grant_of_the_code(
    rp: RelyingParty, platform: Flask, beijing: Somebody, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    over, real = threading.Event(), authorization.issue

    def out() -> None:
        sign_out(platform, clock)
        over.set()

    thread = threading.Thread(target=out)

    def slow(*given: Any) -> Any:
        code = real(*given)
        thread.start()
        # it waits for the commit of the code
        assert not over.wait(0.3)
        return code

    monkeypatch.setattr(authorization, "issue", slow)
    code = rp.code(rp.browser(beijing.id))
    thread.join()
    assert rp.redeem(code).json == {"error": "invalid_grant"}
    with platform.app_context():
        assert session.scalars(select(Grant.end_reason)).all() == ["signed_out"]


@pytest.mark.store
def test_a_sign_out_that_is_first_leaves_no_code(
    rp: RelyingParty, platform: Flask, beijing: Somebody, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = authorization.decide

    def late(subject: Subject, at: authorization.Situation) -> authorization.Decision:
        decision = real(subject, at)
        thread = threading.Thread(target=sign_out, args=(platform, clock))
        thread.start()
        thread.join()
        return decision

    monkeypatch.setattr(authorization, "decide", late)
    assert answer_of(rp.authorize(rp.browser(beijing.id), prompt="none"))["error"] == "login_required"
    with platform.app_context():
        assert session.scalars(select(Grant.id)).all() == []


@pytest.mark.store
def test_a_sign_out_between_check_and_redemption_wins(
    rp: RelyingParty, platform: Flask, beijing: Somebody, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, real = rp.code(rp.browser(beijing.id)), tokens.sign

    def late(*given: Any) -> dict[str, Any]:
        thread = threading.Thread(target=sign_out, args=(platform, clock))
        thread.start()
        thread.join()
        return real(*given)

    monkeypatch.setattr(tokens, "sign", late)
    assert rp.redeem(code).json == {"error": "invalid_grant"}
