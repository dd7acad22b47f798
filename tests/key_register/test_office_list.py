from datetime import date
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import select

from idp.db import session, transaction
from idp.enterprises.models import Enterprise
from idp.key_register.models import EKey, EKeyLicence
from tests.command_line import OPERATED, Said, idp

HEADER = "serial,enterprise_code,holder,licences,issued,expires,status"
FIRST = "EK1,0441987654321,某人,export import,2017-01-01,2037-01-01,active"


@pytest.fixture
def ready(context: Flask) -> Flask:
    with transaction() as s:
        s.add_all([Enterprise(code="0441987654321", name="甲"), Enterprise(code="0100123456785", uscc="91110000123456785C", name="乙")])
    return context


def load(app: Flask, tmp_path: Path, *rows: str, header: str = HEADER) -> Said:
    file = tmp_path / "keys.csv"
    file.write_bytes("".join(f"{line}\r\n" for line in (header, *rows)).encode())
    return idp(app, "ekey", "import", file, *OPERATED)


def keys() -> dict[str, EKey]:
    session.rollback()
    session.expunge_all()
    return {key.serial: key for key in session.scalars(select(EKey))}


@pytest.mark.store
@pytest.mark.requirement("R66")
def test_the_list_adds_updates_and_takes_licences_away(ready: Flask, tmp_path: Path) -> None:
    assert load(ready, tmp_path, FIRST).out == "1 added · 0 changed · 0 unchanged · 0 rejected\n"
    assert load(ready, tmp_path, FIRST).out == "0 added · 0 changed · 1 unchanged · 0 rejected\n"
    assert "1 changed" in load(ready, tmp_path, FIRST.replace("export import", "import dual_use").replace("active", "revoked")).out
    (key,) = keys().values()
    assert ({licence.system for licence in key.licences}, key.status, key.expires) == ({"import", "dual_use"}, "revoked", date(2037, 1, 1))
    assert len(session.scalars(select(EKeyLicence)).all()) == 2


def test_a_uscc_names_the_enterprise_too(ready: Flask, tmp_path: Path) -> None:
    assert load(ready, tmp_path, FIRST.replace("0441987654321", "91110000123456785C")).code == 0
    assert keys()["EK1"].enterprise.code == "0100123456785"


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (FIRST.replace("EK1", ""), "serial: not a serial"),
        (FIRST.replace("0441987654321", "x"), "enterprise_code: neither"),
        (FIRST.replace("0441987654321", "9999000000000"), "enterprise_code: 9999000000000 is not in the register"),
        (FIRST.replace("export import", "export,import"), "row: 8 fields"),
        (FIRST.replace("export import", "exp*rt"), "licences: not codes"),
        (FIRST.replace("2017-01-01", "01.01.2017"), "expires: issued and expires must be dates"),
        (FIRST.replace("2037", "2016"), "expires: before the day of issue"),
        (FIRST.replace("active", "lost"), "status: not one of"),
        (FIRST.replace("某人", "某" * 101), "holder: longer"),
        (FIRST.replace("某人", "某\x1b[2J人"), "holder: holds control"),
        (FIRST.replace("EK1", "EK1\x1b[2J"), "serial: not a serial"),
    ],
)
def test_a_bad_row_is_named_and_left_out(ready: Flask, tmp_path: Path, row: str, said: str) -> None:
    result = load(ready, tmp_path, FIRST.replace("EK1", "EK8"), row, FIRST.replace("EK1", "EK9"))
    assert result.code == 3
    assert f"keys.csv:3: {said}" in result.err
    assert set(keys()) == {"EK8", "EK9"}


WIDE = f"{HEADER},user_name,activation_code"


@pytest.mark.requirement("R88")
def test_the_list_may_carry_names_and_activation_codes_and_what_it_says_nothing_of_stays(ready: Flask, tmp_path: Path) -> None:
    assert "1 added" in load(ready, tmp_path, f"{FIRST},0441987654321-new,Code-123", header=WIDE).out
    assert "1 unchanged" in load(ready, tmp_path, f"{FIRST},0441987654321-new,Code-123", header=WIDE).out
    kept = keys()["EK1"].activation_digest
    assert kept is not None
    assert "Code-123" not in kept
    assert "1 unchanged" in load(ready, tmp_path, FIRST).out
    assert "1 unchanged" in load(ready, tmp_path, f"{FIRST},,", header=WIDE).out
    assert (keys()["EK1"].user_name, keys()["EK1"].activation_digest) == ("0441987654321-new", kept)
    assert "1 changed" in load(ready, tmp_path, f"{FIRST},,Code-124", header=WIDE).out
    assert keys()["EK1"].activation_digest != kept


@pytest.mark.requirement("R88")
@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("a b,Code-123", "user_name: not a user name"),
        ("-a,Code-123", "user_name: not a user name"),
        ("a\x1b[2J,Code-123", "user_name: not a user name"),
        ("名" * 161 + ",", "user_name: not a user name"),
        (",12345", "activation_code: not 6 to 40"),
        (",Code 123", "activation_code: not 6 to 40"),
        ("," + "x" * 41, "activation_code: not 6 to 40"),
        (",码码码码码码", "activation_code: not 6 to 40"),
        ("a,Code-123,more", "row: 10 fields"),
    ],
)
def test_bad_names_and_codes_are_named_by_line_and_column(ready: Flask, tmp_path: Path, more: str, said: str) -> None:
    result = load(ready, tmp_path, f"{FIRST.replace('EK1', 'EK8')},,", f"{FIRST},{more}", header=WIDE)
    assert result.code == 3
    assert f"keys.csv:3: {said}" in result.err
    assert set(keys()) == {"EK8"}


def test_a_serial_twice_names_both_lines_and_a_key_never_changes_its_enterprise(ready: Flask, tmp_path: Path) -> None:
    assert "keys.csv:3: serial: EK1 again; first in line 2" in load(ready, tmp_path, FIRST, FIRST.replace("EK1", "ek1 ")).err
    assert "is listed for 0441987654321 already" in load(ready, tmp_path, FIRST.replace("0441987654321", "0100123456785")).err
    assert keys()["EK1"].enterprise.code == "0441987654321"
