"""Dynamic registration: closed by default, by leave only, judged like any client, managed by the client's own token alone."""

import json
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from hypothesis import HealthCheck, given
from hypothesis import settings as settings_of
from hypothesis import strategies as st
from werkzeug.test import TestResponse

from idp.adapters import Fetched
from idp.db import session
from idp.oidc.client_models import ClientOrigin, InitialAccessToken
from idp.oidc.dynamic_registration import KNOWN, LEFT_OUT, OWN, REFUSED
from idp.oidc.models import ClientRecord, Grant
from idp.settings import Settings
from tests.command_line import idp
from tests.conftest import SECRET
from tests.fakes import FakeClock, FakeWeb
from tests.oidc.conftest import Somebody
from tests.oidc.test_client_authentication import KEY, basic
from tests.relying_party import CHALLENGE, ISSUER, VERIFIER, answer_of, body_of

pytestmark = pytest.mark.slow

CALLBACK = "https://rp.example/cb"


@pytest.fixture
def settings(tmp_path: Path, database_url: str) -> Settings:
    return Settings(data_dir=tmp_path, secret_key=SECRET, database_url=database_url, client_registration="on")


@pytest.fixture
def leave(platform: Flask) -> str:
    return allow(platform)


def allow(platform: Flask, *words: str) -> str:
    """An initial access token, as an operator makes one."""
    said = idp(platform, "client", "token", "--uses", "50", "--json", *words)
    assert said.code == 0, said.err
    token: str = json.loads(said.out)["initial_access_token"]
    return token


def register(platform: Flask, leave: str, **members: Any) -> TestResponse:
    sent = {"redirect_uris": [CALLBACK], **members}
    return call(platform, "POST", "/oauth2/register", leave, sent)


def call(platform: Flask, method: str, path: str, token: str, sent: Any = None) -> TestResponse:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return platform.test_client().open(path, method=method, json=sent, headers=headers, base_url=ISSUER)


def registered(platform: Flask, leave: str, **members: Any) -> dict[str, Any]:
    answer = register(platform, leave, **members)
    assert answer.status_code == 201, answer.json
    return body_of(answer)


def path_of(told: dict[str, Any]) -> str:
    uri: str = told["registration_client_uri"]
    assert uri.startswith(f"{ISSUER}/oauth2/register/")
    return uri.removeprefix(ISSUER)


def own(told: dict[str, Any]) -> str:
    token: str = told["registration_access_token"]
    return token


# --- leave ----------------------------------------------------------------------------------------------------------------------------------


@pytest.mark.spec("RFC 7591", "3.2.1")
def test_defaults_are_told_and_the_secret_works(platform: Flask, leave: str, beijing: Somebody, clock: FakeClock) -> None:
    answer = register(platform, leave)
    told = body_of(answer)
    assert (answer.status_code, answer.headers["Cache-Control"]) == (201, "no-store")
    assert told["client_secret_expires_at"] == 0
    assert told["client_id_issued_at"] == int(clock.now().timestamp())
    expected = {
        "redirect_uris": [CALLBACK],
        "grant_types": ["authorization_code"],
        "response_types": ["code"],
        "token_endpoint_auth_method": "client_secret_basic",
        "id_token_signed_response_alg": "RS256",
        "subject_type": "public",
        "application_type": "web",
        "scope": "openid profile email phone enterprise",
    }
    assert {name: told[name] for name in expected} == expected
    assert not {"system", "first_party", "require_pkce", "profile"} & set(told)
    form = {"grant_type": "authorization_code", "code": "x", "redirect_uri": CALLBACK, "code_verifier": VERIFIER}
    token = platform.test_client().post("/oauth2/token", data=form, headers=basic(told["client_id"], told["client_secret"]), base_url=ISSUER)
    assert token.json == {"error": "invalid_grant"}


def test_secrets_and_tokens_are_kept_as_digests_only(platform: Flask, leave: str) -> None:
    told = registered(platform, leave)
    with platform.app_context():
        row = session.get_one(ClientRecord, told["client_id"])
        kept = json.dumps([row.registration, row.secrets, row.unknown, row.access_digest, session.query(InitialAccessToken).one().digest])
    for secret in (told["client_secret"], own(told), leave):
        assert secret not in kept


