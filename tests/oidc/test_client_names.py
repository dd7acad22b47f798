"""What a client that is not the ministry's own may call itself, and what stands beside its name."""

from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from idp.settings import Settings
from tests.conftest import SECRET
from tests.fakes import FakeClock
from tests.oidc.conftest import Somebody
from tests.oidc.test_register import allow, call, path_of, register, registered
from tests.relying_party import ISSUER, RelyingParty

OWN = "出口许可证申领系统"


@pytest.fixture
def settings(tmp_path: Path, database_url: str) -> Settings:
    return Settings(data_dir=tmp_path, secret_key=SECRET, database_url=database_url, client_registration="on")


@pytest.fixture
def leave(platform: Flask, clock: FakeClock) -> str:
    RelyingParty(platform, clock, "export", client_name=OWN, **{"client_name#en": "Export Licence Applications"})
    return allow(platform)


@pytest.mark.parametrize(
    "members",
    [
        {"client_name": OWN},
        {"client_name": "出口 许可证　申领\u200a系统"},
        {"client_name#en": "ｅxport  LICENCE-applications."},
        # of systems.toml, in either language and length
        {"client_name": "出口许可证"},
        {"client_name": "Export licences"},
        {"client_name#en": "出口"},
        # Cyrillic Е, Greek ο
        {"client_name": "Еxport licences"},
        {"client_name#en": "Licence Applicatiοns"},
        # Hangul filler, a frame like a mouth, traditional forms, phonetic letters
        {"client_name": "出口许可证\u3164"},
        {"client_name": "出囗许可证"},
        {"client_name": "出口許可證"},
        {"client_name": "ᴇxport licences"},
        # holds the ministry or its platform
        {"client_name": "商务部"},
        {"client_name": "中华人民共和国商務部 官方"},
        {"client_name": "许可证统一管理平台"},
        {"client_name": "业务系统统一平台（新）"},
        {"client_name#en": "MOFCOM sign-in"},
    ],
)
def test_a_name_of_the_ministry_and_what_looks_like_one_is_refused(platform: Flask, leave: str, members: dict[str, str]) -> None:
    answer = register(platform, leave, **members)
    assert (answer.status_code, (answer.json or {})["error"]) == (400, "invalid_client_metadata")
    told = registered(platform, leave, client_name="物流公司")
    sent = {"client_id": told["client_id"], "redirect_uris": told["redirect_uris"], **members}
    assert call(platform, "PUT", path_of(told), told["registration_access_token"], sent).status_code == 400


@pytest.mark.parametrize(
    "name", ["物流公司 Logistics", "ООО Экспорт", "Εξαγωγές", "Café Export GmbH & Co. KG", "出口许可证代办（物流公司）", "", "π 国际"]
)
def test_other_names_are_free(platform: Flask, leave: str, name: str) -> None:
    assert register(platform, leave, client_name=name).status_code == 201


def shown(party: RelyingParty, browser: FlaskClient, language: str = "zh-CN") -> str:
    return browser.get(party.authorize(browser, ui_locales=language).location, base_url=ISSUER, follow_redirects=True).get_data(as_text=True)


@pytest.mark.parametrize(("language", "words"), [("zh-CN", "登录后将进入："), ("en", "You will go on to: ")])
def test_beside_a_strangers_name_stands_where_the_sign_in_leads(
    platform: Flask, clock: FakeClock, beijing: Somebody, language: str, words: str
) -> None:
    # 例子.example in the one form that can be registered
    uri = "https://xn--fsqu00a.example:8443/cb"
    stranger = RelyingParty(platform, clock, "stranger", first_party=False, client_name=OWN, redirect_uris=[uri])
    text = shown(stranger, stranger.browser(), language)
    assert f"{words}<bdi>{OWN}</bdi>" in text
    assert "<bdi>xn--fsqu00a.example:8443</bdi>" in text
    assert "xn--fsqu00a.example:8443" in shown(stranger, stranger.browser(beijing.id))


def test_the_ministrys_own_need_no_host_and_an_application_shows_its_scheme(platform: Flask, clock: FakeClock) -> None:
    own = RelyingParty(platform, clock, "own", client_name=OWN)
    assert f"<bdi>{OWN}</bdi></p>" in shown(own, own.browser())
    native = RelyingParty(platform, clock, "native", first_party=False, application_type="native", redirect_uris=["com.example.app:/cb"])
    assert "<bdi>com.example.app:</bdi>" in shown(native, native.browser())
