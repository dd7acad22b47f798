"""Accounts as the merge makes them, for tests that need one without importing anything."""

import base64
import hashlib
from datetime import date

from idp import opaque_tokens
from idp.accounts import directory
from idp.accounts.models import Account, AccountKey, FormerPassword
from idp.db import session
from idp.enterprises.models import Enterprise
from idp.entitlements.models import Entitlement
from idp.key_register.models import EKey, EKeyLicence
from tests.conftest import SECRET
from tests.fakes import START

OLD, OTHER_OLD, NEW = "Export2018pass", "import-old-8", "Guangdong7Trade"
CODE = "0441987654321"
NAME = f"{CODE}-beijing"


def sha1_base64(password: str) -> str:
    return base64.b64encode(hashlib.sha1(password.encode(), usedforsecurity=False).digest()).decode()


def enterprise(code: str = CODE, status: str = "active") -> Enterprise:
    row = Enterprise(code=code, name="广东示例进出口有限公司", region="440000", status=status)
    session.add(row)
    session.flush()
    return row


def firm(person: Account) -> Enterprise:
    """The enterprise of somebody who has one."""
    assert person.enterprise is not None
    return person.enterprise


def account(owner: Enterprise, names: list[str], user_class: int = 1) -> Account:
    row = Account(sub=opaque_tokens.make(), enterprise=owner, user_class=user_class, created_at=START, updated_at=START)
    for index, name in enumerate(names):
        directory.add_name(row, name, canonical=index == 0, local_name=name.split("-")[-1])
    session.add(row)
    session.flush()
    return row


def former(owner: Account, password: str, system: str = "import", *, enabled: bool = True) -> None:
    sealed = opaque_tokens.seal(SECRET, "former-password", sha1_base64(password))
    session.add(FormerPassword(account_id=owner.id, system=system, scheme="sha1-base64", sealed_hash=sealed, enabled=enabled))


def key(owner: Account, licences: list[str], serial: str = "EK76DA6FAE991C57") -> EKey:
    row = EKey(serial=serial, enterprise_id=owner.enterprise_id, issued=date(2017, 1, 1), expires=date(2037, 1, 1))
    row.licences = [EKeyLicence(system=system) for system in licences]
    session.add(row)
    session.flush()
    owner.keys.append(AccountKey(serial=serial))
    return row


def approve(owner: Account, system: str, state: str = "approved") -> None:
    session.add(Entitlement(account_id=owner.id, system=system, state=state, since=START))


def beijing() -> Account:
    """The account of the manual: export and import on one key, two old passwords, class 1."""
    row = account(enterprise(), [NAME])
    former(row, OLD, "export")
    former(row, OTHER_OLD, "import")
    key(row, ["export", "import"])
    return row
