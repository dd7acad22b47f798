"""Registration against clients that lean on it: what an operator takes stays taken, names stay frozen, odd sizes are refused."""

import json
from dataclasses import replace
from typing import Any

import pytest
from flask import Flask

from idp.adapters import Fetched
from idp.db import session, transaction
from idp.oidc import client_addresses
from idp.oidc.dynamic_registration import KNOWN, OWN
from idp.oidc.models import ClientRecord
from idp.oidc.registration import judge
from idp.settings import Settings
from tests.command_line import idp
from tests.fakes import FakeClock, FakeWeb
from tests.oidc.test_client_authentication import KEY, assertion, by
from tests.oidc.test_client_lifecycle import changes
from tests.oidc.test_register import CALLBACK, allow, call, leave, own, path_of, register, registered, settings
from tests.relying_party import ISSUER, body_of

__all__ = ["leave", "settings"]
SECTOR = "https://rp.example/sector"


def set_members(client_id: str, **members: Any) -> None:
    """What an operator's `apply` leaves behind: these members, None = taken away (inside an app context)."""
    with transaction():
        row = session.get_one(ClientRecord, client_id, with_for_update=True)
        kept = {name: value for name, value in {**row.registration, **members}.items() if value is not None}
        row.registration, row.version = kept, row.version + 1


def stored(platform: Flask, client_id: str) -> dict[str, Any]:
    with platform.app_context():
        return session.get_one(ClientRecord, client_id).registration


