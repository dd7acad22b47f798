"""Keys at a client's `jwks_uri`: fetched when needed, asked again seldom, judged like keys in the registration."""

import json
import threading
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from flask import Flask
from joserfc.jwk import ECKey, Key
from joserfc.util import int_to_base64

from idp.adapters import Fetched
from idp.db import session, transaction
from idp.errors import BadInput
from idp.oidc import clients
from idp.oidc.models import ClientRecord
from idp.oidc.registration import judge
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


def test_a_client_that_changes_itself_is_not_asked_more_often(keyed: RelyingParty, platform: Flask, clock: FakeClock, far_servers: FakeWeb) -> None:
    for number in range(6):
        assert not authenticates(keyed, clock, f"a{number}", OTHER_KEY, "k2")
        with platform.app_context(), transaction():
            row = session.get_one(ClientRecord, "keyed", with_for_update=True)
            assert clients.update(row, judge({**row.registration, "client_name": f"name {number}"}), None, clock.now()) == "updated"
    assert len(far_servers.asked) == 1
    # a new address is asked at once
    with platform.app_context(), transaction():
        row = session.get_one(ClientRecord, "keyed", with_for_update=True)
        clients.update(row, judge({**row.registration, "jwks_uri": f"{URI}2"}), None, clock.now())
    assert not authenticates(keyed, clock, "b", OTHER_KEY, "k2")
    assert far_servers.asked == [URI, f"{URI}2"]


def meanwhile(ask: Callable[[], bool]) -> bool:
    """What `ask` says while another request is held up; a request that waits for the held one is a failure, not a slow success."""
    said: list[bool] = []
    thread = threading.Thread(target=lambda: said.append(ask()))
    thread.start()
    thread.join(3)
    assert said, "it waits behind the slow fetch"
    return said[0]


def test_nobody_waits_behind_a_slow_fetch(
    keyed: RelyingParty, clock: FakeClock, far_servers: FakeWeb, beijing: Somebody, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert authenticates(keyed, clock, "a")
    asking, answering, page, found = threading.Event(), threading.Event(), far_servers.pages[URI], []

    def slow(url: str, *, most: int = 0) -> Fetched:
        asking.set()
        assert answering.wait(20)
        return page

    monkeypatch.setattr(far_servers, "get", slow)
    clock.advance(minutes=10)
    first = threading.Thread(target=lambda: found.append(authenticates(keyed, clock, "b")))
    first.start()
    try:
        assert asking.wait(20)
        # the key known so far counts while somebody asks; an unknown one fails at once
        assert meanwhile(lambda: authenticates(keyed, clock, "c"))
        assert not meanwhile(lambda: authenticates(keyed, clock, "d", OTHER_KEY, "k2"))
        assert first.is_alive()
    finally:
        answering.set()
        first.join(20)
    assert found == [True]


def test_the_very_first_fetch_holds_nobody_up_either(
    keyed: RelyingParty, clock: FakeClock, far_servers: FakeWeb, monkeypatch: pytest.MonkeyPatch
) -> None:
    asking, answering = threading.Event(), threading.Event()

    def slow(url: str, *, most: int = 0) -> Fetched:
        asking.set()
        assert answering.wait(20)
        return Fetched(500, b"")

    monkeypatch.setattr(far_servers, "get", slow)
    first = threading.Thread(target=lambda: authenticates(keyed, clock, "b"))
    first.start()
    try:
        assert asking.wait(20)
        assert not meanwhile(lambda: authenticates(keyed, clock, "c"))
        assert first.is_alive()
    finally:
        answering.set()
        first.join(20)


SHORT = rsa.generate_private_key(65537, 1024).public_key().public_numbers()  # noqa: S505  # short on purpose
WARNED = pytest.mark.filterwarnings("ignore:Key size should be")
NOT_FOR_US = [
    {**ECKey.generate_key("P-384").as_dict(private=False), "kid": "enc", "use": "enc"},
    {**KEY.as_dict(private=False), "kid": "k1", "use": "enc"},
    {"kty": "RSA", "e": "AQAB", "n": int_to_base64(SHORT.n), "kid": "short"},
    {"kty": "AKP", "alg": "ML-DSA-44", "pub": "AAAA", "kid": "later"},
    {"kty": ["EC"], "crv": {}, "kid": []},
    {"kty": "EC", "crv": "P-256", "x": 7, "kid": "broken"},
]


@WARNED
@pytest.mark.spec("RFC 7517", "5")
def test_what_means_nothing_here_is_passed_over(keyed: RelyingParty, clock: FakeClock, far_servers: FakeWeb) -> None:
    good = {**KEY.as_dict(private=False), "kid": "k1"}
    far_servers.pages[URI] = Fetched(200, json.dumps({"keys": [*NOT_FOR_US, good], "expires": 7}).encode())
    assert authenticates(keyed, clock, "a")
    judge({"client_id": "x", "redirect_uris": ["https://x.example/cb"], "jwks": {"keys": [*NOT_FOR_US, good], "cached_until": "noon"}})


@WARNED
@pytest.mark.parametrize("extra", [*NOT_FOR_US, {"kty": "oct", "k": "AAAA"}, {**KEY.as_dict(private=True), "kid": "p"}, 7])
def test_a_set_without_a_usable_key_or_with_a_secret_is_refused(extra: Any) -> None:
    whole = {"client_id": "x", "redirect_uris": ["https://x.example/cb"]}
    with pytest.raises(BadInput, match="key"):
        judge({**whole, "jwks": {"keys": [extra]}})
    if extra not in NOT_FOR_US:
        with pytest.raises(BadInput, match="public"):
            judge({**whole, "jwks": {"keys": [{**OTHER_KEY.as_dict(private=False), "kid": "good"}, extra]}})


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
