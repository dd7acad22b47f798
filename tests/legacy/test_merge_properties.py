"""What holds for any dumps: how they are cut, their order and repetition do not matter; taking a merge back is the identity."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.command_line import OPERATED, idp
from tests.legacy.dumps import CODE, KEY, OTHER_CODE, OTHER_KEY, registers, row, snapshot, take, write
from tests.legacy.taking_back import TRACES, forget, meaning, newest_run, officer, take_back

pytestmark = pytest.mark.slow
SYSTEMS = ("export", "import", "dual_use", "mech_electrical")
APPLY = ("legacy", "merge", "--apply", "--unprobed", *OPERATED)
OPTIONS: dict[str, Any] = {"deadline": None, "suppress_health_check": [HealthCheck.function_scoped_fixture]}

PLACE = st.sampled_from([(CODE, KEY), (CODE, OTHER_KEY), (CODE, ""), (OTHER_CODE, "")])
LINE = st.builds(
    lambda place, name, password, mobile, status, last: (place, name, row(name, password, place[0], place[1], mobile, status, last)),
    place=PLACE,
    name=st.sampled_from(["beijing", "Shanghai", "li", f"{CODE}-li"]),
    password=st.sampled_from(["", "one", "two"]),
    mobile=st.sampled_from(["", "13800000001", "13800000002"]),
    status=st.sampled_from(["0", "1", "1"]),
    last=st.sampled_from(["", "2018-01-01", "2018-06-01"]),
)
Line = tuple[tuple[str, str], str, str]


def _who(user: tuple[str, Line]) -> tuple[object, ...]:
    """What tells an old user from all others (D19)."""
    system, (place, name, _row) = user
    return (system, name.casefold(), *(() if system == "mech_electrical" else place))


USERS = st.lists(st.tuples(st.sampled_from(SYSTEMS), LINE), min_size=1, max_size=7, unique_by=_who)


@pytest.fixture
def ready(office: Flask) -> Flask:
    registers(("export", "import", "dual_use"))
    return office


def load(app: Flask, folder: Path, files: Sequence[Sequence[tuple[str, Line]]]) -> None:
    """Take each file in: its rows system by system."""
    for file in files:
        for system in dict.fromkeys(system for system, _line in file):
            said = take(app, write(folder, *(line[2] for each, line in file if each == system)), system)
            assert said.code == 0, said.err


@settings(max_examples=25, **OPTIONS)
@given(users=USERS, data=st.data())
def test_cut_into_files_shuffled_and_repeated_the_same_users_give_the_same_accounts(
    ready: Flask, tmp_path: Path, users: list[tuple[str, Line]], data: st.DataObject
) -> None:
    forget()
    load(ready, tmp_path, [users])
    idp(ready, *APPLY)
    at_once = meaning()
    forget()
    shuffled = data.draw(st.permutations(users))
    cut = data.draw(st.integers(0, len(users)))
    again = data.draw(st.lists(st.sampled_from(users), max_size=3, unique_by=_who))
    load(ready, tmp_path, [part for part in (shuffled[:cut], shuffled[cut:], again) if part])
    idp(ready, *APPLY)
    assert meaning() == at_once
    before = snapshot("audit_events")
    load(ready, tmp_path, [again] if again else [])
    assert idp(ready, *APPLY).out == "0 made · 0 joined · 0 updated\n"
    assert snapshot("audit_events") == before


@settings(max_examples=20, **OPTIONS)
@given(first=st.one_of(st.just([]), USERS), second=USERS)
def test_a_merge_and_its_undoing_are_the_identity(
    ready: Flask, tmp_path: Path, first: list[tuple[str, Line]], second: list[tuple[str, Line]]
) -> None:
    forget()
    li = getattr(ready, "li", 0) or officer()
    ready.li = li  # type: ignore[attr-defined]  # one officer for all examples
    load(ready, tmp_path, [first])
    idp(ready, *APPLY)
    known = {_who(user) for user in first}
    load(ready, tmp_path, [[user for user in second if _who(user) not in known]])
    before, state = snapshot(*TRACES, "accounts", "legacy_rows"), meaning()
    said = idp(ready, *APPLY).out
    if said == "0 made · 0 joined · 0 updated\n":
        return
    assert take_back(ready, li, newest_run()).code == 0
    assert meaning() == state
    assert snapshot(*TRACES, "accounts", "legacy_rows") == before
    assert idp(ready, *APPLY).out == said
