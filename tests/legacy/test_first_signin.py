"""What the old passwords open at the real sign-in, page by page: the sample dumps, and the dumps in which every row is odd."""

import csv
import hashlib
import re
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import bcrypt
import pytest
from flask import Flask
from passlib.hash import pbkdf2_sha256
from sqlalchemy import select

from idp import opaque_tokens
from idp.accounts.credentials import PURPOSE
from idp.accounts.models import FormerPassword
from idp.db import session, transaction
from idp.enterprises.models import Enterprise
from idp.entitlements import systems
from idp.legacy.models import LegacyRow
from idp.settings import Settings
from tests import people
from tests.command_line import OPERATED, idp
from tests.conftest import DATA, SECRET
from tests.fakes import FakeClock
from tests.person import Person

CODE = "010012345678A"
REFUSED = "用户名或密码不正确"
DISABLED = "该账号已停用"
CANCELLED = "该企业已注销"


def answer(app: Flask, clock: FakeClock, name: str, password: str) -> str:
    """The page that a typed password leads to, from a browser of its own: the step's name, or what is said. A minute passes."""
    clock.advance(minutes=1)
    person = Person(app)
    person.type_password(name, password)
    said = next((words for words in (REFUSED, DISABLED, CANCELLED) if words in person.text), "")
    return said or person.at.rpartition("/")[2]


# Of 212 passwords 202 get in, 22 of them with one that may stay. Of the 12 disabled rows four have the password of another row of their key.
PAGES: dict[str, dict[str, int]] = {
    "export": {"change": 26, REFUSED: 1},
    "import": {"change": 24},
    "auto_import": {"change": 22, DISABLED: 1, CANCELLED: 1},
    "mech_electrical": {"change": 10, "contacts": 14},
    "dual_use": {"change": 26, "contacts": 8, REFUSED: 1},
    "agri_quota": {"change": 29, DISABLED: 1, REFUSED: 1},
    "fertiliser_quota": {"change": 20, DISABLED: 1, CANCELLED: 1, REFUSED: 2},
    "textile_origin": {"change": 23},
}


def test_the_stated_figures_add_up() -> None:
    assert sum(map(Counter, PAGES.values()), Counter()) == {"change": 180, "contacts": 22, DISABLED: 3, CANCELLED: 2, REFUSED: 5}


@pytest.mark.slow
@pytest.mark.requirement("R11")
@pytest.mark.requirement("R16")
@pytest.mark.requirement("R23")
@pytest.mark.requirement("R56")
@pytest.mark.requirement("D15")
@pytest.mark.parametrize("system", PAGES)
def test_every_old_password_of_the_samples_signs_in_as_its_row_says(app: Flask, clock: FakeClock, system: str) -> None:
    with app.app_context():
        prepare(app, ("legacy", "import-all", DATA, "--as-of", "2018-07-30", *OPERATED))
        rows = select(Enterprise.code, LegacyRow.username).join(LegacyRow).where(LegacyRow.system == system, ~LegacyRow.enabled)
        disabled = {(code, name) for code, name in session.execute(rows)}
    with (DATA / "passwords.csv").open(encoding="utf-8", newline="") as file:
        known = [row for row in csv.DictReader(file) if row["system"] == system]
    pages: Counter[str] = Counter()
    for row in known:
        # typed as the manual says for the system (R8, R9, R38)
        bare = system in ("mech_electrical", "dual_use")
        page = answer(app, clock, row["username"] if bare else f"{row['enterprise_code']}-{row['username']}", row["password"])
        pages[page] += 1
        assert page not in (REFUSED, DISABLED) or (row["enterprise_code"], row["username"]) in disabled, row
    assert pages == PAGES[system]


def prepare(app: Flask, *commands: tuple[object, ...]) -> None:
    """Import by these commands, then merge. Leave the application context before anybody signs in: all requests would share its globals."""
    with transaction():
        systems.load()
    for command in commands:
        assert idp(app, *command).code in (0, 3)
    assert idp(app, "legacy", "merge", "--apply", "--unprobed", *OPERATED).code == 0


# --- odd ------------------------------------------------------------------------------------------------------------------------------------


LONG = "长" * 27  # 81 bytes
PASSWORDS = {"odd_long": LONG}


def password_of(name: str) -> str:
    """A password that R27 would allow, of its own for each row."""
    return PASSWORDS.get(name) or f"Kn0wn{hashlib.md5(name.encode(), usedforsecurity=False).hexdigest()[:10]}"


def _hash(system: str, name: str) -> str:
    typed = password_of(name).encode("gb18030" if system == "export" else "utf-8")
    if system == "export":
        return hashlib.md5(typed, usedforsecurity=False).hexdigest().upper()
    if system == "dual_use":
        return bcrypt.hashpw(typed[:72], bcrypt.gensalt(4)).decode()
    return str(pbkdf2_sha256.using(rounds=5000).hash(typed))


