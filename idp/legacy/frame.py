"""The cut-over banner of the sign-in page: given to all templates as `cutover_notices()`."""

from dataclasses import dataclass
from datetime import datetime

from flask import Flask
from sqlalchemy import select

from idp import web
from idp.db import session
from idp.entitlements.models import BusinessSystem
from idp.legacy import cutover


@dataclass(frozen=True)
class Banner:
    """One moment as the page says it; `systems` None = all of them."""

    at: datetime
    come: bool
    systems: list[BusinessSystem] | None


def _banners() -> list[Banner]:
    notices = cutover.notices(web.now())
    if not notices:
        return []
    known = session.scalars(select(BusinessSystem).order_by(BusinessSystem.position)).all()
    return [
        Banner(notice.at, notice.come, None if len(notice.systems) == len(known) else [each for each in known if each.code in notice.systems])
        for notice in notices
    ]


def init_app(app: Flask) -> None:
    """Make it known to the templates."""
    app.jinja_env.globals["cutover_notices"] = _banners
