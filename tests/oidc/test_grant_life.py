"""What ends a grant and what does not: random interleavings of everything that happens to codes, tokens and sessions, against a model."""

from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, invariant, multiple, rule, run_state_machine_as_test
from sqlalchemy import select

from idp.accounts.models import Account
from idp.db import session, transaction
from idp.key_register.models import EKey
from idp.oidc.models import ClientRecord, Grant
from idp.sessions.models import Session
from tests.fakes import FakeClock
from tests.oidc.conftest import REFRESHES, Somebody
from tests.oidc.grant_life import BROWSERS, CLIENTS, LICENCE, NOTHING, SCOPES, Access, Authorization, Browser, Code, People, Refresh, World
from tests.relying_party import RelyingParty, answer_of, body_of


class GrantLife(People):
    """A client that keeps its refresh token and one whose tokens rotate."""

    codes: Bundle[Code] = Bundle("codes")
    refreshes: Bundle[Refresh] = Bundle("refreshes")
    accesses: Bundle[Access] = Bundle("accesses")

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