HASHES = {"export": r"[0-9A-F]{32}", "dual_use": r"\$2b\$06\$[./0-9A-Za-z]{53}", "mech_electrical": r"\$pbkdf2-sha256\$[^,]+"}


def with_known_passwords(folder: Path) -> Path:
    """A copy of the odd dumps in which every hash is that of a password this test knows; nothing else differs. The second of two gets `…_2`."""
    shutil.copytree(DATA / "odd", folder)
    for system, form in HASHES.items():
        file, encoding, seen = folder / f"{system}.csv", "gb18030" if system == "export" else "utf-8", Counter[str]()

        def known(found: re.Match[str], system: str = system, seen: Counter[str] = seen) -> str:
            seen[found[1]] += 1
            return f"{found[1]},{_hash(system, found[1] + ('_2' if seen[found[1]] > 1 else ''))},"

        text = file.read_bytes().decode(encoding)
        file.write_bytes(re.sub(rf"(?m)^([^,\n]*),{form},", known, text).encode(encoding))
    return folder


# what a row's own password leads to; names of the export dump are typed with the code before them
ODD_EXPORT = {
    **dict.fromkeys(("zheng", "null", "rare", "keyless", "Admin", "admin", "ｗｉｄｅ", "norright"), "change"),
    **dict.fromkeys(("ting", "short", "alien", "nokey", "badhash", "nohash"), REFUSED),
}
# as it is typed, whose password
ODD_OTHERS = [
    ("odd_dual", "odd_dual", "contacts"),
    ("odd_long", "odd_long", "change"),
    ("odd_cut", "odd_cut", REFUSED),
    ("odd_twice", "odd_twice", "contacts"),
    ("odd_twice", "odd_twice_2", REFUSED),
    ("odd_keyed", "odd_keyed", "change"),
    ("320076543210X-gone", "gone", CANCELLED),
    ("999900000000X-ghost", "ghost", REFUSED),
]


@pytest.mark.slow
@pytest.mark.requirement("D9")
@pytest.mark.requirement("D15")
@pytest.mark.requirement("D18")
def test_every_odd_row_opens_what_its_verdict_says(app: Flask, clock: FakeClock, tmp_path: Path) -> None:
    odd = with_known_passwords(tmp_path / "odd")
    with app.app_context():
        registers = [("enterprise", "import", odd / "enterprises.csv"), ("ekey", "import", odd / "ekeys.csv", *OPERATED)]
        dumps = [("legacy", "import", "--system", system, "--as-of", "2018-07-30", *OPERATED, odd / f"{system}.csv") for system in HASHES]
        prepare(app, *registers, *dumps)
    for name, page in ODD_EXPORT.items():
        assert (name, answer(app, clock, f"{CODE}-{name}", password_of(name))) == (name, page)
    for name, whose, page in ODD_OTHERS:
        assert (name, answer(app, clock, name, password_of(whose))) == (name, page)
    # a bare name of two systems: the password decides; the old system's 72 bytes are enough for the long one, and not one less
    assert answer(app, clock, "odd_mech", password_of("odd_mech")) == "choose"
    assert answer(app, clock, "odd_long", LONG + "!") == "change"
    assert answer(app, clock, "odd_long", LONG[:23]) == REFUSED


# --- a strong old password of which the old system compared the beginning only ----------------------------------------------------------------


@pytest.mark.requirement("D18")
@pytest.mark.requirement("R56")
@pytest.mark.parametrize(("more", "page"), [("", "contacts"), ("x", "change"), ("xY1" * 15, "change")])
def test_an_over_long_password_is_changed_however_strong_it_is(app: Flask, settings: Settings, clock: FakeClock, more: str, page: str) -> None:
    """With a ceiling of 128 characters nothing but the cut makes a change due; class 2, so that a strong password may stay."""
    app.extensions["idp"] = replace(app.extensions["idp"], settings=settings.model_copy(update={"password_max_characters": 128}))
    first_72 = "Guangdong7Trade" * 4 + "MoreThanOnce"
    assert len(first_72) == 72
    with app.app_context(), transaction():
        owner = people.account(people.enterprise(), ["liangyong"], user_class=2)
        stored = bcrypt.hashpw(first_72.encode(), bcrypt.gensalt(4)).decode()
        sealed = opaque_tokens.seal(SECRET, PURPOSE, stored)
        session.add(FormerPassword(account_id=owner.id, system="dual_use", scheme="bcrypt", sealed_hash=sealed))
    assert answer(app, clock, "liangyong", first_72[:-1] + "!" + more) == REFUSED
    assert answer(app, clock, "liangyong", first_72 + more) == page