@pytest.mark.store
@pytest.mark.spec("RFC 7592", "2.2")
def test_what_an_operator_takes_while_a_sector_is_fetched_stays_taken(
    platform: Flask, leave: str, far_servers: FakeWeb, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = registered(platform, leave)
    with platform.app_context():
        set_members(told["client_id"], first_party=True, system="export", scope="openid licence:export")
    asked = far_servers.get

    def slow(url: str, *, most: int = 0) -> Fetched:
        with platform.app_context():
            set_members(told["client_id"], first_party=None, system=None, scope="openid", require_acr="urn:licence:acr:password")
        return asked(url)

    far_servers.pages[SECTOR] = Fetched(200, json.dumps([CALLBACK]).encode())
    monkeypatch.setattr(far_servers, "get", slow)
    sent = {"client_id": told["client_id"], "redirect_uris": [CALLBACK], "sector_identifier_uri": SECTOR, "scope": "openid licence:export"}
    answer = call(platform, "PUT", path_of(told), own(told), sent)
    assert answer.status_code == 200, answer.json
    kept = stored(platform, told["client_id"])
    assert not {"first_party", "system"} & set(kept)
    assert (kept["scope"], kept["require_acr"]) == ("openid", "urn:licence:acr:password")
    assert body_of(answer)["scope"] == "openid"


@pytest.mark.spec("OIDC Core", "8.1")
@pytest.mark.parametrize(("before", "after"), [("pairwise", "public"), ("public", "pairwise")])
def test_there_is_no_way_between_pairwise_and_public(platform: Flask, leave: str, before: str, after: str) -> None:
    told = registered(platform, leave, subject_type=before)
    sent = {"client_id": told["client_id"], "redirect_uris": [CALLBACK], "subject_type": after}
    answer = call(platform, "PUT", path_of(told), own(told), sent)
    assert (answer.status_code, body_of(answer)["error"]) == (400, "invalid_client_metadata")
    same = call(platform, "PUT", path_of(told), own(told), {**sent, "subject_type": before})
    assert (same.status_code, body_of(same)["subject_type"]) == (200, before)


LONG = "a" * 61


@pytest.mark.store
@pytest.mark.parametrize("scheme", ["https", "http"])
def test_a_host_longer_than_a_name_can_be_is_no_5xx(platform: Flask, leave: str, scheme: str) -> None:
    host = ".".join([LONG] * 5)
    answer = register(platform, leave, redirect_uris=[f"{scheme}://{host}/cb"])
    assert (answer.status_code, body_of(answer)["error"]) == (400, "invalid_redirect_uri")
    for member in ("client_uri", "jwks_uri", "initiate_login_uri"):
        answer = register(platform, leave, **{member: f"https://{host}/x"})
        assert (answer.status_code, body_of(answer)["error"]) == (400, "invalid_client_metadata")
    # the longest there is, with the longest port
    longest = f"{'.'.join([LONG] * 4)}.abcde"
    assert len(longest) == 253
    told = registered(platform, leave, redirect_uris=[f"https://{longest}:65535/cb"], subject_type="pairwise")
    assert told["redirect_uris"] == [f"https://{longest}:65535/cb"]


def nested(depth: int) -> object:
    value: object = 1
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.store
def test_what_is_nested_deep_is_400(platform: Flask, leave: str) -> None:
    for member in ("x", "jwks", "redirect_uris", "contacts"):
        for depth in (8, *range(100, 1000, 100)):
            answer = register(platform, leave, **{member: nested(depth)})
            assert (answer.status_code, body_of(answer)["error"]) == (400, "invalid_client_metadata")


@pytest.mark.store
def test_what_is_nested_a_little_is_kept(platform: Flask, leave: str) -> None:
    told = registered(platform, leave, x=nested(7), y="\x00[[")
    assert (told["x"], told["y"]) == (nested(7), "\x00[[")
    assert body_of(call(platform, "GET", path_of(told), own(told)))["x"] == nested(7)


def test_leave_without_pkce_does_not_count_in_production(platform: Flask, leave: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before = allow(platform, "--policy", "certification")
    assert register(platform, before).status_code == 201
    monkeypatch.setattr(Settings, "production", True)
    answer = register(platform, before)
    assert (answer.status_code, answer.json) == (401, {"error": "invalid_token"})


@pytest.mark.spec("RFC 7591", "3.2.1")
@pytest.mark.parametrize("method", ["client_secret_basic", "none"])
def test_a_secret_that_a_client_brings_is_neither_kept_nor_told(platform: Flask, leave: str, clock: FakeClock, method: str) -> None:
    mine = "a-secret-that-the-client-thought-up-0123456789"
    answer = register(platform, leave, client_secret=mine, token_endpoint_auth_method=method)
    told = body_of(answer)
    assert mine not in answer.text
    assert ("client_secret" in told) == (method != "none")
    with platform.app_context():
        row = session.get_one(ClientRecord, told["client_id"])
        assert mine not in json.dumps([row.registration, row.unknown])
    assert "client_secret" not in body_of(call(platform, "GET", path_of(told), own(told)))


@pytest.mark.parametrize("member", ["jwks_uri", "backchannel_logout_uri", "security_events_uri", "sector_identifier_uri"])
def test_what_operators_may_reach_is_not_for_strangers(platform: Flask, leave: str, far_servers: FakeWeb, member: str) -> None:
    uri = "https://intranet.example/x"
    far_servers.inside.add(uri)
    far_servers.pages[uri] = Fetched(200, json.dumps([CALLBACK]).encode())
    answer = register(platform, leave, **{member: uri})
    assert (answer.status_code, body_of(answer)["error"]) == (400, "invalid_client_metadata")
    assert "address" not in body_of(answer)["error_description"]
    assert far_servers.asked == []
    # a certification run has its servers next door, and operators theirs
    assert register(platform, allow(platform, "--policy", "certification"), **{member: uri}).status_code == 201
    assert register(platform, leave, public_addresses_only=False).status_code == 400
    with platform.app_context():
        client_addresses.judge(judge({"client_id": "x", "redirect_uris": [CALLBACK], member: uri}), far_servers)


def test_keys_of_a_stranger_are_not_fetched_inside(platform: Flask, leave: str, far_servers: FakeWeb, clock: FakeClock) -> None:
    uri = "https://rp.example/jwks"
    told = registered(platform, leave, token_endpoint_auth_method="private_key_jwt", jwks_uri=uri)
    # its name leads elsewhere now
    far_servers.inside.add(uri)
    far_servers.pages[uri] = Fetched(200, json.dumps({"keys": [{**KEY.as_dict(private=False), "kid": "k1"}]}).encode())
    shown = assertion(clock, iss=told["client_id"], sub=told["client_id"])
    form = {"grant_type": "authorization_code", "code": "x", "redirect_uri": CALLBACK, **by(shown)}
    assert platform.test_client().post("/oauth2/token", data=form, base_url=ISSUER).status_code == 401
    assert far_servers.asked == []
    with platform.app_context():
        set_members(told["client_id"], public_addresses_only=None)
    assert platform.test_client().post("/oauth2/token", data=form, base_url=ISSUER).json == {"error": "invalid_grant"}


@pytest.mark.parametrize("page", [None, Fetched(404, b""), Fetched(200, b"x"), Fetched(200, b"{}"), Fetched(200, b"[]")])
def test_why_a_sector_could_not_be_read_is_not_told(platform: Flask, leave: str, far_servers: FakeWeb, page: Fetched | None) -> None:
    if page is not None:
        far_servers.pages[SECTOR] = page
    said = body_of(register(platform, leave, sector_identifier_uri=SECTOR))["error_description"]
    assert said == f"sector_identifier_uri: no JSON array that names every redirect URI can be read at {SECTOR!r}"


class Slow(FakeWeb):
    """Servers whose every look-up takes three of the five seconds that calls have together."""

    left = 0.0

    def together(self) -> "Slow":
        self.left = 5.0
        return self

    def public_only(self) -> "Slow":  # type: ignore[override]  # itself will do
        return self

    def refuses(self, url: str) -> str | None:
        self.asked.append(url)
        self.left -= 3.0
        return "time" if self.left <= 0 else None


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_all_addresses_of_a_registration_have_one_time_together(platform: Flask, leave: str, method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    told, slow, runtime = registered(platform, leave), Slow(), platform.extensions["idp"]
    monkeypatch.setitem(platform.extensions, "idp", replace(runtime, adapters=replace(runtime.adapters, outbound=slow)))
    sent: dict[str, Any] = {
        name: f"https://{name[:4]}.example/x" for name in ("jwks_uri", "sector_identifier_uri", "backchannel_logout_uri", "logo_uri")
    }
    sent["redirect_uris"] = [CALLBACK]
    answer = (
        call(platform, "POST", "/oauth2/register", leave, sent)
        if method == "POST"
        else call(platform, "PUT", path_of(told), own(told), {**sent, "client_id": told["client_id"]})
    )
    assert (answer.status_code, body_of(answer)["error"]) == (400, "invalid_client_metadata")
    assert len(slow.asked) == 2


@pytest.mark.store
def test_a_leaked_token_has_names_looked_up_so_often_and_no_more(platform: Flask, leave: str, far_servers: FakeWeb, clock: FakeClock) -> None:
    def attempt(token: str) -> int:
        return register(platform, token, sector_identifier_uri=SECTOR).status_code

    # refused ones spend no leave, and are counted all the same
    assert [attempt(leave) for _ in range(22)] == [400] * 20 + [429] * 2
    assert len(far_servers.asked) == 20
    late = register(platform, leave, sector_identifier_uri=SECTOR)
    assert (body_of(late)["error"], late.headers["Retry-After"], late.headers["Cache-Control"]) == ("temporarily_unavailable", "60", "no-store")
    # what calls nobody costs nothing, and a wrong token is a wrong token
    assert register(platform, leave).status_code == 201
    assert attempt("x") == 401
    # another token has its own, a network its own for all of them (23 are counted)
    assert [attempt(allow(platform)) for _ in range(18)] == [400] * 17 + [429]
    clock.advance(seconds=60)
    assert attempt(leave) == 400


def test_a_client_that_changes_itself_is_counted_too(platform: Flask, leave: str, far_servers: FakeWeb) -> None:
    told = registered(platform, leave)
    sent = {"client_id": told["client_id"], "redirect_uris": [CALLBACK], "sector_identifier_uri": SECTOR}
    assert [call(platform, "PUT", path_of(told), own(told), sent).status_code for _ in range(22)] == [400] * 20 + [429] * 2
    assert len(far_servers.asked) == 20


@pytest.mark.store
@pytest.mark.parametrize("ends", [["disable"], ["rotate-secret"]])
def test_a_stolen_registration_token_ends_by_an_operator(platform: Flask, leave: str, ends: list[str]) -> None:
    told = registered(platform, leave)
    sent = {"client_id": told["client_id"], "redirect_uris": ["https://thief.example/cb"]}

    def statuses(token: str) -> list[int]:
        return [call(platform, "GET", path_of(told), token).status_code, call(platform, "PUT", path_of(told), token, sent).status_code]

    assert idp(platform, "client", *ends, told["client_id"]).code == 0
    assert statuses(own(told)) == [401, 401]
    if ends == ["disable"]:
        assert idp(platform, "client", "token", "--for", told["client_id"]).code == 1
    idp(platform, "client", "enable", told["client_id"])
    assert statuses(own(told)) == [401, 401]
    fresh = json.loads(idp(platform, "client", "token", "--for", told["client_id"], "--json").out)["registration_access_token"]
    assert statuses(own(told)) == [401, 401]
    assert statuses(fresh) == [200, 200]
    again = json.loads(idp(platform, "client", "token", "--for", told["client_id"], "--json").out)["registration_access_token"]
    assert (statuses(fresh), statuses(again)) == ([401, 401], [200, 200])
    assert idp(platform, "client", "token", "--for", "nobody").code == 1


@pytest.mark.spec("RFC 7592", "2.2")
def test_a_secret_that_goes_and_comes_again_is_seen(platform: Flask, leave: str) -> None:
    told = registered(platform, leave)
    secrets = []
    for method in ("none", "client_secret_basic", "client_secret_post"):
        sent = {"client_id": told["client_id"], "redirect_uris": [CALLBACK], "token_endpoint_auth_method": method}
        secrets.append("client_secret" in body_of(call(platform, "PUT", path_of(told), own(told), sent)))
    assert secrets == [False, True, False]
    assert changes(platform) == ["added", "updated", "secret_removed", "updated", "secret_rotated", "updated"]


@pytest.mark.spec("RFC 7591", "2.1")
def test_the_code_flow_has_the_response_type_code(platform: Flask, leave: str) -> None:
    answer = register(platform, leave, response_types=[])
    assert (answer.status_code, body_of(answer)["error"]) == (400, "invalid_client_metadata")
    assert register(platform, leave, response_types=[], grant_types=["client_credentials"]).status_code == 201


# every member that a client may give, with a value that is not its default; what goes together stands together
FILLED: dict[str, Any] = {
    "client_name": "物流", "client_name#en": "Logistics", "application_type": "native",
    "redirect_uris": [CALLBACK, "com.example.app:/cb"], "post_logout_redirect_uris": ["https://rp.example/after"],
    "grant_types": ["authorization_code", "refresh_token"], "response_types": ["code"], "scope": "openid profile",
    "token_endpoint_auth_method": "private_key_jwt", "token_endpoint_auth_signing_alg": "ES256", "dpop_bound_access_tokens": True,
    "require_pushed_authorization_requests": True, "require_signed_request_object": True, "request_object_signing_alg": "ES256",
    "authorization_signed_response_alg": "ES256", "introspection_signed_response_alg": "ES256", "id_token_signed_response_alg": "ES256",
    "userinfo_signed_response_alg": "ES256", "subject_type": "pairwise", "sector_identifier_uri": SECTOR,
    "jwks": {"keys": [{**KEY.as_dict(private=False), "kid": "k1"}]}, "default_max_age": 60, "require_auth_time": True,
    "default_acr_values": ["urn:licence:acr:password"], "initiate_login_uri": "https://rp.example/start",
    "backchannel_logout_uri": "https://rp.example/bye", "backchannel_logout_session_required": True, "client_uri": "https://rp.example/",
    "security_events_uri": "https://rp.example/events",
    "logo_uri": "https://rp.example/logo", "policy_uri": "https://rp.example/policy", "tos_uri": "https://rp.example/tos",
    "contacts": ["ops@rp.example"], "software_id": "x", "software_version": {"a": [1]},
}  # fmt: skip
SECRET_HELD = {"token_endpoint_auth_method": "client_secret_post", "token_endpoint_auth_signing_alg": None}
BY_URI = {"jwks": None, "jwks_uri": "https://rp.example/jwks"}
# of certificates and devices it depends on the settings
ELSEWHERE = {name for name in KNOWN if name.startswith("tls_client_")} | {"client_id"}


@pytest.mark.spec("RFC 7592", "2.2")
@pytest.mark.parametrize("other", [{}, SECRET_HELD, BY_URI, {"redirect_uris": [CALLBACK]}], ids=["keys", "secret", "jwks_uri", "few"])
@pytest.mark.parametrize("profile", ["oidc", "fapi2-security", "fapi2-message-signing"])
def test_what_get_told_may_be_put_back(platform: Flask, leave: str, far_servers: FakeWeb, other: dict[str, Any], profile: str) -> None:
    assert set(FILLED) | {"jwks_uri"} >= KNOWN - OWN - ELSEWHERE
    far_servers.pages[SECTOR] = Fetched(200, json.dumps(FILLED["redirect_uris"]).encode())
    few = set(other) == {"redirect_uris"}
    members = {name: value for name, value in ({} if few else FILLED).items() if name not in other}
    told = registered(platform, leave, **members, **{name: value for name, value in other.items() if value is not None})
    if profile != "oidc" and not few and other is not SECRET_HELD:
        with platform.app_context():
            set_members(told["client_id"], profile=profile)
    read = body_of(call(platform, "GET", path_of(told), own(told)))
    for name in ("registration_access_token", "registration_client_uri", "client_id_issued_at", "client_secret_expires_at"):
        read.pop(name, None)
    assert set(members) <= set(read)
    # with its secret or without (§2.2)
    for more in ({}, {"client_secret": told["client_secret"]} if "client_secret" in told else {}):
        answer = call(platform, "PUT", path_of(told), own(told), {**read, **more})
        assert answer.status_code == 200, answer.json
        again = body_of(answer)
        assert {name: again.get(name) for name in read} == read
        assert set(again) - set(read) == {"registration_access_token", "registration_client_uri", "client_id_issued_at"}
