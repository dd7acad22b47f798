"""Back-channel logout of clients that registered themselves: what leads inside is never called, not even where an operator's clients are told."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from idp import outbound
from idp.app import handlers
from idp.audit.models import AuditEvent
from idp.db import session
from idp.oidc import backchannel
from idp.outbox import queue
from idp.web import Runtime
from idp.worker import deliver
from tests.fakes import FakeClock
from tests.oidc.conftest import Somebody
from tests.oidc.test_backchannel import end_every_session, waiting
from tests.oidc.test_client_authentication import basic
from tests.oidc.test_consent import page
from tests.oidc.test_register import CALLBACK, leave, registered, settings
from tests.oidc.test_registration_hardened import set_members
from tests.relying_party import CHALLENGE, ISSUER, VERIFIER, RelyingParty, answer_of, claims_of
from tests.test_outbound import OK, Server, certificate, saying, serving

__all__ = ["leave", "settings"]

pytestmark = pytest.mark.slow


@pytest.fixture
def inside(tmp_path: Path) -> Iterator[Server]:
    """A receiver in our own network with a certificate that we trust."""
    _, tls = certificate(tmp_path)
    with serving(saying(OK), tls) as server:
        yield server


@pytest.fixture
def bye(inside: Server) -> str:
    return f"https://localhost:{inside.port}/bye"


@pytest.fixture
def stranger(platform: Flask, leave: str, bye: str) -> dict[str, Any]:
    """A client that registered itself while its address still led elsewhere, for all that we saw."""
    return registered(platform, leave, backchannel_logout_uri=bye)


def work(app: Flask, inside: Server, folder: Path) -> int:
    """One round of the worker with the client for outgoing requests that it has in truth; operators opened this very receiver."""
    held: Runtime = app.extensions["idp"]
    opened = held.settings.model_copy(update={"outbound_allow": (f"localhost:{inside.port}",), "outbound_ca_file": folder / "ca.pem"})
    return deliver(app, handlers(replace(held.adapters, outbound=outbound.Client(opened)), opened, held.secret))


def sign_in(app: Flask, stranger: dict[str, Any], browser: FlaskClient) -> None:
    """The person agrees, and the client redeems its code."""
    who = {"client_id": stranger["client_id"], "redirect_uri": CALLBACK}
    asked = {**who, "response_type": "code", "scope": "openid", "code_challenge": CHALLENGE, "code_challenge_method": "S256"}
    asking = browser.get("/oauth2/authorize", query_string=asked, base_url=ISSUER)
    path, _, fields = page(browser, asking.location)
    code = answer_of(browser.post(path, data=fields | {"action": "allow"}, base_url=ISSUER))["code"]
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": CALLBACK, "code_verifier": VERIFIER}
    answer = app.test_client().post("/oauth2/token", data=form, headers=basic(stranger["client_id"], stranger["client_secret"]), base_url=ISSUER)
    assert answer.status_code == 200, answer.json


def told(inside: Server) -> list[str]:
    """Whom the receiver was told of, in order."""
    return [claims_of(request.rpartition(b"logout_token=")[2].decode())["aud"] for request in inside.asked]


def given_up(app: Flask) -> list[str]:
    with app.app_context():
        return [detail["kind"] for detail in session.scalars(select(AuditEvent.detail).where(AuditEvent.event == "outbox.given_up"))]


@pytest.mark.requirement("R76")
@pytest.mark.spec("OIDC Back-Channel Logout", "2.5")
def test_a_strangers_receiver_inside_is_never_called_and_given_up_with_a_record(
    platform: Flask, clock: FakeClock, beijing: Somebody, stranger: dict[str, Any], inside: Server, bye: str, tmp_path: Path
) -> None:
    ours = RelyingParty(platform, clock, "ours", backchannel_logout_uri=bye)
    browser = ours.browser(beijing.id)
    ours.tokens(browser)
    sign_in(platform, stranger, browser)
    end_every_session(platform, clock)
    assert {facts["client_id"] for facts in waiting(platform)} == {"ours", stranger["client_id"]}
    # the stranger's failure holds up nobody: the operator's client is told in the same round
    assert work(platform, inside, tmp_path) == 2
    assert told(inside) == ["ours"]
    for _ in range(queue.MAX_TRIES - 1):
        clock.advance(hours=8)
        assert given_up(platform) == []
        assert work(platform, inside, tmp_path) == 1
    assert waiting(platform) == []
    assert given_up(platform) == [backchannel.LOGOUT_TOKEN]
    assert told(inside) == ["ours"]


def test_it_is_told_once_an_operator_vouches_for_it(
    platform: Flask, clock: FakeClock, beijing: Somebody, stranger: dict[str, Any], inside: Server, tmp_path: Path
) -> None:
    browser = RelyingParty(platform, clock, "ours").browser(beijing.id)
    sign_in(platform, stranger, browser)
    end_every_session(platform, clock)
    assert work(platform, inside, tmp_path) == 1
    assert told(inside) == []
    with platform.app_context():
        set_members(stranger["client_id"], public_addresses_only=None)
    clock.advance(minutes=5)
    assert work(platform, inside, tmp_path) == 1
    assert told(inside) == [stranger["client_id"]]
    assert waiting(platform) == []
