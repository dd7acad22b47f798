"""Every member of the discovery document and every value of its lists is exercised: what is added without an exercise fails here."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from joserfc import jws
from joserfc.jwk import ECKey, Key, KeySet, OKPKey, RSAKey
from werkzeug.test import TestResponse

from idp.accounts.models import Account
from idp.db import session, transaction
from idp.oidc.registration import DEVICE_CODE
from idp.settings import Settings
from tests import people
from tests.certificates import Certified, authority, make, name_of
from tests.conftest import SECRET as PLATFORM_SECRET
from tests.fakes import FakeClock
from tests.fapi import Holder
from tests.oidc.conftest import Somebody
from tests.oidc.test_device import poll, say, started
from tests.oidc.test_register import allow, call, own, path_of
from tests.relying_party import ISSUER, SECRET, VERIFIER, RelyingParty, answer_of, body_of, claims_of, header_of

pytestmark = pytest.mark.slow

KEYS: dict[str, Key] = {
    "ES256": ECKey.generate_key("P-256"),
    "EdDSA": OKPKey.generate_key("Ed25519"),
    "Ed25519": OKPKey.generate_key("Ed25519"),
    "RS256": RSAKey.generate_key(2048),
    "PS256": RSAKey.generate_key(2048),
}
ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
MTLS = "http://localhost:8443"
CA, ALONE = authority(), make(name_of("alone"))
LEAF = make(name_of("walker"), CA)
# what a client of the method shows, and how it is registered
CERTIFIED: dict[str, tuple[Certified, dict[str, Any]]] = {
    "tls_client_auth": (LEAF, {"tls_client_auth_subject_dn": LEAF.certificate.subject.rfc4514_string()}),
    "self_signed_tls_client_auth": (ALONE, {"jwks": {"keys": [ALONE.jwk()]}}),
}
EKEY_SYSTEMS = ["export", "import", "auto_import", "dual_use", "agri_quota", "fertiliser_quota", "textile_origin"]


@dataclass
class Walk:
    """One walker: a person who holds every right, and new clients whenever one is needed."""

    platform: Flask
    clock: FakeClock
    person: Somebody
    document: dict[str, Any]
    made: int = 0

    def client(self, method: str = "client_secret_basic", alg: str = "ES256", **members: Any) -> RelyingParty:
        self.made += 1
        if method == "private_key_jwt":
            members |= {"jwks": {"keys": [{**KEYS[alg].as_dict(private=False), "kid": "k"}]}, "token_endpoint_auth_signing_alg": alg}
        members |= CERTIFIED[method][1] if method in CERTIFIED else {}
        secret = SECRET if method.startswith("client_secret") else None
        return RelyingParty(self.platform, self.clock, f"walker-{self.made}", secret, token_endpoint_auth_method=method, **members)

    def browser(self, rp: RelyingParty) -> FlaskClient:
        return rp.browser(self.person.id)

    def called(self, path: str, rp: RelyingParty, form: dict[str, str], alg: str = "ES256") -> TestResponse:
        """A request to an endpoint that clients call, proven by the client's own method."""
        method, headers, base = rp.registration.token_endpoint_auth_method, {}, ISSUER
        if method == "client_secret_basic":
            headers = rp.basic()
        elif method == "client_secret_post":
            form = form | {"client_id": rp.client_id, "client_secret": SECRET}
        elif method == "private_key_jwt":
            form = form | {"client_assertion_type": ASSERTION, "client_assertion": self._assertion(rp.client_id, alg)}
        else:
            form = form | {"client_id": rp.client_id}
        if method in CERTIFIED:
            headers, base = {"Client-Cert": CERTIFIED[method][0].rfc9440}, MTLS
        return self.platform.test_client().post(path, data=form, headers=headers, base_url=base)

    def _assertion(self, client_id: str, alg: str) -> str:
        now = int(self.clock.now().timestamp())
        claims = {"iss": client_id, "sub": client_id, "aud": ISSUER, "iat": now, "exp": now + 60, "jti": f"j{self.made}"}
        return jws.serialize_compact({"alg": alg, "kid": "k", "typ": "JWT"}, json.dumps(claims), KEYS[alg], algorithms=[alg])

    def redeemed(self, rp: RelyingParty, alg: str = "ES256") -> dict[str, Any]:
        form = {"grant_type": "authorization_code", "code": rp.code(self.browser(rp)), "redirect_uri": rp.redirect_uri, "code_verifier": VERIFIER}
        answer = self.called("/oauth2/token", rp, form, alg)
        assert answer.status_code == 200, answer.json
        return body_of(answer)


