"""One try at the password: who may try, and what a right or wrong one does. Three moves: `admit` · credentials.prove · `passed` / `refused`."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

from idp import limits
from idp.accounts import channels, credentials, directory, initial_password, lockout, password_policy, totp
from idp.accounts.credentials import Candidate, Proof
from idp.accounts.models import Account
from idp.audit import catalogue as audit
from idp.captcha import rules as captcha
from idp.db import session
from idp.errors import Refusal
from idp.settings import Settings
from idp.signin import code_step, contacts_step, flow, notices, steps
from idp.signin.models import SignInTransaction

CAPTCHA_FROM_FAILURE = 3
REFUSE_FACTOR = 10


@dataclass(frozen=True)
class Typed:
    """What the form held."""

    name: str
    password: str
    captcha_id: str
    captcha: str


@dataclass(frozen=True)
class Admitted:
    """The try may go on: these accounts claim the name, these counters were charged."""

    candidates: list[Candidate]
    subjects: list[str]


def numbers(settings: Settings) -> lockout.Numbers:
    """The lock-out numbers in force."""
    return lockout.Numbers(settings.lockout_tries, settings.lockout_seconds, settings.lockout_max_seconds, settings.lockout_account_tries)


def network_rules(settings: Settings) -> tuple[limits.Rule, limits.Rule]:
    """How many failures one network has before a captcha is asked of everybody there."""
    minute = limits.Rule("signin.failures.minute", settings.failures_per_ip_minute, 60)
    return minute, limits.Rule("signin.failures.hour", settings.failures_per_ip_hour, 3600)


def asks_captcha(row: SignInTransaction, network: str, settings: Settings, now: datetime) -> bool:
    """Whether the page shows a captcha before a name is typed (D16)."""
    if settings.captcha == "always" or row.facts.get("failures", 0) >= CAPTCHA_FROM_FAILURE - 1:
        return True
    return network_asks(network, settings, now)


def network_asks(network: str, settings: Settings, now: datetime) -> bool:
    """So many failures from one network that everybody there is asked for a captcha."""
    return any(not limits.peek(rule, network, now).allowed for rule in network_rules(settings))


def network_refused_until(network: str, settings: Settings, now: datetime) -> datetime | None:
    """Ten times the number of failures from one network: no captcha helps any more until then."""
    found = [(rule, limits.peek(rule, network, now)) for rule in network_rules(settings)]
    return max((taken.retry_at for rule, taken in found if taken.count >= REFUSE_FACTOR * rule.most), default=None)


def network_refuses(network: str, settings: Settings, now: datetime) -> bool:
    """Whether nobody there may try at present."""
    return network_refused_until(network, settings, now) is not None


def _too_long(typed: Typed, settings: Settings) -> bool:
    return len(typed.password) > settings.password_typed_max_characters or len(typed.name) > directory.MAX_TYPED_CHARACTERS


def _missing(typed: Typed) -> Refusal | None:
    if not typed.name.strip():
        return Refusal("username_missing", "username")
    return None if typed.password else Refusal("password_missing", "password")


@dataclass(frozen=True)
class Right:
    """A right password: what it opens, its argon2id hash where one is needed (`needs_hash`), and the master secret."""

    proofs: Sequence[Proof]
    typed: str
    new_hash: str | None
    secret: str


def admit(row: SignInTransaction, typed: Typed, caller: lockout.Caller, settings: Settings, secret: str, now: datetime) -> Admitted | Refusal:
    """First move, in a transaction: network, form, captcha (spent whatever follows), lock; charges the counters before the password is looked at."""
    flow.hold(row, steps.password_needed, now)
    if network_refuses(caller.network, settings, now):
        return Refusal("too_many")
    missing = _missing(typed)
    if missing:
        return missing
    accounts = directory.candidates(typed.name)
    subjects = lockout.subjects(accounts, typed.name, secret)
    asked = asks_captcha(row, caller.network, settings, now) or lockout.recent_failures(subjects, caller, now) >= CAPTCHA_FROM_FAILURE - 1
    # R60: single use; a missing answer is a wrong one
    if asked and not _spared(row, typed):
        if not captcha.check(typed.captcha_id, row.id, typed.captcha, secret, now):
            flow.record(row, failures=max(row.facts.get("failures", 0), CAPTCHA_FROM_FAILURE - 1))
            return Refusal("captcha_wrong", "captcha")
        flow.record(row, captcha=typed.captcha_id)
    # threats F: a lock looks the same for names that nobody has; the password is not looked at
    locked = lockout.charge(subjects, caller, numbers(settings), now)
    if locked:
        audit.signin_refused(now, account_id=_only(accounts), reason="locked")
        return Refusal("locked", args={"until": locked})
    # D6: nothing longer than the ceiling is hashed, and the answer is that of a wrong password
    if _too_long(typed, settings):
        return refused(row, Admitted([], subjects), caller, settings, now)
    return Admitted(credentials.load(accounts), subjects)


def _spared(row: SignInTransaction, typed: Typed) -> bool:
    """Once: a double submit brings the captcha that was answered just now (`flow.again`), or whose password is still looked at."""
    answered = row.facts.get("spared") or row.facts.get("captcha")
    flow.record(row, spared=None, captcha=None)
    return answered is not None and answered == typed.captcha_id


def _only(accounts: Sequence[Account]) -> int | None:
    return accounts[0].id if len(accounts) == 1 else None


def refused(row: SignInTransaction, admitted: Admitted, caller: lockout.Caller, settings: Settings, now: datetime) -> Refusal:
    """The password fitted nobody: count it, answer alike for every reason (R61)."""
    flow.hold(row, steps.password_needed, now)  # held before the counters, like everywhere: no two requests can wait for each other
    for rule in network_rules(settings):
        limits.take(rule, caller.network, now)
    flow.record(row, failures=row.facts.get("failures", 0) + 1, captcha=None)
    locked = lockout.wrong(admitted.subjects, caller, numbers(settings), now)
    only = admitted.candidates[0].account_id if len(admitted.candidates) == 1 else None
    audit.signin_refused(now, account_id=only, reason="password")
    return Refusal("locked", args={"until": locked}) if locked else Refusal("credentials")


def needs_hash(proofs: Sequence[Proof], typed: str, settings: Settings) -> bool:
    """Whether the typed password may become the platform password (R56) or must be hashed with today's cost."""
    weak = password_policy.is_weak(typed, settings.password_min_characters, settings.password_max_characters)
    return any(proof.outdated or (proof.former and not weak) for proof in proofs)


