"""The catalogue of audit events: one typed function each, keyword-only ids, no secret and no personal data.

Each function adds its row to the caller's transaction. `reason` is a stable code, never a sentence;
`why` is what an operator gave as `--reason` at the command line, or an officer on the page.
"""

from datetime import datetime

from idp.audit.writing import write

# --- sign-in and sessions -------------------------------------------------------------------------------------------------------------------


def signin_refused(now: datetime, *, account_id: int | None, reason: str) -> None:
    """A step of a sign-in was refused; `account_id` only where exactly one account was meant."""
    write("signin.refused", now, account_id=account_id, detail={"reason": reason})


def signin_locked(now: datetime, *, account_id: int | None, seconds: int, scope: str) -> None:
    """Wrong passwords in a row locked (`scope`: device or account) for `seconds`."""
    write("signin.locked", now, account_id=account_id, detail={"seconds": seconds, "scope": scope})


def session_started(now: datetime, *, account_id: int, session_id: int, amr: list[str]) -> None:
    """A sign-in was completed."""
    write("session.started", now, account_id=account_id, session_id=session_id, detail={"amr": amr})


def session_ended(now: datetime, *, account_id: int, session_id: int, reason: str) -> None:
    """A session ended (signed_out, idle, absolute, password_changed, other_account, …)."""
    write("session.ended", now, account_id=account_id, session_id=session_id, detail={"reason": reason})


# --- accounts -------------------------------------------------------------------------------------------------------------------------------


def password_changed(now: datetime, *, account_id: int, reason: str, old_hashes: int) -> None:
    """A new password was set; `old_hashes` former hashes died with it."""
    write("account.password.changed", now, account_id=account_id, detail={"reason": reason, "old_hashes": old_hashes})


def password_rehashed(now: datetime, *, account_id: int, old_hashes: int) -> None:
    """A strong old password became the platform password (R56); `old_hashes` former hashes died."""
    write("account.password.rehashed", now, account_id=account_id, detail={"old_hashes": old_hashes})


def old_passwords_expired(now: datetime, *, old_hashes: int) -> None:
    """The time after the cut-over is over: unused old hashes died (R62)."""
    write("account.old_passwords.expired", now, detail={"old_hashes": old_hashes})


def contacts_given(now: datetime, *, account_id: int, kinds: list[str]) -> None:
    """The person gave contacts (unproven); `kinds` of mobile, email."""
    write("account.contacts.given", now, account_id=account_id, detail={"kinds": kinds})


def totp_switched_on(now: datetime, *, account_id: int) -> None:
    """An authenticator app was confirmed; from now on sign-ins ask for its code."""
    write("account.totp.on", now, account_id=account_id)


def totp_begun_elsewhere(now: datetime, *, account_id: int) -> None:
    """An enrolment link was opened in another browser than before; the secret that was shown there is void."""
    write("account.totp.begun_elsewhere", now, account_id=account_id)


def totp_switched_off(now: datetime, *, account_id: int) -> None:
    """The authenticator app and the recovery codes were dropped."""
    write("account.totp.off", now, account_id=account_id)


def totp_refused(now: datetime, *, account_id: int, reason: str) -> None:
    """A code of an authenticator app or a recovery code was refused (totp_wrong, recovery_wrong, too_many)."""
    write("account.totp.refused", now, account_id=account_id, detail={"reason": reason})


def recovery_codes_made(now: datetime, *, account_id: int) -> None:
    """New recovery codes were shown; those before count no more."""
    write("account.recovery_codes.made", now, account_id=account_id)


def recovery_code_used(now: datetime, *, account_id: int) -> None:
    """A recovery code stood in for the authenticator app."""
    write("account.recovery_codes.used", now, account_id=account_id)


def contact_changed(now: datetime, *, account_id: int, kind: str, by: str) -> None:
    """Another contact stands in the place of one (R57); `by`: first, code, totp, ekey, or wait (72 hours without an objection)."""
    write("account.contact.changed", now, account_id=account_id, detail={"kind": kind, "by": by})


def contact_change_waits(now: datetime, *, account_id: int, kind: str) -> None:
    """Another contact is proven, and nothing else; it counts after 72 hours."""
    write("account.contact.waits", now, account_id=account_id, detail={"kind": kind})


