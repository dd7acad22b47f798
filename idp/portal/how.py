"""【我该怎样登录？】: three questions → which name, which password, what comes next (R93). Codes only; the words are the catalogue's."""

from collections.abc import Mapping
from dataclasses import dataclass

# The classes of R17; users of the control application have names of their own (D1).
QUESTIONS: Mapping[str, tuple[str, ...]] = {
    "business": ("keyed", "dual_use_control", "dual_use", "mech_electrical"),
    "key": ("yes", "no"),
    "changed": ("yes", "no"),
}
NAMES = {"keyed": "code_form", "dual_use_control": "control", "dual_use": "code_form", "mech_electrical": "as_it_was"}


@dataclass(frozen=True)
class Advice:
    """Codes of the three sentences: how.name.…, how.password.…, how.next.…; `name` "" = nothing to sign in with yet."""

    name: str
    password: str
    following: str


def advise(given: Mapping[str, str]) -> Advice | None:
    """The advice for three answers; None while one is missing or unknown."""
    if any(given.get(question) not in answers for question, answers in QUESTIONS.items()):
        return None
    business = given["business"]
    # R42–R44: all but mech_electrical begin with a key
    if business != "mech_electrical" and given["key"] == "no":
        return Advice("", "", "apply_for_key")
    if given["changed"] == "yes":
        return Advice(NAMES[business], "new", "hall")
    password = "control" if business == "dual_use_control" else "former"
    # R56: class 1 always changes, the others if the password is weak
    return Advice(NAMES[business], password, "change" if business == "keyed" else "change_if_weak")
