"""The one way out: an HTTP client that strangers' URLs cannot turn against this network.

1 the URL names https (http only where the operator allows the very host:port)  2 its name is resolved once  3 every address is public, or the
host:port is allowed  4 the connection goes to the address that was judged, under the URL's name (no rebinding)  5 no redirect is followed, no
proxy and no compression asked for  6 size and whole time are bounded. Never inside a transaction.
"""

import copy
import http.client
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any, Self
from urllib.parse import SplitResult, urlencode, urlsplit

from idp.adapters import Fetched, Unreachable
from idp.db import session
from idp.settings import Settings

WHOLE_SECONDS = 5.0
MOST_BYTES = 64 * 1024
MAX_URL_CHARACTERS = 2000
USER_AGENT = "licence-idp"
NONE: Mapping[str, str] = {}
DEFAULT_PORTS = {"https": 443, "http": 80}
# of IPv6 only what is routed; translators (NAT64 lies outside, 6to4 and Teredo within) would lead back to IPv4
_ROUTED = ip_network("2000::/3")
_TRANSLATED = (ip_network("2002::/16"), ip_network("2001::/32"))

Address = tuple[socket.AddressFamily, tuple[Any, ...]]
Resolver = Callable[[str, int], Sequence[Address]]


@dataclass(frozen=True)
class Target:
    """A URL taken apart; `path` is path and query, `place` is host:port as the allow-list writes it."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def place(self) -> str:
        """`host:port`, an IPv6 address in brackets."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def is_public(address: str) -> bool:
    """Whether an address is one of the Internet, however it is written: no private, shared, loopback, link-local, multicast, translated one."""
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(parsed, IPv4Address):
        return parsed.is_global and not parsed.is_multicast
    return _routed(parsed)


def _routed(address: IPv6Address) -> bool:
    return address in _ROUTED and address.is_global and not any(address in network for network in _TRANSLATED)


def take_apart(url: str) -> Target:
    """The parts of an http(s) URL; Unreachable("url") if it is anything else."""
    if len(url) > MAX_URL_CHARACTERS or not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
        raise Unreachable("url")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise Unreachable("url") from error
    if parts.scheme not in DEFAULT_PORTS or not parts.hostname or "@" in parts.netloc or port == 0:
        raise Unreachable("url")
    return Target(parts.scheme, parts.hostname, port or DEFAULT_PORTS[parts.scheme], _path(parts))


