"""openid-client in its shapes of FAPI 2.0: pushed and signed requests, JARM, tokens bound to a DPoP key or to a certificate; devices."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import pytest

from tests.certificates import Certified, make, name_of
from tests.interop.driven import Driven, Failed
from tests.interop.nginx import HEADER, Authority, nginx
from tests.interop.nginx import SECRET as CERT_SECRET
from tests.interop.served import NAME, Platform, copy_of, free_ports
from tests.interop.visitor import Arrival, Visitor

pytestmark = [pytest.mark.slow, pytest.mark.spec("FAPI 2.0 Security Profile", "5.3")]

CALLBACK = "http://127.0.0.1:18999/callback"
SCOPE = "openid profile email phone enterprise"
# what a client is whose tokens are bound to a DPoP key, and what its request is like
SECURITY: dict[str, Any] = {"profile": "fapi2-security", "dpop_bound_access_tokens": True}
OURS = ("id_token_signed_response_alg", "authorization_signed_response_alg", "introspection_signed_response_alg")
SIGNED: dict[str, Any] = {"profile": "fapi2-message-signing", "dpop_bound_access_tokens": True}


def register(platform: Platform, client: Driven, client_id: str, alg: str = "ES256", **members: Any) -> None:
    """Register a client with the platform, and let the client discover it; it has a key unless other ones are brought."""
    members = {"redirect_uris": [CALLBACK], "first_party": True, "scope": SCOPE, "token_endpoint_auth_method": "private_key_jwt", **members}
    members["jwks"] = members.get("jwks") or {"keys": [client.ask("make_key", alg=alg)]}
    platform.add_client(client_id, **members)
    metadata = dict.fromkeys(OURS, "ES256") | {"use_mtls_endpoint_aliases": members.get("tls_client_certificate_bound_access_tokens", False)}
    how = {"method": members["token_endpoint_auth_method"], "jarm": members["profile"] == "fapi2-message-signing"}
    client.ask("discover", issuer=platform.issuer, client_id=client_id, metadata=metadata, **how)
    if members.get("dpop_bound_access_tokens"):
        client.ask("prove", alg=alg)


def authorize(client: Driven, visitor: Visitor, *, signed: bool = False, **parameters: str) -> Arrival:
    asked = {"redirect_uri": CALLBACK, "scope": SCOPE, **parameters}
    url = client.ask("authorize", parameters=asked, pushed=True, signed=signed)
    assert "request_uri=urn%3Aietf" in url
    assert "redirect_uri=" not in url
    return visitor.go(url, until=CALLBACK)


def tokens(client: Driven, visitor: Visitor, *, signed: bool = False, **parameters: str) -> dict[str, Any]:
    arrived = authorize(client, visitor, signed=signed, **parameters)
    answer: dict[str, Any] = client.ask("callback", url=arrived.url, form=arrived.form or None)
    return answer


def good(platform: Platform, client: Driven, answer: Mapping[str, Any], token_type: str = "dpop") -> None:
    """The tokens are what they should be, and userinfo takes them."""
    claims = answer["claims"]
    assert (claims["iss"], answer["header"]["alg"], answer["token_type"].lower()) == (platform.issuer, "ES256", token_type)
    told = client.ask("userinfo", token=answer["access_token"], sub=claims["sub"])
    assert told["preferred_username"] == NAME


def refused(client: Driven, verb: str, **given: Any) -> Failed:
    with pytest.raises(Failed) as caught:
        client.ask(verb, **given)
    return caught.value


@pytest.mark.spec("RFC 9126", "2")
@pytest.mark.spec("RFC 9449", "8")
@pytest.mark.parametrize("alg", ["ES256", "PS256", "Ed25519"])
def test_pushed_requests_and_bound_tokens(platform: Platform, client: Driven, visitor: Visitor, alg: str) -> None:
    """The library learns the nonce from the first refusal, and sends each request again."""
    register(platform, client, f"security-{alg}", alg, **SECURITY)
    good(platform, client, tokens(client, visitor))
    assert any(url.endswith("/password") for url in visitor.seen)
    silent = tokens(client, visitor, prompt="none")
    good(platform, client, silent)
    assert len(visitor.seen) == 1


@pytest.mark.spec("RFC 9449", "5")
def test_refresh_with_the_key_and_with_a_new_one(platform: Platform, client: Driven, visitor: Visitor) -> None:
    register(platform, client, "refresher", grant_types=["authorization_code", "refresh_token"], **SECURITY)
    first = tokens(client, visitor)
    second = client.ask("refresh")
    # FAPI 2.0 Security Profile §5.3.2.1: no rotation
    assert "refresh_token" not in second
    good(platform, client, second)
    # of a confidential client the refresh token is bound to the client
    client.ask("prove")
    third = client.ask("refresh")
    good(platform, client, third)
    for old in (first, second):
        assert refused(client, "userinfo", token=old["access_token"]).status == 401


@pytest.mark.spec("RFC 9449", "10")
def test_a_code_is_bound_to_the_key_that_pushed(platform: Platform, client: Driven, visitor: Visitor) -> None:
    register(platform, client, "binder", **SECURITY)
    arrived = authorize(client, visitor)
    client.ask("prove")
    assert refused(client, "callback", url=arrived.url).error in ("invalid_grant", "invalid_dpop_proof")


@pytest.mark.spec("JARM", "2")
@pytest.mark.spec("RFC 9101", "5")
@pytest.mark.spec("FAPI 2.0 Message Signing", "5.3")
@pytest.mark.parametrize("alg", ["ES256", "PS256", "Ed25519"])
def test_signed_requests_and_signed_answers(platform: Platform, client: Driven, visitor: Visitor, alg: str) -> None:
    register(platform, client, f"signing-{alg}", alg, **SIGNED)
    good(platform, client, tokens(client, visitor, signed=True))
    assert any(url.endswith("/password") for url in visitor.seen)
    good(platform, client, tokens(client, visitor, signed=True, prompt="none"))
    assert len(visitor.seen) == 1


@pytest.mark.spec("JARM", "2.3.4")
def test_who_must_sign_may_not_leave_it_out(platform: Platform, client: Driven) -> None:
    register(platform, client, "unsigned", **SIGNED)
    asked = {"redirect_uri": CALLBACK, "scope": SCOPE}
    assert refused(client, "authorize", parameters=asked, pushed=True).error in ("invalid_request", "invalid_request_object")


@pytest.mark.spec("JARM", "2.1")
@pytest.mark.parametrize("shape", ["security", "signing"])
def test_a_person_who_says_no_is_told_inside_the_answer(platform: Platform, client: Driven, visitor: Visitor, shape: str) -> None:
    """On the page of the sign-in, on the page of consent, and without any page."""
    signed = shape == "signing"
    register(platform, client, f"refused-{shape}", first_party=False, **(SIGNED if signed else SECURITY))
    arrived = authorize(client, visitor, signed=signed, prompt="none")
    assert refused(client, "callback", url=arrived.url).error == "login_required"
    visitor.refuses = True
    arrived = authorize(client, visitor, signed=signed)
    assert ("error=" in arrived.url) is not signed
    assert refused(client, "callback", url=arrived.url).error == "access_denied"
    visitor.refuses = False
    good(platform, client, tokens(client, visitor, signed=signed))
    visitor.refuses = True
    arrived = authorize(client, visitor, signed=signed, prompt="consent")
    assert visitor.seen[-1].endswith("/consent")
    assert refused(client, "callback", url=arrived.url).error == "access_denied"


@pytest.mark.spec("RFC 9126", "4")
def test_a_pushed_request_is_answered_once(platform: Platform, client: Driven, visitor: Visitor) -> None:
    register(platform, client, "once", **SECURITY)
    url = client.ask("authorize", parameters={"redirect_uri": CALLBACK, "scope": SCOPE}, pushed=True)
    assert "code=" in visitor.go(url, until=CALLBACK).url
    again = visitor.go(url, until=CALLBACK)
    assert "code=" not in again.url


def test_without_a_pushed_request_nothing_begins(platform: Platform, client: Driven, visitor: Visitor) -> None:
    register(platform, client, "front", **SECURITY)
    arrived = visitor.go(client.ask("authorize", parameters={"redirect_uri": CALLBACK, "scope": SCOPE}), until=CALLBACK)
    assert "code=" not in arrived.url
    assert not any("/signin/" in url for url in visitor.seen)


@pytest.mark.spec("RFC 9701", "5")
def test_signed_answers_of_introspection(platform: Platform, client: Driven, visitor: Visitor) -> None:
    """The library asks for them because the client is registered so, and verifies them."""
    scope = "openid licence:mech_electrical"
    register(platform, client, "resource", system="mech_electrical", **{**SECURITY, "scope": scope})
    answer = tokens(client, visitor, scope=scope)
    told = client.ask("introspect", token=answer["access_token"])
    assert (told["active"], told["client_id"], told["sub"]) == (True, "resource", answer["claims"]["sub"])
    assert "jkt" in told["cnf"]
    client.ask("revoke", token=answer["access_token"])
    assert client.ask("introspect", token=answer["access_token"]) == {"active": False}


@dataclass(frozen=True)
class Behind:
    """A platform behind nginx, which asks for certificates on a port of its own; and who issues them."""

    platform: Platform
    own: Authority

    def visitor(self) -> Visitor:
        visitor = Visitor(self.platform.issuer)
        # the environment's own CA file would win
        visitor.session.trust_env, visitor.session.verify = False, str(self.own.file)
        return visitor

    def shows(self, client: Driven, certified: Certified | None) -> None:
        """The client connects with this certificate, or without one, from now on."""
        own = {"cert": certified.pem.decode(), "key": certified.key_pem.decode()} if certified is not None else {}
        client.ask("present", ca=self.own.root.pem.decode(), **own)


@pytest.fixture(scope="module")
def behind(prepared: Platform, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Behind]:
    own = Authority(tmp_path_factory.mktemp("nginx"))
    upstream, plain, asking = free_ports(3)
    more = {
        "IDP_ISSUER": f"https://localhost:{plain}",
        "IDP_MTLS_BASE_URL": f"https://localhost:{asking}",
        "IDP_TRUSTED_PROXY": "127.0.0.1",
        "IDP_CLIENT_CERT_HEADER": HEADER,
        "IDP_CLIENT_CERT_SECRET": CERT_SECRET,
        "IDP_CLIENT_CERT_FORMAT": "pem-escaped",
        "IDP_MTLS_CA_FILE": str(own.file),
        "IDP_DEVICE_GRANT": "on",
    }
    platform = replace(copy_of(prepared, tmp_path_factory.mktemp("behind") / "data", [upstream]), more=more)
    with platform.running(), nginx(own, upstream, plain, asking):
        yield Behind(platform, own)


BOUND: dict[str, Any] = {"tls_client_certificate_bound_access_tokens": True, "grant_types": ["authorization_code", "refresh_token"]}


@pytest.mark.spec("RFC 8705", "2")
@pytest.mark.spec("RFC 8705", "5")
@pytest.mark.parametrize("profile", ["fapi2-security", "fapi2-message-signing"])
@pytest.mark.parametrize("method", ["tls_client_auth", "self_signed_tls_client_auth", "private_key_jwt"])
def test_clients_with_certificates(behind: Behind, client: Driven, method: str, profile: str) -> None:
    """By a certificate of the CA, by one of its own, or by a key beside one; tokens are bound to it, and asked for at the aliases."""
    name, signed, visitor = f"{method}-{profile}".replace("_", "-"), profile == "fapi2-message-signing", behind.visitor()
    alone = method == "self_signed_tls_client_auth"
    mine = make(name_of(name), None if alone else behind.own.root, **behind.own.times)
    other = make(name_of("other"), behind.own.root, **behind.own.times)
    members: dict[str, Any] = {"profile": profile, "token_endpoint_auth_method": method, **BOUND}
    if method == "tls_client_auth":
        members["tls_client_auth_subject_dn"] = f"CN={name},O=商务部\\, 外贸司,C=CN"
    if alone:
        members["jwks"] = {"keys": [mine.jwk(), client.ask("make_key")]}
    behind.shows(client, mine)
    register(behind.platform, client, name, **members)
    for more in ({}, {"prompt": "none"}):
        answer = tokens(client, visitor, signed=signed, **more)
        good(behind.platform, client, answer, "bearer")
    good(behind.platform, client, client.ask("refresh"), "bearer")
    code = authorize(client, visitor, signed=signed).url
    for wrong in (other, None):
        behind.shows(client, wrong)
        assert refused(client, "userinfo", token=answer["access_token"]).status == 401
        if method != "private_key_jwt":
            assert refused(client, "callback", url=code).status == 401
    if method == "private_key_jwt":
        # RFC 8705 §3: nothing to bind the tokens to
        assert refused(client, "callback", url=code).error == "invalid_request"
    behind.shows(client, mine)
    assert client.ask("userinfo", token=answer["access_token"])["sub"] == answer["claims"]["sub"]


DEVICE = "urn:ietf:params:oauth:grant-type:device_code"


@pytest.mark.spec("RFC 8628", "3.5")
@pytest.mark.parametrize("bound", [False, True])
def test_a_device_asks_a_person(behind: Behind, client: Driven, bound: bool) -> None:
    """The person follows the link, signs in, compares the code; the device polls meanwhile. Its tokens may be bound to its key."""
    name, visitor = f"device-{bound}", behind.visitor()
    members = {"grant_types": [DEVICE, "refresh_token"], "token_endpoint_auth_method": "none", "scope": "openid profile"}
    behind.platform.add_client(name, **members)
    behind.shows(client, None)
    metadata = {"id_token_signed_response_alg": "RS256"}
    client.ask("discover", issuer=behind.platform.issuer, client_id=name, metadata=metadata, method="none")
    if bound:
        client.ask("prove")
    asked = client.ask("device", parameters={"scope": "openid profile"})
    visitor.go(asked["verification_uri_complete"])
    assert any(url == asked["verification_uri_complete"] for url in visitor.seen)
    assert visitor.seen[-1].endswith("/allowed")
    answer = client.ask("poll")
    assert answer["token_type"].lower() == ("dpop" if bound else "bearer")
    assert client.ask("userinfo", sub=answer["claims"]["sub"])["preferred_username"] == NAME
    assert refused(client, "poll").error in ("invalid_grant", "expired_token")
    visitor.refuses = True
    visitor.go(client.ask("device", parameters={"scope": "openid"})["verification_uri_complete"])
    assert visitor.seen[-1].endswith("/denied")
    assert refused(client, "poll").error == "access_denied"