@pytest.mark.parametrize("token", ["", "x", "x" * 5000, "é"])
def test_without_leave_nothing_is_registered(platform: Flask, leave: str, token: str) -> None:
    answer = register(platform, token)
    assert (answer.status_code, answer.json) == (401, {"error": "invalid_token"})
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")


def test_leave_ends_by_number_and_by_time(platform: Flask, clock: FakeClock) -> None:
    twice = json.loads(idp(platform, "client", "token", "--uses", "2", "--expires", "30m", "--json").out)["initial_access_token"]
    # what is refused costs nothing
    assert register(platform, twice, redirect_uris=[]).status_code == 400
    assert [register(platform, twice).status_code for _ in range(3)] == [201, 201, 401]
    late = json.loads(idp(platform, "client", "token", "--uses", "2", "--expires", "30m", "--json").out)["initial_access_token"]
    clock.advance(minutes=30)
    assert register(platform, late).status_code == 401


@pytest.mark.parametrize("expires", ["0m", "91d", "1y", "-1h", "", "99999d"])
def test_leave_is_for_a_sensible_time(platform: Flask, expires: str) -> None:
    assert idp(platform, "client", "token", "--expires", expires).code == 1


def test_a_registration_token_is_no_leave_and_leave_is_no_registration_token(platform: Flask, leave: str) -> None:
    told = registered(platform, leave)
    assert register(platform, own(told)).status_code == 401
    assert call(platform, "GET", path_of(told), leave).status_code == 401


# --- metadata -------------------------------------------------------------------------------------------------------------------------------


@pytest.mark.spec("OIDC Registration", "3.2")
def test_what_the_certification_suite_sends_is_registered_and_told(platform: Flask, far_servers: FakeWeb) -> None:
    far_servers.pages["https://suite.example/sector.json"] = Fetched(200, json.dumps([CALLBACK]).encode())
    leave = allow(platform, "--policy", "certification")
    sent = {
        "client_name": "suite",
        "client_name#ja": "クライアント名",
        "client_name#en": "suite en",
        "logo_uri": "https://suite.example/logo.png",
        "policy_uri": "https://suite.example/policy",
        "tos_uri": "https://suite.example/tos",
        "tos_uri#fr": "https://suite.example/cgu",
        "client_uri": "https://suite.example/",
        "contacts": ["certification@oidf.org"],
        "jwks": {"keys": [{**KEY.as_dict(private=False), "kid": "k", "use": "sig", "alg": "ES256"}]},
        "token_endpoint_auth_method": "client_secret_post",
        "grant_types": ["authorization_code", "refresh_token"],
        "id_token_signed_response_alg": "RS256",
        "userinfo_signed_response_alg": "RS256",
        "subject_type": "pairwise",
        "sector_identifier_uri": "https://suite.example/sector.json",
        "post_logout_redirect_uris": ["https://suite.example/bye"],
        "backchannel_logout_uri": "https://suite.example/backchannel_logout",
        "backchannel_logout_session_required": True,
        "initiate_login_uri": "https://suite.example/login",
        "require_auth_time": True,
        "default_max_age": 3600,
        "something_new": {"a": [1, None, "ä"]},
    }
    told = registered(platform, leave, **sent, scope="openid email offline_access address licence:export", request_uris=[CALLBACK])
    assert {name: told.get(name) for name in sent} == sent
    assert told["scope"] == "openid email"
    assert "request_uris" not in told
    with platform.app_context():
        row = session.get_one(ClientRecord, told["client_id"])
        assert (row.registration["require_pkce"], row.registration["assertion_audience"]) == (False, "compat")
    again = body_of(call(platform, "GET", path_of(told), own(told)))
    assert again == {name: value for name, value in told.items() if not name.startswith("client_secret")}


@pytest.mark.spec("RFC 9126", "6")
@pytest.mark.spec("RFC 9101", "9.2")
def test_how_requests_must_come_is_for_clients_to_say(platform: Flask) -> None:
    sent = {
        "request_object_signing_alg": "PS256",
        "require_signed_request_object": True,
        "require_pushed_authorization_requests": True,
        "jwks_uri": "https://suite.example/jwks",
    }
    told = registered(platform, allow(platform), **sent)
    assert {name: told.get(name) for name in sent} == sent
    for odd in ({"request_object_signing_alg": "none"}, {"request_object_signing_alg": "HS256"}, {"require_signed_request_object": True}):
        answer = call(platform, "POST", "/oauth2/register", allow(platform), {"redirect_uris": [CALLBACK], **odd})
        assert (answer.status_code, body_of(answer)["error"]) == (400, "invalid_client_metadata")


