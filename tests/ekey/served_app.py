"""The platform in this process on a real port, with a person whose key a development CA certifies."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from flask import Flask
from werkzeug.serving import make_server

from idp.db import db, session, transaction, upgrade
from idp.ekey import crl, revocation_cache
from idp.ekey.dev_ca import DevelopmentCa
from tests import people

SERIAL, PASSWORD, LIST = "EK76DA6FAE991C57", "Strong1Passw0rd", "http://dev-ca.invalid/ec.crl"


@contextmanager
def served(app: Flask, port: int) -> Iterator[None]:
    """Until the caller is done; the database is closed afterwards."""
    server = make_server("127.0.0.1", port, app, threaded=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield
    server.shutdown()
    server.server_close()
    with app.app_context():
        session.remove()
        db.engine.dispose()


def furnish(app: Flask, ca: DevelopmentCa, now: datetime) -> None:
    """The schema, people.NAME with PASSWORD and the key SERIAL, and the CA's lists."""
    with app.app_context():
        upgrade()
        with transaction():
            row = people.account(people.enterprise(), [people.NAME], user_class=3)
            people.former(row, PASSWORD)
            people.key(row, ["export"], SERIAL)
            row.email_proven_at = now
            fresh = crl.read(ca.lists(now)["ec"], ca.roots(), now)
            assert revocation_cache.keep(LIST, fresh, now) is None
