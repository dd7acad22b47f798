"""Delimited text files of strangers: read as a stream, with the physical line of each row, refused as a whole where they are cut or garbled.

Every fault of the file itself raises BadInput with file and line; a row with a wrong number of fields is only marked, the caller leaves it out.
"""

import codecs
import csv
import sqlite3
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import islice
from pathlib import Path
from typing import BinaryIO, TypeVar

from idp.errors import BadInput

# Encodings in which no byte of a longer character looks like a line break, so that lines can be cut before decoding.
ENCODINGS = ("utf-8", "gb18030", "gbk")
MAX_LINE_BYTES = 64 * 1024
CHUNK_ROWS = 1000
MARKS = {codecs.BOM_UTF8: "utf-8", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
UNPRINTABLE = "holds control or format characters"


@dataclass(frozen=True)
class Form:
    """How a file is written: `encoding` one of ENCODINGS, `separator` one character, `quoted` whether `"…"` may hold separators and line breaks."""

    encoding: str = "utf-8"
    separator: str = ","
    quoted: bool = True


@dataclass(frozen=True)
class Row:
    """One row: the line it begins on (1 = the header's), column → text as it stands; `fault` where the number of fields is wrong."""

    line: int
    cells: dict[str, str]
    fault: str | None = None


@dataclass(frozen=True)
class Fault:
    """Why a row is left out: the column of its file and a sentence for the operator."""

    column: str
    reason: str


@dataclass
class Report:
    """What an import of one file did, and where it says so while it works."""

    file: str
    tell: Callable[[str], None] = lambda _text: None
    read_bytes: Callable[[int], None] = lambda _count: None
    counts: Counter[str] = field(default_factory=Counter)

    def reject(self, line: int, column: str, reason: str) -> None:
        """Leave a row out and say which and why."""
        self.counts["rejected"] += 1
        self.tell(str(BadInput(reason, self.file, line, column)))

    def warn(self, line: int, column: str, reason: str) -> None:
        """Take a row and say what is odd about it."""
        self.counts["warnings"] += 1
        self.tell(str(BadInput(f"warning: {reason}", self.file, line, column)))


class FirstLines:
    """On which line of a file something stands first: digests in a table of their own, some 50 bytes each, however long the file is."""

    def __init__(self) -> None:
        """An empty one."""
        self._table = sqlite3.connect(":memory:", isolation_level=None)
        self._table.execute("PRAGMA journal_mode=OFF")
        self._table.execute("CREATE TABLE first (digest BLOB PRIMARY KEY, line INTEGER) WITHOUT ROWID")

    def again(self, line: int, *things: object) -> tuple[object, int] | None:
        """The first of `things` (their repr tells them apart) that an earlier row has, and the line of that row; else note them all."""
        digests = [blake2b(repr(thing).encode("utf-8", "surrogatepass"), digest_size=16).digest() for thing in things]
        for thing, digest in zip(things, digests, strict=True):
            found = self._table.execute("SELECT line FROM first WHERE digest = ?", (digest,)).fetchone()
            if found:
                return thing, int(found[0])
        self._table.executemany("INSERT OR IGNORE INTO first VALUES (?, ?)", [(digest, line) for digest in digests])
        return None


Item = TypeVar("Item")


def chunks(items: Iterable[Item], size: int = CHUNK_ROWS) -> Iterator[list[Item]]:
    """The items in lists of `size`, the last one shorter; what is looked up for a list at once costs a fraction."""
    rest = iter(items)
    while chunk := list(islice(rest, size)):
        yield chunk


def controls(text: str) -> bool:
    """Whether `text` holds what no name has: control and format characters, line separators, halves of a character."""
    return not text.isprintable() and any(unicodedata.category(sign) in ("Cc", "Cf", "Cs", "Zl", "Zp") for sign in text)


def encoding_known(name: str) -> bool:
    """Whether `name` means one of ENCODINGS, in any of its spellings."""
    try:
        return codecs.lookup(name).name in ENCODINGS
    except LookupError:
        return False


def rows(path: Path, form: Form, needed: Iterable[str], report: Report) -> Iterator[Row]:
    """The rows under the header, which must hold every `needed` column; blank lines are passed over."""
    try:
        with path.open("rb") as file:
            yield from _rows(_records(_lines(file, form, report), form, report), needed, report)
    except OSError as error:
        raise BadInput(f"cannot be read: {error.strerror}", report.file) from error


def _lines(file: BinaryIO, form: Form, report: Report) -> Iterator[str]:
    number = 0
    while raw := file.readline(MAX_LINE_BYTES + 1):
        number += 1
        report.read_bytes(len(raw))
        if number == 1:
            _check_mark(raw, form, report)
        if len(raw) > MAX_LINE_BYTES:
            raise BadInput(f"a line longer than {MAX_LINE_BYTES} bytes", report.file, number)
        if b"\0" in raw:
            raise BadInput("a NUL byte; is this a text file in the encoding that the mapping names?", report.file, number)
        # a dump that was cut may end in what looks like a whole value: an account would get half a date or half a hash
        if not raw.endswith(b"\n"):
            raise BadInput("the file ends in the middle of a line: was it cut off? If it is whole, end it with a line break", report.file, number)
        yield _decode(raw, form, report, number)


def _check_mark(raw: bytes, form: Form, report: Report) -> None:
    """Refuse a file that says itself that it is written in another encoding than the mapping names."""
    said = next((encoding for mark, encoding in MARKS.items() if raw.startswith(mark)), None)
    if said and said != codecs.lookup(form.encoding).name:
        raise BadInput(f"begins with the mark of {said}, but is to be read as {form.encoding}", report.file, 1)


def _decode(raw: bytes, form: Form, report: Report, number: int) -> str:
    try:
        text = raw.decode(form.encoding)
    except UnicodeDecodeError as error:
        raise BadInput(f"not {form.encoding}: byte {error.start + 1} of the line ({error.reason})", report.file, number) from error
    return text.removeprefix("\ufeff") if number == 1 else text


def _records(lines: Iterator[str], form: Form, report: Report) -> Iterator[tuple[int, list[str]]]:
    """(line a record begins on, its fields); a record may span lines inside quotes."""
    reader = csv.reader(lines, delimiter=form.separator, quoting=csv.QUOTE_MINIMAL if form.quoted else csv.QUOTE_NONE, strict=True)
    while True:
        begins = reader.line_num + 1
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise BadInput(f"quotes or line breaks are out of order from here on ({error})", report.file, begins) from error
        if fields:
            yield begins, fields


def _rows(records: Iterator[tuple[int, list[str]]], needed: Iterable[str], report: Report) -> Iterator[Row]:
    header = _header(records, needed, report)
    held: tuple[int, list[str]] | None = None
    for record in records:
        if held:
            yield _row(held, header)
        held = record
    if held is None:
        return
    if len(held[1]) < len(header):
        raise BadInput(f"the last row has {len(held[1])} of {len(header)} fields: was the file cut off?", report.file, held[0])
    yield _row(held, header)


def _header(records: Iterator[tuple[int, list[str]]], needed: Iterable[str], report: Report) -> list[str]:
    line, header = next(records, (1, []))
    header = [name.strip() for name in header]
    twice = [name for name, count in Counter(header).items() if count > 1]
    if twice:
        raise BadInput("two columns of this name", report.file, line, twice[0])
    for column in needed:
        if column not in header:
            hint = {0: "; the file is empty", 1: "; all of it is one column: is the separator the right one?"}.get(len(header), "")
            raise BadInput(f"no such column in the header{hint}", report.file, line, column)
    return header


def _row(record: tuple[int, list[str]], header: list[str]) -> Row:
    line, fields = record
    if len(fields) != len(header):
        return Row(line, {}, f"{len(fields)} fields instead of {len(header)}")
    return Row(line, dict(zip(header, fields, strict=True)))
