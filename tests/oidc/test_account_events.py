"""Accounts that become one and come apart: who is told, in whose terms, how the token looks, and what becomes of one that is not taken."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from joserfc import jws
from joserfc.jwk import KeySet
from requests import PreparedRequest, Response
from sqlalchemy import delete, select

from clients.relying_party.app import create_app
from clients.relying_party.provider import Session
from clients.relying_party.registration import FOLDER, private_key, read
from idp.accounts.models import Account
from idp.adapters import Fetched
from idp.app import HOOKS, JOBS
from idp.audit.models import AuditEvent
from idp.db import session, transaction
from idp.oidc import account_events, backchannel
from idp.oidc.client_models import KnownSubject, PairwiseSubject
from idp.oidc.models import ClientRecord, Grant
from idp.outbox import queue
from idp.outbox.models import OutboxItem
from idp.worker import run_once
from tests.command_line import idp
from tests.fakes import FakeClock, FakeWeb
from tests.oidc.conftest import Somebody
from tests.oidc.test_backchannel import end_every_session, work
from tests.relying_party import ISSUER, RelyingParty, answer_of, body_of, claims_of, header_of

pytestmark = pytest.mark.slow

HEAR = "https://rp.example/events"
JOINED, PARTED, TAKEN_BACK = account_events.JOINED, account_events.PARTED, account_events.TAKEN_BACK


@pytest.fixture
def rp(platform: Flask, clock: FakeClock, far_servers: FakeWeb) -> RelyingParty:
    far_servers.pages[HEAR] = Fetched(202, b"")
    return RelyingParty(platform, clock, security_events_uri=HEAR)


def paired(platform: Flask, clock: FakeClock, client_id: str = "paired", host: str = "paired.example", **more: Any) -> RelyingParty:
    members = {"subject_type": "pairwise", "redirect_uris": [f"https://{host}/cb"], "security_events_uri": f"https://{host}/events"}
    return RelyingParty(platform, clock, client_id, **{**members, **more})


def join(app: Flask, clock: FakeClock, old: Somebody, new: Somebody) -> None:
    with app.app_context(), transaction():
        HOOKS.accounts_joined(old.id, new.id, clock.now())


def part(app: Flask, clock: FakeClock, old: Somebody, new: Somebody) -> None:
    with app.app_context(), transaction():
        HOOKS.accounts_parted(old.id, new.id, clock.now())


def take_back(app: Flask, clock: FakeClock, somebody: Somebody) -> None:
    with app.app_context(), transaction():
        HOOKS.accounts_taken_back([somebody.id], clock.now())


def waiting(app: Flask) -> list[tuple[str, str, dict[str, str]]]:
    """What is to be told: client, event, names."""
    with app.app_context():
        found = session.scalars(select(OutboxItem.payload).where(OutboxItem.kind == account_events.ACCOUNT_EVENT).order_by(OutboxItem.id))
        return [(facts["client_id"], facts["event"], facts["about"]) for facts in found]


# --- the token ---------------------------------------------------------------------------------------------------------------------------------


@pytest.mark.spec("RFC 8417", "2.2")
@pytest.mark.spec("RFC 8935", "2.1")
@pytest.mark.parametrize("alg", ["ES256", "RS256"])
def test_the_token_is_what_the_specifications_ask_for(
    platform: Flask, clock: FakeClock, beijing: Somebody, shanghai: Somebody, far_servers: FakeWeb, alg: str
) -> None:
    far_servers.pages[HEAR] = Fetched(202, b"")
    rp = RelyingParty(platform, clock, security_events_uri=HEAR, id_token_signed_response_alg=alg)
    rp.tokens(rp.browser(beijing.id))
    join(platform, clock, beijing, shanghai)
    then = int(clock.now().timestamp())
    clock.advance(minutes=3)
    assert work(platform) == 1
    [(url, kind, token)] = far_servers.pushed
    assert (url, kind) == (HEAR, "application/secevent+jwt")
    keys = KeySet.import_key_set(body_of(platform.test_client().get("/oauth2/jwks", base_url=ISSUER)))  # type: ignore[arg-type]  # joserfc's type
    jws.deserialize_compact(token, keys, algorithms=[alg])
    assert (header_of(token)["typ"], header_of(token)["alg"]) == ("secevent+jwt", alg)
    said = claims_of(token)
    assert said == {
        "iss": ISSUER,
        "aud": "rp",
        "iat": then,
        "jti": said["jti"],
        "events": {"urn:licence:event:account-joined": {"old_sub": beijing.sub, "new_sub": shanghai.sub}},
    }
    assert work(platform) == 0


@pytest.mark.parametrize("act", ["joined", "parted", "taken-back"])
def test_each_act_has_its_event(
    rp: RelyingParty, platform: Flask, clock: FakeClock, beijing: Somebody, shanghai: Somebody, far_servers: FakeWeb, act: str
) -> None:
    rp.tokens(rp.browser(beijing.id))
    both = {"old_sub": beijing.sub, "new_sub": shanghai.sub}
    if act == "taken-back":
        take_back(platform, clock, beijing)
    else:
        (join if act == "joined" else part)(platform, clock, beijing, shanghai)
    assert work(platform) == 1
    [(_, _, token)] = far_servers.pushed
    assert claims_of(token)["events"] == {f"urn:licence:event:account-{act}": {"sub": beijing.sub} if act == "taken-back" else both}


def test_it_is_no_id_token_and_no_access_token(
    rp: RelyingParty, platform: Flask, clock: FakeClock, beijing: Somebody, shanghai: Somebody, far_servers: FakeWeb
) -> None:
    browser = rp.browser(beijing.id)
    rp.tokens(browser)
    join(platform, clock, beijing, shanghai)
    work(platform)
    [(_, _, token)] = far_servers.pushed
    assert rp.userinfo(token).status_code == 401
    assert answer_of(rp.authorize(browser, prompt="none", id_token_hint=token))["error"] == "invalid_request"


# --- who is told -------------------------------------------------------------------------------------------------------------------------------


def test_whoever_knows_the_account_and_wants_to_hear(
    rp: RelyingParty, platform: Flask, clock: FakeClock, beijing: Somebody, shanghai: Somebody
) -> None:
    silent = RelyingParty(platform, clock, "silent")
    stranger = RelyingParty(platform, clock, "stranger", security_events_uri="https://stranger.example/events")
    for one in (rp, silent):
        one.tokens(one.browser(beijing.id))
    stranger.tokens(stranger.browser(shanghai.id))
    join(platform, clock, beijing, shanghai)
    assert waiting(platform) == [("rp", JOINED, {"old_sub": beijing.sub, "new_sub": shanghai.sub})]


@pytest.mark.store
def test_long_after_the_last_grant_too(rp: RelyingParty, platform: Flask, clock: FakeClock, beijing: Somebody, shanghai: Somebody) -> None:
    for _ in range(2):
        rp.tokens(rp.browser(beijing.id))
    clock.advance(days=30)
    assert run_once(platform, JOBS) == 0
    with platform.app_context():
        assert session.scalars(select(Grant)).all() == []
    join(platform, clock, beijing, shanghai)
    assert [client for client, _, _ in waiting(platform)] == ["rp"]


def test_one_that_asks_to_be_told_later_is_told_of_whom_it_still_has_a_grant(
    platform: Flask, clock: FakeClock, beijing: Somebody, shanghai: Somebody
) -> None:
    late = RelyingParty(platform, clock, "late")
    late.tokens(late.browser(beijing.id))
    with platform.app_context(), transaction():
        row = session.get_one(ClientRecord, "late")
        row.registration, row.version = {**row.registration, "security_events_uri": HEAR}, row.version + 1
    join(platform, clock, beijing, shanghai)
    with platform.app_context(), transaction():
        session.execute(delete(Grant))
    # and of the way back, though the grant is gone
    part(platform, clock, beijing, shanghai)
    assert [(client, event) for client, event, _ in waiting(platform)] == [("late", JOINED), ("late", PARTED)]


def test_a_client_that_is_off_is_not(rp: RelyingParty, platform: Flask, clock: FakeClock, beijing: Somebody, shanghai: Somebody) -> None:
    rp.tokens(rp.browser(beijing.id))
    with platform.app_context(), transaction():
        session.get_one(ClientRecord, "rp").disabled_at = clock.now()
    join(platform, clock, beijing, shanghai)
    assert waiting(platform) == []


@pytest.mark.store
@pytest.mark.spec("OIDC Core", "8.1")
def test_each_in_its_own_terms(platform: Flask, clock: FakeClock, beijing: Somebody, shanghai: Somebody) -> None:
    near, far = paired(platform, clock, "near", "near.example"), paired(platform, clock, "far", "far.example")
    old = {one.client_id: claims_of(one.tokens(one.browser(beijing.id))["id_token"])["sub"] for one in (near, far)}
    known = claims_of(near.tokens(near.browser(shanghai.id))["id_token"])["sub"]
    join(platform, clock, beijing, shanghai)
    told = {client: about for client, _, about in waiting(platform)}
    assert {client: about["old_sub"] for client, about in told.items()} == old
    assert told["near"]["new_sub"] == known
    # made now, and kept: it is what the next token says
    assert told["far"]["new_sub"] == claims_of(far.tokens(far.browser(shanghai.id))["id_token"])["sub"]
    assert not {beijing.sub, shanghai.sub} & {name for about in told.values() for name in about.values()}
    part(platform, clock, beijing, shanghai)
    assert {client: about for client, event, about in waiting(platform) if event == PARTED} == told
    with platform.app_context():
        assert len(session.scalars(select(PairwiseSubject)).all()) == 4


def test_who_comes_later_by_the_new_name_is_told_of_the_next_join(
    rp: RelyingParty, platform: Flask, clock: FakeClock, beijing: Somebody, shanghai: Somebody
) -> None:
    rp.tokens(rp.browser(beijing.id))
    join(platform, clock, beijing, shanghai)
    take_back(platform, clock, shanghai)
    assert waiting(platform)[-1] == ("rp", TAKEN_BACK, {"sub": shanghai.sub})


def test_the_row_may_be_gone_when_it_is_told(rp: RelyingParty, platform: Flask, clock: FakeClock, beijing: Somebody, far_servers: FakeWeb) -> None:
    rp.tokens(rp.browser(beijing.id))
    end_every_session(platform, clock)
    take_back(platform, clock, beijing)
    with platform.app_context(), transaction():
        session.delete(session.get_one(Account, beijing.id))
        session.flush()
    with platform.app_context():
        assert session.scalars(select(KnownSubject)).all() == []
    work(platform)
    assert claims_of(far_servers.pushed[0][2])["events"] == {TAKEN_BACK: {"sub": beijing.sub}}


def test_nothing_is_told_of_what_did_not_happen(rp: RelyingParty, platform: Flask, clock: FakeClock, beijing: Somebody, shanghai: Somebody) -> None:
    rp.tokens(rp.browser(beijing.id))

    def fail() -> None:
        with platform.app_context(), transaction():
            HOOKS.accounts_joined(beijing.id, shanghai.id, clock.now())
            raise RuntimeError("planted")

    with pytest.raises(RuntimeError, match="planted"):
        fail()
    assert waiting(platform) == []


def test_an_account_nobody_knows_costs_no_item(rp: RelyingParty, platform: Flask, clock: FakeClock, beijing: Somebody, shanghai: Somebody) -> None:
    join(platform, clock, beijing, shanghai)
    take_back(platform, clock, beijing)
    assert waiting(platform) == []
    with platform.app_context():
        assert session.scalars(select(KnownSubject)).all() == []


def test_the_losers_hints_are_never_answered(rp: RelyingParty, platform: Flask, clock: FakeClock, beijing: Somebody, shanghai: Somebody) -> None:
    hint = rp.tokens(rp.browser(beijing.id))["id_token"]
    join(platform, clock, beijing, shanghai)
    assert answer_of(rp.authorize(rp.browser(shanghai.id), prompt="none", id_token_hint=hint))["error"] == "login_required"


# --- what becomes of it ------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "answer", [Fetched(200, b""), Fetched(204, b""), Fetched(302, b""), Fetched(400, b"no"), Fetched(500, b'{"err": "invalid_key"}'), None]
)
def test_any_other_answer_is_tried_again_with_the_same_word_and_given_up_with_a_record(
    rp: RelyingParty, platform: Flask, clock: FakeClock, beijing: Somebody, shanghai: Somebody, far_servers: FakeWeb, answer: Fetched | None
) -> None:
    far_servers.pages = {HEAR: answer} if answer is not None else {}
    rp.tokens(rp.browser(beijing.id))
    join(platform, clock, beijing, shanghai)
    for _ in range(queue.MAX_TRIES):
        assert work(platform) == 1
        clock.advance(hours=8)
    assert work(platform) == 0
    # RFC 8935 §2: a recipient knows it again by its jti
    said = [claims_of(token) for _, _, token in far_servers.pushed]
    assert len(said) == queue.MAX_TRIES
    assert all(each == said[0] for each in said)
    with platform.app_context():
        given_up = session.scalars(select(AuditEvent.detail).where(AuditEvent.event == "outbox.given_up")).one()
        assert given_up["kind"] == account_events.ACCOUNT_EVENT


@pytest.mark.spec("RFC 8935", "2.3")
@pytest.mark.store
def test_a_refusal_is_final_and_written_down(
    rp: RelyingParty, platform: Flask, clock: FakeClock, beijing: Somebody, shanghai: Somebody, far_servers: FakeWeb
) -> None:
    far_servers.pages[HEAR] = Fetched(400, b'{"err": "invalid_audience", "description": "x"}')
    rp.tokens(rp.browser(beijing.id))
    join(platform, clock, beijing, shanghai)
    assert work(platform) == 1
    clock.advance(hours=1)
    assert work(platform) == 0
    with platform.app_context():
        row = session.scalars(select(AuditEvent).where(AuditEvent.event == "oidc.account_event.refused")).one()
        assert (row.client_id, row.detail) == ("rp", {"event": JOINED, "reason": "invalid_audience"})


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b'{"err": 1}', b'{"err": "' + b"x" * 65 + b'"}', b'{"err": "a\\u0000"}', b"[" * 5000, b"\xff"])
def test_a_refusal_that_says_nothing_is_none(
    rp: RelyingParty, platform: Flask, clock: FakeClock, beijing: Somebody, shanghai: Somebody, far_servers: FakeWeb, body: bytes
) -> None:
    far_servers.pages[HEAR] = Fetched(400, body)
    rp.tokens(rp.browser(beijing.id))
    join(platform, clock, beijing, shanghai)
    assert work(platform) == 1
    assert len(waiting(platform)) == 1


def test_a_dead_receiver_holds_up_only_its_own(
    rp: RelyingParty, platform: Flask, clock: FakeClock, beijing: Somebody, shanghai: Somebody, far_servers: FakeWeb
) -> None:
    bye = "https://dead.example/bye"
    dead = RelyingParty(platform, clock, "dead", security_events_uri="https://dead.example/events", backchannel_logout_uri=bye)
    far_servers.pages[bye] = Fetched(200, b"")
    for one in (rp, dead):
        one.tokens(one.browser(beijing.id))
    join(platform, clock, beijing, shanghai)
    part(platform, clock, beijing, shanghai)
    end_every_session(platform, clock)
    for _ in range(3):
        work(platform)
    assert [client for client, _, _ in waiting(platform)] == ["dead", "dead"]
    # the first that failed spares it the second
    assert [url for url, _, _ in far_servers.pushed].count("https://dead.example/events") == 1
    # its own logout tokens go another lane
    assert [url for url, _ in far_servers.posted] == [bye]
    with platform.app_context():
        kinds = session.scalars(select(OutboxItem.kind)).all()
    assert backchannel.LOGOUT_TOKEN not in kinds


def test_a_client_that_wants_to_hear_no_more_is_let_go(
    rp: RelyingParty, platform: Flask, clock: FakeClock, beijing: Somebody, shanghai: Somebody, far_servers: FakeWeb
) -> None:
    rp.tokens(rp.browser(beijing.id))
    join(platform, clock, beijing, shanghai)
    with platform.app_context(), transaction():
        row = session.get_one(ClientRecord, "rp")
        row.registration = {name: value for name, value in row.registration.items() if name != "security_events_uri"}
        row.version += 1
    assert work(platform) == 1
    assert (work(platform), far_servers.pushed) == (0, [])


def test_what_a_stranger_registered_is_not_called_inside(
    rp: RelyingParty, platform: Flask, clock: FakeClock, beijing: Somebody, shanghai: Somebody, far_servers: FakeWeb
) -> None:
    inside = "https://intranet.example/events"
    far_servers.inside.add(inside)
    far_servers.pages[inside] = Fetched(202, b"")
    stranger = RelyingParty(platform, clock, "stranger", security_events_uri=inside, public_addresses_only=True)
    stranger.tokens(stranger.browser(beijing.id))
    join(platform, clock, beijing, shanghai)
    assert work(platform) == 1
    assert far_servers.pushed == []
    assert len(waiting(platform)) == 1


# --- where it is registered --------------------------------------------------------------------------------------------------------------------


def test_an_address_that_would_never_be_called_is_refused_at_the_command_line(platform: Flask, far_servers: FakeWeb, tmp_path: Path) -> None:
    file, uri = tmp_path / "rp.toml", "https://10.0.0.1/events"
    file.write_text(f'client_id = "rp"\nredirect_uris = ["https://rp.example/cb"]\nsecurity_events_uri = "{uri}"\n')
    far_servers.refused[uri] = "address"
    said = idp(platform, "client", "apply", file)
    assert (said.code, "security_events_uri" in said.err) == (1, True)
    far_servers.refused.clear()
    assert idp(platform, "client", "apply", file).code == 0
    with platform.app_context():
        assert session.get_one(ClientRecord, "rp").registration["security_events_uri"] == uri


# --- both sides together -----------------------------------------------------------------------------------------------------------------------


def test_a_business_system_takes_what_the_platform_says(
    platform: Flask, clock: FakeClock, beijing: Somebody, shanghai: Somebody, far_servers: FakeWeb, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    system = read(FOLDER / "export")
    business = create_app(system, ISSUER, key=private_key(tmp_path / "export.pem"))
    own = {name: value for name, value in system.client.items() if name not in ("token_endpoint_auth_method", "token_endpoint_auth_signing_alg")}
    rp = RelyingParty(platform, clock, **own)
    rp.tokens(rp.browser(beijing.id))
    handle = business.extensions["memory"].keep({"claims": {"sub": beijing.sub, "sid": "x"}, "told": {"sub": beijing.sub}}, 60)

    def fetch(_self: object, request: PreparedRequest, **_more: object) -> Response:
        found = platform.test_client().get(str(request.path_url), base_url=ISSUER)
        response = Response()
        response.status_code, response._content, response.request = found.status_code, found.data, request
        return response

    def push(url: str, kind: str, body: bytes, *, most: int = 0) -> Fetched:
        answer = business.test_client().post(url.removeprefix(system.origin), data=body, content_type=kind)
        return Fetched(answer.status_code, answer.data)

    monkeypatch.setattr(Session, "send", fetch)
    monkeypatch.setattr(far_servers, "push", push)
    # the business system has a clock of its own
    clock.at = datetime.now(UTC)
    join(platform, clock, beijing, shanghai)
    assert work(platform) == 1
    assert waiting(platform) == []
    assert business.extensions["memory"].get(handle)["told"]["sub"] == shanghai.sub
