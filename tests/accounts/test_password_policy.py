import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from idp.accounts.password_policy import contains_name, faults, form_faults, is_common, is_weak

NAMES = ["0441987654321-beijing", "beijing"]
GOOD = "Guangdong7Trade"


def codes(password: str) -> list[str]:
    return [refusal.code for refusal in faults(password, NAMES, 10, 20)]


@pytest.mark.requirement("R27")
@pytest.mark.parametrize(
    ("password", "expected"),
    [
        (GOOD, []),
        ("Abcd5fghi", ["password_length"]),
        ("Zbcd5fghij", []),
        ("Zb7" + "q" * 17, []),
        ("Zb7" + "q" * 18, ["password_length"]),
        ("guangdong7trade", ["password_upper"]),
        ("GUANGDONG7TRADE", ["password_lower"]),
        ("GuangdongTrade", ["password_digit"]),
        ("Guang dong7Trade", ["password_characters"]),
        ("Guang\tdong7Trade", ["password_characters"]),
        ("Guang　dong7Trade", ["password_characters"]),
        ("Guangdong7Trade~", ["password_characters"]),
        ("Guangdong7Trade～", ["password_characters"]),
        ("Guangdong7Trade\n", ["password_characters"]),
        ("Guangdong7Trade}", []),
        ("Guangdong7Trade!", []),
        ("密码Guangdong7Tr", ["password_characters"]),
        ("", ["password_length", "password_upper", "password_lower", "password_digit", "password_common"]),
    ],
)
def test_edges_of_the_rule(password: str, expected: list[str]) -> None:
    assert codes(password) == expected


@pytest.mark.requirement("R55")
@pytest.mark.parametrize(("password", "bad"), [("My7BeiJingPass", True), ("Bei7jingPassw", False)])
def test_user_name_inside_in_any_case(password: str, bad: bool) -> None:
    assert ("password_name" in codes(password)) is bad


@pytest.mark.requirement("R55")
def test_names_under_four_characters_do_not_count() -> None:
    assert not contains_name("Xabc7defghi", ["0441987654321-abc"])
    assert contains_name("Xabcd7efghi", ["0441987654321-abcd"])


@pytest.mark.requirement("R55")
@pytest.mark.parametrize(
    "password", ["Password123", "Passw0rd123", "Abc1234567", "Aa123456789", "Qwer1234567", "Woaini888888", "Qwerty12345", "Beijing2018"]
)
def test_common_passwords_that_pass_the_form(password: str) -> None:
    assert not form_faults(password, 10, 20)
    assert is_common(password)


@pytest.mark.requirement("R56")
@pytest.mark.parametrize(
    ("password", "weak"),
    [
        ("Strong1Passw0rd", False),
        ("A39sw35v660", False),
        ("Dual-Use-Control-9", False),
        ("123456", True),
        ("a12345678", True),
        ("外贸Licence许可", True),
    ],
)
def test_which_old_passwords_are_weak(password: str, weak: bool) -> None:
    assert is_weak(password, 10, 20) is weak


@given(st.text(alphabet=string.printable + "密～　\x00\ud800", max_size=30))
def test_form_agrees_with_the_sentence(password: str) -> None:
    meant = (
        10 <= len(password) <= 20
        and any("A" <= c <= "Z" for c in password)
        and any("a" <= c <= "z" for c in password)
        and any("0" <= c <= "9" for c in password)
        and all("!" <= c <= "}" for c in password)
    )
    assert (not form_faults(password, 10, 20)) is meant
