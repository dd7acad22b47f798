"""How commands answer: a text for people, or JSON."""

import json
from typing import Any

import click

as_json = click.option("--json", "json_", is_flag=True, help="Answer as JSON.")


def say(json_: bool, facts: dict[str, Any], text: str) -> None:
    """`facts` as JSON if that was asked for, else `text`."""
    click.echo(json.dumps(facts, ensure_ascii=False) if json_ else text)
