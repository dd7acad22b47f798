"""What every page has around it: the links of this installation, the language switch, the words of an error.

Given to all templates, whoever renders them, as `site`, `assets`, `language_switch`, `error_text`, `page_words` and the filters `when`,
`when_and_year` and `day`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import date, datetime
from hashlib import sha256
from pathlib import Path
from urllib.parse import urlencode

from babel.dates import format_date, format_datetime
from flask import Flask, request
from flask_babel import get_locale, gettext

from idp.adapters import BEIJING
from idp.errors import Refusal
from idp.settings import Settings

STATIC = Path(__file__).parent.parent / "static"
STATIC_SECONDS = 3600
ASSETS = ("site.css", "site.js", "ekey.js", "captcha.js", "captcha-worker.js", "ekey-permission.zh.svg", "ekey-permission.en.svg")
DAY_PATTERN = {"zh": "yyyy年M月d日", "en": "d MMMM yyyy"}
MOMENT_PATTERN = {"zh": "yyyy年M月d日 HH:mm", "en": "d MMMM yyyy HH:mm '(Beijing time)'"}
TIME_PATTERN = {"zh": "M月d日 HH:mm", "en": "d MMMM HH:mm '(Beijing time)'"}


@dataclass(frozen=True)
class Site:
    """What a page may say of the installation; links are "" where the operator set none (D14)."""

    service_telephone: str
    issuer: str
    key_application_url: str
    driver_link: str
    code_lookup_url: str
    ekey_on: bool
    ekey_mtls_base_url: str
    agent_port: int
    agent_minimum_version: str
    password_history_count: int
    session_idle_seconds: int


def language_switch(lang: str) -> str:
    """The link to this very page in `lang` (BCP 47), query kept (R78).

    Only the query is named: a path that begins with `//` would lead to another host.
    """
    kept = [(key, value) for key, value in request.args.items(multi=True) if key != "ui_locales"]
    return "?" + urlencode([*kept, ("ui_locales", lang)])


def when(moment: datetime) -> str:
    """Day and time in Beijing, in the page's language."""
    return _in_beijing(moment, TIME_PATTERN)


def when_and_year(moment: datetime) -> str:
    """The same with the year, for what is kept on paper."""
    return _in_beijing(moment, MOMENT_PATTERN)


def _in_beijing(moment: datetime, patterns: Mapping[str, str]) -> str:
    language = "zh" if str(get_locale()).startswith("zh") else "en"
    return str(format_datetime(moment, patterns[language], tzinfo=BEIJING, locale=language))


def day(moment: date) -> str:
    """A day, of a moment the one in Beijing, in the page's language."""
    moment = moment.astimezone(BEIJING) if isinstance(moment, datetime) else moment
    language = "zh" if str(get_locale()).startswith("zh") else "en"
    return str(format_date(moment, DAY_PATTERN[language], locale=language))


def _shown(name: str, value: object) -> object:
    if name == "channel":
        return gettext(f"code_kind.{value}")
    return when(value) if isinstance(value, datetime) else day(value) if isinstance(value, date) else value


def _known(code: str, fallback: str) -> str:
    return code if gettext(code) != code else fallback


def error_text(problem: Refusal) -> str:
    """The words of a refusal; a code without words gives the general ones, never a bare code."""
    values = {name: _shown(name, value) for name, value in problem.args.items()}
    return str(gettext(_known(f"error.{problem.code}", "error.other"), **values))


def page_words(code: str) -> str:
    """The words of an error page."""
    return str(gettext(_known(f"error_page.{code}", "error_page.other")))


def asset(name: str) -> str:
    """Address of a static file that changes with its content, so that browsers may keep it."""
    return f"/static/{name}?v={sha256((STATIC / name).read_bytes()).hexdigest()[:12]}"


def init_app(app: Flask, settings: Settings) -> None:
    """Give the frame to every template of the app."""
    site = Site(**{field.name: getattr(settings, field.name) for field in fields(Site)})
    app.jinja_env.globals.update(site=site, language_switch=language_switch, error_text=error_text, page_words=page_words)
    app.jinja_env.globals["assets"] = {name: asset(name) for name in ASSETS}
    app.jinja_env.filters["when"] = when
    app.jinja_env.filters["day"] = day
    app.jinja_env.filters["when_and_year"] = when_and_year
    app.config["SEND_FILE_MAX_AGE_DEFAULT"] = STATIC_SECONDS
