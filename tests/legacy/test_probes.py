from pathlib import Path

import pytest
from flask import Flask

from idp.accounts.models import Account
from idp.db import session, transaction
from idp.enterprises.models import Enterprise
from idp.key_register.models import EKey
from tests.command_line import OPERATED, Said, idp
from tests.legacy.dumps import CODE, OTHER_CODE, registers, row, snapshot, take, write

RIGHT = "Export2018pass"


@pytest.fixture
def ready(office: Flask, tmp_path: Path) -> Flask:
    registers()
    users = (
        row("beijing"),
        row("off", key="", status="0"),
        row("empty", key="", password=""),
        row("twice", key=""),
        row("twice", code=OTHER_CODE, key=""),
    )
    take(office, write(tmp_path, *users))
    return office


def probes(folder: Path, *lines: str) -> Path:
    file = folder / "probes.csv"
    file.write_text("".join(f"{line}\n" for line in ("system,username,enterprise_code,password", *lines)))
    return file


def verify(app: Flask, folder: Path, *lines: str) -> Said:
    return idp(app, "legacy", "verify", "--probes", probes(folder, *lines))


def merge(app: Flask, *how: object) -> Said:
    return idp(app, "legacy", "merge", "--apply", *how, *OPERATED)


@pytest.mark.requirement("R92")
@pytest.mark.parametrize("merged", [False, True])
@pytest.mark.parametrize(
    ("line", "why"),
    [
        (f"export,beijing,,{RIGHT}", None),
        (f"export,ＢＥＩＪＩＮＧ,{CODE},{RIGHT}", None),
        (f"export,twice,{OTHER_CODE},{RIGHT}", None),
        (f"export,twice,,{RIGHT}", "give enterprise_code"),
        ("export,beijing,,Planted-wrong-1", "the password does not fit"),
        (f"export,nobody,,{RIGHT}", "no such user"),
        (f"import,beijing,,{RIGHT}", "no such user"),
        (f"export,beijing,9999999999999,{RIGHT}", "no such user"),
        (f"export,off,,{RIGHT}", "the user is disabled"),
        (f"export,empty,,{RIGHT}", "password"),
    ],
)
def test_a_probe_passes_where_its_account_opens(ready: Flask, tmp_path: Path, line: str, why: str | None, merged: bool) -> None:
    if merged:
        assert merge(ready, "--unprobed").code == 0
    said = verify(ready, tmp_path, f"export,beijing,,{RIGHT}", line)
    assert (said.code, f"{tmp_path / 'probes.csv'}:3: " in said.err) == (int(why is not None), why is not None)
    assert (why or "") in said.err
    assert not any(secret in said.out + said.err for secret in (RIGHT, "Planted"))


@pytest.mark.parametrize(
    ("change", "why"), [({"status": "disabled"}, "account is disabled"), ({"password_hash": "argon2"}, "has set a new password already")]
)
def test_an_account_that_would_not_open_fails_its_probe(ready: Flask, tmp_path: Path, change: dict[str, str], why: str) -> None:
    merge(ready, "--unprobed")
    with transaction():
        for account in session.query(Account):
            for name, value in change.items():
                setattr(account, name, value)
    assert why in verify(ready, tmp_path, f"export,beijing,,{RIGHT}").err


@pytest.mark.requirement("D15")
@pytest.mark.parametrize("merged", [False, True])
def test_a_cancelled_enterprise_fails_its_probe(ready: Flask, tmp_path: Path, merged: bool) -> None:
    if merged:
        merge(ready, "--unprobed")
    with transaction():
        session.query(Enterprise).filter_by(code=CODE).one().status = "cancelled"
    assert "enterprise is cancelled" in verify(ready, tmp_path, f"export,beijing,,{RIGHT}").err


@pytest.mark.requirement("D9")
def test_a_crowded_name_still_passes_by_its_code_form(ready: Flask, tmp_path: Path) -> None:
    with transaction() as s:
        for number in range(1, 6):
            s.add(firm := Enterprise(code=f"044198765432{number + 1}", name="丙"))
            s.flush()
            s.add(EKey(serial=f"KEY{number}", enterprise_id=firm.id, status="active"))
    take(ready, write(tmp_path, *(row("zhang", code=f"044198765432{n + 1}", key=f"KEY{n}") for n in range(1, 6)), name="dual.csv"), "dual_use")
    for _ in range(2):
        assert verify(ready, tmp_path, f"dual_use,zhang,0441987654326,{RIGHT}").code == 0
        merge(ready, "--unprobed")


def test_a_merge_does_not_begin_while_a_probe_fails(ready: Flask, tmp_path: Path) -> None:
    wrong = probes(tmp_path, f"export,beijing,,{RIGHT}", "export,beijing,,wrong")
    before = snapshot()
    assert merge(ready, "--probes", wrong).code == 1
    assert snapshot() == before
    said = merge(ready, "--probes", probes(tmp_path, f"export,beijing,,{RIGHT}"))
    assert (said.code, said.out.count("1 probes open their accounts")) == (0, 2)


@pytest.mark.parametrize("lines", [(), ("export,beijing",)])
def test_a_file_without_a_whole_probe_is_refused(ready: Flask, tmp_path: Path, lines: tuple[str, ...]) -> None:
    assert verify(ready, tmp_path, *lines).code == 1