def _unchanged(proofs: Sequence[Proof]) -> list[tuple[Account, Proof]]:
    """The accounts, held, whose passwords still are what the proofs rest on: one may have died while the hash was computed (R12)."""
    owned = [(session.get(Account, proof.account_id, populate_existing=True, with_for_update=True), proof) for proof in proofs]
    return [(account, proof) for account, proof in owned if account is not None and account.epoch == proof.epoch]


def passed(row: SignInTransaction, admitted: Admitted, caller: lockout.Caller, right: Right, settings: Settings, now: datetime) -> Refusal | None:
    """The password was right: remember it in the transaction, which is held and needs one.

    Refusal = the account may not be used, and its owner may know why (D15).
    """
    owned = _unchanged(right.proofs)
    if not owned:
        return refused(row, admitted, caller, settings, now)
    lockout.right(admitted.subjects, caller)
    usable = [(account, proof) for account, proof in owned if account.closed is None]
    code = owned[0][0].closed
    if not usable and code is not None:
        audit.signin_refused(now, account_id=owned[0][0].id, reason=code)
        return Refusal(code)
    # R88: its owner may know why the letter opens nothing any more
    usable = [(account, proof) for account, proof in usable if not (proof.initial and initial_password.over(account.id, now))]
    if not usable:
        audit.signin_refused(now, account_id=owned[0][0].id, reason="initial_password_over")
        return Refusal("initial_password_over")
    weak = password_policy.is_weak(right.typed, settings.password_min_characters, settings.password_max_characters)
    choices = {str(account.id): asdict(proof) for account, proof in usable}
    flow.record(row, password_at=now.isoformat(), choices=choices, typed_hash=right.new_hash, typed_weak=weak)
    if len(choices) == 1:
        settle_choice(row, next(iter(choices)), right.secret, settings, now)
    return None


