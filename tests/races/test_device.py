"""Many at once: one device code, one word of the person."""

from pathlib import Path

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from idp.db import session
from idp.oidc.device_models import DeviceAuthorization
from idp.oidc.models import Grant
from idp.settings import Settings
from tests.conftest import SECRET
from tests.fakes import FakeClock
from tests.oidc.conftest import Somebody
from tests.oidc.test_device import look, made, poll, say, started
from tests.races.test_codes import THREADS, at_once
from tests.relying_party import ISSUER


@pytest.fixture
def settings(tmp_path: Path, database_url: str) -> Settings:
    return Settings(data_dir=tmp_path, secret_key=SECRET, database_url=database_url, device_grant="on")


@pytest.mark.store
@pytest.mark.spec("RFC 8628", "3.5")
def test_of_eight_polls_with_one_code_one_gets_the_tokens(platform: Flask, clock: FakeClock, beijing: Somebody) -> None:
    tv = made(platform, clock)
    codes = started(tv)
    say(tv.browser(beijing.id), codes, "allow")
    answers: list[TestResponse] = []
    at_once(lambda _: answers.append(poll(tv, codes)))
    assert sorted(answer.status_code for answer in answers) == [200] + [400] * (THREADS - 1)
    with platform.app_context():
        assert [grant.end_reason for grant in session.query(Grant)] == ["code_replayed"]


@pytest.mark.store
def test_of_yes_and_no_at_once_one_is_the_word(platform: Flask, clock: FakeClock, beijing: Somebody) -> None:
    tv = made(platform, clock)
    codes = started(tv)
    browsers = [tv.browser(beijing.id) for _ in range(THREADS)]
    pages = [look(browser, codes["user_code"])[1] for browser in browsers]
    said: list[str | None] = []

    def one(number: int) -> None:
        action = "allow" if number % 2 else "deny"
        said.append(browsers[number].post("/device", data={**pages[number], "action": action}, base_url=ISSUER).location)

    at_once(one)
    (word,) = [each for each in said if each is not None]
    with platform.app_context():
        row = session.query(DeviceAuthorization).one()
        assert (row.approved_at is None) != (row.denied_at is None)
        assert (row.approved_at is not None) is (word == "/device/allowed")
        assert session.query(Grant).count() == (row.approved_at is not None)
