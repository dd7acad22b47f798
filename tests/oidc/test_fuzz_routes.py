"""Every route of the app, walked with odd paths, queries, bodies, headers and cookies: nothing that anybody can send makes a 5xx."""

import base64
import contextlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from joserfc import jws
from werkzeug.routing import Rule
from werkzeug.test import TestResponse

from idp import errors
from idp.oidc.authorization_request import KNOWN
from idp.oidc.registration import Registration, judge
from idp.settings import Settings
from tests.conftest import SECRET
from tests.fakes import FakeClock
from tests.oidc.conftest import Somebody
from tests.oidc.test_client_authentication import KEY, by
from tests.relying_party import ISSUER, RelyingParty

IDP = Path(__file__).parent.parent.parent / "idp"
bounded = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
pytestmark = pytest.mark.slow


def _named_in_sources() -> Iterator[str]:
    """Every field that a view reads or a page sends, and every parameter of the protocol."""
    for file in IDP.rglob("*.py"):
        yield from re.findall(r'(?:form|args|asked)\.get\("([a-z_]+)"', file.read_text("utf-8"))
    for page in (IDP / "templates").rglob("*.html"):
        yield from (first or second for first, second in re.findall(r'name="([a-z_]+)"|field\("([a-z_]+)"', page.read_text("utf-8")))


NAMES = sorted({*_named_in_sources(), *KNOWN, "token", "token_type_hint", "post_logout_redirect_uri", "logout_hint", "access_token", "request"})
ODD = [
    "",
    "\x00",
    "é" * 300,
    "x" * 5000,
    "𝕏",
    "\ud7ff",
    "'",
    '"',
    "\\",
    "%s",
    "{}",
    "[]",
    "null",
    "-1",
    "1e400",
    "a.b.c",
    "../..",
    "//evil.example",
    "\u202e",
]
TEXT = st.one_of(st.text(max_size=40), st.sampled_from(ODD))
HEADER = st.one_of(
    st.text(st.characters(max_codepoint=255, exclude_characters="\r\n"), max_size=40),
    st.sampled_from(
        ["Basic", "Basic !", "Basic Og==", "Bearer", "Bearer a.b.c", "DPoP", "DPoP a.b.c", "a.b.c", "e30.e30.x, e30.e30.x", ":AAAA:", ":MIIB:"]
    ),
)
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(10**30), 10**30), st.floats(allow_nan=False), TEXT),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXT, inner, max_size=3)),
    max_leaves=8,
)
PAIRS = st.lists(st.tuples(st.sampled_from(NAMES) | TEXT, TEXT), max_size=6)
BODIES = st.one_of(
    PAIRS.map(
        lambda pairs: (urlencode([(name.encode("utf-8", "replace"), value) for name, value in pairs]).encode(), "application/x-www-form-urlencoded")
    ),
    JSON.map(lambda value: (json.dumps(value).encode(), "application/json")),
    st.tuples(
        st.binary(max_size=200),
        st.sampled_from(
            [
                "",
                "application/x-www-form-urlencoded",
                "application/json",
                "multipart/form-data",
                "multipart/form-data; boundary=x",
                "text/plain; charset=utf-7",
                "x" * 300,
            ]
        ),
    ),
)
METHODS = ["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE"]
HEADERS = [
    *("Authorization", "Origin", "Referer", "Accept", "Accept-Language", "If-None-Match", "If-Modified-Since", "Range", "X-Forwarded-For"),
    *("X-Forwarded-Host", "X-Forwarded-Proto", "Client-Cert"),
    *("Forwarded", "DPoP", "Access-Control-Request-Method", "Access-Control-Request-Headers", "Content-Encoding"),
]


@dataclass(frozen=True)
class Here:
    """A browser in the middle of things: perhaps signed in, with a sign-in and an authorization under way."""

    browser: FlaskClient
    known: dict[str, str]

    def path(self, rule: Rule, odd: str | None) -> str:
        """The rule's path, with what is really there, or with something odd."""
        return re.sub(
            r"<(?:[a-z]+:)?([a-z_]+)>",
            lambda found: quote(self.known.get(found[1], "x") if odd is None else odd, safe="", errors="replace"),
            rule.rule,
        )

    def send(self, method: str, path: str, **more: Any) -> TestResponse:
        answer = self.browser.open(path, method=method, base_url=ISSUER, **more)
        assert answer.status_code < 500, f"{method} {path}"
        return answer


