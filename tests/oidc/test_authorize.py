"""What the authorization endpoint refuses, and how: a page before client and redirect URI are proven, an answer afterwards."""

import re
from urllib.parse import quote

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from idp import limits, opaque_tokens
from idp.accounts.models import Account, AccountKey, KnownDevice
from idp.db import session, transaction
from idp.errors import RequestBroken
from idp.key_register.models import EKey, EKeyLicence
from idp.oidc.models import AuthorizationRequestRecord, ClientRecord
from idp.signin import room
from idp.signin.models import SignInTransaction
from tests import people
from tests.fakes import FakeClock
from tests.oidc.conftest import Somebody, account
from tests.relying_party import CHALLENGE, ISSUER, RelyingParty, answer_of, body_of, claims_of


@pytest.mark.spec("RFC 6749", "4.1.2.1")
@pytest.mark.parametrize(
    "redirect_uri",
    [
        None,
        "",
        "https://rp.example/callback/",
        "https://rp.example/Callback",
        "https://rp.example/callback?x=1",
        "https://rp.example/callback#f",
        "https://rp.example:444/callback",
        "http://rp.example/callback",
        "https://rp.example@evil.example/callback",
        "https://evil.example\\@rp.example/callback",
        "https://rp.example/x/../callback",
        "https://rp.example/%63allback",
        "https://rp.example/callback\t",
        "https://rp.example/callback\x00",
        "//rp.example/callback",
        "javascript:alert(1)",
    ],
)
def test_another_redirect_uri_is_a_page_never_a_redirect(rp: RelyingParty, beijing: Somebody, redirect_uri: str | None) -> None:
    response = rp.authorize(rp.browser(beijing.id), redirect_uri=redirect_uri)
    assert response.status_code == 400
    assert "Location" not in response.headers
    assert response.mimetype == "text/html"


@pytest.mark.spec("RFC 6749", "4.1.2.1")
def test_an_unknown_or_disabled_client_is_a_page(rp: RelyingParty, platform: Flask, beijing: Somebody, clock: FakeClock) -> None:
    browser = rp.browser(beijing.id)
    assert "code" in answer_of(rp.authorize(browser))
    pages = [rp.authorize(browser, client_id=name) for name in ("nobody", "x" * 200, "", None)]
    with platform.app_context(), transaction():
        row = session.get_one(ClientRecord, "rp")
        row.disabled_at, row.version = clock.now(), row.version + 1
    pages.append(rp.authorize(browser))
    assert {page.status_code for page in pages} == {400}
    assert not any("Location" in page.headers for page in pages)


@pytest.mark.parametrize("name", ["client_id", "redirect_uri"])
def test_a_repeated_client_or_redirect_uri_is_a_page(rp: RelyingParty, beijing: Somebody, name: str) -> None:
    sent = [*rp.request().items(), (name, rp.request()[name])]
    query = "&".join(f"{key}={quote(value)}" for key, value in sent)
    response = rp.browser(beijing.id).get(f"/oauth2/authorize?{query}", base_url=ISSUER)
    assert response.status_code == 400
    assert "Location" not in response.headers


