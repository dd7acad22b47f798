"""The business systems as data: read from TOML, written to their table."""

import tomllib
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from idp.db import session
from idp.entitlements.models import BusinessSystem
from idp.errors import BadInput

FILE = Path(__file__).with_name("systems.toml")


class Definition(BaseModel):
    """One system as the file describes it; the table's name is its code."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1, max_length=100)
    name_en: str = Field(min_length=1, max_length=100)
    short_name: str = Field(min_length=1, max_length=20)
    short_name_en: str = Field(min_length=1, max_length=40)
    icon: str = Field(pattern=r"^[a-z0-9_]{1,40}$")
    right_from: Literal["ekey", "approval"]
    sensitive: bool = False


def read(file: Path = FILE) -> dict[str, Definition]:
    """Code → definition, in the file's order; BadInput names the field that is wrong."""
    try:
        return TypeAdapter(dict[str, Definition]).validate_python(tomllib.loads(file.read_text("utf-8")))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BadInput(str(error), file.name) from error
    except ValidationError as error:
        problem = error.errors(include_input=False, include_url=False)[0]
        raise BadInput(problem["msg"], file.name, field=".".join(map(str, problem["loc"]))) from error


def load(file: Path = FILE) -> int:
    """Add or update the systems of `file` (inside a transaction); how many it holds. Start addresses and systems it does not name stay."""
    definitions = read(file)
    for position, (code, definition) in enumerate(definitions.items(), start=1):
        known = session.get(BusinessSystem, code)
        if known is None:
            session.add(known := BusinessSystem(code=code))
        known.position = position
        for field, value in definition.model_dump().items():
            setattr(known, field, value)
    session.flush()
    return len(definitions)
