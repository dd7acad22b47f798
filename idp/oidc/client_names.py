"""Names that a client may not give itself: those of the ministry's systems and clients, and what only looks like them.

The pages show beside a name where the sign-in leads; this keeps the plainest lies off them. What an operator registers is not judged.
"""

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache

from sqlalchemy import select

from idp.db import session
from idp.entitlements import systems
from idp.oidc.models import ClientRecord
from idp.oidc.registration import Registration

# scripts with letters that cannot be told from one another's
ALIKE = ("LATIN", "CYRILLIC", "GREEK")
# the ministry and its platform: no name of a stranger may hold them
OURS = ("商务部", "许可证统一管理平台", "许可证统一平台", "业务系统统一平台", "统一身份认证", "Ministry of Commerce", "MOFCOM", "Licence Platform")
# letters in which nobody writes a name, but which look like those that people write
ODD = re.compile(r"SMALL CAPITAL|MODIFIER LETTER|LETTER TURNED|LETTER REVERSED|LETTER INVERTED|LETTER SIDEWAYS|LISU|CHEROKEE|COPTIC")
# traditional forms and look-alikes of the characters in reserved names
FOLD = str.maketrans(
    "許證進動電機產單兩項術農產關稅額紡織統業務係係繫檯臺囗冂曰貿屬製書錄認",
    "许证进动电机产单两项术农产关税额纺织统业务系系系台台口口日贸属制书录认",
)


def fault(own: Registration) -> str | None:
    """Why a client may not be called what it calls itself (for its developers), or None; reads the ministry's clients."""
    if own.first_party:
        return None
    names = {"client_name": own.client_name, "client_name#en": own.client_name_en}
    mixed = next((member for member, name in names.items() if _mixed(name)), None)
    if mixed is not None:
        return f"{mixed}: mixes alphabets that look alike"
    odd = next((member for member, name in names.items() if _odd(name)), None)
    if odd is not None:
        return f"{odd}: letters that are used in no language's names"
    reserved = _of_systems() | _plain(_of_clients(own.client_id))
    taken = next((member for member, name in names.items() if _taken(_bare(name), reserved)), None)
    return f"{taken}: the name of a system of the ministry" if taken is not None else None


def _bare(name: str) -> str:
    """What is left of a name for the eye: one width and case, no blanks, marks or punctuation."""
    folded = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", name).casefold())
    return "".join(sign for sign in folded if unicodedata.category(sign)[0] in "LN" and "FILLER" not in unicodedata.name(sign, "")).translate(FOLD)


def _taken(bare: str, reserved: frozenset[str]) -> bool:
    return bare in reserved or any(each in bare for each in _plain(OURS))


def _odd(name: str) -> bool:
    # the compatibility forms (full width, ligatures) are judged as what they stand for
    letters = [unicodedata.name(sign, "") for sign in unicodedata.normalize("NFKC", name) if unicodedata.category(sign)[0] == "L"]
    return any(ODD.search(letter) for letter in letters)


def _plain(names: Iterable[str]) -> frozenset[str]:
    return frozenset(bare for bare in map(_bare, names) if bare)


def _mixed(name: str) -> bool:
    letters = (unicodedata.name(sign, "") for sign in unicodedata.normalize("NFKC", name) if unicodedata.category(sign)[0] == "L")
    return len({script for letter in letters for script in ALIKE if letter.startswith(f"{script} ")}) > 1


@lru_cache(maxsize=1)
def _of_systems() -> frozenset[str]:
    found = systems.read().values()
    return _plain(name for each in found for name in (each.name, each.name_en, each.short_name, each.short_name_en))


def _of_clients(but: str) -> list[str]:
    rows = session.scalars(select(ClientRecord.registration).where(ClientRecord.client_id != but))
    return [str(each.get(member, "")) for each in rows if each.get("first_party") for member in ("client_name", "client_name#en")]
