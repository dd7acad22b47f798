"""The connection is lost after COMMIT has worked: no tokens leave, and what was spent stays spent."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from flask import Flask
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from tests.fakes import FakeClock
from tests.oidc.conftest import Somebody
from tests.oidc.test_token import grant_reason, refused
from tests.relying_party import RelyingParty, body_of


@contextmanager
def commit_unheard(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Within, the database commits, once, and we do not hear of it."""
    real, commits = Session.commit, list[None]()

    def lost(session: Session) -> None:
        real(session)
        commits.append(None)
        raise OperationalError("COMMIT", {}, Exception("connection lost"))

    with monkeypatch.context() as cut:
        cut.setattr(Session, "commit", lost)
        yield
    # nothing is tried again behind the client's back
    assert len(commits) == 1


def unavailable(response: TestResponse) -> None:
    assert (response.status_code, response.json) == (503, {"error": "temporarily_unavailable"})


@pytest.mark.store
@pytest.mark.spec("RFC 6749", "4.1.2")
def test_a_code_stays_spent(rp: RelyingParty, platform: Flask, beijing: Somebody, monkeypatch: pytest.MonkeyPatch) -> None:
    code = rp.code(rp.browser(beijing.id))
    with commit_unheard(monkeypatch):
        unavailable(rp.redeem(code))
    assert grant_reason(platform) is None
    refused(rp.redeem(code))
    assert grant_reason(platform) == "code_replayed"


@pytest.mark.store
@pytest.mark.spec("RFC 9700", "4.14")
def test_a_refresh_token_of_a_public_client_stays_rotated(
    public: RelyingParty, platform: Flask, beijing: Somebody, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = public.tokens(public.browser(beijing.id))["refresh_token"]
    with commit_unheard(monkeypatch):
        unavailable(public.refresh(token))
    # at once: tokens, but no new family
    assert "refresh_token" not in body_of(public.refresh(token))
    clock.advance(seconds=11)
    refused(public.refresh(token))
    assert grant_reason(platform) == "refresh_replayed"
