"""One initial access token, many registrations at once: no more than it allows."""

import json
import threading
from pathlib import Path

import pytest
from flask import Flask

from idp.db import session
from idp.oidc.models import ClientRecord
from idp.settings import Settings
from tests.command_line import idp
from tests.conftest import SECRET
from tests.races.test_codes import THREADS, at_once
from tests.relying_party import ISSUER


@pytest.fixture
def settings(tmp_path: Path, database_url: str) -> Settings:
    return Settings(data_dir=tmp_path, secret_key=SECRET, database_url=database_url, client_registration="on")


@pytest.mark.store
@pytest.mark.spec("RFC 7591", "3")
def test_uses_are_counted_once_each(platform: Flask) -> None:
    token = json.loads(idp(platform, "client", "token", "--uses", "3", "--json").out)["initial_access_token"]
    statuses: list[int] = []

    def register(_number: int) -> None:
        sent, headers = {"redirect_uris": ["https://rp.example/cb"]}, {"Authorization": f"Bearer {token}"}
        statuses.append(platform.test_client().post("/oauth2/register", json=sent, headers=headers, base_url=ISSUER).status_code)

    at_once(register)
    assert sorted(statuses) == [201] * 3 + [401] * (THREADS - 3)
    with platform.app_context():
        assert session.query(ClientRecord).count() == 3


@pytest.mark.store
def test_deleting_and_changing_at_once_is_no_accident(platform: Flask) -> None:
    token = json.loads(idp(platform, "client", "token", "--json").out)["initial_access_token"]
    sent = {"redirect_uris": ["https://rp.example/cb"]}
    told = platform.test_client().post("/oauth2/register", json=sent, headers={"Authorization": f"Bearer {token}"}, base_url=ISSUER).get_json()
    headers, statuses, lock = {"Authorization": f"Bearer {told['registration_access_token']}"}, [], threading.Lock()

    def run(number: int) -> None:
        method = "DELETE" if number % 2 else "PUT"
        path, body = f"/oauth2/register/{told['client_id']}", {"client_id": told["client_id"], **sent}
        answer = platform.test_client().open(path, method=method, json=body, headers=headers, base_url=ISSUER)
        with lock:
            statuses.append(answer.status_code)

    at_once(run)
    assert set(statuses) <= {200, 204, 401}
    assert statuses.count(204) == 1
