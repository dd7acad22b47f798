import pytest
from hypothesis import given
from hypothesis import strategies as st

from idp.enterprises import codes

# the sample data's own; the last has a letter in its organisation code
USCCS = ["91440000987654321A", "9131000055667788XU", "91110000F686P61K49"]


@pytest.mark.requirement("D4")
@pytest.mark.parametrize(
    ("code", "good"),
    [
        ("0441987654321", True),
        ("310055667788X", True),
        ("0100F686P61K4", True),
        ("044198765432", False),
        ("04419876543210", False),
        ("A441987654321", False),
        ("044198765432-", False),
        ("0441987654321\n", False),
        ("٠٤٤١987654321", False),
        ("", False),
    ],
)
def test_a_code_is_thirteen_characters(code: str, good: bool) -> None:
    assert codes.is_code(code) == good


@pytest.mark.requirement("D13")
@pytest.mark.parametrize("uscc", USCCS)
def test_a_uscc_is_known_by_its_check_digit(uscc: str) -> None:
    assert codes.is_uscc(uscc)
    for place in range(18):
        for other in "0R":
            changed = uscc[:place] + other + uscc[place + 1 :]
            assert codes.is_uscc(changed) == (changed == uscc)


@given(st.text(alphabet=codes.USCC_ALPHABET, min_size=17, max_size=17))
def test_each_body_has_exactly_one_check_digit(body: str) -> None:
    assert [digit for digit in codes.USCC_ALPHABET if codes.is_uscc(body + digit)] == [codes.uscc_check_digit(body)]


@pytest.mark.parametrize("text", ["I" * 18, "O" * 18, "91440000987654321a", "", "9" * 17, "9" * 19])
def test_what_is_no_uscc(text: str) -> None:
    assert not codes.is_uscc(text)


@pytest.mark.requirement("D13")
def test_doubts_only_warn() -> None:
    # GB 11714: the manual's own example fails, its neighbour with X passes
    assert codes.doubts("0441987654321", "") == ["code_check_digit"]
    assert codes.doubts("044198765432" + codes.organisation_check_digit("98765432"), "") == []
    assert codes.doubts("0441987654321", USCCS[0]) == ["code_check_digit"]
    assert "code_uscc_mismatch" in codes.doubts("0441987654321", USCCS[1])
    assert codes.doubts("", USCCS[0]) == []


def test_typed_codes_are_normalised() -> None:
    assert codes.normalise(" ０４４１９８７ ６５４３２１x\t") == "0441987654321X"
    assert codes.normalise("1" * 65) == ""


@given(st.text(max_size=80))
def test_no_text_raises(text: str) -> None:
    normal = codes.normalise(text)
    assert codes.is_code(normal) in (True, False)
    assert codes.is_uscc(normal) in (True, False)
