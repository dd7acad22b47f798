"""The PIN window (Tk, which comes with Python on every desktop)."""

import tkinter as tk
from collections.abc import Callable, Mapping
from tkinter import ttk

from idp.ekey.agent.prompts import Question, acceptable

LOOK_MILLISECONDS = 200
GIVE_UP_MILLISECONDS = 120_000  # a challenge of the platform does not live longer
WIDTH = 420  # pixels


class WindowPrompt:
    """Asks in a window that stays on top and closes itself when the card is out or nobody answers for two minutes."""

    def __init__(self, words: Mapping[str, str]) -> None:
        """`words`: one language of `words`."""
        self._words = words

    def pin(self, question: Question) -> str | None:
        """See Prompt."""
        return _Window(self._words, question, _ask_pin).answer()

    def last_try(self, question: Question) -> bool:
        """See Prompt."""
        return _Window(self._words, question, _ask_last_try).answer() is not None


class _Window:
    """One question; the answer is None when the window is closed without one."""

    def __init__(self, words: Mapping[str, str], question: Question, fill: Callable[["_Window"], Callable[[], str | None]]) -> None:
        self.words, self.question = words, question
        self.root = tk.Tk()
        self.root.title(words["title"])
        self.root.attributes("-topmost", True)
        self.frame = ttk.Frame(self.root, padding=16)
        self.frame.grid()
        self._answer: str | None = None
        self._value = fill(self)
        self._buttons()

    def say(self, text: str, *, bold: bool = False) -> None:
        """A paragraph."""
        style = ("TkDefaultFont", 11, "bold") if bold else "TkDefaultFont"
        ttk.Label(self.frame, text=text, wraplength=WIDTH, font=style).grid(sticky="w", pady=4)

    def _buttons(self) -> None:
        row = ttk.Frame(self.frame)
        row.grid(sticky="e", pady=(12, 0))
        ttk.Button(row, text=self.words["cancel"], command=self.root.destroy).grid(row=0, column=0, padx=6)
        ttk.Button(row, text=self.words["sign"], command=self._accept).grid(row=0, column=1)
        self.root.bind("<Return>", self._accept)
        self.root.bind("<Escape>", lambda _: self.root.destroy())
        self.root.after(GIVE_UP_MILLISECONDS, self.root.destroy)
        self.root.after(LOOK_MILLISECONDS, self._look)

    def _look(self) -> None:
        if self.question.withdrawn():
            self.root.destroy()
        else:
            self.root.after(LOOK_MILLISECONDS, self._look)

    def _accept(self, _event: object = None) -> None:
        value = self._value()
        if value is not None:
            self._answer = value
            self.root.destroy()

    def answer(self) -> str | None:
        self.root.mainloop()
        return self._answer


def _ask_pin(window: _Window) -> Callable[[], str | None]:
    words, question = window.words, window.question
    window.say(words["who"].format(username=question.username))
    window.say(question.origin, bold=True)
    window.say(words["note"].format(tries=question.tries))
    window.say(words["pin"])
    entry = ttk.Entry(window.frame, show="●", width=16)
    entry.grid(sticky="w")
    entry.focus_force()
    return lambda: entry.get() if acceptable(entry.get()) else None


def _ask_last_try(window: _Window) -> Callable[[], str | None]:
    window.say(window.words["last"])
    return lambda: window.words["yes"]
