import itertools
from pathlib import Path

import pytest
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, select, update

from idp import opaque_tokens
from idp.accounts.credentials import PURPOSE
from idp.accounts.models import Account, FormerPassword
from idp.db import session, transaction
from idp.legacy.models import LegacyRow, LegacyRun
from tests.command_line import OPERATED, idp
from tests.conftest import SECRET
from tests.fakes import START
from tests.legacy.dumps import CODE, EXPORT_HEADER, KEY, OTHER_CODE, OTHER_KEY, md5, registers, row, snapshot, take, write

pytestmark = pytest.mark.slow

MAPPING = Path("idp/legacy/mappings/export.toml")


@pytest.fixture
def ready(office: Flask) -> Flask:
    registers()
    return office


def stored() -> list[LegacyRow]:
    session.rollback()
    session.expunge_all()
    return list(session.scalars(select(LegacyRow).order_by(LegacyRow.id)))


def old_hash(found: LegacyRow) -> str | None:
    former = found.former_password
    return opaque_tokens.unseal(SECRET, PURPOSE, former.sealed_hash) if former else None


# --- files that are refused as a whole ----------------------------------------------------------------------------------------------------


def _bad_files() -> dict[str, tuple[bytes, str]]:
    """What is wrong → (bytes of the file, the place that must be named)."""
    header, good = f"{EXPORT_HEADER}\r\n".encode("gb18030"), f"{row()}\r\n".encode("gb18030")
    named = row(name="second").replace("某人", '"某人')
    return {
        "cut in a row": (header + good + good[:40], "dump.csv:3"),
        "cut in the last field": (header + good + good[:-4], "dump.csv:3"),
        "cut before the line break": (header + good + good[:-1], "dump.csv:3"),
        "last row lacks fields": (header + good + b"beijing,,\r\n", "dump.csv:3"),
        "quote never closed": (header + good + f"{named}\r\n".encode("gb18030") + good, "dump.csv:3"),
        "cut in a character": (header + good + "beij企".encode("gb18030")[:-1] + b"\r\n", "dump.csv:3"),
        "another encoding": (header + good + "北京企业用户甲,,,,,,,,,\r\n".encode(), "dump.csv:3"),
        "NUL": (header + good + good.replace(b"beijing", b"bei\0jing"), "dump.csv:3"),
        "over-long line": (header + good + b"x" * 70_000 + b"\r\n", "dump.csv:3"),
        "text after a quote": (header + b'"a"b' + good[7:], "dump.csv:2"),
        "no header": (b"", "dump.csv:1: 用户名"),
        "a column missing": (header.replace("密码".encode("gb18030"), b"pw") + good, "dump.csv:1: 密码"),
        "a column twice": (header.replace("手机".encode("gb18030"), "密码".encode("gb18030")) + good, "dump.csv:1: 密码"),
    }


@pytest.mark.store
@pytest.mark.parametrize("fault", _bad_files())
def test_a_bad_file_is_refused_with_its_place_and_changes_nothing(ready: Flask, tmp_path: Path, fault: str) -> None:
    content, place = _bad_files()[fault]
    assert take(ready, write(tmp_path, row(name="before"), name="first.csv")).code == 0
    before = snapshot()
    file = tmp_path / "dump.csv"
    file.write_bytes(content)
    said = take(ready, file)
    assert said.code == 1
    assert place in said.err
    assert snapshot() == before


