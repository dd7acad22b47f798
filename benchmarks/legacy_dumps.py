"""Dumps of the eight old systems of any size, the same for the same figures: `python -m benchmarks.legacy_dumps FOLDER --rows 100000`.

Each in its system's own encoding, separator, header and kind of hash, with the two registers that they need; the mix is that of `sample_data`:
users of one e-key in several systems, users without key, disabled ones, unlike contacts, names that several claim. All of it is invented.
"""

import argparse
import base64
import contextlib
import csv
import hashlib
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import bcrypt
from passlib.hash import md5_crypt, oracle11, pbkdf2_sha256

from idp.enterprises import codes
from idp.legacy import mapping

SYSTEMS = ("export", "import", "auto_import", "mech_electrical", "dual_use", "agri_quota", "fertiliser_quota", "textile_origin")
KEYED = tuple(system for system in SYSTEMS if system != "mech_electrical")
BYTE_ORDER_MARK = ("mech_electrical",)
HASHES_A_SYSTEM = 32
KEYLESS = 0.11
DISABLED = 0.06
NO_CONTACT = 0.3
UNLIKE_CONTACT = 0.25
COMMON_NAME = 0.1
COMMON_NAMES = ("admin", "caiwu", "beijing", "trade", "wang", "li")
# how many systems a key's users stand in, and of how many keys out of ten
SYSTEMS_A_KEY = (1, 1, 1, 1, 2, 2, 2, 3, 4, 6)
FIRST_DAY = date(2014, 1, 1)
DAYS = 1600


@dataclass(frozen=True)
class User:
    """One row of a dump, before it is written in the form of its system."""

    system: str
    username: str
    enterprise: str
    key: str
    mobile: str
    email: str
    enabled: bool
    last_login: date


def password(number: int) -> str:
    """The password behind the hash of this number, one of HASHES_A_SYSTEM; every third is weak."""
    return f"pass{number}" if number % 3 == 0 else f"Old{number}Trade2018"


def _salted_md5(typed: str) -> str:
    return f"000015${hashlib.md5(b'000015' + typed.encode('gb18030'), usedforsecurity=False).hexdigest()}"


def _ssha(typed: str) -> str:
    salt = b"saltsalt"
    return "{SSHA}" + base64.b64encode(hashlib.sha1(typed.encode() + salt, usedforsecurity=False).digest() + salt).decode()


SALT = "abcdefgh"
HASHES: dict[str, Callable[[str], str]] = {
    "export": lambda typed: hashlib.md5(typed.encode("gb18030"), usedforsecurity=False).hexdigest().upper(),
    "import": lambda typed: base64.b64encode(hashlib.sha1(typed.encode(), usedforsecurity=False).digest()).decode(),
    "auto_import": _salted_md5,
    "mech_electrical": lambda typed: str(pbkdf2_sha256.using(rounds=5000, salt=b"saltsaltsaltsalt").hash(typed)),
    "dual_use": lambda typed: bcrypt.hashpw(typed.encode(), b"$2b$04$" + b"abcdefghijklmnopqrstuu").decode(),
    "agri_quota": lambda typed: str(oracle11.using(salt="0123456789ABCDEF0123").hash(typed)),
    "fertiliser_quota": _ssha,
    "textile_origin": lambda typed: str(md5_crypt.using(salt=SALT).hash(typed)),
}


class _Writers:
    """The files of one folder, open for writing; closed by close()."""

    def __init__(self, folder: Path, files: contextlib.ExitStack) -> None:
        (folder / "legacy").mkdir(parents=True, exist_ok=True)
        self._files = files
        self.enterprises = self._open(folder / "enterprises.csv", "utf-8", ",")
        self.ekeys = self._open(folder / "ekeys.csv", "utf-8", ",")
        self.enterprises.writerow(("code", "uscc", "name", "name_en", "region", "status"))
        self.ekeys.writerow(("serial", "enterprise_code", "holder", "licences", "issued", "expires", "status"))
        self._mappings = {system: mapping.load(system) for system in SYSTEMS}
        self._hashes = {system: [HASHES[system](password(number)) for number in range(HASHES_A_SYSTEM)] for system in SYSTEMS}
        self._dumps = {system: self._dump(folder / "legacy" / f"{system}.csv", system) for system in SYSTEMS}

    def _open(self, file: Path, encoding: str, separator: str) -> Any:
        return csv.writer(self._files.enter_context(file.open("w", encoding=encoding, newline="")), delimiter=separator, lineterminator="\r\n")

    def _dump(self, file: Path, system: str) -> Any:
        form = self._mappings[system]
        writer = self._open(file, "utf-8-sig" if system in BYTE_ORDER_MARK else form.encoding, form.separator)
        writer.writerow(form.columns.model_dump().values())
        return writer

    def write(self, user: User, number: int) -> None:
        cells = {
            "username": user.username,
            "password": self._hashes[user.system][number % HASHES_A_SYSTEM],
            "enterprise": user.enterprise,
            "key": user.key,
            "contact": f"联系人{number}",
            "mobile": user.mobile,
            "email": user.email,
            "status": "1" if user.enabled else "0",
            "last_login": user.last_login.isoformat(),
        }
        self._dumps[user.system].writerow([cells[field] for field in self._mappings[user.system].columns.model_dump()])


