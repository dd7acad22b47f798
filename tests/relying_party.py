"""A relying party as a driver: registers itself, sends people to authorize, redeems codes, asks userinfo."""

import base64
import hashlib
import json
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from flask import Flask
from flask.testing import FlaskClient
from joserfc import jws
from werkzeug.test import TestResponse

from idp import opaque_tokens
from idp.adapters import Clock
from idp.db import session, transaction
from idp.oidc import clients, keys
from idp.oidc.keys import NewKey
from idp.oidc.registration import judge
from idp.sessions import lifecycle

ISSUER = "http://127.0.0.1:8000"
VERIFIER = "a-verifier-of-forty-three-characters-or-more-0"
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
SECRET = "rp-secret-0123456789-abcdefghij-KLMNOP"


def store_keys(made: list[NewKey], now: datetime) -> None:
    """Signing keys made beforehand; inside a transaction."""
    for number, new in enumerate(made):
        keys.add(new, "current" if number % 2 == 0 else "next", now)


def claims_of(token: str) -> dict[str, Any]:
    """The payload of a JWT, unverified."""
    found: dict[str, Any] = json.loads(jws.extract_compact(token.encode()).payload)
    return found


def header_of(token: str) -> dict[str, Any]:
    return jws.extract_compact(token.encode()).headers()


def answer_of(response: TestResponse) -> dict[str, str]:
    """The parameters of a redirect to a client."""
    assert response.status_code == 303, response.get_data(as_text=True)
    return dict(parse_qsl(urlsplit(response.location).query, keep_blank_values=True))


def body_of(response: TestResponse) -> dict[str, Any]:
    """The JSON object of an answer."""
    found = response.get_json()
    assert isinstance(found, dict)
    return found


class RelyingParty:
    """One client of the platform. `members` are its metadata, over a confidential first-party client with a secret."""

    def __init__(self, app: Flask, clock: Clock, client_id: str = "rp", secret: str | None = SECRET, **members: Any) -> None:
        self.app, self.clock, self.client_id, self.secret = app, clock, client_id, secret
        self.redirect_uri = "https://rp.example/callback"
        defaults = {"client_id": client_id, "redirect_uris": [self.redirect_uri], "first_party": True, "id_token_signed_response_alg": "ES256"}
        self.registration = judge({**defaults, **members})
        self.redirect_uri = next(iter(self.registration.redirect_uris), "")
        with app.app_context(), transaction():
            clients.add(self.registration, secret, clock.now())

    # --- people -------------------------------------------------------------------------------------------------------------------------

    def browser(self, account_id: int | None = None) -> FlaskClient:
        """A browser; with an account somebody is signed in there, without the pages of the sign-in."""
        browser = self.app.test_client()
        if account_id is not None:
            self.sign_in(browser, account_id)
        return browser

    def sign_in(
        self, browser: FlaskClient, account_id: int, *factors: str, only_system: str | None = None, entry_remaining: int | None = None
    ) -> None:
        """A session by password and these further factors; with `only_system` by its legacy entry."""
        from idp.accounts.models import Account

        with self.app.app_context(), transaction():
            epoch = session.get_one(Account, account_id).epoch
            times, now = dict.fromkeys(("password", *factors), self.clock.now()), self.clock.now()
            limits: dict[str, Any] = {"only_system": only_system, "entry_remaining": entry_remaining}
            _, secret = lifecycle.start(account_id, epoch, times, now, 12 * 3600, **limits)
        browser.set_cookie("session", secret, domain="127.0.0.1")

    # --- the protocol -------------------------------------------------------------------------------------------------------------------

    def request(self, **changes: str | None) -> dict[str, str]:
        """An authorization request; a change of None leaves the parameter out."""
        asked: dict[str, str | None] = {
            "client_id": self.client_id,
            "redirect_uri": self.redirect_uri,
            "response_type": "code",
            "scope": self.registration.scope,
            "state": "st-1",
            "nonce": "n-1",
            "code_challenge": CHALLENGE,
            "code_challenge_method": "S256",
        }
        return {name: value for name, value in {**asked, **changes}.items() if value is not None}

    def authorize(self, browser: FlaskClient, **changes: str | None) -> TestResponse:
        return browser.get("/oauth2/authorize", query_string=self.request(**changes), base_url=ISSUER)

    def code(self, browser: FlaskClient, **changes: str | None) -> str:
        return answer_of(self.authorize(browser, **changes))["code"]

    def basic(self) -> dict[str, str]:
        return {"Authorization": "Basic " + base64.b64encode(f"{self.client_id}:{self.secret}".encode()).decode()}

    def redeem(self, code: str, headers: dict[str, str] | None = None, **changes: str | None) -> TestResponse:
        """A token request; by Basic unless the client is public or `headers` are given."""
        form: dict[str, str | None] = {"grant_type": "authorization_code", "code": code, "redirect_uri": self.redirect_uri, "code_verifier": VERIFIER}
        if self.secret is None:
            form["client_id"] = self.client_id
        sent = {name: value for name, value in {**form, **changes}.items() if value is not None}
        return self.token(sent, self.basic() if headers is None and self.secret is not None else headers or {})

    def token(self, form: dict[str, str], headers: dict[str, str]) -> TestResponse:
        return self.app.test_client().post("/oauth2/token", data=form, headers=headers, base_url=ISSUER)

    def call(self, endpoint: str, **form: str | None) -> TestResponse:
        """A request of the client itself to one of the endpoints under /oauth2/, by its own method (Basic, or its name)."""
        sent = {name: value for name, value in form.items() if value is not None}
        own = {} if self.secret is not None else {"client_id": self.client_id}
        headers = self.basic() if self.secret is not None else {}
        return self.app.test_client().post(f"/oauth2/{endpoint}", data={**own, **sent}, headers=headers, base_url=ISSUER)

    def refresh(self, token: str, **changes: str | None) -> TestResponse:
        return self.call("token", grant_type="refresh_token", refresh_token=token, **changes)

    def revoke(self, token: str, **changes: str | None) -> TestResponse:
        return self.call("revoke", token=token, **changes)

    def introspect(self, token: str, **changes: str | None) -> dict[str, Any]:
        response = self.call("introspect", token=token, **changes)
        assert response.status_code == 200, response.json
        return body_of(response)

    def tokens(self, browser: FlaskClient, **changes: str | None) -> dict[str, Any]:
        response = self.redeem(self.code(browser, **changes))
        assert response.status_code == 200, response.json
        return body_of(response)

    def userinfo(self, token: str) -> TestResponse:
        return self.app.test_client().get("/oauth2/userinfo", headers={"Authorization": f"Bearer {token}"}, base_url=ISSUER)


def digest_of(handle: str) -> str:
    return opaque_tokens.digest(handle)
