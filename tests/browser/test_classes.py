"""The first sign-in of each class of stock users in a real browser, from the old password into the business system (R17, R56)."""

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.demo import ROOT, Demo, Prepared
from tests.browser.test_story import EXPORT, EXPORT_PASSWORD, IMPORT_PASSWORD, NAME, NEW_PASSWORD, Visitor
from tests.command_line import OPERATED
from tests.legacy.dumps import row, write

pytestmark = [pytest.mark.browser, pytest.mark.slow]

LOOKS = {"light": (1000, 800), "dark": (320, 640)}
SAME, WEAK = "Tong2-Ming-Pass", "123456"
FIRST, SECOND, THIRD = "0100767418349", "0100551383L56", "310055667788X"
with_script = pytest.mark.parametrize("chromium_page", [True], indirect=True, ids=["js"])
without_script = pytest.mark.parametrize("chromium_page", [False], indirect=True, ids=["nojs"])


class StockUser(Visitor):
    """Somebody who comes for the first time, and keeps a picture of each page as a desk shows it and as a telephone does at night."""

    def picture(self, name: str) -> None:
        for scheme, (width, height) in LOOKS.items():
            self.page.set_viewport_size({"width": width, "height": height})
            self.page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
            self.page.screenshot(path=self.album / f"{name}-{scheme}.png", full_page=True)
            wide = self.page.evaluate("document.documentElement.scrollWidth") if scheme == "dark" else 0
            assert wide <= width, f"{name} is {wide} px wide"
        self.page.set_viewport_size({"width": 1000, "height": 800})
        self.page.emulate_media(color_scheme="light")

    def credentials(self, name: str, password: str) -> None:
        page = self.page
        self.at(r"/signin/[^/]+/password")
        page.fill("[name=username]", name)
        page.fill("[name=password]", password)
        self.demo.pass_captcha(page)
        self.go_on()

    def come(self, name: str, password: str) -> None:
        self.page.goto(f"{self.demo.issuer}/loginCorp.html")
        self.credentials(name, password)

    def set_password(self) -> None:
        self.at("/change$")
        self.page.fill("[name=new_password]", NEW_PASSWORD)
        self.page.fill("[name=confirm_password]", NEW_PASSWORD)
        self.go_on()

    def go_on_by_link(self) -> None:
        self.page.click("a#continue")

    def later(self) -> None:
        self.at("/contacts$")
        self.page.click("button[value=later]")

    def open_module(self, system: str) -> None:
        self.page.goto(f"{self.demo.issuer}/hall/licences/{system}")

    def enters(self, system: str) -> None:
        self.open_module(system)
        expect(self.page.get_by_role("link", name="进入应用", exact=True)).to_be_visible()

    def is_told(self, recipient: str, words: str) -> None:
        end = time.monotonic() + 20
        while not any(recipient in line and words in line for line in self.demo.said().splitlines()):
            assert time.monotonic() < end, (recipient, words)
            time.sleep(0.1)


@pytest.fixture
def demo(prepared: Prepared, tmp_path: Path) -> Iterator[Demo]:
    """The demo, with some users more: a weak password of class 2, and one name and password of three users."""
    demo = prepared.demo
    demo.restore(prepared.copy)
    users = (
        row("guanzhi_weak", WEAK, THIRD, key="", mobile="13800000021"),
        row("tongming", SAME, FIRST, key="EKD7BFD8BC707AE3", mobile="13800000022"),
        row("tongming", SAME, SECOND, key="EKB840C7BB2590FB", mobile="13800000023"),
        row("tongming", SAME, THIRD, key="", mobile="13800000024"),
    )
    form = ROOT / "idp" / "legacy" / "mappings" / "export.toml"
    demo.idp("legacy", "import", "--system", "dual_use", "--as-of", "2018-08-30", "--mapping", form, *OPERATED, write(tmp_path, *users))
    demo.idp("legacy", "merge", "--apply", "--unprobed", *OPERATED)
    with demo.running():
        yield demo


@pytest.fixture
def user(chromium_page: Page, demo: Demo, request: pytest.FixtureRequest) -> StockUser:
    return StockUser(chromium_page, demo, ROOT / "artefacts" / re.sub(r"\W+", "-", request.node.name).strip("-"))