def test_a_bad_second_file_takes_the_first_one_with_it(ready: Flask, tmp_path: Path) -> None:
    good, bad = write(tmp_path, row(), name="a.csv"), write(tmp_path, row(), header="x", name="b.csv")
    before = snapshot()
    assert idp(ready, "legacy", "import", "--system", "export", "--as-of", "2018-07-30", *OPERATED, good, bad).code == 1
    assert snapshot() == before


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ('encoding = "gb18030"\nseparator', 'encoding = "klingon"\nseparator', "encoding: unknown encoding"),
        ('encoding = "gb18030"\nseparator', 'encoding = "utf-16"\nseparator', "encoding: unknown encoding"),
        ('scheme = "md5-hex-upper"', 'scheme = "rot13"', "password.scheme: unknown scheme"),
        ('scheme = "md5-hex-upper"\nencoding = "gb18030"', 'scheme = "md5-hex-upper"\nencoding = "ebcdic"', "password.encoding"),
        ('username = "用户名"\n', "", "columns.username"),
        ('separator = ","', 'separator = ",,"', "separator"),
        ('on = ["1", "Y", "正常"]', "on = []", "status.on"),
        ("[status]", "[status", "export.toml"),
        ("[status]", 'colour = "red"\n[status]', "password.colour"),
        ('username = "用户名"', 'username = "用户"', "dump.csv:1: 用户"),
    ],
)
def test_a_bad_mapping_is_refused_by_the_name_of_its_field(ready: Flask, tmp_path: Path, old: str, new: str, named: str) -> None:
    text = MAPPING.read_text("utf-8")
    assert old in text
    mapping = tmp_path / "export.toml"
    mapping.write_text(text.replace(old, new), "utf-8")
    before = snapshot()
    said = take(ready, write(tmp_path, row()), "export", "2018-07-30", "--mapping", str(mapping))
    assert (said.code, named in said.err) == (1, True), said.err
    assert snapshot() == before


def test_a_system_that_is_unknown_or_has_no_mapping_is_refused(ready: Flask, tmp_path: Path) -> None:
    file = write(tmp_path, row())
    assert "no mapping is kept for wine" in idp(ready, "legacy", "import", "--system", "wine", "--as-of", "2018-07-30", *OPERATED, file).err
    assert "wine is not a business system" in take(ready, file, "wine").err


# --- rows -----------------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "column"),
    [
        (row(status="?"), "状态"),
        (row(last="31.12.2017"), "最后登录"),
        (row(last="2018111"), "最后登录"),
        (row(last="2018-02-30"), "最后登录"),
        (row(name="x" * 129), "用户名"),
        (row(name="a\x1bb"), "用户名"),
        (row(key="K" * 41), "电子钥匙序列号"),
        (row().replace("某人", "某" * 101), "联系人"),
        (row() + ",more", "row"),
        (row().replace(md5("Export2018pass"), md5("Export2018pass").lower()), "密码"),
    ],
)
def test_a_bad_row_is_left_out_and_the_rest_is_taken(ready: Flask, tmp_path: Path, line: str, column: str) -> None:
    said = take(ready, write(tmp_path, row(name="first"), line, row(name="last")))
    assert said.code == 3
    assert said.lines[0].startswith(f"{tmp_path / 'dump.csv'}:3: {column}: ")
    assert said.out.startswith(
        "2 added · 0 changed · 0 unchanged · 1 rejected\nexport: 3 rows read = 1 accounts + 1 aliases + 0 duplicates + 1 rejected"
    )
    assert [found.username for found in stored()] == ["first", "last"]


@pytest.mark.store
def test_strict_takes_all_rows_or_none(ready: Flask, tmp_path: Path) -> None:
    file, before = write(tmp_path, row(), row(name="x", status="?")), snapshot()
    said = take(ready, file, "export", "2018-07-30", "--strict")
    assert said.code == 1
    assert "dump.csv:3: 状态" in said.err
    assert snapshot() == before
    assert take(ready, write(tmp_path, row()), "export", "2018-07-30", "--strict").code == 0


def test_contacts_that_are_none_are_dropped_with_a_warning(ready: Flask, tmp_path: Path) -> None:
    said = take(ready, write(tmp_path, row(mobile="see card")))
    assert said.code == 0
    assert "dump.csv:2: 手机: warning" in said.err
    assert stored()[0].mobile is None


