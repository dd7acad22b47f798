"""Which keys certificates may have, whose they must be, and what a certificate and a DPoP proof bind together (RFC 8705, RFC 9449)."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st
from joserfc.jwk import ECKey

from idp.adapters import Fetched
from idp.errors import BadInput
from idp.oidc import certificates, client_keys
from idp.oidc.registration import judge
from idp.settings import Settings
from tests.certificates import CLIENT, Certified, make, name_of
from tests.conftest import SECRET
from tests.fakes import START, FakeClock, FakeWeb
from tests.fapi import Holder, ath
from tests.oidc.conftest import Somebody
from tests.oidc.test_client_authentication import turned_away
from tests.oidc.test_fuzz_routes import JSON
from tests.oidc.test_mtls import BOUND, CA, LEAF, MTLS, NAMED, OTHER, SELF_SIGNED, Caller, reasons
from tests.relying_party import RelyingParty, body_of, claims_of

pytestmark = [pytest.mark.slow, pytest.mark.spec("RFC 8705", "2")]
STRONG = {**ECKey.generate_key("P-256").as_dict(private=False), "kid": "strong"}
BY_JWK = {"token_endpoint_auth_method": "self_signed_tls_client_auth"}


def with_rsa(bits: int, issuer: Certified | None = None) -> Certified:
    key = rsa.generate_private_key(public_exponent=65537, key_size=bits)
    return make(name_of("rp"), issuer, usage=[CLIENT] if issuer else (), key=key)


@pytest.fixture
def settings(tmp_path: Path, database_url: str) -> Settings:
    file = tmp_path / "ca.pem"
    file.write_bytes(CA.pem)
    behind: dict[str, Any] = {"trusted_proxy": ("127.0.0.1",), "client_cert_header": "Client-Cert"}
    return Settings(data_dir=tmp_path, secret_key=SECRET, database_url=database_url, mtls_base_url=MTLS, mtls_ca_file=file, **behind)


# --- keys -----------------------------------------------------------------------------------------------------------------------------------


# joserfc warns of such keys
@pytest.mark.filterwarnings("ignore:Key size should be")
@pytest.mark.parametrize(("bits", "counts"), [(1024, False), (2047, False), (2048, True)])
def test_an_rsa_key_is_as_strong_as_a_registered_one(
    platform: Flask, clock: FakeClock, beijing: Somebody, monkeypatch: pytest.MonkeyPatch, bits: int, counts: bool
) -> None:
    issued, own = with_rsa(bits, CA), with_rsa(bits)
    by_ca = RelyingParty(platform, clock, "rp", None, **NAMED, **BOUND)
    # beside a strong key the weak one can be registered; and the chain must not be what saves us
    by_jwk = RelyingParty(platform, clock, "own", None, **BY_JWK, jwks={"keys": [own.jwk(), STRONG]}, **BOUND)
    monkeypatch.setattr(certificates, "issued", lambda *_: True)
    for caller in (Caller(by_ca, issued), Caller(by_jwk, own)):
        if counts:
            assert "cnf" in claims_of(caller.tokens(beijing.id)["access_token"])
        else:
            turned_away(caller.post("token", grant_type="x"))
    assert reasons(platform) == ([] if counts else ["certificate_missing"] * 2)
    for written, header in (("rfc9440", own.rfc9440), ("pem-escaped", own.escaped)):
        assert (certificates.read(header, written, START) is not None) is counts


# --- whose they are -------------------------------------------------------------------------------------------------------------------------

X5C = SELF_SIGNED.jwk()["x5c"]
NOT_OF_THAT_KEY = [
    # a key that the holder of the certificate does not have
    {**OTHER.jwk(), "x5c": X5C},
    {**STRONG, "x5c": X5C},
    {**with_rsa(2048).jwk(), "x5c": X5C},
    {**SELF_SIGNED.jwk(), "use": "enc"},
    {**SELF_SIGNED.jwk(), "use": ["sig"]},
    # only the first is of the key
    {**SELF_SIGNED.jwk(), "x5c": [*OTHER.jwk()["x5c"], *X5C]},
    {**SELF_SIGNED.jwk(), "x5c": X5C[0]},
    {**SELF_SIGNED.jwk(), "x5c": [X5C[0] + "!"]},
    {**SELF_SIGNED.jwk(), "x5c": [5]},
    {**SELF_SIGNED.jwk(), "x5c": []},
]


@pytest.mark.spec("RFC 8705", "2.2.2")
@pytest.mark.parametrize("jwk", NOT_OF_THAT_KEY)
def test_a_certificate_beside_another_key_proves_nobody(platform: Flask, clock: FakeClock, far_servers: FakeWeb, jwk: dict[str, Any]) -> None:
    place, strong = "https://rp.example/jwks", {**STRONG, "kid": "s2"}
    far_servers.pages[place] = Fetched(200, json.dumps({"keys": [jwk, strong]}).encode())
    turned_away(Caller(RelyingParty(platform, clock, "far", None, **BY_JWK, jwks_uri=place), SELF_SIGNED).post("revoke", token="x"))
    with pytest.raises(BadInput, match="x5c"):
        judge({"client_id": "x", "redirect_uris": ["https://rp.example/"], **BY_JWK, "jwks": {"keys": [jwk, strong]}})


@pytest.mark.parametrize("more", [{}, {"use": "sig"}])
def test_beside_its_own_it_does(platform: Flask, clock: FakeClock, more: dict[str, str]) -> None:
    rp = RelyingParty(platform, clock, "own", None, **BY_JWK, jwks={"keys": [{**SELF_SIGNED.jwk(), **more}, STRONG]})
    assert Caller(rp, SELF_SIGNED).post("revoke", token="x").status_code == 200


@given(st.dictionaries(st.sampled_from(["kty", "crv", "x", "y", "n", "e", "use", "alg", "key_ops", "x5c"]), JSON, max_size=4), st.binary(max_size=60))
def test_no_key_raises_anything_but_value_errors(changes: dict[str, Any], junk: bytes) -> None:
    der = SELF_SIGNED.der[: len(junk) * 7] + junk + SELF_SIGNED.der[len(junk) * 8 :]
    for jwk in ({**SELF_SIGNED.jwk(), **changes}, {**SELF_SIGNED.jwk(), "x5c": [base64.b64encode(der).decode()]}):
        assert len(client_keys.Keys({"keys": [STRONG, {**jwk, "kid": "c1"}]}).certificates) <= 1


# --- a certificate and a proof --------------------------------------------------------------------------------------------------------------


@pytest.mark.spec("RFC 8705", "3")
@pytest.mark.spec("RFC 9449", "7.1")
def test_a_proof_is_no_way_around_the_certificate_and_binds_as_well(platform: Flask, clock: FakeClock, beijing: Somebody) -> None:
    rp, holder, token_url = RelyingParty(platform, clock, "rp", None, **NAMED, **BOUND), Holder(clock), f"{MTLS}/oauth2/token"
    keyless = RelyingParty(platform, clock, "both", **BOUND)
    refused = keyless.redeem(keyless.code(keyless.browser(beijing.id)), {**keyless.basic(), **holder.at_token()})
    assert (refused.status_code, refused.json) == (400, {"error": "invalid_request"})
    answer = body_of(Caller(rp).redeem(rp.code(rp.browser(beijing.id)), holder.at_token(url=token_url)))
    token = answer["access_token"]
    assert answer["token_type"] == "DPoP"
    cnf = {"jkt": holder.jkt, "x5t#S256": certificates.thumbprint(LEAF.der)}
    assert claims_of(token)["cnf"] == cnf
    told = body_of(Caller(rp).post("introspect", token=token))
    assert (told["cnf"], told["token_type"]) == (cnf, "DPoP")

    def shown(certified: Certified | None, by: Holder | None) -> int:
        url = f"{MTLS}/oauth2/userinfo"
        proof = (
            {"Authorization": f"Bearer {token}"} if by is None else {"Authorization": f"DPoP {token}", "DPoP": by.proof(url, "GET", ath=ath(token))}
        )
        headers = {**Caller(rp, certified).headers(), **proof}
        return platform.test_client().get("/oauth2/userinfo", headers=headers, base_url=MTLS).status_code

    assert shown(LEAF, holder) == 200
    assert {shown(*each) for each in ((LEAF, None), (None, holder), (OTHER, holder), (LEAF, Holder(clock)), (None, None))} == {401}
