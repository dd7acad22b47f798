"""The judgement of what a card signed, in numbered steps; each stands where its number is in the code.

0 the challenge: ours, of this sign-in and this browser, in time, spent first (`challenges.spend`, in a transaction of its own)
1 the certificate, read strictly (`chain.parse`), after the token around it (`read`)
2 its path to a configured root, now (`chain.path`)
3 revocation of each certificate of the path (`revocation.fault`)
4 what it is good for (`leaf.fault`)
5 the signature, over the configured origin and the challenge
6 the name (`leaf.identity`)
7 the binding to a live key of an active enterprise (`binding.find`, read in the transaction that lets the person in)

Steps 1–6 are `prove`: pure, with time, trust and the source of words on revocation as arguments. At a certificate that a TLS proxy hands on, the
proxy has seen the signature: `prove_without_signature` takes the other steps.
"""

from dataclasses import dataclass
from datetime import datetime

from cryptography import x509

from idp.ekey import agent_versions, chain, leaf, protocol, revocation, signatures
from idp.ekey.chain import Trust
from idp.ekey.leaf import Identity
from idp.ekey.protocol import Token
from idp.ekey.refusal import Refused
from idp.ekey.revocation import Source


@dataclass(frozen=True)
class Rules:
    """What the operator configured: the origin that cards sign for, roots, the rule for names, the policy that a certificate must be under."""

    origin: str
    trust: Trust
    name_rule: str = "CN"
    policy_oid: str = ""


def read(text: str, agent_minimum: str = "") -> Token | Refused:
    """Step 1, the token: what a browser sent, read strictly, made by a driver that is not too old."""
    found = protocol.parse(text)
    if isinstance(found, protocol.Fault):
        return Refused(1, "malformed", found.value)
    return Refused(1, "agent_outdated", found.app_version) if agent_versions.outdated(found.app_version, agent_minimum) else found


def prove(token: Token, nonce: str, rules: Rules, source: Source, now: datetime) -> Identity | Refused:
    """Steps 1–6: whom the card names, or why it does not count. `nonce` is the challenge that was spent."""
    found = _accepted(token.certificate, rules, source, now)
    if isinstance(found, Refused):
        return found
    return _unsigned(found[0], token, nonce, rules.origin) or leaf.identity(found, rules.name_rule)


def prove_without_signature(certificate: bytes, rules: Rules, source: Source, now: datetime) -> Identity | Refused:
    """Steps 1–4 and 6, for a certificate whose key the trusted proxy has seen at work."""
    found = _accepted(certificate, rules, source, now)
    return found if isinstance(found, Refused) else leaf.identity(found, rules.name_rule)


def _accepted(certificate: bytes, rules: Rules, source: Source, now: datetime) -> list[x509.Certificate] | Refused:
    # 1
    parsed = chain.parse(certificate)
    if isinstance(parsed, Refused):
        return parsed
    # 2
    path = chain.path(parsed, rules.trust, now)
    if isinstance(path, Refused):
        return path
    # 3, 4
    return revocation.fault(path, source, now) or leaf.fault(path[0], rules.policy_oid) or path


def _unsigned(certificate: x509.Certificate, token: Token, nonce: str, origin: str) -> Refused | None:
    # 5
    key = signatures.public_key(certificate)
    if key is None or signatures.algorithm_of(key) is not token.algorithm:
        return Refused(5, "algorithm")
    content = protocol.signed_bytes(token.algorithm, origin, nonce)
    return None if signatures.answers(key, token.signature, content) else Refused(5, "signature")
