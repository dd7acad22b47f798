"""The sign-in with the e-key as a person sees it: a real Chromium, a real agent, a card in a real PC/SC daemon."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from flask import Flask
from playwright.sync_api import Browser, Page, expect
from sqlalchemy import select

from idp.app import create_app
from idp.db import session
from idp.ekey.agent.pcsc import PcscReaders
from idp.ekey.dev_ca import DevelopmentCa, Holder
from idp.sessions.models import Session
from idp.settings import Settings
from tests import people
from tests.cards import PIN, PUK
from tests.chromium import ARGUMENTS, CHROMIUM
from tests.conftest import SECRET
from tests.ekey.running_agent import Person, agent
from tests.ekey.served_app import LIST, PASSWORD, SERIAL, furnish, served
from tests.ekey.test_agent_cards import put_in
from tests.interop.served import free_ports
from virtual_card.personalisation import make_card, slot
from virtual_card.reader import SIGN, Reader

DRIVERS = "https://drivers.example.cn/"
pytestmark = [pytest.mark.browser, pytest.mark.slow]


@dataclass
class Desk:
    """The platform, the agent beside the browser, the reader with the card in it, and who types the PIN."""

    issuer: str
    agent_port: int
    app: Flask
    reader: Reader
    card: Path
    person: Person

    def key_times(self) -> list[bool]:
        with self.app.app_context():
            return [row.ekey_at is not None for row in session.scalars(select(Session).where(Session.ended_at.is_(None)))]


@pytest.fixture
def driver_runs() -> bool:
    """Tests of computers without a driver say no."""
    return True


@pytest.fixture
def desk(tmp_path: Path, reader: Reader, driver_runs: bool) -> Iterator[Desk]:
    now, (port, nobody) = datetime.now(UTC), free_ports(2)
    ca = DevelopmentCa(tmp_path / "ca")
    ca.ensure(now)
    (made,) = ca.issue([Holder(SERIAL, people.CODE, people.NAME)], "ec", now)
    assert isinstance(made.key, ec.EllipticCurvePrivateKey)
    card = make_card(tmp_path / "card.json", {"9A": slot(made.key, made.certificate)}, PIN, PUK)
    issuer, person = f"http://127.0.0.1:{port}", Person(PIN)
    with agent(PcscReaders(), person, frozenset({issuer})) as running:
        app = create_app(
            Settings(
                data_dir=tmp_path,
                secret_key=SECRET,
                issuer=issuer,
                captcha="after_failures",
                ekey_roots_file=ca.roots_file,
                ekey_crl_urls=(LIST,),
                agent_port=running.port if driver_runs else nobody,
                driver_url=DRIVERS,
            )
        )
        furnish(app, ca, now)
        with served(app, port):
            yield Desk(issuer, running.port, app, reader, card, person)


@pytest.fixture
def public(chromium: Browser, desk: Desk) -> Iterator[Callable[[bool], Page]]:
    """A browser for which the platform is out on the Internet and the agent on this computer; the argument: it may speak to it."""
    override = f"--ip-address-space-overrides={desk.issuer.removeprefix('http://')}=public"
    browser = chromium.browser_type.launch(executable_path=str(CHROMIUM), args=[*ARGUMENTS, override])

    def opened(allowed: bool) -> Page:
        context = browser.new_context(locale="zh-CN", viewport={"width": 1000, "height": 900})
        context.set_default_timeout(10_000)
        if allowed:
            context.grant_permissions(["local-network-access"], origin=desk.issuer)
        page = context.new_page()
        page.goto(f"{desk.issuer}/loginCorp.html")
        return page

    yield opened
    browser.close()


def type_password(page: Page) -> None:
    page.fill("[name=password]", PASSWORD)
    page.click("#continue")
    expect(page.locator("h1")).to_have_text("使用电子钥匙")


def read_name(page: Page) -> None:
    page.click("button.ekey-name")
    expect(page.locator("[name=username]")).to_have_value(people.NAME)


@pytest.mark.requirement("R18")
@pytest.mark.requirement("R20")
def test_the_key_gives_the_name_and_signs_after_the_password(desk: Desk, public: Callable[[bool], Page]) -> None:
    put_in(desk.reader, desk.card)
    page = public(True)
    read_name(page)
    assert desk.person.asked == [], "no PIN before the password"
    type_password(page)
    page.click("button.ekey-use")
    page.wait_for_url("**/hall")
    (question,) = desk.person.asked
    assert (question.origin, question.username) == (desk.issuer, people.NAME)
    assert desk.key_times() == [True]


# tells of each document that begins with a fragment
FRAGMENTS = "if (location.hash) console.info(`came ${location.pathname} ${location.hash.slice(0, 7)}`)"


@pytest.mark.requirement("R21")
@pytest.mark.requirement("R67")
def test_where_the_browser_forbids_it_a_picture_says_how_to_allow_it_and_the_form_road_signs(desk: Desk, public: Callable[[bool], Page]) -> None:
    put_in(desk.reader, desk.card)
    page, said = public(False), list[str]()
    page.on("console", lambda message: said.append(message.text))
    page.context.add_init_script(FRAGMENTS)
    page.click("button.ekey-name")
    expect(page.locator(".ekey-fault")).to_contain_text("换一种方式读取")
    page.fill("[name=username]", people.NAME)
    page.check("[name=ekey]")
    type_password(page)
    page.click("button.ekey-use")
    expect(page.locator(".ekey-fault")).to_contain_text("浏览器已阻止")
    picture = page.locator(".ekey-fault img.ekey-permission")
    expect(picture).to_be_visible()
    expect(picture).to_have_accessible_name(re.compile("允许"))
    page.wait_for_function("document.querySelector('.ekey-fault img').complete")
    assert picture.evaluate("image => image.naturalWidth") > 0
    page.locator(".ekey-fault button.ekey-form").click()
    page.wait_for_url("**/hall")
    assert desk.key_times() == [True]
    assert [line for line in said if "Content Security Policy" in line] == []
    # the token came in the fragment, and stands nowhere afterwards
    assert [line for line in said if line.startswith("came")] == ["came /ekey/return #token="]
    history = page.context.new_cdp_session(page).send("Page.getNavigationHistory")
    kept = [page.url, *(entry[name] for entry in history["entries"] for name in ("url", "userTypedURL"))]
    assert len(kept) > 5
    assert [url for url in kept if "#" in url or "token" in url] == []


@pytest.mark.requirement("R19")
@pytest.mark.requirement("R67")
@pytest.mark.parametrize("driver_runs", [False])
def test_without_a_driver_its_download_is_shown(public: Callable[[bool], Page]) -> None:
    page = public(True)
    fault = page.locator(".ekey-fault")
    page.click("button.ekey-name")
    expect(fault).to_contain_text("未检测到电子钥匙驱动程序")
    expect(fault.locator(f"a[href='{DRIVERS}']")).to_be_visible()
    page.fill("[name=username]", people.NAME)
    page.check("[name=ekey]")
    type_password(page)
    page.click("button.ekey-use")
    expect(fault).to_contain_text("未检测到电子钥匙驱动程序")
    expect(fault.locator(f"a[href='{DRIVERS}']")).to_be_visible()
    page.click("[value=skip]")
    page.wait_for_url("**/hall")


@pytest.mark.requirement("R67")
@pytest.mark.parametrize("road", ["button.ekey-use", "button.ekey-form"])
def test_a_wrong_pin_and_a_pulled_card_are_said(desk: Desk, public: Callable[[bool], Page], road: str) -> None:
    put_in(desk.reader, desk.card)
    page = public(True)
    read_name(page)
    type_password(page)
    said = page.locator(".summary:visible")
    desk.person.pin = "999999"
    page.click(road)
    expect(said).to_contain_text("还可以输错 2 次")
    desk.person.pin = None
    page.click(road)
    expect(said).to_contain_text("取消了 PIN 码")
    desk.person.pin = PIN
    desk.reader.pull_at(SIGN)
    page.click(road)
    expect(said).to_contain_text("拔出")
    page.click(road)
    expect(said).to_contain_text("未检测到电子钥匙")
    assert desk.key_times() == []
    put_in(desk.reader, desk.card)
    page.click(road)
    page.wait_for_url("**/hall")


def test_without_a_key_a_person_skips(desk: Desk, public: Callable[[bool], Page]) -> None:
    page = public(True)
    page.click("button.ekey-name")
    expect(page.locator(".ekey-fault")).to_contain_text("未检测到电子钥匙，请插入后重试")
    page.fill("[name=username]", people.NAME)
    page.check("[name=ekey]")
    type_password(page)
    page.click("[value=skip]")
    page.wait_for_url("**/hall")
    assert desk.key_times() == [False]
