"""A session of the legacy entry (R54, R64): it opens one system alone, and everywhere else nobody is signed in."""

import re
from datetime import date
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import event, select
from sqlalchemy import update as sql_update

from idp import web
from idp.accounts.models import Account
from idp.app import HOOKS, JOBS
from idp.db import db, session, transaction
from idp.entitlements import rules
from idp.entitlements.models import Entitlement
from idp.entitlements.rules import Right
from idp.key_register.models import EKey, EKeyReport
from idp.oidc.models import ClientRecord, Consent, Grant
from idp.outbox.models import OutboxItem
from idp.sessions import lifecycle
from idp.sessions.lifecycle import Life
from idp.sessions.models import Session
from idp.settings import Settings
from idp.signin import finish, flow
from idp.signin.models import SignInTransaction
from idp.worker import run_once
from tests import people
from tests.fakes import START, FakeClock
from tests.oidc.conftest import REFRESHES, Somebody
from tests.oidc.test_consent import page
from tests.person import Person
from tests.relying_party import ISSUER, RelyingParty, answer_of, body_of, claims_of

pytestmark = [pytest.mark.slow, pytest.mark.requirement("R54")]

AFTER, BYE = "https://rp.example/after", "https://rp.example/bye"
SCOPE = "openid profile enterprise licence:export"


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"device_grant": "on"})


@pytest.fixture
def export(platform: Flask, clock: FakeClock) -> RelyingParty:
    """The system's own client, which has refresh tokens otherwise."""
    more: dict[str, Any] = {"grant_types": REFRESHES, "post_logout_redirect_uris": [AFTER], "backchannel_logout_uri": BYE}
    return RelyingParty(platform, clock, "export-system", system="export", scope=SCOPE, **more)


@pytest.fixture
def imports(platform: Flask, clock: FakeClock) -> RelyingParty:
    return RelyingParty(platform, clock, "import-system", system="import", scope="openid licence:import")


def enter(rp: RelyingParty, person: Somebody, remaining: int | None = 9, system: str = "export") -> FlaskClient:
    """A browser in which the legacy entry was passed."""
    browser = rp.browser()
    rp.sign_in(browser, person.id, only_system=system, entry_remaining=remaining)
    return browser


def only_session(app: Flask) -> Session:
    with app.app_context():
        return session.scalars(select(Session).where(Session.ended_at.is_(None))).one()


# --- the pages --------------------------------------------------------------------------------------------------------------------------------


def test_nobody_is_signed_in_on_any_page_of_a_person_or_an_officer(platform: Flask, export: RelyingParty, beijing: Somebody) -> None:
    browser, walked = enter(export, beijing), 0
    token = re.search(r'name="csrf_token" value="([^"]+)"', browser.get("/signout").get_data(as_text=True))
    assert token is not None
    for rule in platform.url_map.iter_rules():
        kind = web.declared(platform, rule.endpoint)
        if kind not in ("person", "officer"):
            continue
        path = re.sub(r"<int[^>]*>", "1", rule.rule)
        path = re.sub(r"<[^>]+>", "x", path)
        for method in sorted((rule.methods or set()) & {"GET", "POST", "PUT", "DELETE"}):
            answer = browser.open(path, method=method, data={"csrf_token": token[1]} if method != "GET" else None)
            assert (answer.status_code, "/signin/" in str(answer.location)) == (303, True), f"{method} {path}"
            walked += 1
    assert walked > 20


def test_the_same_walk_with_a_whole_session_is_let_in(platform: Flask, export: RelyingParty, beijing: Somebody) -> None:
    browser = export.browser(beijing.id)
    for path in ("/hall", "/account", "/device"):
        assert browser.get(path, follow_redirects=True).status_code == 200, path


def test_home_and_login_begin_an_ordinary_sign_in(export: RelyingParty, beijing: Somebody) -> None:
    browser = enter(export, beijing)
    assert browser.get("/").location == "/login"
    for path in ("/login", "/loginCorp.html"):
        assert "/signin/" in browser.get(path).location


@pytest.mark.requirement("R77")
def test_a_page_that_refuses_is_no_activity(platform: Flask, clock: FakeClock, export: RelyingParty, beijing: Somebody) -> None:
    browser = enter(export, beijing)
    clock.advance(minutes=20)
    browser.get("/hall")
    assert only_session(platform).used_at == START


