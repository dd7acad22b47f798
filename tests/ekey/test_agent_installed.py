"""The agent as its user has it: installed alone, started by its command, asking on a terminal or in a window."""

import os
import pty
import re
import signal
import subprocess
import sys
import termios
from base64 import b64encode
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path

import pytest

from idp.ekey.agent import VERSION
from tests.cards import PIN, Cards
from tests.ekey.running_agent import NONCE, ORIGIN, Page, Person
from tests.ekey.test_agent_cards import put_in, verified
from virtual_card.reader import Reader

ROOT = Path(__file__).parent.parent.parent
COMMAND = ["-m", "idp.ekey.agent", "--port", "0", "--origin", ORIGIN, "--language", "zh"]


def port_of(process: subprocess.Popen[str]) -> int:
    assert process.stdout is not None
    found = re.fullmatch(r"http://127\.0\.0\.1:(\d+)\n", process.stdout.readline())
    assert found
    return int(found[1])


def read_until(terminal: int, end: str) -> str:
    shown = b""
    while not shown.decode(errors="ignore").endswith(end):
        shown += os.read(terminal, 4096)
    return shown.decode()


def test_the_version_is_the_projects() -> None:
    assert f'version = "{VERSION}"' in (ROOT / "pyproject.toml").read_text()


@pytest.mark.slow
def test_the_pin_is_asked_on_the_terminal_without_echo(reader: Reader, cards: Cards, tmp_path: Path) -> None:
    put_in(reader, cards.new())
    ours, theirs = pty.openpty()
    command = ["setsid", "--ctty", sys.executable, *COMMAND, "--prompt", "terminal", "--log-file", "~/agent.log"]
    with subprocess.Popen(
        command, stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**reader.environment, "HOME": str(tmp_path)}, cwd=ROOT
    ) as process:
        os.close(theirs)
        page = Page(port_of(process), Person())
        with ThreadPoolExecutor(1) as pool:
            answer = pool.submit(page.authenticate)
            shown = read_until(ours, "8 位）: ")
            os.write(ours, f"{PIN}\n".encode())
            token = verified(answer.result(20).text, ORIGIN, NONCE)
        shown += os.read(ours, 4096).decode()
        process.terminate()
        logged = process.communicate(timeout=10)[1] + (tmp_path / "agent.log").read_text()
    os.close(ours)
    assert f"authentication for {ORIGIN}: signed" in logged
    assert not [secret for secret in (NONCE, b64encode(token.signature).decode()) if secret in logged]
    assert "张三" in shown
    assert ORIGIN in shown
    assert PIN not in logged + shown


def test_a_log_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    command = [sys.executable, *COMMAND, "--log-file", str(tmp_path / "absent" / "agent.log")]
    ended = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=30, check=False)
    assert (ended.returncode, ended.stderr) == (1, f"--log-file {tmp_path}/absent/agent.log: No such file or directory\n")


@pytest.mark.slow
def test_it_ends_at_once_while_the_pin_is_asked_and_leaves_the_terminal_as_it_was(reader: Reader, cards: Cards) -> None:
    put_in(reader, cards.new())
    ours, theirs = pty.openpty()
    before = termios.tcgetattr(ours)
    command = ["setsid", "--ctty", sys.executable, *COMMAND, "--prompt", "terminal"]
    with subprocess.Popen(
        command, stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=reader.environment, cwd=ROOT
    ) as process:
        page = Page(port_of(process), Person())
        with ThreadPoolExecutor(1) as pool:
            answer = pool.submit(page.authenticate)
            read_until(ours, "8 位）: ")
            assert termios.tcgetattr(ours) != before
            process.send_signal(signal.SIGINT)
            # a signal in the instant before the program begins to wait for the keyboard is seen with the next one
            with suppress(subprocess.TimeoutExpired):
                process.wait(2)
            process.terminate()
            assert process.wait(5) == 0
            assert termios.tcgetattr(ours) == before
            with suppress(OSError, HTTPException):
                assert answer.result(5).status != 200
        assert "Traceback" not in process.communicate(timeout=10)[1]
    os.close(ours)
    os.close(theirs)


@pytest.fixture
def display() -> Iterator[str]:
    """A screen that nobody sees."""
    ours, theirs = os.pipe()
    with subprocess.Popen(
        ["/usr/bin/Xvfb", "-displayfd", str(theirs), "-screen", "0", "800x600x24", "-nolisten", "tcp"], pass_fds=(theirs,)
    ) as server:
        os.close(theirs)
        yield f":{os.read(ours, 16).decode().strip()}"
        server.terminate()
    os.close(ours)


WINDOW = """
import sys, tkinter as tk
from idp.ekey.agent import window, words
from idp.ekey.agent.prompts import Question
given, withdrawn = sys.argv[1], sys.argv[2] == "withdrawn"
def act(w):
    texts = [child["text"] for child in w.frame.winfo_children() if "text" in child.keys()]
    print(*texts, sep="|")
    for child in w.frame.winfo_children():
        if child.winfo_class() == "TEntry":
            print(child["show"])
            child.insert(0, given)
    w.root.event_generate("<Return>") if sys.argv[2] != "escape" else w.root.event_generate("<Escape>")
original = window._Window.answer
def answer(w):
    w.root.after(50, act, w)
    w.root.after(3000, w.root.destroy)
    return original(w)
window._Window.answer = answer
question = Question("https://idp.test", "张三", 2, lambda: withdrawn)
print("answer", window.WindowPrompt(words.CHINESE).pin(question))
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("given", "how", "answer"), [("123456", "enter", "123456"), ("123", "enter", "None"), ("123456", "escape", "None"), ("12", "withdrawn", "None")]
)
def test_the_window_shows_who_and_where_and_hides_the_pin(display: str, given: str, how: str, answer: str) -> None:
    command = [sys.executable, "-c", WINDOW, given, how]
    environment = {**os.environ, "DISPLAY": display, "PYTHONIOENCODING": "utf-8"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=ROOT, timeout=30, check=True)
    texts, dots, said = done.stdout.splitlines()
    assert "张三" in texts
    assert "https://idp.test" in texts
    assert "还可以输错 2 次" in texts
    assert dots == "●"
    assert said == f"answer {answer}"


@pytest.mark.slow
def test_the_agent_runs_with_nothing_but_its_extra(tmp_path: Path, reader: Reader, cards: Cards) -> None:
    python = tmp_path / "venv" / "bin" / "python"
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    pip = [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    subprocess.run([*pip, "--require-hashes", "-r", str(ROOT / "requirements" / "agent.txt")], check=True)
    subprocess.run([*pip, "--no-deps", str(ROOT)], check=True)
    listed = subprocess.run([python, "-m", "pip", "list", "--format", "freeze"], check=True, capture_output=True, text=True).stdout
    assert not re.search(r"(?im)^(flask|sqlalchemy|authlib|pydantic)\b", listed)
    put_in(reader, cards.new())
    command = [str(python.parent / "idp-ekey-agent"), *COMMAND[2:], "--prompt", "terminal"]
    environment = {name: value for name, value in reader.environment.items() if name != "PYTHONPATH"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, cwd=tmp_path) as process:
        assert Page(port_of(process), Person()).status()["username"] == "张三"
        process.terminate()
