"""Which redirect URIs may be registered, and when one that is asked for is a registered one."""

import re
from collections.abc import Sequence
from ipaddress import IPv6Address
from urllib.parse import SplitResult, urlsplit

from idp.settings import is_loopback

MAX_URI_CHARACTERS = 2000
# RFC 1035 §2.3.4, as text
MAX_HOST_CHARACTERS = 253
# RFC 3986 characters only: no blank, backslash, control, non-ASCII; no wildcard
_ALLOWED = re.compile(r"[A-Za-z0-9\-._~:/?@!$&'()+,;=%\[\]]+\Z")
_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
# an origin becomes part of the CSP: no `;`, `,` or quote, which RFC 3986 allows in a host
_AUTHORITY = re.compile(r"(?:[a-z0-9.-]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?\Z")
# RFC 8252 §7.1: a reversed domain name, so there is a dot
_PRIVATE_SCHEME = re.compile(r"[a-z][a-z0-9+-]*(\.[a-z0-9+-]+)+\Z")


def _split(uri: str) -> SplitResult | None:
    try:
        parts = urlsplit(uri)
        _ = parts.port
    except ValueError:
        return None
    return parts


def fault(uri: str, *, native: bool = False) -> str | None:
    """Why `uri` may not be registered (a sentence for operators), or None. `native` also allows private-use schemes (RFC 8252 §7.1)."""
    if len(uri) > MAX_URI_CHARACTERS or not _ALLOWED.match(uri) or _PERCENT.search(uri):
        return "only the characters of RFC 3986, no fragment, no wildcard, at most 2000 of them"
    parts = _split(uri)
    if parts is None:
        return "not a URI"
    if native and _PRIVATE_SCHEME.match(uri.split(":", 1)[0]):
        # RFC 8252 §7.1: no naming authority, so no host
        return "a private-use scheme is followed by a path that begins with one slash" if "://" in uri else None
    if parts.scheme != uri.split(":", 1)[0] or parts.scheme not in ("https", "http"):
        return "must be https (or http on loopback), written in lower case"
    return _host_fault(parts)


def _host_fault(parts: SplitResult) -> str | None:
    if not parts.hostname or not _AUTHORITY.match(parts.netloc) or not _ip_literal(parts):
        return "must name a host in lower case (letters, digits, dots, dashes, or an IPv6 address in brackets), without user name or password"
    if len(parts.hostname) > MAX_HOST_CHARACTERS:
        return f"the host has more than {MAX_HOST_CHARACTERS} characters"
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        return "plain http is only possible on loopback"
    # dot segments make two spellings of one address
    if any(segment in (".", "..") for segment in parts.path.lower().replace("%2e", ".").replace(";", "/").split("/")):
        return "no dot segments in the path"
    return None


def _ip_literal(parts: SplitResult) -> bool:
    """Whether what stands in brackets, if anything does, is an IPv6 address."""
    if not parts.netloc.startswith("["):
        return True
    try:
        IPv6Address(parts.hostname or "")
    except ValueError:
        return False
    return True


def registered(uri: str, uris: Sequence[str], *, native: bool = False) -> bool:
    """Whether `uri` is one of the registered ones: exact string comparison (RFC 9700 §2.1).

    The one exception is the port of a native application's loopback address (RFC 8252 §7.3); its host is parsed, never a prefix.
    """
    if uri in uris:
        return True
    return native and len(uri) <= MAX_URI_CHARACTERS and any(_same_but_port(uri, known) for known in uris)


def _same_but_port(uri: str, known: str) -> bool:
    if not (uri.startswith("http://") and known.startswith("http://")) or fault(uri):
        return False
    left, right = _split(uri), _split(known)
    if left is None or right is None or left.hostname not in ("127.0.0.1", "::1"):
        return False
    return left.hostname == right.hostname and (left.path, left.query) == (right.path, right.query)
