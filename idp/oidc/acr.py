"""How strongly a session has proven its person: the ordered levels, which one is granted, and what a client may insist on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime


@dataclass(frozen=True)
class Level:
    """One `acr` value, the factors it needs and the `amr` it reports (RFC 8176)."""

    acr: str
    factors: tuple[str, ...]
    amr: tuple[str, ...]


PASSWORD = Level("urn:licence:acr:password", ("password",), ("pwd",))
EKEY = Level("urn:licence:acr:ekey", ("password", "ekey"), ("pwd", "hwk", "pin"))
# Weakest first. Levels of further factors join here once the sign-in has their steps.
LEVELS = (PASSWORD, EKEY)


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


def ekey_asked(asked: Asked) -> str:
    """What the sign-in is told: "must" if no password alone meets the demands and the e-key does, "wish" if it is wished for, else ""."""
    at = datetime.max.replace(tzinfo=UTC)
    if granted({"password": at}, asked) is None:
        return "must" if granted({"password": at, "ekey": at}, asked) is not None else ""
    return "wish" if not asked.demands and asked.wishes[:1] == [EKEY.acr] else ""


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
