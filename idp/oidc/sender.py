"""Sender-constrained tokens: what a request showed that its tokens can be bound to (DPoP, RFC 9449; mutual TLS, RFC 8705)."""

from dataclasses import dataclass
from typing import Any

from idp.oidc.jti import Jti
from idp.oidc.refusal import Refused
from idp.oidc.registration import Registration

# the member of `cnf` (RFC 9449 §6.1, RFC 8705 §3.1)
KEY, CERTIFICATE = "jkt", "x5t#S256"
Confirmation = dict[str, str]


@dataclass(frozen=True)
class Sender:
    """`jkt`: thumbprint of the key of a good DPoP proof, whose `jti` is still to be spent; `x5t`: SHA-256 of the client's certificate."""

    jkt: str | None = None
    jti: Jti | None = None
    x5t: str | None = None


NOBODY = Sender()


def confirmation(own: Registration, shown: Sender) -> Confirmation | Refused:
    """What tokens for this client are bound to now; {} = nothing. Refused if it may have no others than bound ones and showed nothing."""
    # RFC 9449 §5.2: without a proof nothing at all
    if own.dpop_bound_access_tokens and shown.jkt is None:
        return Refused("invalid_dpop_proof", "dpop_missing", client_id=own.client_id)
    key = {KEY: shown.jkt} if shown.jkt is not None else {}
    if not own.tls_client_certificate_bound_access_tokens:
        return key
    # RFC 8705 §3: a proof beside it is no way around it, and binds as well
    if shown.x5t is None:
        return Refused("invalid_request", "certificate_missing", client_id=own.client_id)
    return {**key, CERTIFICATE: shown.x5t}


def unbound(own: Registration, cnf: Confirmation) -> bool:
    """Whether it lacks what this client's tokens must be bound to now; it was given before that."""
    return (own.dpop_bound_access_tokens and KEY not in cnf) or (own.tls_client_certificate_bound_access_tokens and CERTIFICATE not in cnf)


def fault(cnf: Confirmation, scheme: str, shown: Sender) -> str | None:
    """Why a token bound to `cnf` is not good under this scheme of Authorization with what came beside it (for the audit); None if it is."""
    # RFC 9449 §7.1, §7.2: what is bound to a key never passes as Bearer, nothing else as DPoP
    if scheme != token_type(cnf):
        return "token_type"
    if KEY in cnf and cnf[KEY] != shown.jkt:
        return "dpop_key"
    # RFC 8705 §3
    return "certificate" if CERTIFICATE in cnf and cnf[CERTIFICATE] != shown.x5t else None


def token_type(cnf: dict[str, Any]) -> str:
    """How a token bound like this is to be shown (RFC 9449 §5)."""
    return "DPoP" if KEY in cnf else "Bearer"
