"""R67: each fault of a key has a text of its own, in both languages, at the place where a person meets it. A new code without one fails here."""

import re
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest
from markupsafe import escape
from playwright.sync_api import Browser, Page, Route, expect

from idp import i18n
from idp.ekey import step, verification
from idp.ekey.agent.cards import Code
from idp.ekey.refusal import DATED, FAULTS, PUBLIC, Refused
from tests.ekey.bad_pki import VERDICTS
from tests.ekey.test_step import Holder, World, token
from tests.ekey.test_step import pki as pki
from tests.ekey.test_step import settings as settings
from tests.ekey.test_step import signing_keys as signing_keys
from tests.ekey.test_step import world as world
from tests.pages.conftest import Stage
from tests.pages.conftest import stage as stage
from tests.pages.test_words import words

pytestmark = [pytest.mark.requirement("R67")]
# the requirement's list, in its order, and the code that says it
R67 = {
    "agent missing": "ekey_no_agent",
    "browser permission refused": "ekey_blocked",
    "no key": "ekey_no_card",
    "wrong PIN with tries left": "ekey_pin_wrong",
    "PIN locked": "ekey_pin_blocked",
    "expired": "ekey_expired_on",
    "not yet valid": "ekey_not_yet_valid_on",
    "revoked": "ekey_revoked",
    "unknown issuer": "ekey_unknown_issuer",
    "not bound": "ekey_not_bound",
    "bound to another user": "ekey_bound_to_other",
    "removed midway": "ekey_card_removed",
    "several keys": "ekey_several_cards",
}
OF_THE_DRIVER = [f"ekey_{code.value}" for code in Code]
# what the page's script finds out itself
OF_THE_SCRIPT = ["ekey_no_agent", "ekey_blocked", "ekey_outdated", "ekey_other"]
OF_THE_JUDGE = sorted({*PUBLIC.values(), *DATED.values()})
ALL = sorted({*OF_THE_DRIVER, *OF_THE_SCRIPT, *OF_THE_JUDGE, *FAULTS, *R67.values()})
# reasons that no bad card gives but the database, and the test that has each
BY_THE_DATABASE = {
    "challenge": "test_step.py",
    "not_bound": "test_step.py",
    "bound_to_other": "test_step.py",
    "too_many_keys": "test_life_cycle.py",
    **dict.fromkeys(("key_lost", "key_damaged", "key_withdrawn", "key_replaced"), "test_life_cycle.py"),
    **dict.fromkeys(("serial_mismatch", "enterprise_cancelled", "key_revoked", "key_expired", "key_not_yet_valid"), "test_binding.py"),
    "agent_outdated": "test_drivers.py",
}
LANGUAGES = {"zh-CN": "zh_Hans_CN", "en": "en"}


def said(code: str, language: str) -> "re.Pattern[str]":
    """The catalogue's sentence, whatever stands in its places."""
    pieces = re.split(r"%\(\w+\)s", words(LANGUAGES[language])[f"error.{code}"])
    return re.compile(".+?".join(re.escape(str(escape(piece))) for piece in pieces))


@pytest.mark.parametrize("locale", list(i18n.TAGS))
def test_each_fault_has_a_text_of_its_own(locale: str) -> None:
    texts = [words(locale).get(f"error.{code}", "") for code in ALL]
    assert [code for code, text in zip(ALL, texts, strict=True) if not text] == []
    assert len(set(texts)) == len(texts)


def test_each_reason_is_given_by_a_test() -> None:
    missing = set(PUBLIC) - set(VERDICTS.values()) - {"no_certificate"}
    assert missing == set(BY_THE_DATABASE) - set(VERDICTS.values())
    for reason, file in {**BY_THE_DATABASE, "no_certificate": "test_certificate_road.py"}.items():
        text = (Path(__file__).parent / file).read_text("utf-8")
        assert f'"{reason}"' in text or (reason == "no_certificate" and "浏览器没有出示证书" in text), (reason, file)


@pytest.fixture
def person(world: World) -> Holder:
    found = Holder(world.app)
    found.open("/loginCorp.html")
    found.type_name()
    return found


def summary_of(text: str) -> str:
    return text.split('id="error-summary"')[1].split("</ul>")[0]


@pytest.mark.slow
@pytest.mark.parametrize("language", list(LANGUAGES))
def test_what_the_form_road_brings_back_is_said(person: Holder, language: str) -> None:
    for code in FAULTS:
        page = person.client.get(person.at, query_string={"fault": code.removeprefix("ekey_"), "tries": "7", "ui_locales": language})
        assert said(code, language).search(summary_of(page.text)), code


