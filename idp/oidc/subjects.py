"""What a person is called at a client (`sub`): the account's own random name, or one per sector that nobody can connect (OIDC Core §8)."""

from typing import cast

from sqlalchemy import Table, bindparam, select
from sqlalchemy.dialects import postgresql, sqlite

from idp import opaque_tokens
from idp.db import session
from idp.oidc.client_models import PairwiseSubject
from idp.oidc.registration import Registration

_FIND = select(PairwiseSubject.sub).where(PairwiseSubject.account_id == bindparam("account_id"), PairwiseSubject.sector == bindparam("sector"))


def _paired(account_id: int, sector: str) -> str | None:
    return session.connection().execute(_FIND, {"account_id": account_id, "sector": sector}).scalar()


def known(account_id: int, own: str, registration: Registration) -> str:
    """What the client calls the account, whose own name is `own`; "" while it has no name in the client's sector, which equals no hint."""
    sector = registration.sector
    return own if sector is None else _paired(account_id, sector) or ""


def ensure(account_id: int, own: str, registration: Registration) -> str:
    """The same inside a transaction, with a name made at the first authorization; of two at once one makes it."""
    sector = registration.sector
    if sector is None:
        return own
    found = _paired(account_id, sector)
    if found is None:
        insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
        fresh = {"account_id": account_id, "sector": sector, "sub": opaque_tokens.make()}
        session.execute(insert(cast("Table", PairwiseSubject.__table__)).values(**fresh).on_conflict_do_nothing())
        found = _paired(account_id, sector)
    if found is None:
        raise RuntimeError("a pairwise name was neither made nor found")
    return found
