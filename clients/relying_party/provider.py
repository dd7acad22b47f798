"""The platform as this system sees it: authlib's Flask client with its loose ends tied.

Tied here: the discovery document must be the configured issuer's own, the ID token's algorithm is the one that was registered, `aud` is checked,
every request has a time limit and follows no redirect, keys are looked up again after five minutes (a withdrawn key must die), and each client
assertion is short-lived with a `jti` of its own (authlib 1.9.9: one hour, and the same `jti` again once `claims` are given).
"""

import time
from collections.abc import Callable
from typing import Any, cast

from authlib.integrations.flask_client import OAuth
from authlib.integrations.flask_client.apps import FlaskOAuth2App
from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2.rfc7523 import PrivateKeyJWT
from authlib.oauth2.rfc7523.assertion import private_key_jwt_sign
from flask import Flask
from joserfc.jwk import ECKey
from requests import PreparedRequest, Response

from clients.relying_party.registration import ASSERTION_ALG, Registration, public_jwk

TIMEOUT_SECONDS = 5
ASSERTION_SECONDS = 60
JWKS_SECONDS = 300
JWKS_AGAIN_SECONDS = 30
SKEW_SECONDS = 60


class Distrusted(Exception):
    """What the platform (or somebody in its name) sent cannot be trusted; the text is for the log."""


class Session(OAuth2Session):
    """authlib's session: bounded in time, and an answer is never fetched from where a redirect points."""

    def send(self, request: PreparedRequest, **kwargs: Any) -> Response:
        """One HTTP request."""
        return super().send(request, **{**kwargs, "timeout": TIMEOUT_SECONDS, "allow_redirects": False})


class Assertion(PrivateKeyJWT):
    """private_key_jwt whose audience is the issuer, valid for a minute, signed anew for each request (RFC 7523 §3)."""

    def sign(self, auth: Any, token_endpoint: str) -> str:
        """One assertion; `token_endpoint` is the audience given to the constructor."""
        claims = {"exp": int(time.time()) + ASSERTION_SECONDS}
        header = dict(self.headers)
        return private_key_jwt_sign(auth.client_secret, auth.client_id, token_endpoint, alg=self.alg, claims=claims, header=header)


class Provider(FlaskOAuth2App):
    """The platform's endpoints, keys and tokens. `issuer`, `id_token_alg` and `acr` are set by `connect()`."""

    client_cls = Session
    issuer: str
    id_token_alg: str
    acr: str | None  # how people must have signed in

    def load_server_metadata(self) -> dict[str, Any]:
        """The discovery document; Distrusted if it is another issuer's."""
        metadata = cast("dict[str, Any]", super().load_server_metadata())
        # OIDC Discovery §4.3: the issuer must be identical to the one asked
        if metadata.get("issuer") != self.issuer:
            self.server_metadata.clear()
            raise Distrusted(f"discovery names the issuer {metadata.get('issuer')!r}")
        # the algorithm is what was registered, not what a document offers
        metadata["id_token_signing_alg_values_supported"] = [self.id_token_alg]
        return metadata

    def fetch_jwk_set(self, force: bool = False) -> dict[str, Any]:
        """The platform's public keys, at most five minutes old."""
        stale = time.time() - self.server_metadata.get("jwks_at", 0) > JWKS_SECONDS
        if force or stale:
            keys = super().fetch_jwk_set(force=True)
            self.server_metadata["jwks_at"] = time.time()
            return cast("dict[str, Any]", keys)
        return cast("dict[str, Any]", super().fetch_jwk_set())

    def refetch_jwk_set(self) -> dict[str, Any] | None:
        """The keys as they are now, for a signature that the known ones did not make; None if they were fetched just now."""
        just_now = time.time() - self.server_metadata.get("jwks_at", 0) < JWKS_AGAIN_SECONDS
        return None if just_now else self.fetch_jwk_set(force=True)

    def claims_options(self) -> dict[str, dict[str, Any]]:
        """What authlib must find in an ID token beside nonce, times, azp and at_hash (OIDC Core §3.1.3.7)."""
        return {
            "iss": {"essential": True, "value": self.issuer},
            "aud": {"essential": True, "value": self.client_id},
            "sub": {"essential": True},
            "exp": {"essential": True},
            # step 12: what was demanded is looked at
            **({"acr": {"essential": True, "value": self.acr}} if self.acr else {}),
        }


def _credentials(registration: Registration, issuer: str, secret: str | None, key: ECKey | None) -> dict[str, Any]:
    method = registration.client.get("token_endpoint_auth_method", "client_secret_basic")
    if method == "private_key_jwt" and key is not None:
        assertion: Callable[..., Any] = Assertion(issuer, alg=ASSERTION_ALG, headers={"kid": public_jwk(key)["kid"]})
        return {"client_secret": key, "client_auth_methods": [assertion], "method": method}
    if method == "client_secret_basic" and secret:
        return {"client_secret": secret, "method": method}
    raise Distrusted(f"{registration.client_id}: no credential for {method}")


def connect(app: Flask, registration: Registration, issuer: str, secret: str | None = None, key: ECKey | None = None, cache: Any = None) -> Provider:
    """The Provider of one business system. Nothing is fetched before the first sign-in."""
    credentials = _credentials(registration, issuer, secret, key)
    oauth = OAuth(app, cache=cache)
    oauth.oauth2_client_cls = Provider
    provider = cast(
        "Provider",
        oauth.register(  # type: ignore[no-untyped-call]  # untyped in authlib's stubs
            registration.system,
            client_id=registration.client_id,
            client_secret=credentials["client_secret"],
            client_auth_methods=credentials.get("client_auth_methods"),
            server_metadata_url=f"{issuer}/.well-known/openid-configuration",
            client_kwargs={
                "scope": registration.client["scope"],
                "code_challenge_method": "S256",
                "token_endpoint_auth_method": credentials["method"],
            },
        ),
    )
    provider.issuer, provider.acr = issuer, registration.client.get("require_acr")
    provider.id_token_alg = registration.client.get("id_token_signed_response_alg", "RS256")
    return provider
