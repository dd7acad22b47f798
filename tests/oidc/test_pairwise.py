"""Pairwise subjects: one random name per person and sector, the same everywhere that client looks, and never another's."""

import threading

import pytest
from flask import Flask

from idp.db import session
from idp.errors import BadInput
from idp.oidc.client_models import PairwiseSubject
from idp.oidc.registration import judge
from tests.fakes import FakeClock
from tests.oidc.conftest import Somebody
from tests.relying_party import ISSUER, RelyingParty, answer_of, body_of, claims_of

AFTER = "https://rp.example/after"


@pytest.fixture
def rp(platform: Flask, clock: FakeClock) -> RelyingParty:
    return RelyingParty(platform, clock, subject_type="pairwise", post_logout_redirect_uris=[AFTER])


@pytest.mark.spec("OIDC Core", "8.1")
def test_one_name_per_sector_in_every_token(rp: RelyingParty, platform: Flask, clock: FakeClock, beijing: Somebody, shanghai: Somebody) -> None:
    sibling = RelyingParty(platform, clock, "sibling", subject_type="pairwise", redirect_uris=["https://rp.example:8443/other"])
    stranger = RelyingParty(platform, clock, "stranger", subject_type="pairwise", redirect_uris=["https://stranger.example/cb"])
    public = RelyingParty(platform, clock, "public")
    browser, names = rp.browser(beijing.id), []
    for one in (rp, rp, sibling, stranger, public):
        tokens = one.tokens(browser)
        told = {claims_of(tokens["id_token"])["sub"], claims_of(tokens["access_token"])["sub"], body_of(one.userinfo(tokens["access_token"]))["sub"]}
        assert len(told) == 1
        names.append(told.pop())
    mine, again, near, far, own = names
    assert mine == again == near
    assert len({mine, far, own, beijing.sub}) == 3
    assert own == beijing.sub
    assert claims_of(rp.tokens(rp.browser(shanghai.id))["id_token"])["sub"] not in names


def test_a_sector_document_joins_hosts(platform: Flask, clock: FakeClock, beijing: Somebody) -> None:
    names = set()
    for number, host in enumerate(("a.example", "b.example")):
        sector = "https://sector.example/uris.json"
        one = RelyingParty(
            platform, clock, f"rp{number}", subject_type="pairwise", sector_identifier_uri=sector, redirect_uris=[f"https://{host}/cb"]
        )
        names.add(claims_of(one.tokens(one.browser(beijing.id))["id_token"])["sub"])
    assert len(names) == 1


@pytest.mark.spec("OIDC Core", "3.1.2.1")
def test_hints_count_in_the_clients_own_terms(rp: RelyingParty, beijing: Somebody, shanghai: Somebody) -> None:
    mine, other = rp.browser(beijing.id), rp.browser(shanghai.id)
    hint = rp.tokens(mine)["id_token"]
    assert "code" in answer_of(rp.authorize(mine, prompt="none", id_token_hint=hint))
    assert answer_of(rp.authorize(other, prompt="none", id_token_hint=hint))["error"] == "login_required"
    asked = {"id_token_hint": hint, "post_logout_redirect_uri": AFTER}
    assert other.get("/oauth2/logout", query_string=asked, base_url=ISSUER).status_code == 200
    assert mine.get("/oauth2/logout", query_string=asked, base_url=ISSUER).location == AFTER


def test_before_the_first_time_no_hint_fits(rp: RelyingParty, platform: Flask, beijing: Somebody, shanghai: Somebody) -> None:
    hint = rp.tokens(rp.browser(beijing.id))["id_token"]
    assert answer_of(rp.authorize(rp.browser(shanghai.id), prompt="none", id_token_hint=hint))["error"] == "login_required"
    with platform.app_context():
        assert session.query(PairwiseSubject).count() == 1


@pytest.mark.spec("OIDC Core", "5.5.1")
def test_before_the_first_time_an_empty_name_means_nobody(rp: RelyingParty, platform: Flask, beijing: Somebody) -> None:
    browser = rp.browser(beijing.id)
    for asked in ('{"id_token":{"sub":{"value":""}}}', '{"userinfo":{"sub":{"values":["","x"]}}}'):
        assert answer_of(rp.authorize(browser, prompt="none", claims=asked))["error"] == "login_required"
    with platform.app_context():
        assert session.query(PairwiseSubject).count() == 0


@pytest.mark.store
def test_eight_first_times_at_once_make_one_name(rp: RelyingParty, platform: Flask, beijing: Somebody) -> None:
    gate, names = threading.Barrier(8), []

    def first() -> None:
        browser = rp.browser(beijing.id)
        gate.wait()
        names.append(claims_of(rp.tokens(browser)["id_token"])["sub"])

    threads = [threading.Thread(target=first) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(names), len(set(names))) == (8, 1)


def test_several_hosts_need_a_sector_document() -> None:
    members = {"client_id": "rp", "redirect_uris": ["https://a.example/cb", "https://b.example/cb"], "subject_type": "pairwise"}
    with pytest.raises(BadInput, match="sector_identifier_uri"):
        judge(members)
    assert judge({**members, "sector_identifier_uri": "https://s.example/x"}).sector == "s.example"
    assert judge({**members, "subject_type": "public"}).sector is None


@pytest.mark.spec("OIDC Core", "8.1")
@pytest.mark.parametrize("uri", ["http://127.0.0.1/cb", "http://localhost:8080/cb", "http://[::1]/cb", "https://localhost/cb", "com.example.app:/cb"])
def test_this_machine_and_a_private_scheme_are_no_sector(uri: str) -> None:
    native = {"client_id": "n", "application_type": "native", "subject_type": "pairwise", "redirect_uris": [uri]}
    with pytest.raises(BadInput, match="pairwise"):
        judge(native)
    assert judge({**native, "sector_identifier_uri": "https://app.example/sector"}).sector == "app.example"
    assert judge({**native, "redirect_uris": ["https://app.example/cb"]}).sector == "app.example"
