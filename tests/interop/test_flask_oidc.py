"""Flask-OIDC (on Authlib's client): a site set up as it comes, and one with the code challenge that it has no setting for."""

import base64
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from tests.interop.python_site import Site
from tests.interop.served import NAME, SECRET, Platform
from tests.interop.visitor import Visitor
from tests.relying_party import claims_of

pytestmark = pytest.mark.slow

SCOPES = "openid profile email"
# what browsers keep of one cookie, name and attributes included (RFC 6265 §6.1)
COOKIE_BYTES = 4096


def flask_site(platform: Platform, client_id: str, port: int, *, pkce: bool) -> Site:
    """Its client_secrets.json stands in the configuration, as it may."""
    config = {
        "SECRET_KEY": f"flask-{client_id}-0123456789-0123456789-0123456789",
        # the platform's is called so too, and cookies are shared over the ports of a host
        "SESSION_COOKIE_NAME": f"session_{port}",
        "OIDC_CLIENT_SECRETS": {"web": {"client_id": client_id, "client_secret": SECRET, "issuer": platform.issuer}},
        "OIDC_SCOPES": SCOPES,
    }
    return Site("flask_site.py", port, {"config": config, "pkce": pkce})


@pytest.fixture(scope="module")
def sites(platform: Platform) -> Iterator[Sequence[Site]]:
    """With a code challenge and ES256 · as it comes, for a client that may go without, and RS256 · as it comes, for one that may not."""
    ports = [int(pair.rpartition(":")[2]) for pair in platform.reachable]
    kinds: list[tuple[str, bool, dict[str, Any]]] = [
        ("challenging", True, {"id_token_signed_response_alg": "ES256"}),
        ("plain", False, {"require_pkce": False}),
        ("careless", False, {}),
    ]
    made = [flask_site(platform, client_id, port, pkce=pkce) for (client_id, pkce, _), port in zip(kinds, ports, strict=False)]
    for site, (client_id, _, members) in zip(made, kinds, strict=True):
        platform.add_client(
            client_id,
            redirect_uris=[site.at("/authorize")],
            post_logout_redirect_uris=[site.at("/bye")],
            grant_types=["authorization_code", "refresh_token"],
            # its default, for all its requests to the provider
            token_endpoint_auth_method="client_secret_post",
            **members,
        )
    with ExitStack() as stack:
        yield [stack.enter_context(site.running("/")) for site in made]


def enter(site: Site, visitor: Visitor) -> dict[str, Any]:
    arrived = visitor.go(site.at("/private"))
    assert arrived.url == site.at("/private"), visitor.seen
    assert arrived.page is not None
    found: dict[str, Any] = arrived.page.json()
    return found


@pytest.mark.requirement("R5")
@pytest.mark.spec("OIDC Discovery", "4.3")
@pytest.mark.parametrize("number", [0, 1], ids=["challenging", "plain"])
def test_it_signs_in_and_reads_userinfo(platform: Platform, sites: Sequence[Site], visitor: Visitor, number: int) -> None:
    known = enter(sites[number], visitor)
    profile, told = known["profile"], known["token"]["userinfo"]
    assert (profile["preferred_username"], profile["email"]) == (NAME, "user@example.cn")
    assert (told["iss"], told["sub"]) == (platform.issuer, profile["sub"])
    [request] = [parse_qs(urlsplit(url).query) for url in visitor.seen if url.startswith(f"{platform.issuer}/oauth2/authorize?")]
    assert ("code_challenge" in request) is (number == 0)
    assert request["nonce"] == [told["nonce"]]


def test_our_tokens_fit_into_the_cookie_that_it_keeps_them_in(sites: Sequence[Site], visitor: Visitor) -> None:
    for site in sites[:2]:
        enter(site, visitor)
        [value] = [cookie.value for cookie in visitor.session.cookies if cookie.name == f"session_{site.port}"]
        assert value is not None
        assert len(value) < COOKIE_BYTES - 200


@pytest.mark.spec("RFC 6749", "6")
def test_it_refreshes_by_itself_again_and_again(sites: Sequence[Site], visitor: Visitor) -> None:
    site = sites[0]
    held = [enter(site, visitor)["token"]]
    for _ in range(2):
        assert visitor.session.get(site.at("/age"), timeout=20).text == "aged"
        held.append(site.inside(visitor)["token"])
    assert len({token["access_token"] for token in held}) == 3
    # decision 9: rotated for public clients only
    assert len({token["refresh_token"] for token in held}) == 1
    assert site.inside(visitor, "/asked")["sub"] == claims_of(held[0]["id_token"])["sub"]


@pytest.mark.requirement("R76")
def test_after_a_sign_out_elsewhere_its_refresh_is_refused_and_it_lets_go(sites: Sequence[Site], visitor: Visitor) -> None:
    stays, leaves = sites[0], sites[1]
    enter(stays, visitor)
    enter(leaves, visitor)
    assert visitor.go(leaves.at("/leave")).text == "bye"
    visitor.session.get(stays.at("/age"), timeout=20).raise_for_status()
    sent = visitor.session.get(stays.at("/private"), allow_redirects=False, timeout=20)
    assert sent.headers["Location"].endswith("/logout?reason=expired")


@pytest.mark.requirement("R76")
@pytest.mark.spec("OIDC RP-Initiated Logout", "3")
@pytest.mark.parametrize("refreshed", [False, True])
def test_sign_out_goes_on_at_the_provider_and_its_state_comes_back(sites: Sequence[Site], visitor: Visitor, refreshed: bool) -> None:
    site = sites[0]
    enter(site, visitor)
    if refreshed:
        visitor.session.get(site.at("/age"), timeout=20).raise_for_status()
        assert site.inside(visitor)["token"]["id_token"]
    assert visitor.go(site.at("/leave")).text == "bye"
    enter(site, visitor)
    assert any(url.endswith("/password") for url in visitor.seen), "the platform's session has ended too"


def test_its_own_sign_out_is_for_the_site_alone(sites: Sequence[Site], visitor: Visitor) -> None:
    site = sites[0]
    enter(site, visitor)
    assert visitor.go(site.at("/logout")).text == "home"
    assert site.inside(visitor) == {}
    enter(site, visitor)
    assert not any("/signin/" in url for url in visitor.seen)


@pytest.mark.spec("RFC 7662", "2.2")
def test_what_it_protects_opens_by_introspection(sites: Sequence[Site], visitor: Visitor) -> None:
    site = sites[0]
    token = enter(site, visitor)["token"]["access_token"]

    def status(shown: str) -> int:
        return requests.get(site.at("/api"), headers={"Authorization": f"Bearer {shown}"}, timeout=20).status_code

    assert status(token) == 200
    head, _, signature = token.rpartition(".")
    forged = base64.urlsafe_b64encode(bytes(len(base64.urlsafe_b64decode(signature + "==")))).rstrip(b"=").decode()
    assert [status(wrong) for wrong in (f"{head}.{forged}", "x")] == [401, 401]


@pytest.mark.spec("RFC 9700", "2.1.1")
def test_as_it_comes_it_is_refused_where_the_client_needs_pkce(sites: Sequence[Site], visitor: Visitor) -> None:
    """Ours is right (RFC 9700 §2.1.1): an operator lets the client go without (`plain`), or the site adds the challenge (`challenging`)."""
    arrived = visitor.go(sites[2].at("/private"))
    assert arrived.page is not None
    assert arrived.page.status_code == 401
    assert "error=invalid_request" in arrived.url
