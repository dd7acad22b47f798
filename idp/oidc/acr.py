"""How strongly a session has proven its person: the ordered levels, which one is granted, and what a client may insist on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class Level:
    """One `acr` value, the factors it needs and the `amr` it reports (RFC 8176)."""

    acr: str
    factors: tuple[str, ...]
    amr: tuple[str, ...]


PASSWORD = Level("urn:licence:acr:password", ("password",), ("pwd",))
# Weakest first. Levels of further factors join here once the sign-in has their steps.
LEVELS = (PASSWORD,)


@dataclass(frozen=True)
class Reached:
    """What is granted: the level and the time of the oldest factor that it needs (`auth_time`)."""

    level: Level
    auth_time: datetime


def granted(factors: Mapping[str, datetime], wishes: Sequence[str], demand: str | None) -> Reached | None:
    """The level for one authorization: the client's demand, else the first wish that the session has, else the strongest it has.

    `factors` are the session's factor times. None: the demand is unmet (OIDC unmet_authentication_requirements), or no factor counts.
    """
    has = {level.acr: level for level in LEVELS if all(factor in factors for factor in level.factors)}
    wished = next((has[wish] for wish in wishes if wish in has), None) or next(reversed(has.values()), None)
    level = has.get(demand) if demand else wished
    return Reached(level, min(factors[factor] for factor in level.factors)) if level else None