def choose(row: SignInTransaction, account_id: str, secret: str, settings: Settings, now: datetime) -> bool:
    """Settle which of the fitting accounts is meant (D9), and only that one; False if it was none of them, or has changed meanwhile."""
    return settle_choice(row, account_id, secret, settings, now) if flow.hold(row, steps.choose_needed, now) else True


def settle_choice(row: SignInTransaction, account_id: str, secret: str, settings: Settings, now: datetime) -> bool:
    """Settle that this one of the fitting accounts is meant, in a transaction that is held; False as in `choose`."""
    found = row.facts.get("choices", {}).get(account_id)
    owned = _unchanged([Proof(**found)]) if found else []
    if not owned:
        return False
    account, proof = owned[0]
    if steps.recovering(row):
        settle_recovery(row, account)
        return True
    reason = _settle(row, account, proof, settings, secret, now) or ("chosen" if row.facts.get("change") else None)
    row.account_id = account.id
    due = contacts_step.due(account, reason, now, timedelta(days=settings.contact_proof_days))
    flow.record(row, epoch=account.epoch, change_due=reason, **due, typed_hash=None, choices={}, totp_on=totp.is_on(account.id))
    flow.record(row, code_due=code_step.due(row, account, now))
    return True


def settle_recovery(row: SignInTransaction, account: Account) -> None:
    """Whose password was forgotten, as a code or a key has proven; both are held. After a contact that nobody has proven yet more is due (R59)."""
    to = row.facts.get("recover_to")
    proven = to is None or channels.among(channels.proven(account), to["channel"], to["recipient"])
    row.account_id = account.id
    known = {"epoch": account.epoch, "totp_on": totp.is_on(account.id), "choices": {}}
    flow.record(row, **known, change_due="recovered", second_due=not proven)


def _settle(row: SignInTransaction, account: Account, proof: Proof, settings: Settings, secret: str, now: datetime) -> str | None:
    """Keep a strong old password as the platform password (R56), renew an outdated hash; returns why a change is due, if it is."""
    reason, new_hash = credentials.change_reason(account, proof, row.facts["typed_weak"]), row.facts["typed_hash"]
    if new_hash and proof.former and reason is None:
        if credentials.keep_typed(account, new_hash, now):
            notices.announce_old_passwords_died(account.id, secret, now, kept=True)
    elif new_hash and proof.outdated:
        account.password_hash = new_hash
    ends = password_policy.ends_at(account.password_changed_at, settings.password_days)
    return "aged" if reason is None and ends is not None and now >= ends else reason


def admit_old(subjects: list[str], typed: str, candidate: Candidate, caller: lockout.Caller, settings: Settings, now: datetime) -> Admitted | Refusal:
    """The old password typed once more within a sign-in: charged like any other try."""
    if not typed or len(typed) > settings.password_typed_max_characters:
        return Refusal("old_password_wrong", "password")
    locked = lockout.charge(subjects, caller, numbers(settings), now)
    return Refusal("locked", args={"until": locked}) if locked else Admitted([candidate], subjects)


def settle_old(row: SignInTransaction, admitted: Admitted, right: bool, caller: lockout.Caller, settings: Settings, now: datetime) -> Refusal | None:
    """What came of it; a right one counts as typed now."""
    flow.hold(row, steps.change_needed, now)
    if right:
        lockout.right(admitted.subjects, caller)
        flow.record(row, password_at=now.isoformat())
        return None
    refusal = refused(row, admitted, caller, settings, now)
    return refusal if refusal.code == "locked" else Refusal("old_password_wrong", "password")