@pytest.mark.requirement("R76")
def test_a_sign_out_ends_it(platform: Flask, export: RelyingParty, beijing: Somebody) -> None:
    browser = enter(export, beijing)
    token = export.tokens(browser)["access_token"]
    shown = browser.get("/signout").get_data(as_text=True)
    browser.post("/signout", data={"csrf_token": shown.split('name="csrf_token" value="')[1].split('"')[0]})
    assert export.userinfo(token).status_code == 401
    with platform.app_context():
        assert session.scalars(select(Session.end_reason)).one() == "signed_out"
        assert session.scalars(select(OutboxItem.lane)).all() == ["export-system"]


@pytest.mark.spec("OIDC RP-Initiated Logout", "2")
def test_the_system_signs_it_out_too(platform: Flask, export: RelyingParty, beijing: Somebody) -> None:
    browser = enter(export, beijing)
    tokens = export.tokens(browser)
    asked = {"id_token_hint": tokens["id_token"], "post_logout_redirect_uri": AFTER}
    assert browser.get("/oauth2/logout", query_string=asked, base_url=ISSUER).location == AFTER
    assert export.userinfo(tokens["access_token"]).status_code == 401
    assert "/signin/" in export.authorize(browser).location


# --- an ordinary sign-in takes its place -------------------------------------------------------------------------------------------------------


def test_a_sign_in_ends_it_and_starts_a_whole_one(platform: Flask, export: RelyingParty) -> None:
    with platform.app_context(), transaction():
        row = people.beijing()
        somebody = Somebody(row.id, row.sub)
    person = Person(platform)
    export.sign_in(person.client, somebody.id, only_system="export", entry_remaining=3)
    token = export.tokens(person.client)["access_token"]
    person.type_password(people.NAME, people.OLD)
    # the forced change is not skipped by it, and no page of the sign-in takes it for one
    assert person.at.endswith("/change")
    assert export.userinfo(token).status_code == 200
    person.submit(new_password=people.NEW, confirm_password=people.NEW)
    person.give_contacts(mobile="13800138000")
    assert person.at == "/hall"
    with platform.app_context():
        old, new = session.scalars(select(Session).order_by(Session.id)).all()
        assert old.only_system == "export"
        assert old.ended_at is not None
        assert (new.only_system, new.entry_remaining, new.ended_at) == (None, None, None)
    assert export.userinfo(token).status_code == 401
    assert "legacy_entry_remaining" not in claims_of(export.tokens(person.client)["id_token"])


@pytest.mark.store
def test_of_the_same_account_and_epoch_it_is_not_renewed(platform: Flask, clock: FakeClock, export: RelyingParty, beijing: Somebody) -> None:
    enter(export, beijing)
    with platform.app_context(), transaction():
        row, account = session.scalars(select(Session)).one(), session.get_one(Account, beijing.id)
        began = flow.begin("browser", flow.Caller(return_to="/hall"), clock.now(), 900)
        found = session.get_one(SignInTransaction, began)
        found.account_id = account.id
        flow.record(found, epoch=account.epoch, password_at=clock.now().isoformat(), totp_on=False)
        outcome = finish.finish(found, (), row.id, Life(1800, 12 * 3600), clock.now(), HOOKS.session_ended)
        assert isinstance(outcome, finish.Signed)
    with platform.app_context():
        old, new = session.scalars(select(Session).order_by(Session.id)).all()
        assert (old.only_system, old.end_reason) == ("export", "signed_in_whole")
        assert (new.only_system, new.ended_at, (new.absolute_end - new.started_at).total_seconds()) == (None, None, 12 * 3600)


def test_a_step_up_never_begins_from_it(platform: Flask, clock: FakeClock, export: RelyingParty, beijing: Somebody) -> None:
    wish = '{"id_token":{"acr":{"essential":true,"value":"urn:licence:acr:password-totp"}}}'
    assert answer_of(export.authorize(enter(export, beijing), claims=wish, prompt="none"))["error"] == "login_required"
    browser = enter(export, beijing)
    answer = browser.get(export.authorize(browser, claims=wish).location, base_url=ISSUER)
    # a whole sign-in, from its password on
    assert answer.location.endswith("/password")


