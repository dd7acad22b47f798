"""mozilla-django-oidc: two Django sites that differ in the algorithm of the ID token and in how they prove themselves, and one set up as it comes."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.interop.python_site import Site
from tests.interop.served import SECRET, Platform
from tests.interop.visitor import Arrival, Visitor
from tests.relying_party import claims_of, header_of

pytestmark = pytest.mark.slow


def django_site(platform: Platform, folder: Path, client_id: str, port: int, **settings: Any) -> Site:
    """A site with a database of its own; `settings` as the manual names them."""
    at = platform.issuer
    facts = {
        "SECRET_KEY": f"django-{client_id}-0123456789-0123456789-0123456789",
        "DATABASES": {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": str(folder / f"{client_id}.db")}},
        # cookies are shared over the ports of a host
        "SESSION_COOKIE_NAME": f"session_{port}",
        "CSRF_COOKIE_NAME": f"csrf_{port}",
        "LOGIN_REDIRECT_URL_FAILURE": "/bye",
        "LOGOUT_REDIRECT_URL": "/bye",
        "OIDC_RP_CLIENT_ID": client_id,
        "OIDC_RP_CLIENT_SECRET": SECRET,
        "OIDC_OP_AUTHORIZATION_ENDPOINT": f"{at}/oauth2/authorize",
        "OIDC_OP_TOKEN_ENDPOINT": f"{at}/oauth2/token",
        "OIDC_OP_USER_ENDPOINT": f"{at}/oauth2/userinfo",
        "OIDC_OP_JWKS_ENDPOINT": f"{at}/oauth2/jwks",
        "OIDC_OP_LOGOUT_ENDPOINT": f"{at}/oauth2/logout",
        **settings,
    }
    return Site("django_site.py", port, facts)


@pytest.fixture(scope="module")
def sites(platform: Platform, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sequence[Site]]:
    """ES256 and client_secret_basic · RS256 and client_secret_post · as the first, without PKCE."""
    folder, ports = tmp_path_factory.mktemp("django"), [int(pair.rpartition(":")[2]) for pair in platform.reachable]
    made = [
        django_site(platform, folder, "basic", ports[0], OIDC_RP_SIGN_ALGO="ES256", OIDC_USE_PKCE=True, OIDC_TOKEN_USE_BASIC_AUTH=True),
        django_site(platform, folder, "post", ports[1], OIDC_RP_SIGN_ALGO="RS256", OIDC_USE_PKCE=True),
        django_site(platform, folder, "careless", ports[2], OIDC_RP_SIGN_ALGO="ES256"),
    ]
    for site in made:
        method = "client_secret_basic" if site.facts.get("OIDC_TOKEN_USE_BASIC_AUTH") else "client_secret_post"
        platform.add_client(
            site.facts["OIDC_RP_CLIENT_ID"],
            redirect_uris=[site.at("/oidc/callback/")],
            post_logout_redirect_uris=[site.at("/bye")],
            token_endpoint_auth_method=method,
            id_token_signed_response_alg=site.facts["OIDC_RP_SIGN_ALGO"],
        )
    with ExitStack() as stack:
        yield [stack.enter_context(site.running("/bye")) for site in made]


def enter(site: Site, visitor: Visitor) -> dict[str, Any]:
    """Go to the protected page; what it tells."""
    arrived = visitor.go(site.at("/private"))
    assert arrived.url == site.at("/private"), visitor.seen
    assert arrived.page is not None
    found: dict[str, Any] = arrived.page.json()
    return found


def leave(site: Site, visitor: Visitor) -> Arrival:
    """Press the button that signs out."""
    form = {"csrfmiddlewaretoken": site.inside(visitor)["csrf"]}
    left = visitor.session.post(site.at("/oidc/logout/"), data=form, allow_redirects=False, timeout=20)
    assert left.status_code == 302
    return visitor.go(left.headers["Location"])


def asked(platform: Platform, visitor: Visitor) -> list[dict[str, list[str]]]:
    """The authorization requests on the way."""
    return [parse_qs(urlsplit(url).query) for url in visitor.seen if url.startswith(f"{platform.issuer}/oauth2/authorize?")]


@pytest.mark.requirement("R5")
@pytest.mark.spec("OIDC Core", "3.1.3.7")
@pytest.mark.parametrize("number", [0, 1], ids=["ES256-basic", "RS256-post"])
def test_a_user_is_made_of_our_claims(platform: Platform, sites: Sequence[Site], visitor: Visitor, number: int) -> None:
    site = sites[number]
    known = enter(site, visitor)
    assert known["email"] == "user@example.cn"
    [request] = asked(platform, visitor)
    said = claims_of(known["id_token"])
    assert header_of(known["id_token"])["alg"] == site.facts["OIDC_RP_SIGN_ALGO"]
    assert [said["nonce"]] == request["nonce"]
    assert request["code_challenge_method"] == ["S256"]


def test_the_same_person_is_the_same_user(platform: Platform, sites: Sequence[Site]) -> None:
    first, again = (enter(sites[0], Visitor(platform.issuer)) for _ in range(2))
    assert (first["username"], first["joined"]) == (again["username"], again["joined"])
    assert first["id_token"] != again["id_token"]


@pytest.mark.requirement("R76")
@pytest.mark.spec("OIDC RP-Initiated Logout", "2")
def test_sign_out_goes_on_at_the_provider_and_comes_back(sites: Sequence[Site], visitor: Visitor) -> None:
    site = sites[0]
    enter(site, visitor)
    left = leave(site, visitor)
    assert (left.url, left.text) == (site.at("/bye"), "bye")
    enter(site, visitor)
    assert any(url.endswith("/password") for url in visitor.seen), "the platform's session has ended too"


@pytest.mark.spec("OIDC Core", "3.1.2.1")
def test_its_session_is_renewed_without_a_page_and_not_after_a_sign_out_elsewhere(
    platform: Platform, sites: Sequence[Site], visitor: Visitor
) -> None:
    """Its middleware SessionRefresh asks with prompt=none once the ID token is old."""
    stays, leaves = sites[0], sites[1]
    before = enter(stays, visitor)["id_token"]
    enter(leaves, visitor)
    visitor.session.get(stays.at("/age"), timeout=20).raise_for_status()
    renewed = enter(stays, visitor)["id_token"]
    assert asked(platform, visitor)[0]["prompt"] == ["none"]
    assert not any("/signin/" in url for url in visitor.seen)
    assert claims_of(renewed)["sub"] == claims_of(before)["sub"]
    assert renewed != before
    leave(leaves, visitor)
    visitor.session.get(stays.at("/age"), timeout=20).raise_for_status()
    thrown_out = visitor.go(stays.at("/private"))
    assert thrown_out.url == stays.at("/bye")
    assert any("error=login_required" in url for url in visitor.seen)


@pytest.mark.spec("RFC 9700", "2.1.1")
def test_without_pkce_as_it_comes_it_is_told_why_it_is_refused(sites: Sequence[Site], visitor: Visitor) -> None:
    """The manual leaves OIDC_USE_PKCE off; OAuth 2.1 and RFC 9700 §2.1.1 want it, and so it is a setting that a site has to make."""
    arrived = visitor.go(sites[2].at("/private"))
    assert arrived.url == sites[2].at("/bye")
    [refused] = [parse_qs(urlsplit(url).query) for url in visitor.seen if "error=" in url]
    assert refused["error"] == ["invalid_request"]
