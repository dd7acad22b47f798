"""oidc-client-ts: a single-page application of another origin, in Chromium. Its code reads our answers across origins or not at all."""

import json
import shutil
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from demo.processes import Child, running, wait_until_up
from tests.interop.node_packages import SOURCE, installed
from tests.interop.served import NAME, PASSWORD, Platform

pytestmark = [pytest.mark.slow, pytest.mark.browser]

CLIENT_ID = "single-page"
LIBRARY = "oidc-client-ts.min.js"


@dataclass(frozen=True)
class Application:
    """Static files at a loopback port."""

    port: int

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@pytest.fixture(scope="module")
def application(platform: Platform, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Application]:
    """Registered as a public client that people have to agree to, and served."""
    application = Application(int(platform.reachable[0].rpartition(":")[2]))
    callback, afterwards, scope = f"{application.origin}/callback.html", f"{application.origin}/bye.html", "openid profile email"
    platform.add_client(
        CLIENT_ID,
        redirect_uris=[callback],
        post_logout_redirect_uris=[afterwards],
        grant_types=["authorization_code", "refresh_token"],
        token_endpoint_auth_method="none",
        scope=scope,
    )
    settings = {"authority": platform.issuer, "client_id": CLIENT_ID, "redirect_uri": callback, "post_logout_redirect_uri": afterwards}
    folder = tmp_path_factory.mktemp("single-page")
    (folder / "settings.json").write_text(json.dumps({**settings, "scope": scope, "loadUserInfo": True, "automaticSilentRenew": False}))
    shutil.copy(installed() / "node_modules" / "oidc-client-ts" / "dist" / "browser" / LIBRARY, folder)
    shutil.copy(SOURCE / "spa.js", folder)
    for page in ("index", "callback", "bye"):
        shutil.copy(SOURCE / "spa.html", folder / f"{page}.html")
    command = [sys.executable, "-m", "http.server", "--bind", "127.0.0.1", "--directory", str(folder), str(application.port)]
    with running(Child("single-page", command, {})) as child:
        wait_until_up(child, f"{application.origin}/", f"127.0.0.1:{application.port}", threading.Event())
        yield application


class Person:
    """One browser profile, before the application."""

    def __init__(self, page: Page, application: Application) -> None:
        self.page, self.application = page, application
        self.problems: list[str] = []
        page.on("console", lambda message: self.problems.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: self.problems.append(str(error)))

    def shown(self, times: int = 1) -> dict[str, Any]:
        """What the application says once that many things have happened since the page was loaded."""
        expect(self.page.locator(f"#shown[data-times='{times}']")).to_be_attached()
        said: dict[str, Any] = json.loads(self.page.locator("#shown").inner_text())
        return said

    def press(self, button: str, times: int) -> dict[str, Any]:
        self.page.click(f"#{button}")
        return self.shown(times)

    def sign_in(self) -> dict[str, Any]:
        """From the application's button through our pages, and back."""
        page = self.page
        page.goto(self.application.origin)
        self.shown()
        page.click("#sign-in")
        page.fill("[name=username]", NAME)
        page.fill("[name=password]", PASSWORD)
        page.click("button#continue")
        page.wait_for_url(lambda url: not url.endswith("/password"))
        if page.url.endswith("/contacts"):
            page.fill("[name=mobile]", "13800138000")
            page.fill("[name=email]", "user@example.cn")
            page.click("button#continue")
            page.wait_for_url(lambda url: not url.endswith("/contacts"))
            page.click("button[value=later]")
        if page.url.endswith("/consent"):
            page.click("button[value=allow]")
        page.wait_for_url(lambda url: url.startswith(f"{self.application.origin}/callback.html"))
        return self.shown()

    def ask(self, url: str, token: str) -> int | str:
        """The status that a script of the page reads of `url`; what the browser says where it may not read."""
        script = "([url, token]) => fetch(url, {headers: {Authorization: `Bearer ${token}`}}).then(answer => answer.status, error => error.name)"
        answer: int | str = self.page.evaluate(script, [url, token])
        return answer


@pytest.fixture
def person(chromium: Browser, application: Application) -> Iterator[Person]:
    context = chromium.new_context(locale="zh-CN")
    context.set_default_timeout(10_000)
    yield Person(context.new_page(), application)
    context.close()


@pytest.mark.spec("RFC 7636", "4")
@pytest.mark.spec("OIDC Core", "5.3")
def test_a_person_signs_in(platform: Platform, person: Person) -> None:
    said = person.sign_in()
    assert said["done"] == "kept by the application", said
    profile = said["user"]["profile"]
    # what stands in userinfo alone was read across origins
    assert (profile["preferred_username"], said["user"]["scope"]) == (NAME, "openid profile email")
    assert person.ask(f"{platform.issuer}/oauth2/userinfo", said["user"]["access_token"]) == 200
    assert person.problems == []


@pytest.mark.spec("RFC 9700", "4.14.2")
def test_it_renews_in_silence_and_the_refresh_token_is_a_new_one(platform: Platform, person: Person) -> None:
    first = person.sign_in()["user"]
    second = person.press("renew", 2)["user"]
    assert second["profile"]["sub"] == first["profile"]["sub"]
    assert len({user[kind] for user in (first, second) for kind in ("access_token", "refresh_token")}) == 4
    third = person.press("renew", 3)["user"]
    assert third["refresh_token"] not in (first["refresh_token"], second["refresh_token"])
    assert person.ask(f"{platform.issuer}/oauth2/userinfo", third["access_token"]) == 200
    assert person.problems == []


@pytest.mark.spec("RFC 7009", "2")
def test_it_gives_its_tokens_back(platform: Platform, person: Person) -> None:
    before = person.sign_in()["user"]
    userinfo = f"{platform.issuer}/oauth2/userinfo"
    said = person.press("revoke", 2)
    assert said["user"]["refresh_token"] is None, said
    assert person.problems == []
    assert person.ask(userinfo, before["access_token"]) == 401


@pytest.mark.spec("OIDC RP-Initiated Logout", "2")
def test_sign_out_comes_back_and_the_next_sign_in_asks(person: Person) -> None:
    person.sign_in()
    person.page.click("#sign-out")
    person.page.wait_for_url(lambda url: url.startswith(f"{person.application.origin}/bye.html"))
    said = person.shown()
    assert said["user"] == {}, said
    assert person.problems == []
    person.page.click("#sign-in")
    expect(person.page.locator("[name=password]")).to_be_visible()


def test_a_page_of_another_origin_reads_nothing_but_what_is_public(platform: Platform, person: Person) -> None:
    token = person.sign_in()["user"]["access_token"]
    # the same files under another name are another origin, and no client has a redirect URI there
    person.page.goto(person.application.origin.replace("127.0.0.1", "localhost"))
    assert person.ask(f"{platform.issuer}/oauth2/userinfo", token) == "TypeError"
    discovery = "url => fetch(url).then(answer => answer.status, error => error.name)"
    assert person.page.evaluate(discovery, f"{platform.issuer}/.well-known/openid-configuration") == 200
