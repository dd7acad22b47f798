"""Dumps written by tests, in the form of the export and the mech-electrical mapping; and snapshots of what an import may change."""

import hashlib
from pathlib import Path

from flask import Flask
from sqlalchemy import inspect

from idp.db import Base, session, transaction
from idp.enterprises.models import Enterprise
from idp.key_register.models import EKey, EKeyLicence
from tests.command_line import OPERATED, Said, idp

CODE, OTHER_CODE = "0441987654321", "0100123456785"
KEY, OTHER_KEY = "EK0001", "EK0002"
EXPORT_HEADER = "用户名,密码,企业代码,企业名称,电子钥匙序列号,联系人,手机,邮箱,状态,最后登录"
VOLATILE = {"audit_events", "legacy_runs"}


def md5(password: str) -> str:
    return hashlib.md5(password.encode("gb18030"), usedforsecurity=False).hexdigest().upper()


def row(
    name: str = "beijing",
    password: str = "Export2018pass",
    code: str = CODE,
    key: str = KEY,
    mobile: str = "13800000001",
    status: str = "1",
    last: str = "2018-01-01",
) -> str:
    """One row in the form of the export dump."""
    return f"{name},{md5(password) if password else ''},{code},,{key},某人,{mobile},,{status},{last}"


def write(folder: Path, *rows: str, header: str = EXPORT_HEADER, name: str = "dump.csv") -> Path:
    file = folder / name
    file.write_bytes("".join(f"{line}\r\n" for line in (header, *rows)).encode("gb18030"))
    return file


def take(app: Flask, file: Path, system: str = "export", as_of: str = "2018-07-30", *options: str) -> Said:
    """`idp legacy import`. Dumps of other systems are written in the export form too, by its mapping."""
    form = [] if system == "export" else ["--mapping", Path("idp/legacy/mappings/export.toml").absolute()]
    return idp(app, "legacy", "import", "--system", system, "--as-of", as_of, *form, *options, *OPERATED, file)


def registers(licences: tuple[str, ...] = ("export", "import")) -> None:
    """Two enterprises; both keys belong to the first."""
    with transaction() as s:
        first, second = Enterprise(code=CODE, name="甲"), Enterprise(code=OTHER_CODE, name="乙")
        s.add_all([first, second])
        s.flush()
        for serial in (KEY, OTHER_KEY):
            s.add(EKey(serial=serial, enterprise_id=first.id, status="active", licences=[EKeyLicence(system=code) for code in licences]))


def snapshot(*but: str) -> dict[str, list[tuple[object, ...]]]:
    """Every row of every table but the named ones; a sealed hash stands for itself."""
    session.rollback()
    names = set(inspect(session.connection()).get_table_names())
    tables = [table for table in Base.metadata.sorted_tables if table.name in names and table.name not in but]
    found = {table.name: sorted((tuple(record) for record in session.execute(table.select())), key=repr) for table in tables}
    session.rollback()
    return found
