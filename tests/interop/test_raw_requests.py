"""What no client library would send, over a plain socket to the real server."""

import socket

import pytest

from tests.interop.served import Platform

pytestmark = pytest.mark.slow

FORM = b"Content-Type: application/x-www-form-urlencoded\r\n"


def status(platform: Platform, start: bytes, headers: bytes = b"", body: bytes = b"", host: bytes | None = None) -> int:
    """The status of the answer to raw bytes."""
    named = b"127.0.0.1:%d" % platform.port if host is None else host
    with socket.create_connection(("127.0.0.1", platform.port), timeout=10) as connection:
        connection.sendall(start + b" HTTP/1.1\r\nHost: " + named + b"\r\nConnection: close\r\n" + headers + b"\r\n" + body)
        return int(connection.recv(4096).split(b" ", 2)[1])


@pytest.mark.parametrize(
    "target",
    [b"/hall?\x80", b"/\x80", b"/hall?%80", b"/\xc3\xa9", b"/hall?\xc3\xa9=1", b"//evil", b"/oauth2/token/../x", b"http://evil.example/x", b"*"],
)
@pytest.mark.parametrize("method", [b"GET", b"POST", b"TRACE", b"CONNECT", b"ODD"])
def test_odd_targets(platform: Platform, method: bytes, target: bytes) -> None:
    assert status(platform, method + b" " + target) < 500


@pytest.mark.parametrize("host", [b"\xff", b"evil.example", b"127.0.0.1:99999999", b"[::1", b"", b"127.0.0.1,evil.example"])
def test_odd_hosts(platform: Platform, host: bytes) -> None:
    assert status(platform, b"GET /.well-known/openid-configuration", host=host) == 400


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        (b"Content-Length: x\r\n", b""),
        (b"Content-Length: -1\r\n", b""),
        (b"Content-Length: 3\r\nContent-Length: 4\r\n", b"a=b"),
        (b"Transfer-Encoding: chunked\r\n", b"zz\r\n"),
        (b"Transfer-Encoding: chunked\r\n", b"20000\r\n" + b"a" * 0x20000 + b"\r\n0\r\n\r\n"),
        (b"Content-Encoding: gzip\r\nContent-Length: 3\r\n", b"a=b"),
        (b"Authorization: Basic \xff\xfe\r\nContent-Length: 3\r\n", b"a=b"),
        (b"Cookie: session=\xff\x80; lang=\xe4\r\nContent-Length: 3\r\n", b"a=b"),
    ],
)
@pytest.mark.parametrize("path", [b"/oauth2/token", b"/oauth2/authorize", b"/oauth2/logout", b"/signout"])
def test_odd_bodies_and_headers(platform: Platform, path: bytes, headers: bytes, body: bytes) -> None:
    assert 300 <= status(platform, b"POST " + path, FORM + headers, body) < 500
