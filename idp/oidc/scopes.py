"""Scopes and resources: what may be asked for, what the client and the rights leave of it, and for whom an access token is meant."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

STANDARD = ("openid", "profile", "email", "phone", "enterprise")
# what a client may do in its own name alone, at interfaces of the platform; no person grants it, and only an operator gives it to a client
OWN = ("key_register:write",)
# the same, for the legacy entry of the client's own business system (R64)
ENTRY = "legacy_entry:"
LICENCE = "licence:"
RESOURCE = "urn:licence:system:"
MAX_SCOPES = 50


@dataclass(frozen=True)
class Target:
    """What an authorization is for: the scopes in the order asked, and the resource whose token it will be."""

    scopes: tuple[str, ...]
    resource: str


def split(scope: str) -> tuple[str, ...]:
    """The distinct scope tokens in their order; a blank too many says nothing."""
    return tuple(dict.fromkeys(token for token in scope.split(" ") if token))


def is_own(scope: str) -> bool:
    """Whether it is a scope for a client in its own name."""
    return scope in OWN or scope.startswith(ENTRY)


def known(scope: str) -> bool:
    """Whether a client may be registered for it."""
    return scope in STANDARD or is_own(scope) or scope.startswith(LICENCE)


def fault(registered: Collection[str], system: str | None) -> str | None:
    """Why a client of this business system (None: of none) may not have these scopes."""
    foreign = [scope for scope in registered if scope.startswith(ENTRY) and scope != f"{ENTRY}{system}"]
    return f"scope {' '.join(foreign)}: a client asks about the legacy entry of its own system alone" if foreign else None


def systems_of(scopes: Collection[str]) -> set[str]:
    """Codes of the business systems that `licence:<system>` scopes name."""
    return {scope.removeprefix(LICENCE) for scope in scopes if scope.startswith(LICENCE)}


def resource_of(system: str) -> str:
    """The resource identifier of a business system (RFC 8707): `urn:licence:system:<code>`, a name that outlives any address."""
    return RESOURCE + system


def aim(asked: Sequence[str], allowed: Collection[str], system: str | None, resource: str | None, issuer: str) -> Target | str:
    """Cut what was asked to what the client may ask and to one resource; an error code of OAuth where nothing is left.

    `system` is the client's own business system; `resource` what was asked for (RFC 8707). Unknown scopes are dropped (OIDC Core §3.1.2.1).
    """
    kept = tuple(scope for scope in asked if scope in allowed and not is_own(scope))
    systems = systems_of(kept)
    # RFC 8707 §2: a resource this client has no business with is unknown to it
    if resource is not None and resource not in {issuer, *(resource_of(each) for each in systems | ({system} if system else set()))}:
        return "invalid_target"
    # one token is for one resource: two systems have to be told apart
    if resource is None and len(systems) > 1:
        return "invalid_scope"
    target = resource or (resource_of(system) if system else issuer)
    if target != issuer:
        kept = tuple(scope for scope in kept if not scope.startswith(LICENCE) or resource_of(scope.removeprefix(LICENCE)) == target)
    # a licence was asked for, and none is within what this client may ask
    if not kept or (systems_of(asked) and not systems_of(kept)):
        return "invalid_scope"
    return Target(kept, target)


def entitled(scopes: Sequence[str], open_systems: Collection[str]) -> tuple[str, ...]:
    """The scopes without the licences that the account does not hold now; standard scopes need no right."""
    return tuple(scope for scope in scopes if not scope.startswith(LICENCE) or scope.removeprefix(LICENCE) in open_systems)


def lost_every_licence(before: Collection[str], after: Collection[str]) -> bool:
    """A licence was asked for and none is left (R34)."""
    return bool(systems_of(before)) and not systems_of(after)


def audience(resource: str, scopes: Collection[str], client_system: str | None, issuer: str) -> list[str]:
    """`aud` of the access token: its resource; the issuer joins it where openid is granted at the client's own resource (for userinfo)."""
    own = client_system is not None and resource == resource_of(client_system)
    return [resource, issuer] if own and "openid" in scopes and resource != issuer else [resource]