@pytest.mark.spec("RFC 9207", "2")
@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"response_type": None}, "invalid_request"),
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"response_type": "id_token"}, "unsupported_response_type"),
        ({"response_type": "code id_token"}, "unsupported_response_type"),
        ({"response_type": "none"}, "unsupported_response_type"),
        ({"response_mode": "fragment"}, "invalid_request"),
        ({"response_mode": "garbage"}, "invalid_request"),
        ({"code_challenge": None, "code_challenge_method": None}, "invalid_request"),
        ({"code_challenge_method": None}, "invalid_request"),
        ({"code_challenge": None}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge_method": "s256"}, "invalid_request"),
        ({"code_challenge": CHALLENGE[:-1]}, "invalid_request"),
        ({"code_challenge": CHALLENGE + "a"}, "invalid_request"),
        ({"code_challenge": CHALLENGE[:-1] + "="}, "invalid_request"),
        ({"code_challenge": CHALLENGE + "\n"}, "invalid_request"),
        ({"scope": None}, "invalid_scope"),
        ({"scope": "no such scope"}, "invalid_scope"),
        ({"scope": "openid licence:import"}, "invalid_scope"),
        ({"scope": "openid " + " ".join(f"s{n}" for n in range(190))}, "invalid_scope"),
        ({"prompt": "none login"}, "invalid_request"),
        ({"prompt": "create"}, "invalid_request"),
        ({"max_age": "-1"}, "invalid_request"),
        ({"max_age": "soon"}, "invalid_request"),
        ({"max_age": "9" * 11}, "invalid_request"),
        ({"request_uri": "http://169.254.169.254/"}, "request_uri_not_supported"),
        ({"registration": "{}"}, "registration_not_supported"),
        ({"resource": "urn:licence:system:import"}, "invalid_target"),
        ({"resource": "https://evil.example"}, "invalid_target"),
        ({"nonce": "n" * 513}, "invalid_request"),
        ({"id_token_hint": "e30.e30.e30"}, "invalid_request"),
    ],
)
def test_a_fault_goes_back_with_state_and_issuer(rp: RelyingParty, beijing: Somebody, changes: dict[str, str | None], error: str) -> None:
    answer = answer_of(rp.authorize(rp.browser(beijing.id), **changes))
    assert (answer["error"], answer["state"], answer["iss"]) == (error, "st-1", ISSUER)
    assert "code" not in answer


@pytest.mark.spec("RFC 6749", "3.1")
def test_a_repeated_parameter_is_refused_and_an_unknown_one_ignored(rp: RelyingParty, beijing: Somebody) -> None:
    browser = rp.browser(beijing.id)
    sent = "&".join(f"{key}={quote(value)}" for key, value in rp.request().items())
    assert "code" in answer_of(browser.get(f"/oauth2/authorize?{sent}&new=1&new=2&claims=%7B%7D&display=page", base_url=ISSUER))
    for name in ("scope", "nonce", "prompt", "code_challenge"):
        answer = answer_of(browser.get(f"/oauth2/authorize?{sent}&{name}=x&{name}=x", base_url=ISSUER))
        assert answer["error"] == "invalid_request"


def test_state_comes_back_to_the_byte_or_the_request_is_refused(rp: RelyingParty, beijing: Somebody) -> None:
    browser = rp.browser(beijing.id)
    for state in ("a b+c%20&=#", "许可证", "%0d%0a", "<script>"):
        assert answer_of(rp.authorize(browser, state=state))["state"] == state
    for state in ("a\r\nSet-Cookie: x=1", "\x00", "s" * 2001):
        answer = answer_of(rp.authorize(browser, state=state))
        assert answer["error"] == "invalid_request"
        assert "state" not in answer
    broken = "&".join(f"{key}={quote(value)}" for key, value in rp.request(state=None).items()) + "&state=%ff%fe"
    assert browser.get(f"/oauth2/authorize?{broken}", base_url=ISSUER).status_code == 400


# --- who, how fresh, and for what right -------------------------------------------------------------------------------------------------------


@pytest.mark.spec("OIDC Core", "3.1.2.6")
def test_prompt_none_never_shows_a_page(rp: RelyingParty, platform: Flask, beijing: Somebody, shanghai: Somebody, clock: FakeClock) -> None:
    assert answer_of(rp.authorize(rp.browser(), prompt="none"))["error"] == "login_required"
    browser = rp.browser(beijing.id)
    assert "code" in answer_of(rp.authorize(browser, prompt="none"))
    clock.advance(seconds=61)
    assert answer_of(rp.authorize(browser, prompt="none", max_age="60"))["error"] == "login_required"
    assert answer_of(rp.authorize(rp.browser(shanghai.id), prompt="none"))["error"] == "access_denied"
    stranger = RelyingParty(platform, clock, "stranger", first_party=False)
    assert answer_of(stranger.authorize(browser, prompt="none"))["error"] == "consent_required"


