"""POST /api/legacy/<system>/attempt (R64): the verdict and the count of the legacy entry, for an old system's own log-in page."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from hypothesis import HealthCheck, given
from hypothesis import settings as bounds
from hypothesis import strategies as st
from sqlalchemy import select, update
from werkzeug.test import TestResponse

from idp.accounts.models import Account
from idp.audit.models import AuditEvent
from idp.db import session, transaction
from idp.enterprises.models import Enterprise
from idp.errors import BadInput
from idp.key_register.models import EKey
from idp.legacy import incident
from idp.legacy.models import LegacyEntryEnd, LegacyRow
from idp.oidc.keys import NewKey
from idp.oidc.registration import judge
from idp.sessions.models import Session
from tests.fakes import START, FakeClock
from tests.legacy.dumps import CODE, OTHER_CODE, OTHER_KEY, row, take, write
from tests.legacy.old_users import IMPORT_OLD, NAME, OLD, furnish, log_in, merge, old_user, set_used
from tests.oidc.conftest import signing_keys as signing_keys
from tests.relying_party import ISSUER, RelyingParty, body_of, claims_of, store_keys

ADDRESS = "203.0.113.7"
RIGHT = {"username": NAME, "password": OLD, "client_ip": ADDRESS}
SCOPE = "openid enterprise licence:export legacy_entry:export"


@pytest.fixture
def platform(office: Flask, clock: FakeClock, tmp_path: Path, signing_keys: list[NewKey]) -> Flask:
    furnish(office, tmp_path)
    with transaction():
        store_keys(signing_keys, clock.now())
    return office


@pytest.fixture
def export(platform: Flask, clock: FakeClock) -> RelyingParty:
    return RelyingParty(platform, clock, "export-system", system="export", scope=SCOPE, grant_types=["authorization_code", "client_credentials"])


@pytest.fixture
def bearer(export: RelyingParty) -> str:
    return token(export)


def token(client: RelyingParty, scope: str = "legacy_entry:export") -> str:
    return str(body_of(client.call("token", grant_type="client_credentials", scope=scope))["access_token"])


def ask(app: Flask, bearer: str, sent: Any = RIGHT, system: str = "export", kind: str = "application/json") -> TestResponse:
    body = sent if isinstance(sent, bytes) else json.dumps(sent).encode()
    headers = {"Authorization": f"Bearer {bearer}"}
    return app.test_client().post(f"/api/legacy/{system}/attempt", data=body, content_type=kind, headers=headers, base_url=ISSUER)


def said(answer: TestResponse) -> tuple[int, Any]:
    return answer.status_code, answer.json


WRONG = (401, {"result": "wrong"})


def closed(reason: str) -> tuple[int, dict[str, str]]:
    return 403, {"result": "closed", "reason": reason, "link": f"{ISSUER}/login"}


@pytest.mark.slow
@pytest.mark.store
@pytest.mark.requirement("R64")
@pytest.mark.requirement("R2")
def test_it_counts_with_the_page_to_the_tenth_and_no_further(platform: Flask, bearer: str) -> None:
    for left in range(9, 0, -2):
        assert said(ask(platform, bearer)) == (200, {"result": "ok", "remaining": left})
        assert f"登录 {left - 1} 次" in log_in(platform).text
    assert said(ask(platform, bearer)) == closed("used_up")
    assert log_in(platform).page.status_code == 403
    assert said(ask(platform, bearer, RIGHT | {"password": "wrong"})) == WRONG
    with transaction():
        incident.declare("wang", "down", START)
    answer = ask(platform, bearer)
    assert said(answer) == (200, {"result": "ok", "remaining": None})
    assert answer.headers["Cache-Control"] == "no-store"
    assert old_user().entry_logins == 10
    session.rollback()
    # nobody is signed in by it
    assert len(session.scalars(select(Session)).all()) == 5
    assert {event.detail["by"] for event in session.scalars(select(AuditEvent).where(AuditEvent.event == "legacy.entry.passed"))} == {
        "page",
        "program",
    }


@pytest.mark.requirement("R64")
@pytest.mark.requirement("D15")
def test_its_verdicts_are_those_of_the_page(platform: Flask, bearer: str) -> None:
    for changed in ({"password": IMPORT_OLD}, {"username": "nobody"}, {"username": ""}, {"password": ""}, {"enterprise_code": OTHER_CODE}):
        assert said(ask(platform, bearer, RIGHT | changed)) == WRONG
    for statement, reason in (
        (update(EKey).values(status="revoked"), "key_revoked"),
        (update(LegacyRow).values(entry_until=START.date() - timedelta(days=1)), "ended"),
        (update(Account).values(status="disabled"), "account_disabled"),
    ):
        with transaction():
            session.execute(statement)
        assert said(ask(platform, bearer)) == closed(reason)
    with transaction():
        session.execute(update(Account).values(status="active"))
        session.execute(update(Enterprise).values(status="cancelled"))
    assert said(ask(platform, bearer)) == closed("enterprise_cancelled")
    with transaction():
        session.execute(update(LegacyRow).values(entry_until=None))
        session.add(LegacyEntryEnd(system="export", last_day=START.date() - timedelta(days=1), since=START))
    # over for everybody: no password is looked at
    assert said(ask(platform, bearer, RIGHT | {"password": "wrong"})) == closed("ended")
    assert old_user().entry_logins == 0


@pytest.mark.requirement("D19")
def test_a_name_that_enterprises_share_is_ambiguous_until_the_code_comes(platform: Flask, bearer: str, tmp_path: Path) -> None:
    assert take(platform, write(tmp_path, row("shared", OLD), row("shared", OLD, OTHER_CODE, ""))).code == 0
    merge(platform)
    shared = RIGHT | {"username": "shared"}
    # never locked, however many of its enterprises' people forget their code
    assert {said(ask(platform, bearer, shared | {"password": each}))[0] for each in (OLD, *("wrong",) * 8)} == {409}
    assert ask(platform, bearer, shared).json == {"result": "ambiguous"}
    assert said(ask(platform, bearer, shared | {"enterprise_code": CODE})) == (200, {"result": "ok", "remaining": 9})
    assert take(platform, write(tmp_path, row(), row(key=OTHER_KEY))).code == 0
    merge(platform)
    assert said(ask(platform, bearer, RIGHT | {"enterprise_code": CODE})) == (409, {"result": "ambiguous"})


@pytest.mark.requirement("R61")
def test_wrong_ones_lock_by_the_persons_network_and_say_how_long(platform: Flask, bearer: str, clock: FakeClock) -> None:
    wrong = RIGHT | {"password": "wrong"}
    assert [ask(platform, bearer, wrong).status_code for _ in range(5)] == [401] * 4 + [429]
    answer = ask(platform, bearer)
    assert (answer.status_code, answer.json, answer.headers["Retry-After"]) == (429, {"result": "too_many"}, "900")
    assert ask(platform, bearer, RIGHT | {"client_ip": "203.0.113.8"}).status_code == 200
    clock.advance(seconds=899)
    bearer = token(RelyingParty(platform, clock, "export-2", system="export", scope=SCOPE, grant_types=["client_credentials"]))
    assert ask(platform, bearer).status_code == 429
    clock.advance(seconds=1)
    assert ask(platform, bearer).status_code == 200


@pytest.mark.slow
@pytest.mark.requirement("R61")
def test_a_network_with_very_many_failures_is_refused_for_a_while(platform: Flask, bearer: str) -> None:
    for number in range(200):
        assert ask(platform, bearer, RIGHT | {"username": f"guess-{number}"}).status_code == 401
    answer = ask(platform, bearer)
    assert (answer.status_code, 0 < int(answer.headers["Retry-After"]) <= 60) == (429, True)
    assert ask(platform, bearer, RIGHT | {"client_ip": "2001:db8::1"}).status_code == 200


@pytest.mark.requirement("R54")
@pytest.mark.requirement("R64")
def test_from_the_page_into_the_system_with_what_is_left_as_a_claim(platform: Flask, export: RelyingParty) -> None:
    person = log_in(platform)
    answer = export.tokens(person.client, scope="openid licence:export")
    assert "refresh_token" not in answer
    assert claims_of(answer["id_token"])["legacy_entry_remaining"] == 9
    told = body_of(export.userinfo(answer["access_token"]))
    assert (told["licences"], told["legacy_usernames"], told["legacy_entry_remaining"]) == (["export"], [NAME], 9)
    # the next log-in takes the place of this one
    person.open("/legacy/export")
    person.submit(username=NAME, password=OLD)
    assert export.userinfo(answer["access_token"]).status_code == 401
    assert claims_of(export.tokens(person.client, scope="openid licence:export")["id_token"])["legacy_entry_remaining"] == 8


# --- who may ask ------------------------------------------------------------------------------------------------------------------------------


def test_only_the_systems_own_client_may_ask(platform: Flask, clock: FakeClock, export: RelyingParty, bearer: str) -> None:
    assert ask(platform, "").status_code == 401
    assert ask(platform, bearer + "x").status_code == 401
    assert ask(platform, token(export, "enterprise")).status_code == 401  # a token for the system, not for the platform
    plain = str(body_of(export.call("token", grant_type="client_credentials", scope="enterprise", resource=ISSUER))["access_token"])
    assert ask(platform, plain).status_code == 403
    for other in ("import", "none", "EXPORT", "%00"):
        assert ask(platform, bearer, system=other).status_code in (403, 404)
    persons = export.browser(old_user().account_id)
    assert ask(platform, export.tokens(persons, scope="openid")["access_token"]).status_code == 401
    assert old_user().entry_logins == 0


@pytest.mark.parametrize("system", [None, "import"])
def test_a_client_is_not_registered_for_another_systems_entry(system: str | None) -> None:
    members = {"client_id": "x", "redirect_uris": ["https://rp.example/cb"], "scope": "openid legacy_entry:export"}
    with pytest.raises(BadInput, match="own system alone"):
        judge({**members, **({"system": system} if system else {})})


def test_no_person_grants_it(platform: Flask, export: RelyingParty) -> None:
    browser = export.browser(old_user().account_id)
    answer = export.tokens(browser, scope="openid licence:export legacy_entry:export")
    assert "legacy_entry" not in answer["scope"]


# --- what is sent -----------------------------------------------------------------------------------------------------------------------------

BAD: list[Any] = [
    b"",
    b"\xff",
    b"[]",
    b"{" * 5000,
    b"1" * 6000,
    b'{"username":"a","username":"b","password":"c","client_ip":"1.2.3.4"}',
    b'{"username":"\\ud800","password":"c","client_ip":"1.2.3.4"}',
    b'{"username":"a","password":"c","client_ip":"1.2.3.4"}' + b" " * 20_000,
    {},
    {"username": NAME, "password": OLD},
    RIGHT | {"more": "x"},
    RIGHT | {"username": 7},
    RIGHT | {"password": None},
    RIGHT | {"password": "\0"},
    RIGHT | {"username": "x" * 2001},
    RIGHT | {"enterprise_code": ["x"]},
    *(RIGHT | {"client_ip": each} for each in ("", "here", "1.2.3", "1.2.3.4/24", "::1%" + "x" * 300 + "\0", "999.1.1.1")),
]


@pytest.mark.parametrize("sent", BAD, ids=range(len(BAD)))
def test_what_cannot_be_used_is_said(platform: Flask, bearer: str, sent: Any) -> None:
    answer = ask(platform, bearer, sent)
    assert (answer.status_code, answer.json["error"] if answer.json else "") == (400, "invalid_request")
    assert old_user().entry_logins == 0


def test_a_form_is_no_json(platform: Flask, bearer: str) -> None:
    assert ask(platform, bearer, kind="application/x-www-form-urlencoded").status_code == 400
    assert platform.test_client().get("/api/legacy/export/attempt").status_code == 405


@pytest.mark.slow
@bounds(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    sent=st.fixed_dictionaries(
        {"username": st.text(max_size=200), "password": st.text(max_size=200), "client_ip": st.ip_addresses().map(str)},
        optional={"enterprise_code": st.text(max_size=60)},
    )
)
@pytest.mark.store
def test_nothing_that_is_typed_breaks_it(platform: Flask, bearer: str, sent: dict[str, str]) -> None:
    assert ask(platform, bearer, sent).status_code in (400, 401, 429)


@pytest.mark.requirement("R64")
def test_who_has_none_left_is_told_so(platform: Flask, bearer: str) -> None:
    set_used(9)
    assert ask(platform, bearer).json == {"result": "ok", "remaining": 0}
    assert said(ask(platform, bearer)) == closed("used_up")
