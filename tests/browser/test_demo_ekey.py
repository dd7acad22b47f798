"""The manual's sign-in with the e-key, in the demo: a card in its reader, its driver asking at the terminal, Chromium."""

import os
import pty
import re
import threading
from collections.abc import Iterator
from contextlib import suppress

import pytest
from playwright.sync_api import Browser, Page, expect

from demo.cards import PIN
from tests.browser.demo import Demo, Prepared

pytestmark = [pytest.mark.browser, pytest.mark.slow]
PASSWORD, NEW_PASSWORD = "Export2018pass", "Guangdong7Trade"
DUAL_USE, DUAL_USE_PASSWORD = 5, "Dual-Use-Control-9"


class Terminal:
    """The terminal at which the demo runs; whoever sits there types the PIN when asked."""

    def __init__(self) -> None:
        self._ours, self.theirs = pty.openpty()
        self.shown = ""
        threading.Thread(target=self._sit, daemon=True).start()

    def _sit(self) -> None:
        raw = b""
        with suppress(OSError):
            while part := os.read(self._ours, 4096):
                raw += part
                self.shown = raw.decode(errors="ignore")
                if self.shown.endswith("8 位）: "):
                    os.write(self._ours, f"{PIN}\n".encode())

    def close(self) -> None:
        os.close(self.theirs)
        os.close(self._ours)


@pytest.fixture
def terminal(prepared: Prepared) -> Iterator[Terminal]:
    prepared.demo.restore(prepared.copy)
    terminal = Terminal()
    with prepared.demo.running(terminal.theirs) as started:
        yield terminal
    assert started.process.returncode == 0
    terminal.close()


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    context = chromium.new_context(locale="zh-CN", viewport={"width": 1000, "height": 900})
    context.set_default_timeout(10_000)
    yield context.new_page()
    context.close()


def read_name(page: Page, demo: Demo, name: str) -> None:
    """Until the reader has the card: the demo looks twice a second."""
    page.goto(f"{demo.issuer}/loginCorp.html")
    for _ in range(20):
        page.click("button.ekey-name")
        page.wait_for_timeout(300)
        if page.input_value("[name=username]") == name:
            return
    raise AssertionError(page.locator("main").inner_text())


def tell_contacts(page: Page, demo: Demo, mobile: str) -> None:
    """Number and address, then the code that was sent to the number."""
    page.fill("[name=mobile]", mobile)
    page.fill("[name=email]", f"{mobile}@example.cn")
    page.click("#continue")
    expect(page).to_have_url(re.compile("/proof$"))
    page.fill("[name=mobile_code]", demo.read_code(f"+86{mobile}"))
    page.click("#continue")
    expect(page).to_have_url(re.compile("/hall$"))


@pytest.mark.requirement("R18")
@pytest.mark.requirement("R20")
def test_from_the_card_to_the_hall(terminal: Terminal, prepared: Prepared, page: Page) -> None:
    demo = prepared.demo
    demo.card("put", "liangyong")
    read_name(page, demo, "liangyong")
    demo.card("pull")
    page.wait_for_timeout(1500)
    page.reload()
    page.click("button.ekey-name")
    expect(page.locator(".ekey-fault")).to_contain_text("未检测到电子钥匙")

    demo.card("put", "beijing")
    read_name(page, demo, "0441987654321-beijing")
    page.fill("[name=password]", PASSWORD)
    demo.pass_captcha(page)
    page.click("#continue")
    expect(page.locator("h1")).to_have_text("使用电子钥匙")
    assert terminal.shown == "", "no PIN before the password"
    page.click("button.ekey-use")
    expect(page).to_have_url(re.compile("/change$"))
    page.fill("[name=new_password]", NEW_PASSWORD)
    page.fill("[name=confirm_password]", NEW_PASSWORD)
    page.click("#continue")
    tell_contacts(page, demo, "13800138000")
    assert "0441987654321-beijing" in terminal.shown
    assert demo.issuer in terminal.shown
    assert PIN not in terminal.shown


def first_sign_in_without_key(page: Page, demo: Demo) -> None:
    page.goto(f"{demo.issuer}/loginCorp.html")
    page.fill("[name=username]", "liangyong")
    page.fill("[name=password]", DUAL_USE_PASSWORD)
    demo.pass_captcha(page)
    page.click("#continue")
    # the old password is strong enough to stay
    tell_contacts(page, demo, "13800138001")


@pytest.mark.requirement("R20")
@pytest.mark.spec("OIDC Core", "5.5.1.1")
def test_a_system_that_demands_the_key_leads_to_it(terminal: Terminal, prepared: Prepared, page: Page) -> None:
    demo = prepared.demo
    demo.card("put", "liangyong")
    first_sign_in_without_key(page, demo)
    page.goto(demo.system(DUAL_USE))
    page.click("#login")
    expect(page.locator("h1")).to_have_text("使用电子钥匙")
    expect(page.locator("[value=skip]")).to_have_count(0)
    assert terminal.shown == "", "no PIN before the person asks for it"
    page.click("button.ekey-use")
    expect(page).to_have_url(f"{demo.system(DUAL_USE)}/")
    expect(page.locator("#user")).to_contain_text("liangyong")
    assert "liangyong" in terminal.shown