def test_a_step_up_that_began_before_never_ends_in_it(platform: Flask, clock: FakeClock, export: RelyingParty, beijing: Somebody) -> None:
    enter(export, beijing)
    with platform.app_context(), transaction():
        row = session.scalars(select(Session)).one()
        account = session.get_one(Account, beijing.id)
        signed = flow.SignedIn(account.id, account.epoch, row.id, START)
        began = flow.begin_step_up("browser", flow.Caller(return_to="/hall"), signed, clock.now(), 900)
        found, _ = flow.find(began, ["browser"])
        assert found is not None
        assert finish.finish(found, (), row.id, Life(1800, 3600), clock.now(), lambda *_: None) == "stale"


# --- authorize ---------------------------------------------------------------------------------------------------------------------------------


@pytest.mark.requirement("R64")
def test_it_opens_its_own_system_and_tells_what_is_left(export: RelyingParty, beijing: Somebody) -> None:
    answer = export.tokens(enter(export, beijing, 9))
    assert "refresh_token" not in answer
    assert answer["scope"] == SCOPE
    id_token, told = claims_of(answer["id_token"]), body_of(export.userinfo(answer["access_token"]))
    assert id_token["legacy_entry_remaining"] == told["legacy_entry_remaining"] == 9
    assert (id_token["acr"], id_token["sub"]) == ("urn:licence:acr:password", beijing.sub)
    assert (told["licences"], told["legacy_usernames"]) == (["export"], ["beijing"])
    assert export.introspect(answer["access_token"])["scope"] == SCOPE


@pytest.mark.requirement("R64")
def test_nothing_is_told_where_nothing_is_counted(export: RelyingParty, beijing: Somebody) -> None:
    for browser in (enter(export, beijing, None), export.browser(beijing.id)):
        answer = export.tokens(browser)
        assert "legacy_entry_remaining" not in claims_of(answer["id_token"]) | body_of(export.userinfo(answer["access_token"]))
    assert claims_of(export.tokens(enter(export, beijing, 0))["id_token"])["legacy_entry_remaining"] == 0


def test_a_whole_session_of_the_same_client_has_its_refresh_token(export: RelyingParty, beijing: Somebody) -> None:
    assert "refresh_token" in export.tokens(export.browser(beijing.id))


OTHERS: list[dict[str, Any]] = [
    {"system": "import", "scope": "openid licence:import"},
    {"scope": "openid profile"},
    # it may ask for the licence, and is not the system
    {"scope": "openid licence:export"},
    {"first_party": False, "scope": "openid licence:export"},
    # the system's own, which may ask for another licence too
    {"system": "export", "scope": "openid licence:export licence:import"},
]


@pytest.mark.parametrize("members", OTHERS, ids=["other system", "no system", "licence only", "stranger", "two licences"])
def test_for_every_other_client_nobody_is_signed_in(platform: Flask, clock: FakeClock, beijing: Somebody, members: dict[str, Any]) -> None:
    other = RelyingParty(platform, clock, "other", **members)
    browser = enter(other, beijing)
    assert answer_of(other.authorize(browser, scope="openid", prompt="none"))["error"] == "login_required"
    assert "/signin/" in other.authorize(browser, scope="openid").location
    assert only_session(platform).ended_at is None


def test_prompt_none_goes_through_for_its_own(export: RelyingParty, beijing: Somebody, shanghai: Somebody) -> None:
    browser = enter(export, beijing)
    hint = export.tokens(browser)["id_token"]
    assert "code" in answer_of(export.authorize(browser, prompt="none", id_token_hint=hint))
    assert answer_of(export.authorize(enter(export, shanghai), prompt="none", id_token_hint=hint))["error"] == "login_required"


def test_max_age_and_prompt_login_lead_to_an_ordinary_sign_in(clock: FakeClock, export: RelyingParty, beijing: Somebody) -> None:
    browser = enter(export, beijing)
    assert "/signin/" in export.authorize(browser, prompt="login").location
    clock.advance(minutes=10)
    assert "/signin/" in export.authorize(browser, max_age="60").location
    assert "code" in answer_of(export.authorize(browser, max_age="3600"))