@pytest.mark.requirement("D19")
def test_the_same_user_twice_in_a_file_names_both_lines(ready: Flask, tmp_path: Path) -> None:
    said = take(ready, write(tmp_path, row(), row(key=OTHER_KEY), row(name="ＢＥＩＪＩＮＧ", code=CODE)))
    assert said.lines == [f"{tmp_path / 'dump.csv'}:4: 用户名: the same user name again; first in line 2"]
    assert [found.key_serial for found in stored()] == [KEY, OTHER_KEY]


@pytest.mark.requirement("D19")
def test_a_row_that_was_left_out_does_not_count_as_the_first_of_two(ready: Flask, tmp_path: Path) -> None:
    said = take(ready, write(tmp_path, row(password="", status="?"), row()))
    assert len(said.lines) == 1
    assert len(stored()) == 1


# --- later dumps ----------------------------------------------------------------------------------------------------------------------------


@pytest.mark.store
@pytest.mark.requirement("D17")
def test_the_later_dump_wins_whatever_the_order(ready: Flask, tmp_path: Path) -> None:
    early = write(tmp_path, row(password="early", mobile="13800000001"), row(name="only-early"), name="early.csv")
    late = write(tmp_path, row(password="late", mobile="13800000002", status="0"), name="late.csv")
    assert take(ready, late, as_of="2018-08-30").code == 0
    assert "1 older" in take(ready, early, as_of="2018-07-30").out
    found = {user.username: user for user in stored()}
    assert set(found) == {"beijing", "only-early"}
    beijing = found["beijing"]
    assert (old_hash(beijing), beijing.mobile, beijing.enabled) == (md5("late"), "+8613800000002", False)
    assert beijing.former_password
    assert not beijing.former_password.enabled
    assert "1 changed" in take(ready, write(tmp_path, row(password="latest")), as_of="2018-09-30").out
    assert old_hash(stored()[0]) == md5("latest")
    assert "1 changed" in take(ready, write(tmp_path, row(password="")), as_of="2018-10-30").out
    assert old_hash(stored()[0]) is None
    # what was replaced opens nothing, and is kept for `import --undo`
    assert [former.replaced for former in session.scalars(select(FormerPassword).order_by(FormerPassword.id))] == [True, False, True]


@pytest.mark.store
def test_the_same_file_twice_changes_nothing(ready: Flask, tmp_path: Path) -> None:
    file = write(tmp_path, row(), row(name="x", status="?"), row(name="y", password=""))
    take(ready, file)
    before = snapshot()
    assert take(ready, file).out.startswith("0 added · 0 changed · 2 unchanged · 1 rejected\n")
    assert snapshot() == before


def test_a_corrected_mapping_of_the_same_day_replaces_the_hashes_form(ready: Flask, tmp_path: Path) -> None:
    file = write(tmp_path, row())
    take(ready, file)
    mapping = tmp_path / "m.toml"
    mapping.write_text(MAPPING.read_text("utf-8").replace('upper"\nencoding = "gb18030"', 'upper"\nencoding = "utf-8"'), "utf-8")
    assert "1 changed" in take(ready, file, "export", "2018-07-30", "--mapping", str(mapping)).out
    former = stored()[0].former_password
    assert former
    assert former.encoding == "utf-8"


@pytest.mark.store
@pytest.mark.requirement("D17")
def test_after_the_forced_change_only_the_status_follows_and_no_old_hash_comes_back(ready: Flask, tmp_path: Path) -> None:
    take(ready, write(tmp_path, row(mobile="13800000001")))
    assert idp(ready, "legacy", "merge", "--apply", "--unprobed", *OPERATED).out.startswith("1 made")
    with transaction():
        account = session.scalars(select(Account)).one()
        account.password_hash = "$argon2id$stand-in"
        session.execute(delete(FormerPassword).where(FormerPassword.account_id == account.id))
    assert "1 changed" in take(ready, write(tmp_path, row(password="new", mobile="13800000009", status="0")), as_of="2018-08-30").out
    (found,) = stored()
    assert (found.enabled, found.mobile, found.former_password_id) == (False, "+8613800000001", None)
    assert session.scalars(select(FormerPassword)).all() == []
    # a new row of the same key joins, but its old password dies at once
    assert take(ready, write(tmp_path, row(name="colleague")), "import", "2018-08-30").code == 0
    assert idp(ready, "legacy", "merge", "--apply", "--unprobed", *OPERATED).out == "0 made · 1 joined · 0 updated\n"
    assert session.scalars(select(FormerPassword)).all() == []


