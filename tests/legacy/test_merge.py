import json
import threading
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import func, select

from idp.accounts.models import Account, AccountKey, FormerPassword, ImportedContact
from idp.audit.models import AuditEvent
from idp.db import session, transaction
from idp.enterprises.models import Enterprise
from idp.entitlements import rules
from idp.entitlements.models import Entitlement
from idp.key_register.models import EKey
from idp.legacy import merge
from idp.legacy.models import LegacyRow
from tests.command_line import OPERATED, idp
from tests.fakes import START, FakeClock
from tests.legacy.dumps import CODE, KEY, OTHER_KEY, registers, row, snapshot, take, write

pytestmark = pytest.mark.slow

TODAY = START.date()


@pytest.fixture
def ready(office: Flask) -> Flask:
    registers(("export", "import", "dual_use"))
    return office


def apply(app: Flask) -> str:
    return idp(app, "legacy", "merge", "--apply", "--unprobed", *OPERATED).out.strip()


def account() -> Account:
    session.rollback()
    session.expunge_all()
    return session.scalars(select(Account)).one()


def states() -> set[tuple[str, str]]:
    session.rollback()
    return {(entitlement.system, entitlement.state) for entitlement in session.scalars(select(Entitlement))}


@pytest.mark.store
@pytest.mark.requirement("D19")
def test_no_row_opens_anything_before_apply(ready: Flask, tmp_path: Path) -> None:
    take(ready, write(tmp_path, row()))
    assert session.scalars(select(Account)).all() == []
    assert session.scalars(select(FormerPassword.account_id)).all() == [None]
    assert apply(ready) == "1 made · 0 joined · 0 updated"
    made = account()
    assert session.scalars(select(FormerPassword.account_id)).all() == [made.id]
    assert [key.serial for key in made.keys] == [KEY]
    assert len(made.sub) == 43
    event = session.scalars(select(AuditEvent).where(AuditEvent.event == "legacy.merged")).one()
    assert (event.account_id, event.enterprise_id, event.detail["systems"]) == (made.id, made.enterprise_id, ["export"])


@pytest.mark.requirement("D9")
def test_plan_and_apply_say_who_cannot_sign_in_by_a_crowded_name(ready: Flask, tmp_path: Path) -> None:
    with transaction() as s:
        for number in range(1, 6):
            s.add(firm := Enterprise(code=f"044198765432{number + 1}", name="丙"))
            s.flush()
            s.add(EKey(serial=f"KEY{number}", enterprise_id=firm.id, status="active"))
    dump = write(tmp_path, *(row("zhang", code=f"044198765432{number + 1}", key=f"KEY{number}") for number in range(1, 6)))
    assert take(ready, dump, "dual_use").code == 0
    for words in (["--plan"], ["--apply", "--unprobed"], ["--plan"]):
        said = idp(ready, "legacy", "merge", *words, *(OPERATED if "--apply" in words else ()))
        assert said.code == 0
        assert said.lines[0].startswith("WARNING: 5 accounts claim the name zhang; sign-in looks at 4")
        assert said.lines[2:] == [f"  KEY{number}: 044198765432{number + 1}-zhang" for number in range(1, 6)]


@pytest.mark.requirement("R62")
@pytest.mark.parametrize(
    ("policy", "held"),
    [("none", set()), ("sensitive", {"dual_use"}), ("all", {"export", "import", "dual_use"})],
)
def test_a_sensitive_right_of_a_merged_account_waits_for_a_proof(ready: Flask, tmp_path: Path, policy: merge.ProofPolicy, held: set[str]) -> None:
    take(ready, write(tmp_path, row()))
    take(ready, write(tmp_path, row(key=OTHER_KEY, name="lone")))
    take(ready, write(tmp_path, row()), "import")
    merge.apply(START, policy)
    both = {key.serial: key.account_id for key in session.scalars(select(AccountKey))}
    assert {right.system for right in rules.rights(both[KEY], TODAY) if right.reason == "awaiting_proof"} == held
    assert rules.open_systems(both[OTHER_KEY], TODAY) == {"export", "import", "dual_use"}


@pytest.mark.store
@pytest.mark.requirement("R62")
@pytest.mark.requirement("D11")
def test_a_row_that_joins_later_keeps_sub_and_name_of_the_account_and_makes_it_wait_for_proof(ready: Flask, tmp_path: Path) -> None:
    take(ready, write(tmp_path, row()))
    apply(ready)
    sub = account().sub
    take(ready, write(tmp_path, row(name="later", last="2018-06-01")), "import")
    assert apply(ready) == "0 made · 1 joined · 0 updated"
    joined = account()
    assert (joined.sub, joined.canonical_name) == (sub, f"{CODE}-beijing")
    assert [(name.name, name.canonical) for name in joined.names] == [(f"{CODE}-beijing", True), (f"{CODE}-later", False)]
    assert states() == {("dual_use", "held")}
    with transaction():
        session.delete(session.get_one(Entitlement, (joined.id, "dual_use", "held")))
    assert apply(ready) == "0 made · 0 joined · 0 updated"
    assert states() == set()


