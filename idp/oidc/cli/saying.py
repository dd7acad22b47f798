"""How commands answer: a text for people, or JSON."""

import json
from typing import Any

import click

as_json = click.option("--json", "json_", is_flag=True, help="Answer as JSON.")


def json_of(value: object) -> str:
    """JSON in one line, safe on a terminal: what does not print is written as its code, Chinese is not."""
    return "".join(sign if sign.isprintable() else json.dumps(sign)[1:-1] for sign in json.dumps(value, ensure_ascii=False))


def say(json_: bool, facts: dict[str, Any], text: str) -> None:
    """`facts` as JSON if that was asked for, else `text`."""
    click.echo(json_of(facts) if json_ else text)
