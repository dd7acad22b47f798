"""Short messages through a gateway: a real HTTP server on loopback, with faults (docs/sms-gateway.md)."""

import hmac
import json
import socket
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

import pytest
from flask import Flask
from pydantic import SecretStr, ValidationError
from sqlalchemy import select

from idp.adapters import Unreachable
from idp.app import adapters_for, handlers
from idp.db import session, transaction
from idp.messages.absent import Sms as Absent
from idp.messages.sms_gateway import Refused, Sms
from idp.one_time_codes import codes
from idp.outbox.models import OutboxItem
from idp.settings import Settings
from idp.worker import deliver
from tests.conftest import SECRET
from tests.fakes import FakeClock
from tests.test_outbound import client, saying, serving

pytestmark = pytest.mark.usefixtures("context")
KEY, MOBILE = "s" * 32, "+8613800138000"


def answer(status: int) -> bytes:
    return f"HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n".encode()


@dataclass
class Gateway:
    """Answers by turns; None: takes the request and cuts the line."""

    turns: list[int | None]
    seen: list[str] = field(default_factory=list)

    def talk(self, line: socket.socket) -> None:
        turn = self.turns.pop(0)
        if turn is None:
            line.close()
        else:
            line.sendall(answer(turn))


def split(asked: bytes) -> tuple[dict[str, str], bytes]:
    head, _, body = asked.partition(b"\r\n\r\n")
    lines = [line.partition(": ") for line in head.decode().split("\r\n")[1:]]
    return {name.lower(): value for name, _, value in lines}, body


def sms(port: int, seconds: float = 5.0) -> Sms:
    return Sms(f"http://127.0.0.1:{port}/send", KEY, client(f"127.0.0.1:{port}", seconds=seconds), FakeClock())


def test_what_is_sent_is_signed_over_time_and_body() -> None:
    with serving(saying(answer(202))) as server:
        sms(server.port).send(MOBILE, "短信验证码 123456")
    headers, body = split(server.asked[0])
    assert json.loads(body)["to"] == MOBILE
    assert json.loads(body)["text"] == "短信验证码 123456"
    assert headers["x-signature"] == hmac.new(KEY.encode(), f"{headers['x-timestamp']}\n".encode() + body, sha256).hexdigest()
    assert headers["x-timestamp"] == str(int(FakeClock().now().timestamp()))
    assert headers["content-type"] == "application/json"


@pytest.mark.parametrize("status", [200, 201, 204, 409])
def test_taken_now_or_before_is_delivered(status: int) -> None:
    with serving(saying(answer(status))) as server:
        sms(server.port).send(MOBILE, "x")
    assert len(server.asked) == 1


@pytest.mark.parametrize("status", [301, 400, 401, 404, 429, 500, 503])
def test_anything_else_is_tried_again(status: int) -> None:
    with serving(saying(answer(status))) as server, pytest.raises(Refused, match=str(status)):
        sms(server.port).send(MOBILE, "x")


def test_a_gateway_that_hangs_or_is_away_costs_its_time_and_is_tried_again() -> None:
    def hang(line: socket.socket) -> None:
        line.recv(1)  # a byte that never comes

    with serving(hang) as server, pytest.raises(Unreachable, match="time"):
        sms(server.port, 0.2).send(MOBILE, "x")
    with pytest.raises(Unreachable, match="connection"):
        sms(server.port).send(MOBILE, "x")


@pytest.mark.requirement("R58")
@pytest.mark.store
def test_a_message_has_one_key_however_often_it_is_tried(app: Flask, clock: FakeClock) -> None:
    gateway = Gateway([500, None, 409, 200])
    with serving(gateway.talk) as server:
        runtime = app.extensions["idp"]
        adapters = runtime.adapters
        adapters = type(adapters)(clock=clock, mail=adapters.mail, sms=sms(server.port), outbound=adapters.outbound)
        due = handlers(adapters, runtime.settings, SECRET)
        with app.app_context(), transaction():
            codes.send("recovery", "s", "mobile", MOBILE, clock.now(), secret=SECRET)
        for _ in range(3):
            deliver(app, due)
            clock.advance(minutes=2)
        with app.app_context():
            assert session.scalars(select(OutboxItem)).all() == [], "409: an earlier try had got through"
        with app.app_context(), transaction():
            codes.send("recovery", "t", "mobile", MOBILE, clock.now(), secret=SECRET)
        deliver(app, due)
    keys = [(headers["idempotency-key"], json.loads(body)["id"]) for headers, body in map(split, server.asked)]
    assert len(keys) == 4
    assert len({*keys[0], *keys[1], *keys[2]}) == 1
    assert len({key for key, _ in keys}) == 2


def test_the_settings_say_whether_there_is_a_gateway(tmp_path: Path) -> None:
    without = Settings(delivery="smtp", smtp_url="smtp://127.0.0.1:25", data_dir=tmp_path, secret_key=SECRET)
    assert (without.code_channels, type(adapters_for(without).sms)) == (("email",), Absent)
    with_one = without.model_copy(update={"sms_url": "https://sms.example.cn/send", "sms_secret": SecretStr(KEY)})
    assert (with_one.code_channels, type(adapters_for(with_one).sms)) == (("mobile", "email"), Sms)
    assert KEY not in repr(with_one)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"sms_secret": "short"}, "sms_secret: 32 characters"),
        ({"sms_url": "ftp://x/"}, "must be an http"),
        ({"sms_url": "https://user:p@x/"}, "without a user name"),
        ({"delivery": "console", "smtp_url": ""}, "delivery by console sends nothing"),
    ],
)
def test_half_a_gateway_stops_the_start(tmp_path: Path, changes: dict[str, str], told: str) -> None:
    whole = {"delivery": "smtp", "smtp_url": "smtp://127.0.0.1:25", "sms_url": "https://sms.example.cn/send", "sms_secret": KEY}
    with pytest.raises(ValidationError, match=told):
        Settings(data_dir=tmp_path, secret_key=SECRET, **{**whole, **changes})  # type: ignore[arg-type]  # pydantic reads them