@pytest.fixture(name="settings")
def everything_on(tmp_path: Path, database_url: str) -> Settings:
    """What is off by default is walked as well."""
    on: dict[str, Any] = {"client_registration": "on", "device_grant": "on", "trusted_proxy": ("127.0.0.1",), "client_cert_header": "Client-Cert"}
    return Settings(data_dir=tmp_path, secret_key=SECRET, database_url=database_url, **on)


@pytest.fixture
def open_forms(platform: Flask) -> Flask:
    """Forms that anybody may send: behind the CSRF check lies more to fuzz than before it."""
    platform.config["WTF_CSRF_METHODS"] = set()
    return platform


def in_the_middle(rp: RelyingParty, account_id: int | None) -> Here:
    browser = rp.browser(account_id)
    signin = browser.get("/loginCorp.html", base_url=ISSUER).location or ""
    waiting = rp.authorize(browser, prompt="login").location or ""
    pieces = {"transaction_id": signin, "request_id": waiting}
    known = {name: found[1] if (found := re.search(r"/(?:signin|authorize)/([A-Za-z0-9_-]+)", where)) else "x" for name, where in pieces.items()}
    return Here(browser, known | {"client_id": rp.client_id, "system": "export", "topic": "faq", "filename": "style.css"})


@pytest.mark.parametrize("signed_in", [True, False])
@bounded
@given(data=st.data())
def test_any_request_to_any_route(
    open_forms: Flask, rp: RelyingParty, beijing: Somebody, clock: FakeClock, signed_in: bool, data: st.DataObject
) -> None:
    # so that no limit of an earlier example stands in the way
    clock.advance(hours=1)
    here = in_the_middle(rp, beijing.id if signed_in else None)
    rules = sorted(open_forms.url_map.iter_rules(), key=lambda rule: (rule.rule, rule.endpoint))
    for _ in range(3):
        rule = data.draw(st.sampled_from(rules))
        path = here.path(rule, data.draw(st.none() | TEXT))
        body, kind = data.draw(BODIES)
        here.send(
            data.draw(st.sampled_from([*sorted(rule.methods or ()), data.draw(st.sampled_from(METHODS))])),
            path,
            query_string=urlencode([(name.encode("utf-8", "replace"), value.encode("utf-8", "replace")) for name, value in data.draw(PAIRS)]),
            data=body,
            content_type=kind,
            headers=data.draw(st.dictionaries(st.sampled_from(HEADERS), HEADER, max_size=3)),
        )


@pytest.mark.store
def test_each_odd_value_in_each_place(open_forms: Flask, rp: RelyingParty, beijing: Somebody, clock: FakeClock) -> None:
    """The same on both databases, whose ideas of text differ; systematically."""
    for odd in ODD:
        clock.advance(hours=1)
        here = in_the_middle(rp, beijing.id)
        for rule in list(open_forms.url_map.iter_rules()):
            for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
                fields = dict.fromkeys(NAMES, odd.encode("utf-8", "replace"))
                sent = {"data": urlencode(fields), "content_type": "application/x-www-form-urlencoded"} if method != "GET" else {}
                here.send(method, here.path(rule, None), **sent)
                here.send(method, here.path(rule, odd or "x"), **sent)
                if method == "GET" and len(odd) < 400:
                    here.send(method, here.path(rule, None), query_string=urlencode(fields))


@bounded
@given(raw=st.binary(min_size=1, max_size=60), query=st.text(max_size=60).map(lambda text: text.encode("utf-8", "replace")))
def test_any_bytes_as_an_address(platform: Flask, raw: bytes, query: bytes) -> None:
    """The server lets UTF-8 through, in the query, and no other raw bytes (tests/interop/test_raw_requests.py)."""
    for start in (b"/", b"/signin/", b"/oauth2/authorize/", b"/captcha/", b"/oauth2/clients/", b"/static/", b"/hall/licences/"):
        environ = {"PATH_INFO": (start + raw).decode("latin-1"), "QUERY_STRING": query.decode("latin-1")}
        assert platform.test_client().get("/", base_url=ISSUER, environ_overrides=environ).status_code < 500