def test_a_public_client_has_pkce_whatever_the_policy(platform: Flask) -> None:
    told = registered(platform, allow(platform, "--policy", "certification"), token_endpoint_auth_method="none")
    assert "client_secret" not in told
    with platform.app_context():
        assert "require_pkce" not in session.get_one(ClientRecord, told["client_id"]).registration


@pytest.mark.spec("RFC 9449", "5.2")
def test_a_client_may_bind_itself_to_keys(platform: Flask, leave: str) -> None:
    told = registered(platform, leave, dpop_bound_access_tokens=True, grant_types=["authorization_code"])
    assert told["dpop_bound_access_tokens"] is True
    form = {"grant_type": "authorization_code", "code": "x", "redirect_uri": CALLBACK, "code_verifier": VERIFIER}
    answer = platform.test_client().post("/oauth2/token", data=form, headers=basic(told["client_id"], told["client_secret"]), base_url=ISSUER)
    assert answer.json == {"error": "invalid_dpop_proof"}


@pytest.mark.spec("RFC 7591", "3.2.1")
def test_flows_that_are_not_offered_are_left_out_and_the_rest_is_told(platform: Flask, leave: str) -> None:
    asked = {"grant_types": ["implicit", "authorization_code", "refresh_token", "x"], "response_types": ["id_token", "code", "code id_token"]}
    told = registered(platform, leave, **asked)
    effective = {"grant_types": ["authorization_code", "refresh_token"], "response_types": ["code"]}
    assert {name: told[name] for name in asked} == effective
    with platform.app_context():
        kept = session.get_one(ClientRecord, told["client_id"])
        assert (kept.registration["grant_types"], kept.unknown) == (effective["grant_types"], {})
    # RFC 7592 §2.2: an update is judged alike
    sent = {"client_id": told["client_id"], "redirect_uris": [CALLBACK], "grant_types": ["authorization_code", "implicit"]}
    assert body_of(call(platform, "PUT", path_of(told), own(told), sent))["grant_types"] == ["authorization_code"]
    # what is left out is not allowed either
    for response_type in ("id_token", "code id_token"):
        query = {"client_id": told["client_id"], "redirect_uri": CALLBACK, "response_type": response_type, "scope": "openid", "nonce": "n"}
        refused = platform.test_client().get("/oauth2/authorize", query_string=query, base_url=ISSUER)
        assert "error=unsupported_response_type" in refused.headers["Location"]


def test_an_operator_is_told_of_flows_that_are_not_offered(platform: Flask, tmp_path: Path) -> None:
    file = tmp_path / "client.toml"
    for member in ('grant_types = ["authorization_code", "implicit"]', 'response_types = ["code", "id_token"]'):
        file.write_text(f'client_id = "strict"\nredirect_uris = ["{CALLBACK}"]\n{member}\n')
        said = idp(platform, "client", "apply", str(file))
        assert said.code == 1
        assert member.partition(" ")[0] in said.err
    with platform.app_context():
        assert session.get(ClientRecord, "strict") is None


