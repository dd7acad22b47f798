"""Mutual TLS (RFC 8705): clients proven by certificates, tokens bound to them, and the host that asks for them."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from flask import Flask
from pydantic import SecretStr
from werkzeug.test import TestResponse

from idp.adapters import Fetched
from idp.audit.models import AuditEvent
from idp.db import session, transaction
from idp.errors import BadInput
from idp.oidc import certificates, dynamic_registration
from idp.settings import Settings
from tests.certificates import CLIENT, DAY, SERVER, Certified, authority, make, name_of
from tests.conftest import SECRET
from tests.fakes import START, FakeClock, FakeWeb
from tests.oidc.conftest import REFRESHES, SCOPE, Somebody
from tests.oidc.test_client_authentication import KEY, assertion, basic, by, turned_away
from tests.relying_party import ISSUER, VERIFIER, RelyingParty, body_of, claims_of

pytestmark = [pytest.mark.slow, pytest.mark.spec("RFC 8705", "2")]

MTLS = "http://localhost:8443"
CA, OTHER_CA = authority(), authority("Other")
LEAF, OTHER = make(name_of("rp"), CA, usage=[CLIENT]), make(name_of("other"), CA, usage=[CLIENT])
SELF_SIGNED = make(name_of("self"))
NAMED: dict[str, Any] = {"token_endpoint_auth_method": "tls_client_auth", "tls_client_auth_subject_dn": "CN=rp,O=商务部\\, 外贸司,C=CN"}
BOUND: dict[str, Any] = {"tls_client_certificate_bound_access_tokens": True}


@pytest.fixture
def settings(tmp_path: Path, database_url: str) -> Settings:
    file = tmp_path / "ca.pem"
    file.write_bytes(CA.pem)
    behind: dict[str, Any] = {"trusted_proxy": ("127.0.0.1",), "client_cert_header": "Client-Cert", "client_registration": "on"}
    return Settings(data_dir=tmp_path, secret_key=SECRET, database_url=database_url, mtls_base_url=MTLS, mtls_ca_file=file, **behind)


class Caller:
    """A client behind the proxy: what it sends reaches us with its certificate beside."""

    def __init__(self, rp: RelyingParty, shown: Certified | None = LEAF, base: str = MTLS) -> None:
        self.rp, self.shown, self.base = rp, shown, base

    def headers(self) -> dict[str, str]:
        return {"Client-Cert": self.shown.rfc9440} if self.shown is not None else {}

    def post(self, endpoint: str, headers: dict[str, str] | None = None, /, **form: str) -> TestResponse:
        sent = {"client_id": self.rp.client_id, **form}
        path = f"/oauth2/{endpoint}"
        return self.rp.app.test_client().post(path, data=sent, headers={**self.headers(), **(headers or {})}, base_url=self.base)

    def redeem(self, code: str, headers: dict[str, str] | None = None, /, **form: str) -> TestResponse:
        whole = {"grant_type": "authorization_code", "code": code, "redirect_uri": self.rp.redirect_uri, "code_verifier": VERIFIER}
        return self.post("token", headers, **whole, **form)

    def tokens(self, account_id: int) -> dict[str, Any]:
        answer = self.redeem(self.rp.code(self.rp.browser(account_id)))
        assert answer.status_code == 200, answer.json
        return body_of(answer)

    def userinfo(self, token: str) -> TestResponse:
        headers = {**self.headers(), "Authorization": f"Bearer {token}"}
        return self.rp.app.test_client().get("/oauth2/userinfo", headers=headers, base_url=self.base)


@pytest.fixture
def named(platform: Flask, clock: FakeClock) -> RelyingParty:
    return RelyingParty(platform, clock, "rp", None, scope=SCOPE, grant_types=REFRESHES, system="export", **NAMED, **BOUND)


@pytest.fixture
def own(platform: Flask, clock: FakeClock) -> RelyingParty:
    members = {"token_endpoint_auth_method": "self_signed_tls_client_auth", "jwks": {"keys": [SELF_SIGNED.jwk()]}}
    return RelyingParty(platform, clock, "own", None, **members, **BOUND)


def reasons(platform: Flask) -> list[str]:
    with platform.app_context():
        return [row.detail["reason"] for row in session.query(AuditEvent).filter_by(event="oidc.client.refused").order_by(AuditEvent.id)]


# --- proving the client ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.spec("RFC 8705", "2.1")
def test_a_certificate_of_the_ca_with_the_registered_name_proves(named: RelyingParty, beijing: Somebody) -> None:
    answer = Caller(named).tokens(beijing.id)
    assert answer["token_type"] == "Bearer"
    assert claims_of(answer["access_token"])["cnf"] == {"x5t#S256": certificates.thumbprint(LEAF.der)}


@pytest.mark.spec("RFC 8705", "2.2")
def test_a_registered_self_signed_certificate_proves(own: RelyingParty, beijing: Somebody, clock: FakeClock) -> None:
    assert Caller(own, SELF_SIGNED).tokens(beijing.id)
    # the same names, another key; and out of its time
    turned_away(Caller(own, make(name_of("self"))).post("token", grant_type="x"))
    turned_away(Caller(own).post("token", grant_type="x"))
    clock.advance(days=31)
    turned_away(Caller(own, SELF_SIGNED).post("token", grant_type="x"))


@pytest.mark.spec("RFC 8705", "2.2.2")
def test_certificates_stand_at_a_jwks_uri_too(platform: Flask, clock: FakeClock, far_servers: FakeWeb) -> None:
    place = "https://rp.example/jwks"
    rp = RelyingParty(platform, clock, "far", None, token_endpoint_auth_method="self_signed_tls_client_auth", jwks_uri=place)
    turned_away(Caller(rp, SELF_SIGNED).post("revoke", token="x"))
    clock.advance(seconds=31)
    far_servers.pages[place] = Fetched(200, json.dumps({"keys": [SELF_SIGNED.jwk()]}).encode())
    assert Caller(rp, SELF_SIGNED).post("revoke", token="x").status_code == 200
    # rotated there: the new one asks again, seldom
    renewed = make(name_of("self"))
    turned_away(Caller(rp, renewed).post("revoke", token="x"))
    far_servers.pages[place] = Fetched(200, json.dumps({"keys": [renewed.jwk()]}).encode())
    clock.advance(seconds=31)
    assert Caller(rp, renewed).post("revoke", token="x").status_code == 200
    turned_away(Caller(rp, SELF_SIGNED).post("revoke", token="x"))


@pytest.mark.parametrize(
    ("shown", "reason"),
    [
        (None, "certificate_missing"),
        (OTHER, "certificate_name"),
        (make(name_of("rp"), OTHER_CA), "certificate_issuer"),
        (make(name_of("rp")), "certificate_issuer"),
        (make(name_of("rp"), CA, usage=[SERVER]), "certificate_issuer"),
        (make(name_of("rp"), CA, ca=True), "certificate_issuer"),
        (make(name_of("rp"), CA, end=START - DAY / 24), "certificate_missing"),
        (make(name_of("rp"), CA, start=START + DAY), "certificate_missing"),
        (SELF_SIGNED, "certificate_name"),
    ],
)
def test_any_other_certificate_is_one_answer(named: RelyingParty, platform: Flask, shown: Certified | None, reason: str) -> None:
    wrong, unknown = Caller(named, shown).post("token", grant_type="x"), Caller(named, shown).post("token", grant_type="x", client_id="nobody")
    turned_away(wrong)
    turned_away(unknown)
    assert (wrong.data, sorted(wrong.headers.items())) == (unknown.data, sorted(unknown.headers.items()))
    assert reasons(platform)[0] == reason


def test_two_certificates_are_none(named: RelyingParty) -> None:
    for header in (f"{LEAF.rfc9440}, {LEAF.rfc9440}", LEAF.rfc9440[:-1], LEAF.escaped, "(null)", "x" * 20_000):
        turned_away(Caller(named, None).post("token", {"Client-Cert": header}, grant_type="x"))


@pytest.mark.spec("RFC 6749", "2.3")
def test_exactly_the_registered_method(named: RelyingParty, platform: Flask, clock: FakeClock, beijing: Somebody) -> None:
    # with a secret or an assertion beside its name it is another method
    turned_away(Caller(named).post("token", grant_type="x", client_secret=SECRET))
    turned_away(Caller(named).post("token", basic("rp", SECRET), grant_type="x"))
    turned_away(Caller(named).post("token", grant_type="x", **by(assertion(clock, iss="rp", sub="rp"))))
    # a certificate beside another method is no second one, and proves nobody else
    jwks = {"keys": [{**KEY.as_dict(private=False), "kid": "k1"}]}
    keyed = RelyingParty(platform, clock, "keyed", None, token_endpoint_auth_method="private_key_jwt", jwks=jwks)
    turned_away(Caller(keyed).post("token", grant_type="x"))
    code = keyed.code(keyed.browser(beijing.id))
    answer = Caller(keyed).redeem(code, **by(assertion(clock)))
    assert answer.status_code == 200
    assert "cnf" not in claims_of(body_of(answer)["access_token"])


# --- where certificates count ---------------------------------------------------------------------------------------------------------------


@pytest.mark.spec("RFC 8705", "6.5")
def test_only_the_trusted_proxy_is_believed(named: RelyingParty) -> None:
    client = named.app.test_client()
    form = {"client_id": "rp", "grant_type": "client_credentials"}
    for address, believed in (("127.0.0.1", True), ("10.0.0.7", False), ("::1", False)):
        answer = client.post("/oauth2/token", data=form, headers=Caller(named).headers(), base_url=MTLS, environ_base={"REMOTE_ADDR": address})
        assert (answer.json != {"error": "invalid_client"}) is believed


def test_on_the_other_host_a_certificate_means_nothing(named: RelyingParty) -> None:
    turned_away(Caller(named, base=ISSUER).post("token", grant_type="x"))
    # what the proxy says decides, not the name it used
    turned_away(Caller(named, base=ISSUER).post("token", {"Host": "127.0.0.1:8443"}, grant_type="x"))
    # of two names the port says nothing: proxies leave it out, or name their inner one
    for host in ("localhost:8443", "localhost", "localhost:9999"):
        believed = Caller(named, base=ISSUER).post("token", {"X-Forwarded-Host": host}, grant_type="x")
        assert believed.json == {"error": "unsupported_grant_type"}, host


def test_hosts_of_one_name_are_told_apart_by_their_port(platform: Flask, named: RelyingParty, monkeypatch: pytest.MonkeyPatch) -> None:
    held = platform.extensions["idp"]
    one_name = held.settings.model_copy(update={"mtls_base_url": "http://127.0.0.1:8443"})
    monkeypatch.setitem(platform.extensions, "idp", replace(held, settings=one_name))
    for host, believed in (("127.0.0.1:8443", True), ("127.0.0.1:8000", False), ("127.0.0.1", False)):
        answer = Caller(named, base=ISSUER).post("token", {"X-Forwarded-Host": host}, grant_type="x")
        assert (answer.json != {"error": "invalid_client"}) is believed, host


@pytest.mark.spec("RFC 8705", "6.5")
def test_a_certificate_counts_behind_the_secret_of_the_proxy_only(platform: Flask, named: RelyingParty, monkeypatch: pytest.MonkeyPatch) -> None:
    held, secret = platform.extensions["idp"], "x" * 32
    with_secret = held.settings.model_copy(update={"client_cert_secret": SecretStr(secret)})
    monkeypatch.setitem(platform.extensions, "idp", replace(held, settings=with_secret))
    for written, believed in (
        (LEAF.rfc9440, False),
        (f"{secret} {LEAF.rfc9440}", True),
        (f"{secret}{LEAF.rfc9440}", False),
        (f"{secret[1:]} {LEAF.rfc9440}", False),
        (f" {LEAF.rfc9440}", False),
        (f"é {LEAF.rfc9440}", False),
        (secret, False),
    ):
        answer = Caller(named, None).post("token", {"Client-Cert": written}, grant_type="x")
        assert (answer.json != {"error": "invalid_client"}) is believed, written[:40]


@pytest.mark.spec("RFC 8705", "5")
def test_the_host_for_certificates_answers_clients_only(platform: Flask) -> None:
    told = body_of(platform.test_client().get("/.well-known/openid-configuration", base_url=ISSUER))
    aliases = told["mtls_endpoint_aliases"]
    assert {"token_endpoint", "userinfo_endpoint", "introspection_endpoint", "revocation_endpoint"} <= set(aliases)
    assert "authorization_endpoint" not in aliases
    assert aliases["token_endpoint"] == f"{MTLS}/oauth2/token"
    for name, url in aliases.items():
        assert url.removeprefix(MTLS) == told[name].removeprefix(ISSUER)
        assert platform.test_client().post(url.removeprefix(MTLS), base_url=MTLS).status_code in (400, 401)
    for path in ("/", "/signin", "/oauth2/authorize", "/oauth2/jwks", "/oauth2/register", "/.well-known/openid-configuration", "/static/style.css"):
        assert platform.test_client().get(path, base_url=MTLS).status_code == 404
    for method in ("tls_client_auth", "self_signed_tls_client_auth"):
        for kind in ("token", "revocation", "introspection"):
            assert method in told[f"{kind}_endpoint_auth_methods_supported"]
    assert told["tls_client_certificate_bound_access_tokens"] is True


# --- bound tokens ---------------------------------------------------------------------------------------------------------------------------


@pytest.mark.spec("RFC 8705", "3")
def test_a_bound_token_needs_its_certificate(named: RelyingParty, beijing: Somebody) -> None:
    token = Caller(named).tokens(beijing.id)["access_token"]
    assert body_of(Caller(named).userinfo(token))["sub"] == beijing.sub
    for shown, base in ((None, MTLS), (OTHER, MTLS), (SELF_SIGNED, MTLS), (LEAF, ISSUER)):
        answer = Caller(named, shown, base).userinfo(token)
        assert (answer.status_code, answer.json) == (401, {"error": "invalid_token"})
        assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]


@pytest.mark.spec("RFC 8705", "3")
def test_without_a_certificate_a_bound_client_gets_nothing(platform: Flask, clock: FakeClock, beijing: Somebody) -> None:
    rp = RelyingParty(platform, clock, "rp", **BOUND)
    answer = rp.redeem(rp.code(rp.browser(beijing.id)))
    assert (answer.status_code, answer.json) == (400, {"error": "invalid_request"})


@pytest.mark.spec("RFC 8705", "3.2")
def test_introspection_tells_the_binding(named: RelyingParty, beijing: Somebody) -> None:
    token = Caller(named).tokens(beijing.id)["access_token"]
    told = body_of(Caller(named).post("introspect", token=token))
    assert told["active"] is True
    assert told["cnf"] == {"x5t#S256": certificates.thumbprint(LEAF.der)}
    assert told["token_type"] == "Bearer"


@pytest.mark.spec("RFC 8705", "7.1")
def test_a_refresh_binds_to_the_certificate_of_the_day(named: RelyingParty, beijing: Somebody) -> None:
    first = Caller(named).tokens(beijing.id)
    renewed = make(name_of("rp"), CA)
    again = Caller(named, renewed).post("token", grant_type="refresh_token", refresh_token=first["refresh_token"])
    token = body_of(again)["access_token"]
    assert claims_of(token)["cnf"] == {"x5t#S256": certificates.thumbprint(renewed.der)}
    assert Caller(named, renewed).userinfo(token).status_code == 200
    assert Caller(named).userinfo(token).status_code == 401
    assert Caller(named).userinfo(first["access_token"]).status_code == 200
    turned_away(Caller(named, OTHER).post("token", grant_type="refresh_token", refresh_token=first["refresh_token"]))
    # not rotated: the client proves itself each time
    assert "refresh_token" not in body_of(again)


@pytest.mark.spec("RFC 8705", "4")
def test_a_public_clients_refresh_stays_with_its_certificate(platform: Flask, clock: FakeClock, beijing: Somebody) -> None:
    rp = RelyingParty(platform, clock, "spa", None, token_endpoint_auth_method="none", scope=SCOPE, grant_types=REFRESHES, **BOUND)
    token = Caller(rp).tokens(beijing.id)["refresh_token"]
    for shown, status in ((OTHER, 400), (None, 400), (LEAF, 200)):
        assert Caller(rp, shown).post("token", grant_type="refresh_token", refresh_token=token).status_code == status


@pytest.mark.spec("FAPI 2.0 Security Profile", "5.3.2.1")
def test_a_signed_assertion_and_a_bound_token_go_together(platform: Flask, clock: FakeClock, beijing: Somebody) -> None:
    jwks = {"keys": [{**KEY.as_dict(private=False), "kid": "k1"}]}
    rp = RelyingParty(platform, clock, "keyed", None, token_endpoint_auth_method="private_key_jwt", jwks=jwks, **BOUND)
    answer = Caller(rp).redeem(rp.code(rp.browser(beijing.id)), **by(assertion(clock)))
    token = body_of(answer)["access_token"]
    assert claims_of(token)["cnf"] == {"x5t#S256": certificates.thumbprint(LEAF.der)}
    assert Caller(rp).userinfo(token).status_code == 200
    refused = Caller(rp, None).redeem(rp.code(rp.browser(beijing.id)), **by(assertion(clock, jti="j2")))
    assert refused.json == {"error": "invalid_request"}


# --- registration ---------------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def leave(platform: Flask, clock: FakeClock) -> str:
    with platform.app_context(), transaction():
        return dynamic_registration.allow("default", 9, clock.now() + DAY, clock.now())


def register(app: Flask, leave: str, **members: Any) -> TestResponse:
    sent = {"redirect_uris": ["https://rp.example/cb"], **members}
    return app.test_client().post("/oauth2/register", json=sent, headers={"Authorization": f"Bearer {leave}"}, base_url=ISSUER)


@pytest.mark.spec("RFC 8705", "2.1.2")
def test_over_http_too(platform: Flask, leave: str) -> None:
    answer = register(platform, leave, **NAMED, **BOUND)
    assert answer.status_code == 201, answer.json
    told = body_of(answer)
    assert told["tls_client_auth_subject_dn"] == NAMED["tls_client_auth_subject_dn"]
    assert told["tls_client_certificate_bound_access_tokens"] is True
    assert "client_secret" not in told
    wrong = register(platform, leave, **{**NAMED, "tls_client_auth_subject_dn": "rp"})
    assert (wrong.status_code, body_of(wrong)["error"]) == (400, "invalid_client_metadata")


@pytest.fixture
def without(tmp_path: Path, platform: Flask) -> Iterator[Flask]:
    """The same platform without anybody who hands certificates on."""
    held = platform.extensions["idp"]
    plain = held.settings.model_copy(update={"client_cert_header": "", "mtls_base_url": "", "mtls_ca_file": None})
    platform.extensions["idp"] = type(held)(plain, held.adapters, held.secret, held.hooks)
    yield platform
    platform.extensions["idp"] = held


def test_nothing_of_it_is_offered_where_nobody_hands_certificates_on(without: Flask, clock: FakeClock, leave: str, named: RelyingParty) -> None:
    told = body_of(without.test_client().get("/.well-known/openid-configuration", base_url=ISSUER))
    assert not [name for name in told if "mtls" in name or "tls_client" in name]
    assert not [method for method in told["token_endpoint_auth_methods_supported"] if "tls" in method]
    for members in (NAMED, BOUND, {"token_endpoint_auth_method": "self_signed_tls_client_auth", "jwks": {"keys": [SELF_SIGNED.jwk()]}}):
        answer = register(without, leave, **members)
        assert (answer.status_code, body_of(answer)["error"]) == (400, "invalid_client_metadata")
    # clients of before are refused, whatever header comes
    turned_away(Caller(named, base=ISSUER).post("token", grant_type="x"))
    with without.app_context():
        from idp.oidc.cli import clients as commands

        with pytest.raises(BadInput, match="IDP_CLIENT_CERT_HEADER"):
            commands._known(named.registration)


def test_without_roots_only_self_signed_ones_are_offered(platform: Flask) -> None:
    settings = platform.extensions["idp"].settings
    assert certificates.methods(settings) == certificates.METHODS
    assert certificates.methods(settings.model_copy(update={"mtls_ca_file": None})) == ("self_signed_tls_client_auth",)


def test_junk_in_the_header_is_never_a_fault_of_ours(named: RelyingParty) -> None:
    weird = make(x509.Name([]), CA, more=[(x509.UnrecognizedExtension(x509.oid.ExtensionOID.SUBJECT_ALTERNATIVE_NAME, b"junk"), False)])
    for shown in (weird, make(name_of("rp"), CA, more=[(x509.UnrecognizedExtension(x509.oid.ExtensionOID.BASIC_CONSTRAINTS, b"junk"), True)])):
        turned_away(Caller(named, shown).post("token", grant_type="x"))