Exercise = Callable[[Walk, Any], object]


def issuer(walk: Walk, value: str) -> None:
    rp = walk.client()
    assert claims_of(walk.redeemed(rp)["id_token"])["iss"] == value == ISSUER


def at_authorization(walk: Walk, value: str) -> None:
    rp = walk.client()
    assert "code" in answer_of(walk.browser(rp).get(value.removeprefix(ISSUER), query_string=rp.request(), base_url=ISSUER))


def at_token_endpoint(walk: Walk, value: str) -> None:
    rp = walk.client(grant_types=["client_credentials"], redirect_uris=[], scope="enterprise", response_types=[])
    assert body_of(walk.called(value.removeprefix(ISSUER), rp, {"grant_type": "client_credentials"}))["token_type"] == "Bearer"


def at_userinfo(walk: Walk, value: str) -> None:
    token = walk.redeemed(walk.client())["access_token"]
    told = walk.platform.test_client().get(value.removeprefix(ISSUER), headers={"Authorization": f"Bearer {token}"}, base_url=ISSUER)
    assert body_of(told)["sub"] == walk.person.sub


def at_sign_out(walk: Walk, value: str) -> None:
    rp = walk.client(post_logout_redirect_uris=["https://rp.example/after"])
    browser = walk.browser(rp)
    asked = {"id_token_hint": rp.tokens(browser)["id_token"], "post_logout_redirect_uri": "https://rp.example/after"}
    assert browser.get(value.removeprefix(ISSUER), query_string=asked, base_url=ISSUER).location == "https://rp.example/after"


def at_introspection(walk: Walk, value: str) -> None:
    rp = walk.client()
    assert body_of(walk.called(value.removeprefix(ISSUER), rp, {"token": walk.redeemed(rp)["access_token"]}))["active"] is True


def at_revocation(walk: Walk, value: str) -> None:
    rp = walk.client()
    token = walk.redeemed(rp)["access_token"]
    assert walk.called(value.removeprefix(ISSUER), rp, {"token": token}).status_code == 200
    assert rp.userinfo(token).status_code == 401


def at_device(walk: Walk, value: str) -> None:
    tv = walk.client("none", redirect_uris=[], grant_types=[DEVICE_CODE])
    assert {"device_code", "user_code"} <= set(body_of(walk.called(value.removeprefix(ISSUER), tv, {"scope": "openid"})))


def jwks(walk: Walk, value: str) -> None:
    """What is served there verifies an ID token of each algorithm."""
    served = body_of(walk.platform.test_client().get(value.removeprefix(ISSUER), base_url=ISSUER))
    for alg in walk.document["id_token_signing_alg_values_supported"]:
        token = walk.redeemed(walk.client(id_token_signed_response_alg=alg))["id_token"]
        jws.deserialize_compact(token, KeySet.import_key_set(served), algorithms=[alg])  # type: ignore[arg-type]  # joserfc's type


def registration(walk: Walk, value: str) -> None:
    """A stranger registers there and is known from then on."""
    sent = {"redirect_uris": ["https://stranger.example/cb"]}
    answer = call(walk.platform, "POST", value.removeprefix(ISSUER), allow(walk.platform), sent)
    assert answer.status_code == 201, answer.json
    told = body_of(answer)
    read = call(walk.platform, "GET", path_of(told), own(told))
    assert (read.status_code, body_of(read)["client_id"]) == (200, told["client_id"])


def scope(walk: Walk, value: str) -> None:
    rp = walk.client(scope=f"openid {value}" if value != "openid" else value)
    assert value in walk.redeemed(rp)["scope"].split()


def response_type(walk: Walk, value: str) -> None:
    rp = walk.client(response_types=[value])
    assert value in answer_of(rp.authorize(walk.browser(rp), response_type=value))


