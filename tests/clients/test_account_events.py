"""The platform says that an account joined another; the business system follows what the platform has signed, and nothing else."""

import json
import time
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from joserfc.jwk import ECKey, OctKey
from werkzeug.test import TestResponse

from clients.relying_party.registration import FOLDER, read_all
from idp.oidc import account_events
from idp.oidc.registration import judge
from tests.clients.fake_platform import FakePlatform
from tests.clients.test_backchannel import is_in
from tests.clients.test_backchannel import platform as platform
from tests.clients.test_backchannel import visitor as visitor
from tests.clients.test_relying_party import _signed_in

JOIN = {"old_sub": "s1", "new_sub": "s2"}


@pytest.fixture(autouse=True)
def _nameless(platform: FakePlatform) -> None:
    """The page calls the person by their sub."""
    platform.told = {"name": None, "preferred_username": None}


def push(visitor: FlaskClient, token: str, kind: str = "application/secevent+jwt") -> TestResponse:
    """The platform's own request: without cookies."""
    return visitor.application.test_client().post("/security-events", data=token, content_type=kind)


def called(visitor: FlaskClient) -> str:
    return visitor.get("/").text.split('id="user">')[1].split("<")[0]


@pytest.mark.spec("RFC 8935", "2.2")
def test_whoever_is_here_goes_on_under_the_new_name(visitor: FlaskClient, platform: FakePlatform) -> None:
    _signed_in(visitor, platform)
    assert called(visitor) == "s1"
    answer = push(visitor, platform.event_token("joined", JOIN))
    assert (answer.status_code, answer.data) == (202, b"")
    assert called(visitor) == "s2"


@pytest.mark.parametrize(("kind", "about"), [("parted", {"old_sub": "s0", "new_sub": "s1"}), ("parted", JOIN), ("taken-back", {"sub": "s1"})])
def test_whoever_may_be_either_signs_in_again(visitor: FlaskClient, platform: FakePlatform, kind: str, about: dict[str, str]) -> None:
    _signed_in(visitor, platform)
    assert push(visitor, platform.event_token(kind, about)).status_code == 202
    assert not is_in(visitor)


def test_others_stay_as_they_are(visitor: FlaskClient, platform: FakePlatform) -> None:
    _signed_in(visitor, platform)
    for kind, about in (
        ("joined", {"old_sub": "s3", "new_sub": "s1"}),
        ("parted", {"old_sub": "s3", "new_sub": "s4"}),
        ("taken-back", {"sub": "s3"}),
    ):
        assert push(visitor, platform.event_token(kind, about)).status_code == 202
    assert called(visitor) == "s1"


@pytest.mark.spec("RFC 8935", "2")
def test_a_token_that_comes_twice_is_answered_twice_and_counts_once(visitor: FlaskClient, platform: FakePlatform) -> None:
    _signed_in(visitor, platform)
    first = platform.event_token("joined", JOIN, jti="j1")
    assert push(visitor, first).status_code == 202
    back = platform.event_token("joined", {"old_sub": "s2", "new_sub": "s1"}, jti="j2")
    assert push(visitor, back).status_code == 202
    assert called(visitor) == "s1"
    assert push(visitor, first).status_code == 202
    assert push(visitor, platform.event_token("joined", JOIN, jti="j1")).status_code == 202
    assert called(visitor) == "s1"


def test_what_was_said_before_and_comes_after_changes_nothing(visitor: FlaskClient, platform: FakePlatform) -> None:
    now = int(time.time())
    assert push(visitor, platform.event_token("parted", JOIN, iat=now)).status_code == 202
    _signed_in(visitor, platform)
    assert push(visitor, platform.event_token("joined", JOIN, iat=now - 60)).status_code == 202
    assert called(visitor) == "s1"


