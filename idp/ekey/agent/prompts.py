"""How the agent asks a person for the PIN. The PIN lives in these return values and in one VERIFY command, nowhere else."""

import getpass
import queue
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol, TypeVar

T = TypeVar("T")
PIN_LENGTHS = range(6, 9)  # SP 800-73-4 part 2, §2.4.3


@dataclass(frozen=True)
class Question:
    """For whom, at which site, how many tries are left, and whether asking has become pointless (`withdrawn`, e.g. the card is out)."""

    origin: str
    username: str
    tries: int
    withdrawn: Callable[[], bool]


class Prompt(Protocol):
    """Asks a person."""

    def pin(self, question: Question) -> str | None:
        """The PIN, None if the person cancels."""

    def last_try(self, question: Question) -> bool:
        """Whether the person wants to use the last try."""


def acceptable(pin: str) -> bool:
    """Whether a card could know this PIN; anything else must not cost a try."""
    return len(pin) in PIN_LENGTHS and pin.isascii() and pin.isprintable()


class CallablePrompt:
    """Answers from functions."""

    def __init__(self, pin: Callable[[Question], str | None], last_try: Callable[[Question], bool] = lambda _: False) -> None:
        """`last_try` says no unless told otherwise."""
        self._pin, self._last_try = pin, last_try

    def pin(self, question: Question) -> str | None:
        """See Prompt."""
        return self._pin(question)

    def last_try(self, question: Question) -> bool:
        """See Prompt."""
        return self._last_try(question)


class TerminalPrompt:
    """Asks on the terminal, without echo."""

    def __init__(self, words: Mapping[str, str]) -> None:
        """`words`: one language of `words`."""
        self._words = words

    def pin(self, question: Question) -> str | None:
        """See Prompt; an empty line cancels, and so does the end of the input."""
        who = self._words["who"].format(username=question.username)
        note = self._words["note"].format(tries=question.tries)
        try:
            return getpass.getpass(f"{who} {question.origin}\n{note}\n{self._words['pin']}: ") or None
        except EOFError:
            return None

    def last_try(self, question: Question) -> bool:
        """See Prompt."""
        return input(f"{self._words['last']} [{self._words['yes']}/N] ").strip().lower() == self._words["yes"]


class MainThreadPrompt:
    """Carries questions of the service's threads to the main thread: windows may live only there."""

    def __init__(self, inner: Prompt) -> None:
        """`inner` is asked in the thread that runs `answer_until`."""
        self._inner = inner
        self.asking = False  # a person is being asked now
        self._tasks: queue.Queue[Callable[[], None]] = queue.Queue()

    def pin(self, question: Question) -> str | None:
        """See Prompt."""
        return self._carried(lambda: self._inner.pin(question), None)

    def last_try(self, question: Question) -> bool:
        """See Prompt."""
        return self._carried(lambda: self._inner.last_try(question), False)

    def _carried(self, ask: Callable[[], T], default: T) -> T:
        answers: list[T] = []
        done = threading.Event()

        def task() -> None:
            try:
                answers.append(ask())
            finally:
                done.set()

        self._tasks.put(task)
        done.wait()
        return answers[0] if answers else default

    def answer_until(self, stop: threading.Event) -> None:
        """Ask what is to be asked until `stop` is set; for the main thread."""
        while not stop.is_set():
            try:
                task = self._tasks.get(timeout=0.2)
            except queue.Empty:
                continue
            self.asking = True
            task()
            self.asking = False