def response_mode(walk: Walk, value: str) -> None:
    rp = walk.client()
    answer = rp.authorize(walk.browser(rp), response_mode=value)
    name = "response" if "jwt" in value else "code"
    assert f'name="{name}"' in answer.get_data(as_text=True) if value.startswith("form_post") else answer_of(answer)[name]


def by_code(walk: Walk) -> None:
    assert walk.redeemed(walk.client())["access_token"]


def by_refresh_token(walk: Walk) -> None:
    rp = walk.client(grant_types=["authorization_code", "refresh_token"])
    form = {"grant_type": "refresh_token", "refresh_token": walk.redeemed(rp)["refresh_token"]}
    assert walk.called("/oauth2/token", rp, form).status_code == 200


def by_client_credentials(walk: Walk) -> None:
    rp = walk.client(grant_types=["authorization_code", "client_credentials"], scope="openid enterprise")
    answer = walk.called("/oauth2/token", rp, {"grant_type": "client_credentials", "scope": "enterprise"})
    assert claims_of(body_of(answer)["access_token"])["sub"] == rp.client_id


def by_device(walk: Walk) -> None:
    """A device asks, the person says yes, the device is told."""
    tv = walk.client("none", redirect_uris=[], grant_types=[DEVICE_CODE])
    codes = started(tv, scope="openid")
    say(walk.browser(tv), codes, "allow")
    assert poll(tv, codes).status_code == 200


GRANTS = {DEVICE_CODE: by_device, "authorization_code": by_code, "refresh_token": by_refresh_token, "client_credentials": by_client_credentials}


def subject_type(walk: Walk, value: str) -> None:
    rp, other = walk.client(subject_type=value), walk.client(subject_type=value, redirect_uris=["https://other.example/cb"])
    subs = {claims_of(walk.redeemed(each)["id_token"])["sub"] for each in (rp, other)}
    assert len(subs) == {"public": 1, "pairwise": 2}[value]


def acr(walk: Walk, value: str) -> None:
    rp = walk.client()
    browser = walk.browser(rp)
    rp.sign_in(browser, walk.person.id, *(["totp"] if value.endswith("-totp") else []))
    assert claims_of(rp.tokens(browser, acr_values=value)["id_token"])["acr"] == value


def id_token_alg(walk: Walk, value: str) -> None:
    assert header_of(walk.redeemed(walk.client(id_token_signed_response_alg=value))["id_token"])["alg"] == value


def userinfo_alg(walk: Walk, value: str) -> None:
    rp = walk.client(userinfo_signed_response_alg=value)
    told = rp.userinfo(walk.redeemed(rp)["access_token"])
    assert told.mimetype == "application/jwt"
    assert header_of(told.get_data(as_text=True))["alg"] == value


def at_token(walk: Walk, method: str) -> None:
    assert walk.redeemed(walk.client(method))["access_token"]


def at_token_signed(walk: Walk, alg: str) -> None:
    assert walk.redeemed(walk.client("private_key_jwt", alg), alg)["access_token"]


def with_token(path: str, walk: Walk, method: str, alg: str = "ES256") -> None:
    """The endpoint knows the client, whatever it thinks of this token."""
    assert walk.called(path, walk.client(method, alg), {"token": "unknown"}, alg).status_code == 200


def signed_at(path: str, walk: Walk, alg: str) -> None:
    with_token(path, walk, "private_key_jwt", alg)


def challenge_method(walk: Walk, value: str) -> None:
    rp = walk.client()
    assert rp.redeem(rp.code(walk.browser(rp), code_challenge_method=value)).status_code == 200


def dpop_alg(walk: Walk, value: str) -> None:
    rp, holder = walk.client(), Holder(walk.clock, KEYS[value], value)
    answer = body_of(rp.redeem(rp.code(walk.browser(rp)), {**rp.basic(), **holder.at_token()}))
    assert holder.userinfo(walk.platform, answer["access_token"]).status_code == 200


