import json
from datetime import timedelta
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import delete, func, select

from idp.accounts.models import Account, FormerPassword
from idp.adapters import BEIJING
from idp.app import JOBS
from idp.audit.models import AuditEvent
from idp.db import session, transaction
from idp.enterprises.models import Enterprise
from idp.legacy import cutover, incident
from idp.legacy.models import LegacyCutover
from idp.worker import run_once
from tests import people
from tests.command_line import OPERATED, Said, idp
from tests.fakes import START, FakeClock
from tests.legacy.dumps import CODE, OTHER_CODE, registers, row, take, write

DAY = timedelta(days=1)


def cut_over(system: str, days: int = 0, region: str = "", enterprise_id: int | None = None) -> LegacyCutover:
    row = LegacyCutover(system=system, at=START + days * DAY, region=region, enterprise_id=enterprise_id, made_at=START, made_by="wang")
    session.add(row)
    session.flush()
    return row


@pytest.mark.store
@pytest.mark.requirement("R92")
def test_the_earliest_cutover_that_fits_counts_from_its_time_on(office: Flask) -> None:
    with transaction():
        firm, other = people.enterprise(), people.enterprise("0441987654322")
        for_all, pilot = cut_over("export", 30), cut_over("export", 10, enterprise_id=firm.id)
        region = cut_over("export", 20, region="44")
        cut_over("export", 1, region="31")
        cut_over("import", 1)

    def at(days: int, enterprise_id: int = firm.id, region: str = "440100") -> int | None:
        found = cutover.since(enterprise_id, region, "export", START + days * DAY)
        return None if found is None else (found - START).days

    assert [at(9), at(10), at(40)] == [None, 10, 10]
    assert [at(19, other.id), at(20, other.id), at(40, other.id)] == [None, 20, 20]
    assert [at(29, other.id, "110000"), at(30, other.id, "110000"), at(40, other.id, "")] == [None, 30, 30]
    for taken_back, left in ((pilot, 20), (region, 30), (for_all, None)):
        with transaction():
            session.get_one(LegacyCutover, taken_back.id).reverted_at = START + 40 * DAY
        assert at(40) == left


@pytest.mark.requirement("R92")
def test_everybody_is_told_before_and_for_some_weeks_after_but_not_of_pilots(office: Flask) -> None:
    with transaction():
        firm = people.enterprise()
        cut_over("dual_use", 1, enterprise_id=firm.id)
        cut_over("dual_use", 1, region="44")
        for system, day in (("export", 10), ("import", 10), ("export", 20), ("textile_origin", 20)):
            cut_over(system, day)
    told = {days: [((each.at - START).days, each.come, each.systems) for each in cutover.notices(START + days * DAY)] for days in (0, 10, 66, 80)}
    assert told == {
        0: [(10, False, ("export", "import")), (20, False, ("textile_origin",))],
        10: [(10, True, ("export", "import")), (20, False, ("textile_origin",))],
        66: [(20, True, ("textile_origin",))],
        80: [],
    }


@pytest.mark.store
@pytest.mark.requirement("R62")
def test_old_hashes_of_people_who_never_came_die_half_a_year_after_their_systems_cutover(office: Flask, clock: FakeClock) -> None:
    with transaction():
        people.beijing()  # a password of export and one of import
        cut_over("export")
        cut_over("import", 10)
    for days, left in ((179, 2), (1, 1), (9, 1), (1, 0)):
        clock.advance(days=days)
        assert run_once(office, JOBS) == 0
        assert session.scalar(select(func.count()).select_from(FormerPassword)) == left
        session.rollback()


@pytest.mark.requirement("R64")
def test_one_incident_at_a_time(office: Flask) -> None:
    assert not incident.declared()
    with transaction():
        incident.declare("wang", "the sign-in page is down", START)
    assert incident.declared()
    with transaction():
        incident.end(START + DAY)
    assert not incident.declared()


def order(app: Flask, *words: object) -> Said:
    return idp(app, "legacy", "cutover", *words, *OPERATED)


@pytest.fixture
def ready(office: Flask, tmp_path: Path) -> Flask:
    registers()
    take(office, write(tmp_path, row("beijing"), row("other", code=OTHER_CODE, key="")))
    return office


@pytest.mark.requirement("R92")
def test_a_cutover_is_refused_with_figures_until_all_rows_have_accounts(ready: Flask) -> None:
    refused = order(ready, "--system", "export", "--at", "now")
    assert (refused.code, "no-go: export: 2 rows · 2 wait for a merge · 2 without account" in refused.err) == (1, True)
    assert session.scalars(select(LegacyCutover)).all() == []
    assert order(ready, "--system", "import", "--at", "now").code == 1  # a dump that was forgotten
    assert order(ready, "--system", "export", "--at", "now", "--anyway").code == 0
    assert idp(ready, "legacy", "merge", "--apply", "--unprobed", *OPERATED).code == 0
    assert order(ready, "--system", "export", "--at", f"{START + DAY:%Y-%m-%dT%H:%M}", "--region", "44", "--anyway").code == 0
    assert "go: export: 2 rows · 0 wait for a merge · 0 without account" in order(ready, "--system", "export", "--at", "now").out


