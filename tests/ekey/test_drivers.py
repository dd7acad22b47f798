"""The drivers that people download: the operator's list, the page, the files; and drivers that are too old."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from playwright.sync_api import Browser, Page, expect

from idp.app import create_app
from idp.ekey import driver_files, verification
from idp.ekey.agent import APP_VERSION, VERSION
from idp.ekey.agent_versions import outdated
from idp.ekey.driver_files import systems_of
from idp.ekey.protocol import Token
from idp.ekey.refusal import Refused
from idp.errors import ConfigurationError
from idp.settings import Settings, load
from tests.conftest import SECRET
from tests.ekey.test_protocol import TOKEN
from tests.pages.conftest import Stage
from tests.pages.conftest import stage as stage

PACKAGE = b"a driver for Windows"
WINDOWS = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/140 Safari/537.36"
UOS = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/108 UOS Safari/537.36"
LINUX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
PHONE = "Mozilla/5.0 (Linux; Android 14) Chrome/140 Mobile"


def entry(**changed: Any) -> str:
    given: dict[str, Any] = {
        "system": "windows",
        "title": "",
        "file": "agent-setup.exe",
        "size": len(PACKAGE),
        "sha256": hashlib.sha256(PACKAGE).hexdigest(),
        "signer": "示例公司",
        "version": "0.1.0",
    } | changed
    title = given.pop("title") or '{ zh = "视窗", en = "Windows" }'
    lines = [f"{name} = {json.dumps(value, ensure_ascii=False)}" for name, value in given.items() if value is not None]
    return "\n".join(["[[driver]]", f"title = {title}", *lines, ""])


ELSEWHERE = entry(system="uos", title='{ zh = "统信", en = "UOS" }', file=None, url="https://example.cn/agent.deb", signer="")


@pytest.fixture
def listed(tmp_path: Path) -> Callable[[str], Path]:
    """Writes drivers.toml beside a package."""
    folder = tmp_path / "drivers"
    folder.mkdir()
    (folder / "agent-setup.exe").write_bytes(PACKAGE)

    def write(text: str) -> Path:
        (folder / "drivers.toml").write_text(text, "utf-8")
        return folder / "drivers.toml"

    return write


@pytest.fixture
def settings(tmp_path: Path, database_url: str, listed: Callable[[str], Path]) -> Settings:
    return Settings(data_dir=tmp_path, secret_key=SECRET, database_url=database_url, ekey_drivers_file=listed(entry() + ELSEWHERE))


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("driver = 1", "driver: Input should be a valid tuple"),
        ("", "driver: Field required"),
        ("[[driver]", "Expected"),
        ("x = 1\n" + entry(), "x: Extra inputs"),
        (entry() + entry(system="dos"), "driver 2: system"),
        (entry(sha256="A" * 64), "driver 1: sha256"),
        (entry(size="20"), "driver 1: size"),
        (entry(version="1.0-beta"), "driver 1: version"),
        (entry(title='{ zh = "视窗" }'), "driver 1: title.en: Field required"),
        (entry(colour="red"), "driver 1: colour: Extra inputs"),
        (entry(url="https://example.cn/agent.exe"), "driver 1: name either file or url"),
        (entry(file=None), "driver 1: name either file or url"),
        (entry(file=None, url="http://example.cn/agent.exe"), "driver 1: url"),
        (entry(file=None, url="https://example.cn/a b"), "driver 1: url"),
        (entry(file=None, url="https://user@example.cn/a"), "driver 1: url"),
        (entry(file="../secret.key"), "driver 1: file"),
        (entry(file="drivers.toml"), "driver 1: file: must end with one of"),
        (entry(file="absent.exe"), "driver 1: file: .*absent.exe is no file in"),
        (entry(size=1), "driver 1: size: .* has 20 bytes"),
        (entry(sha256="0" * 64), "driver 1: sha256: that of .* is [0-9a-f]{64}"),
    ],
)
def test_a_fault_in_the_list_stops_the_start(tmp_path: Path, listed: Callable[[str], Path], text: str, named: str) -> None:
    file = listed(text)
    with pytest.raises(ConfigurationError, match=rf"^IDP_EKEY_DRIVERS_FILE: {file}: {named}"):
        create_app(Settings(data_dir=tmp_path, secret_key=SECRET, ekey_drivers_file=file))


def test_a_link_leads_nowhere_outside_the_folder(tmp_path: Path, listed: Callable[[str], Path]) -> None:
    file = listed(entry(file="link.exe"))
    (tmp_path / "outside.exe").write_bytes(PACKAGE)
    (file.parent / "link.exe").symlink_to(tmp_path / "outside.exe")
    with pytest.raises(ConfigurationError, match="is no file in"):
        driver_files.load(file, None)


def test_the_files_may_stand_in_a_folder_of_their_own(tmp_path: Path, listed: Callable[[str], Path]) -> None:
    file = listed(entry())
    (file.parent / "agent-setup.exe").rename(tmp_path / "agent-setup.exe")
    assert driver_files.load(file, tmp_path).path("agent-setup.exe")


def test_a_list_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"IDP_EKEY_DRIVERS_FILE: .*nowhere\.toml"):
        driver_files.load(tmp_path / "nowhere.toml", None)


@pytest.mark.requirement("D12")
@pytest.mark.parametrize(
    ("user_agent", "first"),
    [
        (WINDOWS, "windows"),
        (UOS, "uos"),
        (LINUX, "kylin"),
        ("Mozilla/5.0 (X11; Kylin V10 SP1)", "kylin"),
        (PHONE, None),
        ("", None),
        ("x" * 9999, None),
    ],
)
def test_browsers_tell_their_system(user_agent: str, first: str | None) -> None:
    assert next(iter(systems_of(user_agent)), None) == first


@pytest.mark.requirement("R19")
def test_the_visitors_system_stands_first(browser: FlaskClient) -> None:
    def order(user_agent: str) -> list[str]:
        text = browser.get("/drivers", headers={"User-Agent": user_agent}).text
        places = {name: text.index(name) for name in ("视窗", "统信</h3>", "其他系统的安装包") if name in text}
        return sorted(places, key=places.__getitem__)

    assert order(WINDOWS) == ["视窗", "其他系统的安装包", "统信</h3>"]
    assert order(UOS) == ["统信</h3>", "其他系统的安装包", "视窗"]
    assert order(PHONE) == ["视窗", "统信</h3>"]


@pytest.mark.requirement("R19")
def test_the_page_says_what_a_careful_person_wants_to_know(browser: FlaskClient) -> None:
    answer = browser.get("/drivers", headers={"User-Agent": WINDOWS})
    for words in (
        hashlib.sha256(PACKAGE).hexdigest(),
        "certutil -hashfile agent-setup.exe SHA256",
        "示例公司",
        "0.1.0",
        "0.0 MB",
        "PIN 码",
        "选择“允许”",
    ):
        assert words in answer.text
    assert "未签名，请务必核对" in answer.text
    assert "connect-src 'self' http://127.0.0.1:24817" in answer.headers["Content-Security-Policy"]
    assert "Signed by" in browser.get("/drivers?ui_locales=en").text


@pytest.mark.requirement("R19")
def test_a_listed_file_is_kept_not_opened(browser: FlaskClient) -> None:
    answer = browser.get("/drivers/agent-setup.exe")
    assert answer.data == PACKAGE
    assert answer.content_type == "application/vnd.microsoft.portable-executable"
    assert answer.content_length == len(PACKAGE)
    assert answer.headers["Content-Disposition"] == "attachment; filename=agent-setup.exe"
    assert answer.headers["Cache-Control"].startswith("public")
    assert "sandbox" in answer.headers["Content-Security-Policy"]
    assert "Set-Cookie" not in answer.headers
    answer.close()


@pytest.mark.parametrize("name", ["drivers.toml", "absent.exe", "..%2fidp.db", "..%2f..%2fetc%2fpasswd", "agent-setup.exe%00", "%20", "a" * 300])
def test_no_other_file_is_served(browser: FlaskClient, name: str) -> None:
    assert browser.get(f"/drivers/{name}").status_code == 404


def test_a_file_that_was_changed_since_the_start_is_not_served(browser: FlaskClient, settings: Settings) -> None:
    assert settings.ekey_drivers_file
    file = settings.ekey_drivers_file.parent / "agent-setup.exe"
    file.write_bytes(b"another")
    assert browser.get("/drivers/agent-setup.exe").status_code == 404
    file.unlink()
    assert browser.get("/drivers/agent-setup.exe").status_code == 404


def test_the_sign_in_page_leads_to_the_drivers(browser: FlaskClient, settings: Settings) -> None:
    assert 'href="/drivers"' in browser.get("/login", follow_redirects=True).text
    assert settings.model_copy(update={"driver_url": "https://example.cn/d"}).driver_link == "https://example.cn/d"


def test_without_a_list_there_is_no_such_page(tmp_path: Path) -> None:
    app: Flask = create_app(Settings(data_dir=tmp_path, secret_key=SECRET))
    for path in ("/drivers", "/drivers/agent-setup.exe"):
        assert app.test_client().get(path, headers={"Host": "127.0.0.1:8000"}).status_code == 404


# --- too old ---------------------------------------------------------------------------------------------------------------------------------

# (version, minimum, too old): the same table for the server and for the page's script
COMPARED = [
    ("0.1.0", "0.1.0", False),
    ("0.1", "0.1.0", False),
    ("0.1.0.1", "0.1", False),
    ("0.10", "0.9", False),
    ("0.9", "0.10", True),
    ("1", "0.99.99", False),
    ("0.0.9", "0.1", True),
    ("1.2.3.4", "1.2.3.5", True),
    *((odd, "0.1", True) for odd in ("", "x", "1.0-beta", "v1", "1..2", "1.2.3.4.5", " 1", "1\n", "01", "-1", "1e3", "٣", "9999999", "1,2")),
    ("x", "", False),
]


@pytest.mark.parametrize(("version", "minimum", "old"), COMPARED)
def test_versions_are_compared_as_numbers(version: str, minimum: str, old: bool) -> None:
    assert outdated(f"licence-idp-agent/{version}", minimum) is old


def test_a_foreign_driver_has_no_version_of_ours() -> None:
    assert [outdated(name, "0.1") for name in ("agent/1", "licence-idp-agent", "/1", "1", APP_VERSION)] == [True, True, True, True, False]


@pytest.mark.requirement("R67")
def test_the_server_refuses_a_driver_that_is_too_old() -> None:
    token = replace(TOKEN, app_version="licence-idp-agent/0.0.9").to_json()
    found = verification.read(token, "0.1")
    assert isinstance(found, Refused)
    assert (found.step, found.reason, found.public, found.detail) == (1, "agent_outdated", "ekey_outdated", "licence-idp-agent/0.0.9")
    assert isinstance(verification.read(token), Token)
    assert isinstance(verification.read(replace(TOKEN, app_version=APP_VERSION).to_json(), VERSION), Token)


@pytest.mark.parametrize("minimum", ["latest", "1.", "1\n", "01"])
def test_a_minimum_that_is_no_version_stops_the_start(minimum: str) -> None:
    with pytest.raises(ConfigurationError, match=r"agent_minimum_version|AGENT_MINIMUM_VERSION"):
        load(agent_minimum_version=minimum)


@pytest.fixture
def tried(chromium: Browser, stage: Stage) -> Callable[[str, object], Page]:
    """The page of drivers after 【检测驱动程序】, with a driver of this version and this minimum."""
    page = chromium.new_context(locale="zh-CN").new_page()

    def look(minimum: str, version: object) -> Page:
        page.unroute_all()
        told = {"version": version, "readers": [], "error": "no_reader"}
        page.route("**/v1/status", lambda route: route.fulfill(json=told, headers={"Access-Control-Allow-Origin": "*"}))
        page.route("**/gallery/drivers", lambda route: _needing(route, minimum))
        page.goto(f"{stage.address}/gallery/drivers")
        page.click("button.ekey-check")
        return page

    return look


def _needing(route: Any, minimum: str) -> None:
    answer = route.fetch()
    headers = {**answer.headers, "content-security-policy": answer.headers["content-security-policy"].replace("connect-src", "connect-src *")}
    route.fulfill(response=answer, headers=headers, body=answer.text().replace('data-agent-needs=""', f'data-agent-needs="{minimum}"'))


@pytest.mark.browser
@pytest.mark.slow
@pytest.mark.requirement("R67")
def test_the_page_compares_as_the_server_does(tried: Callable[[str, object], Page]) -> None:
    for version, minimum, old in COMPARED:
        page = tried(minimum, version)
        if old:
            expect(page.locator(".ekey-fault"), f"{version!r} {minimum!r}").to_contain_text("驱动程序版本过低，请更新")
        else:
            expect(page.locator(".ekey-runs"), f"{version!r} {minimum!r}").to_contain_text(f"版本 {version}")