@pytest.mark.requirement("R77")
def test_prompt_none_does_not_count_as_activity(rp: RelyingParty, beijing: Somebody, clock: FakeClock) -> None:
    browser = rp.browser(beijing.id)
    clock.advance(minutes=20)
    rp.code(browser, prompt="none")
    clock.advance(minutes=11)
    assert answer_of(rp.authorize(browser, prompt="none"))["error"] == "login_required"


@pytest.mark.requirement("R77")
def test_a_persons_own_request_counts_as_activity(rp: RelyingParty, beijing: Somebody, clock: FakeClock) -> None:
    browser = rp.browser(beijing.id)
    for _ in range(3):
        clock.advance(minutes=20)
        rp.code(browser)


@pytest.mark.spec("OIDC Core", "3.1.2.3")
@pytest.mark.parametrize("changes", [{"prompt": "login"}, {"max_age": "0"}, {"prompt": "select_account"}])
def test_a_fresh_sign_in_is_asked_for_once_and_really(
    rp: RelyingParty, platform: Flask, beijing: Somebody, clock: FakeClock, changes: dict[str, str]
) -> None:
    browser = rp.browser(beijing.id)
    clock.advance(seconds=5)
    first = rp.authorize(browser, **changes)
    assert first.location.startswith("/signin/")
    with platform.app_context():
        back = session.get_one(SignInTransaction, first.location.split("/")[2].split("?")[0]).return_to
    clock.advance(seconds=5)
    # coming back without having signed in does not help, nor does leaving the parameter out on the way
    assert browser.get(back, base_url=ISSUER).location.startswith("/signin/")
    rp.sign_in(browser, beijing.id)
    # judged once: the factor counts however long the rest takes
    clock.advance(seconds=300)
    tokens = body_of(rp.redeem(answer_of(browser.get(back, base_url=ISSUER))["code"]))
    assert claims_of(tokens["id_token"])["auth_time"] == int(clock.now().timestamp()) - 300


@pytest.mark.spec("OIDC Core", "3.1.2.1")
def test_the_hint_of_another_person_never_brings_this_persons_code(rp: RelyingParty, beijing: Somebody, shanghai: Somebody) -> None:
    mine, other = rp.browser(beijing.id), rp.browser(shanghai.id)
    hint = rp.tokens(mine)["id_token"]
    assert "code" in answer_of(rp.authorize(mine, id_token_hint=hint, prompt="none"))
    for prompt in ("none", None):
        assert answer_of(rp.authorize(other, id_token_hint=hint, prompt=prompt, scope="openid"))["error"] == "login_required"


@pytest.mark.spec("OIDC Registration", "2")
def test_a_client_may_register_how_fresh_a_sign_in_must_be(platform: Flask, clock: FakeClock, beijing: Somebody) -> None:
    fresh = RelyingParty(platform, clock, "fresh", default_max_age=60)
    browser = fresh.browser(beijing.id)
    clock.advance(seconds=60)
    assert "code" in answer_of(fresh.authorize(browser))
    clock.advance(seconds=1)
    assert answer_of(fresh.authorize(browser, prompt="none"))["error"] == "login_required"
    assert fresh.authorize(browser).location.startswith("/signin/")
    # what the request says itself goes before it
    assert "code" in answer_of(fresh.authorize(browser, max_age="300"))


def test_an_unmet_wish_is_no_lie_and_an_unmet_demand_is_an_error(rp: RelyingParty, beijing: Somebody) -> None:
    answer = rp.tokens(rp.browser(beijing.id), acr_values="urn:licence:acr:ekey urn:licence:acr:password-totp")
    assert claims_of(answer["id_token"])["acr"] == "urn:licence:acr:password"
    assert claims_of(answer["id_token"])["amr"] == ["pwd"]