def contact_change_stopped(now: datetime, *, account_id: int, kind: str) -> None:
    """Such a change was stopped, on the account's page or by the link that its contacts were sent."""
    write("account.contact.stopped", now, account_id=account_id, detail={"kind": kind})


def contact_proven(now: datetime, *, account_id: int, kind: str) -> None:
    """The person typed the code that went to their mobile number or e-mail (`kind`)."""
    write("account.contact.proven", now, account_id=account_id, detail={"kind": kind})


def name_chosen(now: datetime, *, account_id: int, again: bool) -> None:
    """The person chose a user name of its own (D9); `again`: in the place of an earlier one, which opens nothing more."""
    write("account.name.chosen", now, account_id=account_id, detail={"again": again})


def right_proven(now: datetime, *, account_id: int, system: str, how: str) -> None:
    """A sensitive right of a merged account opened after its one proof (`how`: ekey, mobile or email; R62)."""
    write("account.right.proven", now, account_id=account_id, detail={"system": system, "how": how})


def link_refused(now: datetime, *, account_id: int, reason: str) -> None:
    """Somebody signed in could not link another account (R87); `reason`: password, ekey, locked, or why the other one cannot be linked."""
    write("account.link.refused", now, account_id=account_id, detail={"reason": reason})


def account_linked(now: datetime, *, account_id: int, linked_id: int, link: int, how: str) -> None:
    """Another account became part of this one (R87)."""
    write("account.linked", now, account_id=account_id, detail={"linked": linked_id, "link": link, "how": how})


def account_unlinked(now: datetime, *, account_id: int, linked_id: int, link: int) -> None:
    """A link was undone within its time: the other account is one of its own again."""
    write("account.unlinked", now, account_id=account_id, detail={"linked": linked_id, "link": link})


def outbox_given_up(now: datetime, *, kind: str, item: int) -> None:
    """A message or notice could not be delivered in all its tries."""
    write("outbox.given_up", now, detail={"kind": kind, "item": item})


# --- the e-key ------------------------------------------------------------------------------------------------------------------------------


def ekey_refused(now: datetime, *, account_id: int | None, step: int, reason: str, detail: str) -> None:
    """What an e-key signed was refused at this step of the verification; `detail` is a number or word of the library that judged."""
    write("ekey.refused", now, account_id=account_id, detail={"step": step, "reason": reason, "detail": detail})


def ekey_bound(now: datetime, *, account_id: int, serial: str) -> None:
    """A certificate was bound to a key of the key office's list."""
    write("ekey.bound", now, account_id=account_id, detail={"serial": serial})


def ekey_reported(now: datetime, *, account_id: int | None, serial: str, word: str, how: str, number: str) -> None:
    """The platform's own word on a key (damaged, lost, withdrawn, replaced); `number` of the receipt."""
    write("ekey.reported", now, account_id=account_id, detail={"serial": serial, "word": word, "how": how, "number": number})


def ekey_repaired(now: datetime, *, account_id: int | None, serial: str) -> None:
    """An officer took the report of a damaged key back."""
    write("ekey.repaired", now, account_id=account_id, detail={"serial": serial})


def ekey_enrolled(now: datetime, *, account_id: int, serial: str, by: str, made: bool) -> None:
    """A key of the office's list was given to an account; `made`: the account is new. `by`: account of the officer, "" at the command line."""
    write("ekey.enrolled", now, account_id=account_id, detail={"serial": serial, "by": by, "made": made})


def initial_password_made(now: datetime, *, account_id: int, serial: str, by: str, how: str) -> None:
    """An initial password opens the account from now on (`how`: letter or activation_code); what did before opens nothing more (R88)."""
    write("account.initial_password.made", now, account_id=account_id, detail={"serial": serial, "by": by, "how": how})


def letter_announced(now: datetime, *, account_id: int, serial: str, by: str) -> None:
    """An officer asked for a sealed letter, to be fetched once; the account's initial password opens nothing more."""
    write("account.letter.announced", now, account_id=account_id, detail={"serial": serial, "by": by})