@pytest.mark.requirement("R92")
@pytest.mark.requirement("R90")
def test_pilots_go_first_and_each_cutover_is_audited_and_can_be_taken_back(ready: Flask, tmp_path: Path, clock: FakeClock) -> None:
    idp(ready, "legacy", "merge", "--apply", "--unprobed", *OPERATED)
    pilots = tmp_path / "pilots.csv"
    pilots.write_text(f"enterprise_code\n{CODE}\n")
    assert order(ready, "--system", "export", "--list", pilots, "--at", "now").out.splitlines()[1].startswith("1 ordered")
    day = (START + 30 * DAY).astimezone(BEIJING)
    for made in (1, 0):
        said = order(ready, "--system", "export", "--at", f"{day:%Y-%m-%dT02:00}")
        assert (said.code, f"{made} ordered" in said.out, "warning" in said.err) == (0, True, False)
    assert session.scalars(select(LegacyCutover.at).where(LegacyCutover.enterprise_id.is_(None))).one().hour == 18  # 2:00 in Beijing
    session.rollback()
    assert "stands for the same at another time" in order(ready, "--system", "export", "--at", f"{day:%Y-%m-%dT03:00}").err
    assert [line.split(" · ")[1] for line in idp(ready, "legacy", "cutover").out.splitlines()] == [CODE, "all"]
    firm = session.scalars(select(Enterprise).where(Enterprise.code == CODE)).one()
    assert cutover.since(firm.id, "", "export", START) == START
    session.rollback()
    clock.advance(days=1)
    assert order(ready, "--revert", 1).code == 0
    assert cutover.since(firm.id, "", "export", START + DAY) is None
    session.rollback()
    assert order(ready, "--revert", 1).code == 1
    events = session.scalars(select(AuditEvent).where(AuditEvent.event.like("legacy.cutover.%")).order_by(AuditEvent.id)).all()
    assert [event.event for event in events] == ["legacy.cutover.set", "legacy.cutover.set", "legacy.cutover.reverted"]


@pytest.mark.parametrize(
    "words",
    [
        ["--system", "export"],
        ["--at", "now"],
        ["--revert", "1", "--system", "export", "--at", "now"],
        ["--region", "44"],
        ["--system", "export", "--at", "now", "--region", "44", "--list", "README.md"],
    ],
)
def test_what_belongs_together_is_given_together(ready: Flask, words: list[str]) -> None:
    assert order(ready, *words).code == 2
    assert idp(ready, "legacy", "cutover", "--system", "export", "--at", "now").code == 2  # by nobody


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--system", "exports", "--at", "now"], "no business system"),
        (["--system", "export", "--at", "tomorrow"], "is not a time"),
        (["--system", "export", "--at", "2001-01-01"], "has passed"),
        (["--system", "export", "--at", "now", "--region", "44%"], "region"),
    ],
)
def test_orders_that_make_no_sense_are_refused(ready: Flask, words: list[str], why: str) -> None:
    said = order(ready, *words, "--anyway")
    assert (said.code, why in said.err) == (1, True)


def test_a_list_names_the_line_of_an_unknown_enterprise(ready: Flask, tmp_path: Path) -> None:
    pilots = tmp_path / "pilots.csv"
    pilots.write_text(f"enterprise_code\n{CODE}\n9999999999999\n")
    said = order(ready, "--system", "export", "--at", "now", "--list", pilots, "--anyway")
    assert (said.code, "pilots.csv:3: enterprise_code" in said.err) == (1, True)


@pytest.mark.requirement("R64")
def test_an_incident_is_declared_and_ended_by_name(ready: Flask) -> None:
    for words, code in ((("end",), 1), (("declare",), 0), (("declare",), 1), (("end",), 0)):
        assert idp(ready, "legacy", "incident", *words, *OPERATED).code == code
    session.rollback()
    events = session.scalars(select(AuditEvent.event).where(AuditEvent.event.like("legacy.incident.%")).order_by(AuditEvent.id)).all()
    assert events == ["legacy.incident.declared", "legacy.incident.ended"]


def test_the_status_counts_rows_accounts_and_who_has_come(ready: Flask) -> None:
    def figures() -> list[object]:
        found = json.loads(idp(ready, "legacy", "status", "--json").out)
        return [*next(each for each in found["systems"] if each["system"] == "export").values(), found["accounts_without_password"]]

    assert figures() == ["export", 2, 2, 2, 2, 0, 0, 0]
    idp(ready, "legacy", "merge", "--apply", "--unprobed", *OPERATED)
    assert figures() == ["export", 2, 2, 0, 0, 0, 0, 0]
    with transaction():
        account = session.scalars(select(Account)).first()
        assert account is not None
        account.password_hash = "argon2"
        session.execute(delete(FormerPassword))
    assert figures() == ["export", 2, 2, 0, 0, 1, 0, 1]
    assert "have come" in idp(ready, "legacy", "status").out
