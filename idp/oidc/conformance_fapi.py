"""The clients of the FAPI 2.0 plans: two for each variant, with keys and certificates that are made here unless they are brought."""

from base64 import b64encode
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from cryptography.x509.oid import NameOID
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, Key, import_key

from idp.errors import BadInput
from idp.oidc import conformance
from idp.oidc.certificates import SELF_SIGNED
from idp.oidc.metadata import ENDPOINTS
from idp.oidc.registration import Registration, judge

_KEYED: dict[str, Any] = {"token_endpoint_auth_method": "private_key_jwt", "dpop_bound_access_tokens": True}
_CERTIFIED: dict[str, Any] = {"token_endpoint_auth_method": SELF_SIGNED, "tls_client_certificate_bound_access_tokens": True}
# as the variants of the plans call themselves: client_auth_type and sender_constrain, or what is signed
VARIANTS: dict[str, dict[str, Any]] = {
    "private_key_jwt-dpop": {"profile": "fapi2-security", **_KEYED},
    "mtls-mtls": {"profile": "fapi2-security", **_CERTIFIED},
    "message-signing": {"profile": "fapi2-message-signing", **_KEYED},
}
SCOPE = "openid profile email phone"
# the suite's names of the two clients' parts
PARTS = (("client", "mtls"), ("client2", "mtls2"))
CERTIFICATE_DAYS = 90


def by_certificate(variant: str) -> bool:
    """Whether the clients of this variant are known by certificates."""
    return SELF_SIGNED in VARIANTS[variant].values()


def configuration(variant: str, brought: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    """The two clients as the suite's configuration holds them, private keys and all; what `brought` (of the same form) has is kept."""
    told: dict[str, Any] = {}
    for number, (client, mtls) in enumerate(PARTS, 1):
        client_id = f"conformance-{variant.replace('_', '-')}-{number}"
        jwks = _brought(brought, client).get("jwks") or {"keys": [_key()]}
        told[client] = {"client_id": client_id, "scope": SCOPE, "jwks": jwks}
        if by_certificate(variant):
            told[mtls] = dict(_brought(brought, mtls)) or _certificate(client_id, now)
    return told


def registrations(variant: str, told: Mapping[str, Any], base: str) -> list[Registration]:
    """The clients of a configuration, with the public halves alone. BadInput if a key or certificate that was brought is none."""
    return [_registration(variant, told[client], told.get(mtls), base) for client, mtls in PARTS]


def _registration(variant: str, client: Mapping[str, Any], mtls: Mapping[str, str] | None, base: str) -> Registration:
    try:
        keys = [_public(import_key(each), each) for each in client["jwks"]["keys"]]
        keys += [_of_certificate(mtls["cert"])] if mtls is not None else []
    except (JoseError, ValueError, TypeError, KeyError) as error:
        raise BadInput(f"holds a key or certificate that is none: {error}", field=str(client["client_id"])) from error
    own = conformance.members(base) | {"require_pkce": True, "scope": SCOPE, "jwks": {"keys": keys}}
    return judge({**own, **VARIANTS[variant], "client_id": client["client_id"]})


def _brought(brought: Mapping[str, Any], part: str) -> Mapping[str, Any]:
    found = brought.get(part, {})
    if not isinstance(found, Mapping):
        raise BadInput("must be an object", field=part)
    return found


def _public(key: Key, given: Mapping[str, Any]) -> dict[str, Any]:
    return {**key.as_dict(private=False), **{name: given[name] for name in ("kid", "alg", "use") if name in given}}


def _key() -> dict[str, Any]:
    key = ECKey.generate_key("P-256")
    return {**key.as_dict(private=True), "kid": key.thumbprint(), "alg": "ES256", "use": "sig"}


def _certificate(client_id: str, now: datetime) -> dict[str, str]:
    """A certificate that issued itself: the proxy hands on whatever the client proved a key for."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, client_id)])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number()).not_valid_before(now - timedelta(days=1))
    made = builder.not_valid_after(now + timedelta(days=CERTIFICATE_DAYS)).sign(key, SHA256())
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return {"cert": made.public_bytes(Encoding.PEM).decode(), "key": private.decode()}


def _of_certificate(pem: str) -> dict[str, Any]:
    """The key of the first certificate, which x5c repeats (RFC 8705 §2.2.2)."""
    found = x509.load_pem_x509_certificate(pem.encode())
    public = found.public_key()
    pem_key = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    key = import_key(pem_key, "RSA" if isinstance(public, rsa.RSAPublicKey) else "EC")
    whole = found.public_bytes(Encoding.DER)
    return {**key.as_dict(private=False), "kid": f"cert-{key.thumbprint()}", "x5c": [b64encode(whole).decode()]}


def suite(told: Mapping[str, Any], variant: str, alias: str, issuer: str, mtls_base_url: str) -> dict[str, Any]:
    """The whole configuration of a plan but for what its browser does; userinfo is the protected resource."""
    resource = (mtls_base_url if by_certificate(variant) else "") or issuer
    discovery = {"discoveryUrl": f"{issuer}/.well-known/openid-configuration"}
    return {"alias": alias, "server": discovery, **told, "resource": {"resourceUrl": f"{resource}{ENDPOINTS['userinfo_endpoint']}"}}
