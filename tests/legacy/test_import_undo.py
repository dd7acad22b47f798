"""`idp legacy import --undo RUN`: what an import did is taken back; what it may not touch stays and is named."""

from pathlib import Path

import pytest
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, select

from idp.accounts.models import Account, FormerPassword
from idp.audit.models import AuditEvent
from idp.db import session, transaction
from idp.legacy.models import LegacyRow, LegacyRowChange, LegacyRun
from tests.command_line import OPERATED, Said, idp
from tests.legacy.dumps import CODE, KEY, OTHER_CODE, md5, registers, row, snapshot, take, write
from tests.legacy.test_importer import old_hash, stored

pytestmark = pytest.mark.slow


@pytest.fixture
def ready(office: Flask) -> Flask:
    registers()
    return office


def undo(app: Flask, run: int) -> Said:
    return idp(app, "legacy", "import", "--undo", run, *OPERATED)


def newest() -> int:
    return max(session.scalars(select(LegacyRun.id).where(LegacyRun.kind == "import")))


def rows_and_hashes() -> dict[str, list[tuple[object, ...]]]:
    """Everything but the runs and `unmerged` (the merge looks again at what was taken back); what has opened nothing is left out."""
    session.rollback()
    columns = [column for column in LegacyRow.__table__.columns if column.name != "unmerged"]
    return {
        "rows": [tuple(found) for found in session.execute(select(*columns).order_by(LegacyRow.id))],
        "hashes": [tuple(found) for found in session.execute(select(FormerPassword.__table__).order_by(FormerPassword.id))],
        "journal": [tuple(found) for found in session.execute(select(LegacyRowChange.__table__))],
    }


@pytest.mark.store
@pytest.mark.requirement("R62")
def test_added_rows_go_and_changed_rows_are_as_they_were(ready: Flask, tmp_path: Path) -> None:
    take(ready, write(tmp_path, row(), row(name="same"), row(name="off"), row(name="bare", password="")))
    before = rows_and_hashes()
    later = write(
        tmp_path,
        row(password="later", mobile="13800000009", last="2018-08-01"),
        row(name="same"),
        row(name="off", status="0"),
        row(name="bare", password="one"),
        row(name="new"),
    )
    assert "1 added · 4 changed" in take(ready, later, as_of="2018-08-30").out
    assert {old_hash(found) for found in stored()} == {md5("later"), md5("Export2018pass"), md5("one")}
    assert undo(ready, newest()).out == "1 removed · 4 as before · 0 stay\n"
    assert rows_and_hashes() == before
    assert all(found.unmerged for found in stored())
    (event,) = session.scalars(select(AuditEvent).where(AuditEvent.event == "legacy.import.undone"))
    assert event.detail == {"run": newest(), "system": "export", "removed": 1, "returned": 4, "stayed": 0, "why": "trial"}
    assert event.operator == "tester"


@pytest.mark.store
def test_undone_twice_is_undone_once_and_the_dump_can_come_again(ready: Flask, tmp_path: Path) -> None:
    file, before = write(tmp_path, row(), row(name="other")), rows_and_hashes()
    take(ready, file)
    assert undo(ready, newest()).out == "2 removed · 0 as before · 0 stay\n"
    assert rows_and_hashes() == before
    once = snapshot()
    said = undo(ready, newest())
    assert (said.code, said.out) == (0, "0 removed · 0 as before · 0 stay\n")
    assert snapshot() == once
    assert "2 added" in take(ready, file).out