def ekey_acted(now: datetime, *, account_id: int | None, serial: str, by: str, act: str, other: str = "") -> None:
    """An officer of the key office did something to a key (lost, lift, replace), beside what that led to; `other`: the key in its place."""
    write("ekey.acted", now, account_id=account_id, detail={"serial": serial, "by": by, "act": act, **({"other": other} if other else {})})


def ekey_lost(now: datetime, *, account_id: int, session_id: int, serial: str) -> None:
    """A key was withdrawn or died, and a session that rested on it fell back to the password."""
    write("ekey.lost", now, account_id=account_id, detail={"session": session_id, "serial": serial})


def ekey_crl_refused(now: datetime, *, reason: str) -> None:
    """A revocation list was fetched that does not count (rolled_back, crl_stale, crl_signature, …); the one before it stays."""
    write("ekey.crl.refused", now, detail={"reason": reason})


# --- officers -------------------------------------------------------------------------------------------------------------------------------


def role_given(now: datetime, *, account_id: int, role: str, region: str) -> None:
    """An officer was given a role; `region` "" = everywhere."""
    write("officer.role.given", now, account_id=account_id, detail={"role": role, "region": region})


def role_taken(now: datetime, *, account_id: int, role: str) -> None:
    """A role was taken from an officer, in every region."""
    write("officer.role.taken", now, account_id=account_id, detail={"role": role})


def officer_link_made(now: datetime, *, account_id: int) -> None:
    """A one-time enrolment link was printed for an officer; the ones before it are dead."""
    write("officer.link.made", now, account_id=account_id)


def officer_enrolled(now: datetime, *, account_id: int) -> None:
    """An officer used the link: password and second factor are set."""
    write("officer.enrolled", now, account_id=account_id)


def request_filed(now: datetime, *, account_id: int | None, request: int, kind: str) -> None:
    """An officer, or an operator at the command line (`account_id` None), filed what another must confirm (R90)."""
    write("request.filed", now, account_id=account_id, detail={"request": request, "kind": kind})


def request_confirmed(now: datetime, *, account_id: int, request: int, kind: str) -> None:
    """A second officer confirmed it, and it was done."""
    write("request.confirmed", now, account_id=account_id, detail={"request": request, "kind": kind})


def request_failed(now: datetime, *, account_id: int, request: int, kind: str, reason: str) -> None:
    """A second officer confirmed it, but it could not be done any more."""
    write("request.failed", now, account_id=account_id, detail={"request": request, "kind": kind, "reason": reason})


def request_refused(now: datetime, *, account_id: int, request: int, kind: str) -> None:
    """An officer refused it, or whoever filed it took it back."""
    write("request.refused", now, account_id=account_id, detail={"request": request, "kind": kind})


def request_expired(now: datetime, *, request: int, kind: str) -> None:
    """Nobody confirmed it in time."""
    write("request.expired", now, detail={"request": request, "kind": kind})


# --- one-time codes -------------------------------------------------------------------------------------------------------------------------


def code_sent(now: datetime, *, account_id: int | None, purpose: str, channel: str) -> None:
    """A one-time code was put on its way; `channel` mobile or email."""
    write("code.sent", now, account_id=account_id, detail={"purpose": purpose, "channel": channel})


def code_accepted(now: datetime, *, account_id: int | None, purpose: str) -> None:
    """A one-time code was typed rightly, and is used up."""
    write("code.accepted", now, account_id=account_id, detail={"purpose": purpose})


def code_refused(now: datetime, *, account_id: int | None, purpose: str, reason: str) -> None:
    """A one-time code was not accepted (wrong, over) or not sent (too_many; too_many_in_all: the platform's own cap)."""
    write("code.refused", now, account_id=account_id, detail={"purpose": purpose, "reason": reason})


# --- imports and merging --------------------------------------------------------------------------------------------------------------------


def register_imported(now: datetime, *, kind: str, accepted: int, rejected: int) -> None:
    """A register (enterprises, ekeys) was imported."""
    write("register.imported", now, detail={"kind": kind, "accepted": accepted, "rejected": rejected})


def register_row_taken(now: datetime, *, serial: str, result: str) -> None:
    """The key office pushed one row of its list; `result` added, changed or unchanged."""
    write("register.row_taken", now, detail={"serial": serial, "result": result})
