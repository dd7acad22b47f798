"""Which accounts claim which name (D9), collected bit by bit: the names of a million old users need not be known at once."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence

from idp.accounts import directory


class Claims:
    """Claims on names, as they are compared: on those of `only` (None = all), and on none of `but`."""

    def __init__(self, only: Collection[str] | None = None, but: Collection[str] = ()) -> None:
        """Nothing claimed yet."""
        self._only, self._but = only, but
        self._claims: dict[str, list[tuple[str, Sequence[str]]]] = defaultdict(list)

    def add(self, called: str, names: Sequence[str]) -> None:
        """An account (by its key, or its enterprise) with all its names."""
        for key in {directory.name_key(name) for name in names}:
            if key not in self._but and (self._only is None or key in self._only):
                self._claims[key].append((called, names))

    def twice(self) -> Iterator[tuple[str, ...]]:
        """A name and whose it is, for each that several accounts claim: the key, or the password, decides at sign-in."""
        for name, claims in sorted(self._claims.items()):
            if 1 < len(claims) <= directory.MAX_CANDIDATES:
                yield (name, *(called for called, _names in claims))

    def crowded(self) -> Iterator[tuple[str, ...]]:
        """A name and `whose: other name` for each that more claim than a sign-in looks at: what these people type instead, `-` = nothing."""
        crowds = {name: claims for name, claims in self._claims.items() if len(claims) > directory.MAX_CANDIDATES}
        for name, claims in sorted(crowds.items()):
            yield (name, *(f"{called}: {other_name(names, crowds) or '-'}" for called, names in claims))


def other_name(names: Sequence[str], crowds: Collection[str]) -> str | None:
    """The first name under which sign-in finds the account, such as the code form of a dual-use user (D1)."""
    return next((name for name in names if directory.name_key(name) not in crowds), None)
