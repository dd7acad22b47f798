"""Digits as people type them: one rule for every field that takes a code.

Full-width digits of Chinese input methods count as digits; blanks of any kind and hyphens between them count for nothing; all else is no code.
"""

# more than anybody types with blanks between
MAX_TYPED_CHARACTERS = 32
NARROW = str.maketrans("０１２３４５６７８９", "0123456789", "-－")


def read(typed: str) -> str | None:
    """The ASCII digits of what was typed; None if it is empty, too long to look at, or holds anything else."""
    if len(typed) > MAX_TYPED_CHARACTERS:
        return None
    digits = "".join(typed.translate(NARROW).split())
    return digits if digits.isascii() and digits.isdigit() else None