def _path(parts: SplitResult) -> str:
    return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def resolve(host: str, port: int) -> Sequence[Address]:
    """Every address of a name by the machine's resolver, which also reads decimal, octal and short forms; OSError if there is none."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [(family, address) for family, _, _, _, address in found]


class Client:
    """The safe client of one process. Every failure is Unreachable, whose reason never tells what is inside the network."""

    def __init__(self, settings: Settings, resolver: Resolver = resolve, whole_seconds: float = WHOLE_SECONDS) -> None:
        """What the operator allows and trusts is in the settings; `resolver` is name and port → addresses."""
        self._allowed = frozenset(place.lower() for place in settings.outbound_allow)
        self._resolver = resolver
        self._whole_seconds = whole_seconds
        self._until: float | None = None
        self._tls = ssl.create_default_context()
        self._tls.minimum_version = ssl.TLSVersion.TLSv1_2
        if settings.outbound_ca_file is not None:
            self._tls.load_verify_locations(cafile=settings.outbound_ca_file)

    def get(self, url: str, *, most: int = MOST_BYTES) -> Fetched:
        """GET, at most `most` bytes of body."""
        return self._exchange("GET", url, None, {"Accept": "application/json, */*;q=0.5"}, most)

    def post(self, url: str, form: Mapping[str, str], *, most: int = MOST_BYTES) -> Fetched:
        """POST of a form."""
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        return self._exchange("POST", url, urlencode(form).encode(), headers, most)

    def push(self, url: str, kind: str, body: bytes, *, most: int = MOST_BYTES, headers: Mapping[str, str] = NONE) -> Fetched:
        """POST of a body of the media type `kind`, with further headers."""
        return self._exchange("POST", url, body, {"Content-Type": kind, "Accept": "application/json", **headers}, most)

    def refuses(self, url: str) -> str | None:
        """Whether `url` would not be called at all, as a stable code, for registration; a name without an address is let pass.

        So is one without an address in time, unless the time is shared: nothing after it could be judged.
        """
        try:
            self._judged(take_apart(url), self._resolver_until(self._end()))
        except Unreachable as error:
            return None if error.reason == "name" or (error.reason == "time" and self._until is None) else error.reason
        return None

    def together(self) -> "Client":
        """The same, whose calls have one whole time together, which begins now."""
        shared = copy.copy(self)
        shared._until = time.monotonic() + self._whole_seconds  # noqa: SLF001  # a copy of ours
        return shared

    def _end(self) -> float:
        return time.monotonic() + self._whole_seconds if self._until is None else self._until

    def public_only(self) -> "Client":
        """The same, for which no place in a private network is allowed."""
        strict = copy.copy(self)
        strict._allowed = frozenset()  # noqa: SLF001  # a copy of ours
        return strict

    def _resolver_until(self, until: float) -> Resolver:
        return lambda host, port: _in_time(lambda: self._resolver(host, port), until)

    def _judged(self, target: Target, resolver: Resolver) -> Sequence[Address]:
        allowed = target.place in self._allowed
        if target.scheme == "http" and not allowed:
            raise Unreachable("scheme")
        try:
            addresses = resolver(target.host, target.port)
        except Unreachable:
            raise
        except (OSError, UnicodeError) as error:
            raise Unreachable("name") from error
        # one private address among public ones is refused as well: nobody has that by accident
        if not allowed and not all(is_public(str(address[0])) for _, address in addresses):
            raise Unreachable("address")
        return addresses

    def _exchange(self, method: str, url: str, body: bytes | None, headers: Mapping[str, str], most: int) -> Fetched:
        if session.info.get("writing"):
            raise RuntimeError("an outgoing request inside a transaction")
        until = self._end()
        target = take_apart(url)
        addresses = self._judged(target, self._resolver_until(until))
        with _connected(addresses, until) as raw, _Deadline(raw, until) as deadline:
            try:
                answer = self._talk(raw, target, (method, body, headers), most)
            except (OSError, http.client.HTTPException, ValueError) as error:
                raise Unreachable("time" if deadline.passed else _reason(error)) from error
            # a connection cut off looks like the end of a body without a length
            if deadline.passed:
                raise Unreachable("time")
            return answer

    def _talk(self, raw: socket.socket, target: Target, sent: tuple[str, bytes | None, Mapping[str, str]], most: int) -> Fetched:
        method, body, headers = sent
        connection = http.client.HTTPConnection(target.host, target.port)
        # 4: the name is only for certificate and Host; http.client finds the connection made already
        connection.sock = self._tls.wrap_socket(raw, server_hostname=target.host) if target.scheme == "https" else raw
        host = target.place.removesuffix(f":{DEFAULT_PORTS[target.scheme]}")
        try:
            connection.request(method, target.path, body, {"Host": host, "User-Agent": USER_AGENT, "Connection": "close", **headers})
            with connection.getresponse() as response:
                content = response.read(most + 1)
                if len(content) > most:
                    raise Unreachable("size")
                if response.length:
                    raise Unreachable("connection")
                return Fetched(response.status, content)
        finally:
            connection.close()


def _reason(error: Exception) -> str:
    if isinstance(error, Unreachable):
        return error.reason
    # the time-out of a single read is what was left of the whole time
    if isinstance(error, TimeoutError):
        return "time"
    return "tls" if isinstance(error, ssl.SSLError | ssl.CertificateError) else "connection"


def _in_time(look_up: Callable[[], Sequence[Address]], until: float) -> Sequence[Address]:
    """What the resolver says before `until`; it knows no time-out of its own, so a thread is left behind to finish."""
    if until <= time.monotonic():
        raise Unreachable("time")
    found: list[Sequence[Address]] = []
    failed: list[OSError | UnicodeError] = []

    def run() -> None:
        try:
            found.append(look_up())
        except (OSError, UnicodeError) as error:
            failed.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(max(0.0, until - time.monotonic()))
    if failed:
        raise failed[0]
    if not found:
        raise Unreachable("time")
    return found[0]


def _connected(addresses: Sequence[Address], until: float) -> socket.socket:
    """A connection to the first address that answers."""
    for family, address in addresses:
        left = until - time.monotonic()
        if left <= 0:
            break
        attempt = socket.socket(family, socket.SOCK_STREAM)
        try:
            attempt.settimeout(left)
            attempt.connect(address)
        except OSError:
            attempt.close()
        else:
            return attempt
    raise Unreachable("connection" if until > time.monotonic() else "time")


class _Deadline:
    """Cuts a connection off when the whole time is over: a server that drips a byte a second meets no time-out of a single read."""

    def __init__(self, raw: socket.socket, until: float) -> None:
        # TLS takes the descriptor over from `raw`; the duplicate reaches the same connection
        self._line = raw.dup()
        self._timer = threading.Timer(max(0.0, until - time.monotonic()), self._cut)
        self._timer.daemon = True
        self.passed = False

    def _cut(self) -> None:
        self.passed = True
        try:
            self._line.shutdown(socket.SHUT_RDWR)
        except OSError:  # the other side was faster
            return

    def __enter__(self) -> Self:
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        self._timer.join()
        self._line.close()