@bounded
@given(data=st.data())
def test_tampered_cookies(platform: Flask, rp: RelyingParty, beijing: Somebody, data: st.DataObject) -> None:
    browser = in_the_middle(rp, beijing.id).browser
    cookies = {name: browser.get_cookie(name) for name in ("session", "device", "browser", "csrf", "lang")}
    true = {name: cookie.value for name, cookie in cookies.items() if cookie is not None}
    name = data.draw(st.sampled_from([*sorted(true), "lang", "device"]))
    value = true.get(name, "zh")
    at = data.draw(st.integers(0, len(value)))
    forged = (
        value[:at] + data.draw(st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters=';,"\\ '), max_size=90)) + value[at:]
    )
    other = platform.test_client(use_cookies=False)
    header = "; ".join(f"{each}={content}" for each, content in (true | {name: forged}).items())
    for path in ("/hall", "/oauth2/logout", "/account/consents", "/login", f"/oauth2/authorize?{urlencode(rp.request())}"):
        assert other.get(path, base_url=ISSUER, headers={"Cookie": header.encode("latin-1").decode("latin-1")}).status_code < 500


@bounded
@given(
    changes=st.dictionaries(st.sampled_from(["iss", "sub", "aud", "exp", "iat", "nbf", "jti", "x"]), JSON, min_size=1, max_size=3),
    header=st.dictionaries(st.sampled_from(["kid", "typ", "crit", "b64", "jwk", "x5t", "cty"]), JSON, max_size=2),
)
def test_assertions_of_any_types(platform: Flask, rp: RelyingParty, clock: FakeClock, changes: dict[str, Any], header: dict[str, Any]) -> None:
    now = int(clock.now().timestamp())
    claims = {"iss": "rp", "sub": "rp", "aud": ISSUER, "exp": now + 60, "iat": now, "jti": "j", **changes}
    signing = json.dumps({"alg": "ES256", **header}).encode()
    token = _compact(signing, json.dumps(claims).encode())
    for path in ("/oauth2/token", "/oauth2/par", "/oauth2/device", "/oauth2/revoke", "/oauth2/introspect"):
        form = {"grant_type": "authorization_code", "code": "x", "token": "x", **by(token)}
        answer = platform.test_client().post(path, data=form, base_url=ISSUER)
        assert 400 <= answer.status_code < 500
    for name in ("id_token_hint", "logout_hint"):
        assert platform.test_client().get("/oauth2/logout", query_string={name: token}, base_url=ISSUER).status_code < 500


def _compact(header: bytes, payload: bytes) -> str:
    """A compact token whatever stands in it; the signature is that of other content."""
    first, second = (base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in (header, payload))
    third = jws.serialize_compact({"alg": "ES256"}, b"x", KEY, algorithms=["ES256"]).split(".")[2]
    return f"{first}.{second}.{third}"


MEMBERS = sorted(field.alias or name for name, field in Registration.model_fields.items())


@bounded
@given(members=st.dictionaries(st.sampled_from(MEMBERS) | TEXT, JSON, max_size=4))
def test_metadata_of_any_types(members: dict[str, Any]) -> None:
    base = {"client_id": "x", "redirect_uris": ["https://rp.example/cb"]}
    with contextlib.suppress(errors.BadInput):
        judge({**base, **members})


@bounded
@given(value=JSON)
def test_the_claims_parameter_of_any_shape(rp: RelyingParty, beijing: Somebody, value: Any) -> None:
    for claims in (value, {"id_token": value}, {"userinfo": value}, {"id_token": {"acr": value, "sub": value, "auth_time": value}}):
        assert rp.authorize(rp.browser(beijing.id), claims=json.dumps(claims)).status_code < 500
