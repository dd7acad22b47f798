"""The eight sample dumps, as `make demo` takes them in. The figures were counted from the files by other means than the product's."""

import json
from collections import Counter
from datetime import date

import pytest
from flask import Flask
from sqlalchemy import func, select

from idp import opaque_tokens
from idp.accounts import directory, password_hashes
from idp.accounts.credentials import PURPOSE
from idp.accounts.imported_contacts import former_contacts
from idp.accounts.models import Account, AccountKey, AccountName, FormerPassword
from idp.db import session
from idp.entitlements import rules
from idp.legacy.models import LegacyRow, LegacyRun
from tests import people
from tests.command_line import OPERATED, idp
from tests.conftest import DATA, SECRET
from tests.legacy.dumps import snapshot

pytestmark = pytest.mark.slow
TODAY = date(2026, 3, 2)
ROWS = {
    "export": 27, "import": 24, "auto_import": 24, "mech_electrical": 24,
    "dual_use": 35, "agri_quota": 31, "fertiliser_quota": 24, "textile_origin": 23,
}  # fmt: skip


# rows whose user leads its group, in the order of the table; one for each of the 113 accounts
LEADING = {
    "export": 13, "import": 8, "auto_import": 5, "mech_electrical": 24,
    "dual_use": 32, "agri_quota": 15, "fertiliser_quota": 8, "textile_origin": 8,
}  # fmt: skip
RECONCILED = [
    f"{system}: {ROWS[system]} rows read = {accounts} accounts + {ROWS[system] - accounts} aliases + 0 duplicates + 0 rejected"
    for system, accounts in LEADING.items()
]


@pytest.fixture
def merged(office: Flask) -> Flask:
    assert idp(office, "legacy", "import-all", DATA, "--as-of", "2018-07-30", *OPERATED).code == 0
    assert idp(office, "legacy", "merge", "--apply", "--unprobed", *OPERATED).code == 0
    return office


def count(column: object) -> int:
    return session.scalar(select(func.count()).select_from(column)) or 0  # type: ignore[arg-type]  # any table


@pytest.mark.store
@pytest.mark.requirement("R6")
def test_the_eight_dumps_give_the_counted_rows_accounts_and_names(merged: Flask) -> None:
    assert Counter(session.scalars(select(LegacyRow.system))) == ROWS
    assert count(LegacyRow) == 212
    assert not any(run.counts.get("rejected") for run in session.scalars(select(LegacyRun)))
    # 89 keys with old users, 24 mech-electrical users without key
    assert count(Account) == 113
    assert count(AccountKey) == 89
    # one name a row, and a second one for each of the 35 dual-use users (D1)
    assert count(AccountName) == 212 + 35
    sizes = Counter(session.scalars(select(LegacyRow.account_id)).all())
    assert None not in sizes
    assert sum(size > 1 for size in sizes.values()) == 51
    assert count(FormerPassword) == 212


def _opens(account_id: int, typed: str) -> bool:
    usable = session.scalars(select(FormerPassword).where(FormerPassword.account_id == account_id, FormerPassword.enabled))
    return any(password_hashes.verify(row.scheme, row.encoding, opaque_tokens.unseal(SECRET, PURPOSE, row.sealed_hash), typed) for row in usable)


@pytest.mark.requirement("R7")
@pytest.mark.requirement("R9")
def test_the_manuals_example_is_one_account_with_export_and_import_and_nothing_else(merged: Flask) -> None:
    (account,) = directory.candidates("0441987654321-beijing")
    assert account.canonical_name == "0441987654321-beijing"
    assert (account.user_class, account.status, account.password_hash, account.change_reason) == (1, "active", None, None)
    assert [name.system for name in account.names] == ["export", "import"]
    assert {name.local_name for name in account.names} == {"beijing"}
    assert rules.open_systems(account.id, TODAY) == {"export", "import"}
    assert [right.system for right in rules.rights(account.id, TODAY)] == ["export", "import"]
    assert _opens(account.id, "Export2018pass")
    assert _opens(account.id, "import-old-8")
    assert not _opens(account.id, "export2018pass")
    # R63: the two rows name different numbers, so nothing is filled in
    assert account.mobile is None
    assert account.email == "user1@example.cn"
    assert [(contact.kind, contact.value, contact.systems) for contact in former_contacts(account.id)] == [
        ("mobile", "+8613800000001", ("export",)),
        ("mobile", "+8613800000002", ("import",)),
        ("email", "user1@example.cn", ("export",)),
    ]


