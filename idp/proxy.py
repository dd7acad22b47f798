"""The trusted proxy: whose X-Forwarded-* headers count, and the unit of an address that limits count by."""

from ipaddress import IPv6Address, ip_address, ip_network
from typing import Any
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from werkzeug.middleware.proxy_fix import ProxyFix


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


def network_of(address: str | None) -> str:
    """The unit that limits count by: an IPv4 address, or the /64 of an IPv6 one."""
    try:
        parsed = ip_address(address or "")
    except ValueError:
        return "unknown"
    if isinstance(parsed, IPv6Address):
        return str(parsed.ipv4_mapped or ip_network((parsed, 64), strict=False))
    return str(parsed)
