"""Recovery by a contact (R58): name and full contact, a code, and after an imported contact a second proof (R59).

Whatever was typed, every motion is the same but the message itself, so nothing tells whether somebody has this name or contact (threats F).
Each function runs inside a transaction.
"""

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Literal

from idp import limits
from idp.accounts import channels, contacts, directory, imported_contacts, lockout
from idp.accounts.channels import Way
from idp.accounts.credentials import Proof
from idp.accounts.models import Account
from idp.captcha import rules as captcha
from idp.db import session
from idp.errors import Refusal
from idp.one_time_codes import codes, refusals
from idp.recovery import steps
from idp.settings import Settings
from idp.signin import attempt, flow
from idp.signin.models import SignInTransaction

PURPOSE = "recovery"
# one park shares an address; the codes have limits of their own
PER_NETWORK = limits.Rule("recovery.asked.hour", 60, 3600)


@dataclass(frozen=True)
class Typed:
    """What the form held."""

    name: str
    contact: str
    captcha_id: str
    captcha: str


@dataclass(frozen=True)
class Sending:
    """Under what a code leaves: settings, the master secret, the language of the message."""

    settings: Settings
    secret: str
    locale: str


@dataclass(frozen=True)
class To:
    """The contact that was typed, normalised, and whose budget of codes it uses: the name's, whether anybody has it or not."""

    channel: Literal["mobile", "email"]
    recipient: str
    budget: str

    @property
    def masked(self) -> str:
        """As pages show it."""
        return channels.MASKS[self.channel](self.recipient)


def to(row: SignInTransaction) -> To | None:
    """The contact that was typed in this recovery."""
    kept = row.facts.get("recover_to")
    return To(**kept) if kept else None


def ask(row: SignInTransaction, typed: Typed, caller: lockout.Caller, sending: Sending, now: datetime) -> Refusal | None:
    """Who has forgotten, and where a code may go; None = on to the page of the code, whoever it is."""
    if not flow.hold(row, steps.recover_needed, now):
        return None
    if attempt.network_refuses(caller.network, sending.settings, now):
        return Refusal("too_many")
    read = _read(typed, sending.settings)
    if isinstance(read, Refusal):
        return read
    if not captcha.check(typed.captcha_id, row.id, typed.captcha, sending.secret, now):
        return Refusal("captcha_wrong", "captcha")
    if not limits.take(PER_NETWORK, caller.network, now).allowed:
        return Refusal("too_many")
    accounts = directory.candidates(typed.name)
    where = To(*read, lockout.subjects(accounts, typed.name, sending.secret)[0])
    meant = [account for account in accounts if _reaches(account, where)]
    choices = {str(account.id): asdict(Proof(account.id, account.epoch, former=False)) for account in meant}
    flow.record(row, recover_to=asdict(where), meant=choices)
    return _send(row, where, sending, now)


def _read(typed: Typed, settings: Settings) -> tuple[Literal["mobile", "email"], str] | Refusal:
    if not typed.name.strip():
        return Refusal("username_missing", "username")
    if not typed.contact.strip():
        return Refusal("recover_contact_missing", "contact")
    if "@" in typed.contact:
        email = contacts.read_email(typed.contact)
        return ("email", email) if email else Refusal("email_invalid", "contact")
    mobile = contacts.read_mobile(typed.contact)
    if mobile is None:
        return Refusal("mobile_invalid", "contact")
    return ("mobile", mobile) if "mobile" in settings.code_channels else Refusal("recover_mail_only", "contact")


def _reaches(account: Account, where: To) -> bool:
    """Whether a code to this contact may begin the recovery of this account."""
    if account.closed is not None:
        return False
    # R59: what only an old system had counts while the account has nothing better
    counting = channels.proven(account) if channels.ever_proven(account) else _unproven(account)
    return channels.among(counting, where.channel, where.recipient)


def _unproven(account: Account) -> list[Way]:
    former = [Way(one.kind, one.value, False) for one in imported_contacts.former_contacts(account.id)]  # type: ignore[arg-type]  # mobile or email
    given = channels.ways(account)
    return given + [way for way in former if not channels.among(given, way.channel, way.recipient)]