@pytest.mark.store
def test_merged_rows_and_rows_that_a_later_run_changed_stay_and_are_named(ready: Flask, tmp_path: Path) -> None:
    take(ready, write(tmp_path, row(name="merged")))
    idp(ready, "legacy", "merge", "--apply", "--unprobed", *OPERATED)
    first = newest()
    take(ready, write(tmp_path, row(name="again"), row(name="alone")))
    second = newest()
    take(ready, write(tmp_path, row(name="again", password="later")), as_of="2018-08-30")
    third = newest()
    said = undo(ready, first)
    assert (said.code, said.lines) == (3, [f"export: {CODE}-merged: merged into an account: undo the merge first"])
    said = undo(ready, second)
    assert (said.code, said.out) == (3, "1 removed · 0 as before · 1 stay\n")
    assert said.lines == [f"export: {CODE}-again: changed again by run {third}: undo that one first"]
    assert undo(ready, third).code == 0
    assert undo(ready, second).out == "1 removed · 0 as before · 0 stay\n"
    assert [found.username for found in stored()] == ["merged"]


@pytest.mark.store
@pytest.mark.requirement("D17")
def test_a_merged_rows_hash_comes_back_unless_the_person_has_set_a_password(ready: Flask, tmp_path: Path) -> None:
    take(ready, write(tmp_path, row(password="early")))
    idp(ready, "legacy", "merge", "--apply", "--unprobed", *OPERATED)
    take(ready, write(tmp_path, row(password="late")), as_of="2018-08-30")
    assert old_hash(stored()[0]) == md5("late")
    assert undo(ready, newest()).code == 0
    (found,) = stored()
    assert (old_hash(found), found.unmerged) == (md5("early"), True)
    (former,) = session.scalars(select(FormerPassword))
    assert (former.account_id, former.replaced) == (found.account_id, False)
    take(ready, write(tmp_path, row(password="late")), as_of="2018-08-30")
    with transaction():
        account = session.scalars(select(Account)).one()
        account.password_hash = "$argon2id$stand-in"
    assert undo(ready, newest()).code == 0
    assert (old_hash(stored()[0]), session.scalars(select(FormerPassword)).all()) == (None, [])


@pytest.mark.requirement("D19")
def test_a_name_that_wandered_and_was_merged_since_stays_where_it_is(ready: Flask, tmp_path: Path) -> None:
    take(ready, write(tmp_path, row(key="")), "mech_electrical")
    take(ready, write(tmp_path, row(code=OTHER_CODE, key="")), "mech_electrical", "2018-08-30")
    idp(ready, "legacy", "merge", "--apply", "--unprobed", *OPERATED)
    said = undo(ready, newest())
    assert (said.code, "undo the merge first" in said.err) == (3, True)


@pytest.mark.requirement("R90")
def test_it_is_run_by_a_named_operator_and_for_the_run_of_an_import(ready: Flask, tmp_path: Path) -> None:
    take(ready, write(tmp_path, row()))
    assert idp(ready, "legacy", "import", "--undo", newest()).code == 2
    assert idp(ready, "legacy", "import", "--undo", newest(), "--operator", "tester", "--reason", " ").code != 0
    assert "is not the run of an import" in undo(ready, 999).err
    assert idp(ready, "legacy", "import", "--undo", newest(), *OPERATED, "--system", "export").code == 2
    assert len(stored()) == 1


ROW = st.builds(
    row,
    name=st.sampled_from(["beijing", "Beijing", "other"]),
    password=st.sampled_from(["", "one", "two"]),
    key=st.sampled_from(["", KEY]),
    mobile=st.sampled_from(["", "13800000001", "13800000002"]),
    status=st.sampled_from(["0", "1"]),
)
DUMP = st.lists(ROW, min_size=1, max_size=4)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(first=DUMP, second=DUMP, day=st.sampled_from(["2018-07-30", "2018-08-30"]))
def test_an_import_and_its_undo_are_the_identity(ready: Flask, tmp_path: Path, first: list[str], second: list[str], day: str) -> None:
    with transaction():
        for table in (LegacyRow, FormerPassword, LegacyRun):
            session.execute(delete(table))
    take(ready, write(tmp_path, *first))
    run, before = newest(), rows_and_hashes()
    take(ready, write(tmp_path, *second), as_of=day)
    if newest() != run:
        assert undo(ready, newest()).code == 0
    assert rows_and_hashes() == before
