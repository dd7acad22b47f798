"""What was typed into a form when its session was over, kept for the same person in the same browser (R77; pages.md rule 8).

Plain values; every function but `read` runs inside a transaction. Which fields of which form: signin/views/drafts.py.
"""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import cast

from sqlalchemy import delete, select
from sqlalchemy.dialects import postgresql, sqlite

from idp import opaque_tokens
from idp.db import session
from idp.sessions.models import FormDraft

KEPT = timedelta(days=1)
MOST_CHARACTERS = 20_000
# of one account at a time; the oldest make room
MOST = 20


@dataclass(frozen=True)
class Place:
    """Whose draft, and of which page (its path)."""

    account_id: int
    page: str


def keep(place: Place, browser: str, fields: Mapping[str, str], secret: str, now: datetime) -> bool:
    """Keep the fields that hold something, in place of what was kept before; False if there are none, or too much. `browser`: its secret."""
    text = json.dumps({name: value for name, value in fields.items() if value})
    if text == "{}" or len(text) > MOST_CHARACTERS:
        return False
    key = {"account_id": place.account_id, "page_digest": opaque_tokens.digest(place.page), "browser_digest": opaque_tokens.digest(browser)}
    value = {"sealed": _seal(place, browser, secret, text), "kept_at": now}
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    session.execute(insert(FormDraft).values(**key, **value).on_conflict_do_update(index_elements=list(key), set_=value))
    _make_room(place.account_id)
    return True


def _seal(place: Place, browser: str, secret: str, text: str) -> str:
    return opaque_tokens.seal(secret + browser, _purpose(place), text)


def _purpose(place: Place) -> str:
    return f"form-draft/{place.account_id}/{opaque_tokens.digest(place.page)}"


def _make_room(account_id: int) -> None:
    newest = select(FormDraft.kept_at).where(FormDraft.account_id == account_id).order_by(FormDraft.kept_at.desc()).offset(MOST - 1).limit(1)
    last = session.scalar(newest)
    if last is not None:
        session.execute(delete(FormDraft).where(FormDraft.account_id == account_id, FormDraft.kept_at < last))


def read(place: Place, browsers: Collection[str], secret: str, now: datetime) -> dict[str, str]:
    """What was kept for this page by one of `browsers` (the secrets that this one has had), {} if nothing."""
    known = {opaque_tokens.digest(each): each for each in browsers}
    mine = (FormDraft.account_id == place.account_id, FormDraft.page_digest == opaque_tokens.digest(place.page))
    here = (FormDraft.browser_digest.in_(known), FormDraft.kept_at > now - KEPT)
    row = session.scalar(select(FormDraft).where(*mine, *here).order_by(FormDraft.kept_at.desc()).limit(1))
    if row is None:
        return {}
    return cast("dict[str, str]", json.loads(opaque_tokens.unseal(secret + known[row.browser_digest], _purpose(place), row.sealed)))


def drop(place: Place, browsers: Collection[str]) -> None:
    """The form was sent; what was kept for it has done its work."""
    known = [opaque_tokens.digest(each) for each in browsers]
    mine = (FormDraft.account_id == place.account_id, FormDraft.page_digest == opaque_tokens.digest(place.page))
    session.execute(delete(FormDraft).where(*mine, FormDraft.browser_digest.in_(known)))


def sweep(now: datetime) -> None:
    """Drop what nobody came back for (a job of the worker)."""
    session.execute(delete(FormDraft).where(FormDraft.kept_at <= now - KEPT))
