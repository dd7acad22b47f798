"""The error families. Expected refusals are values (`Refusal`) with a stable code, never exceptions.

Exception
└── IdpError                 everything this product raises on purpose
    ├── ConfigurationError   the process must not start; names the setting
    ├── BadInput             a file or argument an operator gave; names file, line, field
    └── RequestBroken        a request no page of ours could have made; becomes a 4xx page
"""

import dataclasses
from dataclasses import dataclass
from typing import Any


def shown(text: str) -> str:
    """A stranger's text for a terminal: what does not print (escape sequences, directions of writing) is written as its code."""
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text)


class IdpError(Exception):
    """Root of the errors that this product raises on purpose."""


class ConfigurationError(IdpError):
    """A setting is missing, wrong or dangerous; the text names it."""


@dataclass
class BadInput(IdpError):
    """What an operator gave cannot be used. Nothing was written.

    `file`, `line` (1 = first line) and `field` say where, `reason` what and what to do.
    """

    reason: str
    file: str | None = None
    line: int | None = None
    field: str | None = None

    def __str__(self) -> str:
        """The place and the reason in one line, e.g. `export.csv:7: 企业代码: unknown`; safe to show on a terminal."""
        place = ":".join(str(part) for part in (self.file, self.line) if part is not None)
        return shown(": ".join(part for part in (place, self.field, self.reason) if part))


@dataclass
class RequestBroken(IdpError):
    """A request that none of our pages makes; `code` picks the words, `status` is a 4xx. `retry_after` (seconds): it may come again then."""

    code: str
    status: int = 400
    retry_after: int | None = None

    def __str__(self) -> str:
        """The stable code."""
        return self.code


@dataclass(frozen=True)
class Refusal:
    """An expected "no", as a value: the stable code of its sentence, the form field it is about ("" = the whole form), numbers for the words."""

    code: str
    field: str = ""
    args: dict[str, Any] = dataclasses.field(default_factory=dict)