@pytest.mark.requirement("R8")
@pytest.mark.requirement("R17")
def test_a_mech_electrical_user_keeps_the_name_and_has_an_approved_right(merged: Flask) -> None:
    (account,) = directory.candidates("JIDIAN_strong")
    assert (account.canonical_name, account.user_class, account.keys) == ("jidian_strong", 3, [])
    assert rules.open_systems(account.id, TODAY) == {"mech_electrical"}
    assert account.mobile == "+8613800000003"
    assert account.mobile_proven_at is None
    assert directory.candidates("0100123456785-jidian_strong") == []


@pytest.mark.requirement("R15")
@pytest.mark.requirement("D1")
@pytest.mark.requirement("D9")
def test_a_dual_use_user_is_reached_by_both_names_and_a_shared_name_by_each_of_its_owners(merged: Flask) -> None:
    (account,) = directory.candidates("liangyong")
    assert directory.candidates("310055667788X-LIANGYONG") == [account]
    assert (account.canonical_name, account.user_class) == ("liangyong", 2)
    both = directory.candidates("tongming")
    assert len(both) == 2
    assert [_opens(account.id, "A39sw35v660") for account in both] == [True, False]
    assert [_opens(account.id, "J874rc2x346") for account in both] == [False, True]


@pytest.mark.requirement("R62")
def test_different_keys_of_one_enterprise_stay_apart(merged: Flask) -> None:
    both = directory.candidates("0100F686P61K4-caiwu")
    assert [key.serial for account in both for key in account.keys] == ["EK62C04CEE536710", "EKB99B71670CA8FF"]
    assert [_opens(account.id, "Fu46s6j3j88") for account in both] == [True, False]


@pytest.mark.requirement("D15")
def test_disabled_rows_dead_keys_and_cancelled_enterprises_give_no_right(merged: Flask) -> None:
    """wang814_du is disabled: dual_use goes, the other rows of the key are untouched."""
    (account,) = directory.candidates("35026C7427418-wang814")
    assert account.status == "active"
    assert "dual_use" not in {right.system for right in rules.rights(account.id, TODAY)}
    assert rules.open_systems(account.id, TODAY) == {"import", "textile_origin"}
    assert session.scalar(select(func.count()).select_from(Account).where(Account.status == "disabled")) == 3
    dead = [account for account in session.scalars(select(Account)) if account.keys and not rules.open_systems(account.id, TODAY)]
    assert len(dead) >= 10  # ten keys of the list are expired or revoked, each with an account
    assert len([account for account in session.scalars(select(Account)) if people.firm(account).status == "cancelled"]) == 1


@pytest.mark.store
def test_everything_again_changes_nothing(merged: Flask) -> None:
    before = snapshot()
    again = idp(merged, "legacy", "import-all", DATA, "--as-of", "2018-07-30", *OPERATED)
    assert again.out.splitlines() == ["0 added · 0 changed · 381 unchanged · 0 rejected", *(f"{line} (nothing new)" for line in RECONCILED)]
    assert idp(merged, "legacy", "merge", "--apply", "--unprobed", *OPERATED).out == "0 made · 0 joined · 0 updated\n"
    assert snapshot() == before


@pytest.mark.requirement("D19")
def test_the_plan_says_what_will_happen_and_writes_nothing(office: Flask) -> None:
    idp(office, "legacy", "import-all", DATA, "--as-of", "2018-07-30", *OPERATED)
    before = snapshot()
    assert not before["accounts"]
    assert all(record[1] is None for record in before["former_passwords"])
    plan = json.loads(idp(office, "legacy", "merge", "--plan", "--json").out)
    totals = plan["totals"]
    assert (totals["rows"], totals["accounts"], totals["to_make"], totals["joining_names"]) == (212, 113, 113, 247)
    assert (totals["merged"], totals["name_claimed_twice"], totals["keys_stay_apart"], totals["all_disabled"]) == (51, 2, 19, 3)
    example = next(account for account in plan["accounts"] if account["name"] == "0441987654321-beijing")
    assert [(row["system"], row["joins"]) for row in example["rows"]] == [("export", True), ("import", True)]
    assert [note["code"] for note in example["notes"]] == ["merged", "unlike_mobile"]
    assert "138" + "00000001" not in json.dumps(plan)
    table = idp(office, "legacy", "merge", "--plan").out
    assert "0441987654321-beijing" in table
    assert "to_make 113" in table
    assert snapshot() == before


@pytest.mark.requirement("R62")
def test_no_old_hash_stands_in_the_database(merged: Flask) -> None:
    everything = repr(snapshot())
    assert "70FFA2CB58016901F0772E7596A0200D" not in everything
    assert "$2b$06$" not in everything
    assert "{SSHA}" not in everything
