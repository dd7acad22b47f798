"""`idp legacy letters`: 《登录方式变更告知书》 for every enterprise, and the messages (R92)."""

import os
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TextIO

import click
from flask import render_template
from flask_babel import force_locale
from sqlalchemy import select

from idp import import_command, web
from idp.accounts.named_operator import named_operator
from idp.db import session, transaction
from idp.entitlements.models import BusinessSystem
from idp.errors import BadInput
from idp.i18n import DEFAULT
from idp.legacy import cutover_orders, letters
from idp.legacy.cli import group
from idp.legacy.letters import Contact, Letter, Writer

STYLE = Path(__file__).parent.parent.parent / "static" / "notice.css"


@group.command("letters")
@click.option("--folder", type=click.Path(file_okay=False, path_type=Path), help="Write one printable letter an enterprise here, and index.html.")
@click.option("--system", "wanted", multiple=True, help="Only users of this business system. Repeatable; default: all.")
@click.option("--send", is_flag=True, help="Tell each contact by short message or mail, once.")
@named_operator
def letters_(folder: Path | None, wanted: tuple[str, ...], send: bool) -> None:
    """Tell enterprises from when on their old users sign in at the platform, and how. Only of cut-overs that are ordered.

    May be run again at any time: files are written anew, and nobody is told twice.
    """
    if not folder and not send:
        raise click.UsageError("give --folder, --send, or both")
    systems = [code for each in wanted or ("all",) for code in cutover_orders.systems(each)]
    writer = letters.writer(web.today(), web.runtime().secret, systems)
    counts: Counter[str] = Counter()
    with ExitStack() as open_files:
        press = Press(folder, open_files) if folder else None
        for written in _written(writer, systems):
            if press:
                for letter, _contacts in written:
                    press.letter(letter)
            if send:
                with transaction():
                    counts["messages"] += sum(letters.announce(letter, contacts, web.now()) for letter, contacts in written)
            counts["letters"] += len(written)
            session.expunge_all()
    if not counts["letters"]:
        raise BadInput("there is nobody to tell: no cut-over is ordered for enabled users of these systems; `idp legacy cutover` orders one")
    click.echo(f"{counts['letters']} letters · {counts['messages']} messages")


def _written(writer: Writer, systems: list[str]) -> Iterator[list[tuple[Letter, list[Contact]]]]:
    with import_command.progress_bar() as bar:
        for ids in bar.track(list(letters.batches(systems)), description="letters"):
            yield writer.letters(ids)


class Press:
    """Writes letters into a folder (0700), in Chinese, and an index of them."""

    def __init__(self, folder: Path, files: ExitStack) -> None:
        """The index grows with each letter and is completed at the end."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder, self._number = folder, 0
        self._style = STYLE.read_text("utf-8")
        self._names = dict(session.execute(select(BusinessSystem.code, BusinessSystem.name)).all())
        self._index = files.enter_context(_private(folder / "index.html"))
        self._index.write(self._page("index_begin"))
        files.callback(lambda: self._index.write(self._page("index_end", number=self._number)))

    def letter(self, letter: Letter) -> None:
        """One file, and its line in the index; in folders by the code's beginning, for there may be a million."""
        place = Path(letter.prefix[:4]) / f"{letter.prefix}.html"
        (self._folder / place.parent).mkdir(mode=0o700, exist_ok=True)
        with _private(self._folder / place) as file:
            file.write(self._page("letter", letter=letter))
        self._number += 1
        self._index.write(self._page("index_line", letter=letter, place=place.as_posix()))

    def _page(self, name: str, **values: object) -> str:
        settings = web.runtime().settings
        with force_locale(DEFAULT):
            return render_template(
                f"legacy/notice_{name}.html", style=self._style, systems=self._names, today=web.today(), logins=settings.legacy_entry_logins, **values
            )


def _private(file: Path) -> TextIO:
    """The file, written anew, for the operator's eyes alone."""
    return os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8")