def prompt(walk: Walk, value: str) -> None:
    rp = walk.client()
    answer = rp.authorize(walk.browser(rp), prompt=value)
    assert answer.status_code == 303
    # none goes on at once, the others to a page of ours
    assert answer.location.startswith(rp.redirect_uri) is (value == "none")
    assert "error=" not in answer.location


def claim_type(walk: Walk, value: str) -> None:
    rp = walk.client()
    told = body_of(rp.userinfo(walk.redeemed(rp)["access_token"]))
    assert value == "normal"
    assert not {"_claim_names", "_claim_sources"} & set(told)


def claim(walk: Walk, value: str) -> None:
    """Every claim is told by the ID token or by userinfo to a client that may hear everything."""
    wide = " ".join(name for name in walk.document["scopes_supported"] if not name.startswith("licence:")) + " licence:export"
    rp = walk.client(scope=wide, system="export", backchannel_logout_uri="https://rp.example/bye")
    browser = rp.browser()
    # R64: one of them only whoever came by the legacy entry hears
    limits: dict[str, Any] = {"only_system": "export", "entry_remaining": 9} if value == "legacy_entry_remaining" else {}
    rp.sign_in(browser, walk.person.id, **limits)
    answer = rp.tokens(browser)
    assert value in claims_of(answer["id_token"]) | body_of(rp.userinfo(answer["access_token"]))


def claims_parameter(walk: Walk, value: bool) -> None:
    rp = walk.client(scope="openid email")
    answer = rp.tokens(walk.browser(rp), scope="openid", claims='{"userinfo":{"email":null}}')
    assert ("email" in body_of(rp.userinfo(answer["access_token"]))) is value


def refused_parameter(name: str, walk: Walk, value: bool) -> None:
    rp = walk.client()
    assert value is False
    assert answer_of(rp.authorize(walk.browser(rp), **{name: "https://rp.example/request"}))["error"] == f"{name}_not_supported"


def by_pushing(walk: Walk, value: str) -> None:
    rp = walk.client()
    answer = walk.called(value.removeprefix(ISSUER), rp, rp.request())
    assert answer.status_code == 201, answer.json
    asked = {"client_id": rp.client_id, "request_uri": body_of(answer)["request_uri"]}
    assert "code" in answer_of(walk.browser(rp).get("/oauth2/authorize", query_string=asked, base_url=ISSUER))


def must_push(walk: Walk, value: bool) -> None:
    rp = walk.client()
    assert ("error" in answer_of(rp.authorize(walk.browser(rp)))) is value


def request_object_alg(walk: Walk, value: str) -> None:
    rp = walk.client("private_key_jwt", value, request_object_signing_alg=value)
    claims = {"iss": rp.client_id, "aud": ISSUER, **rp.request(state="signed")}
    token = jws.serialize_compact({"alg": value, "kid": "k", "typ": "oauth-authz-req+jwt"}, json.dumps(claims), KEYS[value], algorithms=[value])
    asked = {"client_id": rp.client_id, "request": token}
    assert answer_of(walk.browser(rp).get("/oauth2/authorize", query_string=asked, base_url=ISSUER))["state"] == "signed"


def by_request_object(walk: Walk, value: bool) -> None:
    request_object_alg(walk, "ES256")
    assert value is True


def response_iss(walk: Walk, value: bool) -> None:
    rp = walk.client()
    for changes in ({}, {"prompt": "nonsense"}):
        assert (answer_of(rp.authorize(walk.browser(rp), **changes)).get("iss") == ISSUER) is value


def answer_alg(walk: Walk, value: str) -> None:
    """The answer of a client that is registered for it is signed with it (JARM §3)."""
    rp = walk.client(authorization_signed_response_alg=value)
    answer = answer_of(rp.authorize(walk.browser(rp), response_mode="jwt"))["response"]
    assert header_of(answer)["alg"] == value


def introspection_alg(walk: Walk, value: str) -> None:
    rp = walk.client(introspection_signed_response_alg=value)
    asked = {**rp.basic(), "Accept": "application/token-introspection+jwt"}
    answer = walk.platform.test_client().post("/oauth2/introspect", data={"token": "unknown"}, headers=asked, base_url=ISSUER)
    assert header_of(answer.get_data(as_text=True))["alg"] == value


