"""Dumps that are broken: a clear word with file, line and column, and nothing half-done, whatever was read before in the same command."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from tests.command_line import OPERATED, Said, idp
from tests.conftest import DATA
from tests.legacy.dumps import EXPORT_HEADER, registers, row, snapshot, take, write

pytestmark = pytest.mark.slow
LAST = "textile_origin"  # the last of the eight; UTF-8, separated by commas
HEADER = b"name,crypt,ent_code,ent_name,key_no,person,mobile,email,flag,last\r\n"
GOOD = b"wang814,,35026C7427418,,EKA9E98B6534959B,,,,1,2015-05-18\r\n"


def folder(tmp_path: Path, content: bytes | None = None) -> Path:
    """All dumps of the samples, the last one with this content."""
    made = tmp_path / "data"
    shutil.copytree(DATA, made)
    if content is not None:
        (made / "legacy" / f"{LAST}.csv").write_bytes(content)
    return made


def take_all(app: Flask, made: Path) -> Said:
    return idp(app, "legacy", "import-all", made, "--as-of", "2018-07-30", *OPERATED)


BAD: dict[str, tuple[bytes, str]] = {
    "another encoding": (HEADER + GOOD + "企业,,,,,,,,1,\r\n".encode("gb18030"), ":3: not utf-8: byte 1 of the line"),
    "cut in the middle of a row": (HEADER + GOOD + GOOD[:20], ":3: the file ends in the middle of a line"),
    "cut after some fields": (HEADER + GOOD + GOOD[:20] + b"\r\n", ":3: the last row has 3 of 10 fields"),
    "NUL bytes": (HEADER + GOOD + GOOD.replace(b"wang", b"\0\0"), ":3: a NUL byte"),
    "a line of 10 MB": (HEADER + GOOD + b"x" * 10_000_000 + b"\r\n", ":3: a line longer than 65536 bytes"),
    "10 MB without a line break": (b"x" * 10_000_000, ":1: a line longer than 65536 bytes"),
    "a quote that is never closed": (HEADER + GOOD + b'"' + GOOD * 3, ":3: quotes or line breaks are out of order"),
    "a column twice": (HEADER.replace(b"mobile", b"name") + GOOD, ":1: name: two columns of this name"),
    "a column missing": (HEADER.replace(b"flag", b"flags") + GOOD, ":1: flag: no such column in the header"),
    "empty": (b"", ":1: name: no such column in the header; the file is empty"),
    "another separator": ((HEADER + GOOD).replace(b",", b";"), ":1: name: no such column in the header; all of it is one column"),
    "UTF-16": (b"\xff\xfe" + (HEADER + GOOD).decode().encode("utf-16-le"), ":1: begins with the mark of utf-16, but is to be read as utf-8"),
    "an archive": (b"PK\x03\x04\x14\x00" + bytes(range(256)) * 40, ":1: "),
}


@pytest.mark.store
@pytest.mark.parametrize("fault", BAD)
def test_a_broken_dump_takes_the_seven_before_it_back(office: Flask, tmp_path: Path, fault: str) -> None:
    content, said = BAD[fault]
    made, before = folder(tmp_path, content), snapshot()
    answer = take_all(office, made)
    assert (answer.code, answer.out) == (1, "")
    assert f"legacy/{LAST}.csv{said}" in answer.err
    assert snapshot() == before


@pytest.mark.parametrize("name", ["enterprises.csv", "ekeys.csv"])
def test_a_broken_register_is_named_too(office: Flask, tmp_path: Path, name: str) -> None:
    made, before = folder(tmp_path), snapshot()
    whole = (made / name).read_bytes()
    (made / name).write_bytes(whole[:-9])
    answer = take_all(office, made)
    lines = whole.count(b"\n")
    assert (answer.code, f"{name}:{lines}: " in answer.err) == (1, True)
    assert snapshot() == before


def test_the_mark_of_another_encoding_is_refused_and_the_right_one_is_passed_over(office: Flask, tmp_path: Path) -> None:
    with_mark = b"\xef\xbb\xbf" + HEADER + GOOD
    assert take_all(office, folder(tmp_path, with_mark)).code == 0
    before = snapshot()
    file = tmp_path / "dump.csv"
    file.write_bytes(b"\xef\xbb\xbf" + f"{EXPORT_HEADER}\r\n{row()}\r\n".encode())
    answer = take(office, file)
    assert (answer.code, answer.err) == (1, f"{file}:1: begins with the mark of utf-8, but is to be read as gb18030")
    assert snapshot() == before


def _folder_there(file: Path) -> None:
    file.unlink()
    file.mkdir()


def _loop(file: Path) -> None:
    file.unlink()
    file.symlink_to(file)


@pytest.mark.parametrize("spoil", [_folder_there, _loop])
def test_what_is_no_file_is_refused(office: Flask, tmp_path: Path, spoil: Callable[[Path], None]) -> None:
    made, before = folder(tmp_path), snapshot()
    spoil(made / "legacy" / f"{LAST}.csv")
    answer = take_all(office, made)
    assert (answer.code, answer.err) == (1, f"{made}/legacy/{LAST}.csv: is there, but is no file")
    assert idp(office, "legacy", "import", "--system", LAST, "--as-of", "2018-07-30", made / "legacy" / f"{LAST}.csv").code == 2
    assert snapshot() == before


def test_a_file_that_may_not_be_read_is_refused(office: Flask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made, before, opened = folder(tmp_path), snapshot(), Path.open

    def barred(path: Path, *more: Any, **others: Any) -> Any:
        if path.name == f"{LAST}.csv":
            raise PermissionError(13, "Permission denied")
        return opened(path, *more, **others)

    monkeypatch.setattr(Path, "open", barred)
    answer = take_all(office, made)
    assert (answer.code, answer.err.splitlines()[-1]) == (1, f"{made}/legacy/{LAST}.csv: cannot be read: Permission denied")
    assert snapshot() == before


def test_an_unknown_scheme_is_named_with_those_that_are_known(office: Flask, tmp_path: Path) -> None:
    registers()
    mapping, before = tmp_path / "m.toml", snapshot()
    mapping.write_text(Path("idp/legacy/mappings/export.toml").read_text("utf-8").replace("md5-hex-upper", "sha3"), "utf-8")
    answer = take(office, write(tmp_path, row()), "export", "2018-07-30", "--mapping", str(mapping))
    assert (answer.code, answer.err.startswith(f"{mapping}: password.scheme: unknown scheme; known are md5-hex-upper, ")) == (1, True)
    assert snapshot() == before


@pytest.mark.requirement("D19")
def test_the_same_user_twice_is_named_by_both_lines_however_far_apart(office: Flask, tmp_path: Path) -> None:
    registers()
    answer = take(office, write(tmp_path, *(row(name=f"user{number}") for number in range(2500)), row(name="USER7")))
    assert (answer.code, answer.lines) == (3, [f"{tmp_path / 'dump.csv'}:2502: 用户名: the same user name again; first in line 9"])
