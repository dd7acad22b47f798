import json
from typing import Any

import pytest
from flask import Flask
from hypothesis import HealthCheck, given
from hypothesis import settings as bounds
from hypothesis import strategies as st
from sqlalchemy import select

from idp.audit.models import AuditEvent
from idp.db import session, transaction
from idp.ekey.models import EKeyBinding
from idp.entitlements import rules
from idp.key_register.models import EKey
from idp.sessions import lifecycle
from idp.sessions.models import Session
from tests import people
from tests.ekey.test_binding import TODAY
from tests.fakes import FakeClock
from tests.relying_party import ISSUER, RelyingParty, body_of

ROW = {
    "serial": "EKPUSHED1",
    "enterprise_code": people.CODE,
    "holder": "某人",
    "licences": "export import",
    "issued": "2017-01-01",
    "expires": "2037-01-01",
    "status": "active",
}
SCOPE = "enterprise key_register:write"


@pytest.fixture
def office(platform: Flask, clock: FakeClock) -> RelyingParty:
    return RelyingParty(platform, clock, "key-office", scope=SCOPE, grant_types=["client_credentials"])


def token(client: RelyingParty, **form: str) -> str:
    return str(body_of(client.call("token", grant_type="client_credentials", **form))["access_token"])


def push(app: Flask, bearer: str, row: Any = ROW, **headers: str) -> Any:
    sent = row if isinstance(row, bytes) else json.dumps(row).encode()
    return app.test_client().post(
        "/api/key-register/keys", data=sent, content_type="application/json", headers={"Authorization": f"Bearer {bearer}", **headers}
    )


@pytest.mark.requirement("R66")
@pytest.mark.store
def test_a_row_is_in_force_with_the_answer_and_again_changes_nothing(platform: Flask, office: RelyingParty) -> None:
    bearer = token(office, scope="key_register:write")
    with platform.app_context(), transaction():
        known = people.beijing()
        account_id, serial, code = known.id, known.keys[0].serial, people.CODE
    row = ROW | {"serial": serial, "enterprise_code": code, "licences": "export"}
    assert [push(platform, bearer, row).json for _ in range(2)] == [{"result": "changed"}, {"result": "unchanged"}]
    assert push(platform, bearer, row | {"status": "revoked"}).json == {"result": "changed"}
    with platform.app_context():
        assert "export" not in rules.open_systems(account_id, TODAY)
        assert push(platform, bearer, ROW | {"enterprise_code": code}).json == {"result": "added"}
        assert session.scalars(select(AuditEvent).where(AuditEvent.event == "register.row_taken")).all()


@pytest.mark.requirement("R69")
@pytest.mark.store
def test_a_pushed_end_takes_the_key_from_sessions_at_once(platform: Flask, office: RelyingParty, clock: FakeClock) -> None:
    bearer = token(office, scope="key_register:write")
    with platform.app_context(), transaction():
        known = people.beijing()
        serial, factors = known.keys[0].serial, {"password": clock.now(), "ekey": clock.now()}
        session.add(EKeyBinding(serial=serial, issuer="i", subject="s", not_after=clock.now(), bound_at=clock.now()))
        row = lifecycle.start(known.id, known.epoch, factors, clock.now(), 3600)[0]
        row.ekey_serial = serial
        number = row.id
    said = ROW | {"serial": serial}
    for status, stays in (("active", True), ("revoked", False)):
        assert push(platform, bearer, said | {"status": status}).status_code == 200
        with platform.app_context():
            found = session.get_one(Session, number)
            assert (found.ekey_serial == serial, found.ekey_at is not None, found.ended_at) == (stays, stays, None)


@pytest.mark.requirement("R68")
@pytest.mark.store
def test_a_fourth_live_key_is_taken_with_a_warning(platform: Flask, office: RelyingParty) -> None:
    bearer = token(office, scope="key_register:write")
    with platform.app_context(), transaction():
        people.enterprise()
    said = [push(platform, bearer, ROW | {"serial": f"EK{number}"}) for number in range(4)]
    assert [answer.status_code for answer in said] == [200] * 4
    assert [answer.json for answer in said[:3]] == [{"result": "added"}] * 3
    assert said[3].json == {"result": "added", "warning": f"{people.CODE} has 4 live keys now; at most 3 of them can be used"}
    assert push(platform, bearer, ROW | {"serial": "EK0", "status": "revoked"}).json == {"result": "changed"}


ODD = st.one_of(st.text(max_size=30), st.sampled_from(["\x00", "\ud800", "x" * 3000, people.CODE, "2037-01-01", "active"]))


@pytest.mark.slow
@pytest.mark.store
@bounds(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    row=st.dictionaries(st.sampled_from([*ROW, "user_name", "activation_code"]) | ODD, ODD | st.none() | st.integers() | st.lists(ODD, max_size=2))
)
def test_no_row_makes_a_5xx(platform: Flask, office: RelyingParty, clock: FakeClock, row: dict[str, Any]) -> None:
    clock.advance(minutes=10)
    bearer = token(office, scope="key_register:write")
    assert push(platform, bearer, row).status_code in (400, 422)
    assert push(platform, bearer, {**ROW, **row}).status_code < 500


@pytest.mark.parametrize(
    ("row", "status", "field"),
    [
        (ROW | {"status": "lost"}, 422, "status"),
        (ROW | {"enterprise_code": "9999000000000"}, 422, "enterprise_code"),
        (ROW | {"serial": ""}, 422, "serial"),
        (ROW | {"user_name": "a b"}, 422, "user_name"),
        (ROW | {"activation_code": "12"}, 422, "activation_code"),
        (ROW | {"expires": 20370101}, 400, "expires"),
        (ROW | {"colour": "red"}, 422, "colour"),
        ({"serial": "EK1"}, 422, "enterprise_code"),
        ([ROW], 400, "body"),
        (b'{"serial": "EK1",\n "serial": }', 400, "body"),
        (b'{"serial": "EK1", "serial": "EK2"}', 400, "body"),
        (b"\xff", 400, "body"),
        (ROW | {"\ud800": "x"}, 400, "body"),
        (ROW | {"holder": "\udfff"}, 400, "body"),
        (b"[" * 9000, 400, "body"),
        (b" " * 20000, 400, "body"),
    ],
)
def test_a_bad_row_is_named_and_writes_nothing(platform: Flask, office: RelyingParty, row: Any, status: int, field: str) -> None:
    answer = push(platform, token(office), row)
    assert (answer.status_code, answer.json["field"]) == (status, field)
    with platform.app_context():
        assert session.get(EKey, "EKPUSHED1") is None


@pytest.mark.requirement("R66")
def test_only_the_offices_client_with_this_scope(platform: Flask, office: RelyingParty, clock: FakeClock) -> None:
    machine = RelyingParty(platform, clock, "machine", scope="enterprise", grant_types=["client_credentials"])
    for bearer, status in (("", 401), ("x.y.z", 401), (token(machine), 403), (token(office, scope="enterprise"), 403)):
        answer = push(platform, bearer)
        assert answer.status_code == status
        assert "WWW-Authenticate" in answer.headers
    refused = machine.call("token", grant_type="client_credentials", scope="key_register:write")
    assert refused.get_json()["error"] == "invalid_scope"
    assert platform.test_client().get("/api/key-register/keys").status_code == 405


def test_nobody_can_grant_it_to_a_client(platform: Flask, clock: FakeClock) -> None:
    from idp.oidc.scopes import aim

    found = aim(["openid", "key_register:write"], ["openid", "key_register:write"], None, None, ISSUER)
    assert not isinstance(found, str)
    assert found.scopes == ("openid",)
