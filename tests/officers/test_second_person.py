import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from idp.accounts import roles
from idp.accounts.models import Account
from idp.db import session, transaction
from idp.errors import Refusal
from idp.second_person import rules
from idp.second_person.models import SecondPersonRequest
from idp.second_person.rules import Act, Filer
from tests.fakes import START
from tests.officers.staff import let_in, officer, token_of

pytestmark = pytest.mark.requirement("R90")
KIND, THREADS = "ekey.bind", 6
DONE: list[Mapping[str, Any]] = []


def run(details: Mapping[str, Any], _now: datetime) -> Refusal | None:
    DONE.append(details)
    return Refusal("request_over") if details.get("too_late") else None


ACTS = {KIND: Act(run, frozenset(["key_office"]))}


@pytest.fixture(autouse=True)
def acts(app: Flask) -> None:
    DONE.clear()
    runtime = app.extensions["idp"]
    app.extensions["idp"] = replace(runtime, hooks=replace(runtime.hooks, acts=ACTS))


@pytest.fixture
def people(app: Flask) -> dict[str, Account]:
    with app.app_context(), transaction():
        made = {"li": officer("li", "key_office", display_name="李"), "wang": officer("wang", "key_office", display_name="王")}
        made |= {"zhao": officer("zhao", "service_desk"), "qian": officer("qian", "auditor")}
    return made


def filed(app: Flask, by: Account, now: datetime = START, **details: Any) -> int:
    with app.app_context(), transaction():
        number = rules.file(KIND, "EK1", {"serial": "EK1", **details}, "遗失补办", Filer(by.id), ACTS, now)
    assert isinstance(number, int)
    return number


def confirm(app: Flask, number: int, by: Account, now: datetime = START) -> str | None:
    with app.app_context(), transaction():
        refusal = rules.confirm(number, by.id, ACTS, now)
    return refusal.code if refusal is not None else None


def state(app: Flask, number: int) -> str:
    with app.app_context():
        return session.get_one(SecondPersonRequest, number).state


def test_another_officer_confirms_and_it_is_done_once(app: Flask, people: dict[str, Account]) -> None:
    number = filed(app, people["li"])
    assert confirm(app, number, people["li"]) == "request_own"
    assert confirm(app, number, people["zhao"]) == "request_role"
    assert confirm(app, number, people["qian"]) == "request_role"
    assert DONE == []
    assert confirm(app, number, people["wang"]) is None
    assert [dict(each) for each in DONE] == [{"serial": "EK1"}]
    assert confirm(app, number, people["wang"]) == "request_over"
    assert len(DONE) == 1


