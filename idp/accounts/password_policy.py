"""What a new password must be (R27, R55, D7), and which old ones are weak (R56). Pure functions; every fault has a stable code."""

import re
from collections.abc import Iterable
from datetime import datetime, timedelta
from functools import lru_cache

from zxcvbn.frequency_lists import FREQUENCY_LISTS

from idp.errors import Refusal

FIELD = "new_password"
MIN_NAME_CHARACTERS = 4
# D7: printable ASCII without blank (U+0020) and tilde (U+007E)
ALLOWED = re.compile(r"[\x21-\x7d]*")
CLASSES = (("password_upper", re.compile("[A-Z]")), ("password_lower", re.compile("[a-z]")), ("password_digit", re.compile("[0-9]")))
# What people here put before or after a run of digits; beside it, the list of leaked passwords.
STEMS = frozenset(["a", "aa", "aaa", "ab", "abc", "abcd", "qwe", "qwer", "asd", "asdf", "zxc", "zxcv", "qaz", "wsx", "qazwsx", "woaini", "iloveyou"])
STEMS_OF_PLACE = frozenset(["beijing", "shanghai", "china", "zhongguo", "licence", "license", "mofcom", "xukezheng"])
RUNS = "01234567890123456789", "98765432109876543210"
YEAR = re.compile(r"(19|20)[0-9]{2}")


@lru_cache(maxsize=1)
def _leaked() -> frozenset[str]:
    return frozenset(FREQUENCY_LISTS["passwords"])


def _is_run(digits: str) -> bool:
    """123456, 987654, 888888, 1314520 is not; a year is."""
    return any(digits in run for run in RUNS) or len(set(digits)) == 1 or YEAR.fullmatch(digits) is not None


def is_common(password: str) -> bool:
    """Whether it is on the list of leaked passwords in any case, or a common stem with a run of digits around it."""
    folded = password.casefold()
    if folded in _leaked():
        return True
    found = re.fullmatch(r"[^a-z]*?([a-z]+(?:[^a-z]*[a-z]+)*)([^a-z]*)", folded)
    if not found:
        return _is_run(folded)
    stem, tail = found[1], re.sub(r"[^0-9]", "", found[2])
    known = stem in STEMS or stem in STEMS_OF_PLACE or stem in _leaked()
    return known and (not tail or _is_run(tail))


def form_faults(password: str, shortest: int, longest: int) -> list[Refusal]:
    """R27 and D7: length, the three classes, the allowed characters."""
    faults = [] if shortest <= len(password) <= longest else [Refusal("password_length", FIELD, {"min": shortest, "max": longest})]
    faults += [Refusal(code, FIELD) for code, pattern in CLASSES if not pattern.search(password)]
    if not ALLOWED.fullmatch(password):
        faults.append(Refusal("password_characters", FIELD))
    return faults


def contains_name(password: str, names: Iterable[str]) -> bool:
    """R55: whether the part after the code of any name (4 characters or more) stands in it, in any case."""
    folded = password.casefold()
    locals_ = (name.split("-", 1)[-1].casefold() for name in names)
    return any(len(local) >= MIN_NAME_CHARACTERS and local in folded for local in locals_)


def faults(password: str, names: Iterable[str], shortest: int, longest: int) -> list[Refusal]:
    """Every rule that a new password breaks, but those that need hashes (old or former password)."""
    found = form_faults(password, shortest, longest)
    if contains_name(password, names):
        found.append(Refusal("password_name", FIELD))
    if is_common(password):
        found.append(Refusal("password_common", FIELD))
    return found


def is_weak(password: str, shortest: int, longest: int) -> bool:
    """R56: an old password that fails R27 or is common."""
    return bool(form_faults(password, shortest, longest)) or is_common(password)


def ends_at(changed_at: datetime | None, days: int) -> datetime | None:
    """When a password that was set at `changed_at` must be changed; None = never (`days` is 0, or it was not set here)."""
    return changed_at + timedelta(days=days) if changed_at is not None and days else None
