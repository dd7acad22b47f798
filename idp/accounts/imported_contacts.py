"""Contacts that came with the old systems' rows: offered at the first sign-in (R63), told when the old passwords die (R62)."""

from dataclasses import dataclass

from sqlalchemy import select

from idp import opaque_tokens
from idp.accounts.models import ImportedContact
from idp.db import session

KEY_CHARACTERS = 16


@dataclass(frozen=True)
class FormerContact:
    """One distinct imported contact: `kind` mobile | email, and the old systems that had it, in their codes' order."""

    kind: str
    value: str
    systems: tuple[str, ...]

    def key(self, secret: str) -> str:
        """What names this contact in a form or a queue; keyed by the master secret, for there are few enough numbers to try them all."""
        return opaque_tokens.keyed_digest(secret, "imported-contact", f"{self.kind}:{self.value}")[:KEY_CHARACTERS]


def former_contacts(account_id: int, *, disabled_too: bool = False) -> list[FormerContact]:
    """The distinct imported contacts of an account, mobile numbers first.

    Rows that were disabled count only for `disabled_too`: their people are told, but nobody is offered their numbers (D15).
    """
    statement = select(ImportedContact).where(ImportedContact.account_id == account_id)
    if not disabled_too:
        statement = statement.where(ImportedContact.enabled)
    found: dict[tuple[str, str], list[str]] = {}
    for row in session.scalars(statement.order_by(ImportedContact.kind.desc(), ImportedContact.value, ImportedContact.system)):
        found.setdefault((row.kind, row.value), []).append(row.system)
    return [FormerContact(kind, value, tuple(systems)) for (kind, value), systems in found.items()]
