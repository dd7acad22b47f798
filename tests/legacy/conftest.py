from collections.abc import Iterator

import pytest
from flask import Flask

from idp.db import session, transaction
from idp.entitlements import systems
from tests.legacy.linkable import mine as mine
from tests.legacy.linkable import other as other
from tests.legacy.linkable import world as world


@pytest.fixture
def office(app: Flask) -> Iterator[Flask]:
    """An app whose business systems are known; queries of the test see what commands wrote."""
    with app.app_context():
        with transaction():
            systems.load()
        session.remove()
        yield app