def test_a_yes_by_the_legacy_entry_is_for_once(platform: Flask, clock: FakeClock, beijing: Somebody) -> None:
    rp = RelyingParty(platform, clock, "own", first_party=False, system="export", scope="openid licence:export")
    browser = enter(rp, beijing)
    path, _, fields = page(browser, rp.authorize(browser).location)
    answer = answer_of(browser.post(path, data={**fields, "action": "allow"}, base_url=ISSUER))
    assert rp.redeem(answer["code"]).status_code == 200
    with platform.app_context():
        assert session.scalars(select(Consent)).all() == []
    assert answer_of(rp.authorize(browser, prompt="none"))["error"] == "consent_required"


def test_the_consent_page_of_another_client_is_not_for_it(platform: Flask, clock: FakeClock, beijing: Somebody) -> None:
    rp = RelyingParty(platform, clock, "stranger", first_party=False, scope="openid")
    browser = rp.browser(beijing.id)
    path, _, fields = page(browser, rp.authorize(browser).location)
    rp.sign_in(browser, beijing.id, only_system="export")
    assert "/signin/" in browser.get(path, base_url=ISSUER).location
    assert "/signin/" in browser.post(path, data={**fields, "action": "allow"}, base_url=ISSUER).location


# --- what it is worth --------------------------------------------------------------------------------------------------------------------------


def entitle(app: Flask, person: Somebody, state: str, system: str = "export") -> None:
    with app.app_context(), transaction():
        session.add(Entitlement(account_id=person.id, system=system, state=state, since=START))


@pytest.mark.requirement("R62")
def test_a_right_that_waits_for_a_proof_waits_not_here(platform: Flask, export: RelyingParty, beijing: Somebody) -> None:
    entitle(platform, beijing, "held")
    assert answer_of(export.authorize(export.browser(beijing.id), prompt="none"))["error"] == "access_denied"
    token = export.tokens(enter(export, beijing))["access_token"]
    assert body_of(export.userinfo(token))["licences"] == ["export"]
    assert "licence:export" in export.introspect(token)["scope"]
    with platform.app_context():
        today = START.date()
        assert rules.open_systems(beijing.id, today) == {"import"}
        assert rules.open_systems(beijing.id, today, "export") == {"export"}
    entitle(platform, beijing, "held", "import")
    with platform.app_context():
        assert rules.rights(beijing.id, today, "export") == [Right("export", None), Right("import", "awaiting_proof")]


@pytest.mark.parametrize("hindrance", ["blocked", "key", "not opened"])
def test_all_else_bars_it(platform: Flask, export: RelyingParty, beijing: Somebody, hindrance: str) -> None:
    browser = enter(export, beijing)
    token = export.tokens(browser)["access_token"]
    code = export.code(browser)
    if hindrance == "blocked":
        entitle(platform, beijing, "blocked")
        entitle(platform, beijing, "held")
    with platform.app_context(), transaction():
        key = session.get_one(Account, beijing.id).keys[0]
        found = session.get_one(EKey, key.serial)
        if hindrance == "key":
            found.status = "revoked"
        elif hindrance == "not opened":
            found.licences = [each for each in found.licences if each.system != "export"]
    assert answer_of(export.authorize(browser, prompt="none"))["error"] == "access_denied"
    assert body_of(export.redeem(code))["error"] == "invalid_grant"
    assert "licences" not in body_of(export.userinfo(token))


@pytest.mark.requirement("R68")
def test_the_rights_of_a_damaged_key_need_a_code_and_so_a_whole_sign_in(platform: Flask, export: RelyingParty, beijing: Somebody) -> None:
    browser = enter(export, beijing)
    with platform.app_context(), transaction():
        row = session.get_one(Account, beijing.id)
        row.mobile_proven_at = START
        days = date(2026, 3, 17)
        session.add(
            EKeyReport(
                serial=row.keys[0].serial, account_id=row.id, word="damaged", how="account", number="20260302-AAAA", at=START, rights_until=days
            )
        )
    with platform.app_context():
        assert "export" in rules.open_systems(beijing.id, START.date())
        assert rules.open_systems(beijing.id, START.date(), "export") == set()
    assert answer_of(export.authorize(browser, prompt="none"))["error"] == "access_denied"
    shown = browser.get(export.authorize(browser).location, base_url=ISSUER)
    assert shown.status_code == 403
    assert "须使用统一平台的账号登录并另行验证" in shown.get_data(as_text=True)
    assert "locked." not in shown.get_data(as_text=True)