@pytest.mark.requirement("R34")
def test_without_the_right_there_is_a_page_with_a_way_back(rp: RelyingParty, shanghai: Somebody) -> None:
    browser = rp.browser(shanghai.id)
    page = browser.get(rp.authorize(browser).location, base_url=ISSUER)
    text = page.get_data(as_text=True)
    assert page.status_code == 403
    assert "您的电子钥匙未开通此业务" in text
    assert "机电" not in text
    action = text.split('action="')[1].split('"')[0]
    assert action.endswith("/cancelled")
    answer = answer_of(browser.get(action, base_url=ISSUER))
    assert (answer["error"], answer["iss"]) == ("access_denied", ISSUER)


def _refused(platform: Flask, clock: FakeClock, somebody: Somebody, *systems: str) -> str:
    """What the page without a right says, its paragraphs only."""
    scope = " ".join(["openid", *(f"licence:{system}" for system in systems)])
    asking = RelyingParty(platform, clock, "asking", scope=scope)
    browser = asking.browser(somebody.id)
    page = browser.get(asking.authorize(browser, resource=ISSUER).location, base_url=ISSUER)
    assert page.status_code == 403
    return "".join(re.findall(r"<p.*?</p>", page.text.split("<main")[1].split("</main")[0], re.DOTALL))


@pytest.mark.requirement("D15")
@pytest.mark.parametrize(
    ("status", "says"), [("expired", "电子钥匙已过期，请办理更新"), ("revoked", "电子钥匙已吊销，请联系发放机构"), ("active", "未开通此业务")]
)
def test_the_page_says_what_is_wrong_with_the_key(platform: Flask, clock: FakeClock, beijing: Somebody, status: str, says: str) -> None:
    with platform.app_context(), transaction():
        session.query(EKey).one().status = status
    said = _refused(platform, clock, beijing, "textile_origin" if status == "active" else "export")
    assert says in said
    assert "12335" in said
    assert said.count('class="lead"') == 1


@pytest.mark.requirement("R62")
def test_the_page_says_that_a_held_right_waits_for_a_proof(platform: Flask, clock: FakeClock, beijing: Somebody) -> None:
    with platform.app_context(), transaction():
        session.add(EKeyLicence(serial=account(beijing).keys[0].serial, system="dual_use"))
        people.approve(account(beijing), "dual_use", "held")
    said = _refused(platform, clock, beijing, "dual_use")
    assert "须核验身份一次后方可办理" in said
    assert "12335" in said
    assert "发放机构" not in said


@pytest.mark.requirement("R73")
def test_the_page_names_the_office_only_where_it_decides(platform: Flask, clock: FakeClock, beijing: Somebody, shanghai: Somebody) -> None:
    said = _refused(platform, clock, beijing, "mech_electrical")
    assert "须由机电办审核通过后开通" in said
    assert "12335" in said
    # nothing there can be applied for in the hall yet, and the key office has no say
    assert "业务大厅" not in said
    assert "发放机构" not in said


@pytest.mark.requirement("R34")
def test_of_several_systems_each_reason_is_said_once(platform: Flask, clock: FakeClock, shanghai: Somebody) -> None:
    said = _refused(platform, clock, shanghai, "export", "import", "mech_electrical")
    assert said.count("您的电子钥匙未开通此业务") == said.count("须由机电办审核通过后开通") == 1


@pytest.mark.requirement("R66")
def test_scope_is_cut_to_the_rights_of_now(platform: Flask, clock: FakeClock, beijing: Somebody) -> None:
    hall = RelyingParty(platform, clock, scope="openid licence:export licence:fertiliser_quota")
    answer = hall.tokens(hall.browser(beijing.id), scope="openid licence:export licence:fertiliser_quota", resource=ISSUER)
    assert answer["scope"] == "openid licence:export"
    assert claims_of(answer["access_token"])["aud"] == ISSUER


