"""A merge that is killed (SIGKILL) in the middle: what is there is whole, and the next one finishes it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import func, select

from idp.accounts.models import Account, FormerPassword
from idp.audit.models import AuditEvent
from idp.db import session, transaction
from idp.enterprises.models import Enterprise
from idp.legacy import merge
from idp.legacy.models import LegacyAccountChange, LegacyRow, LegacyRun
from idp.settings import Settings
from tests.command_line import OPERATED, idp
from tests.conftest import SECRET
from tests.legacy.dumps import row, take, write

pytestmark = pytest.mark.slow
FIRMS = 12
# two enterprises a batch; killed in the third transaction: before it writes, in the middle, right before its commit, or after it
PROGRAM = """
import os, signal, sys
from idp.app import create_app
from idp.legacy import merge, merge_writing
from tests.fakes import START
merge.ENTERPRISES_A_BATCH = 2
where, calls = sys.argv[1], 0
module, name = (merge_writing, "_join") if where == "middle" else (merge.merge_writing, "write")
plain = getattr(module, name)
def stop(*given):
    global calls
    calls += 1
    if calls == 3 and where == "before":
        os.kill(os.getpid(), signal.SIGKILL)
    plain(*given)
    if calls == 3 and where in ("middle", "commit"):
        os.kill(os.getpid(), signal.SIGKILL)
setattr(module, name, stop)
def advance(done, total):
    if done == 6 and where == "after":
        os.kill(os.getpid(), signal.SIGKILL)
with create_app().app_context():
    merge.apply(START, "sensitive", advance)
"""


@pytest.fixture
def ready(office: Flask, tmp_path: Path) -> Flask:
    with transaction():
        session.add_all([Enterprise(code=f"9999{number:09}", name="x") for number in range(FIRMS)])
    rows = [row(name, code=f"9999{number:09}", key="") for number in range(FIRMS) for name in ("a", "b")]
    assert take(office, write(tmp_path, *rows)).code == 0
    return office


def count(column: type) -> int:
    session.rollback()
    return session.scalar(select(func.count()).select_from(column)) or 0


@pytest.mark.store
@pytest.mark.parametrize(("where", "made"), [("before", 8), ("middle", 8), ("commit", 8), ("after", 12)])
def test_it_goes_on_where_it_was_killed_and_nothing_is_lost_or_doubled(
    ready: Flask, settings: Settings, where: str, made: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = Path(__file__).parents[2]
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(root), "IDP_SECRET_KEY": SECRET}
    environment |= {"IDP_DATABASE_URL": settings.database, "IDP_DATA_DIR": str(settings.data_dir)}
    session.remove()
    killed = subprocess.run([sys.executable, "-c", PROGRAM, where], env=environment, cwd=root, capture_output=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    assert count(Account) == made
    assert session.scalar(select(func.count()).where(LegacyRow.account_id.is_(None), ~LegacyRow.unmerged)) == 0
    (run,) = session.scalars(select(LegacyRun).where(LegacyRun.kind == "merge"))
    assert run.finished_at is None
    monkeypatch.setattr(merge, "ENTERPRISES_A_BATCH", 2)
    assert idp(ready, "legacy", "merge", "--apply", "--unprobed", *OPERATED).out == f"{2 * FIRMS - made} made · 0 joined · 0 updated\n"
    session.remove()
    (run,) = session.scalars(select(LegacyRun).where(LegacyRun.kind == "merge"))
    assert (run.finished_at is not None, run.counts) == (True, {"made": 2 * FIRMS})
    assert (count(Account), count(LegacyAccountChange)) == (2 * FIRMS, 2 * FIRMS)
    owners = session.scalars(select(LegacyRow.account_id)).all()
    assert (None not in owners, len(set(owners))) == (True, 2 * FIRMS)
    assert session.scalar(select(func.count()).where(FormerPassword.account_id.is_(None))) == 0
    assert len(session.scalars(select(AuditEvent).where(AuditEvent.event == "legacy.merged")).all()) == 2 * FIRMS
