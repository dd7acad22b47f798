"""Clients in the shapes of FAPI 2.0: a holder of a DPoP key, and a relying party that proves itself by private_key_jwt."""

import base64
import hashlib
import json
import secrets
from typing import Any

from flask import Flask
from joserfc import jws
from joserfc.jwk import ECKey, Key
from werkzeug.test import TestResponse

from idp.adapters import Clock
from idp.oidc import dpop
from tests.conftest import SECRET
from tests.relying_party import ISSUER, RelyingParty

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
TOKEN, PAR, USERINFO = (f"{ISSUER}/oauth2/{name}" for name in ("token", "par", "userinfo"))


def signed(key: Key, header: dict[str, Any], claims: dict[str, Any]) -> str:
    """A compact token of exactly these members; None leaves one out."""
    whole = {name: value for name, value in header.items() if value is not None}
    registry = jws.JWSRegistry(algorithms=[whole["alg"]], strict_check_header=False)
    told = json.dumps({name: value for name, value in claims.items() if value is not None})
    return jws.serialize_compact(whole, told, key, registry=registry)


def ath(token: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(token.encode()).digest()).rstrip(b"=").decode()


class Holder:
    """Somebody with a DPoP key, who knows the nonce of the minute."""

    def __init__(self, clock: Clock, key: Key | None = None, alg: str = "ES256") -> None:
        self.clock, self.alg = clock, alg
        self.key = key if key is not None else ECKey.generate_key("P-256")
        self.jkt = self.key.thumbprint()

    def proof(self, url: str = TOKEN, method: str = "POST", header: dict[str, Any] | None = None, **changes: Any) -> str:
        """A good proof for a request, but for the changes; a value of None leaves a member out."""
        now = self.clock.now()
        claims = {"jti": secrets.token_hex(8), "htm": method, "htu": url, "iat": int(now.timestamp()), "nonce": dpop.nonce(SECRET, now)}
        shown = {"typ": "dpop+jwt", "alg": self.alg, "jwk": self.key.as_dict(private=False), **(header or {})}
        return signed(self.key, shown, {**claims, **changes})

    def at_token(self, **changes: Any) -> dict[str, str]:
        return {"DPoP": self.proof(**changes)}

    def bearing(self, token: str, url: str = USERINFO, method: str = "GET", **changes: Any) -> dict[str, str]:
        """The headers by which a bound token is shown."""
        return {"Authorization": f"DPoP {token}", "DPoP": self.proof(url, method, **{"ath": ath(token), **changes})}

    def userinfo(self, app: Flask, token: str, **changes: Any) -> TestResponse:
        return app.test_client().get("/oauth2/userinfo", headers=self.bearing(token, **changes), base_url=ISSUER)


class KeyedParty(RelyingParty):
    """A confidential client that proves itself by private_key_jwt; `members` as in RelyingParty."""

    def __init__(self, app: Flask, clock: Clock, client_id: str = "keyed", key: Key | None = None, alg: str = "ES256", **members: Any) -> None:
        self.key, self.alg = key if key is not None else ECKey.generate_key("P-256"), alg
        jwks = {"keys": [{**self.key.as_dict(private=False), "kid": "k1"}]}
        super().__init__(app, clock, client_id, None, token_endpoint_auth_method="private_key_jwt", **{"jwks": jwks, **members})

    def assertion(self, header: dict[str, Any] | None = None, **changes: Any) -> str:
        now = int(self.clock.now().timestamp())
        claims = {"iss": self.client_id, "sub": self.client_id, "aud": ISSUER, "exp": now + 60, "iat": now, "jti": secrets.token_hex(8)}
        return signed(self.key, {"typ": "JWT", "alg": self.alg, "kid": "k1", **(header or {})}, {**claims, **changes})

    def proven(self, assertion: str | None = None) -> dict[str, str]:
        """The form fields by which it proves itself."""
        return {"client_assertion": assertion or self.assertion(), "client_assertion_type": ASSERTION_TYPE}