@pytest.mark.requirement("D19")
def test_a_mech_electrical_name_wanders_only_between_dumps_and_only_before_the_merge(ready: Flask, tmp_path: Path) -> None:
    take(ready, write(tmp_path, row(key="")), "mech_electrical")
    elsewhere = write(tmp_path, row(code=OTHER_CODE, key=""))
    assert "stands for another enterprise" in take(ready, elsewhere, "mech_electrical").err
    assert "1 changed" in take(ready, elsewhere, "mech_electrical", "2018-08-30").out
    assert len(stored()) == 1
    idp(ready, "legacy", "merge", "--apply", "--unprobed", *OPERATED)
    assert take(ready, write(tmp_path, row(key="")), "mech_electrical", "2018-09-30").code == 3


ROW = st.builds(
    row,
    name=st.sampled_from(["beijing", "Beijing", "ＢＥＩＪＩＮＧ", "other"]),
    password=st.sampled_from(["", "one", "two"]),
    key=st.sampled_from(["", KEY]),
    mobile=st.sampled_from(["", "13800000001", "13800000002"]),
    status=st.sampled_from(["0", "1"]),
)


@pytest.mark.requirement("D17")
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(dumps=st.lists(st.lists(ROW, min_size=1, max_size=3), min_size=2, max_size=3))
def test_the_order_of_dumps_does_not_matter(ready: Flask, tmp_path: Path, dumps: list[list[str]]) -> None:
    files = [(write(tmp_path, *rows, name=f"{day}.csv"), f"2018-07-{day:02}") for day, rows in enumerate(dumps, start=1)]
    outcomes = []
    for order in itertools.islice(itertools.permutations(files), 4):
        with transaction():
            for table in (LegacyRow, FormerPassword, LegacyRun):
                session.execute(delete(table))
        for file, day in order:
            take(ready, file, as_of=day)
        outcomes.append(
            sorted((u.username_key, u.username, u.key_serial, u.mobile or "", u.enabled, str(u.as_of), old_hash(u) or "") for u in stored())
        )
    assert all(outcome == outcomes[0] for outcome in outcomes)


def test_a_run_is_kept_with_its_figures(ready: Flask, tmp_path: Path) -> None:
    take(ready, write(tmp_path, row(), row(name="x", status="?")))
    run = session.scalars(select(LegacyRun)).one()
    assert (run.kind, run.system, run.file, run.started_at) == ("import", "export", "dump.csv", START)
    assert run.counts == {"added": 1, "rejected": 1, "read": 2, "accounts": 1, "aliases": 0, "duplicates": 0}


@pytest.mark.store
def test_the_merge_has_to_look_at_what_an_import_brought_or_changed_and_at_nothing_else(ready: Flask, tmp_path: Path) -> None:
    take(ready, write(tmp_path, row(), row(name="same"), row(name="hash")))
    first = session.scalars(select(LegacyRun.id)).one()
    assert {(found.added_in, found.run_id, found.unmerged) for found in stored()} == {(first, first, True)}
    with transaction():
        session.execute(update(LegacyRow).values(unmerged=False))
    take(ready, write(tmp_path, row(), row(name="same"), row(name="hash")))
    assert not any(found.unmerged for found in stored())
    later = write(tmp_path, row(mobile="13800000009"), row(name="same"), row(name="hash", password="other"), row(name="new"))
    assert "1 added · 3 changed" in take(ready, later, as_of="2018-08-30").out
    # another day alone is nothing to a merge
    assert {found.username: found.unmerged for found in stored()} == {"beijing": True, "same": False, "hash": True, "new": True}
    assert {found.username: found.added_in == first for found in stored()} == {"beijing": True, "same": True, "hash": True, "new": False}
