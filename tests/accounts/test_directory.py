import time

import pytest
from flask import Flask

from idp.accounts import credentials
from idp.accounts.argon2id import Hasher
from idp.accounts.directory import MAX_CANDIDATES, candidates, name_key, normalise
from idp.db import transaction
from tests import people
from tests.conftest import SECRET


@pytest.mark.requirement("D9")
@pytest.mark.parametrize(
    "typed",
    [
        "0441987654321-beijing",
        "０４４１９８７６５４３２１－ｂｅｉｊｉｎｇ",
        " 0441987654321—BeiJing ",
        "0441987654321–beijing",
        "0441987654321 - beijing",
        "0441987654321——beijing",
        "0441987654321─beijing",
        "0441987654321⸺beijing",
    ],
)
def test_every_spelling_finds_the_account(context: Flask, typed: str) -> None:
    with transaction():
        account = people.beijing()
    assert [found.id for found in candidates(typed)] == [account.id]


@pytest.mark.requirement("D9")
@pytest.mark.parametrize("typed", ["", "   ", "х" * 161, "a\x00b", "0441987654321-beijing2", "0441987654321-be​ijing", "0441987654321-bеijing"])
def test_what_means_nobody(context: Flask, typed: str) -> None:
    """Among them: a zero-width blank inside, a Cyrillic е."""
    with transaction():
        people.beijing()
    assert candidates(typed) == []


def test_code_part_is_upper_cased_and_the_rest_kept() -> None:
    assert normalise("310055667788x-LiYong") == "310055667788X-LiYong"
    assert name_key("310055667788x-LiYong") == "310055667788x-liyong"


def test_a_name_claimed_by_many_means_a_bounded_number(context: Flask) -> None:
    with transaction():
        owner = people.enterprise()
        for _ in range(MAX_CANDIDATES + 2):
            people.account(owner, ["tongming"])
    assert len(candidates("TongMing")) == MAX_CANDIDATES


def test_combining_marks_cost_nothing() -> None:
    """CVE-2026-3276: the length is looked at before Unicode normalisation."""
    started = time.process_time()
    assert normalise("a" + "\u0301\u0327" * 200_000) == ""
    assert time.process_time() - started < 1


class CountingHasher(Hasher):
    """How many argon2id hashes are computed."""

    def __init__(self) -> None:
        super().__init__(8, 1, 1)
        self.count = 0

    def verify(self, typed: str, stored: str | None) -> bool:
        self.count += 1
        return super().verify(typed, stored)


@pytest.mark.requirement("D9")
@pytest.mark.requirement("R61")
@pytest.mark.parametrize("typed", [people.OLD, "wrong"])
@pytest.mark.parametrize(("claims", "hashes"), [(0, 1), (1, 1), (3, 3), (MAX_CANDIDATES + 5, MAX_CANDIDATES)])
def test_the_number_of_hashes_is_bounded_and_says_nothing_of_what_fitted(context: Flask, typed: str, claims: int, hashes: int) -> None:
    with transaction():
        owner = people.enterprise()
        for number in range(claims):
            account = people.account(owner, ["tongming"])
            if number != 1:
                people.former(account, people.OLD)
    hasher = CountingHasher()
    proofs = credentials.prove(credentials.load(candidates("tongming")), typed, SECRET, hasher)
    assert hasher.count == hashes
    assert len(proofs) == (0 if typed == "wrong" else hashes - (claims > 1) if claims else 0)
