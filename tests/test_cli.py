import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": "/usr/bin:/bin", "IDP_DATA_DIR": str(folder)}
    code = "import sys; from idp.cli import main; sys.argv[0] = 'idp'; main()"
    return subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, env=environment, cwd=ROOT, check=False)


def test_help_needs_no_secret(tmp_path: Path) -> None:
    shown = run(tmp_path, "--help")
    assert shown.returncode == 0
    assert "Traceback" not in shown.stdout + shown.stderr
    assert all(group in shown.stdout for group in ("client", "keys", "legacy", "ekey", "enterprise", "init", "db"))
    assert "--app" not in shown.stdout


def test_a_command_before_init_says_what_to_do(tmp_path: Path) -> None:
    refused = run(tmp_path, "client", "list")
    assert refused.returncode == 1
    assert "`idp init` makes one" in refused.stderr
    assert "Traceback" not in refused.stderr
