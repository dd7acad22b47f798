"""The signing keys: made, rotated, withdrawn; what is published and what is kept."""

import pytest
from flask import Flask
from joserfc.jwk import KeySet as Jwks

from idp.db import session, transaction
from idp.errors import BadInput, ConfigurationError
from idp.oidc import keys
from idp.oidc.cli import ensure_keys
from idp.oidc.keys import KeyRing
from idp.oidc.models import SigningKey
from tests.conftest import SECRET
from tests.fakes import FakeClock
from tests.relying_party import ISSUER, body_of

PRIVATE = {"d", "p", "q", "dp", "dq", "qi", "k"}


def states(alg: str) -> dict[str, str]:
    session.rollback()
    return {key.kid: key.state for key in keys.listing() if key.alg == alg}


def published(app: Flask) -> set[str]:
    response = app.test_client().get("/oauth2/jwks", base_url=ISSUER)
    found = body_of(response)["keys"]
    assert not any(PRIVATE & set(key) for key in found)
    Jwks.import_key_set({"keys": found})
    return {key["kid"] for key in found}


@pytest.mark.store
def test_init_makes_a_current_and_a_next_key_for_each_algorithm_once(context: Flask) -> None:
    assert ensure_keys() == 4
    assert ensure_keys() == 0
    for alg in keys.ALGORITHMS:
        assert sorted(states(alg).values()) == ["current", "next"]


def test_the_private_halves_are_sealed(context: Flask, clock: FakeClock) -> None:
    with transaction():
        keys.add(keys.make("ES256", SECRET), "current", clock.now())
    sealed = session.query(SigningKey).one().sealed_private
    assert "crv" not in sealed
    with pytest.raises(ConfigurationError):
        KeyRing("another-secret-0123456789-abcdefghij").latest()
    assert KeyRing(SECRET).latest().signers["ES256"].kid


@pytest.mark.store
@pytest.mark.spec("OIDC Core", "10.1.1")
def test_a_young_next_key_does_not_sign_yet_but_a_further_one_is_published(platform: Flask, clock: FakeClock) -> None:
    with platform.app_context():
        before = states("ES256")
        clock.advance(hours=23, minutes=59)
        with transaction():
            assert not keys.rotate("ES256", further := keys.make("ES256", SECRET), clock.now())
        assert states("ES256") == {**before, further.kid: "next"}
        assert {*before, further.kid} <= published(platform)
        clock.advance(minutes=1)
        with transaction():
            assert keys.rotate("ES256", keys.make("ES256", SECRET), clock.now())
        after = states("ES256")
    # the one that was published first
    assert {after[kid] for kid, state in before.items() if state == "next"} == {"current"}
    assert after[further.kid] == "next"


@pytest.mark.spec("OIDC Core", "10.1.1")
def test_a_retired_key_stays_published_for_an_hour(platform: Flask, clock: FakeClock) -> None:
    with platform.app_context():
        before = states("ES256")
        clock.advance(hours=24)
        with transaction():
            keys.rotate("ES256", keys.make("ES256", SECRET), clock.now())
        after = states("ES256")
    assert {after[kid] for kid, state in before.items() if state == "next"} == {"current"}
    assert sorted(after.values()) == ["current", "next", "retired"]
    retired = next(kid for kid, state in after.items() if state == "retired")
    assert retired in published(platform)
    clock.advance(hours=1, seconds=5)
    assert retired not in published(platform)


def test_a_withdrawn_key_is_gone_and_the_next_steps_in(platform: Flask, clock: FakeClock) -> None:
    with platform.app_context():
        was = {state: kid for kid, state in states("RS256").items()}
        clock.advance(seconds=6)
        assert was["current"] in published(platform)
        with transaction():
            keys.withdraw(was["current"], keys.make("ES256", SECRET), clock.now())
        assert states("RS256")[was["next"]] == "current"
        with pytest.raises(BadInput), transaction():
            keys.withdraw(was["current"], None, clock.now())
    clock.advance(seconds=6)
    assert was["current"] not in published(platform)


def test_a_ring_sees_a_change_of_another_process_by_the_version(platform: Flask, clock: FakeClock) -> None:
    with platform.app_context():
        here = KeyRing(SECRET)
        old = here.latest()
        assert here.latest() is old
        clock.advance(hours=24)
        with transaction():
            keys.rotate("ES256", keys.make("ES256", SECRET), clock.now())
        new = here.latest()
    assert new.version > old.version
    assert new.signers["ES256"].kid != old.signers["ES256"].kid
    # the other algorithm's private key was imported once
    assert new.signers["RS256"].key is old.signers["RS256"].key


@pytest.mark.spec("RFC 7517", "5")
def test_the_jwks_is_cached_by_etag_and_readable_from_anywhere(platform: Flask) -> None:
    client = platform.test_client()
    first = client.get("/oauth2/jwks", base_url=ISSUER)
    assert first.headers["Cache-Control"] == "public, max-age=300"
    assert first.headers["Access-Control-Allow-Origin"] == "*"
    assert "Access-Control-Allow-Credentials" not in first.headers
    assert "Set-Cookie" not in first.headers
    again = client.get("/oauth2/jwks", headers={"If-None-Match": first.headers["ETag"]}, base_url=ISSUER)
    assert again.status_code == 304
    kids = [key["kid"] for key in body_of(first)["keys"]]
    assert len(set(kids)) == len(kids) == 4
    assert {key["alg"] for key in body_of(first)["keys"]} == {"ES256", "RS256"}
