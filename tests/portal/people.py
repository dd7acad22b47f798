"""People with rights, made straight in the tables: what the hall's tests and the looks of pages stand on."""

from datetime import date, datetime

from sqlalchemy import select

from idp.accounts.models import Account, AccountKey, AccountName
from idp.db import session
from idp.enterprises.models import Enterprise
from idp.entitlements import systems
from idp.entitlements.models import BusinessSystem, Entitlement
from idp.key_register.models import EKey, EKeyLicence
from idp.sessions import lifecycle

CODE, NAME = "0441987654321", "0441987654321-beijing"


def load_systems() -> None:
    """The eight systems; inside a transaction."""
    systems.load()


def trader(now: datetime, *licences: str, key_status: str = "active", expires: date | None = None, approved: bool = False) -> Account:
    """One account with one key that was opened for `licences`; inside a transaction."""
    serial = f"EK{len(session.scalars(select(EKey.serial)).all()):08d}"
    firm = session.scalar(select(Enterprise).where(Enterprise.code == CODE))
    firm = firm or Enterprise(code=CODE, uscc="91440000987654321A", name="广东示例进出口有限公司", name_en="Guangdong Sample Trading Co., Ltd.")
    key = EKey(serial=serial, enterprise=firm, status=key_status, expires=expires, licences=[EKeyLicence(system=system) for system in licences])
    account = Account(sub=serial, enterprise=firm, user_class=1, created_at=now, updated_at=now)
    account.names = [AccountName(name=NAME, name_key=NAME, canonical=True)]
    session.add_all([key, account])
    session.flush()
    session.add(AccountKey(serial=serial, account_id=account.id))
    if approved:
        session.add(Entitlement(account_id=account.id, system="mech_electrical", state="approved", since=now))
    session.flush()
    return account


def sign_in(account: Account, now: datetime) -> str:
    """The session cookie's value of a fresh session; inside a transaction."""
    return lifecycle.start(account.id, account.epoch, {"password": now}, now, 12 * 3600)[1]


def set_start_url(system: str, url: str) -> None:
    """Where 进入应用 leads; inside a transaction."""
    session.get_one(BusinessSystem, system).start_url = url
