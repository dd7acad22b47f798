"""Mutual TLS as operators run it: nginx asks for the certificate on a port of its own and hands it on."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

import pytest
import requests

from tests.certificates import make, name_of
from tests.interop.nginx import HEADER, SECRET, Authority, nginx
from tests.interop.served import Platform, copy_of, free_ports
from tests.interop.visitor import Visitor
from tests.relying_party import CHALLENGE, VERIFIER, claims_of

pytestmark = [pytest.mark.slow, pytest.mark.spec("RFC 8705", "2")]
CALLBACK = "https://rp.example/callback"


@dataclass(frozen=True)
class Served:
    """A platform behind nginx, its CA, and the files of two clients and of one that issued itself a certificate."""

    platform: Platform
    own: Authority
    plain: str
    asking: str
    rp: tuple[str, str]
    other: tuple[str, str]
    alone: tuple[str, str]

    def post(self, path: str, shown: tuple[str, str] | None, base: str = "", headers: dict[str, str] | None = None, **form: str) -> requests.Response:
        url = f"{base or self.asking}/oauth2/{path}"
        return requests.post(url, data=form, cert=shown, verify=str(self.own.file), headers=headers, timeout=20)

    def tokens(self, client_id: str, shown: tuple[str, str]) -> dict[str, Any]:
        visitor = Visitor(self.plain)
        # the environment's own CA file would win
        visitor.session.trust_env, visitor.session.verify = False, str(self.own.file)
        asked = {"client_id": client_id, "redirect_uri": CALLBACK, "response_type": "code", "scope": "openid", "state": "s", "nonce": "n"}
        pkce = {"code_challenge": CHALLENGE, "code_challenge_method": "S256"}
        arrived = visitor.go(f"{self.plain}/oauth2/authorize?{urlencode(asked | pkce)}", CALLBACK)
        code = dict(parse_qsl(urlsplit(arrived.url).query))["code"]
        form: dict[str, Any] = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": CALLBACK,
            "code_verifier": VERIFIER,
            "client_id": client_id,
        }
        answer = self.post("token", shown, **form)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def userinfo(self, token: str, shown: tuple[str, str] | None, base: str = "") -> requests.Response:
        headers = {"Authorization": f"Bearer {token}"}
        return requests.get(f"{base or self.asking}/oauth2/userinfo", headers=headers, cert=shown, verify=str(self.own.file), timeout=20)


@pytest.fixture(scope="module")
def served(prepared: Platform, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    own = Authority(tmp_path_factory.mktemp("nginx"))
    upstream, plain, asking = free_ports(3)
    issuer, base = f"https://localhost:{plain}", f"https://localhost:{asking}"
    certificates = {"IDP_CLIENT_CERT_HEADER": HEADER, "IDP_CLIENT_CERT_FORMAT": "pem-escaped", "IDP_CLIENT_CERT_SECRET": SECRET}
    hosts = {"IDP_ISSUER": issuer, "IDP_MTLS_BASE_URL": base, "IDP_MTLS_CA_FILE": str(own.file), "IDP_TRUSTED_PROXY": "127.0.0.1"}
    platform = replace(copy_of(prepared, tmp_path_factory.mktemp("served") / "data", [upstream]), more={**certificates, **hosts})
    _, rp = own.client("rp")
    _, other = own.client("other")
    lonely = make(name_of("alone"), **own.times)
    alone = own.stored("alone", lonely)
    _add(platform, "rp", token_endpoint_auth_method="tls_client_auth", tls_client_auth_subject_dn="CN=rp,O=商务部\\, 外贸司,C=CN")
    _add(platform, "alone", token_endpoint_auth_method="self_signed_tls_client_auth", jwks={"keys": [lonely.jwk()]})
    with platform.running(), nginx(own, upstream, plain, asking):
        yield Served(platform, own, issuer, base, rp, other, alone)


def _add(platform: Platform, client_id: str, **members: Any) -> None:
    bound = {"tls_client_certificate_bound_access_tokens": True, "first_party": True, "scope": "openid profile"}
    platform.add_client(client_id, redirect_uris=[CALLBACK], grant_types=["authorization_code"], **bound, **members)


@pytest.mark.parametrize("client_id", ["rp", "alone"])
def test_a_client_proves_itself_and_only_it_can_use_its_token(served: Served, client_id: str) -> None:
    shown = served.rp if client_id == "rp" else served.alone
    token = served.tokens(client_id, shown)["access_token"]
    assert "x5t#S256" in claims_of(token)["cnf"]
    assert served.userinfo(token, shown).json()["sub"]
    for wrong in (served.other, None):
        assert served.userinfo(token, wrong).status_code == 401
    assert served.userinfo(token, None, served.plain).status_code == 401


def test_another_certificate_or_none_is_refused(served: Served) -> None:
    for shown in (served.other, served.alone, None):
        answer = served.post("token", shown, client_id="rp", grant_type="client_credentials")
        assert (answer.status_code, answer.json()) == (401, {"error": "invalid_client"})
    right = served.post("token", served.rp, client_id="rp", grant_type="client_credentials")
    assert right.json() == {"error": "unauthorized_client"}


@pytest.mark.spec("RFC 8705", "6.5")
def test_nobody_outside_can_write_the_header(served: Served) -> None:
    forged = quote(Path(served.rp[0]).read_text(), safe="")
    for name in (HEADER, HEADER.lower(), HEADER.replace("-", "_")):
        for base in (served.plain, served.asking):
            for value in (forged, f"{SECRET[:-1]} {forged}"):
                answer = served.post("token", None, base, {name: value}, client_id="rp", grant_type="client_credentials")
                assert (answer.status_code, answer.json()) == (401, {"error": "invalid_client"}), (name, base)


@pytest.mark.spec("RFC 8705", "6.5")
def test_what_a_careless_proxy_lets_through_lacks_its_secret(served: Served) -> None:
    """WSGI has one name for both spellings; from a place that the platform trusts, only the secret tells them apart."""
    forged = quote(Path(served.rp[0]).read_text(), safe="")
    straight, by = served.platform.upstream, {"Host": urlsplit(served.asking).netloc, "X-Forwarded-Proto": "https"}
    for name in (HEADER, HEADER.replace("-", "_")):
        for value, outcome in ((forged, (401, "invalid_client")), (f"{SECRET} {forged}", (400, "unauthorized_client"))):
            answer = served.post("token", None, straight, {**by, name: value}, client_id="rp", grant_type="client_credentials")
            assert (answer.status_code, answer.json()["error"]) == outcome, (name, value[:9])


@pytest.mark.spec("RFC 8705", "5")
def test_the_aliases_lead_there_and_pages_do_not(served: Served) -> None:
    told = requests.get(f"{served.plain}/.well-known/openid-configuration", verify=str(served.own.file), timeout=20).json()
    assert all(url.startswith(served.asking + "/oauth2/") for url in told["mtls_endpoint_aliases"].values())
    for path in ("/", "/oauth2/authorize", "/.well-known/openid-configuration"):
        assert requests.get(served.asking + path, verify=str(served.own.file), timeout=20).status_code == 404
