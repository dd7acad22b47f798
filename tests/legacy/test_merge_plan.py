"""The plan is a pure function: no database here."""

from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from idp.legacy import merge_plan
from idp.legacy.merge_plan import OldUser, PlannedAccount

POSITIONS = {"export": 1, "import": 2, "mech_electrical": 4, "dual_use": 5}
CODE = "0441987654321"


def user(id_: int, system: str = "export", username: str = "beijing", **changes: object) -> OldUser:
    """An enabled row on one key with one contact."""
    plain = OldUser(
        id=id_,
        system=system,
        position=POSITIONS[system],
        by_approval=system == "mech_electrical",
        username=username,
        enterprise_id=1,
        prefix=CODE,
        enterprise_active=True,
        key_serial="EK1",
        key_fault=None,
        key_account_id=None,
        mobile="+8613800000001",
        email=None,
        enabled=True,
        last_login=date(2018, 1, 1),
        former_password_id=id_,
        account_id=None,
    )
    return replace(plain, **changes)  # type: ignore[arg-type]  # fields by name


def only(*users: OldUser) -> PlannedAccount:
    (account,) = merge_plan.plan(users).accounts
    return account


def codes(account: PlannedAccount) -> list[str]:
    return [note.code for note in account.notes]


@pytest.mark.requirement("R6")
@pytest.mark.requirement("R62")
def test_the_same_key_joins_and_everything_else_stays_apart() -> None:
    users = [
        user(1),
        user(2, "import"),
        user(3, key_serial="EK2"),
        user(4, enterprise_id=2, prefix="X"),
        user(5, key_serial=""),
        user(6, "import", key_serial=""),
    ]
    accounts = merge_plan.plan(users).accounts
    assert sorted([row.id for row in account.rows] for account in accounts) == [[1, 2], [3], [4], [5], [6]]


@pytest.mark.requirement("R62")
@pytest.mark.parametrize(
    ("users", "canonical"),
    [
        ([user(1, last_login=date(2018, 5, 1)), user(2, "dual_use", "control", last_login=None)], "control"),
        ([user(1), user(2, "dual_use", "control", enabled=False)], f"{CODE}-beijing"),
        ([user(1, username="early"), user(2, "import", "late", last_login=date(2018, 2, 1))], f"{CODE}-late"),
        ([user(2, "import", "second"), user(1, "export", "first")], f"{CODE}-first"),
        ([user(1, username="never", last_login=None), user(2, "import", "once")], f"{CODE}-once"),
        ([user(1, username="off", enabled=False, last_login=date(2018, 6, 1)), user(2, "import", "on")], f"{CODE}-on"),
        ([user(1, "mech_electrical", "jidian", last_login=date(2018, 3, 1)), user(2)], "jidian"),
        ([user(1, enabled=False), user(2, "dual_use", "control", enabled=False)], f"{CODE}-beijing"),
    ],
)
def test_the_survivor_gives_the_name(users: list[OldUser], canonical: str) -> None:
    account = only(*users)
    assert account.canonical == canonical
    assert account.names[0][0] == canonical


@pytest.mark.requirement("R17")
@pytest.mark.parametrize(
    ("systems", "user_class"),
    [(["export"], 1), (["dual_use"], 2), (["mech_electrical"], 3), (["dual_use", "export"], 1), (["dual_use", "mech_electrical"], 2)],
)
def test_any_class_one_row_makes_the_account_class_one(systems: list[str], user_class: int) -> None:
    assert only(*(user(place, system) for place, system in enumerate(systems))).user_class == user_class


@pytest.mark.requirement("R8")
@pytest.mark.requirement("R9")
@pytest.mark.requirement("D1")
def test_every_old_name_stays_with_its_system() -> None:
    account = only(user(1), user(2, "dual_use", "control"), user(3, "mech_electrical", "jidian"))
    assert account.names == (
        ("control", "dual_use", "control"),
        (f"{CODE}-control", "dual_use", "control"),
        (f"{CODE}-beijing", "export", "beijing"),
        ("jidian", "mech_electrical", "jidian"),
    )
    assert account.approved == ("mech_electrical",)