EVENT = account_events.JOINED
WRONG: list[tuple[str, str, dict[str, Any]]] = [
    ("issuer", "invalid_issuer", {"iss": "https://evil.example"}),
    ("issuer missing", "invalid_issuer", {"iss": None}),
    ("audience", "invalid_audience", {"aud": "import-system"}),
    ("audience missing", "invalid_audience", {"aud": None}),
    ("iat missing", "invalid_request", {"iat": None}),
    ("iat no number", "invalid_request", {"iat": "yesterday"}),
    ("from the future", "invalid_request", {"iat": int(time.time()) + 3600}),
    ("old", "invalid_request", {"iat": int(time.time()) - 25 * 3600}),
    ("jti missing", "invalid_request", {"jti": None}),
    ("jti no string", "invalid_request", {"jti": ["j"]}),
    ("events missing", "invalid_request", {"events": None}),
    ("events no object", "invalid_request", {"events": [EVENT]}),
    ("no event", "invalid_request", {"events": {}}),
    ("two events", "invalid_request", {"events": {EVENT: JOIN, account_events.PARTED: JOIN}}),
    ("another event", "invalid_request", {"events": {"urn:example:other": JOIN}}),
    ("event no object", "invalid_request", {"events": {EVENT: 1}}),
    ("half a join", "invalid_request", {"events": {EVENT: {"old_sub": "s1"}}}),
    ("no string", "invalid_request", {"events": {EVENT: {"old_sub": "s1", "new_sub": ["s2"]}}}),
    ("empty", "invalid_request", {"events": {EVENT: {"old_sub": "s1", "new_sub": ""}}}),
    ("an ID token's", "invalid_request", {"nonce": "n"}),
    ("an access token's", "invalid_request", {"sub": "s1", "exp": int(time.time()) + 60}),
]


@pytest.mark.spec("RFC 8935", "2.3")
@pytest.mark.parametrize(("err", "changes"), [row[1:] for row in WRONG], ids=[row[0] for row in WRONG])
def test_a_wrong_token_changes_nothing(visitor: FlaskClient, platform: FakePlatform, err: str, changes: dict[str, Any]) -> None:
    _signed_in(visitor, platform)
    answer = push(visitor, platform.event_token("joined", JOIN, **changes))
    assert (answer.status_code, answer.mimetype) == (400, "application/json")
    assert json.loads(answer.data)["err"] == err
    assert called(visitor) == "s1"


@pytest.mark.spec("RFC 8417", "4.1")
def test_a_token_of_another_type_is_none(visitor: FlaskClient, platform: FakePlatform) -> None:
    _signed_in(visitor, platform)
    for typ in ("JWT", "logout+jwt", "at+jwt"):
        platform.logout_header = {"typ": typ}
        assert push(visitor, platform.event_token("joined", JOIN)).status_code == 400
    platform.logout_header = {}
    assert push(visitor, platform.logout_token()).status_code == 400
    # and the other way round
    answer = visitor.application.test_client().post("/backchannel-logout", data={"logout_token": platform.event_token("joined", JOIN)})
    assert answer.status_code == 400
    assert called(visitor) == "s1"


def test_only_the_platforms_key_and_the_registered_algorithm_count(visitor: FlaskClient, platform: FakePlatform) -> None:
    _signed_in(visitor, platform)
    public = platform.key.as_dict(private=False)
    platform.signing_key = ECKey.generate_key("P-256", {"kid": "k1"})
    assert json.loads(push(visitor, platform.event_token("joined", JOIN)).data)["err"] == "invalid_key"
    platform.alg, platform.signing_key = "HS256", OctKey.import_key({"kty": "oct", "k": public["x"], "kid": "k1"})
    assert push(visitor, platform.event_token("joined", JOIN)).status_code == 400
    assert called(visitor) == "s1"


@pytest.mark.parametrize("token", ["", "x", "a.b.c", "e30.e30.", "x" * 9000, "é", "\x00"])
def test_what_is_no_token_changes_nothing(visitor: FlaskClient, platform: FakePlatform, token: str) -> None:
    _signed_in(visitor, platform)
    assert push(visitor, token).status_code == 400
    assert push(visitor, platform.event_token("joined", JOIN), "application/json").status_code == 400
    assert visitor.get("/security-events").status_code == 405
    assert called(visitor) == "s1"


def test_every_system_of_the_folder_wants_to_be_told(tmp_path: Path) -> None:
    systems = read_all()
    assert len(systems) == len(list(FOLDER.glob("*/client.toml"))) == 8
    for system in systems:
        assert system.client["security_events_uri"] == f"{system.origin}/security-events"
        members = {**system.client, "token_endpoint_auth_method": "client_secret_basic"}
        members.pop("token_endpoint_auth_signing_alg")
        own = judge(members)
        # R54: each is the one client of its system
        assert own.serves_alone(system.system)
