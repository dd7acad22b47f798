"""A platform that answers as told: discovery, keys, token, userinfo, reached through the relying party's own HTTP session."""

import base64
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any
from urllib.parse import parse_qs, urlsplit

from joserfc import jwt
from joserfc.jwk import ECKey, Key
from requests import PreparedRequest, Response

ISSUER = "http://127.0.0.1:8000"


def _half_hash(token: str) -> str:
    return base64.urlsafe_b64encode(sha256(token.encode()).digest()[:16]).rstrip(b"=").decode()


@dataclass
class FakePlatform:
    """`id_claims`, `at_claims`, `at_header`, `document`, `logout_header` and `told` are laid over what an honest platform would say.

    None takes a member away.
    """

    client_id: str = "export-system"
    key: Key = field(default_factory=lambda: ECKey.generate_key("P-256", {"kid": "k1"}))
    signing_key: Key | None = None
    alg: str = "ES256"
    nonce: str = ""
    id_claims: dict[str, Any] = field(default_factory=dict)
    at_claims: dict[str, Any] = field(default_factory=dict)
    at_header: dict[str, Any] = field(default_factory=dict)
    document: dict[str, Any] = field(default_factory=dict)
    told: dict[str, Any] = field(default_factory=dict)
    logout_header: dict[str, Any] = field(default_factory=dict)
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    basic: list[str] = field(default_factory=list)
    jwks_fetches: int = 0

    def send(self, request: PreparedRequest, **kwargs: Any) -> Response:
        """Instead of the network."""
        path = urlsplit(request.url or "").path
        answers: dict[Any, Callable[[PreparedRequest], dict[str, Any]]] = {
            "/.well-known/openid-configuration": self.discovery,
            "/oauth2/jwks": self.jwks,
            "/oauth2/token": self.token,
            "/oauth2/userinfo": self.userinfo,
        }
        response = Response()
        response.status_code = 200
        response.request = request
        response.url = request.url or ""
        response.headers["Content-Type"] = "application/json"
        response._content = json.dumps(answers[path](request)).encode()
        return response

    def discovery(self, _request: PreparedRequest) -> dict[str, Any]:
        endpoints = {
            "authorization_endpoint": "authorize",
            "token_endpoint": "token",
            "userinfo_endpoint": "userinfo",
            "jwks_uri": "jwks",
            "end_session_endpoint": "logout",
        }
        urls = {name: f"{ISSUER}/oauth2/{path}" for name, path in endpoints.items()}
        algorithms = ["RS256", "ES256", "HS256", "none"]
        return {"issuer": ISSUER, **urls, "id_token_signing_alg_values_supported": algorithms, **self.document}

    def jwks(self, _request: PreparedRequest) -> dict[str, Any]:
        self.jwks_fetches += 1
        return {"keys": [self.key.as_dict(private=False)]}

    def token(self, request: PreparedRequest) -> dict[str, Any]:
        body = request.body.decode() if isinstance(request.body, bytes) else str(request.body)
        self.asked.append(("token", {name: values[0] for name, values in parse_qs(body).items()}))
        self.basic.append(str(request.headers.get("Authorization", "")))
        now = int(time.time())
        scope = "openid profile enterprise licence:export"
        audience = ["urn:licence:system:export", ISSUER]
        at = {"iss": ISSUER, "sub": "s1", "aud": audience, "exp": now + 600, "iat": now, "client_id": self.client_id, "scope": scope}
        access = self._signed({"typ": "at+jwt", **self.at_header}, {**at, **self.at_claims})
        base = {"iss": ISSUER, "sub": "s1", "aud": self.client_id, "exp": now + 600, "iat": now, "nonce": self.nonce, "at_hash": _half_hash(access)}
        return {"access_token": access, "token_type": "Bearer", "expires_in": 600, "id_token": self._signed({}, {**base, **self.id_claims})}

    def _signed(self, header: dict[str, Any], claims: dict[str, Any]) -> str:
        key = self.signing_key or self.key
        kept = {name: value for name, value in claims.items() if value is not None}
        return jwt.encode({"alg": self.alg, "kid": key.kid, **header}, kept, key, algorithms=[self.alg])

    def logout_token(self, **changes: Any) -> str:
        """What an honest platform would send to the back channel; a change of None takes a member away."""
        now = int(time.time())
        base = {"iss": ISSUER, "sub": "s1", "aud": self.client_id, "iat": now, "exp": now + 120, "jti": changes.get("jti", str(time.monotonic_ns()))}
        event: dict[str, dict[str, Any]] = {"http://schemas.openid.net/event/backchannel-logout": {}}
        return self._signed({"typ": "logout+jwt", **self.logout_header}, {**base, "sid": "sid-1", "events": event, **changes})

    def event_token(self, kind: str, about: dict[str, str], **changes: Any) -> str:
        """A security event token as an honest platform would push it; a change of None takes a member away."""
        base = {"iss": ISSUER, "aud": self.client_id, "iat": int(time.time()), "jti": str(time.monotonic_ns())}
        event = {f"urn:licence:event:account-{kind}": about}
        return self._signed({"typ": "secevent+jwt", **self.logout_header}, {**base, "events": event, **changes})

    def userinfo(self, _request: PreparedRequest) -> dict[str, Any]:
        told = {"sub": "s1", "name": "持有人1", "preferred_username": "0441987654321-beijing", "enterprise_code": "0441987654321"}
        return {**told, "enterprise_name": "广东示例进出口有限公司", "legacy_usernames": ["beijing"], **self.told}