@pytest.mark.slow
@pytest.mark.parametrize("language", list(LANGUAGES))
@pytest.mark.parametrize("dated", [False, True])
def test_what_the_judge_refuses_is_said(world: World, person: Holder, monkeypatch: pytest.MonkeyPatch, language: str, *, dated: bool) -> None:
    monkeypatch.setattr(step, "MOST_CHALLENGES", len(PUBLIC) + 1)
    for reason in PUBLIC:
        why = Refused(2, reason, day=date(2026, 3, 1) if dated else None, owner="0100123456785-x")
        monkeypatch.setattr(verification, "prove", lambda *_, why=why: why)
        action, fields = person.prepare(nonce=person.challenge())
        sent = person.client.post(f"{action}?ui_locales={language}", data={**fields, "token": token(world.card, fields["nonce"])})
        assert sent.status_code == 422
        assert said(why.public, language).search(summary_of(sent.text)), reason
        assert world.refusals()[-1] == reason


# --- the page's script ----------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def asking(chromium: Browser, stage: Stage) -> Callable[[str, str], Page]:
    """The step's page in a language, after 【使用电子钥匙】 with a driver that answers so."""

    def ask(language: str, code: str) -> Page:
        page = chromium.new_context(locale=language).new_page()
        page.route("**/ekey/challenge", lambda route: route.fulfill(json={"nonce": "n" * 44}))
        headers = {"Access-Control-Allow-Origin": "*", "Access-Control-Allow-Headers": "*"}
        page.route("**/v1/authenticate", lambda route: route.fulfill(json={"error": code.removeprefix("ekey_"), "tries": 7}, headers=headers))
        page.route("**/gallery/ekey?*", _open_to_agent)
        page.goto(f"{stage.address}/gallery/ekey?ui_locales={language}")
        page.click("button.ekey-use")
        return page

    return ask


def _open_to_agent(route: Route) -> None:
    # as the real page's policy does
    answer = route.fetch()
    policy = answer.headers["content-security-policy"].replace("connect-src", "connect-src *")
    route.fulfill(response=answer, headers={**answer.headers, "content-security-policy": policy})


@pytest.mark.browser
@pytest.mark.slow
@pytest.mark.parametrize("language", list(LANGUAGES))
def test_what_the_driver_answers_is_said_on_the_page(asking: Callable[[str, str], Page], language: str) -> None:
    for code in sorted({*OF_THE_DRIVER, *OF_THE_SCRIPT}):
        page = asking(language, code)
        expect(page.locator(".ekey-fault"), code).to_contain_text(said(code, language))
        page.context.close()
    page = asking(language, "ekey_never_heard_of")
    expect(page.locator(".ekey-fault")).to_contain_text(said("ekey_other", language))
    page.context.close()


@pytest.mark.browser
@pytest.mark.slow
def test_too_many_tries_are_said_as_such_and_lead_to_a_new_sign_in(asking: Callable[[str, str], Page]) -> None:
    page = asking("zh-CN", "ekey_other")
    page.unroute("**/ekey/challenge")
    page.route("**/ekey/challenge", lambda route: route.fulfill(status=429, json={"error": "start_anew"}))
    page.click("button.ekey-use")
    expect(page.locator(".ekey-fault")).to_contain_text("请重新登录")
    expect(page.locator(".ekey-fault a.button")).to_have_attribute("href", "/hall")
    page.context.close()


@pytest.mark.browser
@pytest.mark.slow
def test_the_hint_on_the_pin_says_how_many_tries_are_left(asking: Callable[[str, str], Page]) -> None:
    page = asking("zh-CN", "ekey_cancelled")
    expect(page.locator(".ekey-fault")).to_contain_text("取消")
    expect(page.locator(".ekey-pin")).to_contain_text("连续输错 7 次将锁定")
    headers = {"Access-Control-Allow-Origin": "*", "Access-Control-Allow-Headers": "*"}
    page.unroute("**/v1/authenticate")
    page.route("**/v1/authenticate", lambda route: route.fulfill(json={"error": "cancelled", "tries": None}, headers=headers))
    page.route("**/v1/status", lambda route: route.fulfill(json={"readers": ["x"], "pin_tries": 3, "version": "9"}, headers=headers))
    page.click("button.ekey-use")
    expect(page.locator(".ekey-pin")).to_contain_text("连续输错 3 次将锁定")
    page.context.close()


def test_one_list_of_faults_is_on_every_page_that_speaks_to_the_driver(person: Holder) -> None:
    there = re.findall(r'<template data-fault="(\w+)">', person.open(person.at).text)
    assert [f"ekey_{code}" for code in there] == list(FAULTS)
    assert {*OF_THE_DRIVER, *OF_THE_SCRIPT} <= set(FAULTS)


def test_without_the_script_the_hint_on_the_pin_names_no_number(person: Holder) -> None:
    hint = re.findall(r'<p class="hint ekey-pin"[^>]*>([^<]*)</p>', person.text)
    assert hint == ["PIN 码是电子钥匙的口令，不是登录密码，连续输错将锁定电子钥匙。"]
