"""The e-key drivers that people can download, as the operator lists them in `drivers.toml`: read strictly, compared with the files (R19, D12)."""

import re
import tomllib
from dataclasses import dataclass, field
from functools import cache
from hashlib import file_digest
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from idp.ekey_settings import AGENT_VERSION
from idp.errors import ConfigurationError

System = Literal["windows", "macos", "kylin", "uos", "ubuntu", "debian", "linux"]
# what an address may end with, and what it is then served as
MEDIA_TYPES = {
    ".exe": "application/vnd.microsoft.portable-executable",
    ".msi": "application/x-msi",
    ".deb": "application/vnd.debian.binary-package",
    ".rpm": "application/x-rpm",
    ".tar.gz": "application/gzip",
    ".zip": "application/zip",
    ".pkg": "application/vnd.apple.installer+xml",
    ".dmg": "application/x-apple-diskimage",
}
ENDING = re.compile("(" + "|".join(map(re.escape, MEDIA_TYPES)) + ")$")
# most specific first; a browser on Linux seldom tells the distribution
USER_AGENTS: tuple[tuple[str, tuple[System, ...]], ...] = (
    (r"Android|iPhone|iPad", ()),
    (r"Windows NT", ("windows",)),
    (r"Macintosh|Mac OS X", ("macos",)),
    (r"Kylin", ("kylin",)),
    (r"\bUOS\b|UnionTech", ("uos",)),
    (r"Ubuntu", ("ubuntu",)),
    (r"Debian", ("debian",)),
    (r"Linux", ("kylin", "uos", "ubuntu", "debian", "linux")),
)
LONGEST_USER_AGENT = 500  # characters that are looked at
Words = Annotated[str, Field(min_length=1, max_length=100)]


class Title(BaseModel):
    """The system's name, for people."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    zh: Words
    en: Words


class Driver(BaseModel):
    """One package. `file` stands in the folder, `url` elsewhere; `size` in bytes; `signer`: who signed the package, "" = nobody."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    system: System
    title: Title
    file: str = Field("", pattern=r"^([A-Za-z0-9][A-Za-z0-9._+~-]{0,119})?$")
    url: str = Field("", pattern=r"^(https://[A-Za-z0-9.-]+(:[0-9]{1,5})?/[A-Za-z0-9./_~%+-]{1,400})?$")
    size: int = Field(ge=1, le=2 * 1024**3)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    signer: str = Field("", max_length=200)
    version: str = Field(pattern=AGENT_VERSION)

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if bool(self.file) == bool(self.url):
            raise ValueError("name either file or url")
        if self.file and not ENDING.search(self.file):
            raise ValueError(f"file: must end with one of {' '.join(MEDIA_TYPES)}")
        return self

    @property
    def address(self) -> str:
        """Where a browser gets it."""
        return self.url or f"/drivers/{self.file}"

    @property
    def check_command(self) -> str:
        """What shows the sum of the downloaded file on that system."""
        name = self.address.rsplit("/", 1)[1]
        return {"windows": f"certutil -hashfile {name} SHA256", "macos": f"shasum -a 256 {name}"}.get(self.system, f"sha256sum {name}")

    @property
    def media_type(self) -> str:
        """Of a file, by its name."""
        ending = ENDING.search(self.file)
        return MEDIA_TYPES[ending[1]] if ending else "application/octet-stream"


class _List(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    driver: tuple[Driver, ...] = Field(min_length=1, max_length=50)


@dataclass(frozen=True)
class Drivers:
    """All drivers in the file's order; `folder` holds those that are served here."""

    all: tuple[Driver, ...] = ()
    folder: Path = field(default_factory=Path)

    def path(self, name: str) -> tuple[Path, Driver] | None:
        """A listed file; None for any other name, and for a file that is gone or was changed since the start."""
        found = next((driver for driver in self.all if driver.file and driver.file == name), None)
        path = self.folder / name
        return (path, found) if found and path.is_file() and path.stat().st_size == found.size else None

    def first_for(self, user_agent: str) -> tuple[tuple[Driver, ...], tuple[Driver, ...]]:
        """(for this visitor's computer, for others), in the file's order; (all, none) where the browser does not tell."""
        likely = systems_of(user_agent)
        mine = tuple(driver for driver in self.all if driver.system in likely)
        return (mine, tuple(driver for driver in self.all if driver not in mine)) if mine else (self.all, ())


def systems_of(user_agent: str) -> tuple[System, ...]:
    """The systems that a browser may run on, by its User-Agent; none if it does not tell or nothing here fits."""
    return next((systems for pattern, systems in USER_AGENTS if re.search(pattern, user_agent[:LONGEST_USER_AGENT])), ())


@cache
def load(file: Path | None, folder: Path | None) -> Drivers:
    """The list in `file`, whose files stand in `folder` (None: beside it); ConfigurationError names file, entry and field. Read once a process."""
    if file is None:
        return Drivers()
    try:
        found = _List.model_validate(tomllib.loads(file.read_text("utf-8")))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigurationError(f"IDP_EKEY_DRIVERS_FILE: {file}: {error}") from error
    except ValidationError as error:
        raise ConfigurationError(f"IDP_EKEY_DRIVERS_FILE: {file}: {_place(error.errors(include_input=False, include_url=False)[0])}") from error
    drivers = Drivers(found.driver, (folder or file.parent).resolve())
    for number, driver in enumerate(drivers.all, start=1):
        if driver.file and (wrong := _differs(drivers.folder, driver)):
            raise ConfigurationError(f"IDP_EKEY_DRIVERS_FILE: {file}: driver {number}: {wrong}")
    return drivers


def _place(problem: Any) -> str:
    """Entry, field and reason of a fault, in the operator's counting."""
    _, *inside = problem["loc"]
    number = f"driver {inside[0] + 1}: " if inside and isinstance(inside[0], int) else ""
    name = ".".join(map(str, inside[1:] if number else problem["loc"]))
    return f"{number}{name}{': ' if name else ''}{problem['msg'].removeprefix('Value error, ')}"


def _differs(folder: Path, driver: Driver) -> str | None:
    """What is wrong with the file itself, or None."""
    path = folder / driver.file
    # a link must not lead out of the folder
    if not path.is_file() or path.resolve().parent != folder:
        return f"file: {path} is no file in {folder}"
    if path.stat().st_size != driver.size:
        return f"size: {path} has {path.stat().st_size} bytes"
    with path.open("rb") as opened:
        digest = file_digest(opened, "sha256").hexdigest()
    return None if digest == driver.sha256 else f"sha256: that of {path} is {digest}"
