"""Who may ask the agent: pages of the platform's own origins, at this computer's own address, and nobody else."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from urllib.parse import urlsplit

LOOPBACK_NAMES = ("127.0.0.1", "localhost")


class Refusal(Enum):
    """Status and code of requests that the agent does not look at any further."""

    HOST = (421, "host")
    ORIGIN = (403, "origin")
    FRAME = (403, "frame")
    NOT_FOUND = (404, "not_found")
    METHOD = (405, "method")
    LENGTH = (411, "length")
    TOO_LARGE = (413, "too_large")
    MEDIA_TYPE = (415, "media_type")
    BODY = (400, "body")
    CROWDED = (503, "crowded")

    def __init__(self, status: int, code: str) -> None:
        """See the class."""
        self.status, self.code = status, code


@dataclass(frozen=True)
class Guard:
    """The agent's port and the origins that it serves, spelled as browsers send them."""

    port: int
    origins: frozenset[str]

    def refusal(self, hosts: list[str], origins: list[str]) -> Refusal | None:
        """Why a request with these Host and Origin headers is refused, None if it is not."""
        # a name that a stranger's DNS points at us is in Host (DNS rebinding); RFC 9110 §7.4
        if len(hosts) != 1 or hosts[0] not in {f"{name}:{self.port}" for name in LOOPBACK_NAMES}:
            return Refusal.HOST
        # "null" and no Origin at all are nobody's
        if len(origins) != 1 or origins[0] not in self.origins:
            return Refusal.ORIGIN
        return None


def wellformed_origin(text: str) -> bool:
    """Whether `text` is an origin as browsers serialise it, of https, or of http on this computer (RFC 6454 §6.2)."""
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return False
    host = parts.hostname or ""
    local = host in LOOPBACK_NAMES or host.endswith(".localhost")
    default = {"https": 443, "http": 80}.get(parts.scheme)
    spelled = f"{parts.scheme}://{host}" + (f":{port}" if port is not None else "")
    return bool(host) and text == spelled and port != default and (parts.scheme == "https" or (parts.scheme == "http" and local))


def cors(origin: str, asked: Callable[[str], str | None]) -> Mapping[str, str]:
    """Headers that let the page of an allowed `origin` read the answer; `asked` gives a header of the request."""
    headers = {"Access-Control-Allow-Origin": origin}
    # what browsers ask before a public page may reach this computer: https://wicg.github.io/private-network-access/, and its successor
    for kind in ("Private", "Local"):
        if asked(f"Access-Control-Request-{kind}-Network") == "true":
            headers[f"Access-Control-Allow-{kind}-Network"] = "true"
    return headers


def preflight(method: str) -> Mapping[str, str]:
    """What an OPTIONS request is told besides."""
    return {"Access-Control-Allow-Methods": method, "Access-Control-Allow-Headers": "Content-Type", "Access-Control-Max-Age": "600"}
