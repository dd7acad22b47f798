"""One page of the officers, as the table NAV in app.py names it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Link:
    """`label` completes the words officers.nav.… and officers.text.…; `roles` may open it (none: every officer); `icon` in static/icons/."""

    label: str
    endpoint: str
    roles: frozenset[str]
    icon: str
