from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import func, select

from idp.accounts.models import FormerPassword
from idp.app import JOBS
from idp.db import session, transaction
from idp.legacy import cutover, incident
from idp.legacy.models import LegacyCutover
from idp.worker import run_once
from tests import people
from tests.fakes import START, FakeClock

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
    for row, left in ((pilot, 20), (region, 30), (for_all, None)):
        with transaction():
            session.get_one(LegacyCutover, row.id).reverted_at = START + 40 * DAY
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
