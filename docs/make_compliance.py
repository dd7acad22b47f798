"""Writes docs/compliance.md from the marks of the tests, without running them: `python -m docs.make_compliance`."""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
HEAD = """# What is proven, and by which test

The marks `requirement` and `spec` of the tests, collected: `pytest -k NAME` runs the tests of a line. A line without a test says so.
This page is generated (`make docs`).
"""
REQUIREMENTS = (*(f"R{number}" for number in range(1, 94)), *(f"D{number}" for number in range(1, 22)))
TESTS = (ast.FunctionDef, ast.AsyncFunctionDef)


@dataclass(frozen=True)
class Proof:
    """One mark of one test: `("requirement", "R27")` or `("spec", "RFC 7636", "4.6")`, where it stands, and the test's name."""

    mark: tuple[str, ...]
    file: str
    test: str


def _mark(node: ast.expr) -> tuple[str, ...] | None:
    """The mark that `pytest.mark.NAME("…", …)` sets, if it is one of ours."""
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute) or ast.unparse(node.func.value) != "pytest.mark":
        return None
    if node.func.attr not in ("requirement", "spec"):
        return None
    return (node.func.attr, *(str(ast.literal_eval(argument)) for argument in node.args))


def _of_module(tree: ast.Module) -> list[tuple[str, ...]]:
    """The marks of `pytestmark`, which hold for every test of the file."""
    found: list[ast.expr] = []
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "pytestmark":
            found += node.value.elts if isinstance(node.value, ast.List | ast.Tuple) else [node.value]
    return [mark for mark in map(_mark, found) if mark]


def _of_parameters(test: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[ast.expr]:
    """What `pytest.param(…, marks=…)` sets for single cases."""
    for decorator in test.decorator_list:
        for node in ast.walk(decorator):
            if isinstance(node, ast.keyword) and node.arg == "marks":
                yield from node.value.elts if isinstance(node.value, ast.List | ast.Tuple) else [node.value]


def proofs(folder: Path = ROOT / "tests") -> list[Proof]:
    """Every mark of ours, file by file."""
    found = []
    for file in sorted(folder.rglob("test_*.py")):
        tree = ast.parse(file.read_text("utf-8"))
        whole = _of_module(tree)
        for node in ast.walk(tree):
            if isinstance(node, TESTS) and node.name.startswith("test_"):
                own = [mark for mark in map(_mark, [*node.decorator_list, *_of_parameters(node)]) if mark]
                found += [Proof(mark, file.relative_to(folder.parent).as_posix(), node.name) for mark in dict.fromkeys([*whole, *own])]
    return found


def _cell(of: list[Proof]) -> str:
    """The tests of one line, by file."""
    files: dict[str, list[str]] = {}
    for proof in of:
        files.setdefault(proof.file, []).append(f"`{proof.test}`")
    return "<br>".join(f"[{file.removeprefix('tests/')}](../{file}): {', '.join(names)}" for file, names in files.items()) or "– no test yet"


def _natural(text: str) -> list[tuple[int, str]]:
    """4.10 after 4.9."""
    return [(int(part), "") if part.isdigit() else (0, part) for part in re.split(r"(\d+)", text)]


def page(found: list[Proof]) -> str:
    """The whole page."""
    of = {mark: [proof for proof in found if proof.mark == mark] for mark in (proof.mark for proof in found)}
    numbers = sorted({*REQUIREMENTS, *(mark[1] for mark in of if mark[0] == "requirement")}, key=lambda name: (name[0] == "D", _natural(name)))
    clauses = sorted((mark for mark in of if mark[0] == "spec"), key=lambda mark: [_natural(part) for part in mark])
    lines = [
        *(HEAD, "## Requirements\n", "| requirement | tests |", "|---|---|"),
        *(f"| {number} | {_cell(of.get(('requirement', number), []))} |" for number in numbers),
        *("", "## Specifications\n", "| document | clause | tests |", "|---|---|---|"),
        *(f"| {mark[1]} | {mark[2]} | {_cell(of[mark])} |" for mark in clauses),
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    Path(__file__).with_name("compliance.md").write_text(page(proofs()), "utf-8")