@pytest.mark.spec("RFC 7591", "3.2.2")
@pytest.mark.parametrize(
    ("members", "error"),
    [
        ({"redirect_uris": []}, "invalid_client_metadata"),
        ({"redirect_uris": "https://rp.example/cb"}, "invalid_redirect_uri"),
        ({"redirect_uris": ["https://rp.example/cb#f"]}, "invalid_redirect_uri"),
        ({"redirect_uris": ["http://rp.example/cb"]}, "invalid_redirect_uri"),
        ({"redirect_uris": ["javascript://h/%0aalert(1)"]}, "invalid_redirect_uri"),
        ({"redirect_uris": [7]}, "invalid_redirect_uri"),
        ({"response_types": ["id_token"]}, "invalid_client_metadata"),
        ({"response_types": ["code id_token"]}, "invalid_client_metadata"),
        ({"grant_types": ["implicit"]}, "invalid_client_metadata"),
        ({"grant_types": ["implicit", "refresh_token"]}, "invalid_client_metadata"),
        ({"grant_types": ["authorization_code", 1]}, "invalid_client_metadata"),
        ({"grant_types": {"authorization_code": True}}, "invalid_client_metadata"),
        ({"response_types": ["code", ["id_token"]]}, "invalid_client_metadata"),
        ({"response_types": "code id_token"}, "invalid_client_metadata"),
        ({"grant_types": ["password"]}, "invalid_client_metadata"),
        ({"id_token_signed_response_alg": "none"}, "invalid_client_metadata"),
        ({"token_endpoint_auth_method": "client_secret_jwt"}, "invalid_client_metadata"),
        ({"token_endpoint_auth_method": "private_key_jwt"}, "invalid_client_metadata"),
        ({"jwks": {"keys": [KEY.as_dict(private=False)]}, "jwks_uri": "https://rp.example/jwks"}, "invalid_client_metadata"),
        ({"jwks": {"keys": [KEY.as_dict(private=True)]}}, "invalid_client_metadata"),
        ({"logo_uri": "http://rp.example/x.png"}, "invalid_client_metadata"),
        ({"logo_uri": "javascript:x"}, "invalid_client_metadata"),
        ({"logo_uri": ["https://rp.example/x.png"]}, "invalid_client_metadata"),
        ({"initiate_login_uri": "http://127.0.0.1/login"}, "invalid_client_metadata"),
        ({"backchannel_logout_uri": "http://localhost:8443/bye"}, "invalid_client_metadata"),
        ({"security_events_uri": "http://localhost:8443/events"}, "invalid_client_metadata"),
        ({"initiate_login_uri": "http://rp.example/login"}, "invalid_client_metadata"),
        ({"id_token_encrypted_response_alg": "RSA-OAEP"}, "invalid_client_metadata"),
        ({"software_statement": "a.b.c"}, "invalid_client_metadata"),
        ({"first_party": True}, "invalid_client_metadata"),
        ({"system": "export"}, "invalid_client_metadata"),
        ({"require_pkce": False}, "invalid_client_metadata"),
        ({"registration_access_token": "x"}, "invalid_client_metadata"),
        ({"client_name": "a\u202eb"}, "invalid_client_metadata"),
        ({"unknown": "x" * 9000}, "invalid_client_metadata"),
        ({"x" * 101: 1}, "invalid_client_metadata"),
        ({f"x{n}": 1 for n in range(51)}, "invalid_client_metadata"),
        ({"subject_type": "pairwise", "redirect_uris": [CALLBACK, "https://other.example/cb"]}, "invalid_client_metadata"),
        ({"scope": 7}, "invalid_client_metadata"),
        ({"default_max_age": "x"}, "invalid_client_metadata"),
    ],
)
def test_wrong_metadata_is_400_with_the_error_of_the_rfc(platform: Flask, leave: str, members: dict[str, Any], error: str) -> None:
    answer = register(platform, leave, **members)
    assert (answer.status_code, body_of(answer)["error"]) == (400, error)
    with platform.app_context():
        assert session.query(ClientRecord).count() == 0


@pytest.mark.parametrize(
    "body",
    [
        *(
            b"",
            b"[]",
            b"null",
            b"7",
            b"{",
            b"\xff",
            b'{"a": NaN}',
            b'{"a": 1e999}',
            b'{"a": "\\ud800"}',
            b"[" * 20_000,
            b'{"a":' * 2000 + b"1" + b"}" * 2000,
        ),
        *(b'{"redirect_uris": ["\\u0000"]}', b'{"a": ' + b"1" * 5000 + b"}", b" " * 70_000 + b"{}"),
    ],
)
def test_broken_bodies_are_400(platform: Flask, leave: str, body: bytes) -> None:
    headers = {"Authorization": f"Bearer {leave}", "Content-Type": "application/json"}
    answer = platform.test_client().post("/oauth2/register", data=body, headers=headers, base_url=ISSUER)
    assert answer.status_code == 400
    form = platform.test_client().post(
        "/oauth2/register", data={"redirect_uris": CALLBACK}, headers={"Authorization": f"Bearer {leave}"}, base_url=ISSUER
    )
    assert form.status_code == 400


