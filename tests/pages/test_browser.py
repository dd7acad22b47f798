"""Every page in Chromium: axe-core, the policy, narrow windows, the script."""

from collections.abc import Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]  # published without types
from playwright.sync_api import Browser, Page, Route, expect

from tests.pages import gallery
from tests.pages.conftest import Stage

pytestmark = pytest.mark.browser
NARROW = {"width": 320, "height": 640}
WIDE = {"width": 1000, "height": 800}
# WCAG 2.2 §2.5.8; links within sentences are excepted there
SMALL_TARGETS = """() => [...document.querySelectorAll('button, a, input:not([type=hidden])')]
  .filter(element => element.checkVisibility() && !element.closest('.skip, p, dd, article li'))
  .map(element => [element.outerHTML.slice(0, 80), element.getBoundingClientRect().height])
  .filter(([, height]) => height < 24)"""


@pytest.fixture(scope="module")
def seen(chromium: Browser, stage: Stage) -> Iterator[Page]:
    context = chromium.new_context(viewport=WIDE, locale="zh-CN", reduced_motion="reduce")  # type: ignore[arg-type]  # a ViewportSize
    context.add_cookies([{"name": "session", "value": stage.session, "url": stage.address}])
    yield context.new_page()
    context.close()


@pytest.fixture
def faults(seen: Page) -> Iterator[list[str]]:
    """What the console complains about while a page is looked at."""
    said: list[str] = []

    def note(message: object) -> None:
        text = getattr(message, "text", "")
        if getattr(message, "type", "") == "error" and "404" not in text:
            said.append(text)

    seen.on("console", note)
    yield said
    seen.remove_listener("console", note)


@pytest.mark.requirement("R79")
@pytest.mark.requirement("R82")
@pytest.mark.parametrize("address", gallery.ADDRESSES)
def test_page(seen: Page, stage: Stage, faults: list[str], address: str) -> None:
    """One load, several looks: axe in light and dark, no complaint of the policy, no sideways scrolling at 320 px, targets of 24 px."""
    seen.emulate_media(color_scheme="light")
    seen.set_viewport_size(WIDE)  # type: ignore[arg-type]  # a ViewportSize
    seen.goto(stage.address + address)
    # what is folded away is looked at too
    seen.evaluate("for (const each of document.querySelectorAll('main details')) each.open = true")
    _axe(seen)
    seen.emulate_media(color_scheme="dark")
    _axe(seen)
    seen.set_viewport_size(NARROW)  # type: ignore[arg-type]  # a ViewportSize
    assert seen.evaluate("document.documentElement.scrollWidth") <= NARROW["width"]
    small = seen.evaluate(SMALL_TARGETS)
    assert small == []
    assert faults == []


def _axe(page: Page) -> None:
    results = Axe().run(page, options={"resultTypes": ["violations"], "runOnly": ["wcag2a", "wcag2aa", "wcag21aa", "wcag22aa", "best-practice"]})
    assert results.violations_count == 0, results.generate_report()


@pytest.mark.requirement("R79")
def test_large_text_needs_no_sideways_scrolling(seen: Page, stage: Stage) -> None:
    seen.set_viewport_size({"width": 500, "height": 400})
    for address in ("/gallery/password", "/hall/licences"):
        seen.goto(stage.address + address)
        seen.evaluate("document.documentElement.style.fontSize = '200%'")
        assert seen.evaluate("document.documentElement.scrollWidth") <= 500


def test_password_can_be_shown_and_is_hidden_again_when_sent(seen: Page, stage: Stage) -> None:
    seen.set_viewport_size(WIDE)  # type: ignore[arg-type]  # a ViewportSize
    seen.goto(stage.address + "/gallery/password?ui_locales=zh-CN")
    button, field = seen.locator("button.show"), seen.locator("#password")
    button.click()
    expect(field).to_have_attribute("type", "text")
    expect(button).to_have_text("隐藏")
    expect(button).to_have_accessible_name("隐藏密码")
    button.click()
    expect(field).to_have_attribute("type", "password")


@pytest.mark.requirement("R27")
def test_rules_are_ticked_while_typing(seen: Page, stage: Stage) -> None:
    seen.goto(stage.address + "/gallery/change")
    field = seen.locator("#new_password")
    for typed, met in [
        ("abc", ["lower", "blank"]),
        ("Abcdefgh12", ["length", "upper", "lower", "digit", "blank"]),
        ("A b", ["upper", "lower"]),
        ("", []),
    ]:
        field.fill(typed)
        expect(seen.locator("[data-state=met]")).to_have_count(len(met))
        for rule in met:
            expect(seen.locator(f"[data-rule={rule}]")).to_have_attribute("data-state", "met")


@pytest.mark.requirement("R77")
def test_before_the_session_ends_the_page_asks_and_the_server_is_asked_first(seen: Page, stage: Stage) -> None:
    left, sent = {"idle": 1700, "absolute": 9000}, []

    def answer(route: Route) -> None:
        sent.append(route.request.method)
        if route.request.method == "POST":
            left["idle"] = 1800
        route.fulfill(json=left)

    seen.route("**/session", answer)
    seen.goto(stage.address + "/hall?ui_locales=zh-CN")
    dialog = seen.locator("#session-dialog")
    look = "document.dispatchEvent(new Event('visibilitychange'))"
    seen.evaluate(look)
    expect(dialog).to_be_hidden()
    left["idle"] = 100
    seen.evaluate(look)
    expect(dialog).to_be_visible()
    expect(dialog).to_contain_text("约 2 分钟后将自动退出登录")
    expect(dialog.locator(".session-stay")).to_be_focused()
    dialog.locator(".session-stay").click()
    expect(dialog).to_be_hidden()
    assert sent[-1] == "POST"
    left["absolute"] = 60
    seen.evaluate(look)
    expect(dialog).to_contain_text("本次登录已接近最长时间")
    dialog.locator(".session-stay").click()
    expect(dialog).to_be_hidden()


def test_error_summary_has_focus_and_leads_to_the_field(seen: Page, stage: Stage) -> None:
    seen.goto(stage.address + "/gallery/change-wrong")
    expect(seen.locator("#error-summary")).to_be_focused()
    seen.locator("#error-summary a").first.click()
    expect(seen.locator("#new_password")).to_be_focused()


@pytest.mark.requirement("R80")
def test_without_script_nothing_is_missing(chromium: Browser, stage: Stage) -> None:
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(stage.address + "/gallery/change-wrong")
    expect(page.locator("button.show").first).to_be_hidden()
    expect(page.locator("#error-summary")).to_be_focused()
    expect(page.locator("#continue")).to_be_visible()
    context.close()
