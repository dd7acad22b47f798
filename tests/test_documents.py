"""Generated pages are fresh, and say what their sources say."""

from pathlib import Path

import pytest

from docs import make_audit_events, make_compliance
from docs.make_compliance import Proof

DOCS = Path(__file__).parent.parent / "docs"


def test_the_table_of_proofs_is_fresh() -> None:
    assert (DOCS / "compliance.md").read_text("utf-8") == make_compliance.page(make_compliance.proofs()), "make docs"


def test_the_list_of_audit_events_is_fresh() -> None:
    assert (DOCS / "audit-events.md").read_text("utf-8") == make_audit_events.page(make_audit_events.catalogues()), "make docs"


@pytest.fixture
def marked(tmp_path: Path) -> list[Proof]:
    """Marks on a module, a function, a method and a single case."""
    file = tmp_path / "tests" / "things" / "test_one.py"
    file.parent.mkdir(parents=True)
    file.write_text(
        "import pytest\n"
        "pytestmark = [pytest.mark.slow, pytest.mark.requirement('R2')]\n"
        "@pytest.mark.spec('RFC 1', '4.10')\n@pytest.mark.spec('RFC 1', '4.9')\ndef test_a(): ...\n"
        "class TestB:\n    @pytest.mark.requirement('R10')\n    def test_b(self): ...\n"
        "@pytest.mark.parametrize('x', [pytest.param(1, marks=pytest.mark.requirement('D3'))])\ndef test_c(x): ...\n"
        "def helper(): ...\n"
    )
    return make_compliance.proofs(tmp_path / "tests")


def test_every_place_of_a_mark_is_read(marked: list[Proof]) -> None:
    assert {(proof.mark[1:], proof.test) for proof in marked} == {
        *((("R2",), name) for name in ("test_a", "test_b", "test_c")),
        (("RFC 1", "4.10"), "test_a"),
        (("RFC 1", "4.9"), "test_a"),
        (("R10",), "test_b"),
        (("D3",), "test_c"),
    }


def test_lines_stand_in_the_order_of_people(marked: list[Proof]) -> None:
    page = make_compliance.page(marked)
    places = [page.index(line) for line in ("| R2 |", "| R10 |", "| D3 |", "| 4.9 |", "| 4.10 |")]
    assert places == sorted(places)
    assert "| R3 | – no test yet |" in page
    assert "[things/test_one.py](../tests/things/test_one.py): `test_a`" in page


def test_an_event_shows_its_name_words_and_facts() -> None:
    source = 'def gone(now, *, key: int) -> None:\n    """It\n    went."""\n    write("key.gone", now, key=key)\n'
    assert make_audit_events.page(source).endswith("| `key.gone` | It went. | `key` |\n")
