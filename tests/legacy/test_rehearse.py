import os
from pathlib import Path

import pytest
from flask import Flask

from idp.legacy import rehearsal
from tests.command_line import idp
from tests.legacy.dumps import snapshot

DATA = Path(__file__).parent.parent.parent / "sample_data"


@pytest.fixture(autouse=True)
def scratch(tmp_path: Path) -> Path:
    folder = tmp_path / "scratch"
    folder.mkdir()
    return folder


def _rehearse(app: Flask, scratch: Path, folder: Path, *more: object) -> tuple[int, str, str]:
    before = snapshot()
    said = idp(app, "legacy", "rehearse", folder, "--as-of", "2018-07-30", "--scratch", scratch, *more)
    assert snapshot() == before
    assert list(scratch.iterdir()) == []
    return said.code, said.out, said.err


@pytest.mark.slow
@pytest.mark.requirement("R92")
def test_what_passes_says_so_with_time_and_memory_and_leaves_nothing_behind(office: Flask, scratch: Path) -> None:
    code, out, _err = _rehearse(office, scratch, DATA, "--probes", DATA / "probes.csv")
    assert (code, out.splitlines()[-1]) == (0, "it would pass")
    steps = [line.split(":")[0] for line in out.splitlines() if " MB at most" in line]
    assert steps == ["init", "legacy import-all", "legacy merge", "legacy verify", "legacy status"]
    assert "0 accounts that no password opens · 0 names beyond reach" in out


@pytest.mark.slow
def test_rows_that_would_be_left_out_are_counted_and_the_first_ones_named(office: Flask, scratch: Path, tmp_path: Path) -> None:
    folder = _copy(tmp_path)
    dump = folder / "legacy" / "import.csv"
    text = dump.read_bytes()
    dump.write_bytes(text + text.splitlines(keepends=True)[1] * 3)
    code, out, err = _rehearse(office, scratch, folder, "--show", "2")
    assert (code, out.splitlines()[-1]) == (3, "it would pass, but not for everybody")
    assert "3 rows would be left out" in out
    assert len([line for line in err.splitlines() if "import.csv:" in line]) == 2


@pytest.mark.slow
def test_a_broken_dump_and_a_wrong_probe_would_not_pass(office: Flask, scratch: Path, tmp_path: Path) -> None:
    folder = _copy(tmp_path)
    probes = tmp_path / "probes.csv"
    probes.write_text("system,username,enterprise_code,password\nexport,beijing,0441987654321,planted-wrong-one\n")
    code, _out, err = _rehearse(office, scratch, folder, "--probes", probes)
    assert (code, "probes.csv:2" in err, "planted" in err) == (1, True, False)
    (folder / "legacy" / "export.csv").write_bytes(b"\0")
    code, _out, err = _rehearse(office, scratch, folder)
    assert (code, "export.csv:1: a NUL byte" in err) == (1, True)


def _copy(tmp_path: Path) -> Path:
    folder = tmp_path / "dumps"
    (folder / "legacy").mkdir(parents=True)
    for name in ("enterprises.csv", "ekeys.csv", *(f"legacy/{file.name}" for file in (DATA / "legacy").iterdir())):
        (folder / name).write_bytes((DATA / name).read_bytes())
    return folder


def test_the_scratch_database_is_private_and_removed_after_an_error_too(scratch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IDP_DATABASE_URL", "postgresql+psycopg://production")

    def fail() -> None:
        with rehearsal.scratch(scratch) as place:
            assert place.folder.stat().st_mode & 0o77 == 0
            assert place.environment["IDP_DATABASE_URL"] == f"sqlite:///{place.folder}/scratch.db"
            assert place.environment["IDP_SECRET_KEY"] != os.environ.get("IDP_SECRET_KEY")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert list(scratch.iterdir()) == []
