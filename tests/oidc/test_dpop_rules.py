"""The rules of DPoP on their own: one spelling of an address, two minutes of a nonce, any header at all."""

import json
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import pytest
from flask import Flask
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from idp.oidc import dpop
from idp.oidc.dpop import Asked, normalised
from idp.oidc.refusal import Refused
from idp.oidc.sender import Sender
from tests.conftest import SECRET
from tests.fakes import START, FakeClock
from tests.fapi import TOKEN, Holder
from tests.oidc.test_fuzz_routes import JSON, _compact
from tests.relying_party import ISSUER, RelyingParty

bounded = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
HOSTS = st.sampled_from(["login.example", "127.0.0.1", "[::1]", "xn--fiqs8s.example"])
SEGMENTS = st.lists(st.text("abcXYZ019-._~!$&'()*+,;=:@ é/%?#", min_size=1, max_size=6).filter(lambda part: part not in (".", "..")), max_size=4)


def judged(proof: str, *, urls: tuple[str, ...] = (TOKEN,), now: Any = START) -> Sender | Refused:
    return dpop.judge(proof, Asked("POST", urls, None, now, SECRET))


# --- addresses ------------------------------------------------------------------------------------------------------------------------------


@pytest.mark.spec("RFC 9449", "4.3")
@pytest.mark.spec("RFC 3986", "6.2.2")
@bounded
@given(scheme=st.sampled_from(["http", "https"]), host=HOSTS, port=st.none() | st.integers(1, 65535), segments=SEGMENTS, data=st.data())
def test_all_spellings_of_an_address_are_one(scheme: str, host: str, port: int | None, segments: list[str], data: st.DataObject) -> None:
    """However an address is spelt within the rules of RFC 3986, it stays the same; and it stays what it is when it is done again."""
    path = "/" + "/".join(quote(part, safe="!$&'()*+,;=:@") for part in segments)
    plain = f"{scheme}://{host}{'' if port is None else f':{port}'}{path}"
    expected = normalised(plain)
    assert expected is not None
    assert normalised(expected) == expected
    default = {"http": 80, "https": 443}[scheme]
    shown_port = data.draw(st.sampled_from(["", ":", f":{default}", f":0{default}"])) if port in (None, default) else f":{port}"
    dots = data.draw(st.sampled_from(["", "/.", "/x/..", "/%2e", "/a/%2E%2e"]))
    tail = data.draw(st.sampled_from(["", "?x=1", "#y", "?a=/../b#c/../d"]))
    spelt = f"{_cased(data, scheme)}://{_cased(data, host)}{shown_port}{dots}{_escaped(data, path)}{tail}"
    assert normalised(spelt) == expected, spelt


def _cased(data: st.DataObject, text: str) -> str:
    return "".join(data.draw(st.sampled_from([sign.lower(), sign.upper()])) for sign in text)


def _escaped(data: st.DataObject, path: str) -> str:
    """Unreserved signs as their codes at times, and the codes of others in either case."""
    found, at = "", 0
    while at < len(path):
        if path[at] == "%":
            found += _cased(data, path[at : at + 3])
            at += 3
            continue
        sign = path[at]
        free = sign.isalnum() or sign in "-._~"
        found += data.draw(st.sampled_from([sign, f"%{ord(sign):02X}", f"%{ord(sign):02x}"])) if free else sign
        at += 1
    return found


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("https://a.example/x", "http://a.example/x"),
        ("https://a.example/x", "https://a.example/X"),
        ("https://a.example/x", "https://a.example/x/"),
        ("https://a.example/x", "https://a.example:8443/x"),
        ("https://a.example/x%2Fy", "https://a.example/x/y"),
        ("https://a.example/x%252Fy", "https://a.example/x%2Fy"),
        ("https://a.example/x", "https://a.example./x"),
        ("https://a.example/x", "https://a.example//x"),
        ("http://a.example:443/x", "https://a.example/x"),
    ],
)
def test_what_is_another_address(one: str, other: str) -> None:
    assert normalised(one) is not None
    assert normalised(one) != normalised(other)


@pytest.mark.parametrize(
    "text",
    [
        *("", "x", "//a.example/x", "/x", "https://", "https:///x", "https://u@a.example/x", "https://u:p@a.example/x", "ftp://a.example/x"),
        *("https://a.example/é", "https://a.example/ x", "https://a.example/\n", "\thttps://a.example/", "https://a.example\\x"),
        *("https://a.example/%zz", "https://a.example:x/", "https://a.example:99999/", "https://[::1/", "https://[x]/", "javascript:1"),
        *("https:a.example/x", "https://a.example/<>", "https://a.example/" + "x" * 2000),
    ],
)
def test_what_is_no_address(text: str) -> None:
    assert normalised(text) is None