@with_script
@pytest.mark.requirement("R54")
@pytest.mark.requirement("R56")
@pytest.mark.requirement("R62")
@pytest.mark.parametrize("old_password", [EXPORT_PASSWORD, IMPORT_PASSWORD], ids=["export-password", "import-password"])
def test_class_1_changes_whatever_it_does_and_goes_on_to_the_system_it_came_from(user: StockUser, old_password: str) -> None:
    page = user.page
    page.goto(user.demo.system(EXPORT))
    page.click("#login")
    user.credentials(NAME, old_password)
    user.at("/change$")
    user.picture("1-change")
    waiting = page.url
    page.reload()
    user.at("/change$")
    page.go_back()
    page.goto(f"{user.demo.issuer}/help")
    second = page.context.new_page()
    second.goto(f"{user.demo.issuer}/hall")
    expect(second).to_have_url(re.compile("/password$"))
    second.close()
    page.goto(waiting)
    user.set_password()
    user.at("/contacts$")
    user.picture("2-contacts")
    expect(page.get_by_label("138****0001")).to_be_visible()
    page.get_by_label("138****0002").check()
    user.go_on()
    user.at("/proof$")
    user.picture("3-proof")
    page.fill("[name=mobile_code]", user.demo.read_code("+8613800000002"))
    user.go_on()
    expect(page).to_have_url(f"{user.demo.system(EXPORT)}/")
    expect(page.locator("#legacy")).to_have_text("beijing")
    user.is_told("+8613800000001", f"您在出口许可证的用户已并入统一平台账号 {NAME}，并已设置新密码，原密码失效。")
    user.is_told("+8613800000002", "您在进口许可证的用户已并入统一平台账号")


@with_script
@pytest.mark.requirement("R38")
@pytest.mark.requirement("R56")
def test_class_2_with_a_strong_password_keeps_it(user: StockUser) -> None:
    user.come("liangyong", "Dual-Use-Control-9")
    user.picture("1-contacts")
    user.later()
    user.at("/hall$")
    user.enters("dual_use")
    user.picture("2-dual-use")
    user.is_told("+8613800000004", "本次登录所用的密码今后为唯一密码")


@with_script
@pytest.mark.requirement("R56")
def test_class_2_with_a_weak_password_changes_it(user: StockUser) -> None:
    user.come("guanzhi_weak", WEAK)
    user.at("/change$")
    expect(user.page.locator("main")).to_contain_text("您的原密码不符合安全要求")
    expect(user.page.locator("main")).to_contain_text("管制应用自身的密码不变")
    user.picture("1-change")
    user.set_password()
    user.later()
    user.at("/hall$")


@with_script
@pytest.mark.requirement("R62")
@pytest.mark.requirement("R63")
def test_a_merged_dual_use_user_finds_that_right_waiting_for_a_proof(user: StockUser) -> None:
    page = user.page
    user.come("zhang560", "Gt6p7us7n84")
    user.set_password()
    user.at("/contacts$")
    user.picture("1-unlike-contacts")
    assert page.locator("[name=mobile_choice]").count() == 6
    expect(page.get_by_label("u***@example.cn 化肥关税配额")).to_have_count(1)
    user.later()
    page.goto(f"{user.demo.issuer}/hall/licences")
    user.picture("2-modules")
    user.open_module("dual_use")
    expect(page.locator("main")).to_contain_text("须核验身份一次后方可办理")
    user.picture("3-dual-use")
    user.enters("export")
    user.open_module("dual_use")
    user.go_on_by_link()
    user.at("/hall/licences/dual_use/proof$")
    user.picture("4-proof")
    page.get_by_label("138****5411").check()
    page.get_by_role("button", name="发送").click()
    page.fill("[name=code]", user.demo.read_code("+8613800005411"))
    user.picture("5-code")
    page.get_by_role("button", name="开通").click()
    user.enters("dual_use")
    user.picture("6-open")


@with_script
@pytest.mark.requirement("R39")
@pytest.mark.requirement("R40")
@pytest.mark.parametrize(("name", "password", "changes"), [("jidian_strong", "Strong1Passw0rd", False), ("jidian_weak", WEAK, True)])
def test_class_3_changes_only_a_weak_password(user: StockUser, name: str, password: str, *, changes: bool) -> None:
    user.come(name, password)
    if changes:
        user.at("/change$")
        user.picture("1-change")
        user.set_password()
    user.later()
    user.at("/hall$")
    user.enters("mech_electrical")
    user.picture("2-module")


@without_script
@pytest.mark.requirement("D9")
def test_a_name_of_three_users_asks_which_one(user: StockUser) -> None:
    user.come("tongming", SAME)
    user.at("/choose$")
    user.picture("1-choose")
    user.go_on()
    user.picture("2-nothing-chosen")
    expect(user.page.locator("label")).to_have_text([re.compile("尾号 7AE3"), re.compile("尾号 90FB"), re.compile("无电子钥匙的用户")])
    user.page.get_by_label("尾号 90FB").check()
    user.go_on()
    user.later()
    user.at("/hall$")
    expect(user.page.locator("body")).to_contain_text("北京示例同名乙两用科技有限公司")


@without_script
@pytest.mark.requirement("R65")
def test_a_refused_code_form_reads_the_control_applications_hint(user: StockUser) -> None:
    user.come(f"{THIRD}-liangyong", "wrong")
    expect(user.page.locator("main")).to_contain_text("请使用管制应用的用户名（不带企业代码）和管制应用的密码")
    user.picture("1-hint")
