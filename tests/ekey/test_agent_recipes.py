"""The recipes of the driver's packages, as far as they can be looked at without the tools of Windows: nothing here is built."""

import re
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent.parent.parent / "packaging"
WINDOWS = FOLDER / "windows"
# what of Inno Setup is used (jrsoftware.org/ishelp): entries of each section are `Name: value; …`
ENTRIES = {
    "Files": {"Source", "DestDir", "Flags"},
    "Icons": {"Name", "Filename", "Parameters"},
    "Run": {"Filename", "Parameters", "Flags"},
}
CONSTANTS = {"app", "localappdata", "userstartup", "#Version"}
ENTRY = re.compile(r'(\w+): ("(?:[^"]|"")*"|[^";]+)(?:; |$)')


def sections(text: str) -> dict[str, list[str]]:
    """The lines of each section, without remarks."""
    found: dict[str, list[str]] = {}
    lines: list[str] = []
    for line in filter(None, map(str.strip, text.splitlines())):
        if heading := re.fullmatch(r"\[(\w+)\]", line):
            lines = found.setdefault(heading[1], [])
        elif not line.startswith(";"):
            lines.append(line)
    return found


def test_the_recipe_for_every_system_is_python() -> None:
    text = (FOLDER / "agent.spec").read_text()
    compile(text, "agent.spec", "exec")
    (entry,) = re.findall(r'"(idp/[\w/]+\.py)"', text)
    assert (FOLDER.parent / entry).is_file()


@pytest.mark.requirement("R19")
def test_the_installer_for_windows_is_well_formed() -> None:
    text = (WINDOWS / "agent.iss").read_text()
    found = sections(text)
    setup = dict(line.split("=", 1) for line in found.pop("Setup"))
    assert {"AppId", "AppName", "AppVersion", "AppPublisher", "DefaultDirName", "OutputDir", "OutputBaseFilename"} <= set(setup)
    assert setup["PrivilegesRequired"] == "lowest", "for one person, without an administrator"
    assert set(found) == set(ENTRIES)
    for section, lines in found.items():
        for line in lines:
            parts = ENTRY.findall(line)
            assert "; ".join(f"{name}: {value}" for name, value in parts) == line, "nothing is left over"
            assert {name for name, _ in parts} <= ENTRIES[section]
    # an opening brace is doubled where it means itself
    assert set(re.findall(r"(?<!\{)\{([#\w]+)\}", text)) == CONSTANTS


def test_the_script_for_windows_names_what_is_there() -> None:
    text = (WINDOWS / "build.ps1").read_text()
    named = re.findall(r"(?:packaging|idp)\\[\w\\.]+\.\w+", text)
    assert len(named) == 4
    for file in named:
        assert (FOLDER.parent / file.replace("\\", "/")).is_file(), file
    for opening, closing in ("{}", "()", "[]"):
        assert text.count(opening) == text.count(closing)
    version = re.search(r"-Pattern '(.*)'", text)
    assert version
    assert re.search(version[1], (FOLDER.parent / "idp/ekey/agent/__init__.py").read_text(), re.MULTILINE)
    built, packed = re.search(r"dist\\(idp-ekey-agent)\\", text), sections((WINDOWS / "agent.iss").read_text())
    assert built
    assert any(built[1] in line for line in packed["Files"])


def test_no_package_bears_a_placeholder() -> None:
    for file in ("linux/control", "linux/copyright", "windows/agent.iss"):
        assert not re.search(r"(?i)todo|fixme|no-?reply|example\.(com|org)|localhost|see-the", (FOLDER / file).read_text()), file
