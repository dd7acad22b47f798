from pathlib import Path

import pytest

from idp.delimited import ENCODINGS, Form, Report, Row, encoding_known, rows
from idp.errors import BadInput


def read(tmp_path: Path, content: bytes, form: Form = Form()) -> list[Row]:  # noqa: B008  # frozen
    file = tmp_path / "f.csv"
    file.write_bytes(content)
    return list(rows(file, form, ["a", "b"], Report("f.csv")))


def test_lines_are_those_of_the_file_even_where_fields_hold_line_breaks(tmp_path: Path) -> None:
    found = read(tmp_path, b'a,b\r\n1,"x\r\n\r\ny"\r\n\r\n2,z\r\n3\r\n4,"w"\r\n')
    assert [(row.line, row.cells.get("b"), row.fault) for row in found] == [
        (2, "x\r\n\r\ny", None),
        (6, "z", None),
        (7, None, "1 fields instead of 2"),
        (8, "w", None),
    ]


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_the_mark_of_the_byte_order_is_no_part_of_the_first_column(tmp_path: Path, encoding: str) -> None:
    mark = "" if encoding == "gbk" else "\ufeff"
    assert read(tmp_path, f"{mark}a|b\n企|业\n".encode(encoding), Form(encoding, "|"))[0].cells == {"a": "企", "b": "业"}


def test_without_quoting_a_quote_is_a_character(tmp_path: Path) -> None:
    assert read(tmp_path, b'a\tb\n"x\ty\n', Form(separator="\t", quoted=False))[0].cells == {"a": '"x', "b": "y"}


def test_a_header_alone_is_no_fault_but_nothing_at_all_is(tmp_path: Path) -> None:
    assert read(tmp_path, b"a,b\n") == []
    with pytest.raises(BadInput, match=r"f\.csv:1: a: no such column"):
        read(tmp_path, b"")


def test_a_field_that_swallows_the_rest_of_the_file_is_refused_where_it_begins(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"f\.csv:3: quotes or line breaks"):
        read(tmp_path, b'a,b\n1,2\n"3,4\n' + b"5,6\n" * 60_000)


def test_rows_come_while_the_file_is_read(tmp_path: Path) -> None:
    file = tmp_path / "f.csv"
    file.write_bytes(b"a,b\n" + b"1,2\n" * 1000 + b"\0\n")
    stream = rows(file, Form(), ["a"], Report("f.csv"))
    # one row is held back, because the last one may be cut
    assert [next(stream).line for _ in range(999)] == list(range(2, 1001))
    with pytest.raises(BadInput, match=r"f\.csv:1002: a NUL byte"):
        next(stream)


@pytest.mark.parametrize(
    ("name", "known"), [("UTF8", True), ("GB18030", True), ("cp936", True), ("utf-16", False), ("rot13", False), ("x", False), ("", False)]
)
def test_encodings(name: str, known: bool) -> None:
    assert encoding_known(name) == known