@pytest.mark.spec("RFC 8707", "2")
def test_two_systems_need_a_resource_and_the_scope_is_cut_to_it(platform: Flask, clock: FakeClock, beijing: Somebody) -> None:
    hall = RelyingParty(platform, clock, scope="openid licence:export licence:import")
    browser = hall.browser(beijing.id)
    assert answer_of(hall.authorize(browser))["error"] == "invalid_scope"
    answer = hall.tokens(browser, resource="urn:licence:system:import")
    assert answer["scope"] == "openid licence:import"
    # not the client's own resource: the issuer does not join
    assert claims_of(answer["access_token"])["aud"] == "urn:licence:system:import"
    assert hall.userinfo(answer["access_token"]).status_code == 401


@pytest.mark.requirement("R66")
def test_a_right_lost_before_the_code_is_redeemed_gives_nothing(rp: RelyingParty, platform: Flask, beijing: Somebody) -> None:
    code = rp.code(rp.browser(beijing.id))
    with platform.app_context(), transaction():
        session.delete(session.get_one(AccountKey, session.get_one(Account, beijing.id).keys[0].serial))
    assert rp.redeem(code).json == {"error": "invalid_grant"}


def test_requests_expire_into_a_page(rp: RelyingParty, beijing: Somebody, clock: FakeClock) -> None:
    browser = rp.browser(beijing.id)
    stored = browser.post("/oauth2/authorize", data=rp.request(), base_url=ISSUER).location
    clock.advance(hours=2)
    rp.sign_in(browser, beijing.id)
    assert browser.get(stored, base_url=ISSUER).status_code == 400
    assert browser.get("/oauth2/authorize/unknown", base_url=ISSUER).status_code == 400
    assert browser.get("/oauth2/authorize/" + "x" * 3000, base_url=ISSUER).status_code == 400


@pytest.mark.requirement("R84")
def test_two_tabs_two_clients_each_code_belongs_to_its_own(rp: RelyingParty, platform: Flask, clock: FakeClock, beijing: Somebody) -> None:
    other = RelyingParty(platform, clock, "other", redirect_uris=["https://other.example/cb"])
    browser = rp.browser(beijing.id)
    first, second = rp.code(browser, nonce="one"), other.code(browser, nonce="two")
    assert claims_of(body_of(other.redeem(second))["id_token"])["nonce"] == "two"
    assert claims_of(body_of(rp.redeem(first))["id_token"])["nonce"] == "one"


@pytest.mark.parametrize("path", ["/oauth2/authorize", "/oauth2/logout"])
def test_a_huge_or_odd_request_is_a_4xx(rp: RelyingParty, path: str) -> None:
    browser = rp.browser()
    assert browser.get(f"{path}?state={'x' * 65536}", base_url=ISSUER).status_code == 414
    assert browser.post(path, data="{}", content_type="application/json", base_url=ISSUER).status_code == 400
    assert browser.post(path, data={"state": "x" * 100_000}, base_url=ISSUER).status_code == 400
    assert browser.get(f"/oauth2/authorize?{'&'.join(f'a{n}=1' for n in range(200))}", base_url=ISSUER).status_code == 400


@pytest.mark.store
@pytest.mark.parametrize("way", ["get", "post", "login", "hall"])
def test_a_network_leaves_only_so_many_waiting_requests(
    rp: RelyingParty, platform: Flask, beijing: Somebody, clock: FakeClock, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "RULES", (limits.Rule("stored_requests_minute", 20, 60),))

    def ask() -> TestResponse:
        stranger = rp.browser()
        if way == "post":
            return stranger.post("/oauth2/authorize", data=rp.request(), base_url=ISSUER)
        return rp.authorize(stranger) if way == "get" else stranger.get("/login" if way == "login" else "/hall", base_url=ISSUER)

    def stored() -> int:
        with platform.app_context():
            return session.query(AuthorizationRequestRecord).count() + session.query(SignInTransaction).count()

    known = rp.browser(beijing.id)
    assert {ask().status_code for _ in range(20)} == {303}
    before, full = stored(), [ask() for _ in range(3)]
    assert {(page.status_code, page.mimetype) for page in full} == {(429, "text/html")}
    assert 0 < int(full[0].headers["Retry-After"]) <= 60
    assert "请稍后再试" in full[0].get_data(as_text=True)
    assert stored() == before
    # who is signed in leaves nothing
    assert "code" in answer_of(rp.authorize(known))
    clock.advance(minutes=1)
    assert ask().status_code == 303