def write(folder: Path, rows: int, seed: int = 2018) -> None:
    """Write the two registers and dumps of `rows` rows in all."""
    with contextlib.ExitStack() as files:
        writers, chance, left, number = _Writers(folder, files), random.Random(seed), rows, 0  # noqa: S311  # invented people
        while left > 0:
            number += 1
            code = _enterprise(number, chance, writers)
            users = list(_users(number, code, chance, writers))[:left]
            for place, user in enumerate(users):
                writers.write(user, number + place)
            left -= len(users)


def _enterprise(number: int, chance: random.Random, writers: _Writers) -> str:
    """One more enterprise; what its users call it: the code, or the USCC where it has no code."""
    province = chance.choice((11, 12, 31, 32, 33, 35, 44))
    body = f"{number:08d}"
    organisation = body + codes.organisation_check_digit(body)
    uscc = f"91{province}0000{organisation}"
    uscc += codes.uscc_check_digit(uscc)
    code = "" if chance.random() < 0.03 else f"{province}00{organisation}"
    status = "cancelled" if chance.random() < 0.01 else "active"
    writers.enterprises.writerow((code, uscc, f"示例第{number}进出口有限公司", f"Sample Trading Co. {number}", f"{province}0000", status))
    return code or uscc


def _users(number: int, code: str, chance: random.Random, writers: _Writers) -> Iterator[User]:
    """The users of an enterprise: those of its one, two or three keys, and those without."""
    for place in range(chance.choice((1, 1, 1, 1, 1, 1, 1, 2, 2, 3))):
        serial = f"EK{number:010X}{place:02X}"
        systems = sorted(chance.sample(KEYED, chance.choice(SYSTEMS_A_KEY)))
        status = "revoked" if chance.random() < 0.02 else "active"
        licences = " ".join(systems)
        writers.ekeys.writerow(
            (serial, code, f"持有人{number}", licences, "2017-01-07", "2018-01-01" if chance.random() < 0.03 else "2037-01-02", status)
        )
        name, contact = _name(number, place, chance), _contact(chance)
        for system in systems:
            mobile, email = _contact(chance) if chance.random() < UNLIKE_CONTACT else contact
            yield _user(system, name, code, serial, mobile, email, chance)
    if chance.random() < KEYLESS * 2:
        yield _user("mech_electrical", f"jd{number}", code, "", *_contact(chance), chance)


def _user(system: str, name: str, code: str, serial: str, mobile: str, email: str, chance: random.Random) -> User:
    return User(system, name, code, serial, mobile, email, chance.random() >= DISABLED, FIRST_DAY + timedelta(chance.randrange(DAYS)))


def _name(number: int, place: int, chance: random.Random) -> str:
    """A name of its own, or one that many enterprises use; the second key's user may be called like the first one's."""
    return chance.choice(COMMON_NAMES) if chance.random() < COMMON_NAME else f"user{number}_{place}"


def _contact(chance: random.Random) -> tuple[str, str]:
    mobile = "" if chance.random() < NO_CONTACT else f"138{chance.randrange(10**8):08d}"
    return mobile, "" if chance.random() < NO_CONTACT else f"user{chance.randrange(10**7)}@example.cn"


def main() -> None:
    """Write a folder of dumps."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("folder", type=Path)
    options.add_argument("--rows", type=int, default=100_000)
    options.add_argument("--seed", type=int, default=2018)
    given = options.parse_args()
    write(given.folder, given.rows, given.seed)


if __name__ == "__main__":
    main()
