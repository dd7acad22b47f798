"""What importing commands say on a terminal, and which folders `import-all` takes."""

import shutil
from pathlib import Path

import pytest
from flask import Flask

from tests.command_line import OPERATED, Said, idp
from tests.conftest import DATA
from tests.legacy.dumps import EXPORT_HEADER, registers, row, snapshot

pytestmark = pytest.mark.slow

MAPPING = Path("idp/legacy/mappings/export.toml")
ESCAPES = ["\x1b[2J", "\x1b]0;title\x07", "\x9b31m", "\u202e", "\u200b"]


@pytest.fixture
def ready(office: Flask) -> Flask:
    registers()
    return office


@pytest.mark.parametrize("escape", ESCAPES)
@pytest.mark.parametrize("column", range(10))
def test_no_escape_sequence_of_a_dump_reaches_the_terminal(ready: Flask, tmp_path: Path, column: int, escape: str) -> None:
    cells = row().split(",")
    cells[column] += escape + "x"
    header = EXPORT_HEADER.split(",")
    header[column] += escape
    said = [
        _take_utf8(ready, tmp_path, EXPORT_HEADER, ",".join(cells)),
        _take_utf8(ready, tmp_path, ",".join(header), row()),
        _take_utf8(ready, tmp_path, f"{EXPORT_HEADER},{escape},{escape}", f"{row()},,"),
        idp(ready, "legacy", "merge", "--plan"),
        idp(ready, "legacy", "merge", "--apply", "--unprobed", *OPERATED),
    ]
    for each in said:
        assert all(sign.isprintable() or sign == "\n" for sign in each.out + each.err)
    assert said[2].code == 1
    # the firm's name is not taken from a dump; a mobile number or mail address that is none is only left empty
    assert said[0].code == (0 if column in (3, 6, 7) else 3)


def _take_utf8(app: Flask, folder: Path, *lines: str) -> Said:
    """Import a dump in the export form but in UTF-8, which can write every sign."""
    mapping, file = folder / "utf8.toml", folder / "utf8.csv"
    mapping.write_text(MAPPING.read_text("utf-8").replace('encoding = "gb18030"\nseparator', 'encoding = "utf-8"\nseparator'), "utf-8")
    file.write_text("".join(f"{line}\n" for line in lines), "utf-8")
    return idp(app, "legacy", "import", "--system", "export", "--as-of", "2018-07-30", "--mapping", mapping, *OPERATED, file)


@pytest.mark.parametrize("there", [(), ("enterprises.csv",), ("enterprises.csv", "ekeys.csv"), ("legacy/export.csv",)])
def test_a_folder_that_is_not_one_of_dumps_is_refused_by_what_is_missing(office: Flask, tmp_path: Path, there: tuple[str, ...]) -> None:
    (tmp_path / "legacy").mkdir()
    for name in there:
        shutil.copy(DATA / name, tmp_path / name)
    before = snapshot()
    said = idp(office, "legacy", "import-all", tmp_path, "--as-of", "2018-07-30", *OPERATED)
    assert said.code == 1
    assert said.err.startswith(f"{tmp_path}: not there: ")
    for name in ("enterprises.csv", "ekeys.csv", "legacy/export.csv", "legacy/textile_origin.csv"):
        assert (name in said.err) == (name not in there)
    assert snapshot() == before


def test_a_dump_that_is_missing_is_named(office: Flask, tmp_path: Path) -> None:
    shutil.copytree(DATA, tmp_path / "data")
    (tmp_path / "data" / "legacy" / "dual_use.csv").unlink()
    said = idp(office, "legacy", "import-all", tmp_path / "data", "--as-of", "2018-07-30", *OPERATED)
    assert (said.code, said.lines[0]) == (0, f"{tmp_path}/data/legacy/dual_use.csv: not there; passed over")
