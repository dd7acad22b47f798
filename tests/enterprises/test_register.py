from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import select

from idp.audit.models import AuditEvent
from idp.db import session
from idp.enterprises.models import Enterprise
from tests.command_line import Said, idp

HEADER = "code,uscc,name,name_en,region,status"
USCC = "91440000987654321A"
FIRST = f"0441987654321,{USCC},广东示例（集团）公司,Sample,440000,active"


def load(app: Flask, tmp_path: Path, *rows: str, strict: bool = False) -> Said:
    file = tmp_path / "register.csv"
    file.write_bytes("".join(f"{line}\r\n" for line in (HEADER, *rows)).encode())
    return idp(app, "enterprise", "import", *(["--strict"] if strict else []), file)


def known() -> dict[str, Enterprise]:
    session.rollback()
    session.expunge_all()
    return {enterprise.prefix: enterprise for enterprise in session.scalars(select(Enterprise))}


@pytest.mark.store
def test_the_register_adds_updates_and_again_changes_nothing(context: Flask, tmp_path: Path) -> None:
    assert load(context, tmp_path, FIRST).out == "1 added · 0 changed · 0 unchanged · 0 rejected\n"
    assert load(context, tmp_path, FIRST).out == "0 added · 0 changed · 1 unchanged · 0 rejected\n"
    assert len(session.scalars(select(AuditEvent)).all()) == 1
    assert load(context, tmp_path, FIRST.replace("active", "cancelled")).out == "0 added · 1 changed · 0 unchanged · 0 rejected\n"
    (found,) = known().values()
    assert (found.code, found.uscc, found.name, found.status) == ("0441987654321", USCC, "广东示例（集团）公司", "cancelled")


@pytest.mark.requirement("R70")
def test_a_firm_without_code_is_known_by_its_uscc_and_may_get_a_code_later(context: Flask, tmp_path: Path) -> None:
    young = FIRST.replace("0441987654321", "")
    assert load(context, tmp_path, young).code == 0
    assert set(known()) == {USCC}
    assert "1 changed" in load(context, tmp_path, FIRST).out
    assert set(known()) == {"0441987654321"}
    assert "1 unchanged" in load(context, tmp_path, young).out
    assert set(known()) == {"0441987654321"}


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (",,名,,,active", "code: neither an enterprise code nor a USCC"),
        ("12345,,名,,,active", "code: not an enterprise code"),
        ("0441987654321,91440000987654321B,名,,,active", "uscc: not a USCC"),
        ("0441987654321,,,,,active", "name: missing"),
        ("0441987654321,,名,,44-00,active", "region: not a region code"),
        ("0441987654321,,名,,,open", "status: not one of active, cancelled"),
        ("0441987654321,,名,,,active,more", "row: 7 fields instead of 6"),
        (f"0441987654321,,{'名' * 201},,,active", "name: missing, or longer"),
        ("0441987654321,,名\x1b[2J,,,active", "name: holds control"),
        ("0441987654321,,名,a\u202eb,,active", "name_en: holds control"),
        ("\x1b]0;x\x07,,名,,,active", "code: not an enterprise code"),
    ],
)
def test_a_bad_row_is_named_and_left_out(context: Flask, tmp_path: Path, row: str, said: str) -> None:
    result = load(context, tmp_path, "0100123456785,,好,,,active", row, "310055667788X,,好,,,active")
    assert result.code == 3
    assert f"register.csv:3: {said}" in result.err
    assert set(known()) == {"0100123456785", "310055667788X"}
    assert load(context, tmp_path, row, strict=True).code == 1


def test_a_code_twice_names_both_lines_and_codes_are_never_exchanged(context: Flask, tmp_path: Path) -> None:
    twice = load(context, tmp_path, FIRST, FIRST)
    assert "register.csv:3: code: 0441987654321 again; first in line 2" in twice.err
    assert "uscc: the enterprise with this code has the USCC" in load(context, tmp_path, "0441987654321,91110000123456785C,名,,,active").err
    assert "code: the enterprise with this USCC has the code" in load(context, tmp_path, FIRST.replace("0441987654321", "0441987654322")).err
    load(context, tmp_path, "0100123456785,91110000123456785C,名,,,active")
    assert "belong to two enterprises" in load(context, tmp_path, "0441987654321,91110000123456785C,名,,,active").err


@pytest.mark.requirement("D4")
@pytest.mark.requirement("D13")
def test_odd_check_digits_and_mismatches_only_warn(context: Flask, tmp_path: Path) -> None:
    said = load(context, tmp_path, "0441987654321,91110000123456785C,名,,,active")
    assert said.code == 0
    assert [line.split(": ", 1)[1] for line in said.lines] == [
        "code: warning: the check digit of the organisation code in it is wrong",
        "uscc: warning: does not contain the last nine characters of the code",
    ]
