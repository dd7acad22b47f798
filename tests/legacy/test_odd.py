"""`sample_data/odd`: dumps in which every row is odd. Each row must get the verdict that verdicts.csv states, with its line."""

import csv
import re
from datetime import date

import pytest
from flask import Flask
from sqlalchemy import select

from idp.accounts import directory
from idp.accounts.models import Account, FormerPassword
from idp.db import session
from idp.entitlements import rules
from idp.entitlements.rules import Right
from idp.legacy.models import LegacyRow
from tests import people
from tests.command_line import OPERATED, Said, idp
from tests.conftest import DATA

ODD = DATA / "odd"
TODAY = date(2026, 3, 2)
CODE = "010012345678A"


@pytest.fixture
def said(office: Flask) -> dict[str, Said]:
    """Everything of the folder imported and merged: file → what the command said."""
    found = {
        "enterprises.csv": idp(office, "enterprise", "import", ODD / "enterprises.csv"),
        "ekeys.csv": idp(office, "ekey", "import", ODD / "ekeys.csv", *OPERATED),
    }
    for system in ("export", "dual_use", "mech_electrical"):
        found[f"{system}.csv"] = idp(office, "legacy", "import", "--system", system, "--as-of", "2018-07-30", *OPERATED, ODD / f"{system}.csv")
    assert idp(office, "legacy", "merge", "--apply", "--unprobed", *OPERATED).code == 0
    return found


def rejected(said: Said) -> dict[int, str]:
    """Line → column and reason."""
    found = (re.match(r".*\.csv:(\d+): (.*)", line) for line in said.lines if "warning" not in line)
    return {int(match[1]): match[2] for match in found if match}


@pytest.mark.store
@pytest.mark.requirement("D4")
@pytest.mark.requirement("D19")
def test_every_row_gets_its_verdict(said: dict[str, Said]) -> None:
    with (ODD / "verdicts.csv").open(encoding="utf-8", newline="") as file:
        verdicts = list(csv.DictReader(file))
    assert len(verdicts) == 30
    for name, result in said.items():
        wanted = {int(verdict["line"]) for verdict in verdicts if verdict["file"] == name and verdict["verdict"] == "rejected"}
        assert set(rejected(result)) == wanted, name
        assert result.code == (3 if wanted else 0)
    taken = {
        f"{system}.csv": len(list(session.scalars(select(LegacyRow).where(LegacyRow.system == system))))
        for system in ("export", "dual_use", "mech_electrical")
    }
    assert taken == {name: sum(v["file"] == name and v["verdict"] == "accepted" for v in verdicts) for name in taken}


def test_reasons_name_the_column_and_both_lines_of_a_pair(said: dict[str, Said]) -> None:
    assert rejected(said["export.csv"]) == {
        7: "企业代码: 999900000000X is not in the register of enterprises",
        8: "企业代码: not an enterprise code, nor a USCC",
        9: f"电子钥匙序列号: EKODD3 belongs to another enterprise than {CODE}",
        10: "电子钥匙序列号: EK-UNKNOWN is not in the key office's list",
        13: "密码: not a hash of md5-hex-upper",
        17: "用户名: no user name",
    }
    assert rejected(said["ekeys.csv"]) == {7: "serial: EKODD5 again; first in line 6"}
    assert rejected(said["mech_electrical.csv"]) == {4: "user: the same user name again; first in line 3"}
    assert rejected(said["dual_use.csv"]) == {5: "password_hash: not a hash of bcrypt"}


def account(name: str) -> Account:
    (found,) = directory.candidates(name)
    return found


def row(system: str, username: str) -> LegacyRow:
    return session.scalars(select(LegacyRow).where(LegacyRow.system == system, LegacyRow.username == username)).one()


def test_values_are_stored_normalised(said: dict[str, Said]) -> None:
    zheng, null, rare, wide = (row("export", name) for name in ("zheng", "null", "rare", "wide"))
    assert (zheng.enabled, zheng.last_login, zheng.mobile) == (True, date(2018, 7, 3), "+8613800000011")
    assert (null.contact, null.mobile, null.email, null.last_login) == ("", None, None, None)
    assert (rare.contact, rare.email) == ("换 行", "rare@example.cn")
    assert (wide.email, wide.last_login, wide.key_serial) == ("WIDE@example.cn", date(2018, 7, 3), "EKODD1")
    assert wide.account_id == zheng.account_id == account(f"{CODE}-ＷＩＤＥ".lower()).id


@pytest.mark.requirement("D15")
def test_a_disabled_row_leaves_its_neighbours_alone(said: dict[str, Said]) -> None:
    shared = account(f"{CODE}-zheng")
    assert not row("export", "ting").enabled
    assert row("export", "ting").account_id == shared.id
    assert shared.status == "active"
    assert "export" in rules.open_systems(shared.id, TODAY)
    ting = session.scalars(select(FormerPassword).where(FormerPassword.id == row("export", "ting").former_password_id)).one()
    assert not ting.enabled


@pytest.mark.requirement("D15")
def test_keys_expired_by_date_or_revoked_lock_their_modules(said: dict[str, Said]) -> None:
    assert rules.rights(account("odd_dual").id, TODAY) == [Right("export", "key_expired"), Right("dual_use", "key_expired")]
    twice = directory.candidates(f"{CODE}-ADMIN")
    assert {key.serial for owner in twice for key in owner.keys} == {"EKODD1", "EKODD4"}
    on_revoked = next(owner for owner in twice if owner.keys[0].serial == "EKODD4")
    assert rules.rights(on_revoked.id, TODAY) == [Right("export", "key_revoked")]


def test_rows_without_key_password_or_right_are_accounts_that_open_nothing(said: dict[str, Said]) -> None:
    keyless, on_quota_key = account(f"{CODE}-keyless"), account(f"{CODE}-norright")
    assert keyless.keys == []
    assert rules.rights(keyless.id, TODAY) == []
    assert {right.system for right in rules.rights(on_quota_key.id, TODAY)} == {"agri_quota"}
    assert row("export", "nohash").former_password_id is None
    assert row("export", "nohash").account_id == account(f"{CODE}-zheng").id


@pytest.mark.requirement("D15")
def test_the_cancelled_enterprises_user_is_kept_and_can_be_told_so(said: dict[str, Said]) -> None:
    gone = account("320076543210X-gone")
    assert (gone.status, people.firm(gone).status) == ("active", "cancelled")
    assert session.scalar(select(FormerPassword.id).where(FormerPassword.account_id == gone.id)) is not None


@pytest.mark.requirement("D9")
def test_a_bare_name_of_two_systems_means_both_accounts(said: dict[str, Said]) -> None:
    both = directory.candidates("odd_mech")
    assert len(both) == 2
    assert {name.system for owner in both for name in owner.names if name.name == "odd_mech"} == {"dual_use", "mech_electrical"}


@pytest.mark.requirement("R6")
def test_a_mech_electrical_row_with_a_key_joins_the_keys_account(said: dict[str, Said]) -> None:
    shared = account("odd_keyed")
    assert shared == account(f"{CODE}-zheng")
    assert "mech_electrical" in rules.open_systems(shared.id, TODAY)
    # R62: the dual-use users of this key are its survivors by rank; the latest of the two log-ins is equal, the earlier row leads
    assert shared.canonical_name == "odd_long"
    assert shared.user_class == 1


@pytest.mark.requirement("R33")
def test_the_row_with_the_over_long_password_gives_no_right_that_its_key_does_not_list(said: dict[str, Said]) -> None:
    assert "dual_use" not in {right.system for right in rules.rights(account("odd_long").id, TODAY)}