@pytest.mark.store
def test_of_many_confirmations_at_once_one_acts(app: Flask, people: dict[str, Account]) -> None:
    number, gate, said = filed(app, people["li"]), threading.Barrier(THREADS), list[str | None]()

    def one() -> None:
        gate.wait()
        said.append(confirm(app, number, people["wang"]))

    threads = [threading.Thread(target=one) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert said.count(None) == 1
    assert said.count("request_over") == THREADS - 1
    assert len(DONE) == 1


def test_nothing_is_confirmed_after_three_days_and_the_job_says_so(app: Flask, people: dict[str, Account]) -> None:
    number, late = filed(app, people["li"]), START + timedelta(days=3)
    assert confirm(app, number, people["wang"], late) == "request_over"
    with app.app_context(), transaction():
        rules.expire(late - timedelta(seconds=1))
    assert state(app, number) == "open"
    with app.app_context(), transaction():
        rules.expire(late)
    assert state(app, number) == "expired"
    assert DONE == []


def test_an_act_that_comes_too_late_closes_the_request_as_failed(app: Flask, people: dict[str, Account]) -> None:
    number = filed(app, people["li"], too_late=True)
    assert confirm(app, number, people["wang"]) == "request_over"
    assert state(app, number) == "failed"


def test_who_files_it_holds_a_role_for_it(app: Flask, people: dict[str, Account]) -> None:
    with app.app_context(), transaction():
        for by in (Filer(people["zhao"].id), Filer(people["qian"].id), Filer(None), Filer(0, "zhang")):
            assert rules.file(KIND, "EK1", {}, "遗失补办", by, ACTS, START) == Refusal("request_role"), by
        assert rules.file("other", "EK1", {}, "遗失补办", Filer(people["li"].id), ACTS, START) == Refusal("request_role")
        assert isinstance(rules.file(KIND, "EK1", {}, "遗失补办", Filer(None, "zhang"), ACTS, START), int)


def test_who_filed_it_must_still_hold_that_role(app: Flask, people: dict[str, Account]) -> None:
    number = filed(app, people["li"])
    with app.app_context(), transaction():
        row = session.get_one(Account, people["li"].id)
        assert roles.give(row, "service_desk", "", "tester", START) is None
        roles.take(row, "key_office", START)
    assert confirm(app, number, people["wang"]) == "request_filer_gone"


def test_who_filed_it_must_still_be_an_officer(app: Flask, people: dict[str, Account]) -> None:
    number = filed(app, people["li"])
    with app.app_context(), transaction():
        roles.take(session.get_one(Account, people["li"].id), None, START)
    assert confirm(app, number, people["wang"]) == "request_filer_gone"


def test_one_open_request_for_one_thing(app: Flask, people: dict[str, Account]) -> None:
    filed(app, people["li"])
    with app.app_context(), transaction():
        assert rules.file(KIND, "EK1", {}, "再", Filer(people["wang"].id), ACTS, START) == Refusal("request_waiting")
        assert isinstance(rules.file(KIND, "EK1", {}, "再", Filer(people["wang"].id), ACTS, START + timedelta(days=3)), int)


@pytest.mark.store
def test_of_many_at_once_one_is_filed(app: Flask, people: dict[str, Account]) -> None:
    gate, by = threading.Barrier(THREADS), [Filer(people["li"].id), Filer(None, "zhang")]

    def one(number: int) -> int | Refusal:
        gate.wait()
        with app.app_context():
            try:
                with transaction():
                    return rules.file(KIND, "EK1", {}, "遗失补办", by[number % 2], ACTS, START)
            finally:
                session.remove()

    with ThreadPoolExecutor(THREADS) as pool:
        said = list(pool.map(one, range(THREADS)))
    assert said.count(Refusal("request_waiting")) == THREADS - 1
    with app.app_context():
        assert [row.id for row in session.scalars(select(SecondPersonRequest))] == [each for each in said if isinstance(each, int)]


@pytest.mark.parametrize("reason", ["", "  ", "x" * 501, "a\x00b", "\x1b[1m"])
def test_a_reason_is_needed(app: Flask, people: dict[str, Account], reason: str) -> None:
    with app.app_context(), transaction():
        assert isinstance(rules.file(KIND, "EK1", {}, reason, Filer(people["li"].id), ACTS, START), Refusal)


@pytest.mark.parametrize(("who", "code"), [("wang", None), ("li", None), ("zhao", "request_role"), ("qian", "request_role")])
def test_who_may_refuse(app: Flask, people: dict[str, Account], who: str, code: str | None) -> None:
    number = filed(app, people["li"])
    with app.app_context(), transaction():
        refusal = rules.refuse(number, people[who].id, "材料不全", ACTS, START)
    assert (refusal.code if refusal else None) == code
    assert state(app, number) == ("open" if code else "refused")


def test_the_pages_show_and_decide(app: Flask, people: dict[str, Account]) -> None:
    number = filed(app, people["li"])
    page = f"/officers/requests/{number}"
    wang = let_in(app, people["wang"], "totp")
    assert page in wang.get("/officers/requests").text
    assert "1 件待您复核" in wang.get("/officers").text
    shown = wang.get(page).text
    assert "遗失补办" in shown
    refused = wang.post(page, data={"csrf_token": token_of(shown), "action": "refuse", "reason": ""})
    assert refused.status_code == 422
    assert wang.post(page, data={"csrf_token": token_of(shown), "action": "confirm"}).status_code == 303
    assert "已复核并办理" in wang.get(page).text
    assert len(DONE) == 1


def test_who_sees_what(app: Flask, people: dict[str, Account]) -> None:
    number = filed(app, people["li"])
    page = f"/officers/requests/{number}"
    assert let_in(app, people["zhao"], "totp").get(page).status_code == 404
    seen = let_in(app, people["qian"], "totp").get(page)
    assert seen.status_code == 200
    assert 'value="confirm"' not in seen.text
    assert 'value="refuse"' not in seen.text
    own = let_in(app, people["li"], "totp").get(page).text
    assert 'value="confirm"' not in own
    assert 'value="refuse"' in own
    assert let_in(app, people["wang"], "totp").get("/officers/requests/99999999999999999999").status_code == 404


def test_the_page_lets_nobody_confirm_their_own(app: Flask, people: dict[str, Account]) -> None:
    number = filed(app, people["li"])
    page, li = f"/officers/requests/{number}", let_in(app, people["li"], "totp")
    answer = li.post(page, data={"csrf_token": token_of(li.get(page).text), "action": "confirm"})
    assert answer.status_code == 422
    assert DONE == []
