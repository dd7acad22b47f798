"""The modules of the Security Profile's plan with mutual TLS, for clients and tokens alike: those of the other plan that run here too, and its own.

The proxy's header stands for the connection; what clients call is called where `mtls_endpoint_aliases` say.
"""

from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from idp.oidc import certificates
from idp.settings import Settings
from tests.certificates import Certified, make, name_of
from tests.conftest import SECRET
from tests.fakes import FakeClock
from tests.fapi import Holder
from tests.oidc.test_fapi_modules import PROFILES, SCOPE, Client, said
from tests.oidc.test_fapi_modules import browser as browser
from tests.oidc.test_fapi_modules import test_claims_parameter_identity_claims as test_claims_parameter_identity_claims
from tests.oidc.test_fapi_modules import test_happy_flow as test_happy_flow
from tests.oidc.test_fapi_modules import test_request_uris as test_request_uris
from tests.oidc.test_fapi_modules import test_requests_that_are_refused_when_pushed as test_requests_that_are_refused_when_pushed
from tests.oidc.test_fapi_modules import test_user_rejects_authentication as test_user_rejects_authentication
from tests.oidc.test_fapi_modules import test_what_must_succeed as test_what_must_succeed
from tests.oidc.test_fapi_modules import test_what_stands_beside_a_request_uri_does_not_count as test_what_stands_beside_a_request_uri_does_not_count
from tests.oidc.test_fapi_modules import test_without_par as test_without_par
from tests.relying_party import ISSUER, RelyingParty, body_of, claims_of

pytestmark = [pytest.mark.slow, pytest.mark.spec("FAPI 2.0 Security Profile", "5.3")]
MTLS = "http://localhost:8443"


class Connected(Holder):
    """Somebody whose certificate the proxy hands on; what a DPoP key would show is shown by the connection."""

    jkt: Any = None

    def __init__(self, clock: FakeClock, certified: Certified) -> None:
        self.clock, self.certified = clock, certified

    def at_token(self, **changes: Any) -> dict[str, str]:
        return {"Client-Cert": self.certified.rfc9440}

    def bearing(self, token: str, url: str = "", method: str = "GET", **changes: Any) -> dict[str, str]:
        return {**self.at_token(), "Authorization": f"Bearer {token}"}

    def userinfo(self, app: Flask, token: str, **changes: Any) -> TestResponse:
        return app.test_client().get("/oauth2/userinfo", headers=self.bearing(token), base_url=MTLS)


class Certificated(Client):
    """One client of this plan, with a certificate that issued itself."""

    base = MTLS

    def __init__(self, app: Flask, clock: FakeClock, client_id: str) -> None:
        certified = make(name_of(client_id))
        members: dict[str, Any] = {"profile": PROFILES["plain"], "scope": SCOPE, "grant_types": ["authorization_code", "refresh_token"]}
        members |= {"token_endpoint_auth_method": "self_signed_tls_client_auth", "tls_client_certificate_bound_access_tokens": True}
        members |= {"jwks": {"keys": [certified.jwk()]}, "redirect_uris": [f"https://suite.example/{client_id}?dummy1=lorem&dummy2=ipsum"]}
        RelyingParty.__init__(self, app, clock, client_id, None, **members)
        self.signs, self.holder = False, Connected(clock, certified)

    def proven(self, assertion: str | None = None) -> dict[str, str]:
        return {"client_id": self.client_id}

    def push(self, headers: dict[str, str] | None = None, proven: dict[str, str] | None = None, method: str = "POST", **changes: Any) -> TestResponse:
        return super().push(self.holder.at_token() if headers is None else headers, proven, method, **changes)

    def token(self, form: dict[str, str], headers: dict[str, str]) -> TestResponse:
        return self.app.test_client().post("/oauth2/token", data=form, headers=headers, base_url=MTLS)


@pytest.fixture
def settings(tmp_path: Path, database_url: str) -> Settings:
    behind: dict[str, Any] = {"trusted_proxy": ("127.0.0.1",), "client_cert_header": "Client-Cert", "mtls_base_url": MTLS}
    return Settings(data_dir=tmp_path, secret_key=SECRET, database_url=database_url, **behind)


@pytest.fixture
def one(platform: Flask, clock: FakeClock) -> Client:
    return Certificated(platform, clock, "one")


@pytest.fixture
def two(platform: Flask, clock: FakeClock) -> Client:
    return Certificated(platform, clock, "two")


