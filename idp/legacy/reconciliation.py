"""What became of every row of a dump: rows read = accounts + aliases + duplicates + rejected, exactly, or the import is broken and aborts.

Accounts are rows whose user leads its group (enterprise and e-key) once all files of the command are in, aliases those whose user joins another's.
Duplicates are rows about a user of whom a file of this command, or a later dump, has spoken already; a second row in one file is rejected (D19).
An unchanged row counts as what its user is, so that importing again gives the same figures.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from sqlalchemy import Row, select

from idp.db import session
from idp.entitlements.models import BusinessSystem
from idp.legacy import naming
from idp.legacy.models import LegacyRow, LegacyRun

FETCHED_AT_ONCE = 5000
PARTS = ("accounts", "aliases", "duplicates", "rejected")


class Numbers:
    """A set of row numbers, one bit for each number up to the largest."""

    def __init__(self) -> None:
        """An empty one."""
        self._bits = bytearray()

    def add(self, number: int) -> bool:
        """Put it in; False if it was in."""
        place, bit = number >> 3, 1 << (number & 7)
        if place >= len(self._bits):
            self._bits.extend(bytes(place + 1 - len(self._bits) + len(self._bits) // 8))
        had = self._bits[place] & bit
        self._bits[place] |= bit
        return not had

    def __contains__(self, number: int) -> bool:
        """Whether it is in."""
        return number >> 3 < len(self._bits) and bool(self._bits[number >> 3] & 1 << (number & 7))


@dataclass
class Tally:
    """Of one file: its run (None once it turned out that it changed nothing), rows by what became of them, and the users that it speaks for."""

    system: str
    run_id: int | None
    elsewhere: "Numbers"
    counts: Counter[str] = field(default_factory=Counter)
    users: Numbers = field(default_factory=Numbers)

    def stands_for(self, row_id: int) -> None:
        """A row of the file is what its user is now."""
        if self.elsewhere.add(row_id):
            self.users.add(row_id)
        else:
            self.counts["duplicates"] += 1


class Books:
    """The tallies of all files of one command."""

    def __init__(self) -> None:
        """Nothing read yet."""
        self._tallies: list[Tally] = []
        self._spoken_for: dict[str, Numbers] = {}

    def open(self, system: str, run_id: int) -> Tally:
        """Begin with a file."""
        tally = Tally(system, run_id, self._spoken_for.setdefault(system, Numbers()))
        self._tallies.append(tally)
        return tally

    def close(self) -> Iterator[str]:
        """Tell accounts from aliases, check each sum, keep the figures in the runs; a line for each file, and for each system of several."""
        _tell_apart(self._tallies)
        for tally in self._tallies:
            _check(tally)
            _keep(tally)
            yield _line(tally.system, tally.counts, f"run {tally.run_id}" if tally.run_id else "nothing new")
        for system in self._spoken_for:
            counts = [tally.counts for tally in self._tallies if tally.system == system]
            if len(counts) > 1:
                yield _line(system, sum(counts, Counter()), "in all")


def _line(system: str, counts: Counter[str], note: str) -> str:
    return f"{system}: {counts['read']} rows read = {' + '.join(f'{counts[part]} {part}' for part in PARTS)} ({note})"


def _tell_apart(tallies: Iterable[Tally]) -> None:
    of_system: dict[str, list[Tally]] = {}
    for tally in tallies:
        of_system.setdefault(tally.system, []).append(tally)
    for row, leads in _users():
        for tally in of_system.get(row.system, ()):
            if row.id in tally.users:
                tally.counts["accounts" if leads else "aliases"] += 1


def _users() -> Iterator[tuple[Row[*tuple[object, ...]], bool]]:
    """Every old user, and whether it leads its group; a row without key is a group of its own (D19)."""
    positions = dict(session.execute(select(BusinessSystem.code, BusinessSystem.position)).all())
    place = (LegacyRow.enterprise_id, LegacyRow.key_serial)
    columns = (LegacyRow.id, LegacyRow.system, *place, LegacyRow.username_key, LegacyRow.enabled, LegacyRow.last_login)
    statement = select(*columns).order_by(*place)
    found = session.execute(statement.execution_options(yield_per=FETCHED_AT_ONCE))
    for (_enterprise, key), rows in groupby(found, key=lambda row: (row.enterprise_id, row.key_serial)):
        group = list(rows)
        if len(group) == 1 or not key:
            yield from ((row, True) for row in group)
            continue
        first = min(group, key=lambda row: _rank(row, positions[row.system]))
        yield from ((row, row is first) for row in group)


def _rank(row: Row[*tuple[Any, ...]], position: int) -> tuple[bool, bool, int, int, str]:
    return naming.rank(row.system, position, row.username_key, enabled=row.enabled, last_login=row.last_login)


def _check(tally: Tally) -> None:
    found = sum(tally.counts[part] for part in PARTS)
    if found != tally.counts["read"]:
        raise RuntimeError(f"{tally.system}: {tally.counts['read']} rows were read, but {found} are accounted for")


def _keep(tally: Tally) -> None:
    if tally.run_id is not None:
        run = session.get_one(LegacyRun, tally.run_id)
        run.counts = {**run.counts, **{part: tally.counts[part] for part in ("read", *PARTS)}}
