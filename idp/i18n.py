"""Languages: zh_Hans_CN by default, English by switch (R78). The words live in `translations/`, keyed by stable codes.

The catalogues are read from their .po files at the start, so nothing has to be compiled. The switch is a link with `?ui_locales=` (OIDC Core
§3.1.2.1); the choice is kept in a cookie of its own.
"""

import io
from functools import lru_cache
from pathlib import Path

from babel.messages import mofile, pofile
from babel.support import NullTranslations, Translations
from flask import Flask, Response, g, request
from flask_babel import Babel, Domain, get_locale

DEFAULT = "zh_Hans_CN"
TAGS = {"zh_Hans_CN": "zh-CN", "en": "en"}
FOLDER = Path(__file__).parent / "translations"
YEAR_SECONDS = 365 * 24 * 3600


@lru_cache
def catalogue(locale: str) -> Translations:
    """The compiled catalogue of one locale."""
    with (FOLDER / locale / "LC_MESSAGES" / "messages.po").open("rb") as file:
        source = pofile.read_po(file, locale=locale)
    compiled = io.BytesIO()
    mofile.write_mo(compiled, source)
    compiled.seek(0)
    return Translations(compiled)


class _PoDomain(Domain):
    """Flask-Babel's domain over catalogues that are already in memory."""

    def get_translations(self) -> NullTranslations:
        """The catalogue of the current locale."""
        return catalogue(str(get_locale() or DEFAULT))


def _wanted(tags: str) -> str | None:
    """The first locale we speak among BCP 47 `tags` separated by blanks."""
    for tag in tags.split()[:10]:
        language = tag.lower().split("-")[0]
        if language in ("zh", "en"):
            return "en" if language == "en" else DEFAULT
    return None


def choose() -> str:
    """Locale of this request: `ui_locales`, else the cookie, else Chinese, whatever the browser prefers."""
    return _wanted(request.args.get("ui_locales", "")) or _wanted(request.cookies.get("lang", "")) or DEFAULT


def _remember(response: Response) -> Response:
    wanted = _wanted(request.args.get("ui_locales", ""))
    if wanted:
        response.set_cookie("lang", TAGS[wanted], max_age=YEAR_SECONDS, secure=g.https, httponly=True, samesite="Lax")
    return response


def _words() -> dict[str, str]:
    """For templates: the tag of the language, and what stands between two sentences (nothing in Chinese)."""
    lang = TAGS[str(get_locale() or DEFAULT)]
    return {"lang": lang, "gap": " " if lang == "en" else ""}


def init_app(app: Flask, https: bool) -> None:
    """Wire Flask-Babel; templates get `lang` (BCP 47)."""
    app.config["BABEL_DEFAULT_LOCALE"] = DEFAULT
    Babel(app, locale_selector=choose).domain_instance = _PoDomain()

    @app.before_request
    def _cookie_kind() -> None:
        g.https = https

    app.after_request(_remember)
    app.context_processor(_words)