def bound_to_certificates(walk: Walk, value: bool) -> None:
    rp = walk.client("tls_client_auth", tls_client_certificate_bound_access_tokens=True)
    assert ("x5t#S256" in claims_of(walk.redeemed(rp)["access_token"])["cnf"]) is value


def aliases(walk: Walk, value: dict[str, str]) -> None:
    """Each is a place that knows clients by their certificates, on a host of its own; and leads to what its name says."""
    for name, url in value.items():
        assert url == walk.document[name].replace(ISSUER, MTLS)
        answer = walk.platform.test_client().post(url.removeprefix(MTLS), headers={"Client-Cert": LEAF.rfc9440}, base_url=MTLS)
        assert answer.status_code in (400, 401)
    assert "authorization_endpoint" not in value


def ui_locale(walk: Walk, value: str) -> None:
    rp = walk.client()
    browser = rp.browser()
    first = browser.get("/oauth2/authorize", query_string=rp.request(ui_locales=value), base_url=ISSUER)
    page = browser.get(first.location, base_url=ISSUER, follow_redirects=True).get_data(as_text=True)
    assert f'<html lang="{value}">' in page


def backchannel(walk: Walk, value: bool) -> None:
    """A client that is to be told gets a `sid` to be told about; the telling itself: tests/oidc/test_backchannel.py."""
    rp = walk.client(backchannel_logout_uri="https://rp.example/bye", backchannel_logout_session_required=True)
    assert ("sid" in claims_of(walk.redeemed(rp)["id_token"])) is value


EXERCISES: dict[str, Exercise] = {
    "issuer": issuer,
    "authorization_endpoint": at_authorization,
    "token_endpoint": at_token_endpoint,
    "userinfo_endpoint": at_userinfo,
    "end_session_endpoint": at_sign_out,
    "device_authorization_endpoint": at_device,
    "introspection_endpoint": at_introspection,
    "revocation_endpoint": at_revocation,
    "jwks_uri": jwks,
    "registration_endpoint": registration,
    "scopes_supported": scope,
    "response_types_supported": response_type,
    "response_modes_supported": response_mode,
    "grant_types_supported": lambda walk, value: GRANTS[value](walk),
    "subject_types_supported": subject_type,
    "acr_values_supported": acr,
    "id_token_signing_alg_values_supported": id_token_alg,
    "userinfo_signing_alg_values_supported": userinfo_alg,
    "token_endpoint_auth_methods_supported": at_token,
    "token_endpoint_auth_signing_alg_values_supported": at_token_signed,
    "revocation_endpoint_auth_methods_supported": partial(with_token, "/oauth2/revoke"),
    "revocation_endpoint_auth_signing_alg_values_supported": partial(signed_at, "/oauth2/revoke"),
    "introspection_endpoint_auth_methods_supported": partial(with_token, "/oauth2/introspect"),
    "introspection_endpoint_auth_signing_alg_values_supported": partial(signed_at, "/oauth2/introspect"),
    "code_challenge_methods_supported": challenge_method,
    "dpop_signing_alg_values_supported": dpop_alg,
    "prompt_values_supported": prompt,
    "claim_types_supported": claim_type,
    "claims_supported": claim,
    "claims_parameter_supported": claims_parameter,
    "pushed_authorization_request_endpoint": by_pushing,
    "require_pushed_authorization_requests": must_push,
    "request_parameter_supported": by_request_object,
    "request_object_signing_alg_values_supported": request_object_alg,
    "request_uri_parameter_supported": partial(refused_parameter, "request_uri"),
    "authorization_response_iss_parameter_supported": response_iss,
    "authorization_signing_alg_values_supported": answer_alg,
    "introspection_signing_alg_values_supported": introspection_alg,
    "tls_client_certificate_bound_access_tokens": bound_to_certificates,
    "mtls_endpoint_aliases": aliases,
    "ui_locales_supported": ui_locale,
    "backchannel_logout_supported": backchannel,
    "backchannel_logout_session_supported": backchannel,
}