@pytest.mark.requirement("D15")
@pytest.mark.requirement("D17")
def test_a_later_status_reaches_the_account_at_the_next_apply(ready: Flask, tmp_path: Path) -> None:
    take(ready, write(tmp_path, row()))
    apply(ready)
    assert account().mobile == "+8613800000001"
    take(ready, write(tmp_path, row(status="0", mobile="13800000002")), as_of="2018-08-30")
    assert apply(ready) == "0 made · 0 joined · 1 updated"
    off = account()
    assert (off.status, off.epoch, off.mobile, states()) == ("disabled", 2, None, {("export", "blocked")})
    assert [(contact.value, contact.enabled) for contact in session.scalars(select(ImportedContact))] == [("+8613800000002", False)]
    take(ready, write(tmp_path, row(mobile="13800000002")), as_of="2018-09-30")
    assert apply(ready) == "0 made · 0 joined · 1 updated"
    assert (account().status, account().mobile, states()) == ("active", "+8613800000002", set())
    assert apply(ready) == "0 made · 0 joined · 0 updated"


def test_what_an_officer_disabled_stays_so(ready: Flask, tmp_path: Path) -> None:
    take(ready, write(tmp_path, row()))
    apply(ready)
    with transaction():
        session.scalars(select(Account)).one().status = "disabled"
    assert apply(ready) == "0 made · 0 joined · 0 updated"
    assert account().status == "disabled"


@pytest.mark.requirement("R49")
def test_a_disabled_mech_electrical_row_gets_its_approved_right_when_it_is_enabled_and_no_second_time(ready: Flask, tmp_path: Path) -> None:
    take(ready, write(tmp_path, row(key="", status="0")), "mech_electrical")
    apply(ready)
    assert states() == {("mech_electrical", "blocked")}
    take(ready, write(tmp_path, row(key="")), "mech_electrical", "2018-08-30")
    apply(ready)
    assert states() == {("mech_electrical", "approved")}
    with transaction():
        session.delete(session.scalars(select(Entitlement)).one())
    assert apply(ready) == "0 made · 0 joined · 0 updated"
    assert states() == set()


@pytest.mark.requirement("R57")
def test_contacts_that_a_person_gave_are_not_touched(ready: Flask, tmp_path: Path) -> None:
    take(ready, write(tmp_path, row()))
    apply(ready)
    with transaction():
        found = session.scalars(select(Account)).one()
        found.mobile, found.contacts_given_at = "+8613911111111", START
    take(ready, write(tmp_path, row(mobile="13800000005")), as_of="2018-08-30")
    apply(ready)
    assert account().mobile == "+8613911111111"


@pytest.mark.requirement("D19")
def test_a_key_that_has_an_account_is_joined_and_an_office_account_keeps_its_class(ready: Flask, tmp_path: Path) -> None:
    with transaction():
        owner = session.scalars(select(Enterprise).where(Enterprise.code == CODE)).one()
        fresh = Account(sub="s", enterprise_id=owner.id, user_class=4, created_at=START, updated_at=START)
        session.add(fresh)
        session.flush()
        session.add(AccountKey(serial=KEY, account_id=fresh.id))
    take(ready, write(tmp_path, row(status="0")))
    assert apply(ready) == "0 made · 1 joined · 0 updated"
    joined = account()
    assert (joined.user_class, joined.status, joined.mobile) == (4, "active", None)


@pytest.mark.store
def test_two_merges_at_once_make_each_account_once(ready: Flask, tmp_path: Path) -> None:
    take(ready, write(tmp_path, row(), row(name="x", key=""), row(name="y", key="")))
    gate, failures = threading.Barrier(4), []

    def one() -> None:
        with ready.app_context():
            gate.wait()
            try:
                merge.apply(START, "sensitive")
            except Exception as error:  # noqa: BLE001  # shown by the assertion below
                failures.append(error)

    threads = [threading.Thread(target=one) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    session.rollback()
    assert session.scalar(select(func.count()).select_from(Account)) == 3
    assert None not in session.scalars(select(LegacyRow.account_id)).all()


def test_many_enterprises_are_merged_in_several_transactions(ready: Flask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with transaction():
        session.add_all([Enterprise(code=f"9999{number:09}", name="x") for number in range(5)])
    take(ready, write(tmp_path, *(row(code=f"9999{number:09}", key="") for number in range(5))))
    monkeypatch.setattr(merge, "ENTERPRISES_A_BATCH", 2)
    steps: list[tuple[int, int]] = []
    assert merge.apply(START, "sensitive", lambda done, total: steps.append((done, total))) == {"made": 5}
    assert steps == [(2, 5), (4, 5), (5, 5)]


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["--plan", "--apply"],
        ["--apply", "--json", "--unprobed", *OPERATED],
        ["--apply", *OPERATED],
        ["--apply", "--unprobed"],
        ["--plan", "--unprobed"],
        ["--plan", *OPERATED],
        ["--undo", "run:1"],
        ["--undo", "run:1", "--plan"],
        ["--undo", "run:1", "--unprobed", *OPERATED],
    ],
)
def test_the_command_wants_one_of_plan_and_apply(ready: Flask, words: list[str]) -> None:
    before = snapshot()
    assert idp(ready, "legacy", "merge", *words).code == 2
    assert snapshot() == before


def test_names_with_brackets_are_shown_as_they_are(ready: Flask, tmp_path: Path, clock: FakeClock) -> None:
    take(ready, write(tmp_path, row(name="[red]x[/red]")))
    assert f"{CODE}-[red]x[/red]" in idp(ready, "legacy", "merge", "--plan").out
    assert json.loads(idp(ready, "legacy", "merge", "--plan", "--json").out)["accounts"][0]["name"] == f"{CODE}-[red]x[/red]"
