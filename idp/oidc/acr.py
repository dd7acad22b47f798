"""How strongly a session has proven its person: the ordered levels, which one is granted, and what a client may insist on."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime


@dataclass(frozen=True)
class Level:
    """One `acr` value, the factors it needs and the `amr` it reports (RFC 8176)."""

    acr: str
    factors: tuple[str, ...]
    amr: tuple[str, ...]


PASSWORD = Level("urn:licence:acr:password", ("password",), ("pwd",))
PASSWORD_TOTP = Level("urn:licence:acr:password-totp", ("password", "totp"), ("pwd", "otp"))
EKEY = Level("urn:licence:acr:ekey", ("password", "ekey"), ("pwd", "hwk", "pin"))
# weakest first
LEVELS = (PASSWORD, PASSWORD_TOTP, EKEY)


@dataclass(frozen=True)
class Reached:
    """What is granted: the level and the time of the oldest factor that it needs (`auth_time`)."""

    level: Level
    auth_time: datetime


@dataclass(frozen=True)
class Asked:
    """What one authorization asks for: `demands`, each a choice of levels of which one must be reached, and `wishes`, best first."""

    demands: tuple[Sequence[str], ...] = ()
    wishes: Sequence[str] = ()


def offered(*, ekey: bool) -> list[str]:
    """The `acr` values that people can reach here; `ekey`: e-keys are accepted."""
    return [level.acr for level in LEVELS if ekey or "ekey" not in level.factors]


def amr(level: Level, factors: Collection[str]) -> list[str]:
    """What is reported of a level that these factors reach: `pin` only where the key asked for it, which a browser's certificate did not."""
    return [each for each in level.amr if each != "pin" or "pin" in factors]


def at_least(acr: str) -> list[str]:
    """A level and the stronger ones, weakest first."""
    known = [level.acr for level in LEVELS]
    return known[known.index(acr) :]


def factors_asked(asked: Asked, has: Collection[str], *, ekey: bool) -> dict[str, str]:
    """What the sign-in is told to bring beside the factors that count already (signin.flow.ASKED); `ekey`: e-keys are accepted.

    "must" where nothing less meets the demands, "wish" for what stands first among the wishes; nothing where no factor would help.
    """
    by_totp, by_key, by_both = (_meets(asked, {*has, *more}) for more in (("totp",), ("ekey",), ("totp", "ekey")))
    if _meets(asked, has):
        wished = [] if asked.demands else asked.wishes[:1]
        return {factor: "wish" for factor, level in (("totp", PASSWORD_TOTP), ("ekey", EKEY)) if level.acr in wished and (ekey or factor != "ekey")}
    if by_totp:
        return {"second" if by_key and ekey else "totp": "must"}
    if by_key and ekey:
        return {"ekey": "must"}
    return {"totp": "must", "ekey": "must"} if by_both and ekey else {}


def _meets(asked: Asked, factors: Collection[str]) -> bool:
    return granted(dict.fromkeys(factors, datetime.max.replace(tzinfo=UTC)), asked) is not None


def granted(factors: Mapping[str, datetime], asked: Asked) -> Reached | None:
    """The level for one authorization: the first of the first demand that the session has, else of the wishes, else the strongest it has.

    `factors` are the session's factor times. None: a demand is unmet (OIDC unmet_authentication_requirements), or no factor counts.
    """
    has = {level.acr: level for level in LEVELS if all(factor in factors for factor in level.factors)}
    if not all(any(acr in has for acr in demand) for demand in asked.demands):
        return None
    named = asked.demands[0] if asked.demands else asked.wishes
    level = next((has[acr] for acr in named if acr in has), None) or next(reversed(has.values()), None)
    return Reached(level, min(factors[factor] for factor in level.factors)) if level else None
