"""The rules of pages that a parser can see, on every page and in both languages."""

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.pages import gallery

VOID = {"meta", "link", "img", "input", "br", "hr"}
LANGUAGES = ["zh-CN", "en"]
TAKEN_TOKENS = {"username", "current-password", "new-password", "one-time-code", "tel-national", "email", "organization", "off"}


@dataclass
class Element:
    tag: str
    attrs: dict[str, str]
    parents: list["Element"]
    text: str = ""
    children: list["Element"] = field(default_factory=list)


class Page(HTMLParser):
    """A parsed page: its elements in document order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[Element] = []
        self.stack: list[Element] = []
        self.feed(text)
        assert not self.stack, f"not closed: {[e.tag for e in self.stack]}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {name: value or "" for name, value in attrs}, list(self.stack))
        self.elements.append(element)
        if tag not in VOID:
            self.stack.append(element)

    def handle_endtag(self, tag: str) -> None:
        assert self.stack.pop().tag == tag

    def handle_data(self, data: str) -> None:
        for element in self.stack:
            element.text += data

    def all(self, *tags: str) -> list[Element]:
        return [element for element in self.elements if element.tag in tags]

    def by_id(self, wanted: str) -> Element:
        found = [element for element in self.elements if element.attrs.get("id") == wanted]
        assert len(found) == 1, f"id {wanted}: {len(found)} elements"
        return found[0]

    @property
    def fields(self) -> list[Element]:
        return [element for element in self.all("input", "select", "textarea") if element.attrs.get("type") != "hidden"]


@pytest.fixture(params=LANGUAGES)
def lang(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=gallery.ADDRESSES)
def page(request: pytest.FixtureRequest, visitor: FlaskClient, lang: str) -> Page:
    address = request.param + ("&" if "?" in request.param else "?")
    return Page(visitor.get(f"{address}ui_locales={lang}").text)


@pytest.mark.requirement("R79")
def test_frame(page: Page, lang: str) -> None:
    assert page.all("html")[0].attrs["lang"] == lang
    assert len(page.all("h1")) == 1
    heading, title = page.all("h1")[0].text.strip(), page.all("title")[0].text
    assert heading
    assert heading in title
    assert [len(page.all(tag)) for tag in ("header", "main", "footer")] == [1, 1, 1]
    assert page.all("a")[0].attrs["href"] == "#main"
    assert page.by_id("main").tag == "main"


@pytest.mark.requirement("D12")
def test_every_page_asks_for_the_modern_engine(page: Page) -> None:
    assert {"name": "renderer", "content": "webkit"} in [element.attrs for element in page.all("meta")]


@pytest.mark.requirement("R82")
def test_nothing_that_a_strict_policy_forbids(page: Page) -> None:
    for element in page.elements:
        assert not [name for name in element.attrs if name == "style" or name.startswith("on")], element
        assert not [value for value in element.attrs.values() if re.match(r"\s*(javascript|data):", value, re.IGNORECASE)], element
    assert not page.all("style", "iframe", "object", "embed")
    assert all(re.match(r"/static/(site|ekey|captcha)\.js\?v=", script.attrs["src"]) and not script.text for script in page.all("script"))


def test_fields_have_visible_labels_and_no_placeholder(page: Page) -> None:
    labels = {element.attrs["for"]: element for element in page.all("label")}
    for one in page.fields:
        assert labels[one.attrs["id"]].text.strip()
        assert "placeholder" not in one.attrs
        assert "maxlength" not in one.attrs
        if one.attrs["type"] != "radio":
            assert one.attrs["autocomplete"] in TAKEN_TOKENS


def test_descriptions_lead_somewhere(page: Page) -> None:
    for element in page.elements:
        for name in ("aria-describedby", "aria-labelledby", "aria-controls"):
            for target in element.attrs.get(name, "").split():
                assert page.by_id(target)
        assert int(element.attrs.get("tabindex", 0)) <= 0


def test_ids_are_unique(page: Page) -> None:
    ids = [element.attrs["id"] for element in page.elements if "id" in element.attrs]
    assert len(ids) == len(set(ids))


def test_the_first_submit_button_goes_on_and_forms_are_guarded(page: Page) -> None:
    in_main = [form for form in page.all("form") if any(parent.tag == "main" for parent in form.parents)]
    for number, form in enumerate(in_main):
        first, *others = [b for b in page.all("button") if b.attrs.get("type") == "submit" and form in b.parents]
        # a list with a form for each entry has no way on
        assert first.attrs.get("id") == "continue" or (len(in_main) > 1 and "id" not in first.attrs), number
        assert "formnovalidate" not in first.attrs
        assert all("formnovalidate" in button.attrs for button in others)
    for form in page.all("form"):
        assert form.attrs["action"].startswith("/")
        if form.attrs["method"] == "get":
            continue
        inside = [e for e in page.all("input") if form in e.parents and e.attrs.get("name") == "csrf_token"]
        assert len(inside) == 1


def test_help_and_telephone_stand_in_the_same_place(page: Page) -> None:
    links = [element.attrs["href"] for element in page.all("a") if any(parent.tag == "nav" for parent in element.parents)]
    assert links[:2] == ["tel:12335", "/help"]


def test_images_are_described_or_decoration(page: Page) -> None:
    for image in page.all("img"):
        assert "alt" in image.attrs
        assert image.attrs["alt"] or "captcha" not in image.attrs["src"]


def test_no_page_is_a_dead_end(page: Page) -> None:
    ways = [e for e in page.all("a", "button") if any(parent.tag == "main" for parent in e.parents) and e.attrs.get("type") != "button"]
    assert ways


@pytest.mark.requirement("R78")
def test_no_code_stands_where_words_should(page: Page) -> None:
    text = page.all("body")[0].text
    assert not re.search(r"\b(site|nav|error|button|field|hint|signin|change|contacts|hall|licences|module|locked|help|rules|link)\.[a-z_]+", text)
    assert "%(" not in text


@pytest.mark.requirement("R78")
def test_chinese_sentences_follow_each_other_without_a_gap(page: Page, lang: str) -> None:
    assert lang == "en" or not re.search(r"[。！？；，] +[\u4e00-\u9fff0-9]", page.all("body")[0].text)


@pytest.mark.parametrize("name", gallery.WITH_ERRORS)
def test_summary_and_field_say_the_same(visitor: FlaskClient, name: str, lang: str) -> None:
    page = Page(visitor.get(f"/gallery/{name}", query_string={"ui_locales": lang}).text)
    problems = gallery.STATES[name][1]["errors"]
    assert page.all("title")[0].text.startswith("Error: " if lang == "en" else "错误：")
    summary = page.by_id("error-summary")
    assert summary.attrs["role"] == "alert"
    lines = [element for element in page.all("li") if summary in element.parents]
    assert len(lines) == len(problems)
    for line, problem in zip(lines, problems, strict=True):
        if not problem.field:
            continue
        link = next(element for element in page.all("a") if line in element.parents)
        target = page.by_id(link.attrs["href"].removeprefix("#"))
        assert target.tag == "input"
        holder = target if target.attrs.get("aria-invalid") else next(p for p in target.parents if p.attrs.get("aria-invalid"))
        said = [page.by_id(id_).text.strip() for id_ in holder.attrs["aria-describedby"].split() if "-error" in id_]
        assert any(text.endswith(line.text.strip()) for text in said)


def test_typed_values_stay_escaped_and_secrets_are_empty(visitor: FlaskClient) -> None:
    page = Page(visitor.get("/gallery/password-wrong").text)
    assert page.by_id("username").attrs["value"] == "<b>甲"
    assert "value" not in page.by_id("password").attrs
    assert not page.by_id("captcha").attrs["value"]


@pytest.mark.requirement("R38")
@pytest.mark.requirement("R24")
@pytest.mark.requirement("R65")
def test_signin_page_says_what_the_manual_says(visitor: FlaskClient) -> None:
    text = re.sub(r"\s+", "", Page(visitor.get("/gallery/password").text).by_id("main").text)
    for words in (
        "两用物项和技术进出口管制应用与许可证申领系统使用同一把电子钥匙",
        "使用原出口、进口等任一系统的密码均可登录",
        "13位进出口企业代码-原系统用户名，如0441987654321-beijing",
        "机电产品进口单证用户：原用户名",
        "我该怎样登录？",
        "忘记密码",
        "新用户注册",
        "企业代码查询",
    ):
        assert words in text


@pytest.mark.requirement("R27")
@pytest.mark.requirement("R28")
def test_change_page_names_the_rules_before_the_field(visitor: FlaskClient) -> None:
    page = Page(visitor.get("/gallery/change").text)
    text = page.by_id("main").text
    assert "唯一密码" in text
    assert "10–20 位" in text
    order = [element.attrs.get("id") for element in page.elements]
    assert order.index("new_password-hint") < order.index("new_password")
    assert page.by_id("username").attrs["autocomplete"] == "username"


def test_locked_until_is_told_in_beijing_time(visitor: FlaskClient) -> None:
    assert "请于 3月2日 09:15 后再试" in visitor.get("/gallery/password-locked").text
    assert "2 March 09:15 (Beijing time)" in visitor.get("/gallery/password-locked?ui_locales=en").text


def test_error_page_has_number_telephone_and_way_on(visitor: FlaskClient) -> None:
    page = Page(visitor.get("/nothing-here").text)
    text = page.by_id("main").text
    assert re.search(r"问题编号：[0-9a-f]{10}", text)
    assert "12335" in text
    assert "rror" in visitor.get("/nothing-here?ui_locales=en").text
    assert "signed out" in visitor.get("/gallery/signed-out?ui_locales=en").text.lower()


def test_a_foreign_host_gets_an_error_page_and_no_crash(visitor: FlaskClient) -> None:
    answer = visitor.get("/help", headers={"Host": "evil.example"})
    assert answer.status_code == 400
    assert "evil.example" not in answer.text


@pytest.mark.requirement("R78")
def test_language_switch_keeps_page_and_query(visitor: FlaskClient) -> None:
    links = [e for e in Page(visitor.get("/help/faq?a=1&a=%26%22&ui_locales=zh-CN").text).all("a") if e.attrs.get("hreflang") == "en"]
    assert [link.attrs["href"] for link in links] == ["?a=1&a=%26%22&ui_locales=en"]


def test_language_switch_never_leads_to_another_host(visitor: FlaskClient) -> None:
    text = visitor.get("//evil.example/").text
    assert 'href="//' not in text


@pytest.mark.requirement("R78")
def test_language_is_remembered(stage: object, visitor: FlaskClient) -> None:
    assert 'lang="zh-CN"' in visitor.get("/help", headers={"Accept-Language": "en"}).text
    visitor.get("/help?ui_locales=en")
    assert '<html lang="en">' in visitor.get("/help").text


def test_static_files_may_be_kept_and_pages_not(visitor: FlaskClient) -> None:
    page = visitor.get("/help")
    assert page.headers["Cache-Control"] == "no-store"
    for element in Page(page.text).all("link", "script"):
        with visitor.get(element.attrs.get("href") or element.attrs["src"]) as kept:
            assert kept.status_code == 200
            assert "max-age=3600" in kept.headers["Cache-Control"]
            assert "Set-Cookie" not in kept.headers


@pytest.mark.requirement("D12")
@pytest.mark.parametrize(
    "agent", ["Mozilla/5.0 (compatible; MSIE 9.0; Windows NT 6.1; Trident/5.0)", "Mozilla/5.0 (Windows NT 10.0; Trident/7.0; rv:11.0) like Gecko"]
)
def test_old_browsers_get_plain_html(app: Flask, visitor: FlaskClient, agent: str) -> None:
    text = visitor.get("/loginCorp.html", headers={"User-Agent": agent}).text
    page = Page(text)
    assert page.all("body")[0].text.strip().splitlines()[0] == "请将浏览器切换到“极速模式”后刷新"
    assert not page.all("main", "header", "script", "link", "svg")
    assert all(system in text for system in ("Windows", "麒麟", "统信"))