def test_addresses_that_would_never_be_called_are_refused(platform: Flask, leave: str, far_servers: FakeWeb) -> None:
    far_servers.refused["https://10.0.0.1/x"] = "address"
    for member in ("jwks_uri", "backchannel_logout_uri", "security_events_uri", "sector_identifier_uri"):
        answer = register(platform, leave, **{member: "https://10.0.0.1/x"})
        assert (answer.status_code, body_of(answer)["error"]) == (400, "invalid_client_metadata")
        assert member in body_of(answer)["error_description"]
    assert far_servers.asked == []


@pytest.mark.spec("OIDC Registration", "5")
@pytest.mark.parametrize(
    "page",
    [
        *(None, Fetched(404, b"[]"), Fetched(302, b""), Fetched(200, b"{}"), Fetched(200, b"x"), Fetched(200, b"[" * 9000)),
        *(Fetched(200, b'["https://rp.example/other"]'), Fetched(200, b"[[]]")),
    ],
)
def test_a_sector_must_name_every_redirect_uri(platform: Flask, leave: str, far_servers: FakeWeb, page: Fetched | None) -> None:
    if page is not None:
        far_servers.pages["https://rp.example/sector"] = page
    answer = register(platform, leave, sector_identifier_uri="https://rp.example/sector")
    assert (answer.status_code, body_of(answer)["error"]) == (400, "invalid_client_metadata")


# --- managing -------------------------------------------------------------------------------------------------------------------------------


@pytest.mark.spec("RFC 7592", "2")
def test_the_token_opens_its_own_client_only(platform: Flask, leave: str) -> None:
    mine, other = registered(platform, leave), registered(platform, leave)
    for method in ("GET", "PUT", "DELETE"):
        for path, token in ((path_of(mine), own(other)), (path_of(mine), ""), ("/oauth2/register/nobody", own(mine)), ("/oauth2/register/%00", "x")):
            assert call(platform, method, path, token, {"client_id": mine["client_id"]}).status_code == 401
    with platform.app_context():
        assert session.query(ClientRecord).count() == 2


@pytest.mark.spec("RFC 7592", "2.2")
def test_put_replaces_the_whole(platform: Flask, leave: str) -> None:
    told = registered(platform, leave, client_name="old", contacts=["a@example.org"], odd=1)
    sent = {"client_id": told["client_id"], "client_secret": told["client_secret"], "redirect_uris": ["https://rp.example/new"], "client_name": "new"}
    changed = body_of(call(platform, "PUT", path_of(told), own(told), {**sent, "contacts": None, "odder": 2}))
    assert (changed["client_name"], changed["redirect_uris"], changed["odder"]) == ("new", ["https://rp.example/new"], 2)
    assert not {"contacts", "odd", "client_secret"} & set(changed)
    assert own(changed) == own(told)
    with platform.app_context():
        assert [row.origin for row in session.query(ClientOrigin)] == ["https://rp.example"]


@pytest.mark.parametrize("change", [{"client_id": "other"}, {"client_id": None}, {"client_secret": "x"}, {"client_secret": 7}, {"first_party": True}])
def test_put_cannot_change_who_it_is(platform: Flask, leave: str, change: dict[str, Any]) -> None:
    told = registered(platform, leave)
    sent = {"client_id": told["client_id"], "redirect_uris": [CALLBACK], **change}
    assert call(platform, "PUT", path_of(told), own(told), sent).status_code == 400


def test_put_keeps_what_an_operator_gave_and_makes_a_secret_where_one_is_needed(platform: Flask) -> None:
    told = registered(platform, allow(platform, "--policy", "certification"), token_endpoint_auth_method="none")
    with platform.app_context():
        assert session.get_one(ClientRecord, told["client_id"]).secrets == []
    changed = body_of(call(platform, "PUT", path_of(told), own(told), {"client_id": told["client_id"], "redirect_uris": [CALLBACK]}))
    assert changed["client_secret"]
    with platform.app_context():
        row = session.get_one(ClientRecord, told["client_id"])
        assert row.registration["assertion_audience"] == "compat"


