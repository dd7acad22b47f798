"""When each step is needed. Reads only the transaction's facts; the order stands in app.py."""

from datetime import datetime

from idp.signin.models import SignInTransaction


def password_needed(row: SignInTransaction, _now: datetime) -> bool:
    """Until a password was right in this transaction; never where nobody signs in by it."""
    return "password_at" not in row.facts and not without_password(row)


def choose_needed(row: SignInTransaction, _now: datetime) -> bool:
    """When the password fitted several accounts of that name (D9), unless an e-key is to be shown that may tell."""
    if without_password(row):
        return row.account_id is None and bool(row.facts.get("choices"))
    return row.account_id is None and not key_may_tell(row)


def key_may_tell(row: SignInTransaction) -> bool:
    """Whether the password fitted several accounts and the e-key is asked which is meant, before the person is (D9)."""
    wanted = row.facts.get("ekey") == "must" or bool(row.facts.get("ekey_wanted"))
    return row.account_id is None and bool(row.facts.get("choices")) and wanted and not row.facts.get("key_tells_not")


def change_needed(row: SignInTransaction, _now: datetime) -> bool:
    """When a new password is due (R12, R40, R54): nothing leads past it."""
    return bool(row.facts.get("change_due"))


def contacts_needed(row: SignInTransaction, _now: datetime) -> bool:
    """When nobody has given a contact that can be proven yet (R29, D21), or the person wants to change it."""
    return bool(row.facts.get("contacts_due"))


def proof_needed(row: SignInTransaction, _now: datetime) -> bool:
    """When no contact is proven yet, until one is or it is put off (R57)."""
    return bool(row.facts.get("proof_due"))


def ekey_demanded(row: SignInTransaction) -> bool:
    """When nothing else will do: the caller takes only the e-key, or a second factor from somebody without an authenticator app."""
    lacking = row.account_id is not None and not row.facts.get("totp_on")
    return row.facts.get("ekey") == "must" or bool(row.facts.get("second") and lacking)


def ekey_needed(row: SignInTransaction, _now: datetime) -> bool:
    """When the e-key is demanded or the person wants to use it, until it was right or, where it is not demanded, skipped."""
    if linking(row):
        return "key_of_other" not in row.facts
    # a key that cannot be told by its certificate alone waits for TOTP
    if "ekey_at" in row.facts or (row.facts.get("ekey_found") and "totp_at" not in row.facts):
        return False
    return ekey_demanded(row) or bool(row.facts.get("ekey_wanted"))


def totp_needed(row: SignInTransaction, _now: datetime) -> bool:
    """When the account has an authenticator app, until its code was right or the e-key was; or when the caller demands it (R75)."""
    facts = row.facts
    if "totp_at" in facts:
        return False
    # threats G: a recovery is no way around it, by whatever road
    if recovering(row):
        return bool(facts.get("totp_on"))
    # a step-up asks for what it was opened for, not for all the account has
    own = bool(facts.get("totp_on")) and ("session" not in facts or bool(facts.get("second") or facts.get("ekey_found")))
    return facts.get("totp") == "must" or (own and ("ekey_at" not in facts or facts.get("totp") == "wish"))


def code_needed(row: SignInTransaction, _now: datetime) -> bool:
    """When rights rest on a code beside the password, or a key is to be reported, until it, TOTP or another e-key was right (R68)."""
    return bool(row.facts.get("code_due")) and not any(f"{proof}_at" in row.facts for proof in ("code", "totp", "ekey"))


def report_needed(row: SignInTransaction, _now: datetime) -> bool:
    """When the transaction is there to report a key: to the end, so that no session ever comes of it (R68)."""
    return bool(row.facts.get("report"))


def linking(row: SignInTransaction) -> bool:
    """Whether the transaction is there for another account's e-key, which is to be linked by it (R87): no factor of anybody's sign-in."""
    return bool(row.facts.get("link"))


def recovering(row: SignInTransaction) -> bool:
    """Whether the transaction is there for a forgotten password (R58): it ends with a new one, never in a session."""
    return bool(row.facts.get("recover"))


def without_password(row: SignInTransaction) -> bool:
    """Whether other proofs stand in the password's place; no session comes of it."""
    return linking(row) or recovering(row)


def link_needed(row: SignInTransaction, _now: datetime) -> bool:
    """When the transaction is there to link: to the end, so that no session ever comes of it (R87)."""
    return linking(row)
