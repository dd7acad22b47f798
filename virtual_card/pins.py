"""PIN and PUK: a try is written off before it is judged, so that cutting the power wins nothing (SP 800-73-4 part 2, §3.2)."""

from collections.abc import Callable
from hmac import compare_digest

from virtual_card.apdu import Refused
from virtual_card.card_file import Secret

BLOCKED = 0x6983
LENGTH, SHORTEST = 8, 6


def tries_left(secret: Secret) -> int:
    """The status word that tells how often one may still try."""
    return 0x63C0 | min(secret.left, 15) if secret.left else BLOCKED


def well_formed(value: bytes) -> bool:
    """Six to eight bytes without FF, filled with FF."""
    digits = value.rstrip(b"\xff")
    return len(value) == LENGTH and len(digits) >= SHORTEST and 0xFF not in digits


def prove(secret: Secret, value: bytes, save: Callable[[], None]) -> None:
    """Return if `value` is right, which gives all tries back; Refused(63Cx) otherwise, (6983) if no try was left."""
    if not secret.left:
        raise Refused(BLOCKED)
    secret.left -= 1
    save()
    if not compare_digest(bytes.fromhex(secret.value), value):
        raise Refused(0x63C0 | min(secret.left, 15))
    secret.left = secret.limit
    save()


def replace(secret: Secret, value: bytes) -> None:
    """A new value with all its tries; the caller saves."""
    secret.value, secret.left = value.hex(), secret.limit
