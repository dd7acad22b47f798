import re
from dataclasses import replace
from datetime import timedelta

import pytest
from flask import Flask
from flask.testing import FlaskClient

from idp.accounts.models import Account
from idp.db import session, transaction
from idp.entitlements.models import BusinessSystem, Entitlement
from idp.portal.frame import Site
from tests.fakes import START
from tests.people import firm
from tests.portal import people

NAMES = {"export": "出口", "import": "进口", "agri_quota": "农产品配额", "mech_electrical": "自动进口（机电）"}


@pytest.fixture(autouse=True)
def _systems(app: Flask) -> None:
    with app.app_context(), transaction():
        people.load_systems()


def come_in(app: Flask, browser: FlaskClient, *licences: str, **more: object) -> int:
    with app.app_context(), transaction():
        account = people.trader(START, *licences, **more)  # type: ignore[arg-type]  # the keywords of trader()
        browser.set_cookie("session", people.sign_in(account, START), domain="127.0.0.1")
        return account.id


def tiles(page: str) -> list[str]:
    return re.findall(r'class="tile-name">([^<]+)<', page)


@pytest.mark.requirement("R31")
def test_hall_names_enterprise_and_code_and_leads_to_the_modules(app: Flask, browser: FlaskClient) -> None:
    come_in(app, browser, "export")
    page = browser.get("/hall").text
    assert "广东示例进出口有限公司" in page
    assert people.CODE in page
    assert tiles(page) == ["许可证统一平台"]
    assert 'href="/hall/licences"' in page


@pytest.mark.requirement("R7")
@pytest.mark.requirement("R33")
@pytest.mark.requirement("R34")
@pytest.mark.parametrize("licences", [("export",), ("import", "export"), ("agri_quota", "export")])
def test_modules_are_those_of_the_key_and_nothing_else(app: Flask, browser: FlaskClient, licences: tuple[str, ...]) -> None:
    come_in(app, browser, *licences)
    assert tiles(browser.get("/hall/licences").text) == [name for system, name in NAMES.items() if system in licences]


@pytest.mark.requirement("R36")
@pytest.mark.requirement("R32")
def test_module_page_enters_the_application(app: Flask, browser: FlaskClient) -> None:
    come_in(app, browser, "export")
    with app.app_context(), transaction():
        people.set_start_url("export", "http://127.0.0.1:8001/login?iss=x")
    assert 'href="/hall/licences/export"' in browser.get("/hall/licences").text
    page = browser.get("/hall/licences/export").text
    assert re.search(r'href="http://127.0.0.1:8001/login\?iss=x">进入应用<', page)


@pytest.mark.parametrize("url", ["", "javascript:alert(1)", "//evil.example", "/hall"])
def test_a_system_without_a_web_address_has_no_button(app: Flask, browser: FlaskClient, url: str) -> None:
    come_in(app, browser, "export")
    with app.app_context(), transaction():
        people.set_start_url("export", url)
    page = browser.get("/hall/licences/export").text
    assert 'class="button"' not in page
    assert "入口暂未开放" in page


@pytest.mark.requirement("R33")
@pytest.mark.parametrize("system", ["import", "mech_electrical", "nothing", "%00", "x" * 3000])
def test_module_of_others_is_not_found(app: Flask, browser: FlaskClient, system: str) -> None:
    come_in(app, browser, "export")
    assert browser.get(f"/hall/licences/{system}").status_code == 404


@pytest.mark.requirement("D15")
@pytest.mark.parametrize(
    ("key", "words"),
    [
        ({"key_status": "expired"}, "电子钥匙已过期，请办理更新"),
        ({"expires": (START - timedelta(days=1)).date()}, "电子钥匙已过期，请办理更新"),
        ({"key_status": "revoked"}, "电子钥匙已吊销，请联系发放机构"),
    ],
)
def test_dead_key_locks_its_modules_and_says_why(app: Flask, browser: FlaskClient, key: dict[str, object], words: str) -> None:
    come_in(app, browser, "export", approved=True, **key)
    with app.app_context(), transaction():
        people.set_start_url("export", "http://127.0.0.1:8001/")
    page = browser.get("/hall/licences").text
    assert tiles(page) == ["出口", "自动进口（机电）"]
    assert page.count(words) == 1
    module = browser.get("/hall/licences/export").text
    assert words in module
    assert "12335" in module.split("<main")[1].split("</main")[0]
    assert "12335" in page.split("<main")[1].split("</main")[0]
    assert "127.0.0.1:8001" not in module


@pytest.mark.requirement("R62")
def test_held_right_says_that_proof_is_needed(app: Flask, browser: FlaskClient) -> None:
    account = come_in(app, browser, "dual_use")
    with app.app_context(), transaction() as s:
        s.add(Entitlement(account_id=account, system="dual_use", state="held", since=START))
    assert "须核验身份一次" in browser.get("/hall/licences").text
    assert "如无法验证，请拨打服务热线 12335" in browser.get("/hall/licences/dual_use").text


@pytest.mark.requirement("D14")
@pytest.mark.parametrize("status", ["expired", "revoked"])
def test_a_dead_key_leads_to_the_key_office(app: Flask, browser: FlaskClient, status: str) -> None:
    come_in(app, browser, "export", key_status=status)
    site = app.jinja_env.globals["site"]
    assert isinstance(site, Site)
    app.jinja_env.globals["site"] = replace(site, key_application_url="https://keys.example/apply")
    assert 'href="https://keys.example/apply"' in browser.get("/hall/licences/export").text


def test_without_any_right_the_page_says_what_to_do(app: Flask, browser: FlaskClient) -> None:
    come_in(app, browser)
    page = browser.get("/hall/licences").text
    assert tiles(page) == []
    assert "机电办" in page
    assert "12335" in page


def test_a_ninth_system_needs_no_code(app: Flask, browser: FlaskClient) -> None:
    come_in(app, browser, "export", "ninth")
    with app.app_context(), transaction() as s:
        s.add(
            BusinessSystem(
                code="ninth", position=9, name="第九", name_en="Ninth", short_name="第九", short_name_en="Ninth", icon="x", right_from="ekey"
            )
        )
    page = browser.get("/hall/licences").text
    assert tiles(page) == ["出口", "第九"]
    assert "/static/icons/general.svg" in page


@pytest.mark.requirement("R78")
def test_hall_speaks_english(app: Flask, browser: FlaskClient) -> None:
    come_in(app, browser, "export")
    page = browser.get("/hall/licences?ui_locales=en").text
    assert tiles(page) == ["Export"]
    assert "Guangdong Sample Trading" in page


@pytest.mark.parametrize("path", ["/hall", "/hall/licences", "/hall/licences/export"])
def test_strangers_are_led_to_sign_in(browser: FlaskClient, path: str) -> None:
    answer = browser.get(path)
    assert answer.status_code == 303
    assert answer.location.startswith("/signin/")


def test_start_page_knows_where_to_go(app: Flask, browser: FlaskClient) -> None:
    assert browser.get("/").location == "/login"
    come_in(app, browser, "export")
    assert browser.get("/").location == "/hall"


def test_names_are_escaped(app: Flask, browser: FlaskClient) -> None:
    account = come_in(app, browser, "export")
    with app.app_context(), transaction():
        firm(session.get_one(Account, account)).name = "<script>甲</script>"
    assert "<script>甲" not in browser.get("/hall").text
