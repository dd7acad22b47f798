"""The model of a grant's life, and all that people and operators do to it; what clients do is in test_grant_life.py.

The model knows no tables: it notes for each authorization whether something has ended it, and for each token what it was replaced by.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, multiple, precondition, rule

from idp.accounts.models import Account
from idp.db import session, transaction
from idp.key_register.models import EKey
from idp.oidc import revocation
from idp.oidc.models import ClientRecord
from idp.sessions import lifecycle
from tests.fakes import FakeClock
from tests.oidc.conftest import Somebody
from tests.relying_party import RelyingParty, claims_of

CLIENTS = st.sampled_from(["keeps", "rotates"])
BROWSERS = st.sampled_from([0, 1])
LICENCE = "licence:export"
SCOPES = st.sampled_from(["openid", f"openid {LICENCE}"])
NOTHING: tuple[Any, Any] = (multiple(), multiple())


@dataclass
class Authorization:
    """What the model knows of one grant."""

    client: str
    browser: int
    session: int
    scope: str
    epoch: int
    until: datetime
    over: bool = False

    @property
    def licensed(self) -> bool:
        return LICENCE in self.scope


@dataclass
class Code:
    of: Authorization
    value: str
    until: datetime
    spent: bool = False


@dataclass
class Refresh:
    of: Authorization
    value: str
    until: datetime
    rotated_at: datetime | None = None


@dataclass
class Access:
    of: Authorization
    value: str
    until: datetime
    revoked: bool = False


@dataclass
class Browser:
    """One browser with the session it has, as the model sees it."""

    client: FlaskClient
    used_at: datetime | None = None
    until: datetime | None = None
    epoch: int = 0
    session: int = 0


@dataclass
class World:
    """What the machine drives."""

    app: Flask
    clock: FakeClock
    somebody: Somebody
    clients: dict[str, RelyingParty]
    browsers: list[Browser] = field(default_factory=list)


class People(RuleBasedStateMachine):
    """One person with two browsers, and two clients: what happens to them outside the protocol."""

    world: Callable[[], World]

    @initialize()
    def start(self) -> None:
        self.w = self.world()
        self.epoch, self.sessions, self.active, self.key = 1, 0, True, True
        self.enabled = dict.fromkeys(self.w.clients, True)
        self.all: list[Authorization] = []

    # --- helpers of the model -----------------------------------------------------------------------------------------------------------

    @property
    def now(self) -> datetime:
        return self.w.clock.now()

    def signed_in(self, browser: Browser) -> bool:
        if browser.used_at is None or browser.until is None:
            return False
        idle = self.now >= browser.used_at + timedelta(minutes=30)
        return self.active and browser.epoch == self.epoch and not idle and self.now < browser.until

    def lives(self, of: Authorization) -> bool:
        return not of.over and self.active and of.epoch == self.epoch and self.now < of.until and self.enabled[of.client]

    def write(self, change: Callable[[Account], Any]) -> None:
        with self.w.app.app_context(), transaction():
            change(session.get_one(Account, self.w.somebody.id))

    def handed_out(self, of: Authorization, body: dict[str, Any]) -> Access:
        end = datetime.fromtimestamp(claims_of(body["access_token"])["exp"], self.now.tzinfo)
        assert end == min(self.now + timedelta(minutes=10), of.until)
        assert (LICENCE in body["scope"].split()) == of.licensed
        return Access(of, body["access_token"], end)

    # --- people -------------------------------------------------------------------------------------------------------------------------

    @rule(number=BROWSERS)
    @precondition(lambda self: self.active)
    def sign_in(self, number: int) -> None:
        self._sign_in(number)

    def _sign_in(self, number: int) -> None:
        browser = self.w.browsers[number]
        if self.signed_in(browser):
            return
        self.w.clients["keeps"].sign_in(browser.client, self.w.somebody.id)
        self.sessions += 1
        browser.session = self.sessions
        browser.used_at, browser.until, browser.epoch = self.now, self.now + timedelta(hours=12), self.epoch

    @rule(number=BROWSERS)
    def sign_out(self, number: int) -> None:
        browser = self.w.browsers[number]
        if not self.signed_in(browser):
            return
        page = browser.client.get("/oauth2/logout", base_url="http://127.0.0.1:8000").get_data(as_text=True)
        token = page.split('name="csrf_token" value="')[1].split('"')[0]
        browser.client.post("/oauth2/logout/confirm", data={"csrf_token": token}, base_url="http://127.0.0.1:8000")
        for each in self.all:
            # grants of this very session; those of an older one in this browser live on
            each.over |= each.session == browser.session
        browser.used_at = None

    @rule()
    def change_the_password(self) -> None:
        """What credentials and change do: the epoch grows, every session ends."""
        self.epoch += 1
        now = self.now

        def change(account: Account) -> None:
            account.epoch += 1
            lifecycle.end_all(account.id, "password_changed", now, revocation.on_session_end)

        self.write(change)
        for browser in self.w.browsers:
            browser.used_at = None

    @rule()
    def disable_the_account_or_not(self) -> None:
        self._account()

    def _account(self) -> None:
        """Disabling goes by the epoch, so that nothing comes back with the account."""
        self.active = not self.active
        self.epoch += not self.active
        active, epoch = self.active, self.epoch

        def change(account: Account) -> None:
            account.status, account.epoch = "active" if active else "disabled", epoch

        self.write(change)

    @rule()
    def withdraw_the_key_or_give_it_back(self) -> None:
        self._key()

    def _key(self) -> None:
        self.key = not self.key
        status = "active" if self.key else "revoked"
        self.write(lambda _: setattr(session.query(EKey).one(), "status", status))

    @rule(name=CLIENTS)
    def disable_the_client_or_not(self, name: str) -> None:
        self._client(name)

    def _client(self, name: str) -> None:
        self.enabled[name] = not self.enabled[name]
        now = None if self.enabled[name] else self.now

        def change(_: Account) -> None:
            session.get_one(ClientRecord, name).disabled_at = now
            if now is not None:
                revocation.end_grants_of_client(name, "client_disabled", now)

        self.write(change)
        for each in self.all:
            each.over |= each.client == name

    @rule(seconds=st.sampled_from([1, 5, 11, 61, 601, 29 * 60, 31 * 60, 8 * 3600]))
    def time_goes_by(self, seconds: int) -> None:
        self.w.clock.advance(seconds=seconds)
