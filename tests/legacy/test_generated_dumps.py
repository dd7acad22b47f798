"""The dumps of `benchmarks`: the same for the same figures, all of them good, and with the mix that makes a merge work."""

import hashlib
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import func, select

from benchmarks import legacy_dumps
from idp import opaque_tokens
from idp.accounts import password_hashes
from idp.accounts.credentials import PURPOSE
from idp.accounts.models import FormerPassword
from idp.db import session
from idp.legacy.models import LegacyRow
from tests.command_line import OPERATED, idp
from tests.conftest import SECRET

pytestmark = pytest.mark.slow
ROWS = 600


def digest(folder: Path) -> str:
    found = hashlib.sha256()
    for file in sorted(folder.rglob("*.csv")):
        found.update(file.read_bytes())
    return found.hexdigest()


def test_the_same_figures_give_the_same_dumps(tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        legacy_dumps.write(tmp_path / name, 50, seed)
    assert digest(tmp_path / "a") == digest(tmp_path / "b") != digest(tmp_path / "c")


@pytest.mark.store
def test_every_row_is_taken_and_opens_by_its_password(office: Flask, tmp_path: Path) -> None:
    legacy_dumps.write(tmp_path, ROWS)
    said = idp(office, "legacy", "import-all", tmp_path, "--as-of", "2018-07-30", *OPERATED)
    assert (said.code, " 0 rejected" in said.out) == (0, True), said.err
    assert session.scalar(select(func.count()).select_from(LegacyRow)) == ROWS
    assert set(session.scalars(select(LegacyRow.system).distinct())) == set(legacy_dumps.SYSTEMS)
    passwords = [legacy_dumps.password(number) for number in range(legacy_dumps.HASHES_A_SYSTEM)]
    for system in legacy_dumps.SYSTEMS:
        former = session.scalars(select(FormerPassword).where(FormerPassword.system == system).limit(1)).one()
        stored = opaque_tokens.unseal(SECRET, PURPOSE, former.sealed_hash)
        assert sum(password_hashes.verify(former.scheme, former.encoding, stored, typed) for typed in passwords) == 1
    keys = session.execute(select(func.count(LegacyRow.id)).where(LegacyRow.key_serial != "").group_by(LegacyRow.key_serial)).scalars().all()
    assert max(keys) >= 6
    assert 0 < session.scalars(select(func.count(LegacyRow.id)).where(~LegacyRow.enabled)).one() < ROWS / 5
    names = session.execute(select(func.count(LegacyRow.id)).group_by(LegacyRow.system, LegacyRow.username_key)).scalars().all()
    assert max(names) > 2
    assert session.scalars(select(func.count(LegacyRow.id)).where(LegacyRow.key_serial == "")).one() > ROWS / 30
