"""What `make agent-packages` builds: it runs without Python and without the server's code, and what it prints is a list of drivers."""

import os
import subprocess
import tarfile
import tomllib
from pathlib import Path

import pytest

from idp.ekey import driver_files
from idp.ekey.agent import VERSION
from tests.cards import Cards
from tests.ekey.running_agent import ORIGIN, Page, Person
from tests.ekey.test_agent_cards import put_in
from tests.ekey.test_agent_installed import ROOT, port_of
from virtual_card.reader import Reader

pytestmark = pytest.mark.slow
AS_ROOT = () if os.geteuid() == 0 else ("unshare", "--user", "--map-root-user")


@pytest.fixture(scope="session")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("packages")
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": str(folder), "ORIGINS": f"{ORIGIN} https://backup.idp.test:8443"}
    subprocess.run([ROOT / "packaging" / "build", folder], check=True, capture_output=True, env=environment)
    return folder


def run_alone(program: Path, options: Path, reader: Reader) -> None:
    """With an empty environment, from elsewhere, it says who is in the reader."""
    environment = {"PCSCLITE_CSOCK_NAME": str(reader.socket)}
    command = [str(program), f"@{options}", "--port", "0", "--prompt", "terminal"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, cwd="/") as process:
        assert Page(port_of(process), Person()).status()["username"] == "张三"
        process.terminate()


@pytest.mark.requirement("R19")
def test_the_bundle_installs_for_one_person_and_reads_a_card(packages: Path, tmp_path: Path, reader: Reader, cards: Cards) -> None:
    (packed,) = packages.glob("*.tar.gz")
    with tarfile.open(packed) as archive:
        archive.extractall(tmp_path, filter="tar")
    (folder,) = tmp_path.glob("idp-ekey-agent-*")
    assert not [name for name in ("flask", "sqlalchemy", "authlib", "pydantic") if list(folder.rglob(f"{name}*"))]
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path / "home")}
    target = Path(subprocess.run([folder / "install"], check=True, capture_output=True, text=True, env=environment).stdout.strip())
    entry = tmp_path / "home/.config/autostart/idp-ekey-agent.desktop"
    assert f'Exec="{target}/idp-ekey-agent" "@{target}/options"' in entry.read_text()
    put_in(reader, cards.new())
    run_alone(target / "idp-ekey-agent", target / "options", reader)
    subprocess.run([folder / "install", "--remove"], check=True, env=environment)
    assert not entry.exists()
    assert not target.exists()


@pytest.mark.requirement("R19")
def test_the_deb_starts_with_the_desktop_and_reads_a_card(packages: Path, tmp_path: Path, reader: Reader, cards: Cards) -> None:
    (deb,) = packages.glob("*.deb")
    fields = subprocess.run(
        ["/usr/bin/dpkg-deb", "--field", deb, "Version", "Depends", "Maintainer"], check=True, capture_output=True, text=True
    ).stdout
    assert f"Version: {VERSION}" in fields
    assert "pcscd" in fields
    assert "Maintainer: Licence platform <licence-platform@idp.test>" in fields
    subprocess.run(["/usr/bin/dpkg-deb", "--extract", deb, tmp_path], check=True)
    assert "Exec=/usr/bin/idp-ekey-agent @/etc/idp-ekey-agent/options" in (tmp_path / "etc/xdg/autostart/idp-ekey-agent.desktop").read_text()
    assert (tmp_path / "etc/idp-ekey-agent/options").read_text() == f"--origin={ORIGIN}\n--origin=https://backup.idp.test:8443\n"
    program = tmp_path / "usr/bin/idp-ekey-agent"
    assert subprocess.run([program, "--version"], check=True, capture_output=True, text=True, env={}).stdout == f"{VERSION}\n"
    put_in(reader, cards.new())
    run_alone(program, tmp_path / "etc/idp-ekey-agent/options", reader)


@pytest.mark.requirement("R19")
def test_dpkg_installs_it_keeps_what_an_administrator_wrote_and_takes_it_away(packages: Path, tmp_path: Path) -> None:
    (deb,) = packages.glob("*.deb")
    (tmp_path / "var/lib/dpkg/updates").mkdir(parents=True)
    (tmp_path / "var/lib/dpkg/info").mkdir()
    (tmp_path / "var/lib/dpkg/status").touch()

    def dpkg(*arguments: str | Path) -> None:
        # its dependencies are not in this small root
        forced = ["--force-depends", "--force-confold", "--force-script-chrootless", "--force-not-root", "--force-bad-path"]
        subprocess.run([*AS_ROOT, "/usr/bin/dpkg", f"--root={tmp_path}", "--log=/dev/null", *forced, *arguments], check=True, capture_output=True)

    dpkg("--install", deb)
    program, options = tmp_path / "usr/bin/idp-ekey-agent", tmp_path / "etc/idp-ekey-agent/options"
    assert subprocess.run([program, f"@{options}", "--version"], check=True, capture_output=True, text=True, env={}).stdout == f"{VERSION}\n"
    options.write_text("--origin=https://sso.example.cn\n")
    dpkg("--install", deb)
    assert options.read_text() == "--origin=https://sso.example.cn\n"
    dpkg("--remove", "idp-ekey-agent")
    assert not program.exists()
    assert options.exists()
    dpkg("--purge", "idp-ekey-agent")
    assert not options.exists()
    assert not (tmp_path / "etc/xdg/autostart/idp-ekey-agent.desktop").exists()


def test_what_is_printed_is_a_list_of_drivers(packages: Path) -> None:
    found = driver_files.load(packages / "drivers.toml", None)
    assert {driver.version for driver in found.all} == {VERSION}
    assert len(tomllib.loads((packages / "drivers.toml").read_text())["driver"]) == 2