def test_discovery_end_point_verification(platform: Flask) -> None:
    told = body_of(platform.test_client().get("/.well-known/openid-configuration", base_url=ISSUER))
    assert "self_signed_tls_client_auth" in told["token_endpoint_auth_methods_supported"]
    assert told["tls_client_certificate_bound_access_tokens"] is True
    called = {"token": "token", "userinfo": "userinfo", "pushed_authorization_request": "par"}
    aliases = {f"{name}_endpoint": f"{MTLS}/oauth2/{path}" for name, path in called.items()}
    assert aliases.items() <= told["mtls_endpoint_aliases"].items()
    # people are not sent where certificates are asked for
    assert "authorization_endpoint" not in told["mtls_endpoint_aliases"]


def test_tokens_are_bound_to_the_certificate(one: Client, two: Client, browser: FlaskClient) -> None:
    """happy-flow's look at the token, and ensure-holder-of-key-required: without the certificate, or with the other client's, nothing."""
    answer = one.taken(browser)
    assert isinstance(one.holder, Connected)
    assert answer["token_type"] == "Bearer"
    assert claims_of(answer["access_token"])["cnf"] == {"x5t#S256": certificates.thumbprint(one.holder.certified.der)}
    assert one.holder.userinfo(one.app, answer["access_token"]).status_code == 200
    for other in ({}, two.holder.at_token()):
        headers = {**other, "Authorization": f"Bearer {answer['access_token']}"}
        assert one.app.test_client().get("/oauth2/userinfo", headers=headers, base_url=MTLS).status_code == 401
        said(one.swap(one.given(browser), headers=other), "invalid_client", "invalid_request", "invalid_grant")
        said(one.push(headers=other), "invalid_client", "invalid_request")


def test_pushing_wrongly(one: Client) -> None:
    """par-attempt-invalid-http-method, …-request_uri-form-param."""
    assert 400 <= one.push(method="PUT").status_code < 500
    fixed = {"request_uri": "urn:fdc:authlete.com:E2ooXxELkEFSKR90ymYV-BbwAvCC2TozHfSb_mMCw2s"}
    said(one.push(proven={**one.proven(), **fixed}), "invalid_request", "invalid_request_object", "request_uri_not_supported")


def test_token_endpoint(one: Client, two: Client, browser: FlaskClient, clock: FakeClock) -> None:
    """The modules around codes; each begins with a fresh one."""
    # ensure-authorization-code-is-bound-to-client
    said(two.swap(one.given(browser), redirect_uri=one.redirect_uri), "invalid_grant", status=(400,))
    # ensure-client-id-in-token-endpoint: without it, or with the other's, nobody is proven
    for named in ({}, {"client_id": "two"}):
        said(one.swap(one.given(browser), proven=named), "invalid_client", "invalid_request", "invalid_grant")
    # attempt-reuse-authorization-code-after-one-second
    code = one.given(browser)
    token = body_of(one.swap(code))["access_token"]
    clock.advance(seconds=1)
    said(one.swap(code), "invalid_grant", status=(400,))
    assert one.holder.userinfo(one.app, token).status_code == 401
    # ensure-pkce-code-verifier-required, incorrect-pkce-code-verifier-rejected
    said(one.swap(one.given(browser), code_verifier=None), "invalid_grant", status=(400,))
    said(one.swap(one.given(browser), code_verifier="x" * 43), "invalid_grant", status=(400,))
    # ensure-token-endpoint-fails-with-expired-auth-code
    code = one.given(browser)
    clock.advance(seconds=62)
    said(one.swap(code), "invalid_grant", status=(400,))


def test_access_token_type_header_case_sensitivity(one: Client, browser: FlaskClient) -> None:
    token = one.taken(browser)["access_token"]
    for scheme in ("bearer", "BEARER", "bEAreR"):
        headers = {**one.holder.at_token(), "Authorization": f"{scheme} {token}"}
        assert one.app.test_client().get("/oauth2/userinfo", headers=headers, base_url=MTLS).status_code == 200


def test_refresh_token(one: Client, two: Client, browser: FlaskClient) -> None:
    first = one.taken(browser)

    def refresh(client: Client, headers: dict[str, str]) -> TestResponse:
        return client.token({"grant_type": "refresh_token", "refresh_token": first["refresh_token"], "scope": SCOPE, **client.proven()}, headers)

    for _ in range(2):
        answer = refresh(one, one.holder.at_token())
        assert answer.status_code == 200, answer.json
        assert "refresh_token" not in body_of(answer)
        assert claims_of(body_of(answer)["access_token"])["cnf"] == claims_of(first["access_token"])["cnf"]
        assert one.holder.userinfo(one.app, body_of(answer)["access_token"]).status_code == 200
    said(refresh(two, two.holder.at_token()), "invalid_client", "invalid_grant", "invalid_request")
    for other in ({}, two.holder.at_token()):
        said(refresh(one, other), "invalid_client", "invalid_grant", "invalid_request")
