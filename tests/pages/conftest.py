"""A running app with a person in it, for all tests of pages."""

import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.serving import make_server

from idp.adapters import Adapters
from idp.app import create_app
from idp.db import db, transaction
from idp.settings import Settings
from tests.conftest import SECRET
from tests.fakes import FakeClock, FakeWeb, LetterBox
from tests.pages import gallery


@dataclass(frozen=True)
class Stage:
    """The app, where it is served, and the cookie of the person who is signed in."""

    app: Flask
    address: str
    session: str


@pytest.fixture(scope="session")
def stage(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("pages")
    shutil.copy(sqlite_template, folder / "idp.db")
    box = LetterBox()
    app = create_app(Settings(data_dir=folder, secret_key=SECRET), Adapters(clock=FakeClock(), mail=box.mail(), sms=box.sms(), outbound=FakeWeb()))
    app.register_blueprint(gallery.pages)
    with app.app_context(), transaction():
        session = gallery.furnish()
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    app.config["SERVER_NAME"] = f"127.0.0.1:{server.port}"
    yield Stage(app, f"http://127.0.0.1:{server.port}", session)
    server.shutdown()
    thread.join()
    server.server_close()
    with app.app_context():
        db.engine.dispose()


@pytest.fixture
def visitor(stage: Stage) -> FlaskClient:
    """A browser without eyes or scripts, signed in."""
    client = stage.app.test_client()
    client.set_cookie("session", stage.session, domain="127.0.0.1")
    return client
