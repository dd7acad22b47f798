"""Writes docs/settings.md from the fields of idp.settings.Settings: `python -m docs.make_settings`."""

from pathlib import Path
from typing import Any, get_args, get_origin

from pydantic.fields import FieldInfo

from idp.settings import Settings

HEAD = """# Settings

Every setting is an environment variable `IDP_…`, or the same name in lower case without the prefix in the TOML file that `IDP_CONFIG_FILE`
names; the environment wins. Times are in seconds unless the name says otherwise. A wrong or dangerous value stops the start.
This page is generated (`make docs`).

| setting | default | allowed | what it does |
|---|---|---|---|
"""


def _allowed(field: FieldInfo) -> str:
    """Bounds or choices, as far as the type knows them."""
    bounds = {type(mark).__name__: mark for mark in field.metadata}
    low, high = getattr(bounds.get("Ge"), "ge", None), getattr(bounds.get("Le"), "le", None)
    if low is not None and high is not None:
        return f"{low} – {high}"
    annotation: Any = field.annotation
    if str(get_origin(annotation)) == "typing.Literal":
        return ", ".join(f"`{choice}`" for choice in get_args(annotation))
    return ""


def _default(field: FieldInfo) -> str:
    value = field.get_default()
    text = "" if value is None or value == () or "SecretStr" in type(value).__name__ else str(value)
    return f"`{text}`" if text else "–"


def manual() -> str:
    """The whole page."""
    rows = (
        f"| `IDP_{name.upper()}` | {_default(field)} | {_allowed(field)} | {field.description} |" for name, field in Settings.model_fields.items()
    )
    return HEAD + "\n".join(rows) + "\n"


if __name__ == "__main__":
    Path(__file__).with_name("settings.md").write_text(manual())
