"""Redirect URIs: what may be registered, and that only the registered string matches."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from idp.oidc import redirect_uris
from idp.web import origin_of

GOOD = ["https://rp.example/cb", "https://rp.example:8443/cb?a=b", "http://127.0.0.1:8001/callback", "http://[::1]/cb", "http://localhost/cb"]
BAD = [
    "http://rp.example/cb",
    "http://localhost.evil.test/cb",
    "http://127.0.0.1.evil.test/cb",
    "https://user@rp.example/cb",
    "https://user:pw@rp.example/cb",
    "https://rp.example@evil/cb",
    "https://evil\\@rp.example/cb",
    "https://rp.example/cb#f",
    "https://*.rp.example/cb",
    "https://rp.example/*",
    "https:///cb",
    "https:rp.example/cb",
    "//rp.example/cb",
    "/cb",
    "",
    "rp.example",
    "javascript://h/%0aalert(1)",
    "JaVaScRiPt:alert(1)",
    "data:text/html,x",
    "file:///etc/passwd",
    "HTTPS://rp.example/cb",
    "https://RP.example/cb",
    "https://rp.example/a/../cb",
    "https://rp.example/a/%2e%2e/cb",
    "https://rp.example/a/..;/cb",
    "https://rp.example/cb\n",
    "https://rp.example/c b",
    "https://rp.example/%zz",
    "https://rp.example:99999/cb",
    "https://rp.example/密",
    "https://rp.example/" + "x" * 2000,
    "com.example.app:/cb",
    "https://rp.example;script-src/cb",
    "https://rp.example,evil.example/cb",
    "https://'none'/cb",
    "https://rp.example%20evil/cb",
    "https://rp_1.example/cb",
    "https://rp.example:/cb",
    "https://rp.example:１/cb",
    "https://[::1;script-src]/cb",
    "https://[1.2.3]/cb",
    "https://[v1.a]/cb",
    "https://[::1%25eth0]/cb",
    "https://[::1/cb",
    "https://[::1]x/cb",
]


@pytest.mark.parametrize("uri", GOOD)
def test_good_ones_may_be_registered(uri: str) -> None:
    assert redirect_uris.fault(uri) is None


@pytest.mark.spec("RFC 9700", "4.1.3")
@pytest.mark.parametrize("uri", BAD)
def test_bad_ones_may_not(uri: str) -> None:
    assert redirect_uris.fault(uri) is not None


@pytest.mark.spec("RFC 8252", "7.1")
def test_native_applications_may_use_a_reversed_domain_as_scheme() -> None:
    assert redirect_uris.fault("com.example.app:/cb", native=True) is None
    for scheme in (
        *("javascript:alert(1)", "data:x", "app:/cb", "com.Example:/cb", "http://rp.example/cb"),
        *("com.example.app://;script-src/cb", "com.example.app://host/cb", "com.example;app:/cb"),
    ):
        assert redirect_uris.fault(scheme, native=True) is not None


@pytest.mark.spec("RFC 9700", "2.1")
@given(st.sampled_from(GOOD), st.text(min_size=1, max_size=5), st.integers(0, 60), st.booleans())
def test_no_edited_uri_matches(registered: str, inserted: str, at: int, native: bool) -> None:
    edited = registered[:at] + inserted + registered[at:]
    if redirect_uris.registered(edited, [registered], native=native):
        # the one freedom there is: the port of a native application's loopback address
        assert native
        assert registered.startswith(("http://127.0.0.1", "http://[::1]"))
        assert redirect_uris.fault(edited) is None


@pytest.mark.requirement("R82")
@given(st.from_regex(r"\A(https?|com\.example\.app)://?[!-~]{0,20}(/[!-~]{0,5})?\Z"), st.booleans())
def test_the_origin_of_what_may_be_registered_is_one_source_of_the_csp(uri: str, native: bool) -> None:
    if redirect_uris.fault(uri, native=native) is None:
        assert re.fullmatch(r"https?://([a-z0-9.-]+|\[[0-9a-f:.]+\])(:[0-9]+)?|com\.example\.app:", origin_of(uri))


@given(st.text(max_size=80))
def test_judging_never_raises(text: str) -> None:
    redirect_uris.fault(text)
    assert not redirect_uris.registered(text, ["https://rp.example/cb"], native=True) or text == "https://rp.example/cb"


@pytest.mark.spec("RFC 8252", "7.3")
def test_a_native_application_may_choose_the_loopback_port() -> None:
    assert redirect_uris.registered("http://127.0.0.1:51000/cb", ["http://127.0.0.1/cb"], native=True)
    assert not redirect_uris.registered("http://127.0.0.1:51000/cb", ["http://127.0.0.1/cb"])
    for uri in ("http://127.0.0.1:51000/cb2", "http://127.0.0.2:51000/cb", "http://[::1]:51000/cb", "https://127.0.0.1:51000/cb"):
        assert not redirect_uris.registered(uri, ["http://127.0.0.1/cb"], native=True)
