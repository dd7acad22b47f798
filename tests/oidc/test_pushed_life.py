"""How many pushed requests may wait, for how long, who must push, and what a client that must meanwhile gets (RFC 9126, FAPI 2.0)."""

from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from idp.db import session
from idp.limits import Rule
from idp.oidc import pushed_requests
from idp.oidc.models import Grant, PushedRequest
from idp.worker import BATCHES, run_once
from tests.fakes import FakeClock
from tests.fapi import PAR, Holder, KeyedParty
from tests.oidc.conftest import Somebody
from tests.oidc.test_pushed import _consent, _return_to, push, pushed, refused, start
from tests.relying_party import ISSUER, RelyingParty, answer_of, body_of

FAPI: dict[str, Any] = {"profile": "fapi2-security", "dpop_bound_access_tokens": True}


# --- who must push, and with which key --------------------------------------------------------------------------------------------------------


@pytest.mark.spec("FAPI 2.0 Security Profile", "5.3.2.2")
@pytest.mark.parametrize("members", [FAPI, {"require_pushed_authorization_requests": True}])
def test_who_must_push_gets_nothing_otherwise(platform: Flask, clock: FakeClock, beijing: Somebody, members: dict[str, Any]) -> None:
    keyed = KeyedParty(platform, clock, **members)
    browser = keyed.browser(beijing.id)
    answer = answer_of(keyed.authorize(browser))
    assert (answer["error"], answer["state"], answer["iss"]) == ("invalid_request", "st-1", ISSUER)
    assert "code" in answer_of(start(keyed, browser, pushed(keyed)))
    # also over the store, which is judged again
    browser = keyed.browser()
    waiting = _return_to(keyed, start(keyed, browser, pushed(keyed)).location)
    keyed.sign_in(browser, beijing.id)
    assert "code" in answer_of(browser.get(waiting, base_url=ISSUER))


@pytest.mark.spec("FAPI 2.0 Security Profile", "5.3.2.2")
@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"code_challenge": None, "code_challenge_method": None}, "invalid_request"),
        ({"redirect_uri": None}, "invalid_request"),
        ({"response_type": "code id_token"}, "unsupported_response_type"),
    ],
)
def test_what_fapi_demands_of_a_request(platform: Flask, clock: FakeClock, changes: dict[str, str | None], error: str) -> None:
    refused(push(KeyedParty(platform, clock, **FAPI), **changes), error)


@pytest.mark.spec("RFC 9449", "10.1")
def test_the_key_shown_at_par_binds_the_code(platform: Flask, clock: FakeClock, beijing: Somebody) -> None:
    keyed, mine, other = KeyedParty(platform, clock, **FAPI), Holder(clock), Holder(clock)
    refused(push(keyed, {"DPoP": mine.proof(PAR)}, dpop_jkt=other.jkt), "invalid_request")
    for named in (None, mine.jkt):
        answer = push(keyed, {"DPoP": mine.proof(PAR)}, dpop_jkt=named)
        code = answer_of(start(keyed, keyed.browser(beijing.id), body_of(answer)["request_uri"]))["code"]
        assert keyed.redeem(code, other.at_token(), **keyed.proven()).json == {"error": "invalid_grant"}
        assert keyed.redeem(code, mine.at_token(), **keyed.proven()).status_code == 200
    # one proof, one request
    proof = mine.proof(PAR)
    assert push(keyed, {"DPoP": proof}).status_code == 201
    refused(push(keyed, {"DPoP": proof}), "invalid_dpop_proof")
    refused(push(keyed, {"DPoP": mine.proof()}), "invalid_dpop_proof")


# --- how many, and how long -------------------------------------------------------------------------------------------------------------------


@pytest.mark.store
def test_the_sweep_leaves_what_a_sign_in_may_come_back_to(
    rp: RelyingParty, platform: Flask, clock: FakeClock, beijing: Somebody, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pushed_requests, "SWEPT_AT_ONCE", 2)
    browser, uri = rp.browser(), pushed(rp)
    for _ in range(3):
        pushed(rp)
    clock.advance(seconds=80)
    waiting = browser.post("/oauth2/authorize", data={"client_id": "rp", "request_uri": uri}, base_url=ISSUER).location

    def left() -> int:
        assert run_once(platform, (pushed_requests.sweep,)) == 0
        with platform.app_context():
            return session.query(PushedRequest).count()

    assert left() == 4
    # what nobody started with goes with its request_uri, all of it at once
    clock.advance(minutes=2)
    assert left() == 1
    clock.advance(minutes=27)
    assert left() == 1
    rp.sign_in(browser, beijing.id)
    assert "code" in answer_of(browser.get(waiting, base_url=ISSUER))
    clock.at += timedelta(minutes=95)
    assert left() == 0


def test_what_was_started_is_answered_for_half_an_hour(rp: RelyingParty, clock: FakeClock, beijing: Somebody) -> None:
    browser, uri = rp.browser(), pushed(rp)
    waiting = browser.post("/oauth2/authorize", data={"client_id": "rp", "request_uri": uri}, base_url=ISSUER).location
    browser.get(waiting, base_url=ISSUER)
    clock.advance(minutes=30)
    rp.sign_in(browser, beijing.id)
    # R84: back to the client all the same
    for _ in range(2):
        assert answer_of(browser.get(waiting, base_url=ISSUER))["error"] == "invalid_request_uri"


