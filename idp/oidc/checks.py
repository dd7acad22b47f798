"""What an authorization request must pass, in order, as data: CHECKS names each check, where it applies and what its failure is.

Before client and redirect URI are proven a failure is a page, afterwards it is an answer to the client.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from idp.oidc import redirect_uris, scopes
from idp.oidc.authorization_request import MAX_AGE, RESPONSE_MODES, AuthorizationRequest
from idp.oidc.claims_request import ClaimsRequest
from idp.oidc.clients import Client

PROMPTS = frozenset({"none", "login", "consent", "select_account"})
# the S256 of 32 bytes, so exactly 43 characters; `\Z`, because `$` would let a trailing newline pass
_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}\Z")


@dataclass(frozen=True)
class Fault:
    """An error code of the specifications and what it is about (a stable code, sent as error_description)."""

    error: str
    detail: str


class Failure(Enum):
    """What a failed check leads to."""

    PAGE = "page"
    ANSWER = "answer"


@dataclass(frozen=True)
class Subject:
    """What the checks look at: the request, the client it names (None if there is none), our issuer, and how the request came.

    `signed`: in a request object that was judged; `pushed`: the digest under which it was pushed, None if a browser brought all of it.
    """

    request: AuthorizationRequest
    client: Client | None
    issuer: str
    signed: bool = False
    pushed: str | None = None

    @property
    def known(self) -> Client:
        """The client, once `client_known` has passed."""
        if self.client is None:
            raise RuntimeError("asked for the client before it was proven")
        return self.client

    @property
    def claims(self) -> ClaimsRequest:
        """The claims asked for one by one, once `_claims` has passed."""
        return self.request.claims or ClaimsRequest()

    def target(self) -> scopes.Target | str:
        """The scopes and the resource that this client can get, or the error code."""
        own = self.known.registration
        return scopes.aim(self.request.scopes, own.scopes, own.system, self.request.get("resource") or None, self.issuer)


def _client_known(subject: Subject) -> Fault | None:
    return Fault("invalid_client", "client_unknown") if subject.client is None else None


def _redirect_uri(subject: Subject) -> Fault | None:
    own, uri = subject.known.registration, subject.request.redirect_uri
    # OIDC Core §3.1.2.1: required; the first registered one is never guessed
    if not uri:
        return Fault("invalid_request", "redirect_uri_missing")
    # RFC 9700 §2.1: exact comparison
    if not redirect_uris.registered(uri, own.redirect_uris, native=own.native):
        return Fault("invalid_request", "redirect_uri_unknown")
    return None


def _may_authorize(subject: Subject) -> Fault | None:
    # RFC 6749 §4.1.2.1
    return None if "authorization_code" in subject.known.registration.grant_types else Fault("unauthorized_client", "grant_types")


def _well_formed(subject: Subject) -> Fault | None:
    # RFC 6749 §3.1: no parameter more than once. Several resources would need several tokens (RFC 8707 §2).
    for name in sorted(subject.request.repeated):
        return Fault("invalid_target" if name == "resource" else "invalid_request", f"{name}_repeated")
    for name in sorted(subject.request.malformed):
        return Fault("invalid_target" if name == "resource" else "invalid_request", f"{name}_malformed")
    return None


def _nothing_elsewhere(subject: Subject) -> Fault | None:
    # OIDC Core §6.2, §7.2.1: what is not supported is refused, never ignored
    for name in ("request_uri", "registration"):
        if subject.request.get(name):
            return Fault(f"{name}_not_supported", name)
    return None


def _must_be_pushed(subject: Subject) -> Fault | None:
    own = subject.known.registration
    if subject.pushed is not None:
        return None
    # FAPI 2.0 Security Profile §5.3.2.2, RFC 9126 §6
    return Fault("invalid_request", "not_pushed") if own.fapi or own.require_pushed_authorization_requests else None


def _must_be_signed(subject: Subject) -> Fault | None:
    # FAPI 2.0 Message Signing §5.3.1, RFC 9101 §10.5
    return Fault("invalid_request", "not_signed") if subject.known.registration.signs_requests and not subject.signed else None


def _response_type(subject: Subject) -> Fault | None:
    asked = subject.request.get("response_type")
    if not asked:
        return Fault("invalid_request", "response_type_missing")
    # RFC 9700 §2.1.2: no implicit, no hybrid
    return None if asked == "code" else Fault("unsupported_response_type", "response_type")


def _response_mode(subject: Subject) -> Fault | None:
    asked = subject.request.get("response_mode")
    return Fault("invalid_request", "response_mode") if asked and asked not in RESPONSE_MODES else None


def _pkce(subject: Subject) -> Fault | None:
    challenge, method = subject.request.get("code_challenge"), subject.request.get("code_challenge_method")
    if not challenge and not method:
        return Fault("invalid_request", "code_challenge_missing") if subject.known.registration.require_pkce else None
    # RFC 7636 §4.3: a method left out means `plain`, which is not offered
    if method != "S256":
        return Fault("invalid_request", "code_challenge_method")
    return None if _CHALLENGE.match(challenge) else Fault("invalid_request", "code_challenge")


def _dpop_jkt(subject: Subject) -> Fault | None:
    # RFC 9449 §10: a SHA-256 thumbprint
    asked = subject.request.get("dpop_jkt")
    return Fault("invalid_request", "dpop_jkt") if asked and not _CHALLENGE.match(asked) else None


def _prompt(subject: Subject) -> Fault | None:
    asked = subject.request.prompt
    # OIDC Core §3.1.2.1: none stands alone
    if not asked <= PROMPTS or ("none" in asked and len(asked) > 1):
        return Fault("invalid_request", "prompt")
    return None


def _max_age(subject: Subject) -> Fault | None:
    asked = subject.request.get("max_age")
    return Fault("invalid_request", "max_age") if asked and not MAX_AGE.match(asked) else None


def _claims(subject: Subject) -> Fault | None:
    return Fault("invalid_request", "claims") if subject.request.claims is None else None


def _scope(subject: Subject) -> Fault | None:
    if not subject.request.scopes or len(subject.request.scopes) > scopes.MAX_SCOPES:
        return Fault("invalid_scope", "scope")
    target = subject.target()
    return Fault(target, "resource" if target == "invalid_target" else "scope") if isinstance(target, str) else None


@dataclass(frozen=True)
class Check:
    """One row: the check, what its failure is, and the endpoints it belongs to."""

    check: Callable[[Subject], Fault | None]
    failure: Failure
    endpoints: frozenset[str]


# "authorize": a browser brings the whole request; "par": its client pushes it; "kept": one that passed either comes back from the store
BROWSERS, ALL = frozenset({"authorize", "kept"}), frozenset({"authorize", "par", "kept"})
# "device": what a device asks for (RFC 8628 §3.1)
DEVICE_TOO = ALL | {"device"}
CHECKS = (
    Check(_client_known, Failure.PAGE, ALL),
    Check(_redirect_uri, Failure.PAGE, ALL),
    Check(_may_authorize, Failure.ANSWER, ALL),
    Check(_well_formed, Failure.ANSWER, DEVICE_TOO),
    Check(_nothing_elsewhere, Failure.ANSWER, ALL),
    Check(_must_be_pushed, Failure.ANSWER, BROWSERS),
    Check(_must_be_signed, Failure.ANSWER, ALL),
    Check(_response_type, Failure.ANSWER, ALL),
    Check(_response_mode, Failure.ANSWER, ALL),
    Check(_pkce, Failure.ANSWER, ALL),
    Check(_dpop_jkt, Failure.ANSWER, ALL),
    Check(_prompt, Failure.ANSWER, ALL),
    Check(_max_age, Failure.ANSWER, ALL),
    Check(_claims, Failure.ANSWER, ALL),
    Check(_scope, Failure.ANSWER, DEVICE_TOO),
)


def first_failure(subject: Subject, endpoint: str) -> tuple[Failure, Fault] | None:
    """The first failed check of an endpoint, or None."""
    for row in CHECKS:
        fault = row.check(subject) if endpoint in row.endpoints else None
        if fault is not None:
            return row.failure, fault
    return None
