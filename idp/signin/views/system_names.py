"""Names of business systems in a row, in the language of the page: where an account's user names and contacts come from."""

from collections.abc import Collection

from sqlalchemy import select

from idp import i18n
from idp.db import session
from idp.entitlements.models import BusinessSystem


def listed(codes: Collection[str | None]) -> str:
    """In the order of the register of systems; "" for none."""
    rows = session.scalars(select(BusinessSystem).where(BusinessSystem.code.in_([code for code in codes if code])).order_by(BusinessSystem.position))
    return ", ".join(row.name_en for row in rows) if i18n.choose() == "en" else "、".join(row.name for row in rows)
