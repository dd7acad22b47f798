"""The `claims` parameter: single claims, demands, and what happens to nonsense."""

import json
import time
from typing import Any

import pytest
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jws
from joserfc.jwk import KeySet

from idp.oidc.claims_request import ClaimsRequest, parse
from tests.fakes import FakeClock
from tests.oidc.conftest import Somebody
from tests.relying_party import ISSUER, RelyingParty, answer_of, body_of, claims_of, header_of

PASSWORD = "urn:licence:acr:password"


def told(rp: RelyingParty, somebody: Somebody, asked: dict[str, Any], scope: str = "openid") -> tuple[dict[str, Any], dict[str, Any]]:
    """ID token and userinfo of a request with these claims."""
    tokens = rp.tokens(rp.browser(somebody.id), claims=json.dumps(asked), scope=scope)
    return claims_of(tokens["id_token"]), body_of(rp.userinfo(tokens["access_token"]))


@pytest.mark.spec("OIDC Core", "5.5")
def test_single_claims_go_where_they_were_asked_for(rp: RelyingParty, beijing: Somebody) -> None:
    asked = {"id_token": {"email": {"essential": True}, "auth_time": {"essential": True}}, "userinfo": {"name": None, "phone_number": {"x": 1}}}
    token, info = told(rp, beijing, asked)
    assert token["email"] == "wang@example.com"
    assert "auth_time" in token
    assert "name" not in token
    assert info == {"sub": beijing.sub, "name": "王小明", "phone_number": "+8613800138000"}


def test_without_the_parameter_the_id_token_holds_no_personal_data(rp: RelyingParty, beijing: Somebody) -> None:
    tokens = rp.tokens(rp.browser(beijing.id))
    assert not {"name", "email", "phone_number", "preferred_username"} & set(claims_of(tokens["id_token"]))


def test_a_claim_cannot_be_had_past_the_clients_scopes(platform: Flask, clock: FakeClock, beijing: Somebody) -> None:
    rp = RelyingParty(platform, clock, scope="openid profile")
    every = dict.fromkeys(["name", "email", "phone_number", "uscc", "licences", "legacy_usernames", "password_hash", "iss", "sub", "aud"])
    token, info = told(rp, beijing, {"id_token": every, "userinfo": every})
    assert token["name"] == "王小明"
    assert token["iss"] == ISSUER
    assert not {"email", "phone_number", "uscc", "licences", "legacy_usernames", "password_hash"} & (set(token) | set(info))


def test_claims_live_on_at_refresh(platform: Flask, clock: FakeClock, beijing: Somebody) -> None:
    rp = RelyingParty(platform, clock, grant_types=["authorization_code", "refresh_token"])
    first = rp.tokens(rp.browser(beijing.id), scope="openid", claims='{"id_token":{"email":null},"userinfo":{"name":null}}')
    again = body_of(rp.token({"grant_type": "refresh_token", "refresh_token": first["refresh_token"]}, rp.basic()))
    assert claims_of(again["id_token"])["email"] == "wang@example.com"
    assert body_of(rp.userinfo(again["access_token"]))["name"] == "王小明"


MALFORMED = [
    *(
        "x",
        "[]",
        "null",
        "1",
        '"a"',
        "{",
        '{"id_token":[]}',
        '{"id_token":null}',
        '{"userinfo":1}',
        '{"id_token":{"acr":1}}',
        '{"id_token":{"acr":[]}}',
    ),
    *('{"id_token":{"acr":{"essential":1}}}', '{"id_token":{"acr":{"values":"a"}}}', "[" * 8000, '{"a":' * 1600, '{"a":' + "[" * 9 + "]" * 9 + "}"),
    *(
        '{"id_token":{"sub":{"value":' + "9" * 5000 + "}}}",
        "{}" * 2,
        json.dumps({"id_token": {f"c{n}": None for n in range(101)}}),
        "{}" + " " * 8192,
    ),
]


@pytest.mark.spec("OIDC Core", "5.5")
@pytest.mark.parametrize("text", MALFORMED, ids=range(len(MALFORMED)))
def test_what_is_malformed_or_deep_is_refused_cheaply(rp: RelyingParty, beijing: Somebody, text: str) -> None:
    browser = rp.browser(beijing.id)
    began = time.process_time()
    answer = answer_of(rp.authorize(browser, claims=text))
    assert time.process_time() - began < 0.1
    assert (answer["error"], answer["state"], answer["iss"]) == ("invalid_request", "st-1", ISSUER)


@pytest.mark.parametrize(
    "text", ["{}", '{"id_token":{}}', '{"new":1}', '{"userinfo":{"x":null,"y#en":{"z":1}}}', '{\n\t"id_token": {"acr": {"value": {}}}\r\n}']
)
def test_what_is_not_understood_is_ignored(rp: RelyingParty, beijing: Somebody, text: str) -> None:
    assert "code" in answer_of(rp.authorize(rp.browser(beijing.id), claims=text))


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(max_size=5),
        lambda inner: (
            st.dictionaries(st.sampled_from(["id_token", "userinfo", "acr", "sub", "essential", "value", "values", "email"]), inner, max_size=4)
            | st.lists(inner, max_size=3)
        ),
        max_leaves=12,
    )
)
def test_any_json_is_read_or_refused(sent: object) -> None:
    read = parse(json.dumps(sent))
    if isinstance(read, ClaimsRequest):
        assert all(isinstance(value, str) for value in read.acr.values)
        assert isinstance(read.subjects, tuple)


# --- demands ----------------------------------------------------------------------------------------------------------------------------------


