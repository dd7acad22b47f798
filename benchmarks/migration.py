"""How long a migration takes, and how much memory: `python -m benchmarks.migration --rows 1000000 [--dumps FOLDER] [--database URL]`.

Each step is one `idp` command in a process of its own, on a fresh database; its time and peak memory are those of that process.
"""

import argparse
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks import legacy_dumps

IDP = (sys.executable, "-c", "from idp.cli import main; main()")
OPERATED = ("--operator", "benchmark", "--reason", "measurement")
KIBIBYTES_A_MEGABYTE = 1024
UNDONE = "take the import of export.csv back"


def steps(dumps: Path, *, merge: bool, undo: bool) -> list[tuple[str, tuple[str, ...]]]:
    """What is measured, and the words of each command."""
    take = ("legacy", "import-all", str(dumps), "--as-of", "2018-07-30", *OPERATED)
    apply = ("legacy", "merge", "--apply", "--unprobed", *OPERATED)
    found: list[tuple[str, tuple[str, ...]]] = [("import-all", take), ("import-all again", take)]
    found += [("merge --apply", apply), ("merge --apply again", apply)] if merge else []
    # of what is merged nothing may go: that is another measurement
    found += [(UNDONE, ("legacy", "import", "--undo", "1", *OPERATED)), ("import-all once more", take)] if undo and not merge else []
    return found


def run(words: Sequence[str], environment: dict[str, str], output: Path) -> tuple[float, float, float]:
    """Seconds, seconds of a processor, and peak megabytes of one command; what it says goes to `output`. RuntimeError unless it succeeds."""
    began = time.monotonic()
    with output.open("ab") as file:
        arguments = [*IDP, *words]
        actions = [(os.POSIX_SPAWN_DUP2, file.fileno(), 1), (os.POSIX_SPAWN_DUP2, file.fileno(), 2)]
        child = os.posix_spawn(arguments[0], arguments, environment, file_actions=actions)
        _child, status, usage = os.wait4(child, 0)
    if os.waitstatus_to_exitcode(status) != 0:
        raise RuntimeError(f"idp {' '.join(words)}: {output.read_text('utf-8')[-2000:]}")
    return time.monotonic() - began, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / KIBIBYTES_A_MEGABYTE


def main() -> None:
    """Measure, and print a line for each step."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rows", type=int, default=100_000, help="old users in all eight dumps")
    options.add_argument("--dumps", type=Path, help="a folder written by benchmarks.legacy_dumps, instead of a fresh one of --rows rows")
    options.add_argument("--database", help="URL of an empty database; SQLite by default")
    options.add_argument("--no-merge", action="store_true", help="imports alone")
    options.add_argument("--undo", action="store_true", help="with --no-merge: take one import back too")
    given = options.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="migration-"))
    try:
        _measure(folder, given)
    finally:
        shutil.rmtree(folder)


def _measure(folder: Path, given: argparse.Namespace) -> None:
    dumps = given.dumps or folder / "dumps"
    if not given.dumps:
        legacy_dumps.write(dumps, given.rows)
    rows = sum(_rows(file) for file in (dumps / "legacy").glob("*.csv"))
    registers = _rows(dumps / "enterprises.csv") + _rows(dumps / "ekeys.csv")
    say(f"{rows:,} old users, {registers:,} enterprises and e-keys")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("IDP_")}
    environment |= {"IDP_DATA_DIR": str(folder / "data")} | ({"IDP_DATABASE_URL": given.database} if given.database else {})
    said = folder / "said.txt"
    run(("init",), environment, said)
    for name, words in steps(dumps, merge=not given.no_merge, undo=given.undo):
        seconds, busy, megabytes = run(words, environment, said)
        handled = rows + registers if words[1] == "import-all" else rows
        say(f"{name:40} {seconds:8,.0f} s ({busy:,.0f} s of a processor)  {handled / seconds:9,.0f} rows/s  {megabytes:6,.0f} MB")


def say(line: str) -> None:
    """Show it at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _rows(file: Path) -> int:
    with file.open("rb") as lines:
        return sum(1 for _line in lines) - 1


if __name__ == "__main__":
    main()
