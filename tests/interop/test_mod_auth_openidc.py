"""Apache's mod_auth_openidc, as a Debian administrator sets it up: three relying parties that differ in how they speak."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from joserfc.jwk import RSAKey

from tests.interop.apache import RelyingParty, apache
from tests.interop.served import NAME, SECRET, Platform
from tests.interop.visitor import Visitor

pytestmark = pytest.mark.slow

KEY_ID = "apache-key"
PATIENCE_POLLS = 100


@pytest.fixture(scope="module")
def key_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with the key of the party that signs its assertions, and its certificate."""
    folder = tmp_path_factory.mktemp("key")
    made, name = rsa.generate_private_key(65537, 2048), x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "keyed")])
    start = datetime.now(UTC)
    certificate = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(made.public_key()).serial_number(1)
    certificate = certificate.not_valid_before(start).not_valid_after(start + timedelta(days=1))
    (folder / "private.pem").write_bytes(made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    (folder / "public.pem").write_bytes(certificate.sign(made, SHA256()).public_bytes(Encoding.PEM))
    return folder


@pytest.fixture(scope="module")
def parties(platform: Platform, key_files: Path) -> list[RelyingParty]:
    """Registered: client_secret_basic with form_post · client_secret_post with the token of userinfo in a form · private_key_jwt."""
    ports = [int(pair.rpartition(":")[2]) for pair in platform.reachable]
    secret = {"OIDCClientSecret": SECRET}
    found = [
        RelyingParty(ports[0], {"OIDCClientID": "basic", **secret, "OIDCResponseMode": "form_post"}),
        RelyingParty(
            ports[1],
            {"OIDCClientID": "post", **secret, "OIDCProviderTokenEndpointAuth": "client_secret_post", "OIDCUserInfoTokenMethod": "post_param"},
        ),
        # the keys before the method that needs them
        RelyingParty(
            ports[2],
            {
                "OIDCClientID": "keyed",
                "OIDCPrivateKeyFiles": f"{KEY_ID}#{key_files}/private.pem",
                "OIDCPublicKeyFiles": f"{KEY_ID}#{key_files}/public.pem",
                "OIDCProviderTokenEndpointAuth": "private_key_jwt",
            },
        ),
    ]
    public = RSAKey.import_key((key_files / "private.pem").read_text()).as_dict(private=False) | {"kid": KEY_ID, "use": "sig", "alg": "RS256"}
    methods: list[dict[str, Any]] = [
        {
            "token_endpoint_auth_method": "client_secret_basic",
            "backchannel_logout_uri": f"{found[0].callback}?logout=backchannel",
            "backchannel_logout_session_required": True,
        },
        {
            "token_endpoint_auth_method": "client_secret_post",
            "id_token_signed_response_alg": "ES256",
            "grant_types": ["authorization_code", "refresh_token"],
        },
        # it names the token endpoint as the audience, as many do
        {"token_endpoint_auth_method": "private_key_jwt", "jwks": {"keys": [public]}, "assertion_audience": "compat"},
    ]
    for party, members in zip(found, methods, strict=True):
        platform.add_client(
            party.lines["OIDCClientID"],
            redirect_uris=[party.callback],
            post_logout_redirect_uris=[f"{party.address}/bye"],
            first_party=True,
            **members,
        )
    return found


@pytest.fixture(scope="module")
def log(platform: Platform, parties: list[RelyingParty]) -> Iterator[Path]:
    with apache(platform.issuer, parties) as file:
        yield file


def inside(visitor: Visitor, party: RelyingParty) -> dict[str, Any]:
    """What the party knows of who is signed in there (its info hook)."""
    answer = visitor.session.get(f"{party.callback}?info=json", timeout=20)
    return answer.json() if answer.status_code == 200 else {}


@pytest.mark.requirement("R5")
@pytest.mark.spec("OIDC Discovery", "4.3")
@pytest.mark.parametrize("number", [0, 1, 2], ids=["basic", "post", "keyed"])
def test_a_protected_page_opens(platform: Platform, parties: list[RelyingParty], log: Path, visitor: Visitor, number: int) -> None:
    party = parties[number]
    arrived = visitor.go(party.private)
    assert arrived.text == "inside", log.read_text()
    known = inside(visitor, party)
    assert known["id_token"]["iss"] == platform.issuer
    assert known["userinfo"]["preferred_username"] == NAME
    assert known["userinfo"]["sub"] == known["id_token"]["sub"]


@pytest.mark.requirement("R5")
def test_one_sign_in_opens_all(parties: list[RelyingParty], log: Path, visitor: Visitor) -> None:
    subs = set()
    for number, party in enumerate(parties):
        assert visitor.go(party.private).text == "inside"
        assert any("/signin/" in url for url in visitor.seen) is (number == 0)
        subs.add(inside(visitor, party)["id_token"]["sub"])
    assert len(subs) == 1


@pytest.mark.requirement("R76")
@pytest.mark.spec("OIDC RP-Initiated Logout", "2")
def test_sign_out_starts_at_a_relying_party(parties: list[RelyingParty], log: Path, visitor: Visitor) -> None:
    party = parties[0]
    assert visitor.go(party.private).text == "inside"
    left = visitor.go(f"{party.callback}?logout={party.address}/bye", until=f"{party.address}/bye")
    assert left.url == f"{party.address}/bye", log.read_text()
    visitor.go(party.private)
    assert any(url.endswith("/password") for url in visitor.seen), "the platform's session has ended too"


@pytest.mark.requirement("R76")
@pytest.mark.spec("OIDC Back-Channel Logout", "2.5")
def test_sign_out_elsewhere_reaches_it_over_the_back_channel(parties: list[RelyingParty], log: Path, visitor: Visitor) -> None:
    told, leaving = parties[0], parties[1]
    assert visitor.go(told.private).text == visitor.go(leaving.private).text == "inside"
    assert inside(visitor, told)["id_token"]["sid"]
    visitor.go(f"{leaving.callback}?logout={leaving.address}/bye", until=f"{leaving.address}/bye")
    for _ in range(PATIENCE_POLLS):
        if not inside(visitor, told):
            return
        time.sleep(0.2)
    raise AssertionError(log.read_text())


@pytest.mark.spec("RFC 6749", "6")
def test_it_refreshes(parties: list[RelyingParty], log: Path, visitor: Visitor) -> None:
    party = parties[1]
    assert visitor.go(party.private).text == "inside"
    before = inside(visitor, party)
    asked = urlencode({"refresh": party.private, "access_token": before["access_token"]})
    assert visitor.go(f"{party.callback}?{asked}").text == "inside", log.read_text()
    after = inside(visitor, party)
    assert after["access_token"] != before["access_token"]
    assert after["id_token"]["sub"] == before["id_token"]["sub"]


@pytest.mark.spec("OIDC Core", "10.1.1")
def test_keys_change_while_it_runs(platform: Platform, parties: list[RelyingParty], log: Path) -> None:
    """The first key to come was in the JWKS that it fetched; for the second it has to fetch again."""
    for _ in range(2):
        platform.age_keys()
        platform.idp("keys", "rotate")
        platform.wait_until_published()
        for party in parties:
            assert Visitor(platform.issuer).go(party.private).text == "inside", log.read_text()
