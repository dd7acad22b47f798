"""Old hashes as an import keeps them: sealed, in accounts.FormerPassword and nowhere else (R62)."""

from collections.abc import Sequence

from idp import opaque_tokens
from idp.accounts.credentials import PURPOSE
from idp.accounts.models import FormerPassword
from idp.db import insert_numbered
from idp.legacy.dump_row import Entry
from idp.legacy.mapping import Dump


def keep(entries: Sequence[tuple[Entry, int | None]], dump: Dump) -> Sequence[int]:
    """Keep the old hashes of entries, each for its account where there is one already; their numbers, in the same order."""
    form = dump.mapping.password
    hashes = [
        {
            "account_id": account_id,
            "system": dump.system,
            "scheme": form.scheme,
            "encoding": form.encoding,
            "sealed_hash": opaque_tokens.seal(dump.secret, PURPOSE, entry.password),
            "enabled": entry.enabled,
        }
        for entry, account_id in entries
    ]
    return insert_numbered(FormerPassword, hashes)


def same(scheme: str | None, encoding: str | None, sealed_hash: str | None, entry: Entry, dump: Dump) -> bool:
    """Whether what is kept of an old password (None: nothing) is what the dump says."""
    if sealed_hash is None or not entry.password:
        return sealed_hash is None and not entry.password
    form = dump.mapping.password
    return (scheme, encoding) == (form.scheme, form.encoding) and opaque_tokens.unseal(dump.secret, PURPOSE, sealed_hash) == entry.password
