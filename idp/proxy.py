"""The trusted proxy: whose X-Forwarded-* headers count, which client certificate it hands on; the unit of an address that limits count by."""

import base64
import binascii
import hmac
import re
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Any
from urllib.parse import unquote, urlsplit
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from werkzeug.middleware.proxy_fix import ProxyFix

MAX_CERTIFICATE_CHARACTERS = 16 * 1024
# our own header line and the whole of what it may hold (RFC 8941 §3.3.5, RFC 9440 §2.1)
_BYTE_SEQUENCE = re.compile(r":([A-Za-z0-9+/]+={0,2}):")
_PEM = re.compile(r"-----BEGIN CERTIFICATE-----\r?\n([A-Za-z0-9+/=\r\n]+)-----END CERTIFICATE-----\s*")
_PORTS = {"https": 443, "http": 80}


def environ_name(header: str) -> str:
    """How WSGI calls a header."""
    return "HTTP_" + header.upper().replace("-", "_")


class TrustedProxy:
    """X-Forwarded-For, -Proto, -Host and the client certificate count only from the configured proxies; from anyone else they are dropped."""

    FORWARDED = ("HTTP_FORWARDED", *(f"HTTP_X_FORWARDED_{part}" for part in ("FOR", "PROTO", "HOST", "PORT", "PREFIX")))

    def __init__(self, inner: WSGIApplication, networks: tuple[str, ...], certificate_header: str = "") -> None:
        """Wrap `inner`; `networks` are addresses or CIDR networks; `certificate_header` is also taken from nobody else."""
        self.inner = inner
        self.behind = ProxyFix(inner, x_for=1, x_proto=1, x_host=1)
        self.dropped = (*self.FORWARDED, *([environ_name(certificate_header)] if certificate_header else []))
        self.networks = [ip_network(network) for network in networks]

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Any:
        """Decide by the socket's own address."""
        if self.trusts(environ.get("REMOTE_ADDR", "")):
            return self.behind(environ, start_response)
        for name in self.dropped:
            environ.pop(name, None)
        return self.inner(environ, start_response)

    def trusts(self, address: str) -> bool:
        """Whether `address` is one of the configured proxies."""
        try:
            parsed = ip_address(address)
        except ValueError:
            return False
        return any(parsed in network for network in self.networks)


# --- certificates ---------------------------------------------------------------------------------------------------------------------------


def came_to(url: str, host_url: str, issuer: str) -> bool:
    """Whether a request for `url` came to the host of its own at `host_url`: by its name, and by its port only where that name is the issuer's.

    A proxy may leave the port out, or name its inner one.
    """
    came, own = _place(url), _place(host_url)
    return bool(host_url) and (came == own if own[0] == _place(issuer)[0] else came[0] == own[0])


def _place(url: str) -> tuple[str | None, int | None]:
    parts = urlsplit(url)
    return parts.hostname, parts.port or _PORTS.get(parts.scheme)


def handed_on(header: str | None, secret: str) -> str | None:
    """What stands behind the secret that only the trusted proxy knows; the whole header where there is no secret.

    WSGI calls `Client_Cert` and `Client-Cert` alike: a proxy that drops the one may let the other through.
    """
    if header is None or not secret:
        return header
    shown, _, rest = header.partition(" ")
    return rest if hmac.compare_digest(shown.encode(errors="replace"), secret.encode()) else None


def certificate(header: str | None, written: str) -> bytes | None:
    """The one certificate (DER, unproven) in the proxy's header, written as `client_cert_format` says; None for anything else."""
    # what a proxy sends where there is none may be anything: nothing, a placeholder, "(null)"
    if header is None or len(header) > MAX_CERTIFICATE_CHARACTERS or not header.isascii():
        return None
    found = _PEM.fullmatch(unquote(header, errors="replace")) if written == "pem-escaped" else _BYTE_SEQUENCE.fullmatch(header.strip())
    try:
        return base64.b64decode("".join(found[1].split()), validate=True) if found is not None else None
    except binascii.Error:
        return None


# --- addresses ------------------------------------------------------------------------------------------------------------------------------


def network_of(address: str | None) -> str:
    """The unit that limits count by: an IPv4 address, or the /64 of an IPv6 one."""
    try:
        parsed = ip_address(address or "")
    except ValueError:
        return "unknown"
    if isinstance(parsed, IPv6Address):
        return str(parsed.ipv4_mapped or ip_network((parsed, 64), strict=False))
    return str(parsed)
