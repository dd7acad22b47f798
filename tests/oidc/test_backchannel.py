"""Back-channel logout: who is told, in which words, and how often it is tried."""

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

import pytest
from flask import Flask
from joserfc import jws
from joserfc.jwk import KeySet
from sqlalchemy import select

from idp import outbound
from idp.accounts.models import Account
from idp.adapters import Fetched
from idp.app import JOBS, handlers
from idp.audit.models import AuditEvent
from idp.db import session, transaction
from idp.oidc import backchannel, revocation
from idp.oidc.models import ClientRecord, Grant
from idp.outbox import queue
from idp.outbox.models import OutboxItem
from idp.sessions import lifecycle
from idp.sessions.models import Session
from idp.settings import Settings
from idp.web import Runtime
from idp.worker import deliver, run_once
from tests.fakes import FakeClock, FakeWeb
from tests.oidc.conftest import Somebody
from tests.relying_party import ISSUER, RelyingParty, body_of, claims_of, header_of

pytestmark = pytest.mark.slow

BYE = "https://rp.example/bye"


@pytest.fixture
def rp(platform: Flask, clock: FakeClock) -> RelyingParty:
    return RelyingParty(platform, clock, backchannel_logout_uri=BYE, system="export", scope="openid licence:export")


def work(app: Flask) -> int:
    """One round of the worker."""
    held: Runtime = app.extensions["idp"]
    return deliver(app, handlers(held.adapters, held.settings, held.secret))


def end_every_session(app: Flask, clock: FakeClock, reason: str = "signed_out") -> None:
    with app.app_context(), transaction():
        for row in session.scalars(select(Session).where(Session.ended_at.is_(None))).all():
            lifecycle.end(row, reason, clock.now(), revocation.on_session_end)


def waiting(app: Flask) -> list[dict[str, Any]]:
    with app.app_context():
        return list(session.scalars(select(OutboxItem.payload).where(OutboxItem.kind == backchannel.LOGOUT_TOKEN).order_by(OutboxItem.id)))


@pytest.mark.spec("OIDC Back-Channel Logout", "2.4")
@pytest.mark.parametrize("alg", ["ES256", "RS256"])
def test_the_token_is_what_the_specification_asks_for(platform: Flask, clock: FakeClock, beijing: Somebody, far_servers: FakeWeb, alg: str) -> None:
    rp = RelyingParty(platform, clock, backchannel_logout_uri=BYE, id_token_signed_response_alg=alg)
    far_servers.pages[BYE] = Fetched(200, b"")
    id_token = claims_of(rp.tokens(rp.browser(beijing.id))["id_token"])
    end_every_session(platform, clock)
    clock.advance(minutes=3)
    assert work(platform) == 1
    [(url, form)] = far_servers.posted
    assert url == BYE
    assert set(form) == {"logout_token"}
    keys = KeySet.import_key_set(body_of(platform.test_client().get("/oauth2/jwks", base_url=ISSUER)))  # type: ignore[arg-type]  # joserfc's type
    jws.deserialize_compact(form["logout_token"], keys, algorithms=[alg])
    assert (header_of(form["logout_token"])["typ"], header_of(form["logout_token"])["alg"]) == ("logout+jwt", alg)
    said = claims_of(form["logout_token"])
    now = int(clock.now().timestamp())
    assert said == {
        "iss": ISSUER,
        "aud": "rp",
        "sub": beijing.sub,
        "sid": id_token["sid"],
        "iat": now,
        "exp": now + 120,
        "jti": said["jti"],
        "events": {"http://schemas.openid.net/event/backchannel-logout": {}},
    }
    assert work(platform) == 0


