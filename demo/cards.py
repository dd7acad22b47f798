"""The e-keys of the demo: cards of the development CA, a private reader, and which card is in it.

The reader holds what the file `card-in-reader` names, so that `python -m demo card put NAME` and `card pull` need no connection to the demo.
"""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from virtual_card import daemon
from virtual_card.personalisation import make_card, read_slot
from virtual_card.reader import Reader

PIN, PUK = "123456", "12345678"
# what the card is called here, and the serial of the key in the key office's list
CARDS = {"beijing": "EK76DA6FAE991C57", "liangyong": "EK76B7A1C21DA4CF"}
MISSING = (
    "电子钥匙：本机没有 pcscd，本次不含电子钥匙。/ E-keys are left out here.  sudo apt-get install --no-install-recommends pcscd vsmartcard-vpcd"
)
HOW = "换卡、拔卡（另开一个终端）/ change cards, in another terminal:  .venv/bin/python -m demo card put liangyong  ·  card pull"
DEMAND = "两用物项系统须用电子钥匙登录。/ The system of dual-use licences lets nobody in without the e-key."
KINDS = ("ec", "rsa", "sm2")
DEMANDING = "dual_use"  # the business system that lets nobody in without a key, where there are keys


def possible() -> bool:
    """Whether this machine can have a virtual reader."""
    try:
        daemon.program()
    except daemon.Missing:
        return False
    return True


def demands() -> list[str]:
    """What tells `python -m clients` which system demands the key."""
    return ["--demand-key", DEMANDING] if possible() else []


def settings(data_dir: Path) -> Mapping[str, str]:
    """What makes the platform accept the development CA, once there is one."""
    roots = data_dir / "dev-ca" / "roots.pem"
    if not roots.exists():
        return {}
    lists = ",".join(f"http://dev-ca.invalid/{kind}.crl" for kind in KINDS)
    return {"IDP_EKEY_ROOTS_FILE": str(roots), "IDP_EKEY_CRL_URLS": lists}


def make(issued: Path, folder: Path) -> None:
    """A card file of each PEM in `issued`, which then goes: a private key lies on its card only. Cards that are there stay as they are."""
    folder.mkdir(mode=0o700, exist_ok=True)
    for name, serial in CARDS.items():
        if not (folder / f"{name}.json").exists():
            make_card(folder / f"{name}.json", {"9A": read_slot((issued / f"{serial}.pem").read_bytes())}, PIN, PUK)
    shutil.rmtree(issued)


def choose(state: Path, name: str) -> None:
    """Have the card `name` put in, or "" for none; the running demo does it within a second."""
    draft = state / "card-in-reader.new"
    draft.write_text(name)
    draft.replace(state / "card-in-reader")


@dataclass
class Desk:
    """The reader as the person wants it: `follow` puts in and pulls what has been chosen."""

    state: Path
    reader: Reader
    inside: str = field(default="")

    def follow(self) -> None:
        """Bring the reader in line with the choice; the first card is in from the start."""
        file = self.state / "card-in-reader"
        wanted = file.read_text() if file.exists() else next(iter(CARDS))
        if wanted == self.inside or wanted not in {"", *CARDS}:
            return
        self.reader.remove()
        if wanted:
            self.reader.insert(self.state / "cards" / f"{wanted}.json")
        self.inside = wanted
