"""Keys at a client's `jwks_uri`: fetched when needed, asked again seldom, judged like keys in the registration."""

import json
from typing import Any

import pytest
from flask import Flask
from joserfc.jwk import Key

from idp.adapters import Fetched
from tests.fakes import FakeClock, FakeWeb
from tests.oidc.conftest import Somebody
from tests.oidc.test_client_authentication import KEY, OTHER_KEY, assertion, by, turned_away
from tests.relying_party import RelyingParty

URI = "https://keyed.example/jwks"


def publish(far_servers: FakeWeb, *keys: tuple[str, Key]) -> None:
    jwks = {"keys": [{**key.as_dict(private=False), "kid": kid} for kid, key in keys]}
    far_servers.pages[URI] = Fetched(200, json.dumps(jwks).encode())


@pytest.fixture
def keyed(platform: Flask, clock: FakeClock, far_servers: FakeWeb) -> RelyingParty:
    publish(far_servers, ("k1", KEY))
    return RelyingParty(platform, clock, "keyed", None, token_endpoint_auth_method="private_key_jwt", jwks_uri=URI)


def authenticates(keyed: RelyingParty, clock: FakeClock, jti: str, key: Any = KEY, kid: str = "k1") -> bool:
    """Whether this assertion proves the client; the code is not worth anything."""
    answer = keyed.redeem("no-such-code", {}, **by(assertion(clock, key, {"kid": kid}, jti=jti)))
    if answer.json == {"error": "invalid_grant"}:
        return True
    turned_away(answer)
    return False


@pytest.mark.spec("OIDC Core", "10.1.1")
def test_keys_are_fetched_once_in_ten_minutes(keyed: RelyingParty, clock: FakeClock, far_servers: FakeWeb, beijing: Somebody) -> None:
    assert far_servers.asked == []
    assert all(authenticates(keyed, clock, f"a{number}") for number in range(3))
    assert far_servers.asked == [URI]
    clock.advance(minutes=9, seconds=59)
    assert authenticates(keyed, clock, "b")
    assert len(far_servers.asked) == 1
    clock.advance(seconds=1)
    assert authenticates(keyed, clock, "c")
    assert len(far_servers.asked) == 2


def test_the_clients_own_rotation_is_seen_within_thirty_seconds(keyed: RelyingParty, clock: FakeClock, far_servers: FakeWeb) -> None:
    assert authenticates(keyed, clock, "a")
    publish(far_servers, ("k2", OTHER_KEY))
    assert not authenticates(keyed, clock, "b", OTHER_KEY, "k2")
    clock.advance(seconds=30)
    assert authenticates(keyed, clock, "c", OTHER_KEY, "k2")
    # the same kid with another key: a bad signature is a reason to ask as well
    publish(far_servers, ("k2", KEY))
    clock.advance(seconds=30)
    assert authenticates(keyed, clock, "d", KEY, "k2")


def test_strangers_cannot_make_us_call_more_often(keyed: RelyingParty, clock: FakeClock, far_servers: FakeWeb) -> None:
    for number in range(12):
        assert not authenticates(keyed, clock, f"a{number}", OTHER_KEY, f"k{number + 7}")
    assert len(far_servers.asked) == 1
    clock.advance(seconds=30)
    for number in range(12):
        assert not authenticates(keyed, clock, f"b{number}", OTHER_KEY, f"k{number + 7}")
    assert len(far_servers.asked) == 2


def test_what_is_no_token_calls_nobody(keyed: RelyingParty, clock: FakeClock, far_servers: FakeWeb) -> None:
    for token in ("a.b.c", "x", assertion(clock, header={"jku": "https://evil.example"})):
        turned_away(keyed.redeem("x", {}, client_id="keyed", **by(token)))
    assert far_servers.asked == []


@pytest.mark.parametrize(
    "page",
    [
        *(Fetched(500, b""), Fetched(302, b""), Fetched(200, b""), Fetched(200, b"[]"), Fetched(200, b'{"keys": []}'), Fetched(200, b"[" * 9000)),
        *(Fetched(200, b'{"keys": [{"kty": "oct", "k": "AAAA"}]}'), Fetched(200, json.dumps({"keys": [KEY.as_dict(private=True)]}).encode())),
    ],
)
def test_keys_that_cannot_be_used_prove_nobody(keyed: RelyingParty, clock: FakeClock, far_servers: FakeWeb, page: Fetched) -> None:
    far_servers.pages[URI] = page
    assert not authenticates(keyed, clock, "a")


def test_a_server_that_is_away_is_bridged_for_ten_minutes(keyed: RelyingParty, clock: FakeClock, far_servers: FakeWeb) -> None:
    assert authenticates(keyed, clock, "a")
    del far_servers.pages[URI]
    clock.advance(minutes=9)
    assert authenticates(keyed, clock, "b")
    clock.advance(minutes=1)
    assert not authenticates(keyed, clock, "c")
    publish(far_servers, ("k1", KEY))
    clock.advance(seconds=30)
    assert authenticates(keyed, clock, "d")
