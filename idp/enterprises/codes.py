"""Enterprise codes: the 13-character code of importers and exporters (D4) and the unified social credit code, USCC (GB 32100-2015)."""

import re
import unicodedata

CODE = re.compile(r"[0-9]{4}[0-9A-Z]{9}")
USCC = re.compile(r"[0-9A-HJ-NP-RTUW-Y]{18}")
USCC_ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"  # GB 32100-2015: without I, O, S, V, Z
ORGANISATION_WEIGHTS = (3, 7, 9, 10, 5, 8, 4, 2)  # GB 11714-1997
MAX_TYPED_CHARACTERS = 64


def normalise(typed: str) -> str:
    """A typed code as it is stored: half width, upper case, no blanks; "" if it is far too long."""
    if len(typed) > MAX_TYPED_CHARACTERS:
        return ""
    return "".join(unicodedata.normalize("NFKC", typed).split()).upper()


def is_code(code: str) -> bool:
    """Whether a normalised text has the form of an enterprise code. Its check digit does not count (D4)."""
    return CODE.fullmatch(code) is not None


def is_uscc(uscc: str) -> bool:
    """Whether a normalised text is a USCC, check digit included."""
    return USCC.fullmatch(uscc) is not None and uscc_check_digit(uscc[:17]) == uscc[17]


def uscc_check_digit(body: str) -> str:
    """The 18th character for the first 17: weights 3^i mod 31, complement to 31."""
    total = sum(USCC_ALPHABET.index(character) * pow(3, place, 31) for place, character in enumerate(body))
    return USCC_ALPHABET[-total % 31]


def organisation_check_digit(body: str) -> str:
    """The ninth character of an organisation code for the first eight; letters count from A = 10."""
    total = sum(int(character, 36) * weight for character, weight in zip(body, ORGANISATION_WEIGHTS, strict=True))
    return "0123456789X0"[11 - total % 11]


def doubts(code: str, uscc: str) -> list[str]:
    """What is odd about valid codes ("" = none given), as stable codes; only worth a warning, because the manual's own example fails."""
    found = []
    # D4: the last nine characters are an organisation code
    if code and organisation_check_digit(code[4:12]) != code[12]:
        found.append("code_check_digit")
    # D13: normally the same nine characters stand in the USCC
    if code and uscc and code[4:] != uscc[8:17]:
        found.append("code_uscc_mismatch")
    return found
