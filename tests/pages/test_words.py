"""The catalogues: the same codes and placeholders in both languages, every code used, every used code there."""

import re
from functools import lru_cache
from pathlib import Path

import pytest
from babel.messages import pofile

import idp
from idp import i18n
from idp.accounts.password_policy import CLASSES

ROOT = Path(idp.__file__).parent
CODE = r"[a-z_0-9]+(?:[.-][a-z_0-9-]+)+"
CALL = re.compile(rf"\b(?:_|gettext)\(\s*['\"]({CODE})['\"]\s*[,)]")
FAMILY = re.compile(r"\b(?:_|gettext|_known)\(\s*f?['\"]([a-z_0-9.]+\.)(?:\{[^}]+\}|['\"]\s*~\s*\w[\w.]*)([a-z_.]*)")
ERROR_PAGE = re.compile(r"\berror_page\(f?\"([a-z_0-9]+)[{\"]")
REFUSAL = re.compile(r"\bRefusal\(\s*\"([a-z_0-9]+)\"")
LITERAL = re.compile(r"[\"']([a-z_0-9][a-z_0-9.-]*)[\"']")


@lru_cache
def words(locale: str) -> dict[str, str]:
    with (i18n.FOLDER / locale / "LC_MESSAGES" / "messages.po").open("rb") as file:
        return {str(message.id): str(message.string) for message in pofile.read_po(file, locale=locale) if message.id}


@lru_cache
def sources() -> str:
    files = [*ROOT.rglob("*.py"), *ROOT.rglob("templates/**/*.html")]
    return "\n".join(file.read_text("utf-8") for file in sorted(files) if "migrations" not in file.parts)


def placeholders(text: str) -> list[str]:
    return sorted(set(re.findall(r"%\((\w+)\)s", text)))


@lru_cache
def families() -> set[tuple[str, str]]:
    """Beginnings and ends of codes that are completed at run time, such as `error.` with an empty end."""
    return set(FAMILY.findall(sources())) | {(f"error_page.{begin}", "") for begin in ERROR_PAGE.findall(sources())}


@lru_cache
def literals() -> set[str]:
    return set(LITERAL.findall(sources()))


def is_made(code: str) -> bool:
    """Whether some family's beginning and end, with words of the source between, make this code."""
    ends = [(begin, end) for begin, end in families() if code.startswith(begin) and code.endswith(end)]
    rests = [code[len(begin) : len(code) - len(end)] for begin, end in ends]
    return any(rest in literals() or set(rest.split(".")) <= {*literals(), ""} for rest in rests)


@pytest.mark.requirement("R78")
def test_both_catalogues_have_the_same_codes() -> None:
    assert set(words("zh_Hans_CN")) == set(words("en"))


@pytest.mark.parametrize("locale", list(i18n.TAGS))
def test_no_empty_words_and_no_code_twice(locale: str) -> None:
    assert not [code for code, text in words(locale).items() if not text.strip()]
    text = (i18n.FOLDER / locale / "LC_MESSAGES" / "messages.po").read_text("utf-8")
    codes = re.findall(r'^msgid "(.+)"$', text, re.MULTILINE)
    assert not {code for code in codes if codes.count(code) > 1}


def test_placeholders_agree_and_no_stray_percent() -> None:
    for code, text in words("zh_Hans_CN").items():
        assert placeholders(text) == placeholders(words("en")[code]), code
    for locale in i18n.TAGS:
        assert not [code for code, text in words(locale).items() if "%" in re.sub(r"%\(\w+\)s|%%", "", text)]


def test_every_used_code_has_words() -> None:
    assert not {code for code in CALL.findall(sources()) if code not in words("en")}


def test_every_refusal_has_words() -> None:
    codes = set(REFUSAL.findall(sources())) | {code for code, _ in CLASSES}
    told = {"account_disabled", "enterprise_cancelled"}  # told on a page of their own
    assert not {code for code in codes if f"error.{code}" not in words("en")} - told


def test_no_words_are_left_over() -> None:
    unused = {code for code in words("en") if not is_made(code)} - set(CALL.findall(sources())) - literals()
    # codes of HTTP errors are made from the status
    assert {code for code in unused if not re.fullmatch(r"error_page\.http_\d{3}", code)} == set()


def test_words_stand_in_the_catalogue_only() -> None:
    """Chinese text in code is a sentence that English readers would get (help pages and data files are texts of their own)."""
    allowed = {"base.html"}  # the name of the language in the switch
    for file in ROOT.rglob("templates/**/*.html"):
        if "help/" in file.as_posix() or file.name in allowed:
            continue
        text = re.sub(r"\{#.*?#\}|<a [^>]*lang=\"zh-CN\"[^>]*>中文</a>", "", file.read_text("utf-8"), flags=re.DOTALL)
        assert not re.findall(r"[\u4e00-\u9fff]+", text), file.name


def test_help_exists_in_both_languages() -> None:
    folders = [sorted(file.name for file in (ROOT / "templates/portal/help" / locale).iterdir()) for locale in i18n.TAGS]
    assert folders[0] == folders[1]


def test_wording_of_the_house() -> None:
    text = "\n".join(words("zh_Hans_CN").values())
    assert "撤销" not in text
    assert not re.search(r"登陆|帐号|你", text)
    assert not re.search(r"！！", text)


def test_one_thing_has_one_word() -> None:
    """pages.md, rule 14: 验证码 alone is the captcha's; and the words of a key."""
    found = {code: text for code, text in words("zh_Hans_CN").items() if not code.startswith("help.")}
    alone = {code for code, text in found.items() if re.search(r"(?<!短信)(?<!邮件)(?<!设备)验证码", text)}
    assert {code for code in alone if "captcha" not in code} == set()
    assert [code for code, text in found.items() if re.search(r"钥匙(的|上印的)?编号|钥匙(已|已被)?(注销|撤销)", text)] == []
