"""Rows read = accounts + aliases + duplicates + rejected, for each system, whatever the order and the number of its files."""

import random
import re
from pathlib import Path

import pytest
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete

from idp import delimited
from idp.accounts.models import FormerPassword
from idp.db import session, transaction
from idp.legacy import reconciliation
from idp.legacy.models import LegacyRow, LegacyRun
from tests.command_line import OPERATED, Said, idp
from tests.legacy.dumps import KEY, OTHER_CODE, OTHER_KEY, registers, row, snapshot, take, write
from tests.legacy.test_importer import old_hash, stored

pytestmark = pytest.mark.slow
LINE = re.compile(r"(\w+): (\d+) rows read = (\d+) accounts \+ (\d+) aliases \+ (\d+) duplicates \+ (\d+) rejected \((.*)\)")


@pytest.fixture
def ready(office: Flask) -> Flask:
    registers()
    return office


def figures(said: Said) -> dict[str, tuple[int, ...]]:
    """What stands in brackets → read, accounts, aliases, duplicates, rejected."""
    found = (LINE.fullmatch(line) for line in said.out.splitlines()[1:])
    return {f"{match[1]}: {match[7]}": tuple(map(int, match.groups()[1:6])) for match in found if match}


def test_each_row_is_counted_as_one_thing(ready: Flask, tmp_path: Path) -> None:
    lines = (row(last="2018-05-05"), row(name="joins"), row(name="JOINS"), row(name="alone", key=""), row(name="also", key=""), row(status="?"))
    said = take(ready, write(tmp_path, *lines))
    assert figures(said) == {"export: run 1": (6, 3, 1, 0, 2)}
    # the later log-in of another system's row leads: this one's users all join
    assert figures(take(ready, write(tmp_path, row(name="lead", last="2018-06-06")), "import")) == {"import: run 2": (1, 1, 0, 0, 0)}
    assert figures(take(ready, write(tmp_path, *lines))) == {"export: nothing new": (6, 2, 2, 0, 2)}
    assert session.get_one(LegacyRun, 1).counts["accounts"] == 3


def test_older_rows_and_users_of_an_earlier_file_of_the_command_are_duplicates(ready: Flask, tmp_path: Path) -> None:
    first = write(tmp_path, row(), row(name="two"), name="a.csv")
    second = write(tmp_path, row(mobile="13800000009"), row(name="three"), row(name="two"), name="b.csv")
    said = idp(ready, "legacy", "import", "--system", "export", "--as-of", "2018-07-30", *OPERATED, first, second)
    assert figures(said) == {"export: run 1": (2, 1, 1, 0, 0), "export: run 2": (3, 0, 1, 2, 0), "export: in all": (5, 1, 2, 2, 0)}
    assert figures(take(ready, first, as_of="2018-07-01")) == {"export: nothing new": (2, 0, 0, 2, 0)}


@pytest.mark.store
def test_a_sum_that_does_not_hold_aborts_the_import(ready: Flask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = snapshot()
    monkeypatch.setattr(reconciliation.Tally, "stands_for", lambda _self, _row: None)
    with pytest.raises(RuntimeError, match="2 rows were read, but 0 are accounted for"):
        take(ready, write(tmp_path, row(), row(name="two")))
    assert snapshot() == before


def test_numbers_are_a_set() -> None:
    numbers, model, chance = reconciliation.Numbers(), set[int](), random.Random(7)  # noqa: S311  # a repeatable choice
    for _ in range(2000):
        number = chance.choice((chance.randrange(100), chance.randrange(50_000)))
        assert numbers.add(number) == (number not in model)
        model.add(number)
    assert all((number in numbers) == (number in model) for number in range(50_100))


@pytest.mark.store
def test_chunks_do_not_show(ready: Flask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [row(name=f"u{number % 7}", key=(KEY, OTHER_KEY, "")[number % 3], password=str(number)) for number in range(30)]
    take(ready, write(tmp_path, *lines))
    whole = _what_is_kept()
    assert len(whole) == 21
    _forget_all()
    monkeypatch.setattr("idp.legacy.importer.chunks", lambda items: delimited.chunks(items, 4))
    said = take(ready, write(tmp_path, *lines))
    assert _what_is_kept() == whole
    assert len(said.lines) == 9
    assert said.lines[0].endswith(":23: 用户名: the same user name again; first in line 2")


def _forget_all() -> None:
    with transaction():
        for table in (LegacyRow, FormerPassword, LegacyRun):
            session.execute(delete(table))


def _what_is_kept() -> list[tuple[object, ...]]:
    return sorted((u.enterprise_id, u.username_key, u.username, u.key_serial, u.mobile or "", u.enabled, old_hash(u) or "") for u in stored())


USERS = st.lists(
    st.builds(
        row,
        name=st.sampled_from(["beijing", "other", "third"]),
        password=st.sampled_from(["", "one"]),
        key=st.sampled_from(["", KEY, OTHER_KEY]),
        last=st.sampled_from(["2018-01-01", "2018-02-02"]),
        status=st.sampled_from(["0", "1"]),
    ),
    min_size=1,
    max_size=8,
    unique_by=lambda line: (line.split(",")[0], line.split(",")[4]),
)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(users=USERS, data=st.data())
def test_any_split_order_and_repetition_gives_the_same(ready: Flask, tmp_path: Path, users: list[str], data: st.DataObject) -> None:
    _forget_all()
    whole = figures(take(ready, write(tmp_path, *users)))
    kept = _what_is_kept()
    assert kept
    _forget_all()
    shuffled = data.draw(st.permutations(users))
    cut = data.draw(st.integers(0, len(users)))
    parts = [part for part in (shuffled[:cut], shuffled[cut:], shuffled[: data.draw(st.integers(0, 3))]) if part]
    files = [write(tmp_path, *part, name=f"{number}.csv") for number, part in enumerate(parts)]
    said = figures(idp(ready, "legacy", "import", "--system", "export", "--as-of", "2018-07-30", *OPERATED, *files))
    assert _what_is_kept() == kept
    ((_name, alone),) = whole.items()
    found = list(said.values())[-1]
    assert (found[1], found[2], found[0] - found[3]) == (alone[1], alone[2], alone[0])
    assert all(each[0] == sum(each[1:]) for each in said.values())


def test_a_mech_electrical_user_is_an_account_of_its_own(ready: Flask, tmp_path: Path) -> None:
    lines = (row(name="a", key=""), row(name="b", key="", code=OTHER_CODE), row(name="A", key="", code=OTHER_CODE), row(name="c"))
    assert figures(take(ready, write(tmp_path, *lines), "mech_electrical")) == {"mech_electrical: run 1": (4, 3, 0, 0, 1)}
    assert figures(take(ready, write(tmp_path, row(name="d")))) == {"export: run 2": (1, 1, 0, 0, 0)}
    # the order of the table decides, so that c is an alias of d now
    assert figures(take(ready, write(tmp_path, *lines), "mech_electrical")) == {"mech_electrical: nothing new": (4, 2, 1, 0, 1)}
    assert len(stored()) == 4
