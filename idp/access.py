"""Who may come in: what a view declares. web.py reads it before the view runs."""

from collections.abc import Callable
from typing import Any, TypeVar

View = TypeVar("View", bound=Callable[..., Any])


class Access:
    """Decorators by which a view declares who may come in; outermost under the route."""

    def _declare(self, kind: str, view: View) -> View:
        view.__dict__["access"] = kind
        return view

    def anyone(self, view: View) -> View:
        """A page for everybody; its forms carry a CSRF token."""
        return self._declare("anyone", view)

    def person(self, view: View) -> View:
        """Only with a live session; others are led to sign-in and back."""
        return self._declare("person", view)

    def officer(self, *roles: str) -> Callable[[View], View]:
        """Only for an account that holds one of `roles` (none named: any), in a session proven by TOTP or e-key (R90); for others it is not there."""

        def declare(view: View) -> View:
            view.__dict__["roles"] = frozenset(roles)
            return self._declare("officer", view)

        return declare

    def protocol(self, view: View) -> View:
        """An OAuth endpoint: authenticates its callers itself, no CSRF token."""
        return self._declare("protocol", view)

    def asset(self, view: View) -> View:
        """Public bytes without a person in them: no cookie, no page, may be cached."""
        return self._declare("asset", view)


access = Access()
