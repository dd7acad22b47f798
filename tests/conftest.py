"""Fixtures every test may use: settings, clock, letter box, an app on a fresh database.

Tests marked `store` run on SQLite and on PostgreSQL; all others on SQLite. The schema is made once per worker by the migrations and copied.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import create_engine, text

from idp.adapters import Adapters
from idp.app import create_app
from idp.db import db, upgrade
from idp.db import session as db_session
from idp.settings import Settings
from tests import postgres, quick

# one definition: two would be two readers in a worker
from tests.cards import cards as cards
from tests.cards import reader as reader
from tests.cards import rsa_template as rsa_template
from tests.cards import running_reader as running_reader
from tests.chromium import chromium as chromium  # a fixture for every folder
from tests.fakes import FakeClock, FakeWeb, LetterBox

SECRET = "a8sd7f6g5h4j3k2l1q0w9e8r7t6y5u4i"
DATA = Path(__file__).parent.parent / "sample_data"
quick.install()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each `store` test once per database."""
    if "database_url" in metafunc.fixturenames:
        both = metafunc.definition.get_closest_marker("store") is not None
        metafunc.parametrize("database_url", ["sqlite", "postgresql"] if both else ["sqlite"], indirect=True)


def _migrate(settings: Settings) -> None:
    app = create_app(settings)
    with app.app_context():
        upgrade()
        _dispose()


def _dispose() -> None:
    """Give every connection back, so that no file or server is held."""
    db_session.remove()
    db.engine.dispose()


def _admin(url: str, statement: str) -> None:
    """One statement about databases, which may not stand in a transaction."""
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(statement))
    engine.dispose()


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("template")
    settings = Settings(data_dir=folder, secret_key=SECRET)
    _migrate(settings)
    _admin(settings.database, "PRAGMA wal_checkpoint(TRUNCATE)")
    return folder / "idp.db"


@pytest.fixture(scope="session")
def postgres_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with postgres.server() as url:
        _admin(url.format(name="postgres"), "CREATE DATABASE template_idp")
        _migrate(Settings(data_dir=tmp_path_factory.mktemp("pg"), secret_key=SECRET, database_url=url.format(name="template_idp")))
        yield url


@pytest.fixture
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A fresh database of the asked-for kind."""
    if request.param == "sqlite":
        shutil.copy(request.getfixturevalue("sqlite_template"), tmp_path / "idp.db")
        yield f"sqlite:///{tmp_path / 'idp.db'}"
        return
    url = request.getfixturevalue("postgres_url")
    _admin(url.format(name="postgres"), "CREATE DATABASE test TEMPLATE template_idp")
    yield url.format(name="test")
    _admin(url.format(name="postgres"), "DROP DATABASE test WITH (FORCE)")


@pytest.fixture
def settings(tmp_path: Path, database_url: str) -> Settings:
    return Settings(data_dir=tmp_path, secret_key=SECRET, database_url=database_url)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def letter_box() -> LetterBox:
    return LetterBox()


@pytest.fixture
def far_servers() -> FakeWeb:
    """What outgoing requests find."""
    return FakeWeb()


@pytest.fixture
def app(settings: Settings, clock: FakeClock, letter_box: LetterBox, far_servers: FakeWeb) -> Iterator[Flask]:
    app = create_app(settings, Adapters(clock=clock, mail=letter_box.mail(), sms=letter_box.sms(), outbound=far_servers))
    app.testing = True
    app.config["SERVER_NAME"] = "127.0.0.1:8000"  # what Flask's test client calls; another host is refused
    yield app
    with app.app_context():
        _dispose()


@pytest.fixture
def context(app: Flask) -> Iterator[Flask]:
    """An application context, for tests of rules that read and write the database."""
    with app.app_context():
        yield app


@pytest.fixture
def browser(app: Flask) -> FlaskClient:
    return app.test_client()