def test_nor_more_in_an_hour(platform: Flask, clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    assert [(rule.most, rule.seconds) for rule in room.RULES] == [(600, 60), (6000, 3600)]
    monkeypatch.setattr(room, "RULES", (limits.Rule("minute", 60, 60), limits.Rule("hour", 600, 3600)))
    with platform.app_context():
        for _ in range(10):
            with transaction():
                for _ in range(60):
                    room.claim("here", clock.now())
            clock.advance(minutes=1)
        with pytest.raises(RequestBroken) as full, transaction():
            room.claim("here", clock.now())
        assert (full.value.status, full.value.retry_after) == (429, 50 * 60)
        with transaction():
            room.claim("elsewhere", clock.now())


@pytest.mark.store
@pytest.mark.parametrize("path", ["/login", "/hall", "/oauth2/authorize"])
def test_pictures_on_a_hostile_page_use_up_nothing(rp: RelyingParty, platform: Flask, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "RULES", (limits.Rule("minute", 1, 60),))
    asked = rp.request() if path.startswith("/oauth2") else {}
    for headers in ({"Sec-Fetch-Dest": "image", "Sec-Fetch-Mode": "no-cors"}, {"Sec-Fetch-Dest": "iframe"}, {"Sec-Fetch-Mode": "cors"}):
        assert rp.browser().get(path, query_string=asked, headers=headers, base_url=ISSUER).status_code == 403
    with platform.app_context():
        assert session.query(AuthorizationRequestRecord).count() + session.query(SignInTransaction).count() == 0
        assert session.query(limits.LimitWindow).count() == 0
    page = {"Sec-Fetch-Dest": "document", "Sec-Fetch-Mode": "navigate"}
    assert rp.browser().get(path, query_string=asked, headers=page, base_url=ISSUER).status_code == 303


@pytest.mark.store
def test_in_a_full_network_a_waiting_browser_and_a_known_device_go_on(
    rp: RelyingParty, platform: Flask, beijing: Somebody, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "RULES", (limits.Rule("minute", 1, 60),))
    monkeypatch.setattr(room, "DEVICE_RULES", (limits.Rule("device", 3, 60),))

    def stored() -> tuple[int, int]:
        with platform.app_context():
            return session.query(AuthorizationRequestRecord).count(), session.query(SignInTransaction).count()

    waiting = rp.browser()
    assert rp.authorize(waiting).status_code == 303
    assert rp.authorize(rp.browser()).status_code == 429
    for _ in range(3):
        answer = rp.authorize(waiting)
        assert waiting.get(answer.location, base_url=ISSUER).status_code == 303
        assert waiting.get("/login", base_url=ISSUER).status_code == 303
    assert max(stored()) == 1
    with platform.app_context(), transaction():
        session.add(KnownDevice(account_id=beijing.id, device_digest=opaque_tokens.digest("of-the-firm"), seen_at=clock.now()))
    statuses = []
    for _ in range(4):
        known = rp.browser()
        known.set_cookie(
            "__Host-device" if ISSUER.startswith("https") else "device", "of-the-firm", domain=ISSUER.split("/")[2].split(":")[0], secure=True
        )
        statuses.append(known.get("/login", base_url=ISSUER).status_code)
    assert statuses == [303, 303, 303, 429]