@pytest.mark.requirement("D15")
def test_disabled_rows_block_their_system_only_where_no_other_row_has_it() -> None:
    account = only(user(1, enabled=False), user(2, "import", enabled=False), user(3, "import", "second"))
    assert (account.enabled, account.blocked) == (True, ("export",))
    assert codes(account) == ["merged", "some_disabled"]
    off = only(user(1, "mech_electrical", enabled=False))
    assert (off.enabled, off.blocked, off.approved, codes(off)) == (False, ("mech_electrical",), (), ["all_disabled"])


@pytest.mark.requirement("R63")
def test_contacts_are_filled_in_only_where_no_enabled_row_says_otherwise() -> None:
    assert only(user(1), user(2, "import")).mobile == "+8613800000001"
    unlike = only(user(1), user(2, "import", mobile="+8613800000002", email="a@b.cn"))
    assert (unlike.mobile, unlike.email, codes(unlike)) == (None, None, ["merged", "unlike_mobile"])
    assert only(user(1), user(2, "import", mobile="+8613800000002", enabled=False)).mobile == "+8613800000001"
    same = only(user(1, email="A@b.cn"), user(2, "import", email="a@b.cn"))
    assert (same.email, codes(same)) == ("A@b.cn", ["merged"])
    assert only(user(1, enabled=False)).mobile is None


@pytest.mark.requirement("D19")
def test_a_group_that_has_an_account_joins_it() -> None:
    merged = only(user(1, account_id=7), user(2, "import"))
    assert (merged.account_id, [row.id for row in merged.joining], codes(merged)) == (7, [2], ["joins_account", "merged"])
    assert only(user(1, key_account_id=9)).account_id == 9
    done = only(user(1, account_id=7))
    assert (done.joining, done.names) == ((), ())


def test_what_an_operator_should_know_is_noted() -> None:
    dead: dict[str, Any] = {"key_fault": "key_revoked", "enterprise_active": False, "former_password_id": None}
    odd = only(user(1, **dead), user(2, "dual_use", "control", **dead))
    assert codes(odd) == ["merged", "dual_use_linked", "no_password", "enterprise_cancelled", "key_revoked"]
    plan = merge_plan.plan(
        [user(1, username="Admin"), user(2, username="admin", key_serial="EK2"), user(3, username="Ａdmin", enterprise_id=2, prefix="X")]
    )
    assert [(note.code, note.about) for note in plan.notes] == [
        ("name_claimed_twice", (f"{CODE}-admin", "EK1", "EK2")),
        ("keys_stay_apart", (CODE, "EK1", "EK2")),
    ]


@pytest.mark.requirement("D9")
def test_a_name_that_more_accounts_claim_than_sign_in_looks_at_is_told_with_what_to_type() -> None:
    def owners(count: int) -> list[OldUser]:
        dual = [user(n, "dual_use", "Zhang", key_serial=f"EK{n}", enterprise_id=n, prefix=f"C{n}") for n in range(1, count)]
        return [*dual, user(count, "mech_electrical", "zhang", key_serial="", enterprise_id=count, prefix="M")]

    assert [note.code for note in merge_plan.plan(owners(4)).notes] == ["name_claimed_twice"]
    assert merge_plan.plan(owners(5)).notes == [
        merge_plan.Note("name_beyond_reach", ("zhang", "EK1: C1-Zhang", "EK2: C2-Zhang", "EK3: C3-Zhang", "EK4: C4-Zhang", "M: -"))
    ]
    # the same code form on five keys of one enterprise: no other name leads there
    crowd = merge_plan.plan([user(n, key_serial=f"EK{n}") for n in range(1, 6)]).notes[0]
    assert crowd.about == (f"{CODE}-beijing", *(f"EK{n}: -" for n in range(1, 6)))


def test_the_plan_does_not_depend_on_the_order_of_rows() -> None:
    users = [user(1), user(2, "dual_use", "control"), user(3, key_serial=""), user(4, "import", "x", last_login=date(2018, 1, 1))]
    assert merge_plan.plan(users) == merge_plan.plan(reversed(users))
