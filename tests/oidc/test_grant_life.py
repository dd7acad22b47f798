"""What ends a grant and what does not: random interleavings of everything that happens to codes, tokens and sessions, against a model.

The model knows no tables: it notes for each authorization whether something has ended it, and for each token what it was replaced by.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, multiple, precondition, rule, run_state_machine_as_test
from sqlalchemy import select

from idp.accounts.models import Account
from idp.db import session, transaction
from idp.key_register.models import EKey
from idp.oidc import revocation
from idp.oidc.models import ClientRecord, Grant
from idp.sessions import lifecycle
from idp.sessions.models import Session
from tests.fakes import FakeClock
from tests.oidc.conftest import REFRESHES, Somebody
from tests.relying_party import RelyingParty, answer_of, body_of, claims_of

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


class GrantLife(RuleBasedStateMachine):
    """One person, two browsers, a client that keeps its refresh token and one whose tokens rotate."""

    world: Callable[[], World]
    codes: Bundle[Code] = Bundle("codes")
    refreshes: Bundle[Refresh] = Bundle("refreshes")
    accesses: Bundle[Access] = Bundle("accesses")

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

    @rule(target=refreshes, name=CLIENTS, number=BROWSERS, scope=SCOPES)
    def come_in(self, name: str, number: int, scope: str) -> Any:
        """The whole way, whatever was closed before: most of what follows needs tokens."""
        if not self.active:
            self._account()
        if not self.key:
            self._key()
        if not self.enabled[name]:
            self._client(name)
        self._sign_in(number)
        code = self._authorized(name, number, scope, silent=False)
        return self._redeemed(code)[1]

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

    # --- the protocol -------------------------------------------------------------------------------------------------------------------

    @rule(target=codes, name=CLIENTS, number=BROWSERS, scope=SCOPES, silent=st.booleans())
    def authorize(self, name: str, number: int, scope: str, silent: bool) -> Any:
        return self._authorized(name, number, scope, silent=silent)

    def _authorized(self, name: str, number: int, scope: str, *, silent: bool) -> Any:
        browser, client = self.w.browsers[number], self.w.clients[name]
        response = client.authorize(browser.client, scope=scope, prompt="none" if silent else None)
        if not self.enabled[name]:
            assert response.status_code == 400
            return multiple()
        signed_in, entitled = self.signed_in(browser), self.key or LICENCE not in scope
        got = "code" in (answer_of(response) if "rp.example" in (response.location or "") else {})
        assert got == (signed_in and entitled)
        if not got:
            return multiple()
        assert browser.until is not None
        assert browser.used_at is not None
        if not silent and self.now - browser.used_at >= timedelta(minutes=1):
            browser.used_at = self.now
        made = Authorization(name, number, browser.session, scope, self.epoch, browser.until)
        self.all.append(made)
        return Code(made, answer_of(response)["code"], self.now + timedelta(seconds=60))

    @rule(target=accesses, code=codes)
    def redeem(self, code: Code) -> Any:
        """The first time, or again."""
        return self._redeemed(code)[0]

    @rule(target=refreshes, code=codes)
    def redeem_for_the_refresh_token(self, code: Code) -> Any:
        return self._redeemed(code)[1]

    def _redeemed(self, code: Code) -> tuple[Any, Any]:
        of = code.of
        response = self.w.clients[of.client].redeem(code.value)
        if not self.enabled[of.client]:
            assert response.status_code == 401
            return NOTHING
        if code.spent:
            assert body_of(response) == {"error": "invalid_grant"}
            of.over = True
            return NOTHING
        good = self.lives(of) and self.now < code.until
        if good and of.licensed and not self.key:
            good, of.over = False, True
        assert (response.status_code == 200) == good, response.json
        if not good:
            return NOTHING
        code.spent, body = True, body_of(response)
        until = min(self.now + timedelta(hours=8), of.until)
        return self.handed_out(of, body), Refresh(of, body["refresh_token"], until)

    @rule(target=accesses, token=refreshes, click=st.booleans())
    def refresh(self, token: Refresh, click: bool) -> Any:
        return self._refreshed(token, click)[0]

    @rule(target=refreshes, token=refreshes)
    def refresh_for_the_successor(self, token: Refresh) -> Any:
        return self._refreshed(token, click=False)[1]

    def _refreshed(self, token: Refresh, click: bool) -> tuple[Any, Any]:
        of = token.of
        response = self.w.clients[of.client].refresh(token.value, user_activity="true" if click else None)
        if not self.enabled[of.client]:
            assert response.status_code == 401
            return NOTHING
        if token.rotated_at is not None and self.now > token.rotated_at + timedelta(seconds=10):
            assert body_of(response) == {"error": "invalid_grant"}
            of.over = True
            return NOTHING
        good = self.lives(of) and self.now < token.until
        if good and of.licensed and not self.key:
            good, of.over = False, True
        assert (response.status_code == 200) == good, response.json
        if not good:
            return NOTHING
        if click:
            self._clicked(of)
        body, successor = body_of(response), NOTHING[1]
        assert ("refresh_token" in body) == (of.client == "rotates" and token.rotated_at is None)
        if "refresh_token" in body:
            token.rotated_at, successor = self.now, Refresh(of, body["refresh_token"], token.until)
        return self.handed_out(of, body), successor

    def _clicked(self, of: Authorization) -> None:
        browser = self.w.browsers[of.browser]
        mine = browser.session == of.session and self.signed_in(browser)
        if mine and browser.used_at is not None and self.now - browser.used_at >= timedelta(minutes=1):
            browser.used_at = self.now

    @rule(token=refreshes, name=CLIENTS)
    def a_stranger_shows_a_refresh_token(self, token: Refresh, name: str) -> None:
        if name != token.of.client:
            assert self.w.clients[name].refresh(token.value).status_code in (400, 401)
            self.w.clients[name].revoke(token.value)

    @rule(token=refreshes)
    def revoke_a_refresh_token(self, token: Refresh) -> None:
        response = self.w.clients[token.of.client].revoke(token.value)
        if self.enabled[token.of.client]:
            assert response.status_code == 200
            token.of.over = True

    @rule(token=accesses)
    def revoke_an_access_token(self, token: Access) -> None:
        self.w.clients[token.of.client].revoke(token.value)
        token.revoked |= self.enabled[token.of.client] and self.now < token.until

    @rule(token=accesses)
    def ask_userinfo(self, token: Access) -> None:
        good = self.lives(token.of) and self.now < token.until and not token.revoked
        response = self.w.clients[token.of.client].userinfo(token.value)
        assert response.status_code == (200 if good else 401)
        if good:
            assert (body_of(response).get("licences") == ["export"]) == (token.of.licensed and self.key)

    @invariant()
    def what_is_over_in_the_model_is_over_in_the_database(self) -> None:
        with self.w.app.app_context():
            ended = session.scalars(select(Grant.ended_at.is_not(None)).order_by(Grant.id)).all()
        # a grant may also be over by the account's epoch alone, without a mark of its own
        assert all(mark or not model.over for mark, model in zip(ended, self.all, strict=True))
        assert all(model.over or model.epoch != self.epoch for mark, model in zip(ended, self.all, strict=True) if mark)


@pytest.mark.slow
@pytest.mark.spec("RFC 6749", "10.5")
@pytest.mark.spec("RFC 9700", "4.14")
def test_whatever_happens_in_whatever_order(platform: Flask, beijing: Somebody) -> None:
    clock: FakeClock = platform.extensions["idp"].adapters.clock
    clients = {
        "keeps": RelyingParty(platform, clock, "keeps", scope=f"openid {LICENCE}", grant_types=REFRESHES),
        "rotates": RelyingParty(
            platform, clock, "rotates", None, token_endpoint_auth_method="none", scope=f"openid {LICENCE}", grant_types=REFRESHES
        ),
    }

    def fresh() -> World:
        with platform.app_context(), transaction():
            session.query(Grant).delete()
            session.query(Session).delete()
            account = session.get_one(Account, beijing.id)
            account.epoch, account.status = 1, "active"
            session.query(EKey).one().status = "active"
            for client in session.query(ClientRecord):
                client.disabled_at = None
        return World(platform, clock, beijing, clients, [Browser(platform.test_client()) for _ in range(2)])

    machine = type("Machine", (GrantLife,), {"world": staticmethod(fresh)})
    limits = settings(max_examples=50, stateful_step_count=40, database=None, deadline=None, suppress_health_check=list(HealthCheck))
    run_state_machine_as_test(machine, settings=limits)