@pytest.mark.requirement("R76")
@pytest.mark.spec("OIDC Back-Channel Logout", "2.1")
def test_each_client_of_the_session_is_told_of_its_own_sid_and_nobody_else(
    rp: RelyingParty, platform: Flask, clock: FakeClock, beijing: Somebody, far_servers: FakeWeb
) -> None:
    other = RelyingParty(platform, clock, "other", backchannel_logout_uri="https://other.example/bye")
    silent = RelyingParty(platform, clock, "silent")
    RelyingParty(platform, clock, "stranger", backchannel_logout_uri="https://stranger.example/bye")
    browser, elsewhere = rp.browser(beijing.id), rp.browser(beijing.id)
    sids = [claims_of(one.tokens(browser)["id_token"])["sid"] for one in (rp, other)]
    assert claims_of(rp.tokens(browser)["id_token"])["sid"] == sids[0]
    assert sids[0] != sids[1]
    assert "sid" not in claims_of(silent.tokens(browser)["id_token"])
    rp.tokens(elsewhere)
    token = browser.get("/signout", base_url=ISSUER).get_data(as_text=True).split('name="csrf_token" value="')[1].split('"')[0]
    browser.post("/signout", data={"csrf_token": token}, base_url=ISSUER)
    for url in (BYE, "https://other.example/bye"):
        far_servers.pages[url] = Fetched(204, b"")
    assert work(platform) == 2
    assert {(url, claims_of(form["logout_token"])["sid"]) for url, form in far_servers.posted} == {
        (BYE, sids[0]),
        ("https://other.example/bye", sids[1]),
    }


@pytest.mark.spec("OIDC Back-Channel Logout", "2.7")
@pytest.mark.parametrize("status", [301, 302, 400, 404, 500, 201])
def test_any_other_answer_is_tried_again_with_a_fresh_token_and_given_up_with_a_record(
    rp: RelyingParty, platform: Flask, clock: FakeClock, beijing: Somebody, far_servers: FakeWeb, status: int
) -> None:
    far_servers.pages[BYE] = Fetched(status, b"")
    rp.tokens(rp.browser(beijing.id))
    end_every_session(platform, clock)
    for _ in range(queue.MAX_TRIES):
        assert work(platform) == 1
        clock.advance(hours=8)
    assert work(platform) == 0
    said = [claims_of(form["logout_token"]) for _, form in far_servers.posted]
    assert len({each["jti"] for each in said}) == len({each["iat"] for each in said}) == queue.MAX_TRIES
    assert len({each["sid"] for each in said}) == 1
    with platform.app_context():
        given_up = session.scalars(select(AuditEvent.detail).where(AuditEvent.event == "outbox.given_up")).one()
        assert given_up["kind"] == backchannel.LOGOUT_TOKEN


def test_a_worker_that_died_before_the_delivery_loses_nothing(
    rp: RelyingParty, platform: Flask, clock: FakeClock, beijing: Somebody, far_servers: FakeWeb
) -> None:
    far_servers.pages[BYE] = Fetched(200, b"")
    rp.tokens(rp.browser(beijing.id))
    end_every_session(platform, clock)
    with platform.app_context(), transaction():
        assert len(queue.claim(clock.now(), 20, [backchannel.LOGOUT_TOKEN])) == 1
    # here it was killed
    assert work(platform) == 0
    clock.advance(minutes=5)
    assert work(platform) == 1
    assert len(far_servers.posted) == 1


def test_a_rolled_back_end_tells_nobody(rp: RelyingParty, platform: Flask, clock: FakeClock, beijing: Somebody) -> None:
    rp.tokens(rp.browser(beijing.id))

    def fail() -> None:
        with platform.app_context(), transaction():
            lifecycle.end(session.scalars(select(Session)).one(), "signed_out", clock.now(), revocation.on_session_end)
            raise RuntimeError("planted")

    with pytest.raises(RuntimeError, match="planted"):
        fail()
    assert waiting(platform) == []


@pytest.mark.parametrize("change", ["disabled", "without address", "gone"])
def test_a_client_that_can_no_longer_be_told_is_let_go(
    rp: RelyingParty, platform: Flask, clock: FakeClock, beijing: Somebody, far_servers: FakeWeb, change: str
) -> None:
    rp.tokens(rp.browser(beijing.id))
    end_every_session(platform, clock)
    with platform.app_context(), transaction():
        row = session.get_one(ClientRecord, "rp")
        if change == "gone":
            session.delete(row)
        elif change == "disabled":
            row.disabled_at = clock.now()
        else:
            row.registration = {name: value for name, value in row.registration.items() if name != "backchannel_logout_uri"}
    assert work(platform) == 1
    assert work(platform) == 0
    assert far_servers.posted == []


# --- what ends a session, and what does not -----------------------------------------------------------------------------------------------------


def test_another_account_in_the_same_browser_ends_the_first(rp: RelyingParty, platform: Flask, clock: FakeClock, beijing: Somebody) -> None:
    rp.tokens(rp.browser(beijing.id))
    end_every_session(platform, clock, "other_account")
    assert [facts["client_id"] for facts in waiting(platform)] == ["rp"]