@pytest.fixture
def settings(tmp_path: Path, database_url: str) -> Settings:
    """Everything is on, so that all is advertised."""
    file = tmp_path / "ca.pem"
    file.write_bytes(CA.pem)
    on: dict[str, Any] = {"client_registration": "on", "device_grant": "on", "trusted_proxy": ("127.0.0.1",), "client_cert_header": "Client-Cert"}
    return Settings(data_dir=tmp_path, secret_key=PLATFORM_SECRET, database_url=database_url, mtls_base_url=MTLS, mtls_ca_file=file, **on)


@pytest.fixture
def walk(platform: Flask, clock: FakeClock, beijing: Somebody) -> Walk:
    with platform.app_context(), transaction():
        account = session.get_one(Account, beijing.id)
        people.firm(account).uscc = "91440000987654321X"
        people.key(account, [name for name in EKEY_SYSTEMS if name not in ("export", "import")], serial="EK0000000000EVERY")
        people.approve(account, "mech_electrical")
    document = body_of(platform.test_client().get("/.well-known/openid-configuration", base_url=ISSUER))
    return Walk(platform, clock, beijing, document)


def walk_through(walk: Walk, document: dict[str, Any]) -> None:
    assert set(document) - set(EXERCISES) == set(), "advertised without an exercise"
    for member, found in document.items():
        for value in found if isinstance(found, list) else [found]:
            try:
                EXERCISES[member](walk, value)
            except Exception as error:
                raise AssertionError(f"{member}: {value!r} is advertised and does not work") from error


@pytest.mark.spec("OIDC Discovery", "3")
def test_every_member_and_every_value_works(walk: Walk) -> None:
    assert {"registration_endpoint", "jwks_uri"} <= set(walk.document)
    walk_through(walk, walk.document)


PLANTED: dict[str, Any] = {
    "issuer": "https://elsewhere.example",
    "authorization_endpoint": f"{ISSUER}/oauth2/logout",
    "token_endpoint": f"{ISSUER}/oauth2/revoke",
    "userinfo_endpoint": f"{ISSUER}/oauth2/jwks",
    "end_session_endpoint": f"{ISSUER}/oauth2/authorize",
    "device_authorization_endpoint": f"{ISSUER}/oauth2/par",
    "introspection_endpoint": f"{ISSUER}/oauth2/revoke",
    "revocation_endpoint": f"{ISSUER}/oauth2/introspect",
    "registration_endpoint": f"{ISSUER}/oauth2/token",
    "jwks_uri": f"{ISSUER}/.well-known/openid-configuration",
    "scopes_supported": "address",
    "response_types_supported": "code id_token",
    "response_modes_supported": "fragment",
    "authorization_signing_alg_values_supported": "PS256",
    "acr_values_supported": "urn:nothing",
    "id_token_signing_alg_values_supported": "PS256",
    "token_endpoint_auth_methods_supported": "client_secret_jwt",
    "code_challenge_methods_supported": "plain",
    "dpop_signing_alg_values_supported": "RS256",
    "prompt_values_supported": "create",
    "claims_supported": "birthdate",
    "pushed_authorization_request_endpoint": f"{ISSUER}/oauth2/revoke",
    "require_pushed_authorization_requests": True,
    "request_parameter_supported": False,
    "request_object_signing_alg_values_supported": "HS256",
    "authorization_response_iss_parameter_supported": False,
    "ui_locales_supported": "fr",
    "introspection_signing_alg_values_supported": "PS256",
    "tls_client_certificate_bound_access_tokens": False,
    "mtls_endpoint_aliases": {"token_endpoint": f"{MTLS}/oauth2/elsewhere"},
}


@pytest.mark.parametrize("member", PLANTED)
def test_a_value_that_does_not_work_is_found(walk: Walk, member: str) -> None:
    good, planted = walk.document[member], PLANTED[member]
    # beside a value that works, so that it is the planted one that is found
    with pytest.raises(AssertionError, match=re.escape(f"{member}: {planted!r} is advertised and does not work")):
        walk_through(walk, {member: [*good[:1], planted] if isinstance(good, list) else planted})


def test_a_member_without_an_exercise_is_found(walk: Walk) -> None:
    with pytest.raises(AssertionError, match="advertised without an exercise"):
        walk_through(walk, {"frontchannel_logout_supported": True})
