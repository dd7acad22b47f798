"""Writes docs/audit-events.md from the functions of the catalogues in idp/audit: `python -m docs.make_audit_events`."""

import ast
from pathlib import Path

ROOT = Path(__file__).parent.parent
CATALOGUES = [ROOT / "idp" / "audit" / f"{name}.py" for name in ("catalogue", "legacy_entry", "migration", "provider")]
HEAD = """# Audit events

Each event is written in the transaction of the change that it tells of, with its time, the request's number, the caller's network and, for
commands, the operator. Ids only: no secret, no personal data. This page is generated (`make docs`).

| event | what happened | facts |
|---|---|---|
"""


def _event(function: ast.FunctionDef) -> str | None:
    """The name that the function writes; None for a function that writes no event of its own."""
    for node in ast.walk(function):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "write":
            name = node.args[0]
            return str(name.value) if isinstance(name, ast.Constant) else ast.unparse(name)
    return None


def _row(event: str, function: ast.FunctionDef) -> str:
    words = " ".join((ast.get_docstring(function) or "").split()).replace("|", "\\|")
    facts = ", ".join(f"`{argument.arg}`" for argument in function.args.kwonlyargs)
    return f"| `{event}` | {words} | {facts or '–'} |"


def catalogues() -> str:
    """Their source text, one after the other."""
    return "\n".join(file.read_text("utf-8") for file in CATALOGUES)


def page(source: str) -> str:
    """The whole page, for the source text of the catalogues."""
    functions = [node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")]
    rows = [_row(event, function) for function in functions if (event := _event(function)) is not None]
    return HEAD + "\n".join(rows) + "\n"


if __name__ == "__main__":
    Path(__file__).with_name("audit-events.md").write_text(page(catalogues()), "utf-8")
