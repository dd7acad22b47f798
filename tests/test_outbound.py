"""The safe outgoing client against real servers on loopback, which only the allow-list opens."""

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from pydantic import ValidationError

from idp import outbound
from idp.adapters import Unreachable
from idp.db import transaction
from idp.outbound import Address, Client, is_public
from idp.settings import Settings

pytestmark = pytest.mark.usefixtures("context")
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
Talk = Callable[[socket.socket], None]


class Server:
    """Answers each connection with `talk`; keeps what was asked."""

    def __init__(self, talk: Talk, tls: ssl.SSLContext | None = None) -> None:
        self.talk, self.tls = talk, tls
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]
        self.asked: list[bytes] = []

    def run(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            with connection:
                try:
                    line = self.tls.wrap_socket(connection, server_side=True) if self.tls else connection
                    asked = line.recv(65536)
                    # head and body of a POST are two writes
                    self.asked.append(asked + (line.recv(65536) if asked.startswith(b"POST") and asked.endswith(b"\r\n\r\n") else b""))
                    self.talk(line)
                    line.close()
                except OSError:
                    continue


@contextmanager
def serving(talk: Talk, tls: ssl.SSLContext | None = None) -> Iterator[Server]:
    server = Server(talk, tls)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.listener.shutdown(socket.SHUT_RDWR)
        server.listener.close()
        thread.join(5)


def saying(answer: bytes) -> Talk:
    return lambda line: line.sendall(answer)


def client(*allow: str, seconds: float = 5.0, resolver: outbound.Resolver = outbound.resolve, ca: Path | None = None) -> Client:
    return Client(Settings(outbound_allow=allow, outbound_ca_file=ca), resolver, seconds)


def reason(call: Callable[[], object]) -> str:
    with pytest.raises(Unreachable) as caught:
        call()
    return caught.value.reason


def test_an_allowed_place_is_reached_and_told_the_name() -> None:
    with serving(saying(OK)) as server:
        found = client(f"localhost:{server.port}").get(f"http://localhost:{server.port}/keys?x=1")
        assert (found.status, found.body) == (200, b"hi")
    head = server.asked[0]
    assert head.startswith(b"GET /keys?x=1 HTTP/1.1\r\n")
    assert f"Host: localhost:{server.port}\r\n".encode() in head
    assert b"Accept-Encoding: identity" in head


def test_a_form_is_posted() -> None:
    with serving(saying(b"HTTP/1.1 204 No Content\r\n\r\n")) as server:
        assert client(f"127.0.0.1:{server.port}").post(f"http://127.0.0.1:{server.port}/", {"logout_token": "a+b"}).status == 204
    assert server.asked[0].endswith(b"logout_token=a%2Bb")


@pytest.mark.spec("RFC 8935", "2.1")
def test_a_body_is_pushed_as_it_is() -> None:
    with serving(saying(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n")) as server:
        assert client(f"127.0.0.1:{server.port}").push(f"http://127.0.0.1:{server.port}/", "application/secevent+jwt", b"a.b+c.d").status == 202
    head, _, body = server.asked[0].partition(b"\r\n\r\n")
    assert body == b"a.b+c.d"
    assert b"Content-Type: application/secevent+jwt" in head
    assert b"Accept: application/json" in head


@pytest.mark.spec("RFC 7591", "5")
@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "localhost", "0", "[::1]", "[::ffff:127.0.0.1]", "[::]"),
        *("169.254.169.254", "10.0.0.1", "192.168.1.1", "172.16.0.1", "100.64.0.1", "224.0.0.1", "255.255.255.255"),
        *("[fe80::1]", "[fc00::1]", "[fec0::1]", "[ff02::1]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]", "[2001:db8::1]", "[::127.0.0.1]"),
    ],
)
def test_no_spelling_of_a_private_address_is_called(host: str) -> None:
    with serving(saying(OK)) as server:
        for scheme in ("https", "http"):
            url = f"{scheme}://{host}:{server.port}/"
            assert reason(lambda url=url: client().get(url)) in ("address", "scheme", "name")  # type: ignore[misc]  # mypy cannot infer defaults of lambdas
        assert server.asked == []


def test_the_allow_list_opens_exactly_one_port_of_one_name() -> None:
    with serving(saying(OK)) as server, serving(saying(OK)) as other:
        allowed = client(f"127.0.0.1:{server.port}")
        assert allowed.get(f"http://127.0.0.1:{server.port}").status == 200
        for url in (f"http://127.0.0.1:{other.port}/", f"http://localhost:{server.port}/"):
            assert reason(lambda url=url: allowed.get(url)) == "scheme"  # type: ignore[misc]  # as above
        assert reason(lambda: allowed.get(f"https://127.0.0.1:{other.port}/")) == "address"
        assert other.asked == []


