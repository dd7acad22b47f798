"""The words of messages, from the same catalogue as the pages: `message.<name>.subject` and `message.<name>.text`."""

from idp.i18n import DEFAULT, catalogue


def code_kind(channel: str, locale: str = DEFAULT) -> str:
    """What a code that goes this way is called; only the captcha's is 验证码 alone (pages.md, rule 14)."""
    return str(catalogue(locale).gettext(f"code_kind.{channel}"))


def subject(message: str, locale: str = DEFAULT) -> str:
    """The subject line of a mail."""
    return str(catalogue(locale).gettext(f"message.{message}.subject"))


def text(message: str, /, locale: str = DEFAULT, **values: str) -> str:
    """The text, `values` filled in."""
    return str(catalogue(locale).gettext(f"message.{message}.text")) % values
