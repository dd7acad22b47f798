"""Names: how a typed one is compared (D9), and whom it may mean."""

import re
import unicodedata

from sqlalchemy import select

from idp.accounts.models import Account, AccountName
from idp.db import session

MAX_TYPED_CHARACTERS = 160
# A typed name leads to at most this many accounts; each costs a hash (D9: a constant, bounded number).
MAX_CANDIDATES = 4
# U+2010–U+2015 dashes, bullet, modifier and box-drawing ones, minus, small and full-width hyphens, katakana long mark typed by Chinese input methods
DASHES = dict.fromkeys(map(ord, "‐‑‒–—―⁃˗−─━⸺⸻﹘﹣－ー"), "-")
# Shift and the hyphen's key make a Chinese input method write its dash, which is two characters
DOUBLED = re.compile("[—―─━⸺⸻]{2,}")
CODE_FORM = re.compile(r"^([0-9]{4}[0-9A-Z]{9}|[0-9A-Z]{18})\s*-(.+)$", re.IGNORECASE | re.DOTALL)
BARE_CODE = re.compile(r"^([0-9]{4}[0-9A-Z]{9}|[0-9A-Z]{18})\s*-\s*$", re.IGNORECASE)


def local(name: str) -> str:
    """The part of a name that the enterprise's code is not."""
    found = CODE_FORM.match(name)
    return found[2].strip() if found else "" if BARE_CODE.match(name) else name


def normalise(typed: str) -> str:
    """The spelling that is stored and shown: dashes as `-`, NFKC, trimmed, code part upper-cased; "" if too long or empty (D9).

    The length is looked at before Unicode normalisation, which is quadratic on combining marks.
    """
    if len(typed) > MAX_TYPED_CHARACTERS:
        return ""
    text = unicodedata.normalize("NFKC", DOUBLED.sub("-", typed).translate(DASHES)).translate(DASHES).strip()
    found = CODE_FORM.match(text)
    text = f"{found[1].upper()}-{found[2].strip()}" if found else text
    return text if len(text) <= MAX_TYPED_CHARACTERS and text.isprintable() else ""


def is_code_form(typed: str) -> bool:
    """Whether it is written as most names are: an enterprise's code, a dash, something (R9). Says nothing about whether anybody has it."""
    return CODE_FORM.match(normalise(typed)) is not None


def name_key(typed: str) -> str:
    """What names are compared by: the normalised spelling without regard to case."""
    return normalise(typed).casefold()


def candidates(typed: str) -> list[Account]:
    """Accounts that claim this name, oldest first, at most MAX_CANDIDATES (D9)."""
    key = name_key(typed)
    if not key:
        return []
    claim = select(AccountName.account_id).where(AccountName.name_key == key)
    return list(session.scalars(select(Account).where(Account.id.in_(claim)).order_by(Account.id).limit(MAX_CANDIDATES)))


def add_name(account: Account, name: str, *, canonical: bool = False, system: str | None = None, local_name: str | None = None) -> AccountName:
    """Give the account one more name, unless it has that very one already."""
    spelled, key = normalise(name), name_key(name)
    for known in account.names:
        if known.name_key == key and known.system == system:
            return known
    added = AccountName(name=spelled, name_key=key, canonical=canonical, system=system, local_name=local_name)
    account.names.append(added)
    return added
