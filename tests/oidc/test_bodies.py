"""How much of a body is read: 64 KiB, also where Content-Length says nothing of it (RFC 9112 §7.1: chunked)."""

import io
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from idp.db import transaction
from idp.oidc import dynamic_registration
from idp.oidc.endpoints import body, register
from idp.settings import Settings
from tests.conftest import SECRET
from tests.fakes import FakeClock
from tests.relying_party import ISSUER, RelyingParty

FORM = "application/x-www-form-urlencoded"
# where, of what kind, what 64 KiB of a parameter that nobody knows are answered, and more than that
PLACES = [
    *((f"/oauth2/{name}", FORM, 401, 400) for name in ("token", "par", "revoke", "introspect", "device")),
    ("/oauth2/logout", FORM, 303, 400),
]


class Counted(io.BytesIO):
    """A body that comes in pieces, and how much of it was taken."""

    taken = 0

    def read(self, size: int | None = -1) -> bytes:
        found = super().read(size)
        self.taken += len(found)
        return found

    def readinto(self, buffer: Any) -> int:
        found = super().readinto(buffer)
        self.taken += found
        return found


@pytest.fixture
def settings(tmp_path: Any, database_url: str) -> Settings:
    return Settings(data_dir=tmp_path, secret_key=SECRET, database_url=database_url, client_registration="on", device_grant="on")


def chunked(app: Flask, path: str, kind: str, sent: Counted, headers: dict[str, str] | None = None) -> TestResponse:
    environ: dict[str, Any] = {"wsgi.input": sent, "wsgi.input_terminated": True, "HTTP_TRANSFER_ENCODING": "chunked"}
    return app.test_client().open(path, method="POST", content_type=kind, headers=headers, environ_overrides=environ, base_url=ISSUER)


@pytest.mark.parametrize(("path", "kind", "within", "beyond"), PLACES)
def test_no_more_is_read_than_is_allowed(platform: Flask, path: str, kind: str, within: int, beyond: int) -> None:
    filled = b"x=" + b"y" * (body.MAX_BODY_BYTES - 2)
    assert chunked(platform, path, kind, Counted(filled)).status_code == within
    for more in (1, 10_000_000):
        huge = Counted(filled + b"y" * more)
        assert chunked(platform, path, kind, huge).status_code == beyond
        assert huge.taken <= body.MAX_BODY_BYTES + 1
        told = platform.test_client().post(path, data=filled + b"y" * more, content_type=kind, base_url=ISSUER)
        assert told.status_code == beyond


@pytest.mark.parametrize("ending", ["&", "&state=x"])
def test_what_was_cut_off_is_not_taken_for_the_whole(rp: RelyingParty, ending: str) -> None:
    """A good request, filled up to the bound; what stands behind that would change it."""
    for path, status in (("/oauth2/authorize", 303), ("/oauth2/par", 201)):
        asked = urlencode(rp.request()).encode() + b"&x="
        filled = asked + b"y" * (body.MAX_BODY_BYTES - len(asked))
        assert chunked(rp.app, path, FORM, Counted(filled), rp.basic()).status_code == status
        answer = chunked(rp.app, path, FORM, Counted(filled + ending.encode()), rp.basic())
        assert answer.status_code == 400, answer.location


def test_nor_is_a_registration(platform: Flask, clock: FakeClock) -> None:
    with platform.app_context(), transaction():
        leave = dynamic_registration.allow("default", 9, clock.now() + timedelta(days=1), clock.now())
    sent = b'{"redirect_uris":["https://rp.example/cb"]}'
    filled = sent + b" " * (register.MAX_BODY_BYTES - len(sent))
    for more, status in ((b"", 201), (b" ", 400), (b"x" * 10_000_000, 400)):
        answer = chunked(platform, "/oauth2/register", "application/json", Counted(filled + more), {"Authorization": f"Bearer {leave}"})
        assert answer.status_code == status, answer.json