@pytest.mark.store
@pytest.mark.spec("RFC 9126", "2.3")
def test_a_stranger_cannot_fill_the_disk(platform: Flask, clock: FakeClock) -> None:
    parties = [RelyingParty(platform, clock, name, None, token_endpoint_auth_method="none") for name in ("one", "two")]
    answers = [parties[number % 2].call("par", **parties[number % 2].request()) for number in range(125)]
    assert [answer.status_code for answer in answers] == [201] * 120 + [429] * 5
    assert body_of(answers[-1]) == {"error": "temporarily_unavailable"}
    assert 0 < int(answers[-1].headers["Retry-After"]) <= 60
    with platform.app_context():
        assert session.query(PushedRequest).count() == 120
    # who proves itself is no stranger
    assert push(KeyedParty(platform, clock)).status_code == 201
    clock.advance(seconds=60)
    assert parties[0].call("par", **parties[0].request()).status_code == 201


def kept(platform: Flask) -> int:
    with platform.app_context():
        return session.query(PushedRequest).count()


def push_from(rp: RelyingParty, address: str) -> TestResponse:
    own = rp.basic() if rp.secret is not None else {}
    return rp.app.test_client().post("/oauth2/par", data=rp.request(), headers=own, base_url=ISSUER, environ_base={"REMOTE_ADDR": address})


def test_who_proves_itself_is_bounded_by_client_and_network(
    rp: RelyingParty, public: RelyingParty, platform: Flask, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pushed_requests, "BY_CLIENT", Rule("pushed_requests", 3, 60))
    other = RelyingParty(platform, clock, "other")
    assert [push_from(rp, "192.0.2.1").status_code for _ in range(5)] == [201] * 3 + [429] * 2
    assert kept(platform) == 3
    # neither another client there, nor a stranger, nor the same one from elsewhere has to wait for it
    assert [push_from(each, "192.0.2.1").status_code for each in (other, public)] == [201, 201]
    assert push_from(rp, "198.51.100.1").status_code == 201
    # what is judged bad is no row, and counts as none
    refused(push(other, response_type="token"), "unsupported_response_type")


def test_strangers_are_counted_by_their_network(public: RelyingParty, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pushed_requests, "BY_NOBODY", Rule("pushed_requests_network", 2, 60))
    assert [push_from(public, "192.0.2.1").status_code for _ in range(3)] == [201, 201, 429]
    assert push_from(public, "198.51.100.1").status_code == 201


def test_a_row_that_nobody_started_with_is_gone_in_minutes(rp: RelyingParty, platform: Flask, clock: FakeClock) -> None:
    pushed(rp)
    # a request under way at the end still finds it
    for seconds, left in ((90, 1), (60, 1), (1, 0)):
        clock.advance(seconds=seconds)
        assert run_once(platform, (pushed_requests.sweep,)) == 0
        assert kept(platform) == left


def test_one_job_is_bounded_all_the_same(platform: Flask) -> None:
    runs: list[object] = []

    def endless(now: object) -> bool:
        runs.append(now)
        return True

    assert run_once(platform, (endless,)) == 0
    assert len(runs) == BATCHES


@pytest.mark.parametrize("way", ["query", "form", "consent"])
@pytest.mark.parametrize(("seconds", "error"), [(1799, None), (1800, "invalid_request_uri")])
def test_the_half_hour_runs_to_the_second_whatever_page_it_is_spent_on(
    platform: Flask, clock: FakeClock, beijing: Somebody, way: str, seconds: int, error: str | None
) -> None:
    stranger = RelyingParty(platform, clock, "stranger", first_party=way != "consent")
    browser, uri = stranger.browser(beijing.id if way == "consent" else None), pushed(stranger)
    if way == "form":
        came = browser.post("/oauth2/authorize", data={"client_id": "stranger", "request_uri": uri}, base_url=ISSUER)
    else:
        came = start(stranger, browser, uri)
    path, fields = _consent(browser, came) if way == "consent" else (came.location if way == "form" else _return_to(stranger, came.location), {})
    clock.advance(seconds=seconds)
    if way != "consent":
        stranger.sign_in(browser, beijing.id)
    answer = browser.post(path, data={**fields, "action": "allow"}, base_url=ISSUER) if fields else browser.get(path, base_url=ISSUER)
    assert answer_of(answer).get("error") == error
    with platform.app_context():
        assert session.query(Grant).count() == (error is None)


def test_what_was_not_pushed_may_wait_longer(rp: RelyingParty, clock: FakeClock, beijing: Somebody) -> None:
    browser = rp.browser()
    waiting = _return_to(rp, rp.authorize(browser).location)
    clock.advance(minutes=119)
    rp.sign_in(browser, beijing.id)
    # R84
    assert "code" in answer_of(browser.get(waiting, base_url=ISSUER))
