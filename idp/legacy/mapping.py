"""Mapping files: how the dump of one old system is written (TOML, one file a system, under `mappings/`)."""

import tomllib
from dataclasses import dataclass
from datetime import date, datetime
from functools import cached_property
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from idp import delimited
from idp.accounts import password_hashes
from idp.errors import BadInput

FOLDER = Path(__file__).with_name("mappings")


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Columns(_Part):
    """Names in the dump's header. What a system does not have is left out."""

    username: str
    password: str
    enterprise: str
    status: str
    key: str | None = None
    contact: str | None = None
    mobile: str | None = None
    email: str | None = None
    last_login: str | None = None


class Password(_Part):
    """How passwords were hashed: the scheme, and the encoding of the password's bytes (D8)."""

    scheme: str
    encoding: str = "utf-8"

    @field_validator("scheme")
    @classmethod
    def _scheme(cls, value: str) -> str:
        if value not in password_hashes.SCHEMES:
            raise ValueError(f"unknown scheme; known are {', '.join(password_hashes.SCHEMES)}")
        return value

    @field_validator("encoding")
    @classmethod
    def _encoding(cls, value: str) -> str:
        return _known_encoding(value)


class Status(_Part):
    """The dump's words for a user who may sign in, and for one who may not; compared without regard to case and width."""

    on: tuple[str, ...] = Field(min_length=1)
    off: tuple[str, ...] = Field(min_length=1)


class Mapping(_Part):
    """One dump's form. `null`: texts that mean "nothing" beside the empty one · `dates`: formats of strptime, the first that fits wins."""

    encoding: str
    separator: str = Field(",", pattern=r'^[^"\r\n]$')
    quoted: bool = True
    null: tuple[str, ...] = ()
    dates: tuple[str, ...] = Field(("%Y-%m-%d",), min_length=1)
    columns: Columns
    password: Password
    status: Status

    @field_validator("encoding")
    @classmethod
    def _encoding(cls, value: str) -> str:
        return _known_encoding(value)

    @property
    def form(self) -> delimited.Form:
        """What the reader has to know."""
        return delimited.Form(self.encoding, self.separator, self.quoted)

    @cached_property
    def fields(self) -> dict[str, str | None]:
        """What we call a column → what the dump does, None for what its system does not have."""
        return self.columns.model_dump()

    @property
    def needed(self) -> list[str]:
        """Columns that the header must have."""
        return [name for name in self.fields.values() if name is not None]


@dataclass(frozen=True)
class Dump:
    """What an operator says about a dump; `secret` seals the old hashes."""

    system: str
    as_of: date
    mapping: Mapping
    secret: str
    now: datetime


def _known_encoding(value: str) -> str:
    if not delimited.encoding_known(value):
        raise ValueError(f"unknown encoding; known are {', '.join(delimited.ENCODINGS)}")
    return value


def load(system: str, file: Path | None = None) -> Mapping:
    """The mapping in `file`, else the one that is kept for `system`; BadInput names what is wrong in it."""
    chosen = file or FOLDER / f"{system}.toml"
    if not chosen.is_file():
        raise BadInput(f"no mapping is kept for {system}; give one by --mapping")
    try:
        return Mapping.model_validate(tomllib.loads(chosen.read_text("utf-8")))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BadInput(str(error), str(chosen)) from error
    except ValidationError as error:
        problem = error.errors(include_input=False, include_url=False)[0]
        raise BadInput(problem["msg"].removeprefix("Value error, "), str(chosen), field=".".join(map(str, problem["loc"]))) from error