@pytest.mark.parametrize(
    "url",
    [
        *("file:///etc/passwd", "ftp://example.org/", "gopher://example.org/", "//example.org/", "https://", "https:///x", "", "x" * 3000),
        *(
            "https://a@example.org/",
            "https://example.org@127.0.0.1/",
            "https://example.org:99999/",
            "https://example.org:0/",
            "https://ex ample.org/",
        ),
        *("https://example.org/\r\nHost: x", "https://example.org\\@127.0.0.1/", "https://例子.cn/", "https://[::1/"),
    ],
)
def test_what_is_no_http_url_is_not_called(url: str) -> None:
    assert reason(lambda: client().get(url)) == "url"


def test_redirects_are_not_followed() -> None:
    with serving(saying(OK)) as inside:
        redirect = b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:%d/\r\nContent-Length: 0\r\n\r\n" % inside.port
        with serving(saying(redirect)) as server:
            assert client(f"127.0.0.1:{server.port}").get(f"http://127.0.0.1:{server.port}/").status == 302
        assert inside.asked == []


@pytest.mark.parametrize("head", [b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 1048576\r\n\r\n"])
def test_a_large_answer_is_dropped(head: bytes) -> None:
    with serving(saying(head + b"x" * 1024 * 1024)) as server:
        assert reason(lambda: client(f"127.0.0.1:{server.port}").get(f"http://127.0.0.1:{server.port}/")) == "size"


def _drip(opening: bytes) -> Talk:
    def talk(line: socket.socket) -> None:
        line.sendall(opening)
        for _ in range(100):
            line.sendall(b"x")
            time.sleep(0.05)

    return talk


@pytest.mark.parametrize(
    "opening", [b"", b"HTTP/1.1 200 OK\r\nX-Long: ", b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n"]
)
def test_a_dripping_server_costs_the_whole_time_and_no_more(opening: bytes) -> None:
    with serving(_drip(opening)) as server:
        began = time.monotonic()
        assert reason(lambda: client(f"127.0.0.1:{server.port}", seconds=0.4).get(f"http://127.0.0.1:{server.port}/")) == "time"
        assert time.monotonic() - began < 2


def _wait(gate: threading.Event) -> None:
    gate.wait(3)


def test_a_silent_server_and_a_silent_resolver_are_left_in_time() -> None:
    gate = threading.Event()
    with serving(lambda _line: _wait(gate)) as server:
        assert reason(lambda: client(f"127.0.0.1:{server.port}", seconds=0.2).get(f"http://127.0.0.1:{server.port}/")) == "time"
        gate.set()

    def never(_host: str, _port: int) -> Sequence[Address]:
        gate.clear()
        gate.wait(3)
        return []

    assert reason(lambda: client(seconds=0.2, resolver=never).get("https://example.org/")) == "time"
    gate.set()


@pytest.mark.parametrize(
    "answer", [b"", b"\x00\xff\xfe", b"HTTP/1.1 abc\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nshort", b"A" * 100_000]
)
def test_nonsense_is_unreachable(answer: bytes) -> None:
    with serving(saying(answer)) as server:
        assert reason(lambda: client(f"127.0.0.1:{server.port}").get(f"http://127.0.0.1:{server.port}/")) == "connection"


def test_a_rebinding_name_is_asked_once_and_never_reached() -> None:
    with serving(saying(OK)) as server:
        asked = 0

        def rebinding(_host: str, port: int) -> Sequence[Address]:
            nonlocal asked
            asked += 1
            # a public address for the judge, this machine for whoever asks again
            return [(socket.AF_INET, ("203.0.113.1" if asked == 1 else "127.0.0.1", port))]

        safe = client(seconds=0.3, resolver=rebinding)
        assert reason(lambda: safe.get(f"https://rebind.example:{server.port}/")) in ("address", "time", "connection")
        assert (asked, server.asked) == (1, [])


def test_one_private_address_among_public_ones_is_enough_to_refuse() -> None:
    mixed = client(resolver=lambda _host, port: [(socket.AF_INET, ("8.8.8.8", port)), (socket.AF_INET, ("10.0.0.1", port))])
    assert reason(lambda: mixed.get("https://mixed.example/")) == "address"


def test_what_would_never_be_called_is_refused_at_registration() -> None:
    assert client().refuses("https://127.0.0.1/jwks") == "address"
    assert client().refuses("http://8.8.8.8/jwks") == "scheme"
    assert client().refuses("https://8.8.8.8/jwks") is None
    assert client("127.0.0.1:443").refuses("https://127.0.0.1/jwks") is None

    def nobody(_host: str, _port: int) -> Sequence[Address]:
        raise OSError("no such name")

    assert client(resolver=nobody).refuses("https://not-there-yet.example/jwks") is None


def test_never_inside_a_transaction() -> None:
    with transaction(), pytest.raises(RuntimeError, match="transaction"):
        client().get("https://example.org/")


@pytest.mark.parametrize(("address", "public"), [("8.8.8.8", True), ("2606:4700::1111", True), ("::ffff:8.8.8.8", False), ("x", False)])
def test_public_addresses(address: str, public: bool) -> None:
    assert is_public(address) is public


@pytest.mark.parametrize("place", ["127.0.0.1", "http://127.0.0.1:80", "a:b", ":80", "a/b:80"])
def test_the_allow_list_holds_places(place: str) -> None:
    with pytest.raises(ValidationError):
        Settings(outbound_allow=(place,))


# --- TLS ------------------------------------------------------------------------------------------------------------------------------------


def certificate(folder: Path) -> tuple[Path, ssl.SSLContext]:
    """A CA of its own that signs a certificate for localhost; where the CA stands, and a server's context."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
    builder = builder.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
    alternative = x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))])
    signed = builder.add_extension(alternative, critical=False).add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    pem = signed.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    (folder / "ca.pem").write_bytes(pem)
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "server.pem").write_bytes(private + pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem")
    return folder / "ca.pem", context


def test_tls_is_proven_by_the_name_of_the_url(tmp_path: Path) -> None:
    ca, tls = certificate(tmp_path)
    with serving(saying(OK), tls) as server:
        place = f"localhost:{server.port}"
        assert client(place, ca=ca).get(f"https://{place}/").body == b"hi"
        assert reason(lambda: client(place).get(f"https://{place}/")) == "tls"

        def here(_host: str, port: int) -> Sequence[Address]:
            return [(socket.AF_INET, ("127.0.0.1", port))]

        other = f"other.example:{server.port}"
        assert reason(lambda: client(other, ca=ca, resolver=here).get(f"https://{other}/")) == "tls"


def test_old_tls_is_refused(tmp_path: Path) -> None:
    ca, tls = certificate(tmp_path)
    tls.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        tls.minimum_version = tls.maximum_version = ssl.TLSVersion.TLSv1_1
    with serving(saying(OK), tls) as server:
        place = f"localhost:{server.port}"
        assert reason(lambda: client(place, ca=ca).get(f"https://{place}/")) in ("tls", "connection")


def test_what_is_allowed_is_not_for_strangers() -> None:
    with serving(saying(OK)) as server:
        url = f"http://127.0.0.1:{server.port}/"
        operators = client(f"127.0.0.1:{server.port}")
        strangers = operators.public_only()
        assert (operators.refuses(url), strangers.refuses(url)) == (None, "scheme")
        assert strangers.refuses(f"https://127.0.0.1:{server.port}/") == "address"
        assert reason(lambda: strangers.get(url)) == "scheme"
        assert operators.get(url).status == 200
        assert len(server.asked) == 1


def test_a_slow_resolver_holds_no_registration_up() -> None:
    released = threading.Event()

    def slow(host: str, port: int) -> Sequence[Address]:
        released.wait(20)
        return []

    started = time.monotonic()
    try:
        assert client(seconds=0.2, resolver=slow).refuses("https://slow.example/") is None
        assert time.monotonic() - started < 5
    finally:
        released.set()


def test_calls_that_belong_together_share_one_time() -> None:
    asked: list[str] = []
    clock = [100.0]

    def slow(host: str, port: int) -> Sequence[Address]:
        asked.append(host)
        clock[0] += 3
        return [(socket.AF_INET, ("1.1.1.1", port))]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("idp.outbound.time.monotonic", lambda: clock[0])
        whole = client(resolver=slow)
        shared = whole.together()
        assert [shared.refuses(f"https://{name}.example/") for name in "abcd"] == [None, None, "time", "time"]
        assert reason(lambda: shared.get("https://e.example/")) == "time"
        assert asked == ["a.example", "b.example"]
        # what nobody waits for has its time each time
        assert [whole.refuses(f"https://{name}.example/") for name in "fgh"] == [None] * 3
        assert shared.public_only().refuses("https://i.example/") == "time"
