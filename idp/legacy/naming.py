"""What an old user name becomes on the platform (R8, R9, D1), and which class of users it belongs to (R17)."""

from datetime import date

CONTROL_NAMES = "dual_use"  # names are those of the control application (D1)
OWN_NAMES = "mech_electrical"  # names are unique within the system and stay as they are (R8)
CLASSES = {CONTROL_NAMES: 2, OWN_NAMES: 3}
CODE_FORM_CLASS = 1


def user_class(system: str) -> int:
    """The class of users of an old system: 2 dual-use, 3 mech-electrical, 1 all others."""
    return CLASSES.get(system, CODE_FORM_CLASS)


def unique_in_system(system: str) -> bool:
    """Whether the system's own user names are unique without the enterprise (D19)."""
    return system == OWN_NAMES


def names(system: str, prefix: str, username: str) -> list[str]:
    """All platform names of an old user, the canonical one first; `prefix` is the enterprise's code, else its USCC."""
    code_form = f"{prefix}-{username}"
    if system == OWN_NAMES:
        return [username]  # R8
    if system == CONTROL_NAMES:
        return [username, code_form]  # D1
    return [code_form]  # R9, D20


def rank(system: str, position: int, name_key: str, *, enabled: bool, last_login: date | None) -> tuple[bool, bool, int, int, str]:
    """Smallest for the row whose name an account bears (R62): dual_use if enabled, the latest last log-in, the table's order; disabled rows last.

    The old name, as it is compared, decides between equals, so that it does not matter which dump came first.
    """
    return (not enabled, system != CONTROL_NAMES or not enabled, -(last_login or date.min).toordinal(), position, name_key)