@pytest.mark.requirement("R77")
@pytest.mark.store
def test_the_absolute_end_ends_grants_and_is_told_and_idling_is_not(rp: RelyingParty, platform: Flask, clock: FakeClock, beijing: Somebody) -> None:
    token = rp.tokens(rp.browser(beijing.id))["access_token"]
    clock.advance(minutes=31)
    assert run_once(platform, JOBS) == 0
    assert waiting(platform) == []
    clock.advance(hours=12)
    assert run_once(platform, JOBS) == 0
    assert len(waiting(platform)) == 1
    assert rp.userinfo(token).status_code == 401
    with platform.app_context():
        assert session.scalars(select(Session.end_reason)).all() == ["absolute"]
    assert run_once(platform, JOBS) == 0
    assert len(waiting(platform)) == 1


@pytest.mark.parametrize("change", ["disabled", "epoch"])
def test_an_account_that_is_closed_or_changed_is_told_within_a_minute(
    rp: RelyingParty, platform: Flask, clock: FakeClock, beijing: Somebody, change: str
) -> None:
    rp.tokens(rp.browser(beijing.id))
    with platform.app_context(), transaction():
        row = session.get_one(Account, beijing.id)
        row.status, row.epoch = ("disabled", row.epoch) if change == "disabled" else (row.status, row.epoch + 1)
    for _ in range(2):
        assert run_once(platform, JOBS) == 0
        assert len(waiting(platform)) == 1


def test_a_grant_that_ends_alone_is_told_where_that_is_due(rp: RelyingParty, platform: Flask, clock: FakeClock, beijing: Somebody) -> None:
    browser = rp.browser(beijing.id)
    for reason, told in (("code_replayed", 0), ("licence_gone", 1), ("consent_withdrawn", 2)):
        rp.tokens(browser)
        with platform.app_context(), transaction():
            grant = session.scalars(select(Grant).where(Grant.ended_at.is_(None))).one()
            assert revocation.end_grant(grant.id, reason, clock.now())
            assert not revocation.end_grant(grant.id, reason, clock.now())
        assert len(waiting(platform)) == told


# --- over a real line -------------------------------------------------------------------------------------------------------------------------


class Receiver:
    """A relying party's server on loopback that can be down."""

    def __init__(self, port: int = 0) -> None:
        self.bodies: list[dict[str, list[str]]] = []
        self.server = ThreadingHTTPServer(("127.0.0.1", port), self._handler())
        self.port = self.server.server_port
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        bodies = self.bodies

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                bodies.append(parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode()))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_args: object) -> None: ...

        return Handler

    def stop(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def receivers() -> Iterator[Callable[[int], Receiver]]:
    made: list[Receiver] = []

    def make(port: int) -> Receiver:
        made.append(Receiver(port))
        return made[-1]

    yield make
    for one in made:
        one.stop()


def test_a_receiver_that_was_down_is_told_once_it_is_up(
    platform: Flask, settings: Settings, clock: FakeClock, beijing: Somebody, receivers: Callable[[int], Receiver]
) -> None:
    first = Receiver()
    first.stop()
    url = f"http://127.0.0.1:{first.port}/bye"
    rp = RelyingParty(platform, clock, backchannel_logout_uri=url)
    rp.tokens(rp.browser(beijing.id))
    end_every_session(platform, clock)
    held: Runtime = platform.extensions["idp"]
    allowed = settings.model_copy(update={"outbound_allow": (f"127.0.0.1:{first.port}",)})

    def work_really(given: Settings) -> int:
        real = backchannel.deliver(outbound.Client(given), ISSUER, revocation_keys(held), clock.now)
        return deliver(platform, {backchannel.LOGOUT_TOKEN: real})

    assert work_really(allowed) == 1
    assert len(waiting(platform)) == 1
    receiver = receivers(first.port)
    assert work_really(allowed) == 0
    clock.advance(seconds=30)
    # only what the operator allowed is reached in a private network
    assert work_really(settings) == 1
    assert receiver.bodies == []
    clock.advance(minutes=1)
    assert work_really(allowed) == 1
    assert waiting(platform) == []
    assert claims_of(receiver.bodies[0]["logout_token"][0])["aud"] == "rp"


def revocation_keys(held: Runtime) -> Any:
    from idp.oidc.keys import KeyRing

    return KeyRing(held.secret)
