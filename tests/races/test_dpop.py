"""Many at once with one DPoP proof, at the token endpoint and at userinfo: one wins."""

import pytest
from flask import Flask

from idp.db import session
from idp.oidc.models import AuthorizationCode, Grant
from tests.fakes import FakeClock
from tests.fapi import Holder
from tests.oidc.conftest import Somebody
from tests.races.test_codes import THREADS, at_once
from tests.relying_party import ISSUER, RelyingParty, body_of


@pytest.mark.store
@pytest.mark.spec("RFC 9449", "11.1")
def test_of_eight_uses_of_one_proof_one_wins(rp: RelyingParty, platform: Flask, clock: FakeClock, beijing: Somebody) -> None:
    browser, headers = rp.browser(beijing.id), {**rp.basic(), **Holder(clock).at_token()}
    codes = [rp.code(browser) for _ in range(THREADS)]
    answers: list[tuple[int, str]] = []

    def one(number: int) -> None:
        answer = rp.redeem(codes[number], headers)
        answers.append((answer.status_code, body_of(answer).get("error", "")))

    at_once(one)
    assert sorted(answers) == [(200, "")] + [(400, "invalid_dpop_proof")] * (THREADS - 1)
    # the others redeemed nothing, and ended nothing
    with platform.app_context():
        assert session.query(AuthorizationCode).filter(AuthorizationCode.spent_at.is_not(None)).count() == 1
        assert session.query(Grant).filter(Grant.ended_at.is_not(None)).count() == 0


@pytest.mark.store
@pytest.mark.spec("RFC 9449", "11.1")
def test_of_eight_uses_of_one_proof_at_userinfo_one_wins(rp: RelyingParty, platform: Flask, clock: FakeClock, beijing: Somebody) -> None:
    holder = Holder(clock)
    token = body_of(rp.redeem(rp.code(rp.browser(beijing.id)), {**rp.basic(), **holder.at_token()}))["access_token"]
    for _ in range(3):
        headers, statuses = holder.bearing(token), list[int]()

        def one(_number: int, headers: dict[str, str] = headers, statuses: list[int] = statuses) -> None:
            statuses.append(platform.test_client().get("/oauth2/userinfo", headers=headers, base_url=ISSUER).status_code)

        at_once(one)
        assert sorted(statuses) == [200] + [401] * (THREADS - 1)