def test_the_sector_is_frozen(platform: Flask, leave: str) -> None:
    told = registered(platform, leave, subject_type="pairwise")
    sent = {"client_id": told["client_id"], "redirect_uris": ["https://elsewhere.example/cb"], "subject_type": "pairwise"}
    answer = call(platform, "PUT", path_of(told), own(told), sent)
    assert (answer.status_code, body_of(answer)["error"]) == (400, "invalid_client_metadata")


@pytest.mark.spec("RFC 7592", "2.3")
def test_delete_ends_everything(platform: Flask, leave: str, beijing: Somebody, clock: FakeClock) -> None:
    told = registered(platform, leave)
    assert (lambda answer: (answer.status_code, answer.data))(call(platform, "DELETE", path_of(told), own(told))) == (204, b"")
    assert call(platform, "GET", path_of(told), own(told)).status_code == 401
    assert call(platform, "DELETE", path_of(told), own(told)).status_code == 401
    with platform.app_context():
        assert session.query(ClientRecord).count() == session.query(Grant).count() == session.query(ClientOrigin).count() == 0


@pytest.mark.store
def test_a_disabled_client_cannot_manage_itself_nor_come_back(platform: Flask, leave: str) -> None:
    told = registered(platform, leave)
    assert idp(platform, "client", "disable", told["client_id"]).code == 0
    for method in ("GET", "PUT", "DELETE"):
        assert call(platform, method, path_of(told), own(told), {"client_id": told["client_id"], "redirect_uris": [CALLBACK]}).status_code == 401
    assert idp(platform, "client", "enable", told["client_id"]).code == 0
    assert call(platform, "GET", path_of(told), own(told)).status_code == 401


def test_discovery_names_it(platform: Flask) -> None:
    document = body_of(platform.test_client().get("/.well-known/openid-configuration", base_url=ISSUER))
    assert document["registration_endpoint"] == f"{ISSUER}/oauth2/register"


@pytest.mark.spec("OIDC Core", "8.1")
def test_a_registered_client_signs_a_person_in(platform: Flask, beijing: Somebody, clock: FakeClock) -> None:
    """From leave to ID token, without a challenge: what the suite does."""
    from tests.relying_party import RelyingParty, claims_of

    told = registered(platform, allow(platform, "--policy", "certification"), subject_type="pairwise")
    helper = RelyingParty(platform, clock, "helper")
    browser = helper.browser(beijing.id)
    asked = {"client_id": told["client_id"], "redirect_uri": CALLBACK, "response_type": "code", "scope": "openid", "prompt": "none"}
    assert answer_of(browser.get("/oauth2/authorize", query_string=asked, base_url=ISSUER))["error"] == "consent_required"
    assert CHALLENGE
    with platform.app_context():
        from idp.db import transaction

        with transaction():
            row = session.get_one(ClientRecord, told["client_id"], with_for_update=True)
            row.registration, row.version = {**row.registration, "first_party": True}, row.version + 1
    code = answer_of(browser.get("/oauth2/authorize", query_string=asked, base_url=ISSUER))["code"]
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": CALLBACK}
    answer = platform.test_client().post("/oauth2/token", data=form, headers=basic(told["client_id"], told["client_secret"]), base_url=ISSUER)
    assert claims_of(body_of(answer)["id_token"])["sub"] != beijing.sub


# --- odd values -----------------------------------------------------------------------------------------------------------------------------

ODD = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20), st.sampled_from([CALLBACK, "code", "none", "\x00", "é" * 300])
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@pytest.mark.slow
@settings_of(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    members=st.dictionaries(st.sampled_from(sorted(KNOWN | OWN | REFUSED | LEFT_OUT | {"x", "client_name#ja"})), ODD, max_size=4),
    name=st.text(max_size=9),
)
def test_no_metadata_makes_a_5xx(platform: Flask, leave: str, members: dict[str, Any], name: str) -> None:
    body = json.dumps({"redirect_uris": [CALLBACK], **members, name: "x"})
    headers = {"Authorization": f"Bearer {leave}", "Content-Type": "application/json"}
    answer = platform.test_client().post("/oauth2/register", data=body, headers=headers, base_url=ISSUER)
    assert answer.status_code in (201, 400, 401)
    if answer.status_code == 201:
        told = body_of(answer)
        changed = call(platform, "PUT", path_of(told), own(told), {**members, "client_id": told["client_id"]})
        assert changed.status_code in (200, 400)
