import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import flask_migrate
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from flask import Flask
from sqlalchemy import inspect, text

from idp import db as store
from idp.db import WRITE, Base, db
from idp.settings import Settings
from tests.conftest import SECRET, _admin

PROCESSES = 3


def _app(url: str, folder: Path) -> Flask:
    app = Flask("idp")
    store.init_app(app, Settings(data_dir=folder, secret_key=SECRET, database_url=url))
    return app


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database without any table."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'idp.db'}"
        return
    url = request.getfixturevalue("postgres_url")
    _admin(url.format(name="postgres"), "CREATE DATABASE empty")
    yield url.format(name="empty")
    _admin(url.format(name="postgres"), "DROP DATABASE empty WITH (FORCE)")


@pytest.fixture
def empty(empty_url: str, tmp_path: Path) -> Iterator[Flask]:
    app = _app(empty_url, tmp_path)
    with app.app_context():
        yield app
        db.engine.dispose()


@pytest.mark.store
def test_the_revisions_make_what_the_models_say(empty: Flask) -> None:
    store.upgrade()
    with db.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "target_metadata": Base.metadata})
        assert compare_metadata(context, Base.metadata) == []


@pytest.mark.store
def test_every_revision_can_be_taken_back(empty: Flask) -> None:
    store.upgrade()
    flask_migrate.downgrade(revision="base")
    assert inspect(db.engine).get_table_names() == ["alembic_version"]
    store.upgrade()
    assert "accounts" in inspect(db.engine).get_table_names()


@pytest.mark.store
def test_a_second_upgrade_changes_nothing(empty: Flask) -> None:
    store.upgrade()
    with db.engine.execution_options(**WRITE).begin() as connection:
        connection.execute(text("INSERT INTO limit_windows (rule, key, ends_at, count) VALUES ('r', 'k', '2026-01-01 00:00:00', 1)"))
    store.upgrade()
    with db.engine.connect() as connection:
        assert connection.scalar(text("SELECT count FROM limit_windows")) == 1


FROM_BEFORE_LOGOS = (
    """INSERT INTO oidc_clients (client_id, version, registration, secrets, unknown, created_at, updated_at)
    VALUES ('rp', 3, '{}', '[]', '{}', '2026-01-01 00:00:00', '2026-01-01 00:00:00')""",
    """INSERT INTO signin_transactions (id, browser_digest, return_to, cancel_to, form_action, client_name, login_hint, facts, created_at, expires_at)
    VALUES ('t', 'b', '/', '', '[]', 'n', '', '{}', '2026-01-01 00:00:00', '2026-01-01 00:00:00')""",
    "INSERT INTO oidc_client_origins (origin, client_id) VALUES ('https://rp.example', 'rp')",
)


@pytest.mark.store
def test_clients_and_sign_ins_from_before_there_were_logos_live_on(empty: Flask) -> None:
    flask_migrate.upgrade(revision="0001")
    with db.engine.execution_options(**WRITE).begin() as connection:
        for row in FROM_BEFORE_LOGOS:
            connection.execute(text(row))
    store.upgrade()
    with db.engine.connect() as connection:
        assert connection.execute(text("SELECT version, generation FROM oidc_clients")).one() == (3, "")
        assert connection.execute(text("SELECT logo, policy_uri, tos_uri FROM signin_transactions")).one() == ("", "", "")
    flask_migrate.downgrade(revision="0001")
    with db.engine.connect() as connection:
        # SQLite makes the table anew: what hangs on its rows is still there
        assert connection.scalar(text("SELECT count(*) FROM oidc_client_origins")) == 1


FROM_BEFORE_REPORTS = (
    "INSERT INTO enterprises (id, code, name, name_en, region, status) VALUES (1, 'c', 'n', '', 'r', 'active')",
    """INSERT INTO accounts (id, sub, enterprise_id, user_class, status, display_name, epoch, created_at, updated_at)
    VALUES (1, 's', 1, 1, 'active', '', 1, '2026-01-01 00:00:00', '2026-01-01 00:00:00')""",
    "INSERT INTO account_names (account_id, name, name_key, canonical) VALUES (1, 'n', 'n', true)",
    "INSERT INTO ekeys (serial, enterprise_id, holder, status) VALUES ('EK1', 1, '', 'active'), ('EK2', 1, '', 'active')",
    """INSERT INTO ekey_bindings (serial, issuer, subject, not_after, bound_at, withdrawn_at) VALUES
    ('EK1', 'i', 'a', '2027-01-01 00:00:00', '2026-01-01 00:00:00', '2026-02-01 00:00:00'),
    ('EK2', 'i', 'b', '2027-01-01 00:00:00', '2026-01-01 00:00:00', NULL)""",
)


@pytest.mark.store
@pytest.mark.requirement("R68")
def test_a_key_that_was_withdrawn_before_there_were_reports_stays_withdrawn(empty: Flask) -> None:
    flask_migrate.upgrade(revision="0005")
    with db.engine.execution_options(**WRITE).begin() as connection:
        for row in FROM_BEFORE_REPORTS:
            connection.execute(text(row))
    store.upgrade()
    with db.engine.connect() as connection:
        assert connection.execute(text("SELECT serial, word FROM ekey_reports WHERE ended_at IS NULL")).all() == [("EK1", "withdrawn")]
        # SQLite makes the accounts anew: what hangs on them is still there
        assert connection.scalar(text("SELECT count(*) FROM account_names")) == 1


def _upgrade(url: str, folder: Path) -> bool:
    with _app(url, folder).app_context():
        store.upgrade()
        db.engine.dispose()
    return True


@pytest.mark.slow
@pytest.mark.store
def test_several_processes_may_start_at_once(empty_url: str, tmp_path: Path) -> None:
    """Each replica runs the upgrade when it starts: one does the work, the others wait."""
    with ProcessPoolExecutor(PROCESSES, multiprocessing.get_context("spawn")) as pool:
        assert all(pool.map(_upgrade, [empty_url] * PROCESSES, [tmp_path] * PROCESSES))


def test_foreign_keys_are_checked_again_after_an_upgrade(tmp_path: Path) -> None:
    app = _app(f"sqlite:///{tmp_path / 'idp.db'}", tmp_path)
    with app.app_context():
        store.upgrade()
        with db.engine.connect() as connection:
            assert connection.scalar(text("PRAGMA foreign_keys")) == 1
        db.engine.dispose()
