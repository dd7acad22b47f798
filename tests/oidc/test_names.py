"""What people are shown of a client: readable, or refused; and nothing of it plays with a terminal."""

import json

import pytest
from flask import Flask

from idp.db import session, transaction
from idp.errors import BadInput
from idp.oidc.models import ClientRecord
from idp.oidc.registration import judge
from tests.command_line import idp
from tests.fakes import FakeClock
from tests.relying_party import RelyingParty

CALLBACK = "https://rp.example/cb"
CONTROLS = ["\x00", "\x1b", "\x7f", "\x85", "\x9b", "\u00ad", "\u200b", "\u200f", "\u202e", "\u2066", "\ufeff", "\u2028", "\u2029", "\U000e0041"]
UNSEEN = [" ", "\u3000", "\u00a0 ", "\ufe0f", "\u0301", "\u3164", "\u115f\u1160", "\uffa0", "\u2800", "\ue000"]
NAMES = ("client_name", "client_name#en", "contacts")


def named(member: str, text: str) -> None:
    judge({"client_id": "rp", "redirect_uris": [CALLBACK], member: [text] if member == "contacts" else text})


@pytest.mark.parametrize("member", NAMES)
@pytest.mark.parametrize("sign", CONTROLS, ids=ascii)
def test_signs_that_change_how_the_rest_is_seen_are_refused(member: str, sign: str) -> None:
    with pytest.raises(BadInput, match="control or format"):
        named(member, f"海关{sign}总署")


@pytest.mark.parametrize("member", NAMES)
@pytest.mark.parametrize("text", UNSEEN, ids=ascii)
def test_a_name_that_nobody_sees_is_refused(member: str, text: str) -> None:
    with pytest.raises(BadInput, match="nothing that can be seen"):
        named(member, text)


@pytest.mark.parametrize("text", ["物流\u3000公司", "Zoë & Co. (北京)", "e\u0301", "№ 7", "…", ""])
def test_names_of_this_world_stay(text: str) -> None:
    for member in NAMES:
        named(member, text)


@pytest.mark.parametrize("words", [("list",), ("list", "--json"), ("show", "rp"), ("show", "rp", "--json")])
def test_the_command_line_prints_only_what_prints(platform: Flask, clock: FakeClock, words: tuple[str, ...]) -> None:
    RelyingParty(platform, clock, client_name="物流\u3000\ue000公司")
    out = idp(platform, "client", *words).out
    assert all(line.isprintable() for line in out.splitlines())
    assert "物流\\u3000\\ue000公司" in out
    if "--json" in words:
        said = json.loads(out)
        assert (said[0] if isinstance(said, list) else said)["client_name"] == "物流\u3000\ue000公司"


def test_a_name_stored_before_the_rule_is_listed_all_the_same(platform: Flask, clock: FakeClock) -> None:
    RelyingParty(platform, clock)
    with platform.app_context(), transaction():
        row = session.get_one(ClientRecord, "rp")
        row.registration = {**row.registration, "client_name": "a\x9b2Jb\nc"}
    out = idp(platform, "client", "list").out
    assert out.endswith("a\\x9b2Jb\\nc\n")
    assert idp(platform, "client", "show", "rp").code == 1
