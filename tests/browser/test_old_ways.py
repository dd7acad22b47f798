"""What stock users meet beside the sign-in, in a real browser: the old system's entry, another account of their own, a name of their own."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.demo import ROOT, Demo, Prepared
from tests.browser.test_classes import THIRD, StockUser, with_script, without_script
from tests.browser.test_story import EXPORT, EXPORT_PASSWORD, IMPORT, IMPORT_PASSWORD, NAME
from tests.command_line import OPERATED
from tests.legacy.dumps import row, write

pytestmark = [pytest.mark.browser, pytest.mark.slow]

ZHANG, LI, ZHANG_PASSWORD, LI_PASSWORD = "zhang_ywy", "li_ywy", "Zhang-Ye7-Wu", "Li-Ye8-Wu-Yuan"


class OldUser(StockUser):
    """Somebody at the old system's own log-in."""

    def log_in(self, system: str, name: str, password: str) -> None:
        page = self.page
        page.goto(f"{self.demo.issuer}/legacy/{system}")
        page.fill("[name=username]", name)
        page.fill("[name=password]", password)
        self.demo.pass_captcha(page)
        self.go_on()

    def says(self, words: str) -> None:
        expect(self.page.locator("main")).to_contain_text(words)

    def prove_number(self, mobile: str) -> None:
        """Give a number and an address at the first sign-in, and type the code that comes."""
        self.at("/contacts$")
        self.page.fill("[name=mobile]", mobile)
        self.page.fill("[name=email]", f"{mobile}@example.cn")
        self.go_on()
        self.at("/proof$")
        self.page.fill("[name=mobile_code]", self.demo.read_code(f"+86{mobile}"))
        self.go_on()
        self.at("/hall$")

    def sign_out(self) -> None:
        self.page.goto(f"{self.demo.issuer}/signout")
        self.page.click("main button")


@pytest.fixture
def demo(prepared: Prepared, tmp_path: Path) -> Iterator[Demo]:
    """The demo after the cut-over, with two users of one enterprise more, who have no key."""
    demo = prepared.demo
    demo.restore(prepared.copy)
    users = (row(ZHANG, ZHANG_PASSWORD, THIRD, key="", mobile=""), row(LI, LI_PASSWORD, THIRD, key="", mobile=""))
    form = ROOT / "idp" / "legacy" / "mappings" / "export.toml"
    demo.idp("legacy", "import", "--system", "dual_use", "--as-of", "2018-08-30", "--mapping", form, *OPERATED, write(tmp_path, *users))
    demo.idp("legacy", "merge", "--apply", "--unprobed", *OPERATED)
    demo.idp("legacy", "cutover", "--system", "all", "--at", "now", "--anyway", *OPERATED)
    with demo.running():
        yield demo


@pytest.fixture
def user(chromium_page: Page, demo: Demo, request: pytest.FixtureRequest) -> OldUser:
    return OldUser(chromium_page, demo, ROOT / "artefacts" / re.sub(r"\W+", "-", request.node.name).strip("-"))


@without_script
@pytest.mark.requirement("R2")
@pytest.mark.requirement("R54")
@pytest.mark.requirement("R64")
def test_the_old_log_in_opens_its_one_system_ten_times_and_then_leads_on(user: OldUser) -> None:
    page = user.page
    user.log_in("export", "beijing", "wrong")
    user.says("用户名或密码不正确")
    user.picture("1-wrong")
    user.log_in("export", "beijing", EXPORT_PASSWORD)
    user.says("您还可通过原登录口登录 9 次")
    user.picture("2-nine-left")
    page.click("a#continue")
    expect(page).to_have_url(f"{user.demo.system(EXPORT)}/")
    expect(page.locator("#legacy")).to_have_text("beijing")
    # nobody anywhere else
    for elsewhere in (f"{user.demo.issuer}/hall", f"{user.demo.issuer}/account"):
        page.goto(elsewhere)
        user.at(r"/signin/[^/]+/password")
    page.goto(user.demo.system(IMPORT))
    page.click("#login")
    user.at(r"/signin/[^/]+/password")
    for left in range(8, -1, -1):
        user.log_in("export", "beijing", EXPORT_PASSWORD)
        user.says(f"您还可通过原登录口登录 {left} 次")
    user.picture("3-last")
    user.log_in("export", "beijing", EXPORT_PASSWORD)
    user.says("原登录口已关闭，请通过统一平台登录")
    user.picture("4-used-up")
    page.click("main a[href='/login']")
    user.credentials(NAME, EXPORT_PASSWORD)
    user.at("/change$")


@with_script
@pytest.mark.requirement("R12")
@pytest.mark.requirement("R54")
def test_a_new_password_ends_the_old_ones_at_the_old_log_in_too(user: OldUser) -> None:
    user.come(NAME, EXPORT_PASSWORD)
    user.set_password()
    user.later()
    user.at("/hall$")
    user.sign_out()
    for system, password in (("export", EXPORT_PASSWORD), ("import", IMPORT_PASSWORD)):
        user.log_in(system, "beijing", password)
        user.says("如您已在统一平台设置新密码，原密码已失效，请通过统一平台登录")
    user.picture("1-over")


@with_script
@pytest.mark.requirement("R87")
@pytest.mark.requirement("D9")
def test_two_accounts_become_one_and_part_again_and_one_gets_a_name_of_its_own(user: OldUser) -> None:
    page = user.page
    user.come(LI, LI_PASSWORD)
    user.prove_number("13800000032")
    user.sign_out()
    user.come(ZHANG, ZHANG_PASSWORD)
    user.prove_number("13800000031")

    page.goto(f"{user.demo.issuer}/account/link")
    user.picture("1-link")
    page.fill("[name=username]", LI)
    page.fill("[name=password]", LI_PASSWORD)
    user.demo.pass_captcha(page)
    user.go_on()
    user.at("/account/link/code$")
    user.picture("2-code")
    page.fill("[name=code]", user.demo.read_code("+8613800000032", 2))
    user.go_on()
    user.at("/account/link$")
    expect(page.get_by_role("heading", name=LI)).to_be_visible()
    user.picture("3-linked")
    user.is_told("+8613800000032", "已关联到账号")

    page.goto(f"{user.demo.issuer}/account/names")
    user.picture("4-names")
    page.fill("[name=own_name]", "zhang")
    user.go_on()
    user.says(f"{THIRD}-zhang")
    user.picture("5-own-name")

    page.goto(f"{user.demo.issuer}/account/link")
    page.get_by_role("button", name="解除关联").click()
    expect(page.get_by_role("heading", name=LI)).to_have_count(0)
    user.picture("6-apart")
    user.sign_out()
    user.come(f"{THIRD}-zhang", ZHANG_PASSWORD)
    user.at("/hall$")
    user.sign_out()
    user.come(LI, LI_PASSWORD)
    user.at("/hall$")
