"""An app with signing keys, business systems and one person with the export licence."""

from dataclasses import dataclass

import pytest
from flask import Flask

from idp.accounts import directory
from idp.accounts.models import Account
from idp.db import session, transaction
from idp.entitlements import systems
from idp.oidc import keys
from idp.oidc.keys import NewKey
from tests import people
from tests.conftest import SECRET
from tests.fakes import FakeClock
from tests.relying_party import RelyingParty, store_keys

SCOPE = "openid profile licence:export"
REFRESHES = ["authorization_code", "refresh_token"]


@dataclass(frozen=True)
class Somebody:
    id: int
    sub: str


@pytest.fixture(scope="session")
def signing_keys() -> list[NewKey]:
    return [keys.make(alg, SECRET) for alg in keys.ALGORITHMS for _ in range(2)]


@pytest.fixture
def platform(app: Flask, clock: FakeClock, signing_keys: list[NewKey]) -> Flask:
    """The app, ready to sign."""
    with app.app_context(), transaction():
        systems.load()
        store_keys(signing_keys, clock.now())
    return app


@pytest.fixture
def beijing(platform: Flask, clock: FakeClock) -> Somebody:
    """Somebody whose key was opened for export and import, with old names there, and proven contacts."""
    with platform.app_context(), transaction():
        row = people.account(people.enterprise(), [people.NAME])
        people.key(row, ["export", "import"])
        directory.add_name(row, people.NAME, system="export", local_name="beijing")
        directory.add_name(row, people.NAME, system="import", local_name="bj-import")
        row.display_name, row.email, row.mobile = "王小明", "wang@example.com", "+8613800138000"
        row.email_proven_at = clock.now()
        session.flush()
        return Somebody(row.id, row.sub)


@pytest.fixture
def shanghai(platform: Flask) -> Somebody:
    """Somebody else, without any licence."""
    with platform.app_context(), transaction():
        row = people.account(people.enterprise("3100987654321"), ["3100987654321-shanghai"])
        return Somebody(row.id, row.sub)


@pytest.fixture
def rp(platform: Flask, clock: FakeClock) -> RelyingParty:
    """The export system: one of the ministry's own."""
    return RelyingParty(platform, clock, system="export", scope="openid profile email phone enterprise licence:export")


@pytest.fixture
def refreshing(platform: Flask, clock: FakeClock) -> RelyingParty:
    """The export system, with a secret and refresh tokens."""
    return RelyingParty(platform, clock, system="export", scope=SCOPE, grant_types=REFRESHES)


@pytest.fixture
def public(platform: Flask, clock: FakeClock) -> RelyingParty:
    """A client without a secret, whose refresh tokens are rotated."""
    return RelyingParty(platform, clock, "public", None, token_endpoint_auth_method="none", scope=SCOPE, grant_types=REFRESHES)


def account(somebody: Somebody) -> Account:
    return session.get_one(Account, somebody.id)
