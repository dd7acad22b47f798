"""A client that is switched off or deleted between its look-up and what is written for it: a page, as for a client that nobody knows."""

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from idp.db import session, transaction
from idp.oidc import checks, client_lifecycle
from idp.oidc.models import AuthorizationRequestRecord, Consent, Grant
from tests.fakes import FakeClock
from tests.oidc.conftest import Somebody
from tests.oidc.test_consent import page
from tests.relying_party import ISSUER, RelyingParty

pytestmark = pytest.mark.slow

ENDS = pytest.mark.parametrize("end", ["disable", "remove"])


@pytest.fixture
def stranger(platform: Flask, clock: FakeClock) -> RelyingParty:
    return RelyingParty(platform, clock, "stranger", first_party=False)


def ends_after_the_checks(platform: Flask, clock: FakeClock, monkeypatch: pytest.MonkeyPatch, end: str) -> None:
    """From now on, whatever client passes the checks is gone the moment after."""
    real = checks.first_failure

    def passed(subject: checks.Subject, endpoint: str) -> object:
        failed = real(subject, endpoint)
        with platform.app_context(), transaction():
            getattr(client_lifecycle, end)(subject.known.client_id, clock.now())
        return failed

    monkeypatch.setattr(checks, "first_failure", passed)


def unknown(response: TestResponse, platform: Flask) -> None:
    assert response.status_code == 400
    assert "Location" not in response.headers
    assert "未在本平台登记" in response.get_data(as_text=True)
    with platform.app_context():
        assert (session.query(Grant).count(), session.query(Consent).count()) == (0, 0)


@ENDS
@pytest.mark.store
@pytest.mark.parametrize("changes", [{}, {"prompt": "none"}])
def test_no_code(
    rp: RelyingParty, platform: Flask, clock: FakeClock, beijing: Somebody, monkeypatch: pytest.MonkeyPatch, end: str, changes: dict[str, str]
) -> None:
    browser = rp.browser(beijing.id)
    ends_after_the_checks(platform, clock, monkeypatch, end)
    unknown(rp.authorize(browser, **changes), platform)


@ENDS
@pytest.mark.store
def test_no_code_after_a_yes(
    stranger: RelyingParty, platform: Flask, clock: FakeClock, beijing: Somebody, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    browser = stranger.browser(beijing.id)
    path, _, fields = page(browser, stranger.authorize(browser, scope="openid").location)
    ends_after_the_checks(platform, clock, monkeypatch, end)
    unknown(browser.post(path, data={**fields, "action": "allow"}, base_url=ISSUER), platform)


@ENDS
@pytest.mark.store
@pytest.mark.parametrize("way", ["sign-in", "consent", "post"])
def test_nothing_is_kept_for_it(
    stranger: RelyingParty, platform: Flask, clock: FakeClock, beijing: Somebody, monkeypatch: pytest.MonkeyPatch, end: str, way: str
) -> None:
    browser = stranger.browser(beijing.id if way == "consent" else None)
    ends_after_the_checks(platform, clock, monkeypatch, end)
    unknown(_posted(stranger, browser) if way == "post" else stranger.authorize(browser), platform)
    with platform.app_context():
        assert session.query(AuthorizationRequestRecord).count() == 0


def _posted(rp: RelyingParty, browser: FlaskClient) -> TestResponse:
    return browser.post("/oauth2/authorize", data=rp.request(), base_url=ISSUER)
