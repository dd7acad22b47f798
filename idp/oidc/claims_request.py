"""The `claims` parameter of an authorization request (OIDC Core §5.5), read strictly and cheaply: depth is looked at before anything is parsed."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

MAX_DEPTH = 8
MAX_CLAIMS = 100
_OPEN, _CLOSE = "{[", "}]"


@dataclass(frozen=True)
class Wish:
    """How one claim is asked for: `essential`, and the values that would do (none = any)."""

    essential: bool = False
    values: tuple[Any, ...] = ()


@dataclass(frozen=True)
class ClaimsRequest:
    """The claims asked for one by one, by the place where they are to stand."""

    id_token: Mapping[str, Wish] = field(default_factory=dict)
    userinfo: Mapping[str, Wish] = field(default_factory=dict)

    @property
    def subjects(self) -> tuple[tuple[Any, ...], ...]:
        """Who the request is about, if it says so (OIDC Core §5.5.1): for each place that says it the names of which any will do."""
        wishes = [place["sub"] for place in (self.id_token, self.userinfo) if "sub" in place]
        return tuple(wish.values for wish in wishes if wish.values)

    @property
    def acr(self) -> Wish:
        """The levels asked for (OIDC Core §5.5.1.1)."""
        wish = self.id_token.get("acr", Wish())
        # what is no string is no level of ours, but a demand for it stays a demand
        return Wish(wish.essential, tuple(value if isinstance(value, str) else "" for value in wish.values))


def parse(text: str) -> ClaimsRequest | None:
    """What `text` asks for; None if it is malformed. Members that are not understood are ignored, as §5.5 says."""
    if depth(text) > MAX_DEPTH:
        return None
    try:
        sent = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(sent, dict):
        return None
    places = [_place(sent.get(name, {})) for name in ("id_token", "userinfo")]
    return ClaimsRequest(*[place for place in places if place is not None]) if None not in places else None


def depth(text: str) -> int:
    """The deepest nesting; brackets within strings count too, which only makes it stricter."""
    deepest = level = 0
    for character in text:
        level += (character in _OPEN) - (character in _CLOSE)
        deepest = max(deepest, level)
    return deepest


def _place(sent: object) -> dict[str, Wish] | None:
    if not isinstance(sent, dict) or len(sent) > MAX_CLAIMS:
        return None
    wishes = {name: _wish(value) for name, value in sent.items()}
    return {name: wish for name, wish in wishes.items() if wish is not None} if None not in wishes.values() else None


def _wish(sent: object) -> Wish | None:
    if sent is None:
        return Wish()
    if not isinstance(sent, dict) or not isinstance(sent.get("essential", False), bool) or not isinstance(sent.get("values", []), list):
        return None
    one = (sent["value"],) if "value" in sent else ()
    return Wish(sent.get("essential", False), (*one, *sent.get("values", ())))
