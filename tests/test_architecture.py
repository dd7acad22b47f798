"""The house rules that a machine can see: who imports what, how large things are, that every route says who may come in."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask

from idp import web

ROOT = Path(__file__).parent.parent
IDP = ROOT / "idp"
# only these may know the web framework (architecture.md); folders named views or endpoints count as such modules
FLASK_ALLOWED = re.compile(
    r"(^|/)(views|cli|endpoints|web|limits|floods|pacing|i18n|db|app|frame|browser|hub|worker|import_command)(\.py|/)|sessions/cookie\.py"
)
FORBIDDEN_DRAWERS = {"utils", "util", "helpers", "helper", "manager", "managers", "common", "misc"}
MAX_LINES = 300
MAX_FUNCTION_LINES = 50


def sources(folder: Path = IDP) -> Iterator[Path]:
    yield from (file for file in sorted(folder.rglob("*.py")) if "versions" not in file.parts)


def imports(file: Path) -> set[str]:
    """Top-level names of the packages a file imports anywhere, at the top or inside functions."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.split(".")[0])
    return found


def relative(file: Path) -> str:
    return file.relative_to(ROOT).as_posix()


def test_rules_do_not_know_flask() -> None:
    offenders = [
        relative(file) for file in sources() if {"flask", "flask_babel", "flask_wtf"} & imports(file) and not FLASK_ALLOWED.search(relative(file))
    ]
    assert offenders == []


def test_jose_and_authlib_stay_in_the_provider() -> None:
    offenders = [relative(file) for file in sources() if {"authlib", "joserfc"} & imports(file) and not relative(file).startswith("idp/oidc/")]
    assert offenders == []


def test_the_server_never_touches_a_card_reader() -> None:
    assert [relative(file) for file in sources() if "smartcard" in imports(file) and "ekey/agent" not in relative(file)] == []


def test_business_systems_are_strangers() -> None:
    assert [relative(file) for file in sources(ROOT / "clients") if "idp" in imports(file)] == []


@pytest.mark.parametrize("module", ["idp", "idp.ekey"])
def test_what_the_card_agent_relies_on_imports_nothing(module: str) -> None:
    code = (
        f"import sys; before = set(sys.modules); import {module}; print(sorted(m for m in set(sys.modules) - before if m not in ('idp', '{module}')))"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT).stdout
    assert printed.strip() == "[]"


def test_no_drawers_and_no_god_files() -> None:
    for file in [*sources(), *sources(ROOT / "clients"), *sources(ROOT / "tests")]:
        assert not FORBIDDEN_DRAWERS & {part.removesuffix(".py") for part in file.relative_to(ROOT).parts}, relative(file)
        if "tests" not in file.parts:
            assert file.read_text().count("\n") <= MAX_LINES, f"{relative(file)} is longer than {MAX_LINES} lines"


def functions(file: Path) -> list[tuple[str, int]]:
    tree = ast.parse(file.read_text())
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return [(f"{relative(file)}:{node.name}", (node.end_lineno or 0) - node.lineno + 1) for node in ast.walk(tree) if isinstance(node, kinds)]


def test_functions_are_short() -> None:
    found = [pair for file in sources() for pair in functions(file)]
    lengths = sorted(length for _, length in found)
    assert lengths[len(lengths) // 2] <= 8
    assert [name for name, length in found if length > MAX_FUNCTION_LINES] == []


def test_every_package_says_what_it_owns() -> None:
    for folder in (folder for folder in IDP.iterdir() if (folder / "__init__.py").exists()):
        text = (folder / "__init__.py").read_text()
        assert all(word in text for word in ("Owns:", "Routes:", "Called by:", "Does not:")), folder.name


def test_every_route_declares_its_access(app: Flask) -> None:
    kinds = {rule.endpoint: web.declared(app, rule.endpoint) for rule in app.url_map.iter_rules()}
    assert {endpoint for endpoint, kind in kinds.items() if kind not in ("anyone", "person", "officer", "protocol", "asset")} == set()


@pytest.mark.requirement("R90")
def test_pages_of_officers_declare_so(app: Flask) -> None:
    rules = [rule for rule in app.url_map.iter_rules() if rule.rule.startswith("/officers")]
    # the link is how somebody becomes an officer
    others = {rule.rule for rule in rules if web.declared(app, rule.endpoint) != "officer"}
    assert others == {"/officers/enrol/<token>"}
    assert len(rules) > len(others)


def test_a_route_without_declaration_is_not_served(app: Flask) -> None:
    app.add_url_rule("/forgotten", "forgotten", lambda: "open")
    app.config["PROPAGATE_EXCEPTIONS"] = False
    app.testing = False
    answer = app.test_client().get("/forgotten")
    assert answer.status_code == 500
    assert "open" not in answer.get_data(as_text=True).split("<main")[-1].split("</main>")[0].split()


def test_pages_of_persons_lead_nobody_in(app: Flask) -> None:
    client = app.test_client()
    for rule in app.url_map.iter_rules():
        if web.declared(app, rule.endpoint) != "person" or "GET" not in (rule.methods or set()):
            continue
        path = re.sub(r"<[^>]+>", "x", re.sub(r"<int:[^>]+>", "1", rule.rule))
        answer = client.get(path)
        # switched off, it is not there for anybody
        if path.startswith("/device"):
            assert answer.status_code == 404
            continue
        assert answer.status_code == 303, path
        assert "/signin/" in answer.location, path


def test_every_page_carries_the_headers(app: Flask) -> None:
    client = app.test_client()
    for path in ("/help", "/signed-out", "/nowhere"):
        headers = client.get(path).headers
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
        assert "unsafe" not in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["X-Frame-Options"] == "DENY"
        assert headers["Cache-Control"] == "no-store"
        assert "Cookie" in headers["Vary"]
