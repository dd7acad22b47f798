"""What every app of a worker would do again in the same way is done once: compiling templates, and the functions that build addresses.

Half of the time of a small test goes into these otherwise; both depend on nothing but the texts they are made from.
"""

import io
from collections.abc import Callable
from typing import Any

from flask import Flask
from jinja2 import BytecodeCache
from jinja2.bccache import Bucket
from werkzeug.routing import Rule

from idp import pacing

Builder = Callable[..., tuple[str, str]]


class Compiled(BytecodeCache):
    """Templates that this process has compiled; Jinja compares the source before it takes one."""

    def __init__(self) -> None:
        self._kept: dict[str, bytes] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        if bucket.key in self._kept:
            bucket.load_bytecode(io.BytesIO(self._kept[bucket.key]))

    def dump_bytecode(self, bucket: Bucket) -> None:
        out = io.BytesIO()
        bucket.write_bytecode(out)
        self._kept[bucket.key] = out.getvalue()


def _remembered(make: Callable[[Rule, bool], Builder]) -> Callable[..., Builder]:
    """The same function for rules of one spelling; their converters are looked up when it is called."""
    known: dict[Any, Builder] = {}

    def made(rule: Rule, append_unknown: bool = True) -> Builder:
        spelling = (rule.rule, repr(rule._trace), repr(rule.defaults), append_unknown)  # nothing public tells them
        if spelling not in known:
            known[spelling] = make(rule, append_unknown)
        return known[spelling]

    return made


def install() -> None:
    """For every app that is made from now on in this process."""
    Flask.jinja_options = {"bytecode_cache": Compiled()}
    pacing.sleep = lambda _seconds: None  # tests/test_pacing.py looks at it
    Rule._compile_builder = _remembered(Rule._compile_builder)  # type: ignore[method-assign]  # no public place
