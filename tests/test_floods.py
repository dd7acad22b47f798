"""Coarse limits on pages: per network, in Redis or in the process; against floods only, so they fail open (threats F)."""

import logging
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
from flask import Flask

from idp.adapters import Adapters
from idp.app import create_app
from idp.settings import Settings
from tests.conftest import SECRET
from tests.fakes import FakeClock, FakeWeb, LetterBox

MOST = 5
HERE = {"REMOTE_ADDR": "198.51.100.7"}
ISSUER = "http://127.0.0.1:8000"


def made(folder: Path, template: Path, redis_url: str = "", most: int = MOST) -> Flask:
    shutil.copy(template, folder / "idp.db")
    box = LetterBox()
    adapters = Adapters(clock=FakeClock(), mail=box.mail(), sms=box.sms(), outbound=FakeWeb())
    return create_app(Settings(data_dir=folder, secret_key=SECRET, requests_per_minute=most, redis_url=redis_url), adapters)


def statuses(app: Flask, count: int, path: str = "/help", **environment: str) -> list[int]:
    return [_status(app, path, environment) for _ in range(count)]


def _status(app: Flask, path: str, environment: dict[str, str]) -> int:
    with app.test_client().get(path, base_url=ISSUER, environ_overrides={**HERE, **environment}) as answer:
        return answer.status_code


@contextmanager
def redis(folder: Path, port: int = 0) -> Iterator[tuple[str, "subprocess.Popen[bytes]"]]:
    with socket.create_server(("127.0.0.1", port)) as free:
        port = free.getsockname()[1]
    command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        _wait_until_it_listens(port)
        yield f"redis://127.0.0.1:{port}/0", process
    finally:
        process.kill()
        process.wait(10)


def _wait_until_it_listens(port: int) -> None:
    end = time.monotonic() + 10
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            assert time.monotonic() < end, "no redis"
        else:
            return


def test_above_the_number_a_network_is_asked_to_wait_and_others_are_not(tmp_path: Path, sqlite_template: Path) -> None:
    app = made(tmp_path, sqlite_template)
    assert statuses(app, MOST) == [200] * MOST
    answer = app.test_client().get("/help/faq", base_url=ISSUER, environ_overrides=HERE)
    assert (answer.status_code, 1 <= int(answer.headers["Retry-After"]) <= 60) == (429, True)
    assert "问题编号" in answer.text
    assert "Content-Security-Policy" in answer.headers
    assert statuses(app, 1, REMOTE_ADDR="198.51.100.8") == [200]
    # whoever rotates addresses within one IPv6 network is one
    assert statuses(app, MOST, REMOTE_ADDR="2001:db8::1") == [200] * MOST
    assert statuses(app, 1, REMOTE_ADDR="2001:db8::2") == [429]
    assert statuses(app, 1, HTTP_X_FORWARDED_FOR="203.0.113.9") == [429]


def test_protocol_endpoints_and_files_are_not_counted(tmp_path: Path, sqlite_template: Path) -> None:
    app = made(tmp_path, sqlite_template)
    assert statuses(app, 3 * MOST, "/.well-known/openid-configuration") == [200] * 3 * MOST
    assert statuses(app, 3 * MOST, "/static/site.css") == [200] * 3 * MOST
    assert statuses(app, 1) == [200]


def test_0_is_no_limit(tmp_path: Path, sqlite_template: Path) -> None:
    assert statuses(made(tmp_path, sqlite_template, most=0), 3 * MOST) == [200] * 3 * MOST


def test_workers_count_together_in_redis(tmp_path: Path, sqlite_template: Path) -> None:
    folders = [tmp_path / name for name in "ab"]
    for folder in folders:
        folder.mkdir()
    with redis(tmp_path) as (url, _):
        one, two = (made(folder, sqlite_template, url) for folder in folders)
        assert statuses(one, 3) + statuses(two, 3) == [200] * MOST + [429]


def test_where_redis_dies_pages_go_on(tmp_path: Path, sqlite_template: Path) -> None:
    with redis(tmp_path) as (url, process):
        app = made(tmp_path, sqlite_template, url)
        assert statuses(app, MOST + 1) == [200] * MOST + [429]
        process.kill()
        process.wait(10)
        # each process counts for itself meanwhile
        assert statuses(app, MOST) == [200] * MOST


def test_when_redis_is_back_it_counts_again_and_the_log_says_each_once(
    tmp_path: Path, sqlite_template: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "flask-limiter")
    with redis(tmp_path) as (url, _):
        app = made(tmp_path, sqlite_template, url)
        assert statuses(app, MOST + 1) == [200] * MOST + [429]
    caplog.clear()
    assert statuses(app, MOST) == [200] * MOST
    with redis(tmp_path, int(url.split(":")[2].removesuffix("/0"))):
        # the limiter looks for it again after a while
        monkeypatch.setattr("flask_limiter._extension.time", SimpleNamespace(time=lambda: time.time() + 60))
        assert statuses(app, MOST + 1) == [200] * MOST + [429]
    told = [record.levelname for record in caplog.records if "storage" in record.message]
    assert told == ["WARNING", "INFO"]


def test_a_redis_that_hangs_holds_no_page_up(tmp_path: Path, sqlite_template: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("idp.floods.REDIS_SECONDS", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        app = made(tmp_path, sqlite_template, f"redis://127.0.0.1:{mute.getsockname()[1]}/0")
        began = time.monotonic()
        assert statuses(app, MOST) == [200] * MOST
        assert time.monotonic() - began < 5, "the client's own patience is 5 s a call"


def test_where_redis_never_was_pages_go_on(tmp_path: Path, sqlite_template: Path) -> None:
    assert statuses(made(tmp_path, sqlite_template, "redis://127.0.0.1:1/0"), MOST) == [200] * MOST
