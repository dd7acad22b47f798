import time

import pytest
from flask import Flask

from idp.accounts.directory import MAX_CANDIDATES, candidates, name_key, normalise
from idp.db import transaction
from tests import people


@pytest.mark.requirement("D9")
@pytest.mark.parametrize(
    "typed",
    [
        "0441987654321-beijing",
        "０４４１９８７６５４３２１－ｂｅｉｊｉｎｇ",
        " 0441987654321—BeiJing ",
        "0441987654321–beijing",
        "0441987654321 - beijing",
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