def _send(row: SignInTransaction, where: To, sending: Sending, now: datetime) -> Refusal | None:
    mine = {"secret": sending.secret, "budget": where.budget, "locale": sending.locale, "deliver": bool(row.facts["meant"])}
    sent = codes.send(PURPOSE, _subject(row), where.channel, where.recipient, now, **mine)  # type: ignore[arg-type]  # a dict of unlike values
    return refusals.of_sending(sent, "code", where.channel, now)


def _subject(row: SignInTransaction) -> str:
    return f"recovery:{row.id}"


def again(row: SignInTransaction, sending: Sending, now: datetime) -> Refusal | None:
    """Another code to the same contact; None = it is on its way."""
    where = to(row)
    if not flow.hold(row, steps.code_needed, now) or where is None:
        return None
    return _send(row, where, sending, now)


def anew(row: SignInTransaction, now: datetime) -> None:
    """Another name or contact is to be typed."""
    if flow.hold(row, steps.code_needed, now):
        codes.forget(PURPOSE, _subject(row))
        flow.record(row, recover_to=None, meant={})


def prove(row: SignInTransaction, typed: str, sending: Sending, now: datetime) -> Refusal | bool:
    """Judge the code; right, it settles whose account it is, or leaves the choice to the step `choose` (D9). False: another request was first."""
    where = to(row)
    if not flow.hold(row, steps.code_needed, now) or where is None:
        return False
    mine = (PURPOSE, _subject(row), typed, now)
    outcome = codes.spend(*mine, channel=where.channel, recipient=where.recipient, secret=sending.secret)
    refusal = refusals.of_typing(outcome, "code", where.channel)
    if refusal is not None:
        return refusal
    meant = row.facts["meant"]
    flow.record(row, choices=meant)
    if len(meant) == 1:
        attempt.settle_choice(row, next(iter(meant)), sending.secret, sending.settings, now)
    return True


# --- the second proof -----------------------------------------------------------------------------------------------------------------------


def others(row: SignInTransaction) -> list[Way]:
    """The other contacts of the account, where a second code may go."""
    account, where = flow.account_of(row), to(row)
    return [way for way in _unproven(account) if where is None or not channels.among([way], where.channel, where.recipient)]


def send_second(row: SignInTransaction, number: str, sending: Sending, now: datetime) -> Refusal | None:
    """A code to the other contact that the form names by its place in the list; None = it is on its way."""
    account = flow.hold_account(row, steps.second_needed, now)
    if account is None:
        return None
    ways = [way for way in others(row) if way.channel in sending.settings.code_channels]
    way = ways[int(number)] if number.isascii() and number.isdecimal() and len(number) < 3 and int(number) < len(ways) else None
    if way is None:
        return Refusal("code_channel", "contact")
    mine = {"secret": sending.secret, "budget": f"account:{account.id}", "locale": sending.locale, "account_id": account.id}
    sent = codes.send(PURPOSE, _second(row), way.channel, way.recipient, now, **mine)  # type: ignore[arg-type]  # a dict of unlike values
    if not isinstance(sent, codes.TooMany):
        flow.record(row, second_to=[way.channel, way.recipient])
    return refusals.of_sending(sent, "contact", way.channel, now)


def _second(row: SignInTransaction) -> str:
    return f"recovery:{row.id}:2"


def prove_second(row: SignInTransaction, typed: str, sending: Sending, now: datetime) -> Refusal | None:
    """Judge the second code; None = right, or it is needed no more."""
    account = flow.hold_account(row, steps.second_needed, now)
    if account is None:
        return None
    mine = (PURPOSE, _second(row), typed, now)
    way = next((way for way in others(row) if [way.channel, way.recipient] == row.facts.get("second_to")), None)
    if way is None:
        return Refusal("code_channel", "contact")
    outcome = codes.spend(*mine, channel=way.channel, recipient=way.recipient, secret=sending.secret, account_id=account.id)
    if outcome == "ok":
        flow.record(row, second_at=now.isoformat())
    return refusals.of_typing(outcome, "code", way.channel)


def begun_like(transaction_id: str, browsers: list[str]) -> flow.Caller:
    """Where the sign-in came from at which the password was forgotten, so that the person goes on there afterwards."""
    row, _ = flow.find(transaction_id, browsers)
    return flow.caller_of(row) if row is not None else flow.Caller(return_to="/login")


def name_of(account_id: int | None) -> str:
    """The account's user name, for the last page."""
    account = session.get(Account, account_id) if account_id is not None else None
    return account.canonical_name if account is not None else ""