def level(values: list[str], *, essential: bool) -> str:
    return json.dumps({"id_token": {"acr": {"essential": essential, "values": values}}})


@pytest.mark.spec("OIDC Core", "5.5.1.1")
def test_an_essential_acr_is_a_demand_and_any_other_a_wish(rp: RelyingParty, beijing: Somebody) -> None:
    browser = rp.browser(beijing.id)
    for asked in (level([PASSWORD], essential=True), level(["urn:x", PASSWORD], essential=True), level(["urn:x"], essential=False)):
        assert claims_of(rp.tokens(browser, claims=asked)["id_token"])["acr"] == PASSWORD
    for prompt in ("none", None):
        answer = answer_of(rp.authorize(browser, claims=level(["urn:x", "urn:licence:acr:ekey"], essential=True), prompt=prompt))
        assert answer["error"] == "unmet_authentication_requirements"
    answer = answer_of(rp.authorize(browser, claims='{"id_token":{"acr":{"essential":true,"value":{}}}}'))
    assert answer["error"] == "unmet_authentication_requirements"


def test_what_the_client_must_have_is_not_talked_away(platform: Flask, clock: FakeClock, beijing: Somebody) -> None:
    rp = RelyingParty(platform, clock, require_acr=PASSWORD)
    browser = rp.browser(beijing.id)
    assert claims_of(rp.tokens(browser, claims=level(["urn:x"], essential=False))["id_token"])["acr"] == PASSWORD
    assert answer_of(rp.authorize(browser, claims=level(["urn:x"], essential=True)))["error"] == "unmet_authentication_requirements"


@pytest.mark.spec("OIDC Core", "5.5.1")
@pytest.mark.parametrize("place", ["id_token", "userinfo"])
def test_the_subject_that_is_meant(rp: RelyingParty, beijing: Somebody, shanghai: Somebody, place: str) -> None:
    mine, other = rp.browser(beijing.id), rp.browser(shanghai.id)
    asked = json.dumps({place: {"sub": {"value": beijing.sub}}})
    assert "code" in answer_of(rp.authorize(mine, claims=asked, scope="openid"))
    for prompt in ("none", None):
        assert answer_of(rp.authorize(other, claims=asked, scope="openid", prompt=prompt))["error"] == "login_required"
    others: list[Any] = [1, None, {}, [], "x"]
    for value in others:
        strange = json.dumps({place: {"sub": {"value": value}}})
        assert answer_of(rp.authorize(mine, claims=strange, prompt="none"))["error"] == "login_required"


@pytest.mark.spec("OIDC Core", "5.5.1")
@pytest.mark.parametrize("place", ["id_token", "userinfo"])
def test_of_several_subjects_any_will_do(rp: RelyingParty, beijing: Somebody, shanghai: Somebody, place: str) -> None:
    mine = rp.browser(beijing.id)
    met: list[list[Any]] = [[beijing.sub, "x"], ["x", beijing.sub], [1, None, {}, beijing.sub], []]
    unmet: list[list[Any]] = [[shanghai.sub, "x"], ["x"], [1, None, {}, ""], [[beijing.sub]]]
    for values in met:
        assert "code" in answer_of(rp.authorize(mine, claims=json.dumps({place: {"sub": {"values": values}}}), prompt="none"))
    for values in unmet:
        answer = answer_of(rp.authorize(mine, claims=json.dumps({place: {"sub": {"values": values}}}), prompt="none"))
        assert answer["error"] == "login_required"


@pytest.mark.spec("OIDC Core", "5.5.1")
def test_both_places_have_to_be_met(rp: RelyingParty, beijing: Somebody, shanghai: Somebody) -> None:
    both = {"id_token": {"sub": {"value": beijing.sub}}, "userinfo": {"sub": {"value": shanghai.sub}}}
    for somebody in (beijing, shanghai):
        assert answer_of(rp.authorize(rp.browser(somebody.id), claims=json.dumps(both), scope="openid", prompt="none"))["error"] == "login_required"


@pytest.mark.spec("OIDC Core", "3.1.2.1")
def test_hints_and_wishes_about_pages_are_tolerated(rp: RelyingParty, beijing: Somebody) -> None:
    browser = rp.browser(beijing.id)
    for changes in ({"display": "popup"}, {"display": "hologram"}, {"claims_locales": "xx yy"}, {"ui_locales": "xx-YY zz"}, {"acr_values": "a b c"}):
        assert "code" in answer_of(rp.authorize(browser, **changes))


# --- signed userinfo --------------------------------------------------------------------------------------------------------------------------


@pytest.mark.spec("OIDC Core", "5.3.2")
@pytest.mark.parametrize("alg", ["ES256", "RS256"])
def test_userinfo_is_signed_for_who_registered_it(platform: Flask, clock: FakeClock, beijing: Somebody, alg: str) -> None:
    rp = RelyingParty(platform, clock, userinfo_signed_response_alg=alg)
    answer = rp.userinfo(rp.tokens(rp.browser(beijing.id))["access_token"])
    assert answer.mimetype == "application/jwt"
    assert answer.headers["Cache-Control"] == "no-store"
    token = answer.get_data(as_text=True)
    keys = KeySet.import_key_set(body_of(platform.test_client().get("/oauth2/jwks", base_url=ISSUER)))  # type: ignore[arg-type]  # joserfc's type
    jws.deserialize_compact(token, keys, algorithms=[alg])
    assert header_of(token)["alg"] == alg
    said = claims_of(token)
    assert (said["iss"], said["aud"], said["sub"], said["name"]) == (ISSUER, "rp", beijing.sub, "王小明")