@pytest.mark.parametrize("change", [{"scope": "openid licence:export licence:import"}, {"system": "import"}])
def test_a_client_that_is_the_systems_own_no_more_gets_nothing(
    platform: Flask, export: RelyingParty, beijing: Somebody, change: dict[str, str]
) -> None:
    browser = enter(export, beijing)
    token, code = export.tokens(browser)["access_token"], export.code(browser)
    with platform.app_context(), transaction():
        row = session.get_one(ClientRecord, "export-system")
        row.registration, row.version = {**row.registration, **change}, row.version + 1
    assert body_of(export.redeem(code))["error"] == "invalid_grant"
    assert export.userinfo(token).status_code == 403


def test_no_other_licence_whatever_the_grant_says(platform: Flask, export: RelyingParty, beijing: Somebody) -> None:
    """The cut is made anew wherever the grant's worth is computed, not once when it was made."""
    browser = enter(export, beijing)
    code = export.code(browser)
    with platform.app_context(), transaction():
        session.execute(sql_update(Grant).values(only_system="import", asked_scope="openid licence:export licence:import"))
    assert body_of(export.redeem(code))["error"] == "invalid_grant"
    with platform.app_context():
        assert rules.open_systems(beijing.id, START.date(), "import") == {"import"}


def test_the_hot_path_asks_no_more_than_for_a_whole_session(platform: Flask, export: RelyingParty, beijing: Somebody) -> None:
    counted: list[int] = []
    for browser in (export.browser(beijing.id), enter(export, beijing)):
        token, said = export.tokens(browser)["access_token"], list[str]()
        with platform.app_context():
            engine = db.engine

        def hear(_connection: Any, _cursor: Any, statement: str, *_: Any, said: list[str] = said) -> None:
            said.append(statement)

        event.listen(engine, "before_cursor_execute", hear)
        assert export.userinfo(token).status_code == 200
        event.remove(engine, "before_cursor_execute", hear)
        counted.append(len(said))
    assert counted[0] == counted[1]


# --- its end -----------------------------------------------------------------------------------------------------------------------------------


def test_it_lives_four_hours_at_most(platform: Flask, clock: FakeClock, export: RelyingParty, beijing: Somebody) -> None:
    browser = enter(export, beijing)
    token = export.tokens(browser)["access_token"]
    row = only_session(platform)
    assert (row.absolute_end - row.started_at).total_seconds() == lifecycle.LIMITED_SECONDS == 4 * 3600
    for _ in range(12):
        clock.advance(minutes=19)
        assert "code" in answer_of(export.authorize(browser))
    clock.advance(minutes=19)
    assert run_once(platform, JOBS) == 0
    assert "/signin/" in export.authorize(browser).location
    assert export.userinfo(token).status_code == 401
    with platform.app_context():
        assert "oidc_logout_token" in session.scalars(select(OutboxItem.kind)).all()


@pytest.mark.requirement("R77")
def test_idling_ends_it_as_any_other(clock: FakeClock, export: RelyingParty, beijing: Somebody) -> None:
    browser = enter(export, beijing)
    clock.advance(minutes=31)
    assert "/signin/" in export.authorize(browser).location


@pytest.mark.store
def test_a_new_epoch_ends_it_and_its_tokens(platform: Flask, export: RelyingParty, beijing: Somebody) -> None:
    browser = enter(export, beijing)
    token = export.tokens(browser)["access_token"]
    with platform.app_context(), transaction():
        session.get_one(Account, beijing.id).epoch += 1
    assert export.userinfo(token).status_code == 401
    assert "/signin/" in export.authorize(browser).location


@pytest.mark.store
def test_session_and_grant_keep_what_is_left(platform: Flask, export: RelyingParty, beijing: Somebody) -> None:
    export.tokens(enter(export, beijing, 4))
    with platform.app_context():
        grant = session.scalars(select(Grant)).one()
        row = session.scalars(select(Session)).one()
        assert (grant.only_system, grant.entry_remaining) == (row.only_system, row.entry_remaining) == ("export", 4)