@bounded
@given(value=st.text(max_size=60) | JSON)
def test_any_address(value: object) -> None:
    found = normalised(value)
    assert found is None or normalised(found) == found


@bounded
@given(noise=st.text("abc:/?#[]@!%2eE.-~1", max_size=12))
def test_no_noise_makes_another_host_ours(noise: str) -> None:
    assert normalised(f"https://evil.example{noise}") != "https://login.example:443/"
    assert normalised(f"https://{noise}@login.example/") != "https://login.example:443/"


# --- nonces ---------------------------------------------------------------------------------------------------------------------------------


@pytest.mark.spec("RFC 9449", "8")
@bounded
@given(given_at=st.integers(0, 10**7), age=st.integers(-300, 300))
def test_a_nonce_counts_in_its_minute_and_in_the_next(given_at: int, age: int) -> None:
    clock = FakeClock(START + timedelta(seconds=given_at))
    nonce = dpop.nonce(SECRET, clock.now())
    minute = int(clock.now().timestamp()) // 60
    clock.advance(seconds=age)
    passed = int(clock.now().timestamp()) // 60 - minute
    outcome = judged(HOLDER.at(clock).proof(nonce=nonce), now=clock.now())
    if passed in (0, 1):
        assert isinstance(outcome, Sender)
    else:
        assert isinstance(outcome, Refused)
        assert outcome.error == "use_dpop_nonce"
    # an honest client always has a minute
    assert passed in (0, 1) or not 0 <= age <= 60


class Steady(Holder):
    """One key, since making keys takes time, at the clock of each example."""

    def at(self, clock: FakeClock) -> "Steady":
        self.clock = clock
        return self


HOLDER = Steady(FakeClock())


@bounded
@given(at=st.integers(0, 10**9))
def test_a_nonce_of_another_secret_is_none(at: int) -> None:
    now = START + timedelta(seconds=at)
    assert dpop.nonce(SECRET, now) != dpop.nonce(SECRET + "x", now)
    assert SECRET not in dpop.nonce(SECRET, now)


# --- anything -------------------------------------------------------------------------------------------------------------------------------


@bounded
@given(
    header=st.dictionaries(st.sampled_from(["alg", "typ", "jwk", "kid", "crit", "x5c", "jku"]), JSON, max_size=3),
    claims=st.dictionaries(st.sampled_from(["jti", "htm", "htu", "iat", "nonce", "ath", "exp", "nbf"]), JSON, max_size=3),
)
def test_signed_proofs_of_any_types(header: dict[str, Any], claims: dict[str, Any]) -> None:
    assume(header or claims)
    now = int(START.timestamp())
    whole = {"jti": "j", "htm": "POST", "htu": TOKEN, "iat": now, "nonce": dpop.nonce(SECRET, START), **claims}
    signing = {"typ": "dpop+jwt", "alg": "ES256", "jwk": HOLDER.key.as_dict(private=False), **header}
    assert isinstance(judged(_compact(json.dumps(signing).encode(), json.dumps(whole).encode())), Refused)
    if not header:
        judged(HOLDER.at(FakeClock()).proof(**whole))


JWK_MEMBERS = st.sampled_from(["kty", "crv", "x", "y", "n", "e", "d", "k", "alg", "use", "kid", "key_ops", "x5c", "x5t", "x5u"])


@bounded
@given(changes=st.dictionaries(JWK_MEMBERS, JSON, min_size=1, max_size=3))
def test_keys_of_any_types(changes: dict[str, Any]) -> None:
    judged(HOLDER.at(FakeClock()).proof(header={"jwk": {**HOLDER.key.as_dict(private=False), **changes}}))


@pytest.mark.slow
@bounded
@given(proofs=st.lists(st.text(st.characters(max_codepoint=255, exclude_characters="\r\n"), max_size=60), min_size=1, max_size=3))
def test_any_header_at_all(rp: RelyingParty, platform: Flask, clock: FakeClock, proofs: list[str]) -> None:
    clock.advance(hours=1)
    sent = [("DPoP", proof) for proof in proofs]
    form = {"grant_type": "authorization_code", "code": "x"}
    answer = platform.test_client().post("/oauth2/token", data=form, headers=[*rp.basic().items(), *sent], base_url=ISSUER)
    assert (answer.status_code, answer.json) == (400, {"error": "invalid_dpop_proof"})
    answer = platform.test_client().get("/oauth2/userinfo", headers=[("Authorization", "DPoP x"), *sent], base_url=ISSUER)
    assert answer.status_code == 401
